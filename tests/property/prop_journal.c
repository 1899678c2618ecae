/* Random records, sizes, rotation and moments to die: what a run wrote before kill -9 is read back whole and
 * in order, however the last file was torn, and later runs go on behind it. SEED, ROUNDS from the
 * environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"
#include "journal_read.h"
#include "log.h"

#define ROUNDS    12u
#define RUNS      6u
#define SIZE_MAX_ 20000u
#define SYMBOLS   8u

static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t below(uint64_t n)
{
    return next_random() % n;
}

/* Shared with the child: what it has put, and how much of that was in files by some moment. */
struct shared {
    uint64_t put;
    uint64_t durable_bytes;
};

static char folder[100];

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Record i of a run: everything follows from (run, i). */
static size_t record_of(uint64_t run, uint64_t i, struct journal_entry *e, uint8_t *data)
{
    uint64_t h = mix(run * 1000003 + i);
    size_t n = h % 7 == 0 ? h / 7 % SIZE_MAX_ : h / 7 % 300;
    *e = (struct journal_entry){.kind = h % 5 ? JOURNAL_FRAME : JOURNAL_BATCH,
                                .cluster = (uint8_t)(1 + h % 6),
                                .flags = (uint8_t)(h >> 8 & 1),
                                .index = (uint32_t)i,
                                .t_ns = (int64_t)(run * 1000000000 + i),
                                .arg = run};
    for (size_t k = 0; k < n; k++)
        data[k] = (uint8_t)(h >> (k % 8 * 8)) ^ (uint8_t)k;
    return n;
}

static struct journal_options random_options(void)
{
    return (struct journal_options){.directory = folder,
                                    .instance = "prop",
                                    .config = "instance: prop\n",
                                    .buffer_bytes = UINT64_C(1) << (20 + below(3)),
                                    .file_bytes = UINT64_C(65536) << below(5),
                                    .flush_ms = (uint32_t)(1 + below(20)),
                                    .symbols = SYMBOLS,
                                    .mode = 0600};
}

static void child(uint64_t run, const struct journal_options *o, struct shared *shared)
{
    static uint8_t data[SIZE_MAX_];
    char err[300];
    struct journal *j;
    (void)log_level_set("error");
    if (journal_open(&j, o, err, sizeof err) < 0)
        _exit(3);
    journal_patient(j, true);
    for (uint64_t i = 0;; i++) {
        struct journal_entry e;
        struct journal_counts c;
        size_t n = record_of(run, i, &e, data);
        journal_put(j, &e, data, n);
        journal_counts(j, &c);
        if (c.lost)
            _exit(4);
        __atomic_store_n(&shared->put, i + 1, __ATOMIC_RELEASE);
        __atomic_store_n(&shared->durable_bytes, c.bytes, __ATOMIC_RELEASE);
        if (i % 64 == 0)
            usleep(200);
    }
}

/* Runs a child for a random while and kills it. Returns the records it put. */
static uint64_t run_and_kill(uint64_t run)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    struct journal_options o = random_options();
    uint64_t target = below(2000);
    pid_t pid = fork();
    if (pid == 0)
        child(run, &o, shared);
    int status = 0;
    for (int i = 0; i < 200000 && __atomic_load_n(&shared->put, __ATOMIC_ACQUIRE) < target; i++) {
        usleep(50);
        if (waitpid(pid, &status, WNOHANG) == pid)
            fail_msg("the writer ended by itself: %d", status);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    uint64_t put = shared->put;
    munmap(shared, sizeof *shared);
    return put + 1; /* one more may be in the ring */
}

struct seen {
    uint64_t run;  /* of the last record; 0: none */
    uint64_t next; /* index expected in it */
    uint64_t total, damages;
};

static void on_damage(void *user, const struct journal_damage *d)
{
    struct seen *s = user;
    s->damages++;
    fprintf(stderr, "%s: at byte %llu: %s\n", d->file, (unsigned long long)d->offset, d->what);
}

static void look(struct seen *s, const struct journal_item *item)
{
    static uint8_t data[SIZE_MAX_];
    struct journal_entry e;
    if (item->head->kind == JOURNAL_CONFIG || item->head->kind == JOURNAL_END)
        return;
    if (item->head->arg != s->run) {
        assert_true(item->head->arg > s->run);
        s->run = item->head->arg;
        s->next = 0;
    }
    size_t n = record_of(s->run, s->next, &e, data);
    assert_int_equal(item->head->index, s->next);
    assert_int_equal(item->head->kind, e.kind);
    assert_int_equal(item->head->cluster, e.cluster);
    assert_int_equal(item->head->flags, e.flags);
    assert_int_equal(item->head->t_ns, e.t_ns);
    assert_int_equal(item->size, n);
    assert_memory_equal(item->data, data, n);
    s->next++;
    s->total++;
}

static struct seen read_all(void)
{
    struct seen s = {0};
    char err[300], *paths[] = {folder};
    struct journal_set *set;
    struct journal_item item;
    if (journal_set_open(&set, paths, 1, on_damage, &s, err, sizeof err) < 0)
        fail_msg("%s", err);
    int r;
    while ((r = journal_set_next(set, &item, NULL, err, sizeof err)) == 1)
        look(&s, &item);
    assert_int_equal(r, 0);
    journal_set_close(set);
    return s;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The newest file, as a machine that lost power might leave it: cut anywhere. */
static void tear_newest(void)
{
    char names[2000][64];
    size_t n = 0;
    DIR *dir = opendir(folder);
    for (const struct dirent *d; (d = readdir(dir)) != NULL && n < 2000;)
        if (d->d_name[0] != '.')
            snprintf(names[n++], sizeof names[0], "%.63s", d->d_name);
    qsort(names, n, sizeof names[0], by_name);
    struct stat st;
    if (n && fstatat(dirfd(dir), names[n - 1], &st, 0) == 0) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", folder, names[n - 1]);
        off_t cut = (off_t)below((uint64_t)st.st_size + 1);
        assert_int_equal(truncate(path, st.st_size - (below(2) ? cut : cut % 300)), 0);
    }
    closedir(dir);
}

static void remove_all(void)
{
    DIR *dir = opendir(folder);
    for (const struct dirent *d; dir && (d = readdir(dir));)
        if (d->d_name[0] != '.')
            unlinkat(dirfd(dir), d->d_name, 0);
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

static void one_round(void)
{
    uint64_t total = 0;
    snprintf(folder, sizeof folder, "/tmp/polygond-prop-journal-XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (uint64_t run = 1; run <= RUNS; run++) {
        uint64_t put = run_and_kill(run);
        bool torn = below(2);
        if (torn)
            tear_newest();
        /* the next run's opening repairs; what is there then is whole, ordered, and no more than was put */
        struct journal_options o = random_options();
        char err[300];
        struct journal *j;
        assert_int_equal(journal_open(&j, &o, err, sizeof err), 0);
        journal_close(j);
        struct seen s = read_all();
        assert_int_equal(s.damages, 0);
        assert_true(s.total <= total + put);
        if (!torn)
            assert_true(s.total >= total);
        total = s.total;
    }
    remove_all();
}

static void test_rounds(void **unused)
{
    (void)unused;
    const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    unsigned count = rounds ? (unsigned)strtoul(rounds, NULL, 10) : ROUNDS;
    (void)log_level_set("error");
    for (unsigned i = 0; i < count; i++) {
        printf("SEED=%llu ROUNDS=1\n", (unsigned long long)(first + i));
        state = mix(first + i) | 1;
        one_round();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
