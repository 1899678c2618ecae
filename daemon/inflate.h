/* daemon/inflate.h - gzip bodies, piece by piece: by ISA-L where the build found it, by zlib elsewhere.
 * Checksums and lengths are verified. Pure; one thread at a time. */
#ifndef DAEMON_INFLATE_H
#define DAEMON_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

struct inflate;

int inflate_new(struct inflate **ret) __attribute__((warn_unused_result)); /* -ENOMEM */
void inflate_free(struct inflate *inflate);

/* Begins another body. */
void inflate_reset(struct inflate *inflate);

/* Inflates from *data (which moves on) into `out` until one of them is used up; *ret bytes came out. 0, or
 * -EBADMSG: not such a stream, or something behind its end. Members may follow each other. */
int inflate_some(struct inflate *inflate, const char **data, size_t *size, char *out, size_t room,
                 size_t *ret) __attribute__((warn_unused_result));

/* The last member ended where the data did: what was inflated is whole. */
bool inflate_ended(const struct inflate *inflate);

const char *inflate_library(void); /* "ISA-L 2.30.0", "zlib 1.2.13" */

#endif
