/* daemon/parse.c */
#include "parse.h"

#include <errno.h>

#include "parse_event.h"

int parse_double(const char **p, const char *end, double *ret)
{
    struct number n;
    const char *after = number_scan(*p, end, &n);
    if (!after)
        return -EBADMSG;
    *p = after;
    *ret = number_double(&n);
    return 0;
}

static void deliver(struct read *r, const char *p, const char *after, const struct parse_sink *sink)
{
    if (r->scan.fault == EVENT_OK)
        sink->event(sink->user, &r->event);
    else
        sink->fault(sink->user, r->scan.fault, r->scan.reason, &r->event,
                    (struct event_text){p, (size_t)(after - p)});
}

/* One element of the message. Returns the position after it, NULL when it has no end. */
static const char *element(struct read *r, const char *p, const struct parse_sink *sink)
{
    const char *after = NULL;
    if (*p == '{') {
        after = parse_event(r, p);
    } else {
        read_begin(r, EVENT_UNKNOWN);
        scan_fail(&r->scan, "an event is no object");
    }
    if (!after)
        after = scan_match(p, r->scan.end);
    if (after && after > p)
        deliver(r, p, after, sink);
    return after;
}

static const char *array(struct read *r, const char *p, const struct parse_sink *sink)
{
    const char *end = r->scan.end;
    p = scan_space(p + 1, end);
    if (p < end && *p == ']')
        return p + 1;
    for (;;) {
        const char *before = p;
        if (p >= end)
            return NULL;
        p = element(r, p, sink);
        if (!p || p == before)
            return NULL;
        p = scan_space(p, end);
        if (p < end && *p == ']')
            return p + 1;
        if (p >= end || *p != ',')
            return NULL;
        p = scan_space(p + 1, end);
    }
}

int parse_ws(const char *text, size_t size, enum pgd_cluster cluster, const struct parse_sink *sink)
{
    struct read r;
    r.scan.end = text + size;
    r.cluster = cluster;
    const char *p = scan_space(text, r.scan.end);
    if (p < r.scan.end && *p == '[')
        p = array(&r, p, sink);
    else if (p < r.scan.end && *p == '{')
        p = element(&r, p, sink);
    else
        return -EBADMSG;
    return p && scan_space(p, r.scan.end) == r.scan.end ? 0 : -EBADMSG;
}
