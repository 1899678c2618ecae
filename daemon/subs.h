/* daemon/subs.h - the subscriptions of one connection: which TOPIC.SYMBOL pairs are wanted, asked for, held
 * or refused. Pure: the caller sends the messages and brings the answers and the time.
 *
 * One message is on its way at a time, because the vendor's `error` names no pair. A message holds pairs of
 * one topic. When a message of several pairs is refused, its pairs are asked for again in halves, until the
 * pair that is to blame stands alone; after SUBS_STREAK pairs of a topic were refused alone in the same
 * words, with none acknowledged in between, the rest of the refused messages is given up as well. A pair that
 * is met with silence is asked for once more and then given up. Given up pairs stay wanted: they are asked
 * for again on the next connection, after the others. */
#ifndef DAEMON_SUBS_H
#define DAEMON_SUBS_H

#include "polygond/abi.h"

#include <stdbool.h>
#include <stddef.h>

/* Of a message. */
#define SUBS_PAIRS 400u
#define SUBS_BYTES (16u * 1024u)

#define SUBS_STREAK 8u

/* A refused message is judged when no further answer came for so long. */
#define SUBS_SETTLE_MS UINT64_C(200)

struct subs;

struct subs_hooks {
    /* As stream_hooks.pair. May call subs_want and subs_unwant. */
    void (*pair)(void *user, const char *symbol, enum pgd_topic topic, int how, const char *message);
    void *user;
};

struct subs *subs_new(enum pgd_cluster cluster, uint64_t ack_timeout_ms, const struct subs_hooks *hooks);
void subs_free(struct subs *subs);

/* -EINVAL: no symbol the wire can carry; -ENOMEM. Topics that the cluster does not have are left out. */
int subs_want(struct subs *subs, const char *symbol, uint32_t topics) __attribute__((warn_unused_result));
void subs_unwant(struct subs *subs, const char *symbol, uint32_t topics);

/* The connection is gone: every held pair is reported with 0, and everything wanted will be asked for again.
 */
void subs_lost(struct subs *subs);

/* Writes the next message, when there is one and none is on its way. Its length, or 0. */
size_t subs_message(struct subs *subs, uint64_t now_ms, char buf[SUBS_BYTES]);

/* Answers: the text of a `success` ("subscribed to: T.AAPL") and of an `error`. */
void subs_success(struct subs *subs, const char *text, size_t size, uint64_t now_ms);
void subs_error(struct subs *subs, const char *text, size_t size, uint64_t now_ms);

/* Time passed. subs_deadline: when to call it next, UINT64_MAX: no need. */
void subs_tick(struct subs *subs, uint64_t now_ms);
uint64_t subs_deadline(const struct subs *subs);

struct subs_counts {
    unsigned awaited; /* wanted, neither acknowledged nor refused */
    unsigned held;
    unsigned refused;
};
struct subs_counts subs_counts(const struct subs *subs);

/* Pairs awaited (how 0) or refused (-1). */
void subs_each(const struct subs *subs,
               void (*each)(void *user, const char *symbol, enum pgd_topic topic, int how), void *user);

#endif
