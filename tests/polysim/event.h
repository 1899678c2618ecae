/* event.h - one event of the stream as JSON text, keys in the upstream's order. */
#ifndef POLYSIM_EVENT_H
#define POLYSIM_EVENT_H

#include "bar.h"
#include "text.h"

/* What a subscription is to. Bits, so that a symbol's subscriptions fit one word. */
enum sim_topic {
    SIM_TOPIC_TRADE = 1,
    SIM_TOPIC_QUOTE = 2,
    SIM_TOPIC_SECOND = 4,
    SIM_TOPIC_MINUTE = 8,
    SIM_TOPIC_LULD = 16,
    SIM_TOPIC_FMV = 32,
    SIM_TOPIC_NOI = 64,
};

/* 0: that cluster has no such topic. */
enum sim_topic sim_topic_parse(enum sim_asset asset, const char *name);
/* "XA" for minutes of crypto. NULL: none. */
const char *sim_topic_name(enum sim_asset asset, enum sim_topic topic);

/* The day so far, as bars carry it. */
struct sim_day {
    int64_t open; /* of the regular session; 0: none yet */
    struct sim_bar bar;
};

void sim_event_trade(struct sim_text *out, const struct sim_symbol *symbol, int64_t minute,
                     const struct sim_trade *trade);
void sim_event_quote(struct sim_text *out, const struct sim_symbol *symbol, int64_t minute,
                     const struct sim_quote *quote);
void sim_event_bar(struct sim_text *out, const struct sim_symbol *symbol, enum sim_topic topic,
                   const struct sim_bar *bar, int64_t end, const struct sim_day *day);
/* Price bands around price, and fair value. */
void sim_event_luld(struct sim_text *out, const struct sim_symbol *symbol, int64_t t, int64_t price,
                    uint32_t q);
void sim_event_fmv(struct sim_text *out, const struct sim_symbol *symbol, int64_t t, int64_t price);
void sim_event_status(struct sim_text *out, const char *status, const char *message);

/* Shared with REST: nanoseconds of a trade or quote, the same whoever asks. */
int64_t sim_event_ns(const struct sim_symbol *symbol, int64_t minute, int32_t at, uint32_t q);
/* Condition codes "[12,37]" of a trade, "" for none. */
const char *sim_event_conditions(const struct sim_symbol *symbol, int64_t minute,
                                 const struct sim_trade *trade);
/* A trade's id, the same whoever asks. */
void sim_event_trade_id(struct sim_text *out, const struct sim_symbol *symbol, int64_t minute,
                        const struct sim_trade *trade);
int sim_event_tape(const struct sim_symbol *symbol);
bool sim_event_fractional(int64_t size);

#endif
