/* daemon/log.h - what the daemon tells its operator: one table of events (log.def), to the journal with
 * structured fields when under systemd, else plain lines on stderr. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* X(id, level, "message id: 32 hex digits", "what it says") */
enum log_id {
#define X(id, level, message_id, what) LOG_##id,
#include "log.def"
#undef X
    LOG_IDS
};

void log_open(const char *instance); /* journal or stderr: decided here */
int log_level_set(const char *name); /* -EINVAL: no such level */
bool log_wants(enum log_id id);      /* false: an event of this level would not be shown */

/* One line, from any thread. The text must not hold the key; what is longer than 1023 bytes is cut; control
 * characters and broken UTF-8 from outside are escaped here as \xNN. */
void log_event(enum log_id id, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For what can come thousands of times a second: one of these a cause, zeroed. The first is shown, then one
 * every `every_s` seconds that says how many were held back. */
struct log_rate {
    int64_t shown_ns; /* CLOCK_BOOTTIME of the last one shown, 0: none yet */
    uint64_t held;
};
void log_event_rate(struct log_rate *rate, unsigned every_s, enum log_id id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Also called for every error and warning, besides printing (the board's distinct error log hangs here);
 * `where` is the event's name in lower case, `text` is escaped. Set once, before threads are started; it must
 * stand calls from any thread that logs. NULL: none. */
void log_hook(void (*hook)(void *user, const char *where, const char *text), void *user);

#endif
