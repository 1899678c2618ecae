/* daemon/demand.h - symbols that clients ask for: checked against the reference endpoint (the vendor
 * acknowledges unknown tickers and then stays silent), taken in, and answered once the vendor has
 * acknowledged them. Main thread. */
#ifndef DAEMON_DEMAND_H
#define DAEMON_DEMAND_H

#include "control.h"
#include "rest.h"
#include "symbols.h"

#define DEMAND_TIMEOUT_S 30

struct demand;

struct demand_hooks {
    /* Takes a symbol in with these topics (0: the cluster's own): 0 and the symbol, -ENOSPC, -ENODEV (cluster
     * not configured), ... */
    int (*take)(void *user, struct symbol **ret, const char *name, enum pgd_cluster cluster, uint32_t topics);
    /* A client asked for a symbol that can be had; `held`: it was held before. */
    void (*asked)(void *user, const struct symbol *symbol, bool held);
    void *user;
};

int demand_new(struct demand **ret, struct symbols *symbols, struct rest *rest,
               const struct demand_hooks *hooks)
    __attribute__((warn_unused_result)); /* rest NULL: tickers are not checked */
void demand_free(struct demand *demand); /* after rest was freed */

void demand_ask(struct demand *demand, struct control_request *request, const char *text, uint32_t topics,
                enum pgd_cluster cluster);
void demand_gone(struct demand *demand, const struct control_request *request); /* its client hung up */

/* A pair of `symbol` was acknowledged or refused: answers who waited. */
void demand_settled(struct demand *demand, const struct symbol *symbol, const char *message);
void demand_tick(struct demand *demand); /* once a second: time-outs */

#endif
