/* daemon/log.h - what the daemon tells its operator: one table of events (log.def), to the journal with
 * structured fields when under systemd, else plain lines on stderr. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>

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

/* One line. The text must not hold the key; control characters from outside are escaped here. */
void log_event(enum log_id id, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Also called for every error and warning, besides printing (the board's distinct error log hangs here). */
void log_hook(void (*hook)(void *user, const char *where, const char *text), void *user);

#endif
