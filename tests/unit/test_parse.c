/* test_parse - WebSocket messages to events: every type, every field, and what must not pass. */
#include "parse.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 16

struct got {
    struct event events[MAX];
    char symbols[MAX][64];
    char status[MAX][64];
    char message[MAX][256];
    size_t n;
    enum event_fault faults[MAX];
    char reasons[MAX][128];
    char raws[MAX][256];
    enum event_type fault_types[MAX];
    char fault_symbols[MAX][64];
    size_t fault_n;
};

static struct got got;

static void copy(char *out, size_t room, struct event_text text)
{
    assert_true(text.n < room);
    if (text.n)
        memcpy(out, text.p, text.n);
    out[text.n] = '\0';
}

static void on_event(void *user, const struct event *e)
{
    struct got *g = user;
    assert_true(g->n < MAX);
    g->events[g->n] = *e;
    copy(g->symbols[g->n], sizeof(g->symbols[0]), e->symbol);
    if (e->class == EVENT_CLASS_STATUS) {
        copy(g->status[g->n], sizeof(g->status[0]), e->status.status);
        copy(g->message[g->n], sizeof(g->message[0]), e->status.message);
    }
    g->n++;
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    struct got *g = user;
    assert_true(g->fault_n < MAX);
    g->faults[g->fault_n] = fault;
    snprintf(g->reasons[g->fault_n], sizeof(g->reasons[0]), "%s", reason);
    g->fault_types[g->fault_n] = e->type;
    copy(g->fault_symbols[g->fault_n], sizeof(g->fault_symbols[0]), e->symbol);
    raw.n = raw.n < 255 ? raw.n : 255;
    copy(g->raws[g->fault_n], sizeof(g->raws[0]), raw);
    g->fault_n++;
}

/* The text is copied to memory of its exact size, so that a sanitizer sees any read past it. */
static int parse(const char *text, enum pgd_cluster cluster)
{
    size_t n = strlen(text);
    char *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    memcpy(exact, text, n);
    memset(&got, 0, sizeof(got));
    struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &got};
    int r = parse_ws(exact, n, cluster, &sink);
    free(exact);
    return r;
}

static const struct event *one(const char *text, enum pgd_cluster cluster)
{
    assert_int_equal(parse(text, cluster), 0);
    if (got.fault_n)
        print_message("%s: %s\n", got.reasons[0], got.raws[0]);
    assert_int_equal(got.fault_n, 0);
    assert_int_equal(got.n, 1);
    return &got.events[0];
}

static void refuse_in(const char *text, enum pgd_cluster cluster, enum event_fault fault, const char *reason)
{
    assert_int_equal(parse(text, cluster), 0);
    if (got.fault_n != 1 || got.n != 0 || got.faults[0] != fault || !strstr(got.reasons[0], reason))
        fail_msg("%s: %zu events, %zu faults, fault %d, reason '%s'", text, got.n, got.fault_n, got.faults[0],
                 got.reasons[0]);
}

static void malformed(const char *text, const char *reason)
{
    refuse_in(text, PGD_STOCKS, EVENT_MALFORMED, reason);
}

static void refused(const char *text, const char *reason)
{
    refuse_in(text, PGD_STOCKS, EVENT_REFUSED, reason);
}

static void same(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof(a));
}

/* -------------------------------------------------------------------------------------------------- types */

static void stock_trade(void **state)
{
    (void)state;
    const struct event *e = one(
        "[{\"ev\":\"T\",\"sym\":\"BRK.A\",\"x\":11,\"i\":\"52983525029461\",\"z\":1,\"p\":612345.67,\"s\":0,"
        "\"ds\":\"0.013374\",\"c\":[37,41],\"t\":1767366000123,\"pt\":1767366000122,\"q\":123456789,"
        "\"trfi\":202,\"trft\":1767366000124}]",
        PGD_STOCKS);
    assert_int_equal(e->type, EVENT_T);
    assert_int_equal(e->class, EVENT_CLASS_TRADE);
    assert_string_equal(got.symbols[0], "BRK.A");
    assert_int_equal(e->trade.exchange, 11);
    assert_int_equal(e->trade.id, 52983525029461);
    assert_int_equal(e->trade.flags, 1);
    same(e->trade.price, 612345.67);
    same(e->trade.size, 0.013374);
    assert_int_equal(e->trade.cond[0], 38);
    assert_int_equal(e->trade.cond[1], 42);
    assert_int_equal(e->trade.cond[2], 0);
    assert_int_equal(e->trade.t, 1767366000123000000);
    assert_int_equal(e->trade.seq, 123456789);
    assert_int_equal(e->trade.trf, 202);
}

static void trade_ids(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        uint64_t value;
        bool hashed;
    } rows[] = {
        {"\"7\"", 7, false},
        {"7", 7, false},
        {"\"123456\"", 123456, false},
        {"\"1234567\"", 1234567, false},
        {"\"9223372036854775807\"", INT64_MAX, false},
        {"9223372036854775807", INT64_MAX, false},
        {"\"\"", 0, false},
        {"null", 0, false},
        {"\"0\"", 0, false},
        {"\"a\"", UINT64_C(0xaf63dc4c8601ec8c), true},
        {"\"foobar\"", UINT64_C(0x85944171f73967e8), true},
        {"\"fo\\u006fbar\"", UINT64_C(0x85944171f73967e8), true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":1767366000123,\"i\":%s}]", rows[i].id);
        const struct event *e = one(text, PGD_STOCKS);
        assert_int_equal(e->trade.id, rows[i].value);
        assert_int_equal((e->trade.flags & PGD_ID_HASHED) != 0, rows[i].hashed);
    }
    /* Ids that differ as text stay different. */
    const struct event *e =
        one("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":1767366000123,\"i\":\"007\"}]", 1);
    assert_int_not_equal(e->trade.id, 7);
    e = one(
        "[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":1767366000123,\"i\":\"9223372036854775808\"}]",
        1);
    assert_true(e->trade.flags & PGD_ID_HASHED);
    malformed("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":1767366000123,\"i\":{}}]", "id");
}

static void options_trade_and_quote(void **state)
{
    (void)state;
    const struct event *e =
        one("[{\"ev\":\"T\",\"sym\":\"O:SPY251219C00650000\",\"x\":312,\"p\":3.14,\"s\":12,"
            "\"c\":[227],\"t\":1767366000123,\"q\":711}]",
            PGD_OPTIONS);
    assert_string_equal(got.symbols[0], "O:SPY251219C00650000");
    assert_int_equal(e->trade.exchange, 312);
    assert_int_equal(e->trade.id, 0);
    assert_int_equal(e->trade.flags, 0);
    e = one("[{\"ev\":\"Q\",\"sym\":\"O:SPY251219C00650000\",\"bx\":302,\"ax\":303,\"bp\":9.71,\"ap\":9.81,"
            "\"bs\":17,"
            "\"as\":24,\"t\":1767366000123,\"q\":844090872}]",
            PGD_OPTIONS);
    assert_int_equal(e->quote.bid_exchange, 302);
    assert_int_equal(e->quote.ask_exchange, 303);
    same(e->quote.bid, 9.71);
    same(e->quote.ask_size, 24);
    assert_int_equal(e->quote.seq, 844090872);
}

static void stock_quote(void **state)
{
    (void)state;
    const struct event *e =
        one("[{\"ev\":\"Q\",\"sym\":\"KO\",\"bx\":4,\"bp\":71.5,\"bs\":100,\"ax\":7,\"ap\":71.53,"
            "\"as\":160,\"c\":1,\"i\":[604,[{\"x\":null}]],\"t\":1767366000123,\"pt\":1,"
            "\"q\":4294967301,\"z\":3}]",
            PGD_STOCKS);
    assert_int_equal(e->class, EVENT_CLASS_QUOTE);
    same(e->quote.bid, 71.5);
    same(e->quote.ask, 71.53);
    same(e->quote.bid_size, 100);
    assert_int_equal(e->quote.cond, 2);
    assert_int_equal(e->quote.seq, 5);
    assert_int_equal(e->quote.flags, 3 | PGD_SEQ_WRAPPED);
    e = one("[{\"ev\":\"Q\",\"sym\":\"KO\",\"bp\":71.5,\"c\":[1,2],\"t\":1767366000123}]", PGD_STOCKS);
    assert_true(isnan(e->quote.ask) && isnan(e->quote.bid_size));
    assert_int_equal(e->quote.cond, 2);
    assert_int_equal(e->quote.flags, PGD_MORE_CONDITIONS);
    e = one("[{\"ev\":\"Q\",\"sym\":\"KO\",\"bp\":0,\"bs\":0,\"ap\":71.53,\"t\":1767366000123}]", PGD_STOCKS);
    same(e->quote.bid, 0);
    malformed("[{\"ev\":\"Q\",\"sym\":\"KO\",\"t\":1767366000123}]", "prices are missing");
}

static void bars(void **state)
{
    (void)state;
    const struct event *e = one(
        "[{\"ev\":\"AM\",\"sym\":\"GTE\",\"v\":4110,\"av\":9470157,\"op\":0.4372,\"vw\":0.4488,\"o\":0.4487,"
        "\"c\":0.4486,\"h\":0.4489,\"l\":0.4485,\"a\":0.4352,\"z\":685,\"s\":1767366000000,"
        "\"e\":1767366060000,\"otc\":true,\"dv\":\"4110.25\",\"dav\":\"9470157.000125\"}]",
        PGD_STOCKS);
    assert_int_equal(e->type, EVENT_AM);
    assert_int_equal(e->class, EVENT_CLASS_BAR);
    same(e->bar.bar.o, 0.4487);
    same(e->bar.bar.h, 0.4489);
    same(e->bar.bar.l, 0.4485);
    same(e->bar.bar.c, 0.4486);
    same(e->bar.bar.v, 4110.25);
    same(e->bar.bar.vw, 0.4488);
    same(e->bar.day.op, 0.4372);
    same(e->bar.day.av, 9470157.000125);
    same(e->bar.day.a, 0.4352);
    assert_int_equal(e->bar.bar.t, 1767366000000);
    assert_int_equal(e->bar.day.t, 1767366000000);
    assert_int_equal(e->bar.end, 1767366060000);
    assert_int_equal(e->bar.bar.n, PGD_N_ABSENT);
    assert_int_equal(e->bar.bar.flags, PGD_BAR_OTC);
    assert_int_equal(e->bar.bar.rev, 0);

    e = one("[{\"ev\":\"A\",\"sym\":\"X\",\"v\":1e6,\"o\":1,\"c\":1,\"h\":1,\"l\":1,\"s\":1767366000000}]",
            PGD_STOCKS);
    assert_int_equal(e->type, EVENT_A);
    same(e->bar.bar.v, 1e6);
    assert_true(isnan(e->bar.bar.vw) && isnan(e->bar.day.op) && isnan(e->bar.day.av));
    assert_int_equal(e->bar.end, 0);
    assert_int_equal(e->bar.bar.flags, 0);

    e = one(
        "[{\"ev\":\"AM\",\"sym\":\"I:SPX\",\"op\":3985.67,\"o\":3985.67,\"c\":3985.6,\"h\":3986,\"l\":3985,"
        "\"s\":1767366000000,\"e\":1767366060000}]",
        PGD_INDICES);
    assert_true(isnan(e->bar.bar.v) && isnan(e->bar.bar.vw));
    malformed("[{\"ev\":\"AM\",\"sym\":\"X\",\"o\":1,\"c\":1,\"h\":1,\"l\":1,\"s\":1767366000000}]",
              "volume is missing");

    e = one("[{\"ev\":\"AM\",\"sym\":\"ESZ5\",\"v\":7,\"dv\":\"7\",\"o\":-1.5,\"c\":-1,\"h\":-0.5,\"l\":-2,"
            "\"n\":5,"
            "\"s\":1767366000000,\"e\":1767366060000}]",
            PGD_FUTURES);
    assert_int_equal(e->bar.bar.n, 5);
    same(e->bar.bar.o, -1.5);
}

static void forex_and_crypto(void **state)
{
    (void)state;
    const struct event *e =
        one("[{\"ev\":\"C\",\"p\":\"USD/CNH\",\"x\":\"44\",\"a\":6.83366,\"b\":6.83363,\"i\":5,"
            "\"t\":1767366000123}]",
            PGD_FOREX);
    assert_string_equal(got.symbols[0], "USD/CNH");
    assert_int_equal(e->quote.bid_exchange, 44);
    assert_int_equal(e->quote.ask_exchange, 44);
    same(e->quote.bid, 6.83363);
    same(e->quote.ask, 6.83366);
    assert_true(isnan(e->quote.bid_size));
    e = one("[{\"ev\":\"C\",\"p\":\"USD/CNH\",\"x\":48,\"a\":6.8,\"b\":6.7,\"t\":1767366000123}]", PGD_FOREX);
    assert_int_equal(e->quote.bid_exchange, 48);
    e = one(
        "[{\"ev\":\"CA\",\"pair\":\"USD/EUR\",\"o\":0.8687,\"c\":0.86889,\"h\":0.86889,\"l\":0.8686,\"v\":20,"
        "\"s\":1767366000000}]",
        PGD_FOREX);
    assert_int_equal(e->type, EVENT_CA);
    assert_true(isnan(e->bar.bar.vw));
    e = one("[{\"ev\":\"CAS\",\"pair\":\"USD/"
            "EUR\",\"o\":1,\"c\":1,\"h\":1,\"l\":1,\"v\":20,\"s\":1767366000000}]",
            PGD_FOREX);
    assert_int_equal(e->type, EVENT_CAS);

    e = one(
        "[{\"ev\":\"XT\",\"pair\":\"BTC-USD\",\"p\":97123.5,\"t\":1767366000123,\"s\":4.522e-05,\"c\":[2],"
        "\"i\":\"191450340\",\"x\":1,\"r\":1767366000140}]",
        PGD_CRYPTO);
    assert_int_equal(e->type, EVENT_XT);
    assert_string_equal(got.symbols[0], "BTC-USD");
    same(e->trade.size, 4.522e-05);
    assert_int_equal(e->trade.cond[0], 3);
    e = one("[{\"ev\":\"XQ\",\"pair\":\"BTC-USD\",\"bp\":33052.79,\"bs\":0.48,\"ap\":33073.19,\"as\":7e-06,"
            "\"t\":1767366000123,\"x\":1,\"r\":1767366000128,\"lp\":1,\"ls\":2}]",
            PGD_CRYPTO);
    same(e->quote.ask_size, 7e-06);
    assert_int_equal(e->quote.ask_exchange, 1);
    e = one("[{\"ev\":\"XA\",\"pair\":\"BCD-USD\",\"v\":951.6112,\"vw\":0.7756,\"z\":73.25,\"o\":0.772,\"c\":"
            "0.784,"
            "\"h\":0.784,\"l\":0.771,\"s\":1767366000000,\"e\":1767366060000}]",
            PGD_CRYPTO);
    same(e->bar.bar.v, 951.6112);
    e = one(
        "[{\"ev\":\"XAS\",\"pair\":\"BCD-USD\",\"v\":1,\"o\":1,\"c\":1,\"h\":1,\"l\":1,\"s\":1767366000000}]",
        PGD_CRYPTO);
    assert_int_equal(e->type, EVENT_XAS);
}

static void values_and_counted(void **state)
{
    (void)state;
    const struct event *e =
        one("[{\"ev\":\"V\",\"val\":3988.5,\"T\":\"I:SPX\",\"t\":1767366000123}]", PGD_INDICES);
    assert_int_equal(e->class, EVENT_CLASS_TRADE);
    same(e->trade.price, 3988.5);
    assert_true(isnan(e->trade.size));
    assert_int_equal(e->trade.flags, PGD_VALUE);
    static const struct {
        const char *text;
        enum event_type type;
        const char *symbol;
        int64_t t;
    } rows[] = {
        {"{\"ev\":\"LULD\",\"T\":\"MSFT\",\"h\":218.96,\"l\":198.11,\"i\":[21],\"z\":3,\"t\":"
         "1767366000123456789,\"q\":29}",
         EVENT_LULD, "MSFT", 1767366000123456789},
        {"{\"ev\":\"NOI\",\"T\":\"NTEST.Q\",\"t\":1767366000123456,\"at\":930,\"a\":\"M\",\"i\":44,\"x\":10,"
         "\"o\":480,"
         "\"p\":440,\"b\":25.03}",
         EVENT_NOI, "NTEST.Q", 1767366000123456000},
        {"{\"ev\":\"FMV\",\"fmv\":189.22,\"sym\":\"AAPL\",\"t\":1767366000}", EVENT_FMV, "AAPL",
         1767366000000000000},
        {"{\"ev\":\"LV\",\"val\":189.22,\"sym\":\"AAPL\",\"t\":1767366000123}", EVENT_LV, "AAPL",
         1767366000123000000},
        {"{\"ev\":\"XL2\",\"pair\":\"BTC-USD\",\"t\":1767366000123,\"r\":1,\"x\":1,\"b\":[[1.5,2],[3,4e-7]],"
         "\"a\":[]}",
         EVENT_XL2, "BTC-USD", 1767366000123000000},
        {"{\"ev\":\"LV\",\"sym\":\"AAPL\"}", EVENT_LV, "AAPL", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        e = one(rows[i].text, PGD_STOCKS);
        assert_int_equal(e->type, rows[i].type);
        assert_int_equal(e->class, EVENT_CLASS_COUNTED);
        assert_string_equal(got.symbols[0], rows[i].symbol);
        assert_int_equal(e->counted.t, rows[i].t);
    }
    malformed("[{\"ev\":\"LULD\",\"T\":\"MSFT\",\"h\":218.96,\"l\":19x}]", "comma");
}

static void statuses(void **state)
{
    (void)state;
    const struct event *e = one("{ \"ev\" : \"status\" , \"status\":\"auth_failed\",\"message\":\"Your plan "
                                "doesn\\u0027t \\\"\\ud83d\\ude00\\\"\"}",
                                PGD_STOCKS);
    assert_int_equal(e->class, EVENT_CLASS_STATUS);
    assert_string_equal(got.status[0], "auth_failed");
    assert_string_equal(got.message[0], "Your plan doesn't \"\xf0\x9f\x98\x80\"");
    one("[{\"ev\":\"status\",\"status\":\"connected\"}]", PGD_STOCKS);
    assert_string_equal(got.message[0], "");
    malformed("[{\"ev\":\"status\",\"message\":\"x\"}]", "status is missing");
    malformed("[{\"ev\":\"status\",\"status\":1}]", "string");
}

/* ------------------------------------------------------------------------------------------------- syntax */

#define REST_OF_BAR "\"v\":1,\"o\":1,\"c\":1,\"h\":1,\"l\":1,\"s\":1767366000000"
#define REST_OF_T   "\"p\":1.5,\"s\":2,\"t\":1767366000123"

static void order_and_blanks(void **state)
{
    (void)state;
    const struct event *e = one(
        " [ { \"t\" : 1767366000123 ,\r\n\t\"s\": 2 , \"p\" :1.5,\"sym\": \"A\" , \"ev\" : \"T\" } ] \n", 1);
    assert_int_equal(e->type, EVENT_T);
    same(e->trade.price, 1.5);
    e = one("{\"ev\":\"T\" , \"sym\":\"A\"," REST_OF_T "}", 1);
    assert_int_equal(e->type, EVENT_T);
    one("{\"unknown\":{\"ev\":\"Q\",\"a\":[[],{},[1,-2.5e+3,true,false,null,\"\\n\"]]},\"ev\":\"T\",\"sym\":"
        "\"A\"," REST_OF_T "}",
        1);
    one("[{\"ev\":\"T\",\"newkey\":[{\"a\":{}}],\"\":1,\"sym\":\"A\",\"a_very_long_key_indeed\":"
        "\"x\"," REST_OF_T "}]",
        1);
    assert_int_equal(parse("[]", 1), 0);
    assert_int_equal(parse(" [ ] ", 1), 0);
    assert_int_equal(got.n + got.fault_n, 0);
}

static void duplicate_keys(void **state)
{
    (void)state;
    const struct event *e =
        one("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":9,\"c\":[1,2,3,4,5],\"i\":\"a\",\"z\":3," REST_OF_T
            ",\"sym\":\"B\",\"c\":[7],\"i\":\"5\",\"z\":1}]",
            1);
    assert_string_equal(got.symbols[0], "B");
    same(e->trade.price, 1.5);
    assert_int_equal(e->trade.cond[0], 8);
    assert_int_equal(e->trade.cond[1], 0);
    assert_int_equal(e->trade.flags, 1);
    assert_int_equal(e->trade.id, 5);
    e = one("[{\"ev\":\"Q\",\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T "}]", 1);
    assert_int_equal(e->type, EVENT_T);
    e = one("[{\"ev\":\"Q\",\"sym\":\"A\"," REST_OF_T ",\"ev\":\"T\"}]", 1);
    assert_int_equal(e->type, EVENT_T);
    e = one("[{\"ev\":\"T\",\"ev\":\"Q\",\"sym\":\"A\"," REST_OF_T ",\"ev\":\"T\"}]", 1);
    assert_int_equal(e->type, EVENT_T);
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"p\":null}]", "price is missing");
}

static void escapes(void **state)
{
    (void)state;
    const struct event *e = one("[{\"\\u0065v\":\"\\u0054\",\"s\\u0079m\":\"BRK\\u002eA\",\"\\u0070\":1.5,"
                                "\"s\":2,\"t\":1767366000123}]",
                                1);
    assert_string_equal(got.symbols[0], "BRK.A");
    same(e->trade.price, 1.5);
    e = one("[{\"ev\":\"T\",\"sym\":\"\\u00e9\\/\",\"\\u0070\":3," REST_OF_T ",\"\\u0070\":2.5}]", 1);
    assert_string_equal(got.symbols[0], "\xc3\xa9/");
    same(e->trade.price, 2.5);
    malformed("[{\"ev\":\"T\",\"sym\":\"A\\u0001\"," REST_OF_T "}]", "control character");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\\u0000\"," REST_OF_T "}]", "control character");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\x7f\"," REST_OF_T "}]", "control character");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\x01\"," REST_OF_T "}]", "control character");
    /* A key with a NUL in it is another key. */
    one("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"p\\u0000\":true,\"ev\\u0000\":1}]", PGD_STOCKS);
    malformed("[{\"ev\":\"T\",\"sym\":\"\\ud83d\"," REST_OF_T "}]", "surrogate");
    malformed("[{\"ev\":\"T\",\"sym\":\"\\ude00\"," REST_OF_T "}]", "surrogate");
    malformed("[{\"ev\":\"T\",\"sym\":\"\\u12g4\"," REST_OF_T "}]", "escape");
    malformed("[{\"ev\":\"T\",\"sym\":\"\\x\"," REST_OF_T "}]", "escape");
}

static void symbols(void **state)
{
    (void)state;
    malformed("[{\"ev\":\"T\",\"sym\":\"\"," REST_OF_T "}]", "symbol");
    malformed("[{\"ev\":\"T\"," REST_OF_T "}]", "symbol is missing");
    malformed("[{\"ev\":\"T\",\"sym\":null," REST_OF_T "}]", "string");
    malformed("[{\"ev\":\"T\",\"sym\":5," REST_OF_T "}]", "string");
    for (int n = 1; n <= 60; n++) {
        char text[256];
        snprintf(text, sizeof(text), "[{\"ev\":\"T\",\"sym\":\"%0*d\"," REST_OF_T "}]", n, 0);
        if (n > 47) {
            malformed(text, "symbol");
            continue;
        }
        one(text, PGD_STOCKS);
        assert_int_equal(strlen(got.symbols[0]), n);
    }
}

/* A bad event goes, the rest of the frame stays, wherever it is. */
static void frame_survives(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "42",
        "null",
        "\"}],[{\"",
        "[[{\"ev\":\"T\"}]]",
        "{\"ev\":\"T\"}",
        "{\"ev\":\"ZZ\",\"x\":1}",
        "{\"ev\":5}",
        "{\"ev\":\"T\",\"sym\":\"A\" \"p\":1}",
        "{\"ev\":\"T\",\"sym\":\"A\",\"p\":NaN," REST_OF_T "}",
        "{\"ev\":\"T\",\"sym\":\"A\",\"p\":01," REST_OF_T "}",
        "{\"ev\":\"T\",\"sym\":\"A\",\"z\":\"x]}{\\\"\"," REST_OF_T "}",
        "{\"ev\":\"T\",\"sym\":\"A\",\"k\":[1,2" REST_OF_T "]}",
        "{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",}",
        "{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T " garbage}",
        "{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"p\":-1}",
        "{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"ev\":\"Q\",\"ev\":{}}",
        "{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"\x01\":0}",
        "{\"ev\":\"AM\",\"sym\":\"A\"," REST_OF_BAR ",\"z\":\"bad\"}",
    };
    const char *good = "{\"ev\":\"T\",\"sym\":\"GOOD\"," REST_OF_T "}";
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[1024];
        snprintf(text, sizeof(text), "[%s,%s,%s,%s]", good, bad[i], good, bad[i]);
        assert_int_equal(parse(text, PGD_STOCKS), 0);
        if (got.n != 2 || got.fault_n != 2)
            fail_msg("%s: %zu events, %zu faults", text, got.n, got.fault_n);
        assert_string_equal(got.symbols[1], "GOOD");
        assert_string_equal(got.raws[0], bad[i]);
    }
}

static void faults_name_the_event(void **state)
{
    (void)state;
    refuse_in("[{\"ev\":\"T\",\"sym\":\"KO\",\"p\":true}]", PGD_STOCKS, EVENT_MALFORMED, "number");
    assert_int_equal(got.fault_types[0], EVENT_T);
    assert_string_equal(got.fault_symbols[0], "KO");
    refuse_in("[{\"ev\":\"ZZZ\",\"sym\":\"KO\"}]", PGD_STOCKS, EVENT_NOT_KNOWN, "unknown");
    assert_int_equal(got.fault_types[0], EVENT_UNKNOWN);
    refuse_in("[{\"sym\":\"KO\"}]", PGD_STOCKS, EVENT_MALFORMED, "ev is missing");
}

static void no_messages(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "x",
        "42",
        "\"[]\"",
        "null",
        "[",
        "{",
        "]",
        "[,]",
        "[{}",
        "[{\"ev\":\"T\"",
        "[]]",
        "[] []",
        "{}{}",
        "[{},]",
        "[{} {}]",
        "[{\"ev\":\"T\",\"sym\":\"A",
        "[\"",
        "[\"\\",
        "[{\"ev\":\"T\",\"sym\":\"A\\",
        "[\"a\"b]",
        "\xef\xbb\xbf[]",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (parse(texts[i], PGD_STOCKS) != -EBADMSG)
            fail_msg("'%s' was taken", texts[i]);
    /* What came before the damage is delivered. */
    assert_int_equal(parse("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T "},{\"ev\":\"T\",\"sy", PGD_STOCKS),
                     -EBADMSG);
    assert_int_equal(got.n, 1);
}

/* Cut anywhere, a message is never taken whole and never read past its end (the sanitizer's part). */
static void every_prefix(void **state)
{
    (void)state;
    const char *text = "[{\"ev\":\"T\",\"sym\":\"BRK.A\",\"x\":11,\"i\":\"529\",\"z\":1,\"p\":612345.678,"
                       "\"s\":1e2,\"ds\":\"0.5\",\"c\":[37,41],"
                       "\"t\":1767366000123,\"q\":123456789,\"u\\u0041\":[{\"a\":null}]},{\"ev\":\"status\","
                       "\"status\":\"\\u0041\"}]";
    for (size_t n = 0; n < strlen(text); n++) {
        char part[512];
        memcpy(part, text, n);
        part[n] = '\0';
        assert_int_equal(parse(part, PGD_STOCKS), -EBADMSG);
        assert_true(got.n <= 2);
    }
}

static void depth(void **state)
{
    (void)state;
    for (int n = 1; n <= 200; n++) {
        char text[1024] = "[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"u\":";
        for (int i = 0; i < n; i++)
            strcat(text, i & 1 ? "{\"a\":" : "[");
        strcat(text, "0");
        for (int i = n; i-- > 0;)
            strcat(text, i & 1 ? "}" : "]");
        strcat(text, "}]");
        if (n <= 64)
            one(text, PGD_STOCKS);
        else
            malformed(text, "too deep");
    }
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"u\":[1,{\"a\":2,3}]}]", "key is expected");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"u\":[1,]}]", "value is expected");
}

/* ------------------------------------------------------------------------------------------------- values */

static double price_of(const char *number)
{
    char text[512];
    snprintf(text, sizeof(text), "[{\"ev\":\"T\",\"sym\":\"A\",\"p\":%s,\"s\":1,\"t\":1767366000123}]",
             number);
    return one(text, PGD_STOCKS)->trade.price;
}

static void numbers(void **state)
{
    (void)state;
    same(price_of("0"), 0);
    same(price_of("1"), 1);
    same(price_of("7e-06"), 7e-06);
    same(price_of("6.42646396e+08"), 6.42646396e+08);
    same(price_of("7.0661926525697e+07"), 7.0661926525697e+07);
    same(price_of("123456.789"), 123456.789);
    same(price_of("0.0001234"), 0.0001234);
    same(price_of("1234567"), 1234567);
    same(price_of("12345678"), 12345678);
    same(price_of("1.25E2"), 125);
    same(price_of("9007199254740993"), 9007199254740992.0);
    same(price_of("0.1000000000000000055511151231257827"), 0.1);
    same(price_of("1e-400"), 0);
    static const char *const bad[] = {"01",     "1.",  ".5",    "+1",   "1e",    "1e+",   "0x10",
                                      "--1",    "-",   "1.2.3", "1,5",  "Inf",   "\"1\"", "12a",
                                      "1.5e3x", "[1]", "{}",    "00.5", "1_000", "1 2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[256];
        snprintf(text, sizeof(text), "[{\"ev\":\"T\",\"sym\":\"A\",\"p\":%s,\"s\":1,\"t\":1767366000123}]",
                 bad[i]);
        malformed(text, "");
    }
}

static int64_t time_of(const char *number)
{
    char text[512];
    snprintf(text, sizeof(text), "[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":%s}]", number);
    return one(text, PGD_STOCKS)->trade.t;
}

static void times(void **state)
{
    (void)state;
    assert_int_equal(time_of("1788877046310003385"), 1788877046310003385);
    assert_int_equal(time_of("1788877046310003"), 1788877046310003000);
    assert_int_equal(time_of("1788877046310"), 1788877046310000000);
    assert_int_equal(time_of("1788877046"), 1788877046000000000);
    assert_int_equal(time_of("1.788877046310e12"), 1788877046310000000);
    assert_int_equal(time_of("1788877046310.0"), 1788877046310000000);
    assert_int_equal(time_of("1.788877046310003385e18"), 1788877046310003385);
    static const char *const absurd[] = {"0",
                                         "-1",
                                         "631151999",
                                         "631151999999",
                                         "4102444801",
                                         "4102444800001",
                                         "99999999999",
                                         "9223372036854775807",
                                         "99999999999999",
                                         "99999999999999999",
                                         "4102444800000000001"};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
        char text[256];
        snprintf(text, sizeof(text), "[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":%s}]", absurd[i]);
        refused(text, "time");
    }
    malformed("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":1788877046310.5}]", "integer");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":9223372036854775808}]", "integer");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"t\":\"1788877046310\"}]", "integer");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1}]", "time is missing");
}

static void ranges(void **state)
{
    (void)state;
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"x\":65536}]", "range");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"x\":-1}]", "range");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"x\":\"4x\"}]", "integer");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"q\":-5}]", "range");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"c\":[65535]}]", "range");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"c\":[-1]}]", "range");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"c\":[1.5]}]", "integer");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"c\":[1 2]}]", "comma");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"ds\":\"1,5\"}]", "decimal");
    malformed("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"ds\":\"\"}]", "decimal");
    const struct event *e =
        one("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T
            ",\"x\":65535,\"z\":9,\"trfi\":255,\"c\":[65534,0,1,2,3],\"q\":9223372036854775807}]",
            1);
    assert_int_equal(e->trade.exchange, 65535);
    assert_int_equal(e->trade.trf, 255);
    assert_int_equal(e->trade.flags, PGD_MORE_CONDITIONS);
    assert_int_equal(e->trade.cond[0], 65535);
    assert_int_equal(e->trade.cond[3], 3);
    assert_int_equal(e->trade.seq, INT64_MAX);
    e = one("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T
            ",\"c\":null,\"i\":null,\"x\":null,\"z\":null,\"ds\":null}]",
            1);
    assert_int_equal(e->trade.cond[0], 0);
    same(e->trade.size, 2);
    one("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"c\":[ ]}]", 1);
    e = one("[{\"ev\":\"T\",\"sym\":\"A\"," REST_OF_T ",\"c\":[ 1 , 2 ] }]", 1);
    assert_int_equal(e->trade.cond[1], 3);
}

static void impossible(void **state)
{
    (void)state;
    refused("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1e999,\"s\":1,\"t\":1767366000123}]", "finite");
    refused("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":-0.01,\"s\":1,\"t\":1767366000123}]", "negative");
    refused("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":-1,\"t\":1767366000123}]", "negative");
    refused("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":1,\"s\":1,\"ds\":\"1e400\",\"t\":1767366000123}]", "finite");
    refused("[{\"ev\":\"Q\",\"sym\":\"A\",\"bp\":-1,\"ap\":1,\"t\":1767366000123}]", "negative");
    refused("[{\"ev\":\"Q\",\"sym\":\"A\",\"bp\":1,\"ap\":1,\"as\":-1,\"t\":1767366000123}]", "negative");
#define BAR(fields) "[{\"ev\":\"AM\",\"sym\":\"A\"," REST_OF_BAR fields "}]"
    one(BAR(""), PGD_STOCKS);
    refused(BAR(",\"h\":0.5"), "high");
    refused(BAR(",\"v\":-1"), "negative");
    refused(BAR(",\"av\":-1"), "negative");
    refused(BAR(",\"op\":-1"), "negative");
    refused(BAR(",\"vw\":1e999"), "finite");
    refused(BAR(",\"e\":5"), "time");
    malformed(BAR(",\"n\":-1"), "range");
    malformed(BAR(",\"n\":4294967296"), "range");
    malformed(BAR(",\"otc\":1"), "true or false");
    malformed(BAR(",\"o\":null"), "price is missing");
    /* Open and close may lie outside high and low: odd lots do that. */
    one(BAR(",\"o\":2"), PGD_STOCKS);
    /* Malformed weighs more than impossible. */
    malformed("[{\"ev\":\"T\",\"sym\":\"A\",\"p\":-1,\"s\":1,\"t\":1767366000123,\"x\":true}]", "integer");
    assert_true(one("[{\"ev\":\"T\",\"sym\":\"CL\",\"p\":-37.63,\"s\":1,\"t\":1767366000123}]", PGD_FUTURES)
                    ->trade.price < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_trade),
        cmocka_unit_test(trade_ids),
        cmocka_unit_test(options_trade_and_quote),
        cmocka_unit_test(stock_quote),
        cmocka_unit_test(bars),
        cmocka_unit_test(forex_and_crypto),
        cmocka_unit_test(values_and_counted),
        cmocka_unit_test(statuses),
        cmocka_unit_test(order_and_blanks),
        cmocka_unit_test(duplicate_keys),
        cmocka_unit_test(escapes),
        cmocka_unit_test(symbols),
        cmocka_unit_test(frame_survives),
        cmocka_unit_test(faults_name_the_event),
        cmocka_unit_test(no_messages),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(depth),
        cmocka_unit_test(numbers),
        cmocka_unit_test(times),
        cmocka_unit_test(ranges),
        cmocka_unit_test(impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
