#include "gaps_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "log.h"

#define LOG_EVERY_S 1

/* After a hole's end the stream brings nothing older than this, except corrections. */
#define LATE_NS (120 * NS_PER_S)

/* An event that cannot be read can come again and again: its hole waits so many times as long as others. */
#define REFUSED_TIMES 12

struct gaps_watch {
    struct bus *bus;
    struct symbols *symbols;
    struct feed *feed;
    struct gaps *gaps;
    struct gaps_watch_hooks hooks;
    int64_t fill_after_ns;
    int64_t started_ns;                  /* this run, as the market sees it */
    int64_t ticks_at_loss[PGD_CLUSTERS]; /* newest trade or quote when its connection was lost */
    uint64_t last_id;                    /* counted as opened */
    bool loading;
    struct log_rate opened;
    struct log_rate closed;
    struct log_rate given_up;
};

/* ----------------------------------------------------------------------------------------------- what is
 * said */

static const char *topic_word(uint32_t topic)
{
    return topic == PGD_TRADES    ? "trades"
           : topic == PGD_QUOTES  ? "quotes"
           : topic == PGD_BARS_1S ? "bars 1s"
           : topic == PGD_BARS_1M ? "bars 1m"
                                  : "values";
}

static void time_text(char *to, size_t size, int64_t ns)
{
    time_t s = (time_t)(ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(to, size, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(to + n, size - n, ".%03dZ", (int)(ns % NS_PER_S / 1000000));
}

static void say(struct gaps_watch *w, const struct pgd_gap *g, struct log_rate *rate, enum log_id id,
                const char *what)
{
    char from[40];
    char to[40];
    time_text(from, sizeof from, g->from_ns);
    time_text(to, sizeof to, g->to_ns);
    log_event_rate(rate, LOG_EVERY_S, id, "%s %s: hole from %s to %s %s",
                   w->bus->board.symbols[g->symbol].name, topic_word(g->topic), from, to, what);
}

static void show_opened(struct gaps_watch *w, const struct pgd_gap *g)
{
    if (g->to_ns == GAPS_GROWING || g->id <= w->last_id)
        return;
    w->last_id = g->id;
    pgd_count(&w->bus->board, PGD_C_gaps_opened, 1);
    say(w, g, &w->opened, LOG_GAP, "is known");
}

static const char *reason_text(unsigned reason)
{
    static const char *const texts[] = {
        [PGD_GAP_NOT_ENTITLED] = "given up: the plan does not include it over REST",
        [PGD_GAP_NO_SOURCE] = "given up: REST has no such records",
        [PGD_GAP_TOO_LONG] = "given up: longer than rest.fill_ticks_s",
        [PGD_GAP_OFF] = "given up: REST, or filling, is off",
        [PGD_GAP_UNKNOWN] = "given up: REST does not know the symbol",
        [PGD_GAP_FAILED] = "given up after several tries",
        [PGD_GAP_UNWANTED] = "given up: the symbol is not held any more",
    };
    return reason < sizeof texts / sizeof texts[0] && texts[reason] ? texts[reason] : "given up";
}

static void show_over(struct gaps_watch *w, const struct pgd_gap *g)
{
    char text[80];
    if (g->state == PGD_GAP_CLOSED) {
        pgd_count(&w->bus->board, PGD_C_gaps_closed, 1);
        snprintf(text, sizeof text, "is closed: %" PRIu64 " of %" PRIu64 " rows were missing", g->filled,
                 g->received);
        say(w, g, &w->closed, LOG_GAP_CLOSED, text);
    } else {
        pgd_count(&w->bus->board, PGD_C_gaps_unfillable, 1);
        say(w, g, &w->given_up, LOG_GAP_UNFILLABLE, reason_text(g->reason));
    }
}

static void on_show(void *user, uint32_t row, const struct pgd_gap *g)
{
    struct gaps_watch *w = user;
    pgd_board_set_gap(&w->bus->board, row, g);
    if (w->loading)
        return;
    pgd_count_set(&w->bus->board, PGD_C_gaps_open, gaps_alive(w->gaps));
    if (g->id == 0) /* it was none after all */
        return;
    if (g->state == PGD_GAP_OPEN)
        show_opened(w, g);
    else if (g->state != PGD_GAP_FILLING)
        show_over(w, g);
}

/* -------------------------------------------------------------------------------------------------------
 * life */

static int64_t now_ns(const struct gaps_watch *w)
{
    return feed_now_ms(w->feed) * 1000000;
}

/* Holes of an earlier run; one that had not ended grows on until its symbol is acknowledged again. */
static void load(struct gaps_watch *w)
{
    struct pgd_gap gap;
    w->loading = true;
    for (uint32_t i = 0; i < pgd_board_gap_max(&w->bus->board); i++)
        if (pgd_board_old_gap(&w->bus->board, i, &gap) &&
            gap.symbol < shm_load64(&w->bus->board.board->symbol_count)) {
            gaps_load(w->gaps, i, &gap);
            if (gap.id > w->last_id)
                w->last_id = gap.id;
        }
    w->loading = false;
    pgd_count_set(&w->bus->board, PGD_C_gaps_open, gaps_alive(w->gaps));
}

int gaps_watch_new(struct gaps_watch **ret, struct bus *bus, struct symbols *symbols, struct feed *feed,
                   uint32_t fill_after_ms, const struct gaps_watch_hooks *hooks)
{
    struct gaps_watch *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct gaps_watch){.bus = bus,
                             .symbols = symbols,
                             .feed = feed,
                             .hooks = *hooks,
                             .fill_after_ns = (int64_t)fill_after_ms * 1000000};
    w->started_ns = now_ns(w);
    struct gaps_hooks ledger = {on_show, w};
    int r = gaps_new(&w->gaps, bus->board.board->symbol_max, pgd_board_gap_max(&bus->board), &ledger);
    if (r < 0) {
        free(w);
        return r;
    }
    load(w);
    *ret = w;
    return 0;
}

void gaps_watch_free(struct gaps_watch *w)
{
    if (!w)
        return;
    gaps_free(w->gaps);
    free(w);
}

void gaps_watch_started(struct gaps_watch *w)
{
    for (uint32_t i = 0; i < gaps_rows(w->gaps); i++) {
        const struct pgd_gap *g = gaps_at(w->gaps, i);
        if (g->id != 0 && g->state == PGD_GAP_OPEN && !symbols_at(w->symbols, g->symbol)->held)
            gaps_drop(w->gaps, g->symbol, (enum pgd_topic)g->topic, PGD_GAP_UNWANTED, now_ns(w));
    }
}

struct gaps *gaps_watch_ledger(struct gaps_watch *w)
{
    return w->gaps;
}

static void changed(struct gaps_watch *w)
{
    if (w->hooks.changed)
        w->hooks.changed(w->hooks.user);
}

/* -------------------------------------------------------------------------------------------------------
 * finds */

/* Bars by whole spans: one that covers `ns` is sent after it, whole. -1: nobody keeps these records. */
static int64_t floor_of(const struct gaps_watch *w, enum pgd_topic topic, int64_t ns)
{
    int64_t span = 1000000;
    if ((topic == PGD_BARS_1S || topic == PGD_BARS_1M) && feed_segment(w->feed, topic, &span) < 0)
        return -1;
    return ns - ns % span;
}

static void wanted(struct gaps_watch *w, struct symbol *symbol, enum pgd_topic topic, bool warm)
{
    uint32_t index = symbols_index(w->symbols, symbol);
    int64_t now = now_ns(w);
    int64_t begin = floor_of(w, topic, now);
    int64_t known = feed_known_until(w->feed, symbol, topic, true);
    bool bars = topic == PGD_BARS_1S || topic == PGD_BARS_1M;
    if (begin < 0)
        return;
    if (known != 0)
        (void)gaps_open(w->gaps, index, topic, known, GAPS_GROWING, PGD_GAP_RESTART, now, INT64_MAX);
    else if (bars && warm)
        (void)gaps_open(w->gaps, index, topic, begin, GAPS_GROWING, PGD_GAP_START, now, INT64_MAX);
}

void gaps_watch_wanted(struct gaps_watch *w, struct symbol *symbol, uint32_t topics, bool warm)
{
    for (uint32_t bit = PGD_TRADES; bit <= PGD_VALUES; bit <<= 1)
        if (topics & bit)
            wanted(w, symbol, (enum pgd_topic)bit, warm);
}

void gaps_watch_unwanted(struct gaps_watch *w, const struct symbol *symbol, uint32_t topics)
{
    for (uint32_t bit = PGD_TRADES; bit <= PGD_VALUES; bit <<= 1)
        if (topics & bit)
            gaps_drop(w->gaps, symbols_index(w->symbols, symbol), (enum pgd_topic)bit, PGD_GAP_UNWANTED,
                      now_ns(w));
}

void gaps_watch_held(struct gaps_watch *w, const struct symbol *symbol, enum pgd_topic topic)
{
    int64_t now = now_ns(w);
    int64_t to = floor_of(w, topic, now);
    if (to >= 0 && gaps_end(w->gaps, symbols_index(w->symbols, symbol), topic, to, now,
                            clock_mono_ns() + w->fill_after_ns) != GAPS_NONE)
        changed(w);
}

/* What was never streamed has no hole at its beginning. */
void gaps_watch_refused(struct gaps_watch *w, const struct symbol *symbol, enum pgd_topic topic)
{
    uint32_t index = symbols_index(w->symbols, symbol);
    if (feed_known_until(w->feed, symbol, topic, true) == 0)
        (void)gaps_end(w->gaps, index, topic, INT64_MIN, now_ns(w), 0);
    else
        gaps_drop(w->gaps, index, topic, PGD_GAP_NOT_ENTITLED, now_ns(w));
}

void gaps_watch_lost(struct gaps_watch *w, const struct symbol *symbol, enum pgd_topic topic, bool silence)
{
    int64_t known = feed_known_until(w->feed, symbol, topic, false);
    int64_t from = floor_of(w, topic, known != 0 ? known : w->started_ns);
    w->ticks_at_loss[symbol->cluster] = feed_tick_ns(w->feed, (enum pgd_cluster)symbol->cluster);
    if (from >= 0)
        (void)gaps_open(w->gaps, symbols_index(w->symbols, symbol), topic, from, GAPS_GROWING,
                        silence ? PGD_GAP_SILENCE : PGD_GAP_CONNECTION, now_ns(w), INT64_MAX);
}

void gaps_watch_hole(struct gaps_watch *w, const struct symbol *symbol, enum pgd_topic topic, int64_t from_ns,
                     int64_t to_ns, enum pgd_gap_why why)
{
    int64_t from = floor_of(w, topic, from_ns);
    int64_t to = floor_of(w, topic, to_ns);
    int64_t after = why == PGD_GAP_REFUSED ? REFUSED_TIMES * w->fill_after_ns : w->fill_after_ns;
    if (from >= 0 && gaps_open(w->gaps, symbols_index(w->symbols, symbol), topic, from,
                               to > from || why != PGD_GAP_REFUSED ? to : from + 1, why, now_ns(w),
                               clock_mono_ns() + after) != GAPS_NONE)
        changed(w);
}

void gaps_watch_covered(struct gaps_watch *w, const struct symbol *symbol, enum pgd_topic topic,
                        int64_t from_ns, int64_t to_ns)
{
    gaps_covered(w->gaps, symbols_index(w->symbols, symbol), topic, from_ns, to_ns, now_ns(w));
}

void gaps_watch_found(struct gaps_watch *w, const struct symbol *symbol, enum pgd_topic topic,
                      int64_t from_ns, int64_t to_ns)
{
    int64_t now = now_ns(w);
    uint32_t row = gaps_open(w->gaps, symbols_index(w->symbols, symbol), topic, from_ns, to_ns, PGD_GAP_FOUND,
                             now, INT64_MAX);
    const struct pgd_gap *g = row == GAPS_NONE ? NULL : gaps_at(w->gaps, row);
    if (!g || g->why != PGD_GAP_FOUND || g->state != PGD_GAP_OPEN) /* part of a hole that is known */
        return;
    gaps_take(w->gaps, row, now);
    gaps_filled(w->gaps, row, 1, 1);
    gaps_close(w->gaps, row, now);
}

void gaps_watch_settle(struct gaps_watch *w, uint32_t row)
{
    const struct pgd_gap *g = gaps_at(w->gaps, row);
    enum pgd_cluster cluster = (enum pgd_cluster)symbols_at(w->symbols, g->symbol)->cluster;
    int64_t newest = feed_tick_ns(w->feed, cluster);
    int64_t end = floor_of(w, (enum pgd_topic)g->topic, newest + LATE_NS);
    if (newest > w->ticks_at_loss[cluster] && end > g->from_ns && end < g->to_ns)
        gaps_covered(w->gaps, g->symbol, (enum pgd_topic)g->topic, end, g->to_ns, now_ns(w));
}
