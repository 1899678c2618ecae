#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "instance.h"
#include "shm/tapes.h"

#define CAPACITY 256u
#define SYMBOLS  10u
#define MS       INT64_C(1000000)

struct fixture {
    struct pgd_tape_segment segment;
    struct pgd_map map;
    struct pgd_tape_reader reader;
};

static void own(struct pgd_tape_segment *segment, uint64_t epoch)
{
    struct pgd_owner owner = instance_owner(epoch);
    assert_int_equal(pgd_tapes_own(segment, &owner, PGD_TAPES_TRADES, CAPACITY, SYMBOLS), 0);
}

static void attach(struct fixture *f, enum pgd_from from)
{
    assert_int_equal(pgd_tapes_attach(&f->map, &f->reader, instance(), PGD_TAPES_TRADES, from), 0);
}

static struct fixture open_fixture(void)
{
    struct fixture f = {0};
    own(&f.segment, 1);
    attach(&f, PGD_FROM_NEXT);
    return f;
}

static void close_fixture(struct fixture *f)
{
    pgd_segment_close(&f->map);
    pgd_tapes_close(&f->segment);
}

/* Every word but the commit word says which record it is. */
static void put(struct pgd_tape_writer *w, uint64_t i)
{
    uint64_t words[8];
    for (unsigned k = 0; k < 8; k++)
        words[k] = i * 8 + k;
    pgd_tape_put(w, words);
}

static void put_to(struct fixture *f, uint64_t end)
{
    while (f->segment.writer.next < end)
        put(&f->segment.writer, f->segment.writer.next);
}

static void expect(struct fixture *f, uint64_t i)
{
    uint64_t words[8];
    assert_int_equal(pgd_tape_get(&f->reader, words), 1);
    assert_int_equal(words[0], i + 1);
    for (unsigned k = 1; k < 8; k++)
        assert_int_equal(words[k], i * 8 + k);
}

static void expect_none(struct fixture *f)
{
    uint64_t words[8];
    assert_int_equal(pgd_tape_get(&f->reader, words), 0);
}

static void records_come_in_order(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    expect_none(&f);
    for (uint64_t i = 0; i < 3 * CAPACITY; i++) {
        put(&f.segment.writer, i);
        expect(&f, i);
        expect_none(&f);
    }
    assert_int_equal(f.reader.lost, 0);
    close_fixture(&f);
}

static void many_at_once(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    uint64_t words[100][8];
    assert_int_equal(pgd_tape_get_many(&f.reader, words, 100), 0);
    put_to(&f, 150);
    assert_int_equal(pgd_tape_get_many(&f.reader, words, 100), 100);
    assert_int_equal(words[99][0], 100);
    assert_int_equal(words[99][7], 99 * 8 + 7);
    assert_int_equal(pgd_tape_get_many(&f.reader, words, 100), 50);
    assert_int_equal(words[0][0], 101);
    assert_int_equal(pgd_tape_get_many(&f.reader, words, 100), 0);
    close_fixture(&f);
}

/* The writer's reservation counts: with 64 reserved ahead a reader may keep capacity - 64 records behind. */
static void lapped_reader_learns_exact_loss(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    uint64_t words[8];
    put_to(&f, CAPACITY);
    expect(&f, 0);
    put_to(&f, CAPACITY + 1); /* reserves up to capacity + 64 */
    uint64_t before = f.reader.next;
    assert_int_equal(pgd_tape_get(&f.reader, words), -EOVERFLOW);
    assert_int_equal(f.reader.lost, f.reader.next - before);
    assert_true(f.reader.next > 64 && f.reader.next < CAPACITY);
    for (uint64_t i = f.reader.next; i < CAPACITY + 1; i++)
        expect(&f, i);
    expect_none(&f);
    put_to(&f, 100 * CAPACITY + 3);
    before = f.reader.next;
    uint64_t lost = f.reader.lost;
    assert_int_equal(pgd_tape_get_many(&f.reader, words, 1), -EOVERFLOW);
    assert_int_equal(f.reader.lost - lost, f.reader.next - before);
    while (f.reader.next < 100 * CAPACITY + 3)
        expect(&f, f.reader.next);
    close_fixture(&f);
}

/* A slot that is being overwritten still carries the old commit word; only the reservation tells. */
static void half_overwritten_record_is_not_delivered(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    put_to(&f, CAPACITY);
    struct pgd_tape *tape = f.segment.writer.tape;
    shm_store64(&tape->reserve, CAPACITY + 64);
    shm_store64(f.segment.writer.slots + 8, 0xdead);
    uint64_t words[8];
    assert_int_equal(pgd_tape_get(&f.reader, words), -EOVERFLOW);
    close_fixture(&f);
}

static void start_positions(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    put_to(&f, 100);
    pgd_tape_publish(&f.segment.writer);
    put_to(&f, 110);
    pgd_segment_close(&f.map);
    attach(&f, PGD_FROM_NEXT);
    expect(&f, 100);
    pgd_segment_close(&f.map);
    attach(&f, PGD_FROM_OLDEST);
    expect(&f, 0);
    put_to(&f, 1000);
    pgd_tape_publish(&f.segment.writer);
    pgd_segment_close(&f.map);
    attach(&f, PGD_FROM_OLDEST);
    assert_true(f.reader.next > 1000 - CAPACITY && f.reader.next <= 1000 - CAPACITY + 3 * 64);
    put_to(&f, 1000 + 1);
    expect(&f, f.reader.next);
    close_fixture(&f);
}

static void wait_follows_publish(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    assert_int_equal(pgd_tape_wait(&f.reader, MS), -ETIMEDOUT);
    put_to(&f, 1);
    assert_int_equal(pgd_tape_wait(&f.reader, MS), -ETIMEDOUT);
    pgd_tape_publish(&f.segment.writer);
    assert_int_equal(pgd_tape_wait(&f.reader, MS), 0);
    expect(&f, 0);
    uint32_t notify = shm_load32(&f.reader.tape->notify);
    pgd_tape_publish(&f.segment.writer);
    assert_int_equal(shm_load32(&f.reader.tape->notify), notify);
    assert_int_equal(pgd_tape_wait(&f.reader, MS), -ETIMEDOUT);
    close_fixture(&f);
}

static void latest_per_symbol(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_trade trade = {.symbol = 3, .t = 5, .price = 1.5}, got;
    assert_int_equal(pgd_tape_latest(&f.reader, 3, &got), 0);
    pgd_tape_put_latest(&f.segment.writer, 3, &trade);
    trade.price = 2.5;
    pgd_tape_put_latest(&f.segment.writer, 3, &trade);
    pgd_tape_put_latest(&f.segment.writer, SYMBOLS, &trade);
    assert_int_equal(pgd_tape_latest(&f.reader, 3, &got), 1);
    assert_true(got.price == 2.5 && got.symbol == 3);
    assert_int_equal(pgd_tape_latest(&f.reader, 2, &got), 0);
    assert_int_equal(pgd_tape_latest(&f.reader, SYMBOLS, &got), 0);
    assert_int_equal(pgd_tape_latest(&f.reader, UINT32_MAX, &got), 0);
    close_fixture(&f);
}

static void successor_run_goes_on_behind_the_last_commit(void **state)
{
    (void)state;
    static const uint64_t counts[] = {
        0, 1, 63, 64, 65, 128, CAPACITY - 1, CAPACITY, CAPACITY + 1, 10 * CAPACITY + 7};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct fixture f = open_fixture();
        put_to(&f, counts[c]); /* nothing published: the daemon dies */
        pgd_tapes_close(&f.segment);
        own(&f.segment, 2);
        assert_true(f.segment.map.adopted);
        assert_int_equal(f.segment.writer.next, counts[c]);
        assert_int_equal(shm_load64(&f.segment.writer.tape->head), counts[c]);
        if (counts[c] < CAPACITY)
            for (uint64_t i = 0; i < counts[c]; i++)
                expect(&f, i);
        put_to(&f, counts[c] + 200);
        pgd_tape_publish(&f.segment.writer);
        close_fixture(&f);
        instance_clean(NULL);
    }
}

static void torn_record_of_a_dead_run_is_written_again(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    put_to(&f, CAPACITY + 70);
    f.reader.next = CAPACITY + 70;
    uint64_t reserve = f.segment.writer.reserve;
    shm_store64(f.segment.writer.slots + 70 % CAPACITY * 64 + 16, 0xdead);
    uint64_t *cell = (uint64_t *)(f.segment.writer.latest + 4 * 64);
    cell[0] = 7;
    cell[2] = 0xdead;
    pgd_tapes_close(&f.segment);
    own(&f.segment, 2);
    assert_int_equal(f.segment.writer.next, CAPACITY + 70);
    assert_int_equal(f.segment.writer.reserve, reserve);
    expect_none(&f);
    struct pgd_trade got;
    assert_int_equal(pgd_tape_latest(&f.reader, 4, &got), 0);
    assert_int_equal(shm_load64(f.segment.writer.latest + 4 * 64), 8);
    put_to(&f, CAPACITY + 71);
    expect(&f, CAPACITY + 70);
    close_fixture(&f);
}

static void adoption_wakes_readers(void **state)
{
    (void)state;
    need_fork();
    struct fixture f = open_fixture();
    pid_t child = fork_child();
    if (child == 0) {
        for (int i = 0; i < 100; i++)
            if (pgd_segment_epoch(&f.map) == 2 ||
                (pgd_tape_wait(&f.reader, 10000 * MS) == 0 && pgd_segment_epoch(&f.map) == 2))
                _exit(0);
        _exit(1);
    }
    sleep_ms(20);
    pgd_tapes_close(&f.segment);
    own(&f.segment, 2);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close_fixture(&f);
}

static void damaged_tapes_are_refused(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_tape *tape = f.segment.writer.tape;
    const struct pgd_tape good = *tape;
    struct pgd_tape bad[10];
    for (size_t i = 0; i < 10; i++)
        bad[i] = good;
    bad[0].slots_offset = f.map.size;
    bad[1].slots_offset = UINT64_MAX - 63;
    bad[2].slots_offset += 4;
    bad[3].capacity = 0;
    bad[4].capacity = 255;
    bad[5].capacity = 1u << 31;
    bad[6].slot_size = 32;
    bad[7].latest_offset = f.map.size - 64;
    bad[8].latest_count = UINT32_MAX;
    bad[9].latest_stride = 63;
    struct pgd_tape_reader r;
    uint64_t offset = (uint64_t)((uint8_t *)tape - f.segment.map.base);
    for (size_t i = 0; i < 10; i++) {
        *tape = bad[i];
        assert_int_equal(pgd_tape_reader_init(&r, &f.map, offset, PGD_FROM_OLDEST), -EPROTO);
    }
    *tape = good;
    assert_int_equal(pgd_tape_reader_init(&r, &f.map, offset, PGD_FROM_OLDEST), 0);
    assert_int_equal(pgd_tape_reader_init(&r, &f.map, f.map.size - 8, PGD_FROM_OLDEST), -EPROTO);
    assert_int_equal(pgd_tape_reader_init(&r, &f.map, UINT64_MAX - 7, PGD_FROM_OLDEST), -EPROTO);
    assert_int_equal(pgd_tape_reader_init(&r, &f.map, offset + 4, PGD_FROM_OLDEST), -EPROTO);
    close_fixture(&f);
}

struct tally {
    uint64_t delivered, lost, last, torn;
    int ready;
};

static void read_until(struct fixture *f, struct tally *t, uint64_t end)
{
    uint64_t words[8];
    while (f->reader.next < end) {
        int r = pgd_tape_get(&f->reader, words);
        if (r == 0)
            (void)!pgd_tape_wait(&f->reader, 100 * MS);
        if (r == 1) {
            for (unsigned k = 1; k < 8; k++)
                t->torn += words[k] != (words[0] - 1) * 8 + k;
            t->delivered++;
        }
        t->lost = f->reader.lost;
        __atomic_store_n(&t->ready, 1, __ATOMIC_RELEASE);
    }
}

/* The writer does not notice a reader that is stopped for many laps; the reader learns its loss to the
 * record. */
static void stopped_reader_accounts_for_everything(void **state)
{
    (void)state;
    need_fork();
    enum { TOTAL = 200 * 256 };
    struct fixture f = open_fixture();
    struct tally *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(t, MAP_FAILED);
    pid_t child = fork_child();
    if (child == 0) {
        read_until(&f, t, TOTAL);
        _exit(0);
    }
    put_to(&f, 100);
    pgd_tape_publish(&f.segment.writer);
    while (__atomic_load_n(&t->ready, __ATOMIC_ACQUIRE) == 0)
        sleep_ms(1);
    int status;
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    put_to(&f, TOTAL - 10);
    pgd_tape_publish(&f.segment.writer);
    kill(child, SIGCONT);
    sleep_ms(5);
    put_to(&f, TOTAL);
    pgd_tape_publish(&f.segment.writer);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(t->torn, 0);
    assert_true(t->lost > TOTAL / 2);
    assert_int_equal(t->delivered + t->lost, TOTAL);
    munmap(t, sizeof *t);
    close_fixture(&f);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    assert_true(pgd_tapes_size(PGD_TAPES_QUOTES, 256, 0) >= 256 * 64);
    assert_int_equal(pgd_tapes_size(PGD_TAPES_QUOTES, 128, 0), 0);
    assert_int_equal(pgd_tapes_size(PGD_TAPES_QUOTES, 300, 0), 0);
    assert_int_equal(pgd_tapes_size(PGD_TAPES_QUOTES, 1u << 31, 0), 0);
    assert_int_equal(pgd_tapes_size(PGD_TAPES_TRADES, 256, PGD_SERIES_LIMIT + 1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, instance_clean)
    const struct CMUnitTest tests[] = {
        TEST(records_come_in_order),
        TEST(many_at_once),
        TEST(lapped_reader_learns_exact_loss),
        TEST(half_overwritten_record_is_not_delivered),
        TEST(start_positions),
        TEST(wait_follows_publish),
        TEST(latest_per_symbol),
        TEST(successor_run_goes_on_behind_the_last_commit),
        TEST(torn_record_of_a_dead_run_is_written_again),
        TEST(adoption_wakes_readers),
        TEST(damaged_tapes_are_refused),
        TEST(stopped_reader_accounts_for_everything),
        TEST(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
