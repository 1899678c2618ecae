#include "demand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/* One request of a client. `request` is NULL once the client hung up while the reference endpoint was being
 * asked. */
struct ask {
    struct demand *demand;
    struct control_request *request;
    struct symbol *symbol; /* NULL while the ticker is being checked */
    char name[PGD_SYMBOL_MAX];
    enum pgd_cluster cluster;
    uint32_t topics;
    int64_t deadline_ns; /* CLOCK_MONOTONIC */
    bool checking;
    struct ask *next;
};

struct demand {
    struct symbols *symbols;
    struct rest *rest;
    struct demand_hooks hooks;
    struct ask *asks;
};

int demand_new(struct demand **ret, struct symbols *symbols, struct rest *rest,
               const struct demand_hooks *hooks)
{
    struct demand *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    *d = (struct demand){.symbols = symbols, .rest = rest, .hooks = *hooks};
    *ret = d;
    return 0;
}

static void drop(struct demand *d, struct ask *ask)
{
    for (struct ask **p = &d->asks; *p; p = &(*p)->next)
        if (*p == ask) {
            *p = ask->next;
            break;
        }
    free(ask);
}

void demand_free(struct demand *d)
{
    if (!d)
        return;
    while (d->asks)
        drop(d, d->asks);
    free(d);
}

/* Answers when there is somebody to answer, then forgets the request. */
static void refuse(struct demand *d, struct ask *ask, const char *code, const char *text)
{
    if (ask->request)
        control_finish(ask->request, "error %s %s: %s", code, ask->name, text);
    drop(d, ask);
}

/* 1: every topic asked for is acknowledged; -1: one was refused; 0: still waiting. */
static int settled(const struct ask *ask)
{
    uint32_t topics = ask->topics ? ask->topics & ask->symbol->wanted : ask->symbol->wanted;
    if (topics & ask->symbol->refused)
        return -1;
    return (topics & ~ask->symbol->acked) == 0;
}

static void answer(struct demand *d, struct ask *ask)
{
    if (ask->request)
        control_finish(ask->request, "ok %s %u", ask->symbol->name, symbols_index(d->symbols, ask->symbol));
    drop(d, ask);
}

static void take(struct demand *d, struct ask *ask)
{
    const struct symbol *before = symbols_find(d->symbols, ask->name);
    bool held = before && before->held;
    int r = d->hooks.take(d->hooks.user, &ask->symbol, ask->name, ask->cluster, ask->topics);
    if (r >= 0)
        d->hooks.asked(d->hooks.user, ask->symbol, held);
    if (r == -ENOSPC) {
        refuse(d, ask, "limit", "the symbol limit (bus.symbols) is reached");
    } else if (r == -ENODEV) {
        refuse(d, ask, "off", "its cluster is not configured, or has none of these topics");
    } else if (r < 0) {
        refuse(d, ask, "failed", strerror(-r));
    } else if (settled(ask) == 1) {
        answer(d, ask);
    } else if (ask->request) {
        control_line(ask->request, "pending %s", ask->name);
    } else {
        drop(d, ask);
    }
}

static void on_checked(void *user, const struct rest_done *done)
{
    struct ask *ask = user;
    struct demand *d = ask->demand;
    ask->checking = false;
    if (done->error == -ECANCELED || (!ask->request && done->error)) {
        drop(d, ask);
        return;
    }
    if (done->error == -ENOENT) {
        refuse(d, ask, "unknown", "the vendor knows no such ticker");
        return;
    }
    if (done->error)
        log_event(LOG_REST, "ticker %s could not be checked (%s): subscribing all the same", ask->name,
                  done->message[0] ? done->message : strerror(-done->error));
    take(d, ask);
}

static int check(struct demand *d, struct ask *ask)
{
    char ticker[PGD_SYMBOL_MAX];
    int r = rest_ticker(ticker, ask->name);
    if (r < 0)
        return r;
    ask->checking = true;
    r = rest_check_ticker(d->rest, ticker, REST_URGENT, on_checked, ask);
    if (r < 0)
        ask->checking = false;
    return r;
}

void demand_ask(struct demand *d, struct control_request *request, const char *text, uint32_t topics,
                enum pgd_cluster cluster)
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask) {
        control_finish(request, "error failed out of memory");
        return;
    }
    *ask = (struct ask){.demand = d, .request = request, .topics = topics, .cluster = cluster};
    ask->deadline_ns = clock_mono_ns() + DEMAND_TIMEOUT_S * NS_PER_S;
    ask->next = d->asks;
    d->asks = ask;
    if (symbols_canonical(ask->name, &ask->cluster, text) < 0) {
        snprintf(ask->name, sizeof ask->name, "%s", "symbol");
        refuse(d, ask, "unknown", "not a possible ticker");
        return;
    }
    const struct symbol *held = symbols_find(d->symbols, ask->name);
    if ((held && held->held) || !d->rest || check(d, ask) < 0)
        take(d, ask);
}

void demand_gone(struct demand *d, const struct control_request *request)
{
    for (struct ask *ask = d->asks, *next; ask; ask = next) {
        next = ask->next;
        if (ask->request != request)
            continue;
        ask->request = NULL;
        if (!ask->checking)
            drop(d, ask);
    }
}

void demand_settled(struct demand *d, const struct symbol *symbol, const char *message)
{
    for (struct ask *ask = d->asks, *next; ask; ask = next) {
        next = ask->next;
        if (ask->symbol != symbol)
            continue;
        int how = settled(ask);
        if (how == 1)
            answer(d, ask);
        else if (how < 0)
            refuse(d, ask, "refused",
                   message && message[0] ? message : "the vendor refused the subscription");
    }
}

void demand_tick(struct demand *d)
{
    int64_t now = clock_mono_ns();
    for (struct ask *ask = d->asks, *next; ask; ask = next) {
        next = ask->next;
        if (ask->request && now >= ask->deadline_ns) {
            control_finish(ask->request, "error timeout %s: not acknowledged within %d s; it stays wanted",
                           ask->name, DEMAND_TIMEOUT_S);
            ask->request = NULL;
            if (!ask->checking)
                drop(d, ask);
        }
    }
}
