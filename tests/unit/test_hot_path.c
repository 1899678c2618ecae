/* From a received frame to a published row, and to the journal, nothing allocates and nothing waits: counted
 * by the sanitizer's allocation hooks (asan builds) and by the kernel (voluntary context switches of the
 * thread).
 */
#include "fixture_bus.h"

#include <sched.h>
#include <sys/resource.h>

#include "clock.h"
#include "folder.h"
#include "journal.h"
#include "parse.h"
#include "ws.h"

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *)) __attribute__((weak));

static unsigned long allocations;
static bool counting;

static void on_malloc(const volatile void *p, size_t size)
{
    (void)p, (void)size;
    if (counting)
        __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

static void on_free(const volatile void *p)
{
    (void)p;
}

struct path {
    struct parse_sink sink;
    struct journal *journal; /* NULL: none */
};

static void on_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    const struct path *p = user;
    (void)opcode;
    assert_int_equal(parse_ws((const char *)data, size, PGD_STOCKS, &p->sink), 0);
    if (p->journal)
        journal_put(
            p->journal,
            &(struct journal_entry){.kind = JOURNAL_FRAME, .cluster = PGD_STOCKS, .t_ns = clock_real_ns()},
            data, size);
}

static void on_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)user, (void)opcode, (void)data, (void)size;
}

static size_t make_frame(uint8_t *frame, unsigned i)
{
    char text[1024];
    int n = snprintf(
        text, sizeof text,
        "[{\"ev\":\"T\",\"sym\":\"AAPL\",\"x\":4,\"i\":\"%u\",\"p\":100.25,\"s\":7,\"t\":1700000000000,\"q\":"
        "%u},"
        "{\"ev\":\"Q\",\"sym\":\"AAPL\",\"bx\":4,\"bp\":100.1,\"bs\":1,\"ax\":7,\"ap\":100.2,\"as\":2,"
        "\"t\":1700000000000,\"q\":%u},"
        "{\"ev\":\"A\",\"sym\":\"AAPL\",\"v\":1,\"av\":5,\"vw\":1.5,\"o\":1,\"c\":2,\"h\":2,\"l\":1,\"s\":%"
        "llu000},"
        "{\"ev\":\"AM\",\"sym\":\"AAPL\",\"v\":1,\"av\":5,\"vw\":1.5,\"o\":1,\"c\":2,\"h\":2,\"l\":1,\"s\":%"
        "llu000},"
        "{\"ev\":\"ZZ\",\"sym\":\"AAPL\"},{\"ev\":\"T\",\"sym\":\"OTHER\",\"x\":4,\"p\":1,\"s\":1,"
        "\"t\":1700000000000,\"q\":1}]",
        i, i + 1, i + 1, 1700000040ull + i, 1700000040ull + i / 3 * 60);
    size_t size = (size_t)n;
    frame[0] = 0x81;
    frame[1] = 126;
    frame[2] = (uint8_t)(size >> 8);
    frame[3] = (uint8_t)size;
    memcpy(frame + 4, text, size);
    return size + 4;
}

static long waits(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
    return u.ru_nvcsw;
}

static struct journal *open_journal(const char *folder)
{
    char err[300] = "";
    struct journal *journal = NULL;
    const struct journal_options o = {.directory = folder,
                                      .instance = "t",
                                      .config = "instance: t\n",
                                      .buffer_bytes = 1 << 20,
                                      .file_bytes = 64 << 20,
                                      .flush_ms = 5,
                                      .symbols = 4,
                                      .mode = 0600};
    if (journal_open(&journal, &o, err, sizeof err) < 0)
        fail_msg("%s", err);
    return journal;
}

/* The journal's thread has begun: it has written more than `before`. */
static void wait_for_writer(const struct journal *journal, uint64_t before)
{
    struct journal_counts now = {.bytes = before};
    for (; journal && now.bytes == before; sched_yield())
        journal_counts(journal, &now);
}

/* `full`: more is put into the journal than it has room for. Returns the records that were left out. */
static uint64_t run(struct journal *journal, unsigned frames, bool full)
{
    static uint8_t large[500 << 10];
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    feed_tap(f.feed, journal);
    fixture_take(&f, "AAPL", PGD_STOCKS, false);
    struct path path = {feed_sink(f.feed, PGD_STOCKS), journal};
    struct ws_sink ws = {on_message, on_control, &path};
    struct ws_decoder *decoder = ws_decoder_new(1 << 20);
    long before = 0;
    struct journal_counts counts = {0};
    if (journal)
        journal_counts(journal, &counts);
    allocations = 0;
    for (unsigned i = 0; i < frames; i++) {
        uint8_t frame[1100];
        size_t room, size = make_frame(frame, i);
        if (i == 10) { /* the buffers have their size by then, and the threads have begun */
            wait_for_writer(journal, counts.bytes);
            while (fixture_counter(&f, PGD_C_engine_batches) == 0)
                sched_yield();
            before = waits();
            counting = true;
        }
        if (full)
            journal_put(journal, &(struct journal_entry){.kind = JOURNAL_FRAME}, large, sizeof large);
        uint8_t *to = ws_decoder_space(decoder, &room);
        assert_true(room >= size);
        memcpy(to, frame, size);
        assert_int_equal(ws_decoder_take(decoder, size, &ws), 0);
        feed_batch(f.feed, size, 1);
    }
    counting = false;
    assert_int_equal(waits(), before);
    if (journal)
        journal_counts(journal, &counts);
    ws_decoder_free(decoder);
    fixture_close(&f); /* the worker has done everything by then */
    assert_int_equal(allocations, 0);
    fixture_remove(&f);
    return counts.lost;
}

static void test_path(void **state)
{
    (void)state;
    run(NULL, 2000, false);
}

static void test_path_with_journal(void **state)
{
    (void)state;
    char folder[256];
    folder_make(folder);
    struct journal *journal = open_journal(folder);
    run(journal, 2000, false);
    journal_close(journal);
    folder_remove(folder);
}

/* Its ring is full: frames are left out of it, and the path goes on as before. */
static void test_path_with_a_journal_that_is_full(void **state)
{
    (void)state;
    char folder[256];
    folder_make(folder);
    struct journal *journal = open_journal(folder);
    assert_true(run(journal, 2000, true) > 0);
    journal_close(journal);
    folder_remove(folder);
}

int main(void)
{
    if (__sanitizer_install_malloc_and_free_hooks)
        __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_path_with_journal),
        cmocka_unit_test(test_path_with_a_journal_that_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
