#include "reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef long double real;

struct input {
    const struct pgd_bar *bars;
    size_t count;
    enum pgd_session session;
    double n[3]; /* the numbers at the end of the name */
};

static real absent(void)
{
    return (real)NAN;
}

static real close_at(const struct input *in, size_t i)
{
    return (real)in->bars[i].c;
}

static real typical(const struct pgd_bar *bar)
{
    return ((real)bar->h + (real)bar->l + (real)bar->c) / 3;
}

static real volume_price(const struct pgd_bar *bar)
{
    return isnan(bar->vw) ? typical(bar) : (real)bar->vw;
}

static real mean(const struct input *in, size_t end, size_t n)
{
    real sum = 0;
    for (size_t i = end + 1 - n; i <= end; i++)
        sum += close_at(in, i);
    return sum / (real)n;
}

static real deviation(const struct input *in, size_t end, size_t n)
{
    real centre = mean(in, end, n), sum = 0;
    for (size_t i = end + 1 - n; i <= end; i++)
        sum += (close_at(in, i) - centre) * (close_at(in, i) - centre);
    return sqrtl(sum / (real)n);
}

/* ----------------------------------------------------------------------------------------------- averages */

static void ref_sma(const struct input *in, real *ret)
{
    size_t n = (size_t)in->n[0];
    for (size_t i = n - 1; i < in->count; i++)
        ret[i] = mean(in, i, n);
}

static void ref_wma(const struct input *in, real *ret)
{
    size_t n = (size_t)in->n[0];
    for (size_t i = n - 1; i < in->count; i++) {
        real sum = 0, weights = 0;
        for (size_t w = 1; w <= n; w++) {
            sum += (real)w * close_at(in, i + w - n);
            weights += (real)w;
        }
        ret[i] = sum / weights;
    }
}

/* EMA of x from row `first` on, seeded there with the mean of the n values that end there. */
static void smooth(const real *x, size_t count, size_t first, size_t n, real *ret)
{
    real sum = 0;
    if (first >= count)
        return;
    for (size_t i = first + 1 - n; i <= first; i++)
        sum += x[i];
    ret[first] = sum / (real)n;
    for (size_t i = first + 1; i < count; i++)
        ret[i] = ret[i - 1] + (x[i] - ret[i - 1]) * 2 / ((real)n + 1);
}

static real *closes(const struct input *in)
{
    real *x = malloc((in->count + 1) * sizeof *x);
    for (size_t i = 0; x != NULL && i < in->count; i++)
        x[i] = close_at(in, i);
    return x;
}

static void ref_ema(const struct input *in, real *ret)
{
    real *x = closes(in);
    smooth(x, in->count, (size_t)in->n[0] - 1, (size_t)in->n[0], ret);
    free(x);
}

/* which: 0 line, 1 signal, 2 histogram */
static void macd(const struct input *in, real *ret, int which)
{
    size_t fast = (size_t)in->n[0], slow = (size_t)in->n[1], signal = (size_t)in->n[2];
    real *x = closes(in), *a = closes(in), *b = closes(in), *s = closes(in);
    smooth(x, in->count, slow - 1, fast, a);
    smooth(x, in->count, slow - 1, slow, b);
    for (size_t i = 0; i < in->count; i++)
        x[i] = i + 1 < slow ? 0 : a[i] - b[i];
    smooth(x, in->count, slow + signal - 2, signal, s);
    for (size_t i = slow + signal - 2; i < in->count; i++)
        ret[i] = which == 0 ? x[i] : which == 1 ? s[i] : x[i] - s[i];
    free(x);
    free(a);
    free(b);
    free(s);
}

static void ref_macd(const struct input *in, real *ret)
{
    macd(in, ret, 0);
}

static void ref_macd_signal(const struct input *in, real *ret)
{
    macd(in, ret, 1);
}

static void ref_macd_hist(const struct input *in, real *ret)
{
    macd(in, ret, 2);
}

/* ------------------------------------------------------------------------------------------------- ranges */

static void ref_stddev(const struct input *in, real *ret)
{
    for (size_t i = (size_t)in->n[0] - 1; i < in->count; i++)
        ret[i] = deviation(in, i, (size_t)in->n[0]);
}

static void bands(const struct input *in, real *ret, real sign)
{
    size_t n = (size_t)in->n[0];
    for (size_t i = n - 1; i < in->count; i++)
        ret[i] = mean(in, i, n) + sign * (real)in->n[1] * deviation(in, i, n);
}

static void ref_bb_upper(const struct input *in, real *ret)
{
    bands(in, ret, 1);
}

static void ref_bb_middle(const struct input *in, real *ret)
{
    bands(in, ret, 0);
}

static void ref_bb_lower(const struct input *in, real *ret)
{
    bands(in, ret, -1);
}

/* Wilder's mean of x[1..]: seeded at row n with the mean of x[1..n]. */
static void wilder(const real *x, size_t count, size_t n, real *ret)
{
    real sum = 0;
    for (size_t i = 1; i <= n && i < count; i++)
        sum += x[i];
    for (size_t i = n; i < count; i++)
        ret[i] = i == n ? sum / (real)n : (ret[i - 1] * ((real)n - 1) + x[i]) / (real)n;
}

static void ref_atr(const struct input *in, real *ret)
{
    real *range = closes(in);
    for (size_t i = 1; i < in->count; i++) {
        real h = (real)in->bars[i].h, l = (real)in->bars[i].l, before = close_at(in, i - 1);
        range[i] = fmaxl(h - l, fmaxl(fabsl(before - h), fabsl(before - l)));
    }
    wilder(range, in->count, (size_t)in->n[0], ret);
    free(range);
}

static void ref_rsi(const struct input *in, real *ret)
{
    size_t n = (size_t)in->n[0];
    real *up = closes(in), *down = closes(in), *gain = closes(in), *loss = closes(in);
    for (size_t i = 1; i < in->count; i++) {
        real d = close_at(in, i) - close_at(in, i - 1);
        up[i] = d > 0 ? d : 0;
        down[i] = d < 0 ? -d : 0;
    }
    wilder(up, in->count, n, gain);
    wilder(down, in->count, n, loss);
    for (size_t i = n; i < in->count; i++)
        ret[i] = gain[i] + loss[i] == 0 ? 50 : 100 * gain[i] / (gain[i] + loss[i]);
    free(up);
    free(down);
    free(gain);
    free(loss);
}

static real stoch_raw(const struct input *in, size_t at)
{
    double high = -INFINITY, low = INFINITY;
    for (size_t i = at + 1 - (size_t)in->n[0]; i <= at; i++) {
        high = fmax(high, in->bars[i].h);
        low = fmin(low, in->bars[i].l);
    }
    if (fabs(high - low) <= 1e-14 * (fabs(high) + fabs(low)))
        return 0;
    return 100 * (close_at(in, at) - (real)low) / ((real)high - (real)low);
}

static real stoch_k(const struct input *in, size_t at)
{
    size_t s = (size_t)in->n[1];
    real sum = 0;
    for (size_t i = 0; i < s; i++)
        sum += stoch_raw(in, at - i);
    return sum / (real)s;
}

static size_t stoch_first(const struct input *in)
{
    return (size_t)(in->n[0] + in->n[1] + in->n[2]) - 3;
}

static void ref_stoch_k(const struct input *in, real *ret)
{
    for (size_t i = stoch_first(in); i < in->count; i++)
        ret[i] = stoch_k(in, i);
}

static void ref_stoch_d(const struct input *in, real *ret)
{
    size_t d = (size_t)in->n[2];
    for (size_t i = stoch_first(in); i < in->count; i++) {
        real sum = 0;
        for (size_t j = 0; j < d; j++)
            sum += stoch_k(in, i - j);
        ret[i] = sum / (real)d;
    }
}

/* ------------------------------------------------------------------------------------------------ volumes */

/* Whole millionths, which a long double holds exactly as far as 64 bits go; beyond there is no value any
 * more. */
static void ref_obv(const struct input *in, real *ret)
{
    const real most = (real)INT64_MAX;
    real balance = 0;
    for (size_t i = 0; i < in->count && fabsl(balance) <= most; i++) {
        if (isnan(in->bars[i].v))
            continue;
        real micro = roundl((real)in->bars[i].v * 1000000);
        if (i == 0 || in->bars[i].c > in->bars[i - 1].c)
            balance += micro;
        else if (in->bars[i].c < in->bars[i - 1].c)
            balance -= micro;
        if (fabsl(balance) <= most)
            ret[i] = balance / 1000000;
    }
}

/* Up or down is decided in double, as the definition does: equal sums of ticks must count as equal. */
static double typical_double(const struct pgd_bar *bar)
{
    return (bar->h + bar->l + bar->c) / 3.0;
}

static void ref_mfi(const struct input *in, real *ret)
{
    size_t n = (size_t)in->n[0];
    for (size_t at = n; at < in->count; at++) {
        real up = 0, down = 0, all = 0;
        for (size_t i = at + 1 - n; i <= at; i++) {
            real flow = typical(&in->bars[i]) * (real)in->bars[i].v;
            double now = typical_double(&in->bars[i]), before = typical_double(&in->bars[i - 1]);
            all += flow;
            up += now > before ? flow : 0;
            down += now < before ? flow : 0;
        }
        ret[at] = isnan(all) ? absent() : up + down == 0 ? 50 : 100 * up / (up + down);
    }
}

static void ref_vwap_rows(const struct input *in, real *ret)
{
    size_t n = (size_t)in->n[0];
    for (size_t at = n - 1; at < in->count; at++) {
        real flow = 0, volume = 0;
        for (size_t i = at + 1 - n; i <= at; i++) {
            flow += volume_price(&in->bars[i]) * (real)in->bars[i].v;
            volume += (real)in->bars[i].v;
        }
        ret[at] = volume > 0 ? flow / volume : absent();
    }
}

/* UTC second of 02:00 standard time in New York on the nth Sunday (from 1; 0: the last) of a month; hour 7 or
 * 6 UTC. */
static int64_t nth_sunday(int year, int month, int nth, int hour)
{
    int64_t found = 0;
    for (int day = 1, seen = 0; day <= 31; day++) {
        struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};
        time_t at = timegm(&tm);
        if (tm.tm_mon != month - 1 || tm.tm_wday != 0)
            continue;
        seen++;
        if (nth == 0 || seen == nth)
            found = (int64_t)at;
    }
    return found;
}

/* Daylight time of a year. */
struct summer {
    int year;
    int64_t from, to;
};

static struct tm new_york(int64_t t_ms, struct summer *summer)
{
    time_t t = (time_t)(t_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&t, &utc);
    int year = utc.tm_year + 1900;
    if (year != summer->year) {
        summer->year = year;
        summer->from =
            year >= 2007 ? nth_sunday(year, 3, 2, 7) : nth_sunday(year, 4, year >= 1987 ? 1 : 0, 7);
        summer->to = year >= 2007 ? nth_sunday(year, 11, 1, 6) : nth_sunday(year, 10, 0, 6);
    }
    time_t local = t - (t >= summer->from && t < summer->to ? 4 : 5) * 3600;
    (void)gmtime_r(&local, &utc);
    return utc;
}

/* Day a bar counts for, or -1. */
static int session_day(const struct input *in, size_t i, int open_minute, int close_minute,
                       struct summer *summer)
{
    struct tm tm;
    time_t t = (time_t)(in->bars[i].t / 1000);
    if (in->session == PGD_SESSION_UTC) {
        (void)gmtime_r(&t, &tm);
        return tm.tm_year * 1000 + tm.tm_yday;
    }
    tm = new_york(in->bars[i].t, summer);
    int minute = tm.tm_hour * 60 + tm.tm_min;
    return minute >= open_minute && minute < close_minute ? tm.tm_year * 1000 + tm.tm_yday : -1;
}

static void vwap_session(const struct input *in, real *ret, int open_minute, int close_minute)
{
    struct summer summer = {0};
    int day = -1;
    real flow = 0, volume = 0;
    for (size_t i = 0; i < in->count; i++) {
        int now = session_day(in, i, open_minute, close_minute, &summer);
        if (now != day)
            flow = volume = 0;
        day = now;
        if (now < 0 || isnan(in->bars[i].v))
            continue;
        flow += volume_price(&in->bars[i]) * (real)in->bars[i].v;
        volume += (real)in->bars[i].v;
        if (volume > 0)
            ret[i] = flow / volume;
    }
}

static void ref_vwap(const struct input *in, real *ret)
{
    if (in->n[0] > 0)
        ref_vwap_rows(in, ret);
    else
        vwap_session(in, ret, 9 * 60 + 30, 16 * 60);
}

static void ref_vwap_ext(const struct input *in, real *ret)
{
    vwap_session(in, ret, 4 * 60, 20 * 60);
}

/* -------------------------------------------------------------------------------------------------- names */

static const struct {
    const char *stem;
    double defaults[3];
    void (*column)(const struct input *in, real *ret);
} columns[] = {
    {"sma", {0}, ref_sma},
    {"ema", {0}, ref_ema},
    {"wma", {0}, ref_wma},
    {"rsi", {0}, ref_rsi},
    {"macd", {12, 26, 9}, ref_macd},
    {"macd_signal", {12, 26, 9}, ref_macd_signal},
    {"macd_hist", {12, 26, 9}, ref_macd_hist},
    {"bb_upper", {20, 2}, ref_bb_upper},
    {"bb_middle", {20, 2}, ref_bb_middle},
    {"bb_lower", {20, 2}, ref_bb_lower},
    {"stddev", {0}, ref_stddev},
    {"atr", {0}, ref_atr},
    {"stoch_k", {14, 3, 3}, ref_stoch_k},
    {"stoch_d", {14, 3, 3}, ref_stoch_d},
    {"obv", {0}, ref_obv},
    {"mfi", {0}, ref_mfi},
    {"vwap", {0}, ref_vwap},
    {"vwap_ext", {0}, ref_vwap_ext},
};

bool ref_column(const char *name, const struct pgd_bar *bars, size_t count, enum pgd_session session,
                long double *ret)
{
    size_t stem = strcspn(name, "0123456789");
    if (name[stem] != '\0')
        stem--;
    for (size_t i = 0; i < count; i++)
        ret[i] = absent();
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (strlen(columns[i].stem) != stem || strncmp(columns[i].stem, name, stem) != 0)
            continue;
        struct input in = {.bars = bars, .count = count, .session = session};
        memcpy(in.n, columns[i].defaults, sizeof in.n);
        const char *at = name + stem;
        for (int k = 0; k < 3 && *at == '_'; k++) {
            char *end;
            in.n[k] = strtod(at + 1, &end);
            at = end;
        }
        columns[i].column(&in, ret);
        return true;
    }
    return false;
}

static bool starts_with(const char *name, const char *stem)
{
    return strncmp(name, stem, strlen(stem)) == 0;
}

/* The largest high of the last 300 rows: candidates are kept in a ring, each lower than those before
 * it. */
void ref_scales(const struct pgd_bar *bars, size_t count, double *ret)
{
    enum { scale_rows = 300, ring = 512 };
    size_t rows[ring], first = 0, end = 0;
    for (size_t i = 0; i < count; i++) {
        while (end > first && fabs(bars[rows[(end - 1) % ring]].h) <= fabs(bars[i].h))
            end--;
        rows[end++ % ring] = i;
        if (rows[first % ring] + scale_rows < i)
            first++;
        ret[i] = fabs(bars[rows[first % ring]].h);
    }
}

bool ref_agrees(const char *name, double scale, long double want, double got)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (starts_with(name, "obv")) /* the double nearest to an exact decimal: no more than half a step away */
        return fabsl(want - (real)got) <= (real)(nextafter(fabs(got), INFINITY) - fabs(got)) * 0.5001L;
    if (starts_with(name, "rsi") || starts_with(name, "stoch") || starts_with(name, "mfi"))
        return fabsl(want - (real)got) <= 1e-9L;
    return fabsl(want - (real)got) <= 1e-12L * fmaxl((real)scale, fabsl(want));
}
