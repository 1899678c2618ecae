/* daemon/event.h - one upstream event, as parse hands it to feed. Plain values; pointers live during the
 * sink's call. */
#ifndef DAEMON_EVENT_H
#define DAEMON_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

/* Event types of the stream: X(id, wire name, class). Class: TRADE QUOTE BAR STATUS COUNTED. */
enum event_type {
#define X(id, name, class) EVENT_##id,
#include "events.def"
#undef X
    EVENT_TYPES,
    EVENT_UNKNOWN = EVENT_TYPES
};

enum event_class {
    EVENT_CLASS_TRADE,
    EVENT_CLASS_QUOTE,
    EVENT_CLASS_BAR,
    EVENT_CLASS_STATUS,
    EVENT_CLASS_COUNTED
};

struct event_text {
    const char *p; /* not NUL-terminated; escapes resolved */
    size_t n;
};

struct event {
    enum event_type type;
    enum event_class class;
    struct event_text symbol; /* as sent: "AAPL", "BTC-USD", "EUR/USD", "I:SPX" */
    union {
        struct pgd_trade trade; /* commit and symbol unset */
        struct pgd_quote quote;
        struct {
            struct pgd_bar bar; /* rev 0 */
            struct pgd_day day; /* op, av, a; NaN when absent */
            int64_t end;        /* ms, 0 absent */
        } bar;
        struct {
            struct event_text status;
            struct event_text message;
        } status;
        struct {
            int64_t t; /* ns, 0 absent */
        } counted;
    };
};

/* Why an event was not taken. */
enum event_fault {
    EVENT_OK = 0,
    EVENT_MALFORMED, /* syntax, wrong type, missing required field, number out of the type's range */
    EVENT_REFUSED,   /* well-formed but impossible: non-finite, negative price or volume, high < low, absurd
                        time */
    EVENT_NOT_KNOWN  /* ev of an unknown type */
};

#endif
