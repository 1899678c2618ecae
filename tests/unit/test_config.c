/* config: what is accepted, what is refused and with which words, layers, defaults, printing. */
#include "config.h"
#include "config_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char main_path[96];

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void put_dropin(const char *name, const char *text)
{
    char path[192];
    snprintf(path, sizeof(path), "%s.d", main_path);
    (void)mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s.d/%s", main_path, name);
    put(path, text);
}

static void clear(void)
{
    char command[256];
    snprintf(command, sizeof(command), "rm -rf %s/*", dir);
    assert_int_equal(system(command), 0);
}

static struct config *load_ok(const char *text)
{
    struct config *config = NULL;
    char err[512];
    put(main_path, text);
    int r = config_load(&config, main_path, err, sizeof(err));
    if (r < 0)
        print_error("%s\n", err);
    assert_int_equal(r, 0);
    return config;
}

static void expect_error(const char *text, const char *line_and_words)
{
    struct config *config = NULL;
    char err[512], want[640];
    put(main_path, text);
    int r = config_load(&config, main_path, err, sizeof(err));
    snprintf(want, sizeof(want), "%s:%s", main_path, line_and_words);
    if (r != -EINVAL || strncmp(err, want, strlen(want)) != 0)
        fail_msg("input:\n%s\nwant: %s\ngot:  %s (%d)", text, want, r < 0 ? err : "accepted", r);
    assert_null(config);
    assert_null(strchr(err, '\n'));
}

/* The printed form: a canonical text of the whole configuration. */
static char *printed(const struct config *config)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/printed", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(config_print(config, fd), 0);
    off_t n = lseek(fd, 0, SEEK_CUR);
    assert_true(n > 0);
    char *text = calloc(1, (size_t)n + 1);
    assert_int_equal(pread(fd, text, (size_t)n, 0), n);
    close(fd);
    return text;
}

static void assert_same(const struct config *a, const struct config *b)
{
    char *x = printed(a), *y = printed(b);
    assert_string_equal(x, y);
    free(x);
    free(y);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = load_ok("");
    assert_string_equal(c->instance, "main");
    assert_string_equal(c->key.file, "");
    assert_true(c->stream.enabled);
    assert_string_equal(c->stream.url, "wss://socket.massive.com");
    assert_int_equal(c->stream.cooldown_s, 60);
    assert_int_equal(c->stream.max_message_bytes, 16 << 20);
    assert_int_equal(c->clusters_count, 1);
    assert_int_equal(c->clusters[0].name, PGD_STOCKS);
    assert_string_equal(c->clusters[0].url, "");
    assert_int_equal(c->clusters[0].symbols_count, 0);
    assert_int_equal(c->clusters[0].topics, PGD_TRADES | PGD_QUOTES | PGD_BARS_1S | PGD_BARS_1M);
    assert_int_equal(c->rest.hosts_count, 2);
    assert_int_equal(c->rest.requests_per_minute, 0);
    assert_true(c->rest.warm);
    assert_int_equal(c->bus.symbols, 500);
    assert_int_equal(c->bus.bars_count, 2);
    assert_string_equal(c->bus.bars[0].timespan, "1m");
    assert_int_equal(c->bus.bars[0].rows, 1000);
    assert_int_equal(c->bus.bars[1].rows, 600);
    assert_int_equal(c->bus.mode, 0640);
    assert_string_equal(c->engine.kind, "auto");
    assert_int_equal(c->engine.indicators_count, 0);
    assert_int_equal(c->engine.threads, 1);
    assert_int_equal(c->engine.gpu_stay_us, 20000);
    assert_true(c->control.enabled);
    assert_string_equal(c->log.level, "info");
    struct config *builtin = NULL;
    char err[256];
    assert_int_equal(config_load(&builtin, NULL, err, sizeof(err)), 0);
    assert_same(c, builtin);
    config_free(builtin);
    config_free(c);
    config_free(NULL);
}

static void test_values(void **state)
{
    (void)state;
    struct config *c = load_ok("instance: desk-2\n"
                               "stream: {enabled: false, url: 'ws://127.0.0.1:8080/x', backoff_min_ms: 10}\n"
                               "clusters:\n"
                               "- name: crypto\n"
                               "  symbols: [X:BTC-USD, '*', NO]\n"
                               "  topics: [trades]\n"
                               "- name: indices\n"
                               "rest: {hosts: [], url: 'http://[::1]:1/'}\n"
                               "bus:\n"
                               "  mode: 0644\n"
                               "  trades: 0\n"
                               "  bars: [{timespan: 1s}]\n"
                               "engine: {indicators: [sma_20, macd], threads: 4}\n");
    assert_string_equal(c->instance, "desk-2");
    assert_false(c->stream.enabled);
    assert_int_equal(c->stream.backoff_min_ms, 10);
    assert_int_equal(c->stream.backoff_max_ms, 60000);
    assert_int_equal(c->clusters_count, 2);
    assert_string_equal(c->clusters[0].symbols[2], "NO");
    assert_int_equal(c->clusters[0].topics, PGD_TRADES);
    assert_int_equal(c->clusters[1].topics, PGD_VALUES | PGD_BARS_1S | PGD_BARS_1M);
    assert_int_equal(c->rest.hosts_count, 0);
    assert_int_equal(c->bus.mode, 0644);
    assert_int_equal(c->bus.bars_count, 1);
    assert_int_equal(c->bus.bars[0].rows, 1000);
    assert_string_equal(c->engine.indicators[1], "macd");
    assert_int_equal(c->engine.threads, 4);
    config_free(c);
}

static void test_structure_errors(void **state)
{
    (void)state;
    expect_error("instance: main\nstraem:\n  url: x\n", "2: straem: unknown key");
    expect_error("stream:\n  enabled: true\n  ulr: x\n", "3: stream.ulr: unknown key");
    expect_error("level: info\n", "1: level: unknown key");
    expect_error("stream:\n  ulr:\n", "2: stream.ulr: unknown key");
    expect_error("clusters:\n- name: stocks\n  symbol: [A]\n", "3: clusters[0].symbol: unknown key");
    expect_error("bus:\n  bars:\n  - timespan: 1m\n    row: 3\n", "4: bus.bars[0].row: unknown key");
    expect_error("stream:\n  enabled: fasle\n", "2: stream.enabled: expected true or false");
    expect_error("stream:\n  enabled: [true]\n", "2: stream.enabled: expected true or false");
    expect_error("stream: 3\n", "1: stream: expected keys and values");
    expect_error("stream: [a]\n", "1: stream: expected keys and values");
    expect_error("- a\n", "1: expected keys and values");
    expect_error("\n\nbus:\n  symbols: many\n", "4: bus.symbols: expected a whole number from 1 to 65536");
    expect_error("bus:\n  symbols: {a: 1}\n", "2: bus.symbols: expected a whole number");
    expect_error("instance: [a]\n", "1: instance: expected a text of 1 to 31 bytes");
    expect_error("rest:\n  hosts: a.example\n", "2: rest.hosts: expected a list");
    expect_error("rest:\n  hosts:\n  - a.example\n  - {b: c}\n", "4: rest.hosts[1]: expected a list");
    expect_error("clusters: []\n", "1: clusters: expected a list of 1 to 6 entries");
    expect_error("clusters: x\n", "1: clusters: expected a list of 1 to 6 entries");
    expect_error("clusters: [x]\n", "1: clusters[0]: expected keys and values");
    expect_error("clusters:\n- symbols: [A]\n", "2: clusters[0]: name is missing");
    expect_error("clusters:\n- name: stonks\n", "2: clusters[0].name: expected stocks, options");
    expect_error("clusters:\n- name: stocks\n  topics: [bars]\n", "3: clusters[0].topics");
    expect_error("bus:\n  bars: [{rows: 20}]\n", "2: bus.bars[0]: timespan is missing");
}

static void test_yaml_errors(void **state)
{
    (void)state;
    expect_error("a: b\n c: d\n", "2: ");
    expect_error("stream:\n  url: \"x\n", "3: ");
    expect_error("stream: &x {}\nrest: *x\n", "1: anchors and tags are not accepted");
    expect_error("rest: {hosts: &x [a.example]}\n", "1: anchors and tags are not accepted");
    expect_error("instance: &x main\n", "1: anchors and tags are not accepted");
    expect_error("rest: *x\n", "1: aliases are not accepted");
    expect_error("instance: !!int 3\n", "1: anchors and tags");
    expect_error("instance: a\ninstance: b\n", "2: key given twice");
    expect_error("instance: a\n---\ninstance: b\n", "2: a second document");
    expect_error("{[a]: b}\n", "1: a key must be a word");
    expect_error("instance: \"a\\nb\"\n", "1: control character");
    expect_error("instance: \"a\\0b\"\n", "1: control character");
    expect_error("ok: 1\nbad: \xff\xfe\n", "2: ");
    expect_error("a: [[[[[[[[[[[]]]]]]]]]]]\n", "1: nested too deep");
}

static void test_ranges(void **state)
{
    (void)state;
    expect_error("bus: {symbols: 0}\n", "1: bus.symbols: expected a whole number from 1 to 65536");
    expect_error("bus: {symbols: 65537}\n", "1: bus.symbols: ");
    expect_error("bus: {symbols: -1}\n", "1: bus.symbols: ");
    expect_error("bus: {symbols: 4294967297}\n", "1: bus.symbols: ");
    expect_error("bus: {symbols: 0x10}\n", "1: bus.symbols: ");
    expect_error("bus: {symbols: 010}\n", "1: bus.symbols: ");
    expect_error("bus: {symbols: 1.5}\n", "1: bus.symbols: ");
    expect_error("bus:\n  bars:\n  - timespan: 1m\n  - timespan: 1s\n    rows: 15\n",
                 "5: bus.bars[1].rows: ");
    expect_error("stream: {max_message_bytes: 1000}\n", "1: stream.max_message_bytes: ");
    expect_error("bus: {trades: 1000}\n", "1: bus.trades: expected 0 or a power of two");
    expect_error("bus: {quotes: 128}\n", "1: bus.quotes: expected 0 or a power of two");
    expect_error("bus: {mode: 0660}\n", "1: bus.mode: expected 0600, 0640 or 0644");
    expect_error("bus: {mode: 640}\n", "1: bus.mode: expected 0600");
    expect_error("bus: {bars: [{timespan: 5m}]}\n", "1: bus.bars[0].timespan: expected 1s or 1m");
    expect_error("bus: {bars: [{timespan: 1m}, {timespan: 1m}]}\n", "1: bus.bars[1]: 1m is given twice");
    expect_error("instance: Main\n", "1: instance: expected 1 to 31 of");
    expect_error("engine: {kind: gpu}\n", "1: engine.kind: expected one of: auto cpu cuda");
    expect_error("engine: {threads: 0}\n", "1: engine.threads: expected a whole number from 1 to 64");
    expect_error("engine: {threads: 65}\n", "1: engine.threads: ");
    expect_error("engine: {gpu_stay_us: 10000001}\n", "1: engine.gpu_stay_us: expected a whole number");
    expect_error("log:\n  level: loud\n", "2: log.level: expected one of");
    expect_error("control: {allow_users: [nobody-by-this-name]}\n",
                 "1: control.allow_users[0]: no such user");
    expect_error("control: {allow_groups: [no-such-group-x]}\n", "1: control.allow_groups[0]: no such group");
    expect_error("bus: {group: no-such-group-x}\n", "1: bus.group: no such group");
    expect_error("stream: {backoff_min_ms: 1000, backoff_max_ms: 500}\n", "1: stream.backoff_min_ms: larger");
    expect_error("stream: {idle_timeout_s: 20}\n", "1: stream.idle_timeout_s: must be larger");
    expect_error("stream: {enabled: false}\nrest: {enabled: false}\n", "2: rest.enabled: ");
}

static void test_clusters(void **state)
{
    (void)state;
    expect_error("clusters:\n- name: stocks\n- name: stocks\n", "3: clusters[1]: stocks is given twice");
    expect_error("clusters:\n- name: forex\n  topics: [trades]\n",
                 "3: clusters[0].topics: forex has no such");
    expect_error("clusters:\n- name: stocks\n  symbols: [A, 'B C']\n", "3: clusters[0].symbols[1]: ");
    expect_error("clusters:\n- name: stocks\n  symbols:\n  - A\n  - 'B,C'\n", "5: clusters[0].symbols[1]: ");
    expect_error("clusters:\n- name: stocks\n  symbols: [AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEE]\n",
                 "3: clusters[0].symbols[0]: expected a ticker");
    expect_error("bus: {symbols: 1}\nclusters:\n- name: stocks\n  symbols: [A, B]\n",
                 "1: bus.symbols: 1, but clusters list 2 symbols");
    expect_error("clusters:\n- name: stocks\n  url: https://x.example\n", "3: clusters[0].url: scheme");
}

static void test_urls(void **state)
{
    (void)state;
    expect_error("stream: {url: 'wss://u:p@h.example'}\n", "1: stream.url: a URL must hold no user");
    expect_error("stream: {url: 'wss://key@h.example'}\n", "1: stream.url: a URL must hold no user");
    expect_error("rest: {url: 'https://h.example/?apiKey=1'}\n", "1: rest.url: a URL must hold no query");
    expect_error("rest: {url: 'https://h.example/?'}\n", "1: rest.url: a URL must hold no query");
    expect_error("rest: {url: 'https://h.example/#a'}\n", "1: rest.url: a URL must hold no query");
    expect_error("stream: {url: 'ws://h.example'}\n", "1: stream.url: without TLS");
    expect_error("rest: {url: 'http://h.example'}\n", "1: rest.url: without TLS");
    expect_error("rest: {url: 'http://127.0.0.1.example'}\n", "1: rest.url: without TLS");
    expect_error("rest: {url: 'http://[::2]'}\n", "1: rest.url: without TLS");
    expect_error("rest: {url: 'ftp://h.example'}\n", "1: rest.url: scheme not accepted");
    expect_error("rest: {url: 'h.example'}\n", "1: rest.url: not a URL");
    expect_error("rest: {url: 'https://h.example:99999'}\n", "1: rest.url: not a URL");
    expect_error("rest: {url: 'https://a b'}\n", "1: rest.url: blank");
    expect_error("stream: {proxy: 'http://u:p@proxy.example:3128'}\n", "1: stream.proxy: a URL must hold no");
    expect_error("rest: {hosts: ['https://x.example']}\n", "1: rest.hosts[0]: expected a host name");
    config_free(load_ok("rest: {url: 'http://localhost:8080', hosts: ['x.example:8443']}\n"));
    config_free(load_ok("rest: {url: 'http://127.9.9.9:8080/base'}\n"));
    config_free(load_ok("stream: {proxy: 'http://proxy.example:3128'}\n"));
}

static void test_null_keeps_default(void **state)
{
    (void)state;
    struct config *c =
        load_ok("stream:\n  url:\nkey:\nbus: ~\nrest: null\nclusters:\n- name: stocks\n  symbols:\n");
    struct config *d = NULL;
    char err[256];
    assert_int_equal(config_load(&d, NULL, err, sizeof(err)), 0);
    assert_same(c, d);
    config_free(c);
    config_free(d);
}

static void test_dropins(void **state)
{
    (void)state;
    put_dropin("20-b.yaml", "stream: {url: 'wss://b.example'}\nclusters: [{name: crypto}]\n");
    put_dropin("10-a.yaml", "stream: {url: 'wss://a.example', cooldown_s: 90}\nbus: {symbols: 7}\n");
    put_dropin("30-c.yml", "instance: ignored\n");
    put_dropin(".40-d.yaml", "instance: ignored\n");
    struct config *c = load_ok("instance: x\nbus: {symbols: 9, errors: 5}\n");
    assert_string_equal(c->instance, "x");
    assert_string_equal(c->stream.url, "wss://b.example");
    assert_int_equal(c->stream.cooldown_s, 90);
    assert_int_equal(c->bus.symbols, 7);
    assert_int_equal(c->bus.errors, 5);
    assert_int_equal(c->clusters_count, 1);
    assert_int_equal(c->clusters[0].name, PGD_CRYPTO);
    config_free(c);

    char err[512], want[256];
    put_dropin("15-bad.yaml", "instance: y\n\nbus: {symbols: none}\n");
    assert_int_equal(config_load(&c, main_path, err, sizeof(err)), -EINVAL);
    snprintf(want, sizeof(want), "%s.d/15-bad.yaml:3: bus.symbols: expected", main_path);
    assert_memory_equal(err, want, strlen(want));
    clear();
}

static void test_files(void **state)
{
    (void)state;
    struct config *c = NULL;
    char err[512];
    assert_int_equal(config_load(&c, "/nonexistent/x.yaml", err, sizeof(err)), -ENOENT);
    assert_string_equal(err, "/nonexistent/x.yaml: cannot be read: No such file or directory");
    assert_int_equal(config_load(&c, dir, err, sizeof(err)), -EISDIR);
    assert_null(c);
    char *big = malloc(CONFIG_TREE_BYTES + 2);
    memset(big, '#', CONFIG_TREE_BYTES + 1);
    big[CONFIG_TREE_BYTES + 1] = '\0';
    expect_error(big, "1: longer than 1 MiB");
    free(big);
    char small[8];
    put(main_path, "x: 1\n");
    assert_int_equal(config_load(&c, main_path, small, sizeof(small)), -EINVAL);
    assert_int_equal(strlen(small), sizeof(small) - 1);
    assert_int_equal(config_load(&c, main_path, NULL, 0), -EINVAL);
}

static void test_print_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "instance: p\nkey: {file: '/etc/p\xc3\xbc/k \"q\" \\ z'}\nstream: {enabled: false, ca_file: '~'}\n"
        "clusters: [{name: forex, symbols: ['C:EUR-USD', '*', 'null', '0x1', 'true']},"
        " {name: options, url: 'wss://o.example/z', topics: [quotes]}]\n"
        "bus: {mode: 0600, bars: [{timespan: 1s, rows: 16}], quotes: 0}\nrest: {hosts: []}\n"
        "engine: {indicators: [sma_3, vwap]}\ncontrol: {allow_users: ['0', root], allow_groups: [root]}\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *a = load_ok(texts[i]);
        char *text = printed(a);
        struct config *b = load_ok(text);
        assert_same(a, b);
        assert_string_equal(a->key.file, b->key.file);
        free(text);
        config_free(a);
        config_free(b);
    }
}

/* The example names every key with its default: it loads to the same configuration as nothing at all. */
static void test_example_is_defaults(void **state)
{
    (void)state;
    struct config *example = NULL, *builtin = NULL;
    char err[512];
    int r = config_load(&example, "config/polygond.yaml", err, sizeof(err));
    if (r < 0)
        print_error("%s\n", err);
    assert_int_equal(r, 0);
    assert_int_equal(config_load(&builtin, NULL, err, sizeof(err)), 0);
    assert_same(example, builtin);
    config_free(example);
    config_free(builtin);
}

static void test_demo(void **state)
{
    (void)state;
    struct config *c = NULL;
    char err[512];
    assert_int_equal(config_load(&c, "config/demo.yaml", err, sizeof(err)), 0);
    assert_int_equal(c->bus.symbols, 16);
    config_free(c);
}

static void test_many_symbols(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fputs("bus: {symbols: 10000}\nclusters:\n- name: stocks\n  symbols:\n", f);
    for (int i = 0; i < 10000; i++)
        fprintf(f, "  - S%d\n", i);
    fclose(f);
    struct config *c = load_ok(text);
    assert_int_equal(c->clusters[0].symbols_count, 10000);
    assert_string_equal(c->clusters[0].symbols[9999], "S9999");
    config_free(c);
    free(text);
}

static void test_cluster_names(void **state)
{
    (void)state;
    for (int i = PGD_STOCKS; i < PGD_CLUSTERS; i++)
        assert_int_equal(config_cluster_from(config_cluster_name((enum pgd_cluster)i)), i);
    assert_int_equal(config_cluster_from("stonks"), 0);
    assert_string_equal(config_cluster_name((enum pgd_cluster)0), "");
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/polygond-test-config-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(main_path, sizeof(main_path), "%s/main.yaml", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clear();
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_structure_errors),
        cmocka_unit_test(test_yaml_errors),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_null_keeps_default),
        cmocka_unit_test(test_dropins),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_print_round_trip),
        cmocka_unit_test(test_example_is_defaults),
        cmocka_unit_test(test_demo),
        cmocka_unit_test(test_many_symbols),
        cmocka_unit_test(test_cluster_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
