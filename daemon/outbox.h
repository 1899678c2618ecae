/* daemon/outbox.h - bytes on their way out of a connection, in order. A message stays where it is until it is
 * sent whole, as TLS wants a refused write repeated from the same place; then it is wiped (one of them is the
 * key). */
#ifndef DAEMON_OUTBOX_H
#define DAEMON_OUTBOX_H

#include "http.h"

struct outbox_message;

struct outbox {
    struct outbox_message *first;
    struct outbox_message *last;
    size_t bytes; /* waiting */
};

/* Room for a message of `size` bytes at the end, to be filled by the caller before outbox_flush. NULL: out of
 * memory.
 */
uint8_t *outbox_add(struct outbox *outbox, size_t size);

/* Sends what the connection takes. 0: all gone; -EAGAIN: call again when it is writable; else the
 * connection's error.
 */
int outbox_flush(struct outbox *outbox, struct http_conn *conn) __attribute__((warn_unused_result));

void outbox_clear(struct outbox *outbox);

#endif
