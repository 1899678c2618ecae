#include "control.h"
#include "clock.h"
#include "control_peer.h"
#include "control_request.h"
#include "control_socket.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX   64
#define STRANGERS_MAX 32                   /* of these, who may only ping and look */
#define IDLE_NS       INT64_C(30000000000) /* half a line, an unread answer, a stranger with nothing to say */
#define OUT_MAX       (8u << 20)           /* answers not yet read by the client */
#define ANSWER_MAX    1024                 /* one answer line */

struct control_request {
    struct client *client;
    bool active;
};

struct client {
    uv_pipe_t pipe;
    struct control *control;
    struct client *next;
    struct control_peer peer;
    struct control_request request; /* one at a time */
    struct log_rate denied;
    char line[CONTROL_LINE_MAX];
    size_t used;
    bool reading, ended, doomed, closing; /* ended: it sends no more, but still reads; doomed: closed soon */
    int64_t heard_ns;                     /* last bytes received, or last request ended */
    int64_t moved_ns;                     /* last time answers left */
    char *out;                            /* answers not yet handed to libuv */
    size_t out_size, out_room;
};

struct control {
    uv_loop_t *loop;
    uv_pipe_t listener;
    uv_timer_t tick;
    uv_async_t again; /* lines to take up, answers to send, outside of whoever made them */
    unsigned handles; /* of these three, not yet closed; plus clients not yet closed */
    struct control_hooks hooks;
    struct control_allow allow;
    struct control_file file;
    struct client *clients;
    unsigned client_count, stranger_count;
    struct log_rate crowded;
    void (*closed)(void *user);
    void *closed_user;
};

/* ---------------------------------------------------------------------------------------------- hang up */

static void handle_closed(struct control *control)
{
    if (--control->handles > 0)
        return;
    void (*closed)(void *user) = control->closed;
    void *user = control->closed_user;
    control_allow_fini(&control->allow);
    free(control);
    if (closed)
        closed(user);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct control *control = client->control;
    free(client->out);
    free(client);
    handle_closed(control);
}

static void forget(struct client *client)
{
    struct client **slot = &client->control->clients;
    while (*slot != client)
        slot = &(*slot)->next;
    *slot = client->next;
    client->control->client_count--;
    client->control->stranger_count -= !client->peer.may;
}

static void hang_up(struct client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    forget(client);
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
    if (client->request.active) {
        client->request.active = false;
        client->control->hooks.gone(client->control->hooks.user, &client->request);
    }
}

/* ---------------------------------------------------------------------------------------------- answers */

struct pending_write {
    uv_write_t write;
    struct client *client;
    char data[];
};

static void on_written(uv_write_t *write, int status)
{
    struct pending_write *p = write->data;
    if (status < 0)
        hang_up(p->client);
    p->client->moved_ns = clock_mono_ns();
    if (p->client->ended && !p->client->closing)
        uv_async_send(&p->client->control->again); /* perhaps that was the last it waited for */
    free(p);
}

static void queue(struct client *client, const char *data, size_t size)
{
    struct pending_write *p = malloc(sizeof(*p) + size);
    if (!p) {
        hang_up(client);
        return;
    }
    p->client = client;
    p->write.data = p;
    memcpy(p->data, data, size);
    uv_buf_t buf = uv_buf_init(p->data, (unsigned)size);
    if (uv_write(&p->write, (uv_stream_t *)&client->pipe, &buf, 1, on_written) < 0) {
        free(p);
        hang_up(client);
    }
}

static void flush(struct client *client)
{
    uv_stream_t *stream = (uv_stream_t *)&client->pipe;
    if (client->closing || client->doomed || client->out_size == 0)
        return;
    size_t sent = 0;
    if (uv_stream_get_write_queue_size(stream) == 0) {
        uv_buf_t buf = uv_buf_init(client->out, (unsigned)client->out_size);
        int n = uv_try_write(stream, &buf, 1);
        if (n < 0 && n != UV_EAGAIN) {
            hang_up(client);
            return;
        }
        sent = n > 0 ? (size_t)n : 0;
        client->moved_ns = clock_mono_ns();
    }
    if (sent < client->out_size)
        queue(client, client->out + sent, client->out_size - sent);
    client->out_size = 0;
}

static bool make_room(struct client *client, size_t more)
{
    size_t need = client->out_size + more;
    if (need + uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > OUT_MAX)
        return false;
    if (need <= client->out_room)
        return true;
    size_t room = client->out_room ? client->out_room : 1024;
    while (room < need)
        room *= 2;
    char *out = realloc(client->out, room);
    if (!out)
        return false;
    client->out = out;
    client->out_room = room;
    return true;
}

__attribute__((format(printf, 2, 0))) static void answer(struct client *client, const char *format,
                                                         va_list args)
{
    char text[ANSWER_MAX];
    if (client->closing || client->doomed)
        return;
    int n = vsnprintf(text, sizeof(text) - 1, format, args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof(text) - 1 ? (size_t)n : sizeof(text) - 2;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
    }
    text[size++] = '\n';
    if (!make_room(client, size)) {
        log_event(LOG_CONTROL_REFUSED, "client of user %u, process %d: does not read its answers; hung up",
                  (unsigned)client->peer.uid, (int)client->peer.pid);
        client->doomed = true; /* not here: whoever answers does not expect `gone` in the midst of it */
        uv_async_send(&client->control->again);
        return;
    }
    memcpy(client->out + client->out_size, text, size);
    client->out_size += size;
    uv_async_send(&client->control->again);
}

void control_line(struct control_request *request, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    answer(request->client, format, args);
    va_end(args);
}

void control_finish(struct control_request *request, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    answer(request->client, format, args);
    va_end(args);
    request->active = false;
    request->client->heard_ns = clock_mono_ns();
    flush(request->client);
}

/* --------------------------------------------------------------------------------------------- requests */

static void refuse(struct client *client, const char *code, const char *why)
{
    struct control *control = client->control;
    control->hooks.count(control->hooks.user, true);
    log_event_rate(&client->denied, 10, LOG_CONTROL_REFUSED, "%s: user %u, process %d: %s", code,
                   (unsigned)client->peer.uid, (int)client->peer.pid, why);
    control_finish(&client->request, "error %s %s", code, why);
}

static void reload(struct client *client)
{
    const struct control_hooks *hooks = &client->control->hooks;
    char err[ANSWER_MAX - 64] = "";
    log_event(LOG_CONTROL, "reload: user %u, process %d", (unsigned)client->peer.uid, (int)client->peer.pid);
    if (hooks->reload(hooks->user, err, sizeof(err)) < 0)
        control_finish(&client->request, "error failed %s", err);
    else
        control_finish(&client->request, "ok");
}

static void stop(struct client *client)
{
    const struct control_hooks hooks = client->control->hooks;
    log_event(LOG_CONTROL, "stop: user %u, process %d", (unsigned)client->peer.uid, (int)client->peer.pid);
    control_finish(&client->request, "ok"); /* first: nothing is sent once it stops */
    hooks.stop(hooks.user);
}

static void serve(struct client *client, const struct control_parsed *parsed)
{
    const struct control_hooks *hooks = &client->control->hooks;
    hooks->count(hooks->user, false);
    switch (parsed->verb) {
    case CONTROL_PING:
        control_finish(&client->request, "ok polygond %s", PGD_VERSION);
        break;
    case CONTROL_PENDING:
        hooks->pending(hooks->user, &client->request);
        break;
    case CONTROL_SUBSCRIBE:
        log_event(LOG_CONTROL, "subscribe %s: user %u, process %d", parsed->symbol,
                  (unsigned)client->peer.uid, (int)client->peer.pid);
        hooks->subscribe(hooks->user, &client->request, parsed->symbol, parsed->topics, parsed->cluster);
        break;
    case CONTROL_RELOAD:
        reload(client);
        break;
    case CONTROL_STOP:
        stop(client);
        break;
    }
}

static void take_line(struct client *client, size_t size)
{
    struct control_parsed parsed;
    const char *why = "";
    client->request.active = true;
    if (control_parse(&parsed, client->line, size, &why) < 0)
        refuse(client, "syntax", why);
    else if (!client->peer.may && parsed.verb != CONTROL_PING && parsed.verb != CONTROL_PENDING)
        refuse(client, "denied",
               "only root, the daemon's user and those in control.allow_users and allow_groups");
    else
        serve(client, &parsed);
}

static void start_reading(struct client *client);

/* Takes up whole lines until one keeps us waiting. The line is consumed first: its request may end the
 * client. */
static void take_lines(struct client *client)
{
    while (!client->closing && !client->request.active && client->used > 0) {
        const char *end = memchr(client->line, '\n', client->used);
        if (!end) {
            if (client->used < sizeof(client->line))
                break;
            client->request.active = true;
            refuse(client, "syntax", "line too long");
            hang_up(client);
            return;
        }
        size_t size = (size_t)(end - client->line);
        take_line(client, size);
        client->used -= size + 1;
        memmove(client->line, client->line + size + 1, client->used);
    }
    if (client->closing)
        return;
    if (client->ended && !client->request.active && client->out_size == 0 &&
        uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) == 0)
        hang_up(client);
    else
        start_reading(client);
}

/* ---------------------------------------------------------------------------------------------- reading */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client *client = handle->data;
    (void)suggested;
    *buf = uv_buf_init(client->line + client->used, (unsigned)(sizeof(client->line) - client->used));
}

static bool peer_gone(struct client *client)
{
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&client->pipe, &fd) < 0)
        return true;
    struct pollfd p = {.fd = fd, .events = 0};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void stop_reading(struct client *client)
{
    (void)uv_read_stop((uv_stream_t *)&client->pipe);
    client->reading = false;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *client = stream->data;
    (void)buf;
    if (n == UV_EOF && !peer_gone(client)) { /* `echo ping | nc -U`: it still reads */
        client->ended = true;
        stop_reading(client);
        take_lines(client);
        return;
    }
    if (n < 0) {
        hang_up(client);
        return;
    }
    if (n == 0)
        return;
    client->used += (size_t)n;
    client->heard_ns = clock_mono_ns();
    if (client->used == sizeof(client->line))
        stop_reading(client); /* until lines have been taken: the rest waits in the socket */
    take_lines(client);
}

static void start_reading(struct client *client)
{
    if (client->reading || client->ended || client->used == sizeof(client->line))
        return;
    client->reading = true;
    if (uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) < 0)
        hang_up(client);
}

static void on_again(uv_async_t *async)
{
    struct control *control = async->data;
    for (struct client *client = control->clients, *next; client; client = next) {
        next = client->next;
        if (client->doomed)
            hang_up(client);
        flush(client);
        take_lines(client);
    }
}

/* --------------------------------------------------------------------------------------------- accepting */

static int admit(struct control *control, struct client *client)
{
    uv_os_fd_t fd;
    int r = uv_accept((uv_stream_t *)&control->listener, (uv_stream_t *)&client->pipe);
    if (r == 0)
        r = uv_fileno((const uv_handle_t *)&client->pipe, &fd);
    if (r == 0)
        r = control_peer_get(&client->peer, fd, &control->allow);
    return r;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct control *control = listener->data;
    if (status < 0)
        return;
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return;
    client->control = control;
    client->request.client = client;
    client->heard_ns = client->moved_ns = clock_mono_ns();
    if (uv_pipe_init(control->loop, &client->pipe, 0) < 0) {
        free(client);
        return;
    }
    client->pipe.data = client;
    control->handles++;
    client->next = control->clients;
    control->clients = client;
    int r = admit(control, client);
    bool full = control->client_count >= CLIENTS_MAX ||
                (!client->peer.may && control->stranger_count >= STRANGERS_MAX);
    control->client_count++;
    control->stranger_count += !client->peer.may;
    if (r < 0) {
        hang_up(client);
    } else if (full) {
        log_event_rate(&control->crowded, 10, LOG_CONTROL_REFUSED, "too many clients on the control socket");
        control->hooks.count(control->hooks.user, true);
        control_finish(&client->request, "error busy too many clients");
        hang_up(client);
    } else {
        start_reading(client);
    }
}

static bool overdue(struct client *client, int64_t now)
{
    bool unsent = uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > 0;
    bool waits = client->used > 0 || !client->peer.may;
    return (unsent && now - client->moved_ns > IDLE_NS) ||
           (!client->request.active && waits && now - client->heard_ns > IDLE_NS);
}

/* Once a second: those who keep us waiting, and those who left after they had said that they will say no
 * more. */
static void on_tick(uv_timer_t *timer)
{
    struct control *control = timer->data;
    int64_t now = clock_mono_ns();
    for (struct client *client = control->clients, *next; client; client = next) {
        next = client->next;
        if (overdue(client, now) || ((client->ended || !client->reading) && peer_gone(client)))
            hang_up(client);
    }
}

/* ---------------------------------------------------------------------------------------- open and close */

static void on_handle_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

void control_free(struct control *control, void (*closed)(void *user), void *user)
{
    if (!control)
        return;
    control->closed = closed;
    control->closed_user = user;
    control_socket_remove(&control->file);
    while (control->clients) {
        flush(control->clients);
        if (control->clients)
            hang_up(control->clients);
    }
    uv_close((uv_handle_t *)&control->listener, on_handle_closed);
    uv_close((uv_handle_t *)&control->tick, on_handle_closed);
    uv_close((uv_handle_t *)&control->again, on_handle_closed);
}

/* Who is not in the bus's group must be able to connect to be told apart by SO_PEERCRED. */
static mode_t socket_mode(const struct config *config)
{
    bool others = config->bus.mode == 0644 || config->control.allow_users_count > 0 ||
                  config->control.allow_groups_count > 0;
    return others ? 0666 : 0660;
}

static int init_handles(struct control *control)
{
    uv_loop_t *loop = control->loop;
    int r = uv_async_init(loop, &control->again, on_again); /* the only one that can fail */
    if (r < 0)
        return r;
    (void)uv_pipe_init(loop, &control->listener, 0);
    (void)uv_timer_init(loop, &control->tick);
    control->listener.data = control->tick.data = control->again.data = control;
    control->handles = 3;
    return 0;
}

static int start(struct control *control, int fd)
{
    int r = uv_pipe_open(&control->listener, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    r = uv_listen((uv_stream_t *)&control->listener, 64, on_connection);
    if (r == 0)
        r = uv_timer_start(&control->tick, on_tick, 1000, 1000);
    return r;
}

int control_new(struct control **ret, uv_loop_t *loop, const struct config *config, const char *path,
                gid_t gid, const struct control_hooks *hooks)
{
    struct control *control = calloc(1, sizeof(*control));
    if (!control)
        return -ENOMEM;
    control->loop = loop;
    control->hooks = *hooks;
    int r = control_allow_init(&control->allow, config);
    int fd = r < 0 ? r : control_socket_open(&control->file, path, socket_mode(config), gid);
    if (fd >= 0)
        r = init_handles(control);
    if (fd < 0 || r < 0) {
        control_socket_remove(&control->file);
        if (fd >= 0)
            close(fd);
        control_allow_fini(&control->allow);
        free(control);
        return fd < 0 ? fd : r;
    }
    r = start(control, fd);
    if (r < 0) {
        control_free(control, NULL, NULL);
        return r;
    }
    *ret = control;
    return 0;
}
