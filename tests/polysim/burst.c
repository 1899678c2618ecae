#include "burst.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES 64 /* in a block, at least */
#define Q_DIGITS 10
#define T_DIGITS 13

enum patch_kind { PATCH_Q, PATCH_ID, PATCH_T, PATCH_END };

struct patch {
    uint32_t at;    /* in the block */
    uint32_t event; /* in the block */
    enum patch_kind kind;
};

struct sim_burst {
    struct sim_burst_plan plan;
    struct sim_text block; /* whole frames */
    struct patch *patches;
    size_t patch_count, patch_room;
    size_t *ends; /* of each message in the block */
    size_t messages;
    uint64_t sent;    /* events */
    int64_t span;     /* ms a bar */
    int64_t first_id; /* of this burst's trades: no two bursts send the same */
};

void sim_burst_free(struct sim_burst *burst)
{
    if (!burst)
        return;
    sim_text_fini(&burst->block);
    free(burst->patches);
    free(burst->ends);
    free(burst);
}

/* --------------------------------------------------------------------------------------- rendering */

static void placeholder(struct sim_burst *b, struct sim_text *out, uint32_t event, enum patch_kind kind)
{
    if (b->patch_count == b->patch_room) {
        b->patch_room = b->patch_room ? b->patch_room * 2 : 1024;
        b->patches = realloc(b->patches, b->patch_room * sizeof(*b->patches));
        if (!b->patches)
            abort();
    }
    b->patches[b->patch_count++] = (struct patch){(uint32_t)out->size, event, kind};
    sim_text_add(out, "0000000000000", kind == PATCH_Q || kind == PATCH_ID ? Q_DIGITS : T_DIGITS);
}

static void add_price(struct sim_text *out, const char *key, int64_t price)
{
    sim_text_str(out, key);
    sim_text_number(out, price, SIM_PRICE_SCALE, false);
}

static void add_trade(struct sim_burst *b, struct sim_text *out, const struct sim_symbol *s, uint32_t event,
                      int64_t price)
{
    sim_text_printf(out, "{\"ev\":\"T\",\"sym\":\"%s\",\"x\":%u,\"i\":\"", s->stream, 4 + event % 15);
    placeholder(b, out, event, PATCH_ID);
    sim_text_printf(out, "\",\"z\":%d", sim_event_tape(s));
    add_price(out, ",\"p\":", price);
    sim_text_printf(out, ",\"s\":%u%s,\"t\":", 1 + event * 37 % 500, event % 3 ? ",\"c\":[37]" : "");
    placeholder(b, out, event, PATCH_T);
    sim_text_str(out, ",\"q\":");
    placeholder(b, out, event, PATCH_Q);
    sim_text_char(out, '}');
}

static void add_quote(struct sim_burst *b, struct sim_text *out, const struct sim_symbol *s, uint32_t event,
                      int64_t price)
{
    sim_text_printf(out, "{\"ev\":\"Q\",\"sym\":\"%s\",\"bx\":%u", s->stream, 4 + event % 15);
    add_price(out, ",\"bp\":", price);
    sim_text_printf(out, ",\"bs\":%u,\"ax\":%u", 100 + event * 100 % 900, 4 + event % 11);
    add_price(out, ",\"ap\":", price + s->tick);
    sim_text_printf(out, ",\"as\":%u,\"c\":1,\"t\":", 100 + event * 300 % 900);
    placeholder(b, out, event, PATCH_T);
    sim_text_str(out, ",\"q\":");
    placeholder(b, out, event, PATCH_Q);
    sim_text_printf(out, ",\"z\":%d}", sim_event_tape(s));
}

static void add_bar(struct sim_burst *b, struct sim_text *out, const struct sim_symbol *s, uint32_t event,
                    int64_t price)
{
    sim_text_printf(out, "{\"ev\":\"%s\",\"sym\":\"%s\",\"v\":%u,\"av\":%u",
                    sim_topic_name(SIM_STOCKS, b->plan.topic), s->stream, 100 + event * 7919 % 30000,
                    100000 + event * 104729 % 800000);
    add_price(out, ",\"op\":", price - 3 * s->tick);
    add_price(out, ",\"vw\":", price + s->tick / 2);
    add_price(out, ",\"o\":", price);
    add_price(out, ",\"c\":", price + s->tick);
    add_price(out, ",\"h\":", price + 2 * s->tick);
    add_price(out, ",\"l\":", price - s->tick);
    add_price(out, ",\"a\":", price);
    sim_text_printf(out, ",\"z\":%u,\"s\":", 50 + event % 200);
    placeholder(b, out, event, PATCH_T);
    sim_text_str(out, ",\"e\":");
    placeholder(b, out, event, PATCH_END);
    sim_text_char(out, '}');
}

static void add_event(struct sim_burst *b, struct sim_text *out, const struct sim_symbol *s, uint32_t event)
{
    double wiggle = sim_unit(sim_hash(s->key, event, 77)) - 0.5;
    int64_t ticks = (int64_t)(s->level * (1 + 0.01 * wiggle) * (double)SIM_PRICE_UNIT / (double)s->tick);
    int64_t price = (ticks < 10 ? 10 : ticks) * s->tick;
    if (b->plan.topic == SIM_TOPIC_TRADE)
        add_trade(b, out, s, event, price);
    else if (b->plan.topic == SIM_TOPIC_QUOTE)
        add_quote(b, out, s, event, price);
    else
        add_bar(b, out, s, event, price);
}

static void build(struct sim_burst *b, const struct sim_universe *u, const uint32_t *symbols)
{
    struct sim_text message = {0};
    uint32_t event = 0;
    for (size_t m = 0; m < b->messages; m++) {
        size_t first = b->patch_count;
        message.size = 0;
        sim_text_char(&message, '[');
        for (size_t i = 0; i < b->plan.per_message; i++, event++) {
            if (i)
                sim_text_char(&message, ',');
            add_event(b, &message, &u->symbols[symbols[event % b->plan.symbols]], event);
        }
        sim_text_char(&message, ']');
        sim_frame_write(&b->block, true, SIM_TEXT, message.data, message.size);
        size_t base = b->block.size - message.size;
        for (size_t i = first; i < b->patch_count; i++)
            b->patches[i].at += (uint32_t)base;
        b->ends[m] = b->block.size;
    }
    sim_text_fini(&message);
}

/* ----------------------------------------------------------------------------------------- sending */

static void put_digits(char *at, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void patch(struct sim_burst *b)
{
    int64_t round = -1, start = 0;
    for (size_t i = 0; i < b->patch_count; i++) {
        const struct patch *p = &b->patches[i];
        char *at = b->block.data + p->at;
        int64_t n = (int64_t)b->sent + p->event;
        if (p->kind == PATCH_Q || p->kind == PATCH_ID) {
            put_digits(at, (p->kind == PATCH_Q ? SIM_BURST_Q : b->first_id) + n, Q_DIGITS);
            continue;
        }
        if (b->span == 0) {
            put_digits(at, b->plan.t + n / 1000, T_DIGITS);
            continue;
        }
        int64_t this_round = n / (int64_t)b->plan.symbols;
        if (this_round != round) {
            round = this_round;
            start = b->plan.t + round * b->span;
        }
        put_digits(at, p->kind == PATCH_END ? start + b->span : start, T_DIGITS);
    }
}

void sim_burst_continue(struct sim_session *session)
{
    struct sim_burst *b = session->burst;
    if (b->sent >= b->plan.events) {
        session->conn->eager = false;
        session->burst = NULL;
        sim_burst_free(b);
        return;
    }
    patch(b);
    uint64_t left = (b->plan.events - b->sent) / b->plan.per_message;
    size_t messages = left < b->messages ? (size_t)left : b->messages;
    sim_conn_write(session->conn, b->block.data, b->ends[messages - 1]);
    b->sent += messages * b->plan.per_message;
    session->sim->stats.messages_out += messages;
    session->sim->stats.events_out += messages * b->plan.per_message;
    sim_conn_flush(session->conn);
}

/* A block ends where the round over the symbols ends, or its repetition would skip some and repeat others. */
static size_t block_messages(size_t symbols, size_t per_message)
{
    size_t a = symbols, b = per_message;
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    size_t round = symbols / a;
    return round * ((MESSAGES + round - 1) / round);
}

int sim_burst_start(struct sim_session *session, const struct sim_burst_plan *plan)
{
    if (session->burst)
        return -EBUSY;
    const struct sim_universe *u = &session->sim->universe;
    uint32_t *symbols = calloc(plan->symbols, sizeof(*symbols));
    struct sim_burst *b = calloc(1, sizeof(*b));
    size_t found = 0;
    for (size_t i = 0; symbols && i < u->count && found < plan->symbols; i++)
        if (u->symbols[i].asset == session->cluster && sim_session_wants(session, i, plan->topic))
            symbols[found++] = (uint32_t)i;
    int r = !symbols || !b ? -ENOMEM : found == 0 ? -ENOENT : 0;
    if (r == 0) {
        b->plan = *plan;
        b->first_id = SIM_BURST_Q + (int64_t)session->sim->burst_ids;
        session->sim->burst_ids += plan->events + plan->per_message;
        b->plan.symbols = found;
        b->plan.events += (plan->per_message - plan->events % plan->per_message) % plan->per_message;
        b->span = plan->topic == SIM_TOPIC_MINUTE ? SIM_MINUTE : plan->topic == SIM_TOPIC_SECOND ? 1000 : 0;
        b->messages = block_messages(found, plan->per_message);
        b->ends = calloc(b->messages, sizeof(*b->ends));
        r = b->ends ? 0 : -ENOMEM;
    }
    if (r == 0) {
        build(b, u, symbols);
        session->burst = b;
        session->conn->eager = true;
        sim_burst_continue(session);
    } else {
        sim_burst_free(b);
    }
    free(symbols);
    return r;
}
