/* The ledger against a naive model: for each pair a line of small times, each missing or not. With room
 * enough the open holes are exactly what is missing; with little room they cover at least that, and no row is
 * ever lost, doubled or out of bounds. SEED=... repeats a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "gaps.h"

#define SYMBOLS 3u
#define TIMES   64 /* a hole that grows reaches to the end */
#define FLIGHTS 3u /* fewer than there are more rows than pairs */
#define ROUNDS  400
#define STEPS   300

static const enum pgd_topic topics[] = {PGD_TRADES, PGD_BARS_1M};
#define TOPICS (sizeof topics / sizeof topics[0])

struct model {
    bool open[SYMBOLS][TOPICS][TIMES];    /* missing, nobody asks for it */
    bool filling[SYMBOLS][TOPICS][TIMES]; /* being asked for */
    bool growing[SYMBOLS][TOPICS];
};

struct shown {
    struct pgd_gap rows[256];
};

static uint64_t state;

static uint32_t pick(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % below;
}

static void on_show(void *user, uint32_t row, const struct pgd_gap *gap)
{
    assert_true(row < 256);
    ((struct shown *)user)->rows[row] = *gap;
}

static unsigned topic_of(uint32_t topic)
{
    return topic == PGD_TRADES ? 0 : 1;
}

static void mark(bool *line, int64_t from, int64_t to, bool value)
{
    for (int64_t i = from < 0 ? 0 : from; i < TIMES && i < to; i++)
        line[i] = value;
}

/* What the ledger says, drawn on the same lines. */
static void draw(const struct gaps *gaps, struct model *m, uint32_t *ret_alive)
{
    memset(m, 0, sizeof *m);
    *ret_alive = 0;
    for (uint32_t i = 0; i < gaps_rows(gaps); i++) {
        const struct pgd_gap *g = gaps_at(gaps, i);
        if (g->id == 0 || (g->state != PGD_GAP_OPEN && g->state != PGD_GAP_FILLING))
            continue;
        unsigned t = topic_of(g->topic);
        bool *line = g->state == PGD_GAP_OPEN ? m->open[g->symbol][t] : m->filling[g->symbol][t];
        ++*ret_alive;
        assert_true(g->from_ns < g->to_ns);
        for (int64_t k = g->from_ns; k < TIMES && k < g->to_ns; k++) {
            if (g->state == PGD_GAP_OPEN) /* no two open holes of a pair overlap */
                assert_false(line[k]);
            line[k] = true;
        }
        m->growing[g->symbol][t] |= g->to_ns == GAPS_GROWING;
    }
}

static void compare(const struct gaps *gaps, const struct model *want, const struct shown *shown, bool exact)
{
    struct model have;
    uint32_t alive;
    draw(gaps, &have, &alive);
    assert_int_equal(alive, gaps_alive(gaps));
    for (unsigned s = 0; s < SYMBOLS; s++)
        for (unsigned t = 0; t < TOPICS; t++) {
            assert_int_equal(have.growing[s][t], want->growing[s][t]);
            for (int k = 0; k < TIMES; k++) {
                bool known = have.open[s][t][k] || have.filling[s][t][k];
                bool missing = want->open[s][t][k] || want->filling[s][t][k];
                if (missing && !known)
                    fail_msg("symbol %u topic %u: %d is missing and not known", s, t, k);
                if (exact && known && !missing)
                    fail_msg("symbol %u topic %u: %d is not missing", s, t, k);
            }
        }
    for (uint32_t i = 0; i < gaps_rows(gaps); i++)
        if (gaps_at(gaps, i)->id != 0)
            assert_memory_equal(&shown->rows[i], gaps_at(gaps, i), sizeof shown->rows[i]);
}

static bool covered(const bool *line, int64_t from, int64_t to)
{
    for (int64_t k = from; k < to && k < TIMES; k++)
        if (!line[k])
            return false;
    return true;
}

static void step_open(struct gaps *gaps, struct model *m, unsigned s, unsigned t, int64_t now)
{
    int64_t from = pick(TIMES), to = from + pick(12);
    bool grow = pick(6) == 0;
    uint32_t row = gaps_open(gaps, s, topics[t], from, grow ? GAPS_GROWING : to, PGD_GAP_CONNECTION, now,
                             (int64_t)pick(100));
    if (!grow && from == to) {
        assert_int_equal(row, GAPS_NONE);
        return;
    }
    assert_true(row != GAPS_NONE);
    const struct pgd_gap *g = gaps_at(gaps, row);
    assert_true(g->from_ns <= from && g->to_ns >= (grow ? GAPS_GROWING : to));
    if (g->state == PGD_GAP_FILLING) /* one that is being filled covers it */
        assert_true(!grow && covered(m->filling[s][t], from, to));
    else
        mark(m->open[s][t], from, grow ? TIMES : to, true);
    m->growing[s][t] |= grow;
}

static void step_end(struct gaps *gaps, struct model *m, unsigned s, unsigned t, int64_t now)
{
    int64_t from = TIMES, to = pick(TIMES);
    for (uint32_t i = 0; i < gaps_rows(gaps); i++) {
        const struct pgd_gap *g = gaps_at(gaps, i);
        if (g->id && g->state == PGD_GAP_OPEN && g->to_ns == GAPS_GROWING && g->symbol == s &&
            topic_of(g->topic) == t)
            from = g->from_ns;
    }
    (void)gaps_end(gaps, s, topics[t], to, now, (int64_t)pick(100));
    if (m->growing[s][t])
        mark(m->open[s][t], to > from ? to : from, TIMES, false);
    m->growing[s][t] = false;
}

static void step_covered(struct gaps *gaps, struct model *m, unsigned s, unsigned t, int64_t now)
{
    int64_t from = pick(TIMES), to = from + pick(20);
    gaps_covered(gaps, s, topics[t], from, to, now);
    mark(m->open[s][t], from, to, false);
}

/* Takes what is due; ends some of what is being filled one way or another. */
static void step_fill(struct gaps *gaps, struct model *m, int64_t now)
{
    int64_t wake;
    uint32_t row = gaps_due(gaps, PGD_TRADES | PGD_BARS_1M, (int64_t)pick(120), &wake);
    unsigned flying = 0;
    for (uint32_t i = 0; i < gaps_rows(gaps); i++)
        flying += gaps_at(gaps, i)->id != 0 && gaps_at(gaps, i)->state == PGD_GAP_FILLING;
    if (row != GAPS_NONE && flying < FLIGHTS) {
        const struct pgd_gap *g = gaps_at(gaps, row);
        assert_int_equal(g->state, PGD_GAP_OPEN);
        assert_true(g->to_ns != GAPS_GROWING);
        unsigned t = topic_of(g->topic);
        mark(m->open[g->symbol][t], g->from_ns, g->to_ns, false);
        mark(m->filling[g->symbol][t], g->from_ns, g->to_ns, true);
        gaps_take(gaps, row, now);
    }
    for (uint32_t i = 0; i < gaps_rows(gaps); i++) {
        struct pgd_gap g = *gaps_at(gaps, i);
        if (g.id == 0 || g.state != PGD_GAP_FILLING || pick(4) != 0)
            continue;
        unsigned t = topic_of(g.topic);
        uint32_t how = pick(3);
        int64_t from = g.from_ns + (int64_t)pick(3);
        if (how == 0)
            gaps_close(gaps, i, now);
        else if (how == 1)
            gaps_give_up(gaps, i, PGD_GAP_NOT_ENTITLED, now);
        else
            gaps_again(gaps, i, from, now, (int64_t)pick(100));
        memset(m->filling[g.symbol][t], 0, sizeof m->filling[g.symbol][t]);
        for (uint32_t k = 0; k < gaps_rows(gaps); k++) { /* others of the pair may overlap it */
            const struct pgd_gap *other = gaps_at(gaps, k);
            if (other->id && other->state == PGD_GAP_FILLING && other->symbol == g.symbol &&
                other->topic == g.topic)
                mark(m->filling[g.symbol][t], other->from_ns, other->to_ns, true);
        }
        if (how == 2)
            mark(m->open[g.symbol][t], from < g.to_ns ? from : g.from_ns, g.to_ns, true);
    }
}

static void run(uint32_t max, bool exact)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct shown shown;
        struct model m;
        struct gaps *gaps;
        struct gaps_hooks hooks = {on_show, &shown};
        memset(&m, 0, sizeof m);
        memset(&shown, 0, sizeof shown);
        assert_int_equal(gaps_new(&gaps, SYMBOLS, max, &hooks), 0);
        for (int i = 0; i < STEPS; i++) {
            unsigned s = pick(SYMBOLS), t = pick(TOPICS);
            switch (pick(8)) {
            case 0:
                step_end(gaps, &m, s, t, i);
                break;
            case 1:
                step_covered(gaps, &m, s, t, i);
                break;
            case 2:
            case 3:
                step_fill(gaps, &m, i);
                break;
            default:
                step_open(gaps, &m, s, t, i);
            }
            compare(gaps, &m, &shown, exact);
        }
        gaps_free(gaps);
    }
}

static void test_exact_with_room(void **unused)
{
    (void)unused;
    run(256, true);
}

/* Twelve rows for six pairs: holes must be joined. */
static void test_nothing_is_forgotten_without(void **unused)
{
    (void)unused;
    run(0, false);
}

int main(void)
{
    const char *seed = getenv("SEED");
    state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_with_room),
        cmocka_unit_test(test_nothing_is_forgotten_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
