/* daemon/body.h - one REST body from bytes to a page: inflated and parsed as it comes, in bounded memory.
 * Pure; one thread at a time. */
#ifndef DAEMON_BODY_H
#define DAEMON_BODY_H

#include "page.h"

struct body;

/* `max`: inflated bytes at most. */
int body_new(struct body **ret, enum rest_kind kind, bool gzip, size_t max)
    __attribute__((warn_unused_result));
void body_free(struct body *body);

/* 0, or why this becomes no page: -EBADMSG, -EMSGSIZE, -ENOMEM; it stays so. */
int body_more(struct body *body, const char *data, size_t size) __attribute__((warn_unused_result));
int body_end(struct body *body) __attribute__((warn_unused_result));

const char *body_why(const struct body *body); /* a constant sentence, "" */
struct page *body_page(struct body *body);     /* the caller's to free; after body_end */

#endif
