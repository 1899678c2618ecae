#include "budget.h"

#include <errno.h>
#include <stdlib.h>

/* What one request costs each class: 840 divided by its weight of 8, 4, 2, 1. */
static const uint64_t budget_cost[REST_CLASSES] = {105, 210, 420, 840};

static int window_init(struct budget_window *window, uint32_t size, uint64_t length_ms)
{
    uint64_t *sent = NULL;
    if (size && !(sent = calloc(size, sizeof(*sent))))
        return -ENOMEM;
    *window = (struct budget_window){.sent = sent, .size = size, .length_ms = length_ms};
    return 0;
}

int budget_init(struct budget *budget, uint32_t per_second, uint32_t per_minute)
{
    struct budget made = {0};
    int r = window_init(&made.minute, per_minute, BUDGET_WINDOW_MS);
    if (r == 0)
        r = window_init(&made.second, per_second, BUDGET_SECOND_MS);
    if (r < 0) {
        budget_fini(&made);
        return r;
    }
    *budget = made;
    return 0;
}

void budget_fini(struct budget *budget)
{
    free(budget->minute.sent);
    free(budget->second.sent);
    *budget = (struct budget){0};
}

static uint64_t window_free_at(const struct budget_window *window)
{
    if (!window->size || window->count < window->size)
        return 0;
    return window->sent[window->next] + window->length_ms;
}

static void window_take(struct budget_window *window, uint64_t now_ms)
{
    if (!window->size)
        return;
    window->sent[window->next] = now_ms;
    window->next = (window->next + 1) % window->size;
    if (window->count < window->size)
        window->count++;
}

uint64_t budget_wait_ms(const struct budget *budget, uint64_t now_ms)
{
    uint64_t at = budget->held_until;
    uint64_t minute = window_free_at(&budget->minute);
    uint64_t second = window_free_at(&budget->second);
    at = minute > at ? minute : at;
    at = second > at ? second : at;
    return at > now_ms ? at - now_ms : 0;
}

enum rest_class budget_turn(struct budget *budget, const bool waiting[REST_CLASSES])
{
    enum rest_class turn = REST_CLASSES;
    for (unsigned c = 0; c < REST_CLASSES; c++) {
        if (!waiting[c])
            continue;
        if (budget->served[c] < budget->now) /* it was idle: its turn now, but no more than that */
            budget->served[c] = budget->now;
        if (turn == REST_CLASSES || budget->served[c] < budget->served[turn])
            turn = (enum rest_class)c;
    }
    return turn;
}

void budget_take(struct budget *budget, enum rest_class class, uint64_t now_ms)
{
    window_take(&budget->minute, now_ms);
    window_take(&budget->second, now_ms);
    if (budget->served[class] > budget->now)
        budget->now = budget->served[class];
    budget->served[class] = budget->now + budget_cost[class];
}

void budget_hold(struct budget *budget, uint64_t until_ms)
{
    if (until_ms > budget->held_until)
        budget->held_until = until_ms;
}
