#include "replay_apply.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "journal.h"
#include "parse.h"
#include "parse_scan.h"
#include "ws.h"

int replay_target_init(struct replay_target *t, struct bus *bus, struct symbols *symbols, struct feed *feed)
{
    *t = (struct replay_target){.bus = bus, .symbols = symbols, .feed = feed};
    t->map_size = PGD_SERIES_LIMIT;
    t->map = calloc(t->map_size, sizeof(struct symbol *));
    return t->map ? 0 : -ENOMEM;
}

void replay_target_fini(struct replay_target *t)
{
    free(t->map);
    t->map = NULL;
}

static int wrong(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EINVAL;
}

/* ------------------------------------------------------------------------------------------------- symbols
 */

static uint32_t segments_of(const struct replay_target *t, uint64_t spans)
{
    uint32_t segments = 0;
    for (unsigned s = 0; s < t->bus->bars_count; s++)
        if (spans & (t->bus->span_ms[s] == 1000 ? 1u : 2u))
            segments |= 1u << s;
    return segments;
}

static void take_in(struct replay_target *t, struct symbol *symbol, const struct journal_record *r)
{
    const uint32_t segments = segments_of(t, r->arg);
    symbol->held = (r->flags & JOURNAL_SYMBOL_HELD) != 0;
    feed_open_symbol(t->feed, symbol, segments != 0);
    symbol->history &= segments; /* of a file that begins in the middle, some may have been let go */
}

static int do_symbol(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    const struct journal_record *r = item->head;
    char name[PGD_SYMBOL_MAX];
    if (item->size != sizeof name || r->index >= t->map_size || r->cluster < PGD_STOCKS ||
        r->cluster >= PGD_CLUSTERS)
        return wrong(ret_why, "impossible symbol");
    memcpy(name, item->data, sizeof name);
    name[sizeof name - 1] = '\0';
    struct symbol *symbol;
    int e = symbols_add(t->symbols, &symbol, name, (enum pgd_cluster)r->cluster);
    if (e < 0)
        return wrong(ret_why, e == -ENOSPC ? "more symbols than the configuration takes (bus.symbols)"
                                           : "impossible symbol");
    bool known = t->map[r->index] == symbol;
    t->map[r->index] = symbol;
    bool held = (r->flags & JOURNAL_SYMBOL_HELD) != 0;
    if (known && held == symbol->held && (r->flags & JOURNAL_SYMBOL_COPY))
        return 0; /* a new file repeats it */
    if (known && symbol->held && !held)
        feed_close_symbol(t->feed, symbol);
    else
        take_in(t, symbol, r);
    if (t->changed)
        t->changed(t->user, symbol);
    return 0;
}

static struct symbol *symbol_of(const struct replay_target *t, const struct journal_item *item)
{
    return item->head->index < t->map_size ? t->map[item->head->index] : NULL;
}

/* -------------------------------------------------------------------------------------------------- frames
 */

struct frame_sink {
    struct replay_target *target;
    struct parse_sink feed;
};

static void on_event(void *user, const struct event *event)
{
    const struct frame_sink *s = user;
    if (event->class == EVENT_CLASS_STATUS)
        pgd_count(&s->target->bus->board, PGD_C_ws_status, 1);
    else
        s->feed.event(s->feed.user, event);
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *event,
                     struct event_text raw)
{
    const struct frame_sink *s = user;
    s->feed.fault(s->feed.user, fault, reason, event, raw);
}

static int do_frame(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    const unsigned cluster = item->head->cluster;
    if (cluster < PGD_STOCKS || cluster >= PGD_CLUSTERS)
        return wrong(ret_why, "a frame of no cluster");
    struct frame_sink s = {t, feed_sink(t->feed, (enum pgd_cluster)cluster)};
    const struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &s};
    t->frames++;
    if ((!item->text && !ws_is_utf8(item->data, item->size)) ||
        parse_ws((const char *)item->data, item->size, (enum pgd_cluster)cluster, &sink) < 0)
        pgd_count(&t->bus->board, PGD_C_ws_bad_messages, 1);
    return 0;
}

/* --------------------------------------------------------------------------------------------------- calls
 */

/* What the parser would have refused, the engine is not made for. */
static bool possible(const struct pgd_bar *b)
{
    int64_t ns;
    return scan_time_ns(b->t, &ns) && ns / 1000000 == b->t && isfinite(b->o) && isfinite(b->h) &&
           isfinite(b->l) && isfinite(b->c) && !isinf(b->v) && !(b->v < 0) && !isinf(b->vw);
}

static int do_bars(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    const struct journal_record *r = item->head;
    struct symbol *symbol = symbol_of(t, item);
    if (!symbol)
        return wrong(ret_why, "bars of a symbol that was never named");
    bool spanned = r->kind == JOURNAL_FILL_BARS || r->kind == JOURNAL_COVERED;
    struct journal_span span = {0};
    size_t skip = spanned ? sizeof span : 0;
    if (item->size < skip || (item->size - skip) % sizeof(struct pgd_bar))
        return wrong(ret_why, "bars of an odd size");
    memcpy(&span, item->data, skip);
    const struct pgd_bar *bars =
        (const struct pgd_bar *)(const void *)(item->data + skip); /* aligned: as it was put */
    size_t n = (item->size - skip) / sizeof *bars;
    int segment = bus_find(t->bus, r->arg == 1000 ? 1000 : r->arg == 60000 ? 60000 : -1);
    if (segment < 0)
        return 0; /* not configured here */
    for (size_t i = 0; i < n; i++)
        if (!possible(&bars[i]))
            return wrong(ret_why, "a bar with impossible values");
    if (r->kind == JOURNAL_HISTORY)
        feed_history(t->feed, symbol, (unsigned)segment, bars, n);
    else if (r->kind == JOURNAL_CACHED)
        feed_cached(t->feed, symbol, (unsigned)segment, bars, n);
    else if (r->kind == JOURNAL_FILL_BARS)
        (void)feed_fill_bars(t->feed, symbol, (unsigned)segment, bars, n, span.from_ms, span.to_ms);
    else
        feed_covered(t->feed, symbol, (unsigned)segment, span.from_ms, span.to_ms);
    return 0;
}

static int do_ticks(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    struct symbol *symbol = symbol_of(t, item);
    bool trades = item->head->kind == JOURNAL_FILL_TRADES;
    size_t each = trades ? sizeof(struct pgd_trade) : sizeof(struct pgd_quote);
    if (!symbol || item->size % each)
        return wrong(ret_why, symbol ? "records of an odd size" : "records of a symbol that was never named");
    if (trades)
        (void)feed_fill_trades(t->feed, symbol, (const struct pgd_trade *)(const void *)item->data,
                               item->size / each);
    else
        (void)feed_fill_quotes(t->feed, symbol, (const struct pgd_quote *)(const void *)item->data,
                               item->size / each);
    return 0;
}

static int do_release(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    struct symbol *symbol = symbol_of(t, item);
    if (!symbol)
        return wrong(ret_why, "a release of a symbol that was never named");
    const uint32_t segments = segments_of(t, item->head->arg);
    for (unsigned s = 0; s < t->bus->bars_count; s++)
        if (segments & 1u << s)
            feed_release(t->feed, symbol, s);
    return 0;
}

static int do_break(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    if (item->head->cluster < PGD_STOCKS || item->head->cluster >= PGD_CLUSTERS)
        return wrong(ret_why, "a connection of no cluster");
    feed_lost(t->feed, (enum pgd_cluster)item->head->cluster);
    return 0;
}

static int do_record(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    const struct journal_record *r = item->head;
    switch (r->kind) {
    case JOURNAL_SYMBOL:
        return do_symbol(t, item, ret_why);
    case JOURNAL_FRAME:
        return do_frame(t, item, ret_why);
    case JOURNAL_BATCH:
        feed_batch(t->feed, r->arg, r->index);
        return 0;
    case JOURNAL_HISTORY:
    case JOURNAL_CACHED:
    case JOURNAL_FILL_BARS:
    case JOURNAL_COVERED:
        return do_bars(t, item, ret_why);
    case JOURNAL_FILL_TRADES:
    case JOURNAL_FILL_QUOTES:
        return do_ticks(t, item, ret_why);
    case JOURNAL_RELEASE:
        return do_release(t, item, ret_why);
    case JOURNAL_BREAK:
        return do_break(t, item, ret_why);
    case JOURNAL_REFUSED:
        feed_rest_refused(t->feed, r->arg);
        return 0;
    case JOURNAL_UNWANTED:
        feed_rest_unwanted(t->feed, r->arg);
        return 0;
    case JOURNAL_LOST:
        t->lost += r->arg;
        return 0;
    case JOURNAL_CONFIG:
    case JOURNAL_CONN:
    case JOURNAL_END:
        return 0;
    default:
        t->unknown++;
        return 0;
    }
}

int replay_apply(struct replay_target *t, const struct journal_item *item, const char **ret_why)
{
    clock_drive(feed_clock(t->feed), item->head->t_ns);
    t->records++;
    int r = do_record(t, item, ret_why);
    t->bad += r < 0;
    return r;
}
