/* control: requests and their words, answers, who may, hanging up on either side, limits, the socket's file.
 */
#include "control.h"
#include "control_request.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ------------------------------------------------------------------------------------ a control in a loop */

static char dir[64];
static char path[96];
static uv_loop_t loop;
static struct control *control;
static struct config *config;

/* What the hooks saw. */
static struct {
    struct control_request *request; /* the last subscribe not answered */
    char symbol[64];
    uint32_t topics;
    int cluster, subscribes, gone, reloads, stops, counted, refused, closed;
    int pending_lines;
    bool reload_fails, free_on_stop;
} seen;

static void on_subscribe(void *user, struct control_request *request, const char *symbol, uint32_t topics,
                         enum pgd_cluster cluster)
{
    (void)user;
    seen.request = request;
    snprintf(seen.symbol, sizeof(seen.symbol), "%s", symbol);
    seen.topics = topics;
    seen.cluster = (int)cluster;
    seen.subscribes++;
}

static void on_pending(void *user, struct control_request *request)
{
    (void)user;
    for (int i = 0; i < seen.pending_lines; i++)
        control_line(request, "pair stocks SYMBOL%d T waiting", i);
    control_finish(request, "ok %d", seen.pending_lines);
}

static int on_reload(void *user, char *err, size_t err_size)
{
    (void)user;
    seen.reloads++;
    if (seen.reload_fails)
        snprintf(err, err_size, "bad\nfile");
    return seen.reload_fails ? -EINVAL : 0;
}

static void on_closed(void *user)
{
    (void)user;
    seen.closed++;
}

static void on_stop(void *user)
{
    (void)user;
    seen.stops++;
    if (seen.free_on_stop) {
        control_free(control, on_closed, NULL);
        control = NULL;
    }
}

static void on_gone(void *user, struct control_request *request)
{
    (void)user;
    assert_ptr_equal(request, seen.request);
    seen.request = NULL;
    seen.gone++;
}

static void on_count(void *user, bool refused)
{
    (void)user;
    seen.counted += !refused;
    seen.refused += refused;
}

static const struct control_hooks hooks = {on_subscribe, on_pending, on_reload, on_stop,
                                           on_gone,      on_count,   NULL};

static void pump(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

static int try_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

static int client(void)
{
    int fd = try_connect();
    assert_true(fd >= 0);
    pump();
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Runs the loop until the client has received exactly this. */
static void hear(int fd, const char *want)
{
    char got[8192];
    size_t n = 0, size = strlen(want);
    assert_true(size < sizeof(got));
    for (int i = 0; i < 20000 && n < size; i++) {
        pump();
        ssize_t r = recv(fd, got + n, size - n, 0);
        if (r == 0)
            break;
        if (r > 0)
            n += (size_t)r;
        else
            usleep(500);
    }
    got[n] = '\0';
    assert_string_equal(got, want);
}

static void hear_end(int fd)
{
    char byte;
    for (int i = 0; i < 20000; i++) {
        pump();
        ssize_t r = recv(fd, &byte, 1, 0);
        if (r == 0 || (r < 0 && errno == ECONNRESET))
            return;
        assert_true(r < 0 && errno == EAGAIN);
        usleep(500);
    }
    fail_msg("still connected");
}

static void until(const int *value, int want)
{
    for (int i = 0; i < 20000 && *value != want; i++) {
        pump();
        usleep(500);
    }
    assert_int_equal(*value, want);
}

static int open_with(void **state)
{
    (void)state;
    char err[256];
    memset(&seen, 0, sizeof(seen));
    snprintf(dir, sizeof(dir), "/tmp/polygond-test-control-XXXXXX");
    if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/s.sock", dir);
    if (!config && config_load(&config, NULL, err, sizeof(err)) < 0)
        return -1;
    uv_loop_init(&loop);
    return control_new(&control, &loop, config, path, (gid_t)-1, &hooks);
}

static int close_all(void **state)
{
    (void)state;
    control_free(control, on_closed, NULL);
    control = NULL;
    uv_run(&loop, UV_RUN_DEFAULT);
    int r = uv_loop_close(&loop);
    config_free(config);
    config = NULL;
    if (seen.closed != 1 || access(path, F_OK) == 0)
        r = -1;
    return rmdir(dir) < 0 ? -1 : r;
}

/* ---------------------------------------------------------------------------------------------- talking */

static void test_ping(void **state)
{
    (void)state;
    int fd = client();
    say(fd, "ping\n");
    hear(fd, "ok polygond " PGD_VERSION "\n");
    say(fd, "pi");
    pump();
    say(fd, "ng\nping\nnonsense\nping\n");
    hear(fd, "ok polygond " PGD_VERSION "\nok polygond " PGD_VERSION
             "\nerror syntax no such request\nok polygond " PGD_VERSION "\n");
    assert_int_equal(seen.counted, 4);
    assert_int_equal(seen.refused, 1);
    close(fd);
    pump();
}

static void test_subscribe(void **state)
{
    (void)state;
    int fd = client();
    say(fd, "subscribe AAPL trades,quotes stocks\nping\n");
    until(&seen.subscribes, 1);
    assert_string_equal(seen.symbol, "AAPL");
    assert_int_equal(seen.topics, PGD_TRADES | PGD_QUOTES);
    assert_int_equal(seen.cluster, PGD_STOCKS);
    control_line(seen.request, "pending %s", seen.symbol);
    hear(fd, "pending AAPL\n");
    control_finish(seen.request, "ok AAPL %d", 3);
    hear(fd, "ok AAPL 3\nok polygond " PGD_VERSION "\n"); /* the ping had to wait */
    assert_int_equal(seen.gone, 0);
    close(fd);
    pump();
    assert_int_equal(seen.gone, 0);
}

static void test_gone(void **state)
{
    (void)state;
    int fd = client();
    say(fd, "subscribe MSFT default\n");
    until(&seen.subscribes, 1);
    close(fd);
    until(&seen.gone, 1);
    assert_null(seen.request);
}

/* A client that says no more but still listens, as in `echo ... | nc -U`, gets its answers. */
static void test_half_closed(void **state)
{
    (void)state;
    int fd = client();
    say(fd, "subscribe MSFT default\nping\nhalf a li");
    shutdown(fd, SHUT_WR);
    until(&seen.subscribes, 1);
    pump();
    assert_int_equal(seen.gone, 0);
    control_finish(seen.request, "ok MSFT 0");
    hear(fd, "ok MSFT 0\nok polygond " PGD_VERSION "\n");
    hear_end(fd);
    close(fd);
    fd = client();
    say(fd, "subscribe MSFT default\n");
    shutdown(fd, SHUT_WR);
    until(&seen.subscribes, 2);
    pump();
    close(fd); /* seen by the tick: nothing is read any more */
    until(&seen.gone, 1);
}

static void test_pending_is_long(void **state)
{
    (void)state;
    seen.pending_lines = 20000;
    int fd = client();
    say(fd, "pending\nping\n");
    static char got[1 << 21];
    size_t n = 0;
    const char tail[] = "ok 20000\nok polygond " PGD_VERSION "\n";
    for (int i = 0;
         i < 200000 && (n < sizeof(tail) || memcmp(got + n - sizeof(tail) + 1, tail, sizeof(tail) - 1));
         i++) {
        pump();
        ssize_t r = recv(fd, got + n, sizeof(got) - 1 - n, 0);
        if (r > 0)
            n += (size_t)r;
    }
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += got[i] == '\n';
    assert_int_equal(lines, 20002);
    assert_memory_equal(got, "pair stocks SYMBOL0 T waiting\npair", 34);
    close(fd);
    pump();
}

/* More than 8 MiB that the client does not read. */
static void test_slow_reader(void **state)
{
    (void)state;
    seen.pending_lines = 400000;
    int fd = client();
    say(fd, "pending\n");
    for (int i = 0; i < 20; i++)
        pump();
    char buf[65536];
    ssize_t r;
    size_t n = 0;
    while ((r = recv(fd, buf, sizeof(buf), 0)) > 0) {
        n += (size_t)r;
        pump();
    }
    assert_int_equal(r, 0);
    assert_true(n < (8u << 20));
    close(fd);
}

static void test_reload_stop(void **state)
{
    (void)state;
    int fd = client();
    say(fd, "reload\n");
    hear(fd, "ok\n");
    seen.reload_fails = true;
    say(fd, "reload\n");
    hear(fd, "error failed bad file\n");
    assert_int_equal(seen.reloads, 2);
    say(fd, "stop\n");
    hear(fd, "ok\n");
    assert_int_equal(seen.stops, 1);
    close(fd);
    pump();
}

/* The hook takes the control apart while it serves, with another request open. */
static void test_stop_frees(void **state)
{
    (void)state;
    int waiting = client(), fd = client();
    say(waiting, "subscribe AAPL default\n");
    until(&seen.subscribes, 1);
    seen.free_on_stop = true;
    say(fd, "stop\nping\n");
    hear(fd, "ok\n");
    hear_end(fd);
    hear_end(waiting);
    assert_int_equal(seen.gone, 1);
    until(&seen.closed, 1);
    assert_int_equal(access(path, F_OK), -1);
    close(fd);
    close(waiting);
}

/* ----------------------------------------------------------------------------------------------- limits */

static void test_long_line(void **state)
{
    (void)state;
    int fd = client();
    char line[CONTROL_LINE_MAX + 1];
    memset(line, 'x', sizeof(line));
    line[CONTROL_LINE_MAX - 1] = '\n';
    line[CONTROL_LINE_MAX] = '\0';
    say(fd, line); /* the longest that is taken */
    hear(fd, "error syntax no such request\n");
    line[CONTROL_LINE_MAX - 1] = 'x';
    say(fd, line);
    hear(fd, "error syntax line too long\n");
    hear_end(fd);
    close(fd);
}

/* A flood behind a request that waits is left in the socket, and taken afterwards. */
static void test_flood_behind_request(void **state)
{
    (void)state;
    int fd = client();
    say(fd, "subscribe AAPL default\n");
    char flood[10001] = "";
    for (int i = 0; i < 2000; i++)
        memcpy(flood + 5 * (size_t)i, "ping\n", 6);
    say(fd, flood);
    until(&seen.subscribes, 1);
    for (int i = 0; i < 100; i++)
        pump();
    assert_int_equal(seen.counted, 1);
    control_finish(seen.request, "ok AAPL 0");
    hear(fd, "ok AAPL 0\n");
    for (int i = 0; i < 2000; i++)
        hear(fd, "ok polygond " PGD_VERSION "\n");
    close(fd);
    pump();
}

static void test_too_many_clients(void **state)
{
    (void)state;
    int fds[64];
    for (int i = 0; i < 64; i++)
        fds[i] = client();
    say(fds[63], "ping\n");
    hear(fds[63], "ok polygond " PGD_VERSION "\n");
    int fd = client();
    hear(fd, "error busy too many clients\n");
    hear_end(fd);
    close(fd);
    close(fds[0]);
    pump();
    pump();
    fd = client();
    say(fd, "ping\n");
    hear(fd, "ok polygond " PGD_VERSION "\n");
    close(fd);
    for (int i = 1; i < 64; i++)
        close(fds[i]);
    pump();
}

/* ----------------------------------------------------------------------------------------------- who may */

/* Under qemu-user a forked child may hang, and /proc tells of qemu. */
static bool emulated(void)
{
    char name[32] = "";
    FILE *f = fopen("/proc/self/comm", "re");
    bool is = f && fgets(name, sizeof(name), f) && strncmp(name, "qemu-", 5) == 0;
    if (f)
        fclose(f);
    return is;
}

/* Another user, in a child: sends one line and gives the first byte of the answer as exit status. */
static int ask_as(uid_t uid, gid_t gid, gid_t extra, const char *line)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char answer[128];
        if (setgroups(extra ? 1 : 0, &extra) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
            _exit(100);
        int fd = try_connect();
        if (fd < 0)
            _exit(fd == -EACCES ? 101 : 102);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || poll(&p, 1, 10000) != 1 ||
            recv(fd, answer, sizeof(answer), 0) < 12)
            _exit(103);
        _exit(strncmp(answer, "error denied", 12) == 0 ? 1 : strncmp(answer, "ok", 2) == 0 ? 0 : 2);
    }
    int status = -1;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        pump();
        usleep(500);
    }
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_who_may(void **state)
{
    (void)state;
    if (geteuid() != 0 || emulated())
        skip();
    static char *users[] = {"12345"}, *groups[] = {"23456"};
    control_free(control, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    config->control.allow_users = users;
    config->control.allow_users_count = 1;
    config->control.allow_groups = groups;
    config->control.allow_groups_count = 1;
    int r = control_new(&control, &loop, config, path, (gid_t)-1, &hooks);
    config->control.allow_users = config->control.allow_groups = NULL;
    config->control.allow_users_count = config->control.allow_groups_count = 0;
    assert_int_equal(r, 0);
    seen.pending_lines = 0;
    assert_int_equal(ask_as(65534, 65534, 0, "ping\n"), 0);
    assert_int_equal(ask_as(65534, 65534, 0, "stop\n"), 1);
    assert_int_equal(ask_as(65534, 65534, 0, "reload\n"), 1);
    assert_int_equal(ask_as(65534, 65534, 0, "subscribe AAPL default\n"), 1);
    assert_int_equal(seen.stops + seen.reloads + seen.subscribes, 0);
    assert_int_equal(ask_as(12345, 65534, 0, "stop\nping\n"), 0);
    assert_int_equal(ask_as(65534, 23456, 0, "stop\nping\n"), 0);
    assert_int_equal(ask_as(65534, 65534, 23456, "stop\nping\n"), 0);
    assert_int_equal(seen.stops, 3);
    assert_int_equal(seen.refused, 3);
}

/* --------------------------------------------------------------------------------------------------- file */

static void test_file(void **state)
{
    (void)state;
    struct stat st;
    struct control *second = NULL;
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(control_new(&second, &loop, config, path, (gid_t)-1, &hooks), -EADDRINUSE);
    assert_null(second);
    assert_int_equal(stat(path, &st), 0); /* and the first one's is still there */
    int fd = client();
    say(fd, "ping\n");
    hear(fd, "ok polygond " PGD_VERSION "\n");
    close(fd);
    pump();
}

static void test_unknown_names(void **state)
{
    (void)state;
    static char *users[] = {"no-such-user-here"};
    struct control *second = NULL;
    char other[128];
    snprintf(other, sizeof(other), "%s/x", dir);
    config->control.allow_users = users;
    config->control.allow_users_count = 1;
    int r = control_new(&second, &loop, config, other, (gid_t)-1, &hooks);
    config->control.allow_users = NULL;
    config->control.allow_users_count = 0;
    assert_int_equal(r, -ENOENT);
    assert_int_equal(access(other, F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_with, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ping),
        TEST(test_subscribe),
        TEST(test_gone),
        TEST(test_half_closed),
        TEST(test_pending_is_long),
        TEST(test_slow_reader),
        TEST(test_reload_stop),
        TEST(test_stop_frees),
        TEST(test_long_line),
        TEST(test_flood_behind_request),
        TEST(test_too_many_clients),
        TEST(test_who_may),
        TEST(test_file),
        TEST(test_unknown_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
