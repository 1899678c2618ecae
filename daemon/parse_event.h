/* daemon/parse_event.h - one event object of the stream. Internal to parse*.c. */
#ifndef DAEMON_PARSE_EVENT_H
#define DAEMON_PARSE_EVENT_H

#include "parse_read.h"

/* Reads the object at `p` into r->event. Returns the position behind it, or NULL when it is malformed;
 * r->scan says what is wrong with it, if anything. */
const char *parse_event(struct read *r, const char *p);

#endif
