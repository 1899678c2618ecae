/* Random batches on a tape, with readers of random patience in threads and in another process. Whatever the
 * schedule: records come whole, in order, and delivered + lost = written. Then writers that are killed, and
 * their successors. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "shm/tapes.h"
#include "unit/instance.h"

#define CAPACITY 1024u
#define SYMBOLS  8u
#define TOTAL    UINT64_C(300000)
#define KILLS    6

static uint64_t seed;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

static void fill(uint64_t *words, uint64_t i)
{
    for (unsigned k = 1; k < 8; k++)
        words[k] = mix(i * 8 + k) | 1;
}

static bool whole(const uint64_t *words)
{
    uint64_t want[8];
    fill(want, words[0] - 1);
    return memcmp(words + 1, want + 1, 56) == 0;
}

/* The latest table's cells carry their own symbol and a count. */
static void fill_latest(uint64_t *words, uint64_t symbol, uint64_t count)
{
    words[1] = symbol;
    words[2] = count;
    for (unsigned k = 3; k < 8; k++)
        words[k] = mix(symbol * 1000003 + count * 8 + k);
}

static bool whole_latest(const uint64_t *words)
{
    uint64_t want[8];
    fill_latest(want, words[1], words[2]);
    return memcmp(words + 1, want + 1, 56) == 0;
}

struct account {
    uint64_t delivered, lost, bad, laps;
};

struct reading {
    struct pgd_map map;
    struct pgd_tape_reader reader;
    struct account account;
    uint64_t random;
    uint64_t end;
};

static void attach(struct reading *r, uint64_t number)
{
    *r = (struct reading){.random = mix(seed + number) | 1, .end = TOTAL};
    if (pgd_tapes_attach(&r->map, &r->reader, instance(), PGD_TAPES_TRADES, PGD_FROM_NEXT) < 0)
        abort();
}

static void take(struct reading *r)
{
    uint64_t words[37][8], before = r->reader.next;
    int n = pgd_tape_get_many(&r->reader, words, 1 + (unsigned)(next_random(&r->random) % 37));
    if (n == -EOVERFLOW) {
        r->account.laps++;
        r->account.bad += r->reader.next <= before;
    }
    for (int i = 0; i < n; i++) {
        r->account.bad += words[i][0] != before + (uint64_t)i + 1 || !whole(words[i]);
        r->account.delivered++;
    }
    if (n == 0)
        (void)!pgd_tape_wait(&r->reader, INT64_C(2000000));
    uint32_t symbol = (uint32_t)(next_random(&r->random) % SYMBOLS);
    if (pgd_tape_latest(&r->reader, symbol, words[0]) == 1)
        r->account.bad += !whole_latest(words[0]) || words[0][1] != symbol;
    if (next_random(&r->random) % 256 == 0)
        usleep((useconds_t)(next_random(&r->random) % 3000));
}

static void *read_all(void *arg)
{
    struct reading *r = arg;
    while (r->reader.next < r->end)
        take(r);
    r->account.lost = r->reader.lost;
    return NULL;
}

static void put_batch(struct pgd_tape_writer *w, uint64_t *random, uint64_t end)
{
    uint64_t words[8], batch = next_random(random) % 300;
    for (uint64_t i = 0; i < batch && w->next < end; i++) {
        fill(words, w->next);
        pgd_tape_put(w, words);
        uint64_t symbol = next_random(random) % SYMBOLS;
        fill_latest(words, symbol, w->next);
        pgd_tape_put_latest(w, (uint32_t)symbol, words);
    }
    pgd_tape_publish(w);
}

static void expect_account(const struct account *a)
{
    assert_int_equal(a->bad, 0);
    assert_int_equal(a->delivered + a->lost, TOTAL);
}

static void readers_account_for_every_record(void **state)
{
    (void)state;
    need_fork();
    struct pgd_owner owner = instance_owner(1);
    struct pgd_tape_segment s;
    assert_int_equal(pgd_tapes_own(&s, &owner, PGD_TAPES_TRADES, CAPACITY, SYMBOLS), 0);
    struct account *remote =
        mmap(NULL, sizeof *remote, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(remote, MAP_FAILED);
    static struct reading readings[3];
    for (uint64_t i = 0; i < 3; i++)
        attach(&readings[i], i);
    pid_t child = fork_child();
    if (child == 0) {
        read_all(&readings[2]);
        *remote = readings[2].account;
        _exit(0);
    }
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readings[i]), 0);
    uint64_t random = seed | 1;
    while (s.writer.next < TOTAL)
        put_batch(&s.writer, &random, TOTAL);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        expect_account(&readings[i].account);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    expect_account(remote);
    print_message("laps suffered: %llu %llu %llu\n", (unsigned long long)readings[0].account.laps,
                  (unsigned long long)readings[1].account.laps, (unsigned long long)remote->laps);
    for (int i = 0; i < 3; i++)
        pgd_segment_close(&readings[i].map);
    munmap(remote, sizeof *remote);
    pgd_tapes_close(&s);
}

/* Each writer is killed at some point; the one after it adopts. One reader follows them all. */
static void killed_writers_lose_nothing_committed(void **state)
{
    (void)state;
    need_fork();
    struct pgd_owner owner = instance_owner(1);
    struct pgd_tape_segment s;
    assert_int_equal(pgd_tapes_own(&s, &owner, PGD_TAPES_TRADES, CAPACITY, SYMBOLS), 0);
    static struct reading r;
    attach(&r, 9);
    uint64_t random = mix(seed) | 1;
    for (int i = 0; i < KILLS; i++) {
        uint64_t reserve = s.writer.reserve;
        pid_t child = fork_child();
        if (child == 0)
            for (;;)
                put_batch(&s.writer, &random, UINT64_MAX);
        useconds_t life = (useconds_t)(next_random(&random) % 20000);
        for (useconds_t slept = 0; slept < life; slept += 500) {
            usleep(500);
            take(&r);
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        pgd_tapes_close(&s);
        owner.epoch++;
        assert_int_equal(pgd_tapes_own(&s, &owner, PGD_TAPES_TRADES, CAPACITY, SYMBOLS), 0);
        assert_true(s.map.adopted);
        assert_true(s.writer.reserve >= reserve && s.writer.reserve - s.writer.next <= PGD_TAPE_RESERVE);
        assert_int_equal(pgd_segment_epoch(&r.map), owner.epoch);
        while (r.reader.next < s.writer.next)
            take(&r);
        assert_int_equal(r.account.delivered + r.reader.lost, s.writer.next);
        assert_int_equal(r.account.bad, 0);
    }
    pgd_segment_close(&r.map);
    pgd_tapes_close(&s);
}

int main(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    print_message("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(readers_account_for_every_record, instance_clean),
        cmocka_unit_test_teardown(killed_writers_lose_nothing_committed, instance_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
