/* health: what is told to systemd, when the watchdog is fed, and clock steps. */
#include "health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int notify_fd = -1;
static struct sockaddr_un notify_address;
static uv_loop_t loop;

static int open_socket(void **state)
{
    (void)state;
    notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    notify_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(notify_address.sun_path, sizeof(notify_address.sun_path), "/tmp/polygond-test-health.%d",
             (int)getpid());
    unlink(notify_address.sun_path);
    if (bind(notify_fd, (const struct sockaddr *)&notify_address, sizeof(notify_address)) < 0)
        return -1;
    setenv("NOTIFY_SOCKET", notify_address.sun_path, 1);
    return uv_loop_init(&loop);
}

static int close_socket(void **state)
{
    (void)state;
    close(notify_fd);
    unlink(notify_address.sun_path);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return uv_loop_close(&loop);
}

static const char *told(void)
{
    static char text[512];
    ssize_t n = recv(notify_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_messages(void **state)
{
    (void)state;
    health_ready("running");
    assert_string_equal(told(), "READY=1\nSTATUS=running");
    health_status("stocks live, 100% fine");
    assert_string_equal(told(), "STATUS=stocks live, 100% fine");
    health_reloading(false);
    long long us;
    assert_int_equal(sscanf(told(), "RELOADING=1\nMONOTONIC_USEC=%lld", &us), 1);
    assert_true(us > 0);
    health_reloading(true);
    assert_string_equal(told(), "READY=1");
    health_stopping();
    assert_string_equal(told(), "STOPPING=1");
    unsetenv("NOTIFY_SOCKET");
    health_ready("nobody listens");
    assert_string_equal(told(), "");
}

static struct {
    int beats, asked, steps, closed;
    bool alive;
} seen;

static void on_beat(void *user)
{
    (void)user;
    seen.beats++;
}
static bool on_alive(void *user)
{
    (void)user;
    seen.asked++;
    return seen.alive;
}
static void on_step(void *user, int64_t ns)
{
    (void)user;
    (void)ns;
    seen.steps++;
}
static void on_closed(void *user)
{
    (void)user;
    seen.closed++;
}

static const struct health_hooks hooks = {on_beat, on_alive, on_step, NULL};

static char last[512]; /* told while the loop turned */

/* Turns the loop until *value has reached `want`. The socket is emptied meanwhile: sd_notify waits when it is
 * full. */
static void until(const int *value, int want)
{
    last[0] = '\0';
    for (int i = 0; i < 30000 && *value < want; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        for (const char *text = told(); *text; text = told())
            snprintf(last, sizeof(last), "%s", text);
        usleep(1000);
    }
    assert_true(*value >= want);
}

static void test_watchdog(void **state)
{
    (void)state;
    char pid[32];
    struct health *h = NULL;
    memset(&seen, 0, sizeof(seen));
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    setenv("WATCHDOG_USEC", "20000", 1);
    assert_int_equal(health_new(&h, &loop, &hooks), 0);
    until(&seen.asked, 3);
    assert_string_equal(last, ""); /* not while it is not alive */
    seen.alive = true;
    int before = seen.asked;
    until(&seen.asked, before + 3);
    assert_string_equal(last, "WATCHDOG=1");
    until(&seen.beats, 1);
    health_free(h, on_closed, NULL);
    until(&seen.closed, 1);
    assert_int_equal(seen.closed, 1);
    health_free(NULL, on_closed, NULL);
}

/* Without a watchdog, or with one meant for another process, nobody is asked. */
static void test_no_watchdog(void **state)
{
    (void)state;
    struct health *h = NULL;
    memset(&seen, 0, sizeof(seen));
    setenv("WATCHDOG_PID", "1", 1);
    setenv("WATCHDOG_USEC", "20000", 1);
    assert_int_equal(health_new(&h, &loop, &hooks), 0);
    until(&seen.beats, 1);
    assert_int_equal(seen.asked, 0);
    health_free(h, on_closed, NULL);
    until(&seen.closed, 1);
}

static void test_step(void **state)
{
    (void)state;
    const int64_t s = 1000000000;
    int64_t offset = 1000 * s;
    assert_int_equal(health_step(&offset, 1001 * s, 1 * s), 0);
    assert_int_equal(health_step(&offset, 1002 * s + s / 2, 2 * s), 0); /* exactly half a second */
    assert_int_equal(offset, 1000 * s + s / 2);
    assert_int_equal(health_step(&offset, 1004 * s, 3 * s), 0); /* counts from the last look */
    assert_int_equal(health_step(&offset, 1004 * s, 4 * s), -s);
    assert_int_equal(health_step(&offset, 1005 * s, 5 * s), 0);
    assert_int_equal(health_step(&offset, 4606 * s, 6 * s), 3600 * s);
    assert_int_equal(health_step(&offset, 4607 * s, 7 * s), 0);
    assert_int_equal(health_step(&offset, 4600 * s + 30 * s, 30 * s), 0); /* a late look is no step */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_messages, open_socket, close_socket),
        cmocka_unit_test_setup_teardown(test_watchdog, open_socket, close_socket),
        cmocka_unit_test_setup_teardown(test_no_watchdog, open_socket, close_socket),
        cmocka_unit_test(test_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
