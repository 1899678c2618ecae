/* daemon/health.h - readiness, watchdog and the once-a-second look at ourselves.
 *
 * Everything told to systemd goes to $NOTIFY_SOCKET; without one nothing is told. */
#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct health;

struct health_hooks {
    void (*beat)(void *user);  /* every second: heartbeat */
    bool (*alive)(void *user); /* may the watchdog be fed? Asked twice per watchdog time */
    void (*clock_step)(void *user,
                       int64_t ns); /* wall clock jumped against the boot clock by more than 0.5 s */
    void *user;
};

int health_new(struct health **ret, uv_loop_t *loop, const struct health_hooks *hooks)
    __attribute__((warn_unused_result));
void health_free(struct health *health, void (*closed)(void *user),
                 void *user);           /* NULL is fine, and calls nothing */
void health_ready(const char *status);  /* READY=1; one line, without line breaks, as all texts here */
void health_status(const char *status); /* STATUS= */
void health_stopping(void);
void health_reloading(bool done); /* false when it begins, true when it is over, well or badly */

/* The jump of the wall clock against the boot clock since the last call, 0 when it is less than 0.5 s; a
 * slewed clock stays below that. Updates *offset_ns (wall minus boot). */
int64_t health_step(int64_t *offset_ns, int64_t real_ns, int64_t boot_ns);

#endif
