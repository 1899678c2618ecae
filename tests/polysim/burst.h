/* burst.h - events as fast as the socket takes them, for benchmarks: a block of ready-made messages sent over
 * and over, with only the sequence numbers and times written anew. */
#ifndef POLYSIM_BURST_H
#define POLYSIM_BURST_H

#include "session.h"

#define SIM_BURST_Q                                                                                          \
    INT64_C(1000000000) /* q of the first event; it grows by 1 from event to event, over all symbols */

struct sim_burst_plan {
    enum sim_topic topic; /* of stocks: trade, quote, second, minute */
    uint64_t events;      /* rounded up to whole messages */
    size_t per_message;
    size_t symbols; /* the first so many that the session subscribed to, in turn */
    int64_t t;      /* of the first event, ms; bars: of the first round over all symbols, a whole minute */
};

/* Starts one on a streaming session. 0; -EBUSY: one is running; -ENOENT: no such subscription; -ENOMEM. */
int sim_burst_start(struct sim_session *session, const struct sim_burst_plan *plan);
/* The socket takes more. */
void sim_burst_continue(struct sim_session *session);
void sim_burst_free(struct sim_burst *burst);

#endif
