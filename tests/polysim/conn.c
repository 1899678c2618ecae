#include "conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim.h"
#include "symbol.h"

#define READ_SIZE  65536
#define READ_TURNS 8
#define INPUT_MAX  (2u << 20)
#define LINGER_MS  2000

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void update_poll(struct sim_conn *conn)
{
    if (conn->dead || conn->silent)
        return;
    int events = UV_READABLE;
    bool more = (sim_conn_pending(conn) > 0 || conn->eager) && !conn->waiting;
    if (conn->blocked || more)
        events |= UV_WRITABLE;
    uv_poll_start(&conn->poll, events, on_poll);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct sim_conn *conn = handle->data;
    if (--conn->handles > 0)
        return;
    if (conn->handler->freed)
        conn->handler->freed(conn);
    sim_text_fini(&conn->in);
    sim_text_fini(&conn->out);
    free(conn);
}

void sim_conn_drop(struct sim_conn *conn, bool reset)
{
    if (conn->dead)
        return;
    conn->dead = true;
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    conn->sim->stats.connections_open--;
    if (conn->handler->closed)
        conn->handler->closed(conn);
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    uv_poll_stop(&conn->poll);
    uv_timer_stop(&conn->timer);
    uv_close((uv_handle_t *)&conn->poll, on_handle_closed);
    uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
    if (reset) {
        struct linger linger = {.l_onoff = 1};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    close(conn->fd);
}

int sim_conn_open(struct sim *sim, int fd, SSL_CTX *ctx, const struct sim_conn_handler *handler)
{
    struct sim_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return -ENOMEM;
    *conn = (struct sim_conn){.sim = sim, .handler = handler, .fd = fd, .tls = ctx != NULL};
    if (ctx) {
        conn->ssl = SSL_new(ctx);
        if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1) {
            SSL_free(conn->ssl);
            free(conn);
            return -ENOMEM;
        }
        SSL_set_accept_state(conn->ssl);
    }
    int r = uv_poll_init(&sim->loop, &conn->poll, fd);
    if (r < 0) {
        SSL_free(conn->ssl);
        free(conn);
        return r;
    }
    uv_timer_init(&sim->loop, &conn->timer);
    conn->poll.data = conn->timer.data = conn;
    conn->handles = 2;
    conn->chance = sim_hash(sim->options.seed, 0xc0, sim->stats.connections);
    conn->next = sim->conns;
    conn->link = &sim->conns;
    if (conn->next)
        conn->next->link = &conn->next;
    sim->conns = conn;
    sim->stats.connections++;
    sim->stats.connections_open++;
    update_poll(conn);
    return 0;
}

size_t sim_conn_pending(const struct sim_conn *conn)
{
    return conn->out.size - conn->out_sent;
}

void sim_conn_write(struct sim_conn *conn, const void *data, size_t size)
{
    if (conn->dead || conn->silent || conn->lingering)
        return;
    sim_text_add(&conn->out, data, size);
}

/* Bytes moved, 0 for try later, -errno when the connection is broken or at its end (-EPIPE). */
static ssize_t tls_result(struct sim_conn *conn, int r)
{
    int error = SSL_get_error(conn->ssl, r);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_WRITE) {
        conn->blocked = true;
        return 0;
    }
    return error == SSL_ERROR_WANT_READ ? 0 : -EPIPE;
}

static ssize_t read_some(struct sim_conn *conn, char *data, size_t size)
{
    if (conn->ssl) {
        int r = SSL_read(conn->ssl, data, (int)size);
        return r > 0 ? r : tls_result(conn, r);
    }
    ssize_t r = recv(conn->fd, data, size, 0);
    if (r > 0)
        return r;
    return r < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
}

static ssize_t write_some(struct sim_conn *conn, const char *data, size_t size)
{
    if (conn->ssl) {
        if (conn->retry)
            size = conn->retry;
        int r = SSL_write(conn->ssl, data, (int)size);
        conn->retry = r > 0 ? 0 : size;
        return r > 0 ? r : tls_result(conn, r);
    }
    ssize_t r = send(conn->fd, data, size, MSG_NOSIGNAL);
    if (r >= 0)
        return r;
    if (errno != EAGAIN && errno != EINTR)
        return -errno;
    conn->blocked = true;
    return 0;
}

static size_t next_size(struct sim_conn *conn)
{
    size_t size = sim_conn_pending(conn);
    if (size > 1u << 20)
        size = 1u << 20;
    size_t limit = conn->shape.split;
    if (limit && conn->shape.random)
        limit = 1 + sim_hash(conn->chance++, 1, 1) % limit;
    if (limit && size > limit)
        size = limit;
    if (conn->shape.drop_after > 0 && size > (size_t)conn->shape.drop_after)
        size = (size_t)conn->shape.drop_after;
    return size;
}

static void linger(struct sim_conn *conn)
{
    conn->lingering = true;
    if (conn->ssl) {
        SSL_shutdown(conn->ssl);
        ERR_clear_error();
    }
    shutdown(conn->fd, SHUT_WR);
    uv_timer_start(&conn->timer, on_timer, LINGER_MS, 0);
}

/* One write. False: stop for now. */
static bool send_piece(struct sim_conn *conn)
{
    conn->blocked = false;
    ssize_t r = write_some(conn, conn->out.data + conn->out_sent, next_size(conn));
    if (r < 0) {
        sim_conn_drop(conn, false);
        return false;
    }
    conn->out_sent += (size_t)r;
    conn->sim->stats.bytes_out += (uint64_t)r;
    if (conn->shape.drop_after > 0 && r > 0 && (conn->shape.drop_after -= r) == 0) {
        sim_conn_drop(conn, false);
        return false;
    }
    if (conn->shape.split && sim_conn_pending(conn) > 0) {
        if (conn->shape.delay_ms) {
            conn->waiting = true;
            uv_timer_start(&conn->timer, on_timer, conn->shape.delay_ms, 0);
        }
        return false;
    }
    return r > 0;
}

static void send_pending(struct sim_conn *conn)
{
    while (!conn->dead && sim_conn_pending(conn) > 0)
        if (!send_piece(conn))
            break;
    if (conn->dead || sim_conn_pending(conn) > 0)
        return;
    conn->out.size = conn->out_sent = 0;
    if (conn->finishing && !conn->lingering)
        linger(conn);
}

/* Keeps what was sent from piling up in front of what was not. */
static void compact(struct sim_conn *conn)
{
    if (conn->out_sent < 1u << 20 || conn->out_sent < conn->out.size / 2)
        return;
    memmove(conn->out.data, conn->out.data + conn->out_sent, sim_conn_pending(conn));
    conn->out.size -= conn->out_sent;
    conn->out_sent = 0;
}

void sim_conn_flush(struct sim_conn *conn)
{
    if (conn->dead || conn->silent || conn->waiting || conn->blocked)
        return;
    if (conn->shape.hold_ms && sim_conn_pending(conn) > 0 && !conn->finishing) {
        conn->waiting = true;
        uv_timer_start(&conn->timer, on_timer, conn->shape.hold_ms, 0);
        return;
    }
    send_pending(conn);
    if (conn->dead)
        return;
    compact(conn);
    update_poll(conn);
}

static void on_timer(uv_timer_t *timer)
{
    struct sim_conn *conn = timer->data;
    if (conn->lingering) {
        sim_conn_drop(conn, false);
        return;
    }
    conn->waiting = false;
    send_pending(conn);
    update_poll(conn);
}

void sim_conn_finish(struct sim_conn *conn)
{
    if (conn->dead || conn->finishing)
        return;
    conn->finishing = true;
    if (sim_conn_pending(conn) == 0 && !conn->silent)
        linger(conn);
    else
        sim_conn_flush(conn);
}

void sim_conn_silence(struct sim_conn *conn)
{
    if (conn->dead)
        return;
    conn->silent = true;
    uv_poll_stop(&conn->poll);
    uv_timer_stop(&conn->timer);
}

static void deliver(struct sim_conn *conn)
{
    while (!conn->dead && !conn->silent && conn->in.size > 0) {
        if (conn->finishing) {
            conn->in.size = 0;
            return;
        }
        size_t used = conn->handler->input(conn, conn->in.data, conn->in.size);
        if (conn->dead || used == 0)
            return;
        memmove(conn->in.data, conn->in.data + used, conn->in.size - used);
        conn->in.size -= used;
    }
}

static void receive(struct sim_conn *conn)
{
    for (int turn = 0; turn < READ_TURNS && !conn->dead && !conn->silent; turn++) {
        char *space = sim_text_space(&conn->in, READ_SIZE);
        ssize_t r = read_some(conn, space, READ_SIZE);
        if (r == 0)
            return;
        if (r < 0) {
            sim_conn_drop(conn, false);
            return;
        }
        conn->sim->stats.bytes_in += (uint64_t)r;
        conn->in.size += (size_t)r;
        deliver(conn);
        if (!conn->dead && conn->in.size > INPUT_MAX)
            sim_conn_drop(conn, true);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct sim_conn *conn = poll->data;
    if (status < 0) {
        sim_conn_drop(conn, false);
        return;
    }
    if (events & UV_READABLE || conn->blocked)
        receive(conn);
    if (conn->dead || conn->silent)
        return;
    if (events & UV_WRITABLE) {
        conn->blocked = false;
        if (!conn->waiting)
            send_pending(conn);
    }
    if (!conn->dead && sim_conn_pending(conn) == 0 && !conn->finishing && conn->handler->drained)
        conn->handler->drained(conn);
    if (!conn->dead) {
        compact(conn);
        update_poll(conn);
    }
}
