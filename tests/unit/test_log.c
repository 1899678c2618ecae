/* log: the form of a line, escaping, levels, the hook, rate limiting, and the choice of journal or stderr. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int capture_fd = -1, saved_fd = -1;

/* What is written to stderr between begin and end. */
static void begin(void)
{
    fflush(stderr);
    saved_fd = dup(STDERR_FILENO);
    capture_fd = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(saved_fd >= 0 && capture_fd >= 0);
    assert_true(dup2(capture_fd, STDERR_FILENO) >= 0);
}

static const char *end(void)
{
    static char text[1 << 16];
    dup2(saved_fd, STDERR_FILENO);
    close(saved_fd);
    ssize_t n = pread(capture_fd, text, sizeof(text) - 1, 0);
    close(capture_fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static void test_line(void **state)
{
    (void)state;
    begin();
    log_event(LOG_STREAM_UP, "%s is %d", "stocks", 7);
    const char *text = end();
    int year, month, day, hour, minute, second, ms, n = 0;
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ notice stream_up: stocks is 7\n%n", &year,
                            &month, &day, &hour, &minute, &second, &ms, &n),
                     7);
    assert_int_equal(n, (int)strlen(text));
    assert_int_equal(text[23], 'Z');
}

static const char *escaped(const char *text)
{
    begin();
    log_event(LOG_START, "%s", text);
    const char *line = end();
    const char *at = strstr(line, "start: ");
    assert_non_null(at);
    size_t n = strlen(at);
    assert_int_equal(at[n - 1], '\n');
    assert_null(memchr(at, '\n', n - 1));
    static char out[2048];
    snprintf(out, sizeof(out), "%.*s", (int)(n - 8), at + 7);
    return out;
}

static void test_escape(void **state)
{
    (void)state;
    assert_string_equal(escaped("plain text ~"), "plain text ~");
    assert_string_equal(escaped("a\nb\rc\td"), "a\\x0ab\\x0dc\\x09d");
    assert_string_equal(escaped("\x1b[31m\x7f"), "\\x1b[31m\\x7f");
    assert_string_equal(escaped("C:\\dir"), "C:\\dir");
    assert_string_equal(escaped("\\x0a"), "\\x5cx0a");
    assert_string_equal(escaped("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_string_equal(escaped("\xff\xc3"), "\\xff\\xc3");
    assert_string_equal(escaped("\xc2\x9b"), "\\xc2\\x9b");                   /* C1 control */
    assert_string_equal(escaped("\xe2\x80\xae"), "\\xe2\\x80\\xae");          /* right-to-left override */
    assert_string_equal(escaped("\xc0\xaf"), "\\xc0\\xaf");                   /* overlong */
    assert_string_equal(escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80");          /* surrogate */
    assert_string_equal(escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
}

static void test_long(void **state)
{
    (void)state;
    char big[5000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    size_t n = strlen(escaped(big));
    assert_in_range(n, 1000, 1023);
    memset(big, '\n', sizeof(big) - 1);
    n = strlen(escaped(big));
    assert_in_range(n, 1000, 1023);
    assert_int_equal(n % 4, 0);
}

static unsigned hook_calls;
static char hook_where[64], hook_text[2048];
static void hook(void *user, const char *where, const char *text)
{
    (*(unsigned *)user)++;
    snprintf(hook_where, sizeof(hook_where), "%s", where);
    snprintf(hook_text, sizeof(hook_text), "%s", text);
}

static void test_levels_and_hook(void **state)
{
    (void)state;
    log_hook(hook, &hook_calls);
    hook_calls = 0;
    assert_int_equal(log_level_set("loud"), -EINVAL);
    assert_int_equal(log_level_set("error"), 0);
    assert_true(log_wants(LOG_FATAL));
    assert_false(log_wants(LOG_STREAM_DOWN));
    begin();
    log_event(LOG_START, "hidden");
    log_event(LOG_STREAM_DOWN, "hidden, but for the\nhook");
    assert_string_equal(end(), "");
    assert_int_equal(hook_calls, 1);
    assert_string_equal(hook_where, "stream_down");
    assert_string_equal(hook_text, "hidden, but for the\\x0ahook");
    begin();
    log_event(LOG_FATAL, "shown");
    assert_non_null(strstr(end(), " error fatal: shown\n"));
    assert_int_equal(hook_calls, 2);
    assert_int_equal(log_level_set("info"), 0);
    begin();
    log_event(LOG_WARM, "shown");
    assert_non_null(strstr(end(), " info warm: shown\n"));
    assert_int_equal(hook_calls, 2);
    log_hook(NULL, NULL);
    begin();
    log_event(LOG_FATAL, "nobody listens");
    end();
    assert_int_equal(hook_calls, 2);
}

static void test_rate(void **state)
{
    (void)state;
    struct log_rate rate = {0};
    begin();
    for (int i = 0; i < 1000; i++)
        log_event_rate(&rate, 3600, LOG_EVENT_REFUSED, "number %d", i);
    const char *text = end();
    assert_non_null(strstr(text, "event_refused: number 0\n"));
    assert_null(strstr(text, "number 1\n"));
    assert_int_equal(rate.held, 999);
    begin();
    log_event_rate(&rate, 0, LOG_EVENT_REFUSED, "again");
    assert_non_null(strstr(end(), "event_refused: again (and 999 more since the last such line)\n"));
    assert_int_equal(rate.held, 0);
}

/* With JOURNAL_STREAM naming stderr's inode, lines no longer go to stderr; with another's they do. */
static void test_journal_choice(void **state)
{
    (void)state;
    struct stat st;
    char stream[64];
    begin();
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open("test");
    log_event(LOG_START, "to the journal");
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open("test");
    log_event(LOG_START, "to stderr");
    setenv("JOURNAL_STREAM", "nonsense", 1);
    log_open("test");
    log_event(LOG_START, "to stderr too");
    unsetenv("JOURNAL_STREAM");
    log_open("test");
    const char *text = end();
    assert_null(strstr(text, "to the journal"));
    assert_non_null(strstr(text, "start: to stderr\n"));
    assert_non_null(strstr(text, "start: to stderr too\n"));
}

/* Message ids never change and never repeat. */
static void test_message_ids(void **state)
{
    (void)state;
    static const char *const ids[] = {
#define X(id, level, message_id, what) message_id,
#include "log.def"
#undef X
    };
    for (size_t i = 0; i < LOG_IDS; i++) {
        assert_int_equal(strlen(ids[i]), 32);
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ids[i], ids[k]);
    }
    assert_string_equal(ids[LOG_START], "5b0e8c9f6a1d4a0e9b7f0d3c2e514a01");
    assert_string_equal(ids[LOG_STREAM_DOWN], "5b0e8c9f6a1d4a0e9b7f0d3c2e514a11");
}

int main(void)
{
    log_open("test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_long),        cmocka_unit_test(test_levels_and_hook),
        cmocka_unit_test(test_rate),        cmocka_unit_test(test_journal_choice),
        cmocka_unit_test(test_message_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
