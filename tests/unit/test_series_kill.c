/* Kill -9 at every instruction: a child runs one operation under single-stepping; whenever the bytes of the
 * segment have changed, a copy of them is what a daemon that died there would leave. The copy is read as it
 * is, then adopted and judged. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "instance.h"
#include "shm/board.h"
#include "shm/series.h"
#include "shm/tapes.h"

#define CAPACITY 16u
#define ROWS     20
#define SYMBOLS  4u

static char copy_name[PGD_INSTANCE_MAX];

static const char *copy_instance(void)
{
    snprintf(copy_name, sizeof copy_name, "test-%ld-dead", (long)getpid());
    return copy_name;
}

static struct pgd_owner copy_owner(void)
{
    struct pgd_owner owner = instance_owner(9);
    owner.instance = copy_instance();
    return owner;
}

static int clean(void **state)
{
    static const char *const names[] = {"board", "trades", "bars.1m"};
    for (size_t i = 0; i < 3; i++)
        (void)!pgd_segment_unlink(copy_instance(), names[i]);
    return instance_clean(state);
}

/* ---------------------------------------------------------------------------------------- stepping */

struct trial {
    const char *segment;
    struct pgd_map *live; /* what the child changes */
    void (*operation)(void *);
    void (*judge)(void *);
    void *arg;
    unsigned states;
};

/* A fresh file each time: the judge before has adopted, and so changed, the last. */
static void write_copy(const char *segment, const uint8_t *bytes, size_t size)
{
    char name[PGD_SHM_NAME_MAX];
    assert_int_equal(pgd_shm_name(name, copy_instance(), segment), 0);
    shm_unlink(name);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* ThreadSanitizer's runtime does not come through being stepped. */
#if defined(__SANITIZE_THREAD__)
#define STEPPING false
#elif defined(__has_feature)
#define STEPPING (!__has_feature(thread_sanitizer))
#else
#define STEPPING true
#endif

static pid_t start_stopped(const struct trial *t)
{
    if (!STEPPING)
        return -1;
    pid_t child = fork_child();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(77);
        raise(SIGSTOP);
        t->operation(t->arg);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSTOPPED(status) ? child : -1;
}

static bool step(pid_t child)
{
    int status;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSTOPPED(status))
        return true;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return false;
}

static void run(struct trial *t)
{
    size_t size = t->live->size;
    pid_t child = start_stopped(t);
    if (child < 0)
        skip();
    uint8_t *last = malloc(size);
    assert_non_null(last);
    memcpy(last, t->live->base, size);
    while (step(child)) {
        if (memcmp(last, t->live->base, size) == 0)
            continue;
        memcpy(last, t->live->base, size);
        write_copy(t->segment, last, size);
        t->judge(t->arg);
        t->states++;
    }
    free(last);
    assert_true(t->states > 3);
}

/* Runs the operation up to its n-th change of the segment and kills it there. */
static void die_after(const struct trial *t, unsigned changes)
{
    pid_t child = start_stopped(t);
    if (child < 0)
        skip();
    uint8_t *last = malloc(t->live->size);
    assert_non_null(last);
    memcpy(last, t->live->base, t->live->size);
    while (changes > 0 && step(child)) {
        if (memcmp(last, t->live->base, t->live->size) == 0)
            continue;
        memcpy(last, t->live->base, t->live->size);
        changes--;
    }
    if (changes == 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    free(last);
}

/* -------------------------------------------------------------------------------------------- bars */

static const struct pgd_column columns[] = {{"sma_20", "price"}};

static struct pgd_bars_config bars_config(void)
{
    return (struct pgd_bars_config){.timespan = "1m",
                                    .span_ms = 60000,
                                    .series_max = 2,
                                    .capacity = CAPACITY,
                                    .log_capacity = 256,
                                    .columns = columns,
                                    .column_count = 1};
}

static struct pgd_bar bar_make(int64_t t, int version)
{
    double x = (double)t, y = version;
    return (struct pgd_bar){.t = t,
                            .o = x + y,
                            .h = x - y,
                            .l = x * y,
                            .c = x + 2 * y,
                            .v = y,
                            .vw = x,
                            .n = (uint32_t)(t + version)};
}

static int version_of(const struct pgd_bar *bar)
{
    int version = (int)bar->v;
    struct pgd_bar want = bar_make(bar->t, version);
    want.rev = bar->rev;
    assert_memory_equal(bar, &want, sizeof want);
    return version;
}

enum { REVISED = 17, AT = 12, NEW_T = 125 };

struct bars_case {
    struct pgd_bars bars;
    bool new_must_be_last;
};

static void bars_open(struct bars_case *c)
{
    struct pgd_owner owner = instance_owner(1);
    struct pgd_bars_config config = bars_config();
    assert_int_equal(pgd_bars_own(&c->bars, &owner, &config), 0);
    for (int i = 0; i < ROWS; i++) {
        struct pgd_bar bar = bar_make((i + 1) * 10, 1);
        pgd_bars_append(&c->bars, 1, &bar);
    }
}

/* What a reader sees of the dead daemon's segment: whole rows, or rows that say they are being written. */
static void read_dead(void)
{
    struct pgd_bars_reader r;
    assert_int_equal(pgd_bars_attach(&r, copy_instance(), "1m"), 0);
    int64_t t = 0;
    for (uint64_t i = 0; i < pgd_bars_rows(&r, 1); i++) {
        struct pgd_bar bar;
        int e = pgd_bars_row(&r, 1, i, &bar, NULL);
        if (e == -EOVERFLOW || e == -EAGAIN)
            continue;
        assert_int_equal(e, 2);
        (void)version_of(&bar);
        assert_true(bar.t >= t);
        t = bar.t;
    }
    struct pgd_bar forming;
    if (pgd_bars_get_forming(&r, 1, &forming) == 1)
        (void)version_of(&forming);
    pgd_bars_detach(&r);
}

/* After adoption: every row whole, in order, none of the old ones missing but what the ring has dropped. */
static void judge_bars(void *arg)
{
    struct bars_case *c = arg;
    struct pgd_bars adopted;
    struct pgd_owner owner = copy_owner();
    struct pgd_bars_config config = bars_config();
    read_dead();
    assert_int_equal(pgd_bars_own(&adopted, &owner, &config), 0);
    assert_true(adopted.map.adopted);
    struct pgd_bars_reader r;
    assert_int_equal(pgd_bars_attach(&r, copy_instance(), "1m"), 0);
    uint64_t head = pgd_bars_rows(&r, 1), first = pgd_bars_first(&adopted, 1);
    assert_true(head == ROWS || head == ROWS + 1);
    int64_t t = 0;
    unsigned old = 0, added = 0;
    for (uint64_t i = first; i < head; i++) {
        struct pgd_bar bar;
        assert_int_equal(pgd_bars_row(&r, 1, i, &bar, NULL), 2);
        (void)version_of(&bar);
        assert_true(bar.t > t);
        t = bar.t;
        old += bar.t % 10 == 0;
        added += bar.t % 10 != 0;
    }
    assert_int_equal(added, head - ROWS);
    assert_int_equal(old, CAPACITY - 1 - added);
    assert_int_equal(t, c->new_must_be_last && added ? NEW_T + 100 : ROWS * 10);
    struct pgd_bar more = bar_make(1000, 1);
    assert_int_equal(pgd_bars_append(&adopted, 1, &more), head);
    assert_int_equal(pgd_bars_insert(&adopted, 1, head - 2, &more), 0);
    pgd_bars_detach(&r);
    pgd_bars_close(&adopted);
}

static void do_append(void *arg)
{
    struct pgd_bar bar = bar_make(NEW_T + 100, 2);
    pgd_bars_append(&((struct bars_case *)arg)->bars, 1, &bar);
}

static void do_revise(void *arg)
{
    struct pgd_bar bar = bar_make((REVISED + 1) * 10, 2);
    if (pgd_bars_revise(&((struct bars_case *)arg)->bars, 1, REVISED, &bar) != 0)
        _exit(1);
}

static void do_insert(void *arg)
{
    struct pgd_bar bar = bar_make(NEW_T, 2);
    if (pgd_bars_insert(&((struct bars_case *)arg)->bars, 1, AT, &bar) != 0)
        _exit(1);
}

static void do_forming(void *arg)
{
    struct pgd_bars *bars = &((struct bars_case *)arg)->bars;
    struct pgd_bar bar = bar_make(500, 3);
    struct pgd_day day = {.t = 500, .op = 1};
    pgd_bars_forming(bars, 1, &bar);
    pgd_bars_day(bars, 1, &day);
    bar = bar_make(500, 4);
    pgd_bars_forming(bars, 1, &bar);
}

static void bars_trial(void (*operation)(void *), bool last)
{
    struct bars_case c = {.new_must_be_last = last};
    bars_open(&c);
    struct trial t = {
        .segment = "bars.1m", .live = &c.bars.map, .operation = operation, .judge = judge_bars, .arg = &c};
    run(&t);
    pgd_bars_close(&c.bars);
}

static void killed_in_append(void **state)
{
    (void)state;
    need_fork();
    bars_trial(do_append, true);
}

static void killed_in_revise(void **state)
{
    (void)state;
    need_fork();
    bars_trial(do_revise, false);
}

static void killed_in_insert(void **state)
{
    (void)state;
    need_fork();
    bars_trial(do_insert, false);
}

static void killed_in_forming(void **state)
{
    (void)state;
    need_fork();
    bars_trial(do_forming, false);
}

static void adopt_again(void *arg)
{
    struct pgd_owner owner = instance_owner(2);
    struct pgd_bars_config config = bars_config();
    struct pgd_bars bars;
    (void)arg;
    if (pgd_bars_own(&bars, &owner, &config) != 0 || !bars.map.adopted)
        _exit(1);
}

/* The daemon dies in an insertion, the next one while it redoes it. */
static void killed_in_adoption(void **state)
{
    (void)state;
    need_fork();
    for (unsigned changes = 15; changes < 75; changes += 19) {
        struct bars_case c = {0};
        bars_open(&c);
        struct trial t = {.segment = "bars.1m",
                          .live = &c.bars.map,
                          .operation = do_insert,
                          .judge = judge_bars,
                          .arg = &c};
        die_after(&t, changes);
        t.operation = adopt_again;
        run(&t);
        pgd_bars_close(&c.bars);
        clean(NULL);
    }
}

/* -------------------------------------------------------------------------------------------- tape */

struct tape_case {
    struct pgd_tape_segment segment;
};

static void put(struct pgd_tape_writer *w)
{
    uint64_t words[8];
    for (unsigned k = 0; k < 8; k++)
        words[k] = w->next * 8 + k;
    pgd_tape_put_latest(w, 1, words);
    pgd_tape_put(w, words);
}

static void do_put(void *arg)
{
    struct pgd_tape_writer *w = &((struct tape_case *)arg)->segment.writer;
    for (int i = 0; i < 4; i++)
        put(w);
    pgd_tape_publish(w);
}

static void judge_tape(void *arg)
{
    (void)arg;
    struct pgd_owner owner = copy_owner();
    struct pgd_tape_segment adopted;
    assert_int_equal(pgd_tapes_own(&adopted, &owner, PGD_TAPES_TRADES, 256, SYMBOLS), 0);
    assert_true(adopted.map.adopted);
    assert_true(adopted.writer.next >= 318 && adopted.writer.next <= 322);
    struct pgd_map map;
    struct pgd_tape_reader r;
    assert_int_equal(pgd_tapes_attach(&map, &r, copy_instance(), PGD_TAPES_TRADES, PGD_FROM_OLDEST), 0);
    uint64_t words[8];
    while (r.next < adopted.writer.next) {
        assert_int_equal(pgd_tape_get(&r, words), 1);
        for (unsigned k = 1; k < 8; k++)
            assert_int_equal(words[k], (words[0] - 1) * 8 + k);
    }
    assert_int_equal(pgd_tape_get(&r, words), 0);
    if (pgd_tape_latest(&r, 1, words) == 1)
        for (unsigned k = 2; k < 8; k++)
            assert_int_equal(words[k], words[1] + k - 1);
    put(&adopted.writer);
    assert_int_equal(pgd_tape_get(&r, words), 1);
    pgd_segment_close(&map);
    pgd_tapes_close(&adopted);
}

static void killed_in_put(void **state)
{
    (void)state;
    need_fork();
    struct tape_case c;
    struct pgd_owner owner = instance_owner(1);
    assert_int_equal(pgd_tapes_own(&c.segment, &owner, PGD_TAPES_TRADES, 256, SYMBOLS), 0);
    for (int i = 0; i < 318; i++)
        put(&c.segment.writer);
    struct trial t = {
        .segment = "trades", .live = &c.segment.map, .operation = do_put, .judge = judge_tape, .arg = &c};
    run(&t);
    pgd_tapes_close(&c.segment);
}

/* ------------------------------------------------------------------------------------------- board */

static struct pgd_board_config board_config(void)
{
    return (struct pgd_board_config){
        .symbol_max = SYMBOLS, .error_max = 2, .control = "", .version = "1", .mode = 0600, .gid = (gid_t)-1};
}

static void do_board(void *arg)
{
    struct pgd_board_writer *w = arg;
    struct pgd_conn conn = {.cluster = PGD_STOCKS, .state = PGD_CONN_LIVE};
    if (pgd_board_add_symbol(w, "NEW", 3, PGD_STOCKS) != 2)
        _exit(1);
    pgd_board_error(w, "ws", "closed");
    pgd_board_set_conn(w, &conn);
    pgd_board_notify(w);
}

static void judge_board(void *arg)
{
    (void)arg;
    struct pgd_board_writer w;
    struct pgd_board_config config = board_config();
    assert_int_equal(pgd_board_own(&w, copy_instance(), &config), 0);
    assert_true(w.map.adopted);
    struct pgd_board_reader r;
    assert_int_equal(pgd_board_attach(&r, copy_instance()), 0);
    assert_int_equal(pgd_board_find(&r, "AAPL"), 0);
    assert_int_equal(pgd_board_find(&r, "MSFT"), 1);
    assert_int_equal(pgd_board_find(&r, "NEW"), pgd_board_symbols(&r) == 3 ? 2 : -ENOENT);
    int32_t symbols = (int32_t)pgd_board_symbols(&r);
    assert_int_equal(pgd_board_add_symbol(&w, "OTHER", 5, PGD_STOCKS), symbols);
    for (uint32_t i = 0; i < pgd_board_errors(&r); i++) {
        struct pgd_error e;
        int got = pgd_board_get_error(&r, i, &e);
        assert_true(got == -ENOENT || (got == 0 && e.count > 0));
    }
    struct pgd_conn conn;
    assert_int_equal(pgd_board_conn(&r, PGD_STOCKS, &conn), 0);
    assert_int_equal(conn.state, PGD_CONN_OFF);
    pgd_board_detach(&r);
    pgd_board_close(&w);
}

static void killed_in_board(void **state)
{
    (void)state;
    need_fork();
    struct pgd_board_writer w;
    struct pgd_board_config config = board_config();
    assert_int_equal(pgd_board_own(&w, instance(), &config), 0);
    assert_int_equal(pgd_board_add_symbol(&w, "AAPL", 4, PGD_STOCKS), 0);
    assert_int_equal(pgd_board_add_symbol(&w, "MSFT", 4, PGD_STOCKS), 1);
    struct trial t = {
        .segment = "board", .live = &w.map, .operation = do_board, .judge = judge_board, .arg = &w};
    run(&t);
    pgd_board_close(&w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, clean)
    const struct CMUnitTest tests[] = {
        TEST(killed_in_append), TEST(killed_in_revise),   TEST(killed_in_insert), TEST(killed_in_forming),
        TEST(killed_in_put),    TEST(killed_in_adoption), TEST(killed_in_board),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
