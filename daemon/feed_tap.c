#include "feed_tap.h"

#include "feed_private.h"

#define BARS_MAX 4096u /* of one record */

/* A segment's bit in SYMBOL and RELEASE: 1 for seconds, 2 for minutes, whatever their order in the
 * configuration. */
static uint64_t span_bit(const struct feed *f, unsigned segment)
{
    return f->bus->span_ms[segment] == 1000 ? 1 : 2;
}

/* Calls that no frame caused have a time of their own, and the feed sees the same one that is written down.
 */
static int64_t now(struct feed *f)
{
    return f->stamped ? f->clock.now_ns : clock_stamp(&f->clock);
}

void feed_tap_batch(struct feed *f, uint64_t bytes, uint64_t messages)
{
    if (!f->journal)
        return;
    const struct journal_entry e = {
        .kind = JOURNAL_BATCH, .t_ns = now(f), .index = (uint32_t)messages, .arg = bytes};
    journal_put(f->journal, &e, NULL, 0);
}

void feed_tap_symbol(struct feed *f, const struct symbol *symbol, bool held)
{
    if (!f->journal)
        return;
    struct journal_entry e = {
        .kind = JOURNAL_SYMBOL,
        .cluster = symbol->cluster,
        .flags = (uint8_t)((held ? JOURNAL_SYMBOL_HELD : 0) | (symbol->history ? JOURNAL_SYMBOL_HOLD : 0)),
        .index = symbols_index(f->symbols, symbol),
        .t_ns = now(f),
    };
    for (unsigned s = 0; s < f->bus->bars_count; s++)
        if (symbol->history & 1u << s)
            e.arg |= span_bit(f, s);
    journal_put(f->journal, &e, symbol->name, sizeof symbol->name);
}

void feed_tap_release(struct feed *f, const struct symbol *symbol, unsigned segment)
{
    if (!f->journal)
        return;
    const struct journal_entry e = {.kind = JOURNAL_RELEASE,
                                    .index = symbols_index(f->symbols, symbol),
                                    .t_ns = now(f),
                                    .arg = span_bit(f, segment)};
    journal_put(f->journal, &e, NULL, 0);
}

void feed_tap_break(struct feed *f, enum pgd_cluster cluster)
{
    if (f->journal)
        journal_put(
            f->journal,
            &(struct journal_entry){.kind = JOURNAL_BREAK, .cluster = (uint8_t)cluster, .t_ns = now(f)}, NULL,
            0);
}

void feed_tap_rows(struct feed *f, enum journal_kind kind, uint64_t count)
{
    if (f->journal)
        journal_put(f->journal, &(struct journal_entry){.kind = kind, .t_ns = now(f), .arg = count}, NULL, 0);
}

void feed_tap_bars(struct feed *f, enum journal_kind kind, const struct symbol *symbol, unsigned segment,
                   const struct pgd_bar *bars, size_t count, const struct journal_span *span)
{
    if (!f->journal)
        return;
    struct journal_entry e = {
        .kind = kind,
        .index = symbols_index(f->symbols, symbol),
        .t_ns = now(f),
        .arg = (uint64_t)f->bus->span_ms[segment],
        .before = span,
        .before_size = span ? sizeof *span : 0,
    };
    do { /* in parts: the feed takes bars one by one, so the result is the same */
        size_t n = count < BARS_MAX ? count : BARS_MAX;
        journal_put(f->journal, &e, bars, n * sizeof *bars);
        bars = bars ? bars + n : NULL;
        count -= n;
    } while (count);
}

void feed_tap_ticks(struct feed *f, enum journal_kind kind, const struct symbol *symbol, const void *records,
                    size_t bytes)
{
    if (!f->journal)
        return;
    const struct journal_entry e = {.kind = kind, .index = symbols_index(f->symbols, symbol), .t_ns = now(f)};
    journal_put(f->journal, &e, records, bytes);
}
