/* Subscriptions against a simulated vendor: random wishes, acknowledgements in pieces, refusals, silence,
 * losses of the connection. When it is quiet, what the vendor holds is what is wanted and not to blame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "subs.h"

#define SYMBOLS 600u
#define TOPICS  4u
#define PAIRS   (SYMBOLS * TOPICS)
#define ACK_MS  5000u

static const char *const words[TOPICS] = {"T", "Q", "A", "AM"};

struct pair_model {
    bool wanted;
    bool bad;    /* the vendor refuses any message with it */
    bool silent; /* never answered */
    bool held;   /* by the vendor */
    bool told;   /* reported as acknowledged */
    int how;     /* last report */
};

static struct {
    uint64_t random;
    uint64_t now;
    struct subs *subs;
    struct pair_model pairs[PAIRS];
    unsigned flight[SUBS_PAIRS]; /* of the message at the vendor */
    unsigned flight_count;
    bool flight_leaves;
    unsigned messages;
    unsigned reports;
} w;

static uint64_t pick(uint64_t below)
{
    uint64_t z = w.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static void symbol_of(unsigned pair, char ret[PGD_SYMBOL_MAX])
{
    (void)snprintf(ret, PGD_SYMBOL_MAX, "SYMBOL.WITH-A-LONG_NAME%u", pair / TOPICS);
}

static void on_pair(void *user, const char *symbol, enum pgd_topic topic, int how, const char *message)
{
    (void)user;
    unsigned t = 0;
    while (1u << t != (unsigned)topic)
        t++;
    unsigned n = (unsigned)strtoul(symbol + strlen("SYMBOL.WITH-A-LONG_NAME"), NULL, 10);
    struct pair_model *pair = &w.pairs[n * TOPICS + t];
    assert_non_null(message);
    w.reports++;
    if (how > 0)
        assert_true(pair->held);
    if (how < 0)
        assert_true(pair->wanted && !pair->told);
    pair->told = how > 0;
    pair->how = how;
}

static void wish(void)
{
    char symbol[PGD_SYMBOL_MAX];
    unsigned first = (unsigned)pick(SYMBOLS);
    unsigned count = pick(4) ? 1 : (unsigned)pick(300);
    bool wanted = pick(3) > 0;
    uint32_t topics = (uint32_t)pick(1u << TOPICS);
    for (unsigned s = first; s < first + count && s < SYMBOLS; s++) {
        symbol_of(s * TOPICS, symbol);
        for (unsigned t = 0; t < TOPICS; t++)
            if (topics & 1u << t)
                w.pairs[s * TOPICS + t].wanted = wanted;
        if (wanted)
            assert_int_equal(subs_want(w.subs, symbol, topics), 0);
        else
            subs_unwant(w.subs, symbol, topics);
    }
}

/* The vendor reads a message. */
static void vendor_reads(char *message, size_t size)
{
    assert_true(size < SUBS_BYTES);
    message[size] = '\0';
    assert_int_equal(w.flight_count, 0);
    w.flight_leaves = strstr(message, "unsubscribe") != NULL;
    char *params = strstr(message, "\"params\":\"");
    assert_non_null(params);
    params += strlen("\"params\":\"");
    *strchr(params, '"') = '\0';
    for (char *p = strtok(params, ","); p; p = strtok(NULL, ",")) {
        char *dot = strchr(p, '.');
        *dot = '\0';
        unsigned t = 0;
        while (strcmp(words[t], p) != 0)
            t++;
        unsigned n = (unsigned)strtoul(dot + 1 + strlen("SYMBOL.WITH-A-LONG_NAME"), NULL, 10);
        assert_true(w.flight_count < SUBS_PAIRS);
        w.flight[w.flight_count++] = n * TOPICS + t;
    }
    assert_true(w.flight_count > 0);
    w.messages++;
}

static void ack(unsigned n)
{
    char symbol[PGD_SYMBOL_MAX];
    char text[128];
    symbol_of(n, symbol);
    int size = snprintf(text, sizeof(text), "%ssubscribed to: %s.%s", w.flight_leaves ? "un" : "",
                        words[n % TOPICS], symbol);
    subs_success(w.subs, text, (size_t)size, w.now);
}

static bool vendor_refuses(void)
{
    for (unsigned i = 0; i < w.flight_count; i++)
        if (!w.flight_leaves && w.pairs[w.flight[i]].bad)
            return true;
    return false;
}

/* The vendor answers to some of the message, or refuses it in full. */
static void vendor_answers(void)
{
    if (vendor_refuses()) {
        w.flight_count = 0;
        subs_error(w.subs, "not authorized", 14, w.now);
        return;
    }
    unsigned some = 1 + (unsigned)pick(w.flight_count);
    for (unsigned i = 0; i < some; i++) {
        unsigned at = (unsigned)pick(w.flight_count);
        unsigned n = w.flight[at];
        w.flight[at] = w.flight[--w.flight_count];
        struct pair_model *pair = &w.pairs[n];
        if (pair->silent && !w.flight_leaves)
            continue;
        bool was = pair->held;
        pair->held = !w.flight_leaves;
        if (pair->held != was) /* a pair that is held already is not acknowledged again */
            ack(n);
    }
}

static void lose(void)
{
    for (unsigned i = 0; i < PAIRS; i++)
        w.pairs[i].held = false;
    w.flight_count = 0;
    subs_lost(w.subs);
    for (unsigned i = 0; i < PAIRS; i++)
        assert_false(w.pairs[i].told);
}

static bool step(void)
{
    static char message[SUBS_BYTES + 1];
    if (w.flight_count) {
        w.now += pick(50);
        vendor_answers();
        return true;
    }
    size_t n = subs_message(w.subs, w.now, message);
    if (n) {
        vendor_reads(message, n);
        return true;
    }
    uint64_t at = subs_deadline(w.subs);
    if (at == UINT64_MAX)
        return false;
    w.now = at > w.now ? at : w.now;
    subs_tick(w.subs, w.now);
    return true;
}

static void on_each(void *user, const char *symbol, enum pgd_topic topic, int how)
{
    unsigned *counts = user;
    (void)symbol;
    (void)topic;
    counts[how < 0]++;
}

static void check_quiet(void)
{
    unsigned held = 0;
    unsigned refused = 0;
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct pair_model *pair = &w.pairs[i];
        bool blame = pair->bad || pair->silent;
        assert_int_equal(pair->held, pair->wanted && !blame);
        assert_int_equal(pair->told, pair->held);
        if (pair->wanted && blame)
            assert_int_equal(pair->how, -1);
        held += pair->held;
        refused += pair->wanted && blame;
    }
    struct subs_counts counts = subs_counts(w.subs);
    assert_int_equal(counts.held, held);
    assert_int_equal(counts.refused, refused);
    assert_int_equal(counts.awaited, 0);
    unsigned each[2] = {0, 0};
    subs_each(w.subs, on_each, each);
    assert_int_equal(each[0], 0);
    assert_int_equal(each[1], refused);
}

static void run(void)
{
    const struct subs_hooks hooks = {on_pair, NULL};
    w.subs = subs_new(PGD_STOCKS, ACK_MS, &hooks);
    assert_non_null(w.subs);
    /* Fewer to blame a topic than a streak, or the rest of their messages would be given up with them. */
    memset(w.pairs, 0, sizeof(w.pairs));
    for (unsigned t = 0; t < TOPICS; t++)
        for (unsigned i = 0; i < SUBS_STREAK - 1; i++)
            w.pairs[pick(SYMBOLS) * TOPICS + t].bad = true;
    for (unsigned i = 0; i < 5; i++)
        w.pairs[pick(PAIRS)].silent = true;
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 200; i++) {
            if (pick(8) == 0)
                wish();
            else
                (void)step();
            if (pick(300) == 0)
                lose();
        }
        for (unsigned i = 0; step(); i++)
            assert_true(i < 100000);
        check_quiet();
    }
    lose();
    subs_free(w.subs);
}

static void test_random(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 1000003;
    print_message("SEED=%llu\n", (unsigned long long)seed);
    time_t end = time(NULL) + 4;
    unsigned runs = 0;
    for (w.random = seed; runs < 2 || time(NULL) < end; runs++)
        run();
    print_message("%u runs, %u messages, %u reports\n", runs, w.messages, w.reports);
}

/* A topic that the plan does not have: given up after few messages, whatever the number of symbols. */
static void test_streak(void **state)
{
    (void)state;
    const struct subs_hooks hooks = {on_pair, NULL};
    char symbol[PGD_SYMBOL_MAX];
    w.random = 1;
    memset(w.pairs, 0, sizeof(w.pairs));
    w.subs = subs_new(PGD_STOCKS, ACK_MS, &hooks);
    assert_non_null(w.subs);
    w.messages = 0;
    for (unsigned s = 0; s < SYMBOLS; s++) {
        w.pairs[s * TOPICS + 1].bad = true;
        w.pairs[s * TOPICS + 1].wanted = true;
        w.pairs[s * TOPICS].wanted = true;
        symbol_of(s * TOPICS, symbol);
        assert_int_equal(subs_want(w.subs, symbol, PGD_TRADES | PGD_QUOTES), 0);
    }
    while (step())
        ;
    check_quiet();
    assert_true(w.messages < 40);
    subs_free(w.subs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_streak), cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
