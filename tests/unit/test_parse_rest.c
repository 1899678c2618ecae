/* test_parse_rest - REST bodies: envelopes in any order, rows of three kinds, and bodies that are none. */
#include "parse.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 8

static struct event events[MAX];
static char symbols[MAX][64];
static size_t event_n;
static char reasons[MAX][128];
static size_t fault_n;
static struct parse_page page;

/* Of the page: the body is gone when a test looks. */
static char status[64], message[600], ticker[64], next_url[2100];

static void copy(char *out, size_t room, struct event_text text)
{
    assert_true(text.n < room);
    if (text.n)
        memcpy(out, text.p, text.n);
    out[text.n] = '\0';
}

static void on_event(void *user, const struct event *e)
{
    (void)user;
    assert_true(event_n < MAX);
    events[event_n] = *e;
    copy(symbols[event_n], sizeof(symbols[0]), e->symbol);
    event_n++;
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    (void)user, (void)fault, (void)e, (void)raw;
    assert_true(fault_n < MAX);
    snprintf(reasons[fault_n++], sizeof(reasons[0]), "%s", reason);
}

static int parse(const char *text)
{
    size_t n = strlen(text);
    char *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    memcpy(exact, text, n);
    event_n = fault_n = 0;
    struct parse_sink sink = {.event = on_event, .fault = on_fault};
    int r = parse_rest(exact, n, &page, &sink);
    copy(status, sizeof(status), page.status);
    copy(message, sizeof(message), page.message);
    copy(ticker, sizeof(ticker), page.ticker);
    copy(next_url, sizeof(next_url), page.next_url);
    free(exact);
    assert_int_equal(page.rows, event_n);
    assert_int_equal(page.bad_rows, fault_n);
    return r;
}

static void same(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof(a));
}

#define ROW                                                                                                  \
    "{\"v\":6.42646396e+08,\"vw\":1.469,\"o\":1.5032,\"c\":1.4604,\"h\":1.51,\"l\":1.45,\"t\":"              \
    "1112331600000,\"n\":82132}"
#define ROW2                                                                                                 \
    "{\"o\":1,\"h\":2,\"l\":0.5,\"c\":1.5,\"v\":25933.6,\"t\":1112331660000,\"otc\":true,\"new\":[{}]}"

static void aggregates(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"ticker\":\"AAPL\",\"queryCount\":2,\"resultsCount\":2,\"adjusted\":true,\"results\":[" ROW
              "," ROW2 "],\"status\":\"DELAYED\",\"request_id\":\"6a7e466379af0a71039d60cc78e72282\","
              "\"count\":2,\"next_url\":\"https://api.massive.com/v2/aggs?cursor=bGltaXQ9Mg\"}"),
        0);
    assert_int_equal(event_n, 2);
    const struct event *e = &events[0];
    assert_int_equal(e->type, EVENT_AM);
    assert_int_equal(e->class, EVENT_CLASS_BAR);
    assert_string_equal(symbols[0], "AAPL");
    same(e->bar.bar.v, 642646396);
    same(e->bar.bar.vw, 1.469);
    assert_int_equal(e->bar.bar.t, 1112331600000);
    assert_int_equal(e->bar.bar.n, 82132);
    assert_int_equal(e->bar.bar.flags, PGD_BAR_REST);
    assert_true(isnan(e->bar.day.op));
    e = &events[1];
    assert_true(isnan(e->bar.bar.vw));
    assert_int_equal(e->bar.bar.n, PGD_N_ABSENT);
    assert_int_equal(e->bar.bar.flags, PGD_BAR_REST | PGD_BAR_OTC);
    same(e->bar.bar.v, 25933.6);
    assert_string_equal(status, "DELAYED");
    assert_string_equal(ticker, "AAPL");
    assert_string_equal(next_url, "https://api.massive.com/v2/aggs?cursor=bGltaXQ9Mg");
    assert_int_equal(page.message.n, 0);
}

static void any_order(void **state)
{
    (void)state;
    assert_int_equal(
        parse(" { \"results\" : [ " ROW " , " ROW2 " ] , \"status\":\"OK\", \"ticker\" : \"KO\" } "), 0);
    assert_int_equal(event_n, 2);
    assert_string_equal(symbols[1], "KO");
    /* Rows that wait for the ticker are checked as any other. */
    assert_int_equal(parse("{\"results\":[" ROW ",{\"o\":1}," ROW "],\"ticker\":\"KO\"}"), 0);
    assert_int_equal(event_n, 2);
    assert_int_equal(fault_n, 1);
    assert_int_equal(parse("{\"results\":[" ROW " " ROW "],\"ticker\":\"KO\"}"), -EBADMSG);
}

static void empty(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"ticker\":\"A\",\"queryCount\":0,\"resultsCount\":0,\"status\":\"OK\"}",
        "{\"ticker\":\"A\",\"results\":[],\"status\":\"OK\"}",
        "{\"ticker\":\"A\",\"results\":null,\"status\":\"OK\"}",
        "{\"results\":[ ],\"status\":\"OK\"}",
        "{\"results\":{\"values\":[]},\"status\":\"OK\"}",
        "{\"request_id\":{\"a\":[1]},\"status\":\"OK\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        assert_int_equal(parse(bodies[i]), 0);
        assert_int_equal(event_n + fault_n, 0);
        assert_string_equal(status, "OK");
    }
    assert_int_equal(parse("{}"), 0);
    assert_int_equal(page.status.n, 0);
}

static void grouped(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"results\":[{\"T\":\"GIK\",\"v\":895345,\"vw\":9.9979,\"o\":9.99,\"c\":10.02,\"h\":10.02,"
              "\"l\":9.9,\"t\":1602705600000,\"n\":96},{\"T\":\"I:SPX\",\"o\":1,\"h\":1,\"l\":1,\"c\":1,"
              "\"t\":1602705600000},{\"T\":\"KO\",\"o\":1,\"h\":1,\"l\":1,\"c\":1,\"t\":1602705600000}],"
              "\"status\":\"OK\"}"),
        0);
    assert_int_equal(event_n, 2);
    assert_string_equal(symbols[0], "GIK");
    assert_string_equal(symbols[1], "I:SPX");
    assert_true(isnan(events[1].bar.bar.v));
    assert_string_equal(reasons[0], "the volume is missing");
}

#define MINUTE                                                                                               \
    "{\"av\":1.012021e+06,\"c\":20.506,\"dv\":\"5000.5\",\"h\":20.51,\"l\":20.5,\"n\":7,\"o\":20.505,\"t\":" \
    "1684428600000,\"v\":5000,\"vw\":20.5105}"

static void snapshots(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"tickers\":[{\"day\":{\"c\":20.5,\"h\":20.6,\"l\":20.5,\"o\":20.6,\"v\":37216,\"t\":5},"
              "\"min\":" MINUTE ",\"prevDay\":{\"o\":1},\"ticker\":\"BCAT\",\"updated\":1684428600000000000},"
              "{\"ticker\":\"A\",\"min\":{\"o\":0,\"h\":0,\"l\":0,\"c\":0,\"v\":0,\"vw\":0,\"t\":0,\"n\":0}},"
              "{\"ticker\":\"B\"},{\"ticker\":\"C\",\"min\":{}},{\"ticker\":\"D\",\"min\":null},"
              "{\"ticker\":\"E\",\"min\":{\"t\":1684428600000,\"o\":1,\"h\":1,\"l\":2,\"c\":1,\"v\":1}},"
              "{\"ticker\":\"F\",\"min\":{\"o\":1},\"min\":" MINUTE "}],\"status\":\"OK\",\"count\":7}"),
        0);
    assert_int_equal(event_n, 6);
    assert_true(page.snapshots);
    static const char *const names[] = {"BCAT", "A", "B", "C", "D", "F"};
    for (size_t i = 0; i < 6; i++) {
        const struct pgd_bar *b = &events[i].bar.bar;
        assert_string_equal(symbols[i], names[i]);
        if (i > 0 && i < 5) {
            assert_int_equal(b->t, 0);
            continue;
        }
        assert_int_equal(b->t, 1684428600000);
        assert_int_equal(b->n, 7);
        same(b->o, 20.505);
        same(b->v, 5000.5);
        same(b->vw, 20.5105);
        assert_int_equal(b->flags, PGD_BAR_REST);
    }
    assert_string_equal(reasons[0], "the high is below the low");
    /* rows of one kind or the other */
    assert_int_equal(parse("{\"tickers\":[{\"ticker\":\"B\"}],\"results\":[]}"), -EBADMSG);
    assert_int_equal(parse("{\"tickers\":[],\"ticker\":\"A\",\"results\":[" ROW "]}"), 0);
    assert_int_equal(event_n, 1);
    assert_int_equal(events[0].bar.bar.t, 1112331600000);
    assert_false(page.snapshots);
}

static void trades(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"results\":[{\"conditions\":[12,41,37,5,6],\"correction\":1,\"decimal_size\":\"0.013374\","
              "\"exchange\":11,\"id\":\"52983525029461\",\"participant_timestamp\":1788877046310000001,"
              "\"price\":171.55,\"sequence_number\":1063,\"sip_timestamp\":1788877046310003385,\"size\":0,"
              "\"tape\":3,"
              "\"trf_id\":202,\"trf_timestamp\":1788877046310003300},"
              "{\"price\":1,\"size\":2.5,\"participant_timestamp\":1788877046310000001,\"id\":\"x\"},"
              "{\"price\":1,\"sip_timestamp\":1788877046310003385}],\"status\":\"OK\"}"),
        0);
    assert_int_equal(event_n, 2);
    const struct pgd_trade *t = &events[0].trade;
    assert_int_equal(events[0].type, EVENT_T);
    assert_int_equal(events[0].symbol.n, 0);
    assert_int_equal(t->t, 1788877046310003385);
    same(t->size, 0.013374);
    same(t->price, 171.55);
    assert_int_equal(t->exchange, 11);
    assert_int_equal(t->trf, 202);
    assert_int_equal(t->seq, 1063);
    assert_int_equal(t->id, 52983525029461);
    assert_int_equal(t->cond[0], 13);
    assert_int_equal(t->cond[3], 6);
    assert_int_equal(t->flags, 3 | PGD_FILLED | PGD_MORE_CONDITIONS);
    t = &events[1].trade;
    assert_int_equal(t->t, 1788877046310000001);
    assert_int_equal(t->flags, PGD_FILLED | PGD_ID_HASHED);
    assert_string_equal(reasons[0], "the size is missing");
}

static void quotes(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"results\":[{\"ask_exchange\":11,\"ask_price\":155.87,\"ask_size\":3,\"bid_exchange\":19,"
              "\"bid_price\":155.85,\"bid_size\":4,\"conditions\":[1],\"indicators\":[604],"
              "\"participant_timestamp\":1788877046310003385,\"sequence_number\":57,"
              "\"sip_timestamp\":1788877046310005385,\"tape\":2},"
              "{\"bid_price\":155.85,\"sip_timestamp\":1788877046310005385}],\"status\":\"OK\"}"),
        0);
    assert_int_equal(event_n, 2);
    const struct pgd_quote *q = &events[0].quote;
    assert_int_equal(events[0].type, EVENT_Q);
    same(q->bid, 155.85);
    same(q->ask, 155.87);
    same(q->bid_size, 4);
    same(q->ask_size, 3);
    assert_int_equal(q->bid_exchange, 19);
    assert_int_equal(q->ask_exchange, 11);
    assert_int_equal(q->seq, 57);
    assert_int_equal(q->cond, 2);
    assert_int_equal(q->flags, 2 | PGD_FILLED);
    assert_int_equal(q->t, 1788877046310005385);
    assert_true(isnan(events[1].quote.ask));
}

static void bad_rows(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}", "5", "null", "[]", "{\"o\":1}", "{\"o\":1,}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char text[1024];
        snprintf(text, sizeof(text), "{\"ticker\":\"A\",\"results\":[" ROW ",%s," ROW "],\"status\":\"OK\"}",
                 bad[i]);
        assert_int_equal(parse(text), 0);
        assert_int_equal(event_n, 2);
        assert_int_equal(fault_n, 1);
        assert_string_equal(status, "OK");
    }
    assert_int_equal(
        parse("{\"ticker\":\"A\",\"results\":[{\"v\":-1,\"o\":1,\"h\":1,\"l\":1,\"c\":1,\"t\":1112331600000},"
              "{\"v\":1,\"o\":1,\"h\":1,\"l\":2,\"c\":1,\"t\":1112331600000},"
              "{\"v\":1,\"o\":1e999,\"h\":1,\"l\":1,\"c\":1,\"t\":1112331600000},"
              "{\"v\":1,\"o\":1,\"h\":1,\"l\":1,\"c\":1,\"t\":5}]}"),
        0);
    assert_int_equal(fault_n, 4);
}

static void errors(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"status\":\"ERROR\",\"request_id\":\"1\",\"error\":\"You\\u0027ve exceeded the "
                           "maximum requests\"}"),
                     0);
    assert_string_equal(status, "ERROR");
    assert_string_equal(message, "You've exceeded the maximum requests");
    assert_int_equal(parse("{\"message\":\"Data not found.\",\"status\":\"NOT_FOUND\",\"request_id\":1}"), 0);
    assert_string_equal(message, "Data not found.");
    /* Texts that are none are passed over. */
    assert_int_equal(
        parse("{\"message\":{\"a\":1},\"status\":[],\"ticker\":5,\"next_url\":null,\"error\":null}"), 0);
    assert_int_equal(page.message.n + page.status.n + page.ticker.n + page.next_url.n, 0);
    /* More than there is room for is cut. */
    char text[1200] = "{\"message\":\"\\u0041";
    for (int i = 0; i < 100; i++)
        strcat(text, "0123456789");
    strcat(text, "\",\"status\":\"\\u0042\"}");
    assert_int_equal(parse(text), 0);
    assert_int_equal(page.message.n, sizeof(page.message_text));
    assert_int_equal(page.status.n, 1);
}

static void next_urls(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"ticker\":\"A\",\"next_url\":\"https:\\/\\/api.polygon.io:443\\/v2?a=b\\u0026cursor=c\"}"),
        0);
    assert_string_equal(next_url, "https://api.polygon.io:443/v2?a=b&cursor=c");
    assert_ptr_equal(page.next_url.p, page.url);
    char text[4000] = "{\"next_url\":\"\\u0041";
    for (int i = 0; i < 204; i++)
        strcat(text, "0123456789");
    strcat(text, "\"}");
    assert_int_equal(parse(text), 0);
    assert_int_equal(strlen(page.url), 2041);
    text[strlen(text) - 2] = '\0';
    strcat(text, "01234567\"}");
    assert_int_equal(parse(text), -EBADMSG);
}

static void tickers(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"ticker\":\"BRK\\u002eA\",\"results\":[" ROW "]}"), 0);
    assert_string_equal(symbols[0], "BRK.A");
    assert_int_equal(parse("{\"ticker\":\"\",\"results\":[" ROW "]}"), 0);
    assert_int_equal(events[0].symbol.n, 0);
    assert_int_equal(parse("{\"ticker\":\"A\\u0001\",\"results\":[" ROW "]}"), -EBADMSG);
}

static void no_bodies(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        " ",
        "\"string\"",
        "[1,2]",
        "[]",
        "42",
        "null",
        "<html>502</html>",
        "404 page not found",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1}}",
        "{\"a\":1}{}",
        "{\"ticker\":\"A\",\"results\":[" ROW,
        "{\"ticker\":\"A\",\"results\":[" ROW "}",
        "{\"ticker\":\"A\",\"results\":[" ROW ",]}",
        "{\"ticker\":\"A\",\"results\":[,]}",
        "{\"results\":[,]}",
        "{\"results\":[" ROW,
        "{\"ticker\":\"A\",\"results\":[" ROW "],\"results\":[" ROW "]}",
        "{\"results\":[" ROW "],\"results\":[" ROW "]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
        if (parse(bodies[i]) != -EBADMSG)
            fail_msg("taken: %s", bodies[i]);
}

static void every_prefix(void **state)
{
    (void)state;
    const char *text = "{\"ticker\":\"BRK\\u002eA\",\"results\":[" ROW "," ROW2
                       "],\"status\":\"OK\",\"next_url\":\"a\\/b\"}";
    for (size_t n = 0; n < strlen(text); n++) {
        char part[1024];
        memcpy(part, text, n);
        part[n] = '\0';
        assert_int_equal(parse(part), -EBADMSG);
    }
    assert_int_equal(parse(text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aggregates),   cmocka_unit_test(any_order), cmocka_unit_test(empty),
        cmocka_unit_test(grouped),      cmocka_unit_test(snapshots), cmocka_unit_test(trades),
        cmocka_unit_test(quotes),       cmocka_unit_test(bad_rows),  cmocka_unit_test(errors),
        cmocka_unit_test(next_urls),    cmocka_unit_test(tickers),   cmocka_unit_test(no_bodies),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
