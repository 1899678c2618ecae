/* control_request: the words of the control socket. */
#include "control_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect_parsed(const char *line, enum control_verb verb, const char *symbol, uint32_t topics,
                          int cluster)
{
    struct control_parsed p;
    const char *why = NULL;
    int r = control_parse(&p, line, strlen(line), &why);
    if (r < 0)
        fail_msg("%s: %s", line, why);
    assert_int_equal(p.verb, verb);
    assert_string_equal(p.symbol, symbol);
    assert_int_equal(p.topics, topics);
    assert_int_equal(p.cluster, cluster);
}

static void expect_syntax(const char *line, size_t size, const char *words)
{
    struct control_parsed p;
    const char *why = NULL;
    assert_int_equal(control_parse(&p, line, size, &why), -EINVAL);
    if (!why || !strstr(why, words))
        fail_msg("%s: %s", line, why ? why : "no reason");
}
#define SYNTAX(line, words) expect_syntax(line, sizeof(line) - 1, words)

static void test_parse(void **state)
{
    (void)state;
    expect_parsed("ping", CONTROL_PING, "", 0, 0);
    expect_parsed("pending", CONTROL_PENDING, "", 0, 0);
    expect_parsed("reload", CONTROL_RELOAD, "", 0, 0);
    expect_parsed("stop", CONTROL_STOP, "", 0, 0);
    expect_parsed("subscribe AAPL default", CONTROL_SUBSCRIBE, "AAPL", 0, 0);
    expect_parsed("subscribe AAPL trades,bars_1m", CONTROL_SUBSCRIBE, "AAPL", PGD_TRADES | PGD_BARS_1M, 0);
    expect_parsed("subscribe X:BTC-USD quotes crypto", CONTROL_SUBSCRIBE, "X:BTC-USD", PGD_QUOTES,
                  PGD_CRYPTO);
    expect_parsed("subscribe I:SPX values,bars_1s indices", CONTROL_SUBSCRIBE, "I:SPX",
                  PGD_VALUES | PGD_BARS_1S, PGD_INDICES);
    SYNTAX("", "single blanks");
    SYNTAX("ping ", "single blanks");
    SYNTAX(" ping", "single blanks");
    SYNTAX("subscribe  AAPL default", "single blanks");
    SYNTAX("ping x", "takes no words");
    SYNTAX("PING", "no such request");
    SYNTAX("pin", "no such request");
    SYNTAX("pingg", "no such request");
    SYNTAX("ping\r", "printable");
    SYNTAX("pi\0ng", "printable");
    SYNTAX("ping\xc3\xa9", "printable");
    SYNTAX("subscribe AAPL", "subscribe SYMBOL");
    SYNTAX("subscribe AAPL default stocks more", "too many");
    SYNTAX("subscribe AAPL default stonks", "no such cluster");
    SYNTAX("subscribe AAPL trade", "topics:");
    SYNTAX("subscribe AAPL trades,", "topics:");
    SYNTAX("subscribe AAPL ,trades", "topics:");
    SYNTAX("subscribe AAPL default,trades", "topics:");
    SYNTAX("subscribe A,B default", "no symbol has");
    SYNTAX("subscribe A\"B default", "no symbol has");
    SYNTAX("subscribe * default", "only the configuration");
    SYNTAX("subscribe AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEE default", "too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
