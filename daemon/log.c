#include "log.h"
#include "clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 1024

struct log_row {
    const char *name; /* "STREAM_UP" */
    int level;
    const char *message_id;
};

static const struct log_row rows[LOG_IDS] = {
#define X(id, level, message_id, what) {#id, LOG_LEVEL_##level, message_id},
#include "log.def"
#undef X
};

static const char *const level_names[] = {"", "", "", "error", "warning", "notice", "info", "debug"};

static struct {
    bool journal;
    int level;
    char instance[64];
    void (*hook)(void *user, const char *where, const char *text);
    void *user;
} state = {.level = LOG_LEVEL_INFO};

/* systemd names the device and inode of the stream it connected stderr to; anything else on stderr (a shell's
 * redirection of a child) is not the journal. */
static bool stderr_is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    if (!text || sscanf(text, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) < 0)
        return false;
    return st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

void log_open(const char *instance)
{
    state.journal = stderr_is_journal();
    snprintf(state.instance, sizeof(state.instance), "%s", instance);
}

int log_level_set(const char *name)
{
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        if (strcmp(level_names[i], name) == 0) {
            __atomic_store_n(&state.level, i, __ATOMIC_RELAXED);
            return 0;
        }
    }
    return -EINVAL;
}

bool log_wants(enum log_id id)
{
    return rows[id].level <= __atomic_load_n(&state.level, __ATOMIC_RELAXED);
}

void log_hook(void (*hook)(void *user, const char *where, const char *text), void *user)
{
    state.hook = hook;
    state.user = user;
}

/* --------------------------------------------------------------------------------------------- escaping */

/* Bytes of the well-formed, printable UTF-8 character at p, 0: none. C1 controls and the bidirectional and
 * line separators that can disguise a line on a terminal count as not printable. */
static size_t printable(const unsigned char *p)
{
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f && p[0] != '\\';
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    uint32_t code = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0u) != 0x80u)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0xc2 || p[0] > 0xf4 || code < smallest[n] || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
        return 0;
    if (code < 0xa0 || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
        return 0;
    return n;
}

/* A backslash stays as it is unless what follows would make it look like an escape of ours. */
static void escape(char *to, size_t size, const char *from)
{
    const unsigned char *p = (const unsigned char *)from;
    size_t at = 0;
    while (*p && at + 5 < size) {
        size_t n = printable(p);
        if (n > 0) {
            memcpy(to + at, p, n);
            at += n;
            p += n;
        } else if (*p == '\\' && p[1] != 'x') {
            to[at++] = (char)*p++;
        } else {
            at += (size_t)snprintf(to + at, 5, "\\x%02x", *p++);
        }
    }
    to[at] = '\0';
}

/* ---------------------------------------------------------------------------------------------- writing */

static struct iovec field(char *buf, size_t size, const char *name, const char *value)
{
    int n = snprintf(buf, size, "%s=%s", name, value);
    size_t length = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    return (struct iovec){buf, length};
}

static void to_journal(const struct log_row *row, const char *text)
{
    char message[TEXT_MAX + 16], id[64], event[64], instance[96], priority[16];
    char level[4];
    snprintf(level, sizeof(level), "%d", row->level);
    const struct iovec fields[] = {
        field(message, sizeof(message), "MESSAGE", text),
        field(priority, sizeof(priority), "PRIORITY", level),
        field(id, sizeof(id), "MESSAGE_ID", row->message_id),
        field(event, sizeof(event), "POLYGOND_EVENT", row->name),
        field(instance, sizeof(instance), "POLYGOND_INSTANCE", state.instance),
        {(void *)(uintptr_t) "SYSLOG_IDENTIFIER=polygond", sizeof("SYSLOG_IDENTIFIER=polygond") - 1},
    };
    (void)sd_journal_sendv(fields, (int)(sizeof(fields) / sizeof(fields[0])));
}

static void to_stderr(const struct log_row *row, const char *where, const char *text)
{
    char line[TEXT_MAX + 128];
    int64_t now_ms = clock_real_ns() / 1000000;
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    int n = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s: %s\n", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now_ms % 1000),
                     level_names[row->level], where, text);
    /* One write a line: lines of several threads do not mix. Nobody can be told when stderr is gone. */
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
        return;
}

static void lower(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] && i + 1 < size; i++)
        to[i] = (char)tolower((unsigned char)from[i]);
    to[i] = '\0';
}

/* Errors and warnings go to the hook whatever the level. */
static bool needless(enum log_id id)
{
    return !log_wants(id) && rows[id].level > LOG_LEVEL_WARNING;
}

static void emit(enum log_id id, const char *raw)
{
    const struct log_row *row = &rows[id];
    char text[TEXT_MAX], where[32];
    escape(text, sizeof(text), raw);
    lower(where, sizeof(where), row->name);
    if (log_wants(id) && state.journal)
        to_journal(row, text);
    else if (log_wants(id))
        to_stderr(row, where, text);
    if (row->level <= LOG_LEVEL_WARNING && state.hook)
        state.hook(state.user, where, text);
}

void log_event(enum log_id id, const char *format, ...)
{
    if (needless(id))
        return;
    char raw[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof(raw), format, args);
    va_end(args);
    emit(id, raw);
}

void log_event_rate(struct log_rate *rate, unsigned every_s, enum log_id id, const char *format, ...)
{
    if (needless(id))
        return;
    int64_t now = clock_boot_ns();
    if (rate->shown_ns != 0 && now - rate->shown_ns < (int64_t)every_s * 1000000000) {
        rate->held++;
        return;
    }
    char raw[TEXT_MAX], full[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof(raw), format, args);
    va_end(args);
    if (rate->held > 0) {
        snprintf(full, sizeof(full), "%.900s (and %llu more since the last such line)", raw,
                 (unsigned long long)rate->held);
        emit(id, full);
    } else {
        emit(id, raw);
    }
    rate->shown_ns = now;
    rate->held = 0;
}
