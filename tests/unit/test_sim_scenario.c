/* Scripts: what parses, what does not, and when a rule applies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "polysim/http.h"
#include "polysim/scenario.h"

static struct sim_scenarios parsed(const char *script)
{
    struct sim_scenarios s = {0};
    char err[256] = "";
    int r = sim_scenarios_parse(&s, script, err, sizeof(err));
    if (r < 0)
        fail_msg("%s: %s", script, err);
    return s;
}

static void test_builtins_parse(void **state)
{
    (void)state;
    const char *name, *script;
    for (size_t i = 0; (script = sim_scenarios_builtin(i, &name)); i++) {
        struct sim_scenarios s = parsed(script);
        assert_true(s.count >= 1);
        sim_scenarios_fini(&s);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"message drop",      "never: drop",      "message: explode",
                                      "message 5 y: drop", "request: silence", "upgrade: truncate",
                                      "message: split",    "message: close",   "message x0: drop",
                                      "message 5/0: drop", "message -1: drop", "message: cut -5"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct sim_scenarios s = parsed("message: drop");
        char err[256] = "";
        if (sim_scenarios_parse(&s, bad[i], err, sizeof(err)) >= 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(*err);
        assert_int_equal(s.count, 1);
        sim_scenarios_fini(&s);
    }
}

/* Which of the first 12 messages a rule applies to. */
static void applies_to(const char *script, const char *want)
{
    struct sim_scenarios s = parsed(script);
    char got[13] = "";
    for (uint64_t n = 1; n <= 12; n++)
        got[n - 1] = sim_scenarios_applies(&s, 0, SIM_MESSAGE, 0, n) ? 'x' : '.';
    assert_string_equal(got, want);
    sim_scenarios_fini(&s);
}

static void test_counting(void **state)
{
    (void)state;
    applies_to("# a comment\n\n  message: drop", "xxxxxxxxxxxx");
    applies_to("message 3: drop", "..x.........");
    applies_to("message 3-5: drop", "..xxx.......");
    applies_to("message 10-: drop", ".........xxx");
    applies_to("message 2/5: drop", ".x....x....x");
    applies_to("message 2/5 x2: drop", ".x....x.....");
    applies_to("message x1: drop", "x...........");
    applies_to("auth: drop", "............");
}

static void test_time(void **state)
{
    (void)state;
    struct sim_scenarios s = parsed("after 1.5: drop\nafter 1/0.5: drop");
    int once = 0, often = 0;
    uint64_t before = 0;
    for (uint64_t now = 20; now <= 3010; now += 20) {
        once += sim_scenarios_applies(&s, 0, SIM_AFTER_S, before, now);
        often += sim_scenarios_applies(&s, 1, SIM_AFTER_S, before, now);
        before = now;
    }
    assert_int_equal(once, 1);
    assert_int_equal(often, 5); /* 1, 1.5, 2, 2.5, 3 */
    sim_scenarios_fini(&s);
}

static void test_requests(void **state)
{
    (void)state;
    struct sim_scenarios s =
        parsed("request 2 /v2/aggs: status 503 empty\nrequest x1 /v3: hang\nupgrade 1: bad-accept");
    assert_null(sim_scenarios_request(&s, SIM_REQUEST, "/v2/aggs/a"));
    assert_null(sim_scenarios_request(&s, SIM_REQUEST, "/v1/other"));
    const struct sim_rule *rule = sim_scenarios_request(&s, SIM_REQUEST, "/v2/aggs/b");
    assert_non_null(rule);
    assert_int_equal(rule->action, SIM_DO_STATUS);
    assert_int_equal(rule->numbers[0], 503);
    assert_null(sim_scenarios_request(&s, SIM_REQUEST, "/v2/aggs/c"));
    assert_non_null(sim_scenarios_request(&s, SIM_REQUEST, "/v3/x"));
    assert_null(sim_scenarios_request(&s, SIM_REQUEST, "/v3/x"));
    assert_non_null(sim_scenarios_request(&s, SIM_UPGRADE, "/stocks"));
    assert_null(sim_scenarios_request(&s, SIM_UPGRADE, "/stocks"));
    sim_scenarios_fini(&s);
}

static void test_http_request(void **state)
{
    (void)state;
    static const char text[] = "POST /v2/aggs/X%3ABTCUSD/b?limit=5&apiKey=a%20b+c&e HTTP/1.1\r\nHost: "
                               "h:1\r\nACCEPT-ENCODING: br, gzip\r\n"
                               "Content-Length: 3\r\nConnection:  close \r\n\r\nabcGET";
    struct sim_request r;
    for (size_t size = 0; size < sizeof(text) - 4; size++)
        assert_int_equal(sim_request_parse(&r, text, size), 0);
    assert_int_equal(sim_request_parse(&r, text, sizeof(text) - 1), sizeof(text) - 4);
    assert_string_equal(r.segments[2], "X:BTCUSD");
    assert_int_equal(r.segment_count, 4);
    assert_true(r.gzip && !r.keep_alive && r.body_size == 3 && memcmp(r.body, "abc", 3) == 0);
    char value[16];
    assert_true(sim_request_param(&r, "apiKey", value, sizeof(value)));
    assert_string_equal(value, "a b c");
    assert_true(sim_request_param(&r, "e", value, sizeof(value)));
    assert_false(sim_request_param(&r, "imit", value, sizeof(value)));
    static const struct {
        const char *text;
        int status;
    } bad[] = {{"GET / HTTP/2.0\r\n\r\n", -400},
               {"GET\r\n\r\n", -400},
               {"GET x HTTP/1.1\r\n\r\n", -400},
               {"GET / HTTP/1.1\r\nno colon\r\n\r\n", -400},
               {"GET / HTTP/1.1\r\nA : b\r\n\r\n", -400},
               {"GET / HTTP/1.1\nA: b\r\n\r\n", -400},
               {"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", -400},
               {"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", -413},
               {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
               {"GET /%00 HTTP/1.1\r\n\r\n", -400}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(sim_request_parse(&r, bad[i].text, strlen(bad[i].text)), bad[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtins_parse), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_counting),       cmocka_unit_test(test_time),
        cmocka_unit_test(test_requests),       cmocka_unit_test(test_http_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
