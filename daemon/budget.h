/* daemon/budget.h - requests within what the plan allows, shared fairly. Never more than so many in any
 * minute (as the vendor counts a free key) nor in any second (as it asks of the others). Who wants requests
 * belongs to a class with a weight: while several classes wait, each gets its share; a class that was idle
 * saves nothing up. Pure: the caller brings the time (ms). */
#ifndef DAEMON_BUDGET_H
#define DAEMON_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* A minute, and what two requests may lose on each other on their way. */
#define BUDGET_WINDOW_MS UINT64_C(60500)
#define BUDGET_SECOND_MS UINT64_C(1010)

enum rest_class {
    REST_URGENT,   /* somebody waits for the answer */
    REST_REPAIR,   /* a hole in what was published */
    REST_BACKFILL, /* history */
    REST_PREFETCH, /* what may be asked for later */
    REST_CLASSES
};

/* The last `size` requests, a ring. */
struct budget_window {
    uint64_t *sent;
    uint64_t length_ms;
    uint32_t size; /* 0: no limit */
    uint32_t next; /* slot of the oldest, once the ring is full */
    uint32_t count;
};

struct budget {
    struct budget_window minute;
    struct budget_window second;
    uint64_t held_until;
    uint64_t served[REST_CLASSES]; /* virtual time: requests sent over weight */
    uint64_t now;                  /* of the class served last */
};

/* 0: no limit. -ENOMEM */
int budget_init(struct budget *budget, uint32_t per_second, uint32_t per_minute)
    __attribute__((warn_unused_result));
void budget_fini(struct budget *budget);

/* How long until a request may go: 0 now. */
uint64_t budget_wait_ms(const struct budget *budget, uint64_t now_ms);

/* Whose turn it is among the classes that wait, REST_CLASSES: none waits. */
enum rest_class budget_turn(struct budget *budget, const bool waiting[REST_CLASSES]);

/* A request of this class goes out. */
void budget_take(struct budget *budget, enum rest_class class, uint64_t now_ms);

/* The server asked for silence until then. */
void budget_hold(struct budget *budget, uint64_t until_ms);

#endif
