#include "health.h"
#include "clock.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#define STEP_NS INT64_C(500000000)

struct health {
    uv_timer_t second;
    uv_timer_t watchdog;
    struct health_hooks hooks;
    int64_t offset_ns; /* wall clock minus boot clock, at the last look */
    unsigned handles;
    void (*closed)(void *user);
    void *closed_user;
};

int64_t health_step(int64_t *offset_ns, int64_t real_ns, int64_t boot_ns)
{
    int64_t step = real_ns - boot_ns - *offset_ns;
    *offset_ns += step;
    return step > STEP_NS || step < -STEP_NS ? step : 0;
}

static void on_second(uv_timer_t *timer)
{
    struct health *health = timer->data;
    int64_t step = health_step(&health->offset_ns, clock_real_ns(), clock_boot_ns());
    if (step != 0)
        health->hooks.clock_step(health->hooks.user, step);
    health->hooks.beat(health->hooks.user);
}

static void on_watchdog(uv_timer_t *timer)
{
    struct health *health = timer->data;
    if (health->hooks.alive(health->hooks.user))
        (void)sd_notify(0, "WATCHDOG=1");
}

/* Half of what systemd allows, so that one late turn of the loop is no death. */
static int start_watchdog(struct health *health)
{
    uint64_t us = 0;
    if (sd_watchdog_enabled(0, &us) <= 0 || us == 0)
        return 0;
    uint64_t ms = us / 2000 > 0 ? us / 2000 : 1;
    return uv_timer_start(&health->watchdog, on_watchdog, 0, ms);
}

static void on_closed(uv_handle_t *handle)
{
    struct health *health = handle->data;
    if (--health->handles > 0)
        return;
    void (*closed)(void *user) = health->closed;
    void *user = health->closed_user;
    free(health);
    if (closed)
        closed(user);
}

int health_new(struct health **ret, uv_loop_t *loop, const struct health_hooks *hooks)
{
    struct health *health = calloc(1, sizeof(*health));
    if (!health)
        return -ENOMEM;
    health->hooks = *hooks;
    health->offset_ns = clock_real_ns() - clock_boot_ns();
    (void)uv_timer_init(loop, &health->second); /* cannot fail */
    (void)uv_timer_init(loop, &health->watchdog);
    health->second.data = health->watchdog.data = health;
    health->handles = 2;
    int r = uv_timer_start(&health->second, on_second, 1000, 1000);
    if (r == 0)
        r = start_watchdog(health);
    if (r < 0) {
        health_free(health, NULL, NULL);
        return r;
    }
    *ret = health;
    return 0;
}

void health_free(struct health *health, void (*closed)(void *user), void *user)
{
    if (!health)
        return;
    health->closed = closed;
    health->closed_user = user;
    uv_close((uv_handle_t *)&health->second, on_closed);
    uv_close((uv_handle_t *)&health->watchdog, on_closed);
}

void health_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void health_status(const char *status)
{
    (void)sd_notifyf(0, "STATUS=%s", status);
}

void health_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

/* systemd matches the time against its own clock to tell this reload from an earlier one
 * (Type=notify-reload). */
void health_reloading(bool done)
{
    if (done)
        (void)sd_notify(0, "READY=1");
    else
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_mono_ns() / 1000));
}
