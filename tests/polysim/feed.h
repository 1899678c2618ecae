/* feed.h - walks the market's clock and hands every event that has come due to the sessions that subscribed
 * to it. */
#ifndef POLYSIM_FEED_H
#define POLYSIM_FEED_H

#include "sim.h"

struct sim_feed;

struct sim_feed *sim_feed_new(struct sim *sim);
void sim_feed_free(struct sim_feed *feed);

/* Emits everything between the last call and now; with speed 0, as much as the clients take. */
void sim_feed_run(struct sim_feed *feed);

void sim_feed_subscriptions_changed(struct sim_feed *feed);

/* The bar of a minute that is over, again, to every subscriber of it. */
void sim_feed_resend(struct sim_feed *feed, const struct sim_symbol *symbol, int64_t minute);

#endif
