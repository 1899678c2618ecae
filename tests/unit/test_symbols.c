/* Names: what users type, what the wire says, and one index for both. */
#include "fixture_bus.h"

static void canonical_is(const char *text, enum pgd_cluster want_cluster, const char *want)
{
    char name[PGD_SYMBOL_MAX];
    enum pgd_cluster cluster = (enum pgd_cluster)0;
    assert_int_equal(symbols_canonical(name, &cluster, text), 0);
    assert_string_equal(name, want);
    assert_int_equal(cluster, want_cluster);
}

static void test_canonical(void **state)
{
    (void)state;
    canonical_is("AAPL", PGD_STOCKS, "AAPL");
    canonical_is("BRK.A", PGD_STOCKS, "BRK.A");
    canonical_is("KIMpL", PGD_STOCKS, "KIMpL");
    canonical_is("NULL", PGD_STOCKS, "NULL");
    canonical_is("O:SPY251219C00650000", PGD_OPTIONS, "O:SPY251219C00650000");
    canonical_is("I:SPX", PGD_INDICES, "I:SPX");
    canonical_is("X:BTCUSD", PGD_CRYPTO, "X:BTC-USD");
    canonical_is("X:BTC-USD", PGD_CRYPTO, "X:BTC-USD");
    canonical_is("X:SHIBUSDT", PGD_CRYPTO, "X:SHIB-USDT");
    canonical_is("C:EURUSD", PGD_FOREX, "C:EUR-USD");
    canonical_is("C:EUR/USD", PGD_FOREX, "C:EUR-USD");
    char name[PGD_SYMBOL_MAX];
    enum pgd_cluster cluster = (enum pgd_cluster)0;
    assert_int_equal(symbols_canonical(name, &cluster, ""), -EINVAL);
    assert_int_equal(symbols_canonical(name, &cluster, "A B"), -EINVAL);
    assert_int_equal(symbols_canonical(name, &cluster, "A,B"), -EINVAL);
    assert_int_equal(symbols_canonical(name, &cluster, "A\n"), -EINVAL);
    char text[80];
    memset(text, 'A', sizeof text);
    for (size_t n = 40; n < sizeof text - 1; n++) {
        text[n] = '\0';
        assert_int_equal(symbols_canonical(name, &cluster, text), n < PGD_SYMBOL_MAX - 1 ? 0 : -EINVAL);
        text[n] = 'A';
    }
}

static void test_wire_names(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    struct symbol *btc = fixture_take(&f, "X:BTC-USD", PGD_CRYPTO, false);
    struct symbol *eur = fixture_take(&f, "C:EUR-USD", PGD_FOREX, false);
    struct symbol *aapl = fixture_take(&f, "AAPL", PGD_STOCKS, false);
    assert_ptr_equal(symbols_find_wire(f.symbols, PGD_CRYPTO, "BTC-USD", 7), btc);
    assert_ptr_equal(symbols_find_wire(f.symbols, PGD_CRYPTO, "X:BTC-USD", 9), btc);
    assert_ptr_equal(symbols_find_wire(f.symbols, PGD_FOREX, "EUR/USD", 7), eur);
    assert_ptr_equal(symbols_find_wire(f.symbols, PGD_STOCKS, "AAPL", 4), aapl);
    assert_null(symbols_find_wire(f.symbols, PGD_STOCKS, "AAPLX", 5));
    assert_null(symbols_find_wire(f.symbols, PGD_OPTIONS, "AAPL", 4));
    assert_null(symbols_find_wire(f.symbols, PGD_STOCKS, "", 0));
    char name[PGD_SYMBOL_MAX];
    assert_int_equal(symbols_from_wire(name, PGD_FOREX, "GBP/JPY", 7), 0);
    assert_string_equal(name, "C:GBP-JPY");
    assert_int_equal(symbols_from_wire(name, PGD_CRYPTO, "ETH-EUR", 7), 0);
    assert_string_equal(name, "X:ETH-EUR");
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_limit_and_clash(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "S%d", i);
        fixture_take(&f, name, PGD_STOCKS, false);
    }
    struct symbol *symbol;
    assert_int_equal(symbols_add(f.symbols, &symbol, "S4", PGD_STOCKS), -ENOSPC);
    assert_int_equal(symbols_add(f.symbols, &symbol, "S0", PGD_FUTURES), -EEXIST);
    assert_int_equal(symbols_add(f.symbols, &symbol, "S0", PGD_STOCKS), 0);
    assert_int_equal(symbols_count(f.symbols), 4);
    fixture_close(&f);
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_wire_names),
        cmocka_unit_test(test_limit_and_clash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
