/* daemon/budget.h - requests a minute: never more than so many in any minute, as the vendor counts. Pure: the
 * caller brings the time (ms). */
#ifndef DAEMON_BUDGET_H
#define DAEMON_BUDGET_H

#include <stdint.h>

/* A minute, and what two requests may lose on each other on their way. */
#define BUDGET_WINDOW_MS UINT64_C(60500)

struct budget {
    uint64_t *sent; /* when the last `size` requests went out, a ring */
    uint32_t size;  /* requests a minute; 0: no limit */
    uint32_t next;  /* slot of the oldest, once the ring is full */
    uint32_t count; /* slots in use */
    uint64_t held_until;
};

int budget_init(struct budget *budget, uint32_t per_minute) __attribute__((warn_unused_result)); /* -ENOMEM */
void budget_fini(struct budget *budget);

/* How long until a request may go: 0 now. */
uint64_t budget_wait_ms(const struct budget *budget, uint64_t now_ms);
void budget_take(struct budget *budget, uint64_t now_ms);

/* The server asked for silence until then. */
void budget_hold(struct budget *budget, uint64_t until_ms);

#endif
