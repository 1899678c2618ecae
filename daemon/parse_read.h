/* daemon/parse_read.h - an event in the making: what the fields of one JSON object add up to, and whether
 * that is possible. Internal to parse*.c. */
#ifndef DAEMON_PARSE_READ_H
#define DAEMON_PARSE_READ_H

#include "parse_scan.h"

struct read {
    struct scan scan;
    struct event event;
    enum pgd_cluster cluster;
    uint64_t symbol_key; /* code of the key that has the symbol */
    int64_t time;        /* as sent; SCAN_TIME_ABSENT */
    int64_t end_time;
    double exact;     /* the decimal form of size or volume; NaN absent */
    double exact_day; /* and of the day's volume */
    bool settled;     /* the type is final: another `ev` changes nothing */
    bool other_type;  /* an `ev` of another type was met: begin again */
};

/* Empties the event and gives it a type. */
void read_begin(struct read *r, enum event_type type);

/* Completes the record of the event's class and checks it: fault and reason are in r->scan. */
void read_finish_trade(struct read *r);
void read_finish_quote(struct read *r);
void read_finish_bar(struct read *r);
void read_finish_status(struct read *r);
void read_finish_counted(struct read *r);

/* The type of a wire name; EVENT_UNKNOWN. */
enum event_type read_type(struct event_text name);

/* A further `ev` key's value. */
const char *read_other_ev(struct read *r, const char *p);

/* What a field function returns for a key it does not know. */
extern const char read_unknown[1];

/* Takes the value at `p` of the key `code`. */
#define READ_FIELD static inline __attribute__((always_inline)) const char *
typedef const char *read_field_fn(struct read *r, uint64_t code, const char *p);

/* All fields of an object: `p` is at the first key, or at blanks before it. Returns the position behind the
 * closing brace. Written to be inlined with a constant `field`: this loop is the hot path. */
static inline __attribute__((always_inline)) const char *read_fields(struct read *r, const char *p,
                                                                     read_field_fn *field)
{
    const char *end = r->scan.end;
    for (;;) {
        uint64_t code;
        const char *key = p;
        const char *value = scan_key(&r->scan, key, &code);
        bool certain = false;
        for (;;) {
            if (__builtin_expect(!value, 0))
                return NULL;
            p = field(r, code, value);
            if (__builtin_expect(p != read_unknown, 1))
                break;
            if (certain) {
                p = code == SCAN_KEY_EV ? read_other_ev(r, value) : scan_skip(&r->scan, value);
                break;
            }
            /* Perhaps one that is written with escapes. */
            value = scan_key_hard(&r->scan, key, &code);
            certain = true;
        }
        if (__builtin_expect(!p, 0))
            return NULL;
        if (__builtin_expect(p < end && *p == ',', 1)) {
            p++;
            continue;
        }
        p = scan_space(p, end);
        if (p < end && *p == ',') {
            p++;
            continue;
        }
        if (p < end && *p == '}')
            return p + 1;
        return scan_fail(&r->scan, "a comma or the end of an object is expected");
    }
}

#endif
