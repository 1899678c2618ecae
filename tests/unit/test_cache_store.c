/* What is kept and what is asked for again: ranges, days that are not over, splits, imports; files that are
 * damaged in every way; room. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "cache.h"
#include "cache_file.h"
#include "cache_read.h"
#include "unit/folder.h"

#define MIN  INT64_C(60000)
#define HOUR INT64_C(3600000)
#define DAY  INT64_C(86400000)

/* Wednesday 2026-07-15, 09:30 in New York; that day's start; noon of the next day, when it is final. */
#define OPEN  INT64_C(1784122200000)
#define DAY0  INT64_C(1784088000000)
#define NOON1 (DAY0 + DAY + 12 * HOUR)

static char directory[256];
static struct cache *cache;
static unsigned damaged;
static const struct cache_key aapl = {"AAPL", PGD_STOCKS, MIN};

static void on_damaged(void *user, const char *path, const char *why)
{
    (void)user;
    assert_non_null(path);
    assert_non_null(why);
    damaged++;
}

static void open_cache(uint64_t most)
{
    struct cache_options options = {directory, "https://example.com", most, on_damaged, NULL};
    assert_int_equal(cache_open(&cache, &options), 0);
}

static int setup(void **state)
{
    (void)state;
    damaged = 0;
    folder_make(directory);
    open_cache(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cache_close(cache);
    folder_remove(directory);
    return 0;
}

static struct pgd_bar bar_at(int64_t t, double price)
{
    return (struct pgd_bar){.t = t,
                            .o = price,
                            .h = price + 1,
                            .l = price - 1,
                            .c = price,
                            .v = 100,
                            .vw = price,
                            .n = 7,
                            .flags = PGD_BAR_REST};
}

/* `count` minutes from `t` on, fetched as [from, to) at `now`. */
static int store(const struct cache_key *key, int64_t t, size_t count, double price, int64_t from, int64_t to,
                 int64_t now, bool raw)
{
    struct pgd_bar *bars = calloc(count + 1, sizeof *bars);
    for (size_t i = 0; i < count; i++)
        bars[i] = bar_at(t + (int64_t)i * key->span_ms, price + (double)i / 1000);
    struct cache_fetched f = {from, to, bars, count, now, raw, false};
    int r = cache_store(cache, key, &f);
    free(bars);
    return r;
}

/* A whole trading day, 04:00 to 20:00, fetched as a day when it was final. */
static int store_day(const struct cache_key *key, int day, double price, bool raw)
{
    int64_t from = DAY0 + day * DAY;
    return store(key, from + 4 * HOUR, 960, price, from, from + DAY, from + DAY + 12 * HOUR, raw);
}

static struct cache_rows rows;

static void load(const struct cache_key *key, int64_t from, int64_t to, size_t limit)
{
    struct cache_window window = {from, to, limit, limit};
    assert_int_equal(cache_load(cache, key, &window, &rows), 0);
    for (size_t i = 1; i < rows.count; i++)
        assert_true(rows.bars[i].t > rows.bars[i - 1].t);
}

static void test_final_rows_need_no_question(void **state)
{
    (void)state;
    assert_int_equal(store_day(&aapl, 0, 100, false), 0);
    /* the evening of that day: nothing can have begun since 20:00 */
    load(&aapl, OPEN - 40 * DAY, DAY0 + DAY, 500);
    assert_int_equal(rows.count, 500);
    assert_int_equal(rows.bars[499].t, DAY0 + 20 * HOUR - MIN);
    assert_true(rows.bars[499].c == 100 + 0.959);
    assert_int_equal(rows.bars[499].flags, PGD_BAR_REST);
    assert_int_equal(rows.bars[499].n, 7);
    assert_true(rows.ask_ms == INT64_MAX);
    /* the next day: from the last final row on */
    load(&aapl, OPEN - 40 * DAY, DAY0 + DAY + 10 * HOUR, 500);
    assert_int_equal(rows.count, 500);
    assert_int_equal(rows.ask_ms, DAY0 + 20 * HOUR - MIN);
    /* more than there are: the front is missing, so all is asked for, and nothing is half shown */
    load(&aapl, OPEN - 40 * DAY, DAY0 + DAY, 1000);
    assert_int_equal(rows.count, 0);
    assert_int_equal(rows.ask_ms, OPEN - 40 * DAY);
    /* but not when the window begins where the rows do */
    load(&aapl, DAY0, DAY0 + DAY, 1000);
    assert_int_equal(rows.count, 960);
    assert_true(rows.ask_ms == INT64_MAX);
    /* somebody else's rows are nobody's */
    load(&(struct cache_key){"AAPl", PGD_STOCKS, MIN}, DAY0, DAY0 + DAY, 1000);
    assert_int_equal(rows.count, 0);
    load(&(struct cache_key){"AAPL", PGD_STOCKS, 1000}, DAY0, DAY0 + DAY, 1000);
    assert_int_equal(rows.count, 0);
    struct cache_window none = {DAY0, DAY0 + DAY, 0, 0};
    assert_int_equal(cache_load(cache, &aapl, &none, &rows), -EINVAL);
    /* a thousand if there are, five hundred at least */
    struct cache_window more = {OPEN - 40 * DAY, DAY0 + DAY, 500, 1000};
    assert_int_equal(cache_load(cache, &aapl, &more, &rows), 0);
    assert_int_equal(rows.count, 960);
    assert_true(rows.ask_ms == INT64_MAX);
}

static void test_today_is_shown_but_asked_for_again(void **state)
{
    (void)state;
    int64_t now = OPEN + 30 * MIN;
    assert_int_equal(store_day(&aapl, -1, 100, false), 0);
    assert_int_equal(store(&aapl, OPEN, 30, 101, DAY0, now, now, false), 0);
    load(&aapl, DAY0 - DAY, now + 10 * MIN, 990);
    assert_int_equal(rows.count, 990);
    assert_int_equal(rows.bars[989].t, now - MIN);
    assert_int_equal(rows.ask_ms, DAY0 - DAY + 20 * HOUR - MIN);
    /* the day after, the rows that were not final then are gone where the new answer does not have them */
    assert_int_equal(store(&aapl, OPEN + MIN, 28, 101, DAY0, DAY0 + DAY, NOON1, false), 0);
    load(&aapl, DAY0, DAY0 + DAY, 100);
    assert_int_equal(rows.count, 28);
}

static void test_an_unchecked_day_is_forgotten(void **state)
{
    (void)state;
    int64_t now = OPEN + 30 * MIN;
    assert_int_equal(store_day(&aapl, -1, 100, false), 0);
    assert_int_equal(store(&aapl, OPEN, 30, 101, DAY0, now, now, false), 0);
    /* two days later only the third day is fetched: what was provisional stays a hole */
    assert_int_equal(store_day(&aapl, 1, 103, false), 0);
    load(&aapl, DAY0 - DAY, DAY0 + 2 * DAY, 5000);
    assert_int_equal(rows.count, 960);
    assert_int_equal(rows.ask_ms, DAY0 - DAY + 20 * HOUR - MIN);
}

static void test_nothing_there_is_knowledge(void **state)
{
    (void)state;
    int64_t now = NOON1;
    struct cache_key thin = {"THIN", PGD_STOCKS, MIN};
    assert_int_equal(store_day(&aapl, 0, 100, false), 0); /* the market was open: AAPL's late bars show it */
    assert_int_equal(store(&thin, 0, 0, 0, DAY0 - 40 * DAY, now, now, false), 0);
    load(&thin, DAY0 - 40 * DAY, DAY0 + DAY, 100);
    assert_int_equal(rows.count, 0);
    assert_true(rows.ask_ms == INT64_MAX);
    load(&thin, DAY0 - 40 * DAY, now, 100);
    assert_int_equal(rows.ask_ms, DAY0 + DAY); /* today only */
}

static void test_a_lagging_feed_settles_nothing(void **state)
{
    (void)state;
    /* asked up to Friday noon, but the vendor's newest bar is Wednesday's, 11:00 */
    assert_int_equal(store(&aapl, OPEN, 90, 100, DAY0, DAY0 + 2 * DAY, DAY0 + 2 * DAY + 12 * HOUR, false), 0);
    load(&aapl, DAY0, DAY0 + 2 * DAY, 90);
    assert_int_equal(rows.count, 90);
    assert_int_equal(rows.ask_ms, OPEN);
}

static void test_months_are_joined_and_holes_found(void **state)
{
    (void)state;
    struct cache_key btc = {"X:BTC-USD", PGD_CRYPTO, MIN};
    int64_t august = INT64_C(1785542400000); /* 2026-08-01 00:00 UTC */
    int64_t now = august + 10 * DAY;
    assert_int_equal(
        store(&btc, august - 500 * MIN, 1000, 50000, august - 500 * MIN, august + 500 * MIN, now, false), 0);
    load(&btc, august - 500 * MIN, august + 500 * MIN, 1000);
    assert_int_equal(rows.count, 1000);
    assert_int_equal(
        store(&btc, august + 600 * MIN, 100, 50000, august + 600 * MIN, august + 700 * MIN, now, false), 0);
    load(&btc, august - 500 * MIN, august + 700 * MIN, 5000);
    assert_int_equal(rows.count, 1000);
    /* the stretch between was made final by nothing: see test_a_lagging_feed; here the newest bar is of 1
     * August */
    assert_true(rows.ask_ms <= august + 500 * MIN);
    assert_int_equal(
        store(&btc, august + 500 * MIN, 100, 50001, august + 500 * MIN, august + 600 * MIN, now, false), 0);
    load(&btc, august - 500 * MIN, august + 700 * MIN, 5000);
    assert_int_equal(rows.count, 1200);
}

static void test_a_split_drops_everything(void **state)
{
    (void)state;
    struct cache_key seconds = {"AAPL", PGD_STOCKS, 1000};
    assert_int_equal(store_day(&aapl, 0, 100, false), 0);
    assert_int_equal(store(&seconds, OPEN, 10, 100, DAY0, DAY0 + DAY, NOON1, false), 0);
    int64_t last = DAY0 + 20 * HOUR - MIN;
    /* the same row again: nothing happens */
    assert_int_equal(store(&aapl, last, 1, 100.959, last, DAY0 + DAY, NOON1, false), 0);
    assert_int_equal(store(&aapl, last, 1, 50.4795, last, DAY0 + DAY, NOON1, false), -ESTALE);
    assert_int_equal(cache_stats(cache).stale, 1);
    load(&aapl, DAY0, DAY0 + DAY, 100);
    assert_int_equal(rows.count, 0);
    load(&seconds, DAY0, DAY0 + DAY, 100);
    assert_int_equal(rows.count, 0);
    assert_int_equal(store_day(&aapl, 0, 50, false), 0);
}

static void test_volume_alone_is_a_correction(void **state)
{
    (void)state;
    assert_int_equal(store_day(&aapl, 0, 100, false), 0);
    struct pgd_bar bar = bar_at(DAY0 + 20 * HOUR - MIN, 100.959);
    bar.v = 4321;
    struct cache_fetched f = {bar.t, bar.t + MIN, &bar, 1, NOON1, false, false};
    assert_int_equal(cache_store(cache, &aapl, &f), 0);
    load(&aapl, DAY0, DAY0 + DAY, 1);
    assert_true(rows.bars[0].v == 4321);
}

static void test_imports_are_kept_apart(void **state)
{
    (void)state;
    assert_int_equal(store_day(&aapl, 0, 100, true), 0);
    load(&aapl, DAY0, DAY0 + DAY, 500);
    assert_int_equal(rows.count, 500);
    assert_true(rows.ask_ms == INT64_MAX);
    /* older days after newer ones, and no row of one is lost */
    assert_int_equal(store_day(&aapl, -1, 99, true), 0);
    load(&aapl, DAY0 - DAY, DAY0 + DAY, 5000);
    assert_int_equal(rows.count, 1920);
    /* fetched rows go before imported ones */
    assert_int_equal(store(&aapl, OPEN, 2, 50.165, OPEN, OPEN + 2 * MIN, NOON1, false), -ESTALE);
    load(&aapl, DAY0 - DAY, DAY0 + DAY, 5000);
    assert_int_equal(rows.count, 0);
    assert_int_equal(store_day(&aapl, 0, 100, true), 0);
    struct pgd_bar same = bar_at(OPEN, 100.33);
    same.v = 5;
    struct cache_fetched f = {OPEN, OPEN + MIN, &same, 1, NOON1, false, false};
    assert_int_equal(cache_store(cache, &aapl, &f), 0);
    load(&aapl, DAY0, DAY0 + DAY, 5000);
    assert_int_equal(rows.count, 960);
    assert_int_equal(rows.bars[330].t, OPEN);
    assert_true(rows.bars[330].v == 5);
}

static void test_an_import_across_a_split_does_not_serve(void **state)
{
    (void)state;
    assert_int_equal(store_day(&aapl, -1, 200, true), 0);
    assert_int_equal(store_day(&aapl, 0, 100, true), 0);
    load(&aapl, DAY0, DAY0 + DAY, 5000);
    assert_int_equal(rows.count, 960);
    load(&aapl, DAY0 - DAY, DAY0 + DAY, 5000);
    assert_int_equal(rows.count, 0);
    assert_int_equal(rows.ask_ms, DAY0 - DAY);
}

static void test_what_is_known(void **state)
{
    (void)state;
    struct cache_known known = {0};
    struct cache_range window = {DAY0 - 40 * DAY, DAY0 + 40 * DAY};
    struct cache_range part = {OPEN, OPEN + HOUR};
    assert_int_equal(cache_known(cache, &aapl, &window, true, &known), 0);
    assert_int_equal(known.count, 0);
    assert_int_equal(store_day(&aapl, -1, 100, false), 0);
    assert_int_equal(store_day(&aapl, 0, 100, false), 0);
    assert_int_equal(store_day(&aapl, 2, 100, true), 0);
    /* the fourth day is not over: it is there, but not for good */
    assert_int_equal(store(&aapl, OPEN + 5 * DAY, 30, 100, DAY0 + 5 * DAY, OPEN + 5 * DAY + HOUR,
                           OPEN + 5 * DAY + HOUR, false),
                     0);
    assert_int_equal(cache_known(cache, &aapl, &window, true, &known), 0);
    assert_int_equal(known.count, 2);
    assert_true(known.ranges[0].from == DAY0 - DAY && known.ranges[0].to == DAY0 + DAY);
    assert_true(known.ranges[1].from == DAY0 + 2 * DAY && known.ranges[1].to == DAY0 + 3 * DAY);
    assert_true(known.imported);
    assert_int_equal(cache_known(cache, &aapl, &window, false, &known), 0);
    assert_true(known.count == 1 && !known.imported);
    assert_int_equal(cache_known(cache, &aapl, &part, true, &known), 0);
    assert_true(known.count == 1 && known.ranges[0].from == part.from && known.ranges[0].to == part.to);
    assert_false(known.imported);
    cache_known_fini(&known);
}

static void test_impossible_rows_are_refused(void **state)
{
    (void)state;
    struct pgd_bar two[2] = {bar_at(OPEN, 1), bar_at(OPEN, 1)};
    struct cache_fetched f = {OPEN, OPEN + HOUR, two, 2, NOON1, false, false};
    assert_int_equal(cache_store(cache, &aapl, &f), -EINVAL); /* twice the same start */
    two[1] = bar_at(OPEN + HOUR, 1);
    assert_int_equal(cache_store(cache, &aapl, &f), -EINVAL); /* outside */
    two[1] = bar_at(OPEN + MIN, NAN);
    assert_int_equal(cache_store(cache, &aapl, &f), -EINVAL);
    two[1] = bar_at(OPEN + 1, 1);
    assert_int_equal(cache_store(cache, &aapl, &f), -EINVAL); /* no minute */
    two[1] = bar_at(OPEN + MIN, 1);
    two[1].v = NAN; /* an index */
    two[1].vw = NAN;
    assert_int_equal(cache_store(cache, &aapl, &f), 0);
    f.to_ms = f.from_ms;
    assert_int_equal(cache_store(cache, &aapl, &f), -EINVAL);
}

/* ------------------------------------------------------------------------------------------------ damage */

static void only_file(char ret[512], const char *pattern)
{
    char full[512];
    glob_t g;
    snprintf(full, sizeof full, "%s/v1/%s", directory, pattern);
    assert_int_equal(glob(full, 0, NULL, &g), 0);
    assert_int_equal(g.gl_pathc, 1);
    snprintf(ret, 512, "%s", g.gl_pathv[0]);
    globfree(&g);
}

#define THE_FILE "example.com/stocks/1m/*/*.bars"

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    if (size)
        assert_int_equal(fwrite(bytes, size, 1, f), 1);
    fclose(f);
}

static size_t read_file(const char *path, uint8_t **ret)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *ret = malloc((size_t)st.st_size);
    assert_int_equal(fread(*ret, (size_t)st.st_size, 1, f), 1);
    fclose(f);
    return (size_t)st.st_size;
}

/* Whatever is wrong: no rows, all is asked for, the file is out of the way, and a new one works. */
static void assert_refused(const char *path, const void *bytes, size_t size)
{
    unsigned before = damaged;
    write_file(path, bytes, size);
    load(&aapl, DAY0, DAY0 + DAY, 10);
    assert_int_equal(rows.count, 0);
    assert_int_equal(rows.ask_ms, DAY0);
    assert_int_equal(damaged, before + 1);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    char path[512];
    uint8_t *bytes;
    assert_int_equal(store(&aapl, OPEN, 5, 100, DAY0, DAY0 + DAY, NOON1, false), 0);
    only_file(path, THE_FILE);
    size_t size = read_file(path, &bytes);
    assert_int_equal(size, cache_file_size(5));
    for (size_t n = 0; n < size; n++)
        assert_refused(path, bytes, n);
    assert_int_equal(cache_stats(cache).damaged, size);
    write_file(path, bytes, size);
    load(&aapl, DAY0, DAY0 + DAY, 10);
    assert_int_equal(rows.count, 5);
    free(bytes);
}

static void test_any_bit_flipped(void **state)
{
    (void)state;
    char path[512];
    uint8_t *bytes;
    assert_int_equal(store(&aapl, OPEN, 5, 100, DAY0, DAY0 + DAY, NOON1, false), 0);
    only_file(path, THE_FILE);
    size_t size = read_file(path, &bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_refused(path, bytes, size);
        bytes[i] ^= (uint8_t)(1u << i % 8);
    }
    free(bytes);
}

static void test_foreign_files(void **state)
{
    (void)state;
    char path[512], other[512];
    uint8_t *bytes;
    assert_int_equal(store(&aapl, OPEN, 5, 100, DAY0, DAY0 + DAY, NOON1, false), 0);
    only_file(path, THE_FILE);
    size_t size = read_file(path, &bytes);
    /* a good file under another name, and in another period */
    struct cache_key msft = {"MSFT", PGD_STOCKS, MIN};
    snprintf(other, sizeof other, "%.*s/MSFT.bars", (int)(strrchr(path, '/') - path), path);
    write_file(other, bytes, size);
    load(&msft, DAY0, DAY0 + DAY, 10);
    assert_int_equal(rows.count, 0);
    assert_int_equal(damaged, 1);
    /* a link, a folder */
    assert_int_equal(symlink(path, other), 0);
    load(&msft, DAY0, DAY0 + DAY, 10);
    assert_int_equal(rows.count, 0);
    assert_int_equal(damaged, 2);
    assert_int_equal(mkdir(other, 0700), 0);
    load(&msft, DAY0, DAY0 + DAY, 10);
    assert_int_equal(rows.count, 0);
    assert_int_equal(damaged, 3);
    load(&aapl, DAY0, DAY0 + DAY, 10);
    assert_int_equal(rows.count, 5);
    free(bytes);
}

static void test_a_file_cut_while_it_is_read(void **state)
{
    (void)state;
    char path[512];
    uint8_t bytes[64];
    struct cache_read file;
    assert_int_equal(store_day(&aapl, 0, 100, false), 0);
    only_file(path, THE_FILE);
    assert_int_equal(cache_read_open(&file, AT_FDCWD, path, 1 << 20), 0);
    assert_int_equal(cache_read_bytes(&file, file.size - sizeof bytes, bytes, sizeof bytes), 0);
    assert_int_equal(truncate(path, (off_t)file.size - 1), 0);
    assert_int_equal(cache_read_bytes(&file, file.size - sizeof bytes, bytes, sizeof bytes), -EIO);
    assert_int_equal(cache_read_bytes(&file, file.size, bytes, 1), -EIO);
    cache_read_close(&file);
}

static void test_a_full_disk_loses_nothing_but_the_copy(void **state)
{
    (void)state;
    char path[512];
    assert_int_equal(store(&aapl, OPEN, 5, 100, DAY0, DAY0 + DAY, NOON1, false), 0);
    only_file(path, THE_FILE);
    /* a folder where the file should go makes rename fail as a full disk makes write fail */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    char inside[600];
    snprintf(inside, sizeof inside, "%.500s/x", path);
    write_file(inside, "x", 1);
    int r = store(&aapl, OPEN, 5, 100, DAY0, DAY0 + DAY, NOON1, false);
    assert_true(r == 0 || r < 0);
    glob_t g;
    char pattern[600];
    snprintf(pattern, sizeof pattern, "%.*s/.new-*", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(glob(pattern, 0, NULL, &g), GLOB_NOMATCH); /* no litter */
}

/* ---------------------------------------------------------------------------------------------- room */

static void test_least_recently_used_go_first(void **state)
{
    (void)state;
    char symbol[16], path[512];
    cache_close(cache);
    uint64_t each = (cache_file_size(960) + 4095) / 4096 * 4096;
    open_cache(10 * each);
    for (int i = 0; i < 10; i++) {
        snprintf(symbol, sizeof symbol, "S%d", i);
        assert_int_equal(store_day(&(struct cache_key){symbol, PGD_STOCKS, MIN}, 0, 100, false), 0);
        /* S0 was used last, S9 longest ago */
        snprintf(path, sizeof path, "%s/v1/example.com/stocks/1m/2026-07/S%d.bars", directory, i);
        struct timespec times[2] = {{.tv_sec = 1000000 - i}, {.tv_sec = 1000000 - i}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    load(&(struct cache_key){"S9", PGD_STOCKS, MIN}, DAY0, DAY0 + DAY, 10); /* is used again */
    assert_int_equal(rows.count, 10);
    assert_int_equal(cache_stats(cache).evicted, 0);
    assert_int_equal(store_day(&aapl, 0, 100, false), 0);
    assert_int_equal(cache_stats(cache).evicted, 2);
    assert_true(cache_stats(cache).bytes <= 10 * each);
    static const int there[] = {1, 1, 1, 1, 1, 1, 1, 0, 0, 1};
    for (int i = 0; i < 10; i++) {
        snprintf(symbol, sizeof symbol, "S%d", i);
        load(&(struct cache_key){symbol, PGD_STOCKS, MIN}, DAY0, DAY0 + DAY, 10);
        assert_int_equal(rows.count, there[i] ? 10 : 0);
    }
}

static void test_what_killed_writers_left(void **state)
{
    (void)state;
    char path[512], folder[512];
    assert_int_equal(store_day(&aapl, 0, 100, false), 0);
    only_file(path, THE_FILE);
    snprintf(folder, sizeof folder, "%.*s/.new-1-1", (int)(strrchr(path, '/') - path), path);
    write_file(folder, "x", 1);
    cache_trim(cache);
    assert_int_equal(access(folder, F_OK), 0); /* its writer may be alive */
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, folder, times, 0), 0);
    cache_trim(cache);
    assert_int_equal(access(folder, F_OK), -1);
    assert_int_equal(cache_stats(cache).bytes, (cache_file_size(960) + 4095) / 4096 * 4096);
}

/* Two caches on one folder, as two daemons have them: no update is lost. */
static void *write_days(void *arg)
{
    int first = *(int *)arg;
    for (int day = first; day < 10; day += 2) {
        struct pgd_bar bar = bar_at(DAY0 + day * DAY + 10 * HOUR, 100 + day);
        struct cache_fetched f = {
            DAY0 + day * DAY, DAY0 + day * DAY + DAY, &bar, 1, NOON1 + 30 * DAY, true, false};
        struct cache_options options = {directory, "https://example.com", 0, NULL, NULL};
        struct cache *own;
        if (cache_open(&own, &options) < 0 || cache_store(own, &aapl, &f) < 0)
            return arg;
        cache_close(own);
    }
    return NULL;
}

static void test_two_writers(void **state)
{
    (void)state;
    pthread_t threads[2];
    int first[2] = {0, 1};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_days, &first[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    load(&aapl, DAY0, DAY0 + 10 * DAY, 100);
    assert_int_equal(rows.count, 10);
}

static void test_where_it_is(void **state)
{
    (void)state;
    char place[300];
    unsetenv("CACHE_DIRECTORY");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/home/me", 1);
    assert_int_equal(cache_directory(place, sizeof place), 0);
    assert_string_equal(place, "/home/me/.cache/polygond");
    setenv("XDG_CACHE_HOME", "/x", 1);
    assert_int_equal(cache_directory(place, sizeof place), 0);
    assert_string_equal(place, "/x/polygond");
    setenv("CACHE_DIRECTORY", "/var/cache/polygond:/other", 1);
    assert_int_equal(cache_directory(place, sizeof place), 0);
    assert_string_equal(place, "/var/cache/polygond");
    unsetenv("CACHE_DIRECTORY");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_int_equal(cache_directory(place, sizeof place), -ENOENT);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_final_rows_need_no_question),
        T(test_today_is_shown_but_asked_for_again),
        T(test_an_unchecked_day_is_forgotten),
        T(test_nothing_there_is_knowledge),
        T(test_a_lagging_feed_settles_nothing),
        T(test_months_are_joined_and_holes_found),
        T(test_a_split_drops_everything),
        T(test_volume_alone_is_a_correction),
        T(test_imports_are_kept_apart),
        T(test_an_import_across_a_split_does_not_serve),
        T(test_what_is_known),
        T(test_impossible_rows_are_refused),
        T(test_cut_at_every_byte),
        T(test_any_bit_flipped),
        T(test_foreign_files),
        T(test_a_file_cut_while_it_is_read),
        T(test_a_full_disk_loses_nothing_but_the_copy),
        T(test_least_recently_used_go_first),
        T(test_what_killed_writers_left),
        T(test_two_writers),
        T(test_where_it_is),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    cache_rows_fini(&rows);
    return r;
}
