/* Bars from REST, and the account of all that comes over it. */
#include "feed_private.h"

static void account(struct feed *f, enum pgd_counter_id outcome, uint64_t rows)
{
    pgd_count(&f->bus->board, PGD_C_rest_rows, rows);
    pgd_count(&f->bus->board,
              outcome == PGD_C_events_published   ? PGD_C_rest_published
              : outcome == PGD_C_events_duplicate ? PGD_C_rest_duplicate
                                                  : PGD_C_rest_too_old,
              rows);
}

/* Appends, in one go, what of these bars is newer than the newest row, each than the one before it. Returns
 * how many; the next one goes another way. */
static size_t append_newer(struct feed *f, unsigned segment, uint32_t series, const struct pgd_bar *bars,
                           size_t n)
{
    struct pgd_bars *rows = &f->bus->bars[segment];
    uint64_t head = pgd_bars_head(rows, series);
    struct pgd_bar newest = {.t = INT64_MIN};
    if (head > pgd_bars_first(rows, series))
        pgd_bars_peek(rows, series, head - 1, &newest);
    size_t newer = 0;
    for (int64_t t = newest.t; newer < n && bars[newer].t > t; newer++)
        t = bars[newer].t;
    if (newer == 0)
        return 0;
    pgd_bars_append_all(rows, series, bars, newer);
    feed_note(f, segment, series, head, head + newer, PGD_CHANGE_APPEND | PGD_CHANGE_HISTORY);
    pgd_count(&f->bus->board, PGD_C_bars_appended, newer);
    return newer;
}

void feed_history(struct feed *f, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                  size_t n)
{
    feed_tap_bars(f, JOURNAL_HISTORY, symbol, segment, bars, n, NULL);
    uint32_t series = symbols_index(f->symbols, symbol);
    for (size_t i = 0; i < n;) {
        size_t newer = append_newer(f, segment, series, bars + i, n - i);
        account(f, PGD_C_events_published, newer);
        i += newer;
        if (i < n)
            account(f, feed_place(f, segment, series, &bars[i++], 0, PGD_CHANGE_HISTORY), 1);
    }
}

/* Not received in this run, hence not in the account. */
void feed_cached(struct feed *f, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                 size_t n)
{
    feed_tap_bars(f, JOURNAL_CACHED, symbol, segment, bars, n, NULL);
    uint32_t series = symbols_index(f->symbols, symbol);
    for (size_t i = 0; i < n;) {
        i += append_newer(f, segment, series, bars + i, n - i);
        if (i < n)
            (void)feed_place(f, segment, series, &bars[i++], 0, PGD_CHANGE_HISTORY);
    }
    pgd_count(&f->bus->board, PGD_C_cache_rows, n);
}

size_t feed_fill_bars(struct feed *f, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                      size_t n, int64_t from_ms, int64_t to_ms)
{
    const struct journal_span span = {from_ms, to_ms};
    feed_tap_bars(f, JOURNAL_FILL_BARS, symbol, segment, bars, n, &span);
    uint32_t series = symbols_index(f->symbols, symbol);
    size_t published = 0;
    for (size_t i = 0; i < n; i++) {
        bool inside = bars[i].t >= from_ms && bars[i].t < to_ms;
        enum pgd_counter_id outcome =
            feed_place(f, segment, series, &bars[i], inside ? PGD_BAR_FILLED : 0, 0);
        account(f, outcome, 1);
        published += outcome == PGD_C_events_published;
    }
    pgd_count(&f->bus->board, PGD_C_gap_records, published);
    return published;
}

void feed_rest_refused(struct feed *f, uint64_t count)
{
    feed_tap_rows(f, JOURNAL_REFUSED, count);
    pgd_count(&f->bus->board, PGD_C_rest_rows, count);
    pgd_count(&f->bus->board, PGD_C_rest_bad_rows, count);
}

void feed_rest_unwanted(struct feed *f, uint64_t count)
{
    feed_tap_rows(f, JOURNAL_UNWANTED, count);
    pgd_count(&f->bus->board, PGD_C_rest_rows, count);
    pgd_count(&f->bus->board, PGD_C_rest_unwanted, count);
}

void feed_covered(struct feed *f, struct symbol *symbol, unsigned segment, int64_t from_ms, int64_t to_ms)
{
    const struct journal_span span = {from_ms, to_ms};
    feed_tap_bars(f, JOURNAL_COVERED, symbol, segment, NULL, 0, &span);
    enum pgd_topic topic = (int)segment == f->seconds ? PGD_BARS_1S : PGD_BARS_1M;
    if (f->hooks.covered && from_ms < to_ms)
        f->hooks.covered(f->hooks.user, symbol, topic, from_ms * 1000000, to_ms * 1000000);
}
