/* A client attached to a bus written by hand. */
#ifndef TESTS_FIXTURE_CLIENT_H
#define TESTS_FIXTURE_CLIENT_H

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/writer.h"
#include "sub.h"

#define T0      INT64_C(1732285800000)
#define MIN     INT64_C(60000)
#define SOON_NS INT64_C(20000000000) /* for what must come */

struct bus {
    struct writer w;
    struct writer_size size;
    struct pgd_client *client;
    struct pgd_sub *sub;
    uint32_t aapl, msft;
};

static inline int bus_up(void **state)
{
    static unsigned serial;
    struct bus *b = calloc(1, sizeof *b);
    char name[32];
    b->size = (struct writer_size){.symbols = 16, .rows = 64, .log = 256, .tape = 1024};
    snprintf(name, sizeof name, "c%ld-%u", (long)getpid(), serial++);
    if (writer_open(&b->w, name, &b->size) < 0)
        return -1;
    b->aapl = (uint32_t)writer_symbol(&b->w, "AAPL");
    b->msft = (uint32_t)writer_symbol(&b->w, "MSFT");
    *state = b;
    return pgd_open(&b->client, name);
}

static inline int bus_down(void **state)
{
    struct bus *b = *state;
    pgd_sub_free(b->sub);
    pgd_close(b->client);
    writer_drop(&b->w);
    writer_remove(b->w.instance);
    free(b);
    return 0;
}

static inline struct pgd_bar bar_at(int64_t i, double price)
{
    return (struct pgd_bar){.t = T0 + i * MIN,
                            .o = price,
                            .h = price + 1,
                            .l = price - 1,
                            .c = price + 0.5,
                            .v = 100,
                            .vw = price,
                            .n = 7};
}

static inline uint64_t append(struct bus *b, uint32_t symbol, int64_t i)
{
    struct pgd_bar bar = bar_at(i, 100 + (double)i);
    double columns[WRITER_COLUMNS] = {(double)i, (double)i + 0.25, NAN};
    return writer_append(&b->w.minutes, symbol, &bar, columns);
}

static inline void revise(struct bus *b, uint32_t symbol, uint64_t index, int64_t i, double price)
{
    struct pgd_bar bar = bar_at(i, price);
    double columns[WRITER_COLUMNS] = {price, price, price};
    assert_int_equal(writer_revise(&b->w.minutes, symbol, index, &bar, columns), 0);
}

static inline void subscribe(struct bus *b, const char *stream, uint32_t history, const char *symbol)
{
    if (!b->sub)
        assert_int_equal(pgd_sub_new(&b->sub, b->client), 0);
    assert_true(pgd_sub_stream(b->sub, stream, history) >= 0);
    if (symbol)
        assert_int_equal(pgd_sub_symbol(b->sub, symbol), 0);
    else
        pgd_sub_all(b->sub);
}

static inline const struct pgd_event *next(struct bus *b)
{
    const struct pgd_event *e = NULL;
    assert_int_equal(pgd_sub_next(b->sub, &e, SOON_NS), 1);
    return e;
}

static inline void nothing(struct bus *b)
{
    const struct pgd_event *e = NULL;
    assert_int_equal(pgd_sub_next(b->sub, &e, 0), 0);
}

static inline void expect_bar(struct bus *b, const char *name, int64_t i, uint32_t flags)
{
    const struct pgd_event *e = next(b);
    assert_int_equal(e->kind, PGD_EVENT_BAR);
    assert_string_equal(e->name, name);
    assert_int_equal(e->bar.t, T0 + i * MIN);
    assert_int_equal(e->flags, flags);
    assert_int_equal(e->column_count, WRITER_COLUMNS);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bus_up, bus_down)

#endif
