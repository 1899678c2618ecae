#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "instance.h"
#include "shm/board.h"
#include "shm/wake.h"

static struct pgd_board_config config(uint32_t symbol_max)
{
    return (struct pgd_board_config){.symbol_max = symbol_max,
                                     .error_max = 4,
                                     .control = "/run/polygond/control",
                                     .version = "0.1.0",
                                     .mode = 0600,
                                     .gid = (gid_t)-1};
}

static struct pgd_board_writer own(uint32_t symbol_max)
{
    struct pgd_board_writer w;
    struct pgd_board_config c = config(symbol_max);
    assert_int_equal(pgd_board_own(&w, instance(), &c), 0);
    return w;
}

static struct pgd_board_reader attach(void)
{
    struct pgd_board_reader r;
    assert_int_equal(pgd_board_attach(&r, instance()), 0);
    return r;
}

static int32_t add(struct pgd_board_writer *w, const char *name)
{
    return pgd_board_add_symbol(w, name, strlen(name), PGD_STOCKS);
}

static void one_daemon_an_instance(void **state)
{
    (void)state;
    struct pgd_board_reader r;
    assert_int_equal(pgd_board_attach(&r, instance()), -ENOENT);
    struct pgd_board_writer w = own(100), second;
    struct pgd_board_config c = config(100);
    assert_int_equal(pgd_board_own(&second, instance(), &c), -EBUSY);
    c.symbol_max = 200;
    assert_int_equal(pgd_board_own(&second, instance(), &c), -EBUSY);
    r = attach();
    assert_false(pgd_board_stale(&r));
    assert_int_equal(pgd_board_alive(&r), 1);
    pgd_board_close(&w);
    assert_int_equal(pgd_board_alive(&r), 0);
    w = own(100);
    assert_true(w.map.adopted);
    assert_int_equal(pgd_board_alive(&r), 1);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void lock_ends_with_the_process(void **state)
{
    (void)state;
    need_fork();
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork_child();
    if (child == 0) {
        struct pgd_board_writer w = own(100);
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
        pgd_board_close(&w);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    struct pgd_board_reader r = attach();
    assert_int_equal(pgd_board_alive(&r), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(pgd_board_alive(&r), 0);
    pgd_board_detach(&r);
    close(ready[0]);
    close(ready[1]);
}

static void symbols_are_found(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(1000);
    struct pgd_board_reader r = attach();
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "SYM%d", i);
        assert_int_equal(pgd_board_find(&r, name), -ENOENT);
        assert_int_equal(add(&w, name), i);
        assert_int_equal(pgd_board_find(&r, name), i);
    }
    assert_int_equal(add(&w, "SYM7"), 7);
    assert_int_equal(add(&w, "ONE.MORE"), -ENOSPC);
    assert_int_equal(pgd_board_symbols(&r), 1000);
    struct pgd_symbol s;
    assert_int_equal(pgd_board_symbol(&r, 999, &s), 0);
    assert_string_equal(s.name, "SYM999");
    assert_int_equal(s.cluster, PGD_STOCKS);
    assert_int_equal(pgd_board_symbol(&r, 1000, &s), -ENOENT);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void odd_names_are_refused(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(10);
    struct pgd_board_reader r = attach();
    static const char *const bad[] = {
        "", "A B", "A\n", "A\x7f", "\xc3\xa4", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUV"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(add(&w, bad[i]), -EINVAL);
        assert_int_equal(pgd_board_find(&r, bad[i]), -ENOENT);
    }
    assert_int_equal(add(&w, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTU"), 0);
    assert_int_equal(add(&w, "C:EUR-USD"), 1);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void restart_keeps_the_directory(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(100);
    struct pgd_board_reader r = attach();
    uint64_t epoch = pgd_board_epoch(&r);
    assert_int_equal(epoch, w.epoch);
    assert_int_equal(add(&w, "AAPL"), 0);
    assert_int_equal(add(&w, "MSFT"), 1);
    w.symbols[1].state = PGD_SYM_LIVE;
    w.symbols[1].acked = 3;
    w.symbols[1].events = 12;
    pgd_count(&w, PGD_C_trades, 5);
    pgd_board_error(&w, "ws", "refused");
    pgd_board_close(&w);
    w = own(100);
    assert_true(w.map.adopted);
    assert_int_equal(pgd_board_epoch(&r), epoch + 1);
    assert_int_equal(pgd_board_find(&r, "MSFT"), 1);
    struct pgd_symbol s;
    assert_int_equal(pgd_board_symbol(&r, 1, &s), 0);
    assert_true(s.state == 0 && s.acked == 0 && s.events == 0 && s.cluster == PGD_STOCKS);
    struct pgd_counter c;
    assert_int_equal(pgd_board_counter(&r, PGD_C_trades, &c), 0);
    assert_string_equal(c.name, "trades");
    assert_int_equal(c.value, 0);
    assert_int_equal(pgd_board_errors(&r), 1);
    assert_int_equal(add(&w, "NVDA"), 2);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

/* Indexes never change hands: a larger board takes the names over, and the other segments stay adoptable; one
 * that cannot hold them starts a directory that no old segment belongs to. */
static void another_layout_keeps_or_changes_the_directory(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(100);
    struct pgd_owner first = pgd_board_owner(&w, instance());
    assert_int_equal(add(&w, "AAPL"), 0);
    assert_int_equal(add(&w, "MSFT"), 1);
    struct pgd_board_reader old = attach();
    pgd_board_close(&w);
    w = own(200);
    assert_false(w.map.adopted);
    assert_true(pgd_board_stale(&old));
    struct pgd_owner second = pgd_board_owner(&w, instance());
    assert_int_equal(second.directory, first.directory);
    assert_int_equal(second.epoch, first.epoch + 1);
    struct pgd_board_reader r = attach();
    assert_int_equal(pgd_board_find(&r, "MSFT"), 1);
    pgd_board_detach(&r);
    pgd_board_close(&w);
    w = own(1);
    struct pgd_owner third = pgd_board_owner(&w, instance());
    assert_int_not_equal(third.directory, first.directory);
    assert_true(third.epoch > second.epoch);
    r = attach();
    assert_int_equal(pgd_board_symbols(&r), 0);
    pgd_board_detach(&r);
    pgd_board_detach(&old);
    pgd_board_close(&w);
}

/* Died between the hash slot and the count. */
static void uncounted_symbol_leaves_no_trace(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(100);
    assert_int_equal(add(&w, "AAPL"), 0);
    assert_int_equal(add(&w, "GHOST"), 1);
    shm_store64(&w.board->symbol_count, 1);
    struct pgd_board_reader r = attach();
    assert_int_equal(pgd_board_find(&r, "GHOST"), -ENOENT);
    pgd_board_close(&w);
    w = own(100);
    unsigned used = 0;
    for (uint32_t i = 0; i < w.board->hash_slots; i++)
        used += w.hash[i] != 0;
    assert_int_equal(used, 1);
    assert_int_equal(add(&w, "MSFT"), 1);
    assert_int_equal(pgd_board_find(&r, "GHOST"), -ENOENT);
    assert_int_equal(pgd_board_find(&r, "MSFT"), 1);
    assert_int_equal(pgd_board_find(&r, "AAPL"), 0);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void errors_are_distinct(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(10);
    struct pgd_board_reader r = attach();
    struct pgd_error e;
    char text[400];
    memset(text, 'x', sizeof text);
    text[399] = '\0';
    for (int i = 0; i < 5; i++)
        pgd_board_error(&w, "ws", "closed");
    pgd_board_error(&w, "rest", "closed");
    pgd_board_error(&w, "a place with a very long name indeed", text);
    pgd_board_error(&w, "a place with a very long name indeed", text);
    assert_int_equal(pgd_board_errors(&r), 3);
    assert_int_equal(pgd_board_get_error(&r, 0, &e), 0);
    assert_int_equal(e.count, 5);
    assert_string_equal(e.where, "ws");
    assert_true(e.last_ns >= e.first_ns && e.first_ns > 0);
    assert_int_equal(pgd_board_get_error(&r, 2, &e), 0);
    assert_int_equal(e.count, 2);
    assert_int_equal(strlen(e.text), 199);
    assert_int_equal(pgd_board_get_error(&r, 3, &e), -ENOENT);
    pgd_board_error(&w, "ws", "fourth");
    pgd_board_error(&w, "ws", "closed");
    pgd_board_error(&w, "ws", "fifth"); /* pushes out "rest: closed", the least recent */
    assert_int_equal(pgd_board_errors(&r), 4);
    assert_int_equal(pgd_board_get_error(&r, 1, &e), 0);
    assert_string_equal(e.text, "fifth");
    assert_int_equal(e.count, 1);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void torn_error_is_cleared(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(10);
    pgd_board_error(&w, "ws", "one");
    struct pgd_error *e = (struct pgd_error *)(w.map.base + w.board->errors_offset);
    e->seq++;
    struct pgd_board_reader r = attach();
    struct pgd_error got;
    assert_int_equal(pgd_board_get_error(&r, 0, &got), -EAGAIN);
    pgd_board_close(&w);
    w = own(10);
    assert_int_equal(pgd_board_get_error(&r, 0, &got), -ENOENT);
    pgd_board_error(&w, "ws", "two");
    assert_int_equal(pgd_board_get_error(&r, 1, &got), 0);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

/* Holes are read while the daemon lives, after it died, and by the run that follows; one it died in is none.
 */
static void gaps_are_kept(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(10);
    struct pgd_board_reader r = attach();
    struct pgd_gap got, gap = {.id = 7,
                               .symbol = 3,
                               .topic = PGD_QUOTES,
                               .from_ns = 5,
                               .to_ns = INT64_MAX,
                               .why = PGD_GAP_SILENCE,
                               .state = PGD_GAP_FILLING,
                               .tries = 2,
                               .filled = 9};
    assert_int_equal(pgd_board_gaps(&r), 0);
    assert_int_equal(pgd_board_gap(&r, 0, &got), -ENOENT);
    uint32_t max = pgd_board_gap_max(&w);
    assert_true(max >= 4 * 10 + 1);
    pgd_board_set_gap(&w, 2, &gap);
    pgd_board_set_gap(&w, max - 1, &gap);
    pgd_board_set_gap(&w, max, &gap); /* outside: ignored */
    assert_int_equal(pgd_board_gaps(&r), max);
    assert_int_equal(pgd_board_gap(&r, 1, &got), -ENOENT);
    assert_int_equal(pgd_board_gap(&r, 2, &got), 0);
    got.seq = 0;
    assert_memory_equal(&got, &gap, sizeof gap);
    gap.id = 8;
    pgd_board_set_gap(&w, 3, &gap);
    shm_store64((uint64_t *)(void *)(w.map.base + w.board->gaps_offset + 3 * sizeof gap), 5); /* torn */
    assert_int_equal(pgd_board_gap(&r, 3, &got), -EAGAIN);
    pgd_board_close(&w);
    assert_int_equal(pgd_board_gap(&r, 2, &got), 0);
    w = own(10);
    assert_true(w.map.adopted);
    assert_false(pgd_board_old_gap(&w, 1, &got));
    assert_true(pgd_board_old_gap(&w, 2, &got));
    assert_int_equal(got.id, 7);
    assert_false(pgd_board_old_gap(&w, 3, &got));
    assert_int_equal(pgd_board_gap(&r, 3, &got), -ENOENT);
    assert_true(pgd_board_old_gap(&w, max - 1, &got));
    assert_false(pgd_board_old_gap(&w, max, &got));
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void connections_segments_and_run(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(10);
    struct pgd_board_reader r = attach();
    struct pgd_conn conn = {.cluster = PGD_CRYPTO,
                            .state = PGD_CONN_LIVE,
                            .connects = 3,
                            .url = "wss://x/crypto"},
                    got;
    pgd_board_set_conn(&w, &conn);
    assert_int_equal(pgd_board_conn(&r, PGD_CRYPTO, &got), 0);
    assert_int_equal(got.state, PGD_CONN_LIVE);
    assert_string_equal(got.url, "wss://x/crypto");
    assert_int_equal(pgd_board_conn(&r, PGD_STOCKS, &got), 0);
    assert_int_equal(got.state, PGD_CONN_OFF);
    assert_int_equal(pgd_board_conn(&r, PGD_CLUSTERS, &got), -ENOENT);
    conn.cluster = PGD_CLUSTERS;
    pgd_board_set_conn(&w, &conn);

    struct pgd_segment_entry entry;
    assert_int_equal(pgd_board_add_segment(&w, "bars.1m", PGD_KIND_BARS, 4096), 0);
    assert_int_equal(pgd_board_add_segment(&w, "trades", PGD_KIND_TAPE, 8192), 0);
    assert_int_equal(pgd_board_add_segment(&w, "bars.1m", PGD_KIND_BARS, 5000), 0);
    assert_int_equal(pgd_board_segments(&r), 2);
    assert_int_equal(pgd_board_segment(&r, 0, &entry), 0);
    assert_string_equal(entry.name, "bars.1m");
    assert_int_equal(entry.size, 5000);
    assert_int_equal(pgd_board_segment(&r, 2, &entry), -ENOENT);

    struct pgd_board b;
    pgd_board_set_run(&w, PGD_RUN_RUNNING);
    pgd_board_set_engine(&w, "cpu: no GPU found");
    pgd_board_get(&r, &b);
    assert_int_equal(b.run_state, PGD_RUN_RUNNING);
    assert_int_equal(b.pid, getpid());
    assert_string_equal(b.engine, "cpu: no GPU found");
    assert_string_equal(b.control, "/run/polygond/control");
    assert_string_equal(b.version, "0.1.0");
    pgd_board_beat(&w);
    assert_true(pgd_board_heartbeat_age_ns(&r) >= 0 && pgd_board_heartbeat_age_ns(&r) < INT64_C(60000000000));
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void notify_wakes(void **state)
{
    (void)state;
    need_fork();
    struct pgd_board_writer w = own(10);
    struct pgd_board_reader r = attach();
    struct pgd_board b;
    pgd_board_get(&r, &b);
    pid_t child = fork_child();
    if (child == 0) {
        const uint32_t *word =
            (const uint32_t *)(r.map.base + r.map.geometry_offset + offsetof(struct pgd_board, notify));
        _exit(pgd_wait(word, b.notify, INT64_C(20000000000)) == 0 && shm_load32(word) != b.notify ? 0 : 1);
    }
    sleep_ms(20);
    pgd_board_notify(&w);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void damaged_boards_are_refused(void **state)
{
    (void)state;
    struct pgd_board_writer w = own(10);
    struct pgd_board *b = w.board;
    const struct pgd_board good = *b;
    struct pgd_board bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].symbol_max = UINT32_MAX;
    bad[1].hash_slots = 8;
    bad[2].hash_slots = 33;
    bad[3].hash_offset = w.map.size - 4;
    bad[4].symbols_offset = UINT64_MAX - 7;
    bad[5].counter_count = UINT32_MAX;
    bad[6].errors_offset += 1;
    bad[7].conn_max = UINT32_MAX;
    struct pgd_board_reader r;
    for (size_t i = 0; i < 8; i++) {
        *b = bad[i];
        assert_int_equal(pgd_board_attach(&r, instance()), -EPROTO);
    }
    *b = good;
    r = attach();
    shm_store64(&b->symbol_count, UINT64_MAX);
    shm_store64(&b->error_count, UINT64_MAX);
    assert_int_equal(pgd_board_symbols(&r), 10);
    assert_int_equal(pgd_board_errors(&r), 4);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void bad_configurations(void **state)
{
    (void)state;
    struct pgd_board_writer w;
    char path[200];
    memset(path, 'p', sizeof path);
    path[199] = '\0';
    struct pgd_board_config c = config(0);
    assert_int_equal(pgd_board_own(&w, instance(), &c), -EINVAL);
    c = config(PGD_SERIES_LIMIT + 1);
    assert_int_equal(pgd_board_own(&w, instance(), &c), -EINVAL);
    c = config(10);
    c.control = path;
    assert_int_equal(pgd_board_own(&w, instance(), &c), -EINVAL);
    assert_int_equal(pgd_board_size(&c), 0);
    c = config(10);
    assert_int_equal(pgd_board_own(&w, "NO", &c), -EINVAL);
    assert_true(pgd_board_size(&c) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, instance_clean)
    const struct CMUnitTest tests[] = {
        TEST(one_daemon_an_instance),
        TEST(lock_ends_with_the_process),
        TEST(symbols_are_found),
        TEST(odd_names_are_refused),
        TEST(restart_keeps_the_directory),
        TEST(another_layout_keeps_or_changes_the_directory),
        TEST(uncounted_symbol_leaves_no_trace),
        TEST(errors_are_distinct),
        TEST(torn_error_is_cleared),
        TEST(gaps_are_kept),
        TEST(connections_segments_and_run),
        TEST(notify_wakes),
        TEST(damaged_boards_are_refused),
        TEST(bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
