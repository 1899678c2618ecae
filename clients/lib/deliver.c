/* deliver.c - from tapes and change logs to events.
 *
 * Rows are told apart by what was delivered of their series before. A change record says which rows changed;
 * the row itself is read afterwards and may by then be a later version, or - after an insertion - another
 * row. So a row is new when its start is newer than all delivered, whatever the record said, and a row at an
 * index never delivered is looked at even when the record calls it recomputed: it may be one that an
 * insertion moved up before we came to read it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sub.h"

#define TURN 256 /* records of one source before the next has its turn */
#define MORE 2   /* nothing to deliver yet, but there is more to look at */

static struct pgd__stream *stream_of(const struct pgd_sub *sub, const struct pgd__source *s)
{
    return &sub->client->streams[s->stream];
}

/* What was published before the first change record is not this subscription's. */
static void pass_over(struct pgd__seen *seen, uint32_t count, const struct pgd_bars_reader *bars)
{
    for (uint32_t i = 0; i < count; i++)
        seen[i].high = pgd_bars_rows(bars, i);
}

void pgd__sweep(struct pgd__source *s)
{
    s->sweeping = s->seen != NULL;
    s->sweep = 0;
}

int pgd__source_start(struct pgd_sub *sub, struct pgd__source *s, enum pgd_from from)
{
    struct pgd__stream *stream = stream_of(sub, s);
    struct pgd_tape_reader reader;
    struct pgd__seen *seen = NULL;
    uint32_t count = 0;
    int r;
    if (stream->kind == PGD_KIND_BARS) {
        r = pgd_bars_log(&reader, &stream->bars, from);
        count = stream->bars.geo.series_max;
        if (r == 0 && !(seen = calloc(count, sizeof *seen)))
            r = -ENOMEM;
    } else {
        r = pgd_tape_reader_init(&reader, &stream->map, stream->tape_offset, from);
    }
    if (r < 0)
        return r;
    /* Under the same board indexes still mean the same symbols: their times go on. */
    if (s->seen && sub->board_generation == sub->client->generation)
        for (uint32_t i = 0; i < count && i < s->seen_count; i++)
            seen[i] = (struct pgd__seen){.newest_t = s->seen[i].newest_t, .live = s->seen[i].live};
    if (stream->kind == PGD_KIND_BARS && from == PGD_FROM_NEXT)
        pass_over(seen, count, &stream->bars);
    sub->lost_rows += pgd__records_lost(s) + s->lost_rows;
    free(s->seen);
    s->reader = reader;
    s->lost_told = s->lost_rows = 0;
    s->seen = seen;
    s->seen_count = count;
    s->change.rows = s->at = 0;
    s->sweeping = false;
    s->history_open = false;
    s->generation = stream->generation;
    return 0;
}

void pgd__source_stop(struct pgd__source *s)
{
    free(s->seen);
    s->seen = NULL;
}

static void set_name(struct pgd_sub *sub, struct pgd_event *e, uint32_t symbol)
{
    struct pgd_symbol entry;
    e->symbol = symbol;
    if (pgd_board_symbol(&sub->client->board, symbol, &entry) == 0) {
        entry.name[sizeof entry.name - 1] = '\0';
        memcpy(e->name, entry.name, sizeof e->name);
    }
}

static int lost_event(struct pgd_sub *sub, struct pgd__source *s)
{
    uint64_t lost = pgd__records_lost(s) - s->lost_told + s->lost_rows;
    s->lost_told = pgd__records_lost(s);
    sub->lost_rows += s->lost_rows;
    s->lost_rows = 0;
    pgd__event(sub, PGD_EVENT_LOST, s->stream)->lost = lost;
    return 1;
}

/* Hands a row out and remembers it. */
static int bar_event(struct pgd_sub *sub, struct pgd__source *s, uint32_t symbol, uint64_t index, int whole,
                     const struct pgd_bar *bar, uint32_t flags)
{
    struct pgd__seen *seen = &s->seen[symbol];
    if (bar->t <= seen->newest_t)
        flags |= PGD_ROW_REVISED;
    if (whole == 2)
        flags |= PGD_ROW_UNCOMPUTED;
    if (bar->t >= seen->newest_t) {
        seen->newest_t = bar->t;
        seen->newest_rev = whole == 1 ? bar->rev : 0;
    }
    if (index >= seen->high)
        seen->high = index + 1;
    struct pgd_event *e = pgd__event(sub, PGD_EVENT_BAR, s->stream);
    set_name(sub, e, symbol);
    e->flags = flags;
    e->index = index;
    e->bar = *bar;
    e->columns = sub->columns;
    e->column_count = stream_of(sub, s)->column_count;
    return 1;
}

static void skip_swept(struct pgd__source *s)
{
    uint64_t swept = s->seen[s->change.symbol].swept;
    if (!(s->change.flags & PGD_CHANGE_APPEND) || s->change.first >= swept)
        return;
    uint64_t known = swept - s->change.first;
    s->at = known < s->change.rows ? known : s->change.rows;
}

/* Warm-up rows of a symbol that has not been live: only as many of the newest as were asked for. */
static void skip_warm_up(struct pgd_sub *sub, struct pgd__source *s)
{
    const struct pgd_change *c = &s->change;
    struct pgd__seen *seen = &s->seen[c->symbol];
    if (!(c->flags & PGD_CHANGE_HISTORY) || seen->live || c->rows <= s->history)
        return;
    struct pgd_bar bar;
    if (c->rows - s->history > s->at)
        s->at = c->rows - s->history;
    uint64_t last = c->first + s->at - 1;
    if (pgd_bars_row(&stream_of(sub, s)->bars, c->symbol, last, &bar, NULL) > 0 && bar.t > seen->newest_t)
        seen->newest_t = bar.t;
    if (last >= seen->high)
        seen->high = last + 1;
}

/* What of a row that could be read is to be delivered: 1 yes. */
static int judge(const struct pgd_sub *sub, const struct pgd__source *s, uint64_t k,
                 const struct pgd_bar *bar, uint32_t *flags)
{
    const struct pgd_change *c = &s->change;
    const struct pgd__seen *seen = &s->seen[c->symbol];
    bool newer = bar->t > seen->newest_t;
    *flags = c->flags & PGD_CHANGE_HISTORY ? PGD_ROW_HISTORY : 0;
    if (newer)
        return 1;
    if (*flags) /* filled in: only what continues the known */
        return 0;
    if (bar->t == seen->newest_t && bar->rev == seen->newest_rev && k < c->bars)
        return 0; /* delivered already, by the history or by an earlier record */
    if (k < c->bars)
        return 1;
    *flags |= PGD_ROW_RECOMPUTED;
    return sub->recomputed;
}

/* Next deliverable row of the change at hand: 1, or 0 when it is used up. Every round either delivers, steps
 * one held row on, or skips rows at once, so a hostile count costs at most one ring of rows. */
static int change_step(struct pgd_sub *sub, struct pgd__source *s)
{
    const struct pgd_bars_reader *bars = &stream_of(sub, s)->bars;
    struct pgd_change *c = &s->change;
    struct pgd__seen *seen = &s->seen[c->symbol];
    while (s->at < c->rows) {
        uint64_t index = c->first + s->at;
        if (s->at >= c->bars && index < seen->high && !sub->recomputed) {
            uint64_t skip = seen->high - index, left = c->rows - s->at;
            s->at += skip < left ? skip : left;
            continue;
        }
        uint64_t first = pgd_rows_first(sub->client, s->stream, c->symbol);
        if (index < first) {
            uint64_t skip = first - index, left = c->rows - s->at;
            uint64_t gone = s->at < c->bars ? c->bars - s->at : 0;
            skip = skip < left ? skip : left;
            s->lost_rows += gone < skip ? gone : skip;
            s->at += skip;
            continue;
        }
        struct pgd_bar bar;
        int r = pgd_bars_row(bars, c->symbol, index, &bar, sub->columns);
        if (r == 0)
            break;
        uint64_t k = s->at++;
        if (r == -EOVERFLOW)
            s->lost_rows += k < c->bars; /* it left while we looked */
        uint32_t flags;
        /* Being rewritten: the record of that revision follows, also after a crash. */
        if (r < 0 || !judge(sub, s, k, &bar, &flags))
            continue;
        if (r == 2 && flags & PGD_ROW_RECOMPUTED)
            continue;
        if (!(flags & PGD_ROW_HISTORY))
            seen->live = true;
        return bar_event(sub, s, c->symbol, index, r, &bar, flags);
    }
    c->rows = s->at = 0;
    return 0;
}

/* The next series with rows that no change record told of, as a change. Rows without their indicators are
 * left to the record that follows them. */
static bool sweep_step(struct pgd_sub *sub, struct pgd__source *s)
{
    const struct pgd_bars_reader *bars = &stream_of(sub, s)->bars;
    while (s->sweep < s->seen_count) {
        uint32_t symbol = s->sweep++;
        uint64_t high = s->seen[symbol].high;
        uint64_t rows = pgd_bars_computed(bars, symbol);
        if (rows <= high || !pgd__wanted(sub, symbol))
            continue;
        s->seen[symbol].swept = rows;
        s->change = (struct pgd_change){.symbol = symbol,
                                        .flags = PGD_CHANGE_APPEND,
                                        .first = high,
                                        .bars = rows - high,
                                        .rows = rows - high};
        s->at = 0;
        return true;
    }
    s->sweeping = false;
    return false;
}

static int bars_step(struct pgd_sub *sub, struct pgd__source *s)
{
    for (int i = 0; i < TURN; i++) {
        if (change_step(sub, s))
            return 1;
        if (s->lost_rows > 0)
            return lost_event(sub, s);
        if (s->sweeping && sweep_step(sub, s))
            continue;
        int r = pgd_tape_get(&s->reader, &s->change);
        if (r != 1)
            s->change.rows = 0;
        if (r == -EOVERFLOW) {
            pgd__sweep(s);
            continue;
        }
        if (r <= 0)
            return r;
        s->at = 0;
        if (s->change.symbol >= s->seen_count || !pgd__wanted(sub, s->change.symbol)) {
            s->change.rows = 0;
        } else {
            skip_swept(s);
            skip_warm_up(sub, s);
        }
    }
    return MORE;
}

union slot {
    struct pgd_trade trade;
    struct pgd_quote quote;
    struct {
        uint64_t commit;
        uint32_t symbol;
    };
    uint64_t words[PGD_LINE / 8];
};

static int record_event(struct pgd_sub *sub, const struct pgd__source *s, const union slot *slot,
                        uint32_t symbol, uint32_t flags)
{
    bool trades = strcmp(stream_of(sub, s)->name, "trades") == 0;
    struct pgd_event *e = pgd__event(sub, trades ? PGD_EVENT_TRADE : PGD_EVENT_QUOTE, s->stream);
    set_name(sub, e, symbol);
    e->flags = flags;
    e->index = flags & PGD_ROW_HISTORY ? PGD_NO_INDEX : slot->commit - 1;
    if (trades)
        e->trade = slot->trade;
    else
        e->quote = slot->quote;
    return 1;
}

static int tape_step(struct pgd_sub *sub, struct pgd__source *s)
{
    for (int i = 0; i < TURN; i++) {
        union slot slot;
        int r = pgd_tape_get(&s->reader, &slot);
        if (r == -EOVERFLOW)
            return lost_event(sub, s);
        if (r <= 0)
            return r;
        if (pgd__wanted(sub, slot.symbol))
            return record_event(sub, s, &slot, slot.symbol, 0);
    }
    return MORE;
}

/* The symbol at a position of the history: an index, or -1: not in the directory, -2: past the end. */
static int32_t history_symbol(struct pgd_sub *sub, uint32_t position)
{
    if (sub->all)
        return position < pgd_board_symbols(&sub->client->board) ? (int32_t)position : -2;
    if (sub->directory_seen == 0 || sub->board_generation != sub->client->generation)
        pgd__resolve(sub);
    return position < sub->name_count ? (sub->names[position].index < 0 ? -1 : sub->names[position].index)
                                      : -2;
}

static int history_bars(struct pgd_sub *sub, struct pgd__source *s, uint32_t symbol)
{
    const struct pgd_bars_reader *bars = &stream_of(sub, s)->bars;
    if (!s->history_open) {
        uint64_t first = pgd_rows_first(sub->client, s->stream, symbol);
        s->history_end = pgd_bars_rows(bars, symbol);
        uint64_t held = s->history_end > first ? s->history_end - first : 0;
        s->history_row = s->history_end - (held < s->history ? held : s->history);
        s->history_open = true;
    }
    while (s->history_row < s->history_end) {
        struct pgd_bar bar;
        uint64_t index = s->history_row++;
        int r = pgd_bars_row(bars, symbol, index, &bar, sub->columns);
        if (r <= 0 || bar.t <= s->seen[symbol].newest_t)
            continue; /* left the ring, is being rewritten, or was moved up by an insertion */
        s->seen[symbol].live = true;
        return bar_event(sub, s, symbol, index, r, &bar, PGD_ROW_HISTORY);
    }
    s->history_open = false;
    return 0;
}

static int history_step(struct pgd_sub *sub, struct pgd__source *s)
{
    for (;;) {
        int32_t symbol = history_symbol(sub, s->history_symbol);
        if (symbol == -2)
            break;
        if (symbol >= 0 && s->seen && (uint32_t)symbol < s->seen_count) {
            if (history_bars(sub, s, (uint32_t)symbol))
                return 1;
        }
        s->history_symbol++;
        union slot slot;
        if (symbol >= 0 && !s->seen && pgd_tape_latest(&s->reader, (uint32_t)symbol, &slot) == 1)
            return record_event(sub, s, &slot, (uint32_t)symbol, PGD_ROW_HISTORY);
    }
    s->history_done = true;
    return 0;
}

static int source_step(struct pgd_sub *sub, struct pgd__source *s)
{
    if (s->generation != stream_of(sub, s)->generation) {
        sub->next_check_ns = 0; /* somebody else refreshed the client: start anew first */
        return pgd__watch(sub);
    }
    if (!s->history_done && history_step(sub, s))
        return 1;
    return s->seen ? bars_step(sub, s) : tape_step(sub, s);
}

/* The source that delivered keeps its turn for a while, so that a batch stays together. */
int pgd__deliver(struct pgd_sub *sub)
{
    int result = 0;
    for (int i = 0; i < sub->source_count; i++) {
        if (sub->turn >= sub->source_count)
            sub->turn = 0;
        int r = source_step(sub, &sub->sources[sub->turn]);
        if (r == 1 && ++sub->streak < TURN)
            return 1;
        sub->turn++;
        sub->streak = 0;
        if (r == 1 || r < 0)
            return r;
        if (r == MORE)
            result = MORE;
    }
    return result;
}
