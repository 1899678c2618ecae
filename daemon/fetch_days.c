#include "fetch_days.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache_time.h"
#include "kernels/engine.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  INT64_C(86400000)

int64_t fetch_day_start(int32_t day)
{
    return cache_time_day(PGD_STOCKS, day * DAY_MS + 12 * HOUR_MS);
}

static bool weekend(int32_t day)
{
    int32_t weekday = (day % 7 + 11) % 7; /* 0 Sunday; 1970-01-01 was a Thursday */
    return weekday == 0 || weekday == 6;
}

static bool within(int32_t day, const struct cache_range *known, unsigned count)
{
    int64_t from = fetch_day_start(day), to = fetch_day_start(day + 1);
    for (unsigned i = 0; i < count; i++)
        if (known[i].from <= from && (known[i].to >= to || cache_time_idle(PGD_STOCKS, known[i].to, to)))
            return true;
    return false;
}

int fetch_days_missing(struct fetch_days *ret, int64_t from_ms, int64_t to_ms,
                       const struct cache_range *known, unsigned known_count)
{
    int32_t first = pgk_new_york_day(from_ms), end = pgk_new_york_day(to_ms - 1) + 1;
    struct fetch_days days = {malloc(((size_t)(end - first) + known_count + 1) * sizeof *days.days), 0};
    if (!days.days)
        return -ENOMEM;
    for (int32_t day = first; day < end; day++)
        if (!weekend(day) && fetch_day_start(day) >= from_ms && fetch_day_start(day) < to_ms &&
            !within(day, known, known_count))
            days.days[days.count++] = day;
    *ret = days;
    return 0;
}

void fetch_days_add(struct fetch_days *days, int32_t day)
{
    unsigned at = 0;
    while (at < days->count && days->days[at] < day)
        at++;
    if (at < days->count && days->days[at] == day)
        return;
    memmove(days->days + at + 1, days->days + at, (days->count - at) * sizeof *days->days);
    days->days[at] = day;
    days->count++;
}

void fetch_days_free(struct fetch_days *days)
{
    free(days->days);
    *days = (struct fetch_days){0};
}

/* -------------------------------------------------------------------------------------------------- choosing
 */

struct rank {
    size_t symbol;
    unsigned lacks;
};

static int by_lacks(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    return x->lacks != y->lacks ? (x->lacks > y->lacks) - (x->lacks < y->lacks)
                                : (x->symbol > y->symbol) - (x->symbol < y->symbol);
}

/* A set of days, as a map from the earliest on. */
struct set {
    int32_t first;
    size_t size;
    size_t count;
    unsigned char *has;
};

static int set_init(struct set *set, const struct fetch_days *lacking, size_t count)
{
    int32_t first = INT32_MAX, last = INT32_MIN;
    for (size_t i = 0; i < count; i++)
        if (lacking[i].count) {
            int32_t a = lacking[i].days[0], b = lacking[i].days[lacking[i].count - 1];
            first = a < first ? a : first;
            last = b > last ? b : last;
        }
    *set = (struct set){.first = first, .size = first <= last ? (size_t)(last - first) + 1 : 0};
    set->has = calloc(set->size ? set->size : 1, 1);
    return set->has ? 0 : -ENOMEM;
}

static void set_add(struct set *set, const struct fetch_days *days)
{
    for (unsigned i = 0; i < days->count; i++) {
        unsigned char *has = &set->has[days->days[i] - set->first];
        set->count += !*has;
        *has = 1;
    }
}

static int set_days(const struct set *set, struct fetch_days *ret)
{
    struct fetch_days days = {malloc((set->count ? set->count : 1) * sizeof *days.days), 0};
    if (!days.days)
        return -ENOMEM;
    for (size_t i = 0; i < set->size; i++)
        if (set->has[i])
            days.days[days.count++] = set->first + (int32_t)i;
    *ret = days;
    return 0;
}

/* How many of the ranked symbols: those that lack fewest days first. */
static size_t best(struct set *set, const struct rank *ranks, size_t count, const struct fetch_days *lacking)
{
    size_t chosen = 0, least = count;
    for (size_t i = 0; i < count; i++) {
        set_add(set, &lacking[ranks[i].symbol]);
        size_t cost = set->count + (count - 1 - i);
        if (cost < least) {
            least = cost;
            chosen = i + 1;
        }
    }
    memset(set->has, 0, set->size);
    set->count = 0;
    return chosen;
}

int fetch_days_choose(struct fetch_days *ret, const struct fetch_days *lacking, size_t count, bool *chosen)
{
    struct set set;
    struct rank *ranks = malloc((count ? count : 1) * sizeof *ranks);
    size_t ranked = 0;
    if (!ranks || set_init(&set, lacking, count) < 0) {
        free(ranks);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        chosen[i] = false;
        if (lacking[i].count)
            ranks[ranked++] = (struct rank){i, lacking[i].count};
    }
    qsort(ranks, ranked, sizeof *ranks, by_lacks);
    size_t take = best(&set, ranks, ranked, lacking);
    for (size_t i = 0; i < take; i++) {
        chosen[ranks[i].symbol] = true;
        set_add(&set, &lacking[ranks[i].symbol]);
    }
    int r = set_days(&set, ret);
    free(set.has);
    free(ranks);
    return r;
}
