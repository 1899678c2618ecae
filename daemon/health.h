/* daemon/health.h - readiness, watchdog and the once-a-second look at ourselves. */
#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct health;

struct health_hooks {
    void (*beat)(void *user);                   /* every second: heartbeat */
    bool (*alive)(void *user);                  /* may the watchdog be fed? */
    void (*clock_step)(void *user, int64_t ns); /* wall clock jumped against the boot clock */
    void *user;
};

int health_new(struct health **ret, uv_loop_t *loop, const struct health_hooks *hooks)
    __attribute__((warn_unused_result));
void health_free(struct health *health, void (*closed)(void *user), void *user);
void health_ready(const char *status);  /* READY=1 */
void health_status(const char *status); /* STATUS= */
void health_stopping(void);
void health_reloading(bool done);

#endif
