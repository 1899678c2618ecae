#include "budget.h"

#include <errno.h>
#include <stdlib.h>

int budget_init(struct budget *budget, uint32_t per_minute)
{
    uint64_t *sent = NULL;
    if (per_minute && !(sent = calloc(per_minute, sizeof(*sent))))
        return -ENOMEM;
    *budget = (struct budget){.sent = sent, .size = per_minute};
    return 0;
}

void budget_fini(struct budget *budget)
{
    free(budget->sent);
    *budget = (struct budget){0};
}

uint64_t budget_wait_ms(const struct budget *budget, uint64_t now_ms)
{
    uint64_t at = budget->held_until;
    if (budget->size && budget->count == budget->size) {
        uint64_t free_at = budget->sent[budget->next] + BUDGET_WINDOW_MS;
        at = free_at > at ? free_at : at;
    }
    return at > now_ms ? at - now_ms : 0;
}

void budget_take(struct budget *budget, uint64_t now_ms)
{
    if (!budget->size)
        return;
    budget->sent[budget->next] = now_ms;
    budget->next = (budget->next + 1) % budget->size;
    if (budget->count < budget->size)
        budget->count++;
}

void budget_hold(struct budget *budget, uint64_t until_ms)
{
    if (until_ms > budget->held_until)
        budget->held_until = until_ms;
}
