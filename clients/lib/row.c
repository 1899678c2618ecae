/* row.c - rows of a series, alone and as a window; the cells beside them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "client.h"

#define COPY_TRIES 16

static const struct pgd__stream *bars_of(const struct pgd_client *client, int stream, uint32_t symbol)
{
    const struct pgd__stream *s = pgd__stream_get(client, stream, PGD_KIND_BARS);
    return s && symbol < s->bars.geo.series_max ? s : NULL;
}

uint64_t pgd_rows(const struct pgd_client *client, int stream, uint32_t symbol)
{
    const struct pgd__stream *s = bars_of(client, stream, symbol);
    return s ? pgd_bars_rows(&s->bars, symbol) : 0;
}

/* Row i is readable while i + capacity > head. */
uint64_t pgd_rows_first(const struct pgd_client *client, int stream, uint32_t symbol)
{
    const struct pgd__stream *s = bars_of(client, stream, symbol);
    if (!s)
        return 0;
    uint64_t head = pgd_bars_rows(&s->bars, symbol), keep = s->bars.geo.capacity - 1u;
    return head > keep ? head - keep : 0;
}

int pgd_row(const struct pgd_client *client, int stream, uint32_t symbol, uint64_t index, struct pgd_bar *bar,
            double *columns)
{
    const struct pgd__stream *s = bars_of(client, stream, symbol);
    return s ? pgd_bars_row(&s->bars, symbol, index, bar, columns) : -EINVAL;
}

static void spread(double *to, size_t stride, const struct pgd_bar *bar, const double *columns,
                   unsigned count)
{
    to[PGD_COL_T * stride] = (double)bar->t;
    to[PGD_COL_O * stride] = bar->o;
    to[PGD_COL_H * stride] = bar->h;
    to[PGD_COL_L * stride] = bar->l;
    to[PGD_COL_C * stride] = bar->c;
    to[PGD_COL_V * stride] = bar->v;
    to[PGD_COL_VW * stride] = bar->vw;
    to[PGD_COL_N * stride] = bar->n == PGD_N_ABSENT ? NAN : (double)bar->n;
    for (unsigned k = 0; k < count; k++)
        to[(PGD_COL_INDICATORS + k) * stride] = columns[k];
}

/* One try: rows copied, -EAGAIN when the series moved underneath (a row rewritten, an insertion shifting the
 * rest). A bar inserted or revised during the copy shows as starts that do not increase, or as a head or
 * revision that differs afterwards only for rows already copied whole: those are as good as a later revision.
 */
static int64_t copy_window(const struct pgd__stream *s, uint32_t symbol, uint32_t rows, double *to,
                           double *columns, uint64_t *first)
{
    uint64_t head = pgd_bars_rows(&s->bars, symbol), keep = s->bars.geo.capacity - 1u;
    uint64_t count = rows < keep ? rows : keep;
    if (count > head)
        count = head;
    int64_t before = INT64_MIN;
    for (uint64_t j = 0; j < count; j++) {
        struct pgd_bar bar;
        int r = pgd_bars_row(&s->bars, symbol, head - count + j, &bar, columns);
        if (r <= 0 || bar.t <= before)
            return -EAGAIN;
        before = bar.t;
        spread(to + j, rows, &bar, columns, s->column_count);
    }
    *first = head - count;
    return (int64_t)count;
}

int64_t pgd_series_copy(const struct pgd_client *client, int stream, uint32_t symbol, uint32_t rows,
                        double *to, uint64_t *ret_first)
{
    const struct pgd__stream *s = bars_of(client, stream, symbol);
    if (!s || rows == 0)
        return -EINVAL;
    double columns[PGD__COLUMNS_MAX];
    uint64_t first = 0;
    int64_t r = -EAGAIN;
    for (int i = 0; i < COPY_TRIES && r == -EAGAIN; i++)
        r = copy_window(s, symbol, rows, to, columns, &first);
    if (r >= 0 && ret_first)
        *ret_first = first;
    return r;
}

int pgd_forming(const struct pgd_client *client, int stream, uint32_t symbol, struct pgd_bar *ret)
{
    const struct pgd__stream *s = bars_of(client, stream, symbol);
    return s ? pgd_bars_get_forming(&s->bars, symbol, ret) : -EINVAL;
}

int pgd_day_figures(const struct pgd_client *client, int stream, uint32_t symbol, struct pgd_day *ret)
{
    const struct pgd__stream *s = bars_of(client, stream, symbol);
    return s ? pgd_bars_get_day(&s->bars, symbol, ret) : -EINVAL;
}

static int latest(struct pgd_client *client, const char *name, uint32_t symbol, void *ret)
{
    int stream = pgd_stream(client, name);
    if (stream < 0)
        return stream == PGD_ERR_NO_STREAM ? 0 : stream;
    return pgd_tape_latest(&client->streams[stream].latest, symbol, ret);
}

int pgd_latest_trade(struct pgd_client *client, uint32_t symbol, struct pgd_trade *ret)
{
    return latest(client, "trades", symbol, ret);
}

int pgd_latest_quote(struct pgd_client *client, uint32_t symbol, struct pgd_quote *ret)
{
    return latest(client, "quotes", symbol, ret);
}
