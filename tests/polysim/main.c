/* polysim - a stand-in for Polygon.io's servers. See docs/polysim.md. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "feed.h"
#include "http.h"
#include "options.h"
#include "pages.h"
#include "session.h"
#include "sim.h"

#define TICK_MS 20
#define BACKLOG 512

/* --------------------------------------------------------------------------------------- listening */

struct listener {
    struct sim *sim;
    uv_poll_t poll;
    int fd;
    bool tls;
};

static void on_accept(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct listener *listener = poll->data;
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        int r =
            sim_conn_open(listener->sim, fd, listener->tls ? listener->sim->tls : NULL, &sim_http_handler);
        if (r < 0) {
            sim_say(listener->sim, "cannot serve a connection: %s", strerror(-r));
            close(fd);
        }
    }
}

/* Binds the port on 127.0.0.1. Returns the port or -errno. */
static int listen_on(struct listener *listener, struct sim *sim, int port, bool tls)
{
    *listener = (struct listener){.sim = sim, .fd = -1, .tls = tls};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    int r = uv_poll_init(&sim->loop, &listener->poll, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    listener->fd = fd;
    listener->poll.data = listener;
    uv_poll_start(&listener->poll, UV_READABLE, on_accept);
    return ntohs(at.sin_port);
}

static void stop_listening(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    uv_poll_stop(&listener->poll);
    uv_close((uv_handle_t *)&listener->poll, NULL);
    close(listener->fd);
}

static int write_ports(const struct sim *sim)
{
    const char *path = sim->options.ports_file;
    if (!path)
        return 0;
    char temporary[4096];
    snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    FILE *file = fopen(temporary, "w");
    if (!file)
        return -errno;
    if (sim->port >= 0)
        fprintf(file, "http=%d ", sim->port);
    if (sim->tls_port >= 0)
        fprintf(file, "https=%d", sim->tls_port);
    fputc('\n', file);
    if (fclose(file) != 0 || rename(temporary, path) < 0)
        return -errno;
    return 0;
}

/* ----------------------------------------------------------------------------------------- running */

struct program {
    struct sim sim;
    struct listener plain, tls;
    uv_timer_t tick;
    uv_signal_t term, interrupt;
    double busy_at; /* sim_elapsed when a connection was last open */
};

static void stop(struct program *program)
{
    uv_stop(&program->sim.loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void on_tick(uv_timer_t *timer)
{
    struct program *program = timer->data;
    struct sim *sim = &program->sim;
    for (struct sim_session *s = sim->sessions, *next; s; s = next) {
        next = s->next;
        sim_session_tick(s);
    }
    sim_feed_run(sim->feed);
    if (sim->conns)
        program->busy_at = sim_elapsed(sim);
    if (sim->options.idle_exit > 0 && sim_elapsed(sim) - program->busy_at > sim->options.idle_exit)
        stop(program);
}

static int start_market(struct sim *sim, char *err, size_t err_size)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    if (sim_options_start(sim->options.start, ms, &sim->clock_start) < 0) {
        snprintf(err, err_size, "--start %s: no time from 1991 to 2098", sim->options.start);
        return -EINVAL;
    }
    sim->stepped = sim->clock_start;
    sim->clock_origin = uv_hrtime();
    int r = 0;
    for (size_t i = 0; i < sim->options.scenario_count && r == 0; i++)
        r = sim_scenarios_load(&sim->scenarios, sim->options.scenarios[i], err, err_size);
    if (r < 0)
        return r;
    r = sim_universe_init(&sim->universe, sim->options.seed, sim->options.symbols, err, err_size);
    if (r < 0)
        return r;
    sim_market_init(&sim->market, sim->options.seed);
    sim->history = sim_history_new(&sim->market);
    sim->feed = sim->history ? sim_feed_new(sim) : NULL;
    sim->pages = sim_pages_new();
    snprintf(err, err_size, "out of memory");
    return sim->feed && sim->pages ? 0 : -ENOMEM;
}

static int start_listeners(struct program *program, char *err, size_t err_size)
{
    struct sim *sim = &program->sim;
    sim->port = sim->tls_port = -1;
    if (sim->options.port >= 0) {
        sim->port = listen_on(&program->plain, sim, sim->options.port, false);
        if (sim->port < 0) {
            snprintf(err, err_size, "port %d: %s", sim->options.port, strerror(-sim->port));
            return sim->port;
        }
    }
    if (sim->options.tls_port < 0)
        return 0;
    sim->tls = sim_cert_context(sim->options.cert, sim->options.cert_dir, err, err_size);
    if (!sim->tls)
        return -EIO;
    sim->tls_port = listen_on(&program->tls, sim, sim->options.tls_port, true);
    if (sim->tls_port < 0) {
        snprintf(err, err_size, "port %d: %s", sim->options.tls_port, strerror(-sim->tls_port));
        return sim->tls_port;
    }
    return 0;
}

static int start(struct program *program, char *err, size_t err_size)
{
    struct sim *sim = &program->sim;
    program->plain.fd = program->tls.fd = -1;
    int r = start_market(sim, err, err_size);
    if (r >= 0)
        r = start_listeners(program, err, err_size);
    if (r < 0)
        return r;
    uv_timer_init(&sim->loop, &program->tick);
    uv_signal_init(&sim->loop, &program->term);
    uv_signal_init(&sim->loop, &program->interrupt);
    program->tick.data = program->term.data = program->interrupt.data = program;
    uv_signal_start(&program->term, on_signal, SIGTERM);
    uv_signal_start(&program->interrupt, on_signal, SIGINT);
    uv_timer_start(&program->tick, on_tick, TICK_MS, sim->options.speed > 0 ? TICK_MS : 1);
    r = write_ports(sim);
    if (r < 0)
        snprintf(err, err_size, "%s: %s", sim->options.ports_file, strerror(-r));
    return r;
}

static void close_handle(uv_handle_t *handle, void *user)
{
    (void)user;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void finish(struct program *program)
{
    struct sim *sim = &program->sim;
    while (sim->conns)
        sim_conn_drop(sim->conns, false);
    stop_listening(&program->plain);
    stop_listening(&program->tls);
    uv_walk(&sim->loop, close_handle, NULL);
    uv_run(&sim->loop, UV_RUN_DEFAULT);
    uv_loop_close(&sim->loop);
    sim_scenarios_fini(&sim->scenarios);
    sim_pages_free(sim->pages);
    sim_feed_free(sim->feed);
    sim_history_free(sim->history);
    sim_market_fini(&sim->market);
    sim_universe_fini(&sim->universe);
    SSL_CTX_free(sim->tls);
}

int main(int argc, char **argv)
{
    static struct program program;
    int r = sim_options_parse(&program.sim.options, argc, argv);
    if (r != 0)
        return r < 0 ? 2 : 0;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&program.sim.loop);
    char err[256] = "";
    r = start(&program, err, sizeof(err));
    if (r < 0) {
        fprintf(stderr, "polysim: %s\n", err);
    } else {
        sim_say(&program.sim, "ready: http %d https %d, %zu symbols, seed %llu", program.sim.port,
                program.sim.tls_port, program.sim.universe.count,
                (unsigned long long)program.sim.options.seed);
        uv_run(&program.sim.loop, UV_RUN_DEFAULT);
    }
    finish(&program);
    return r < 0 ? 1 : 0;
}
