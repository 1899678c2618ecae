/* daemon/secret.h - the API key: read once, kept in locked memory that core dumps leave out, never copied
 * into logs, argv, URLs or shared memory. */
#ifndef DAEMON_SECRET_H
#define DAEMON_SECRET_H

#include <stddef.h>

struct secret;

/* From, in this order: `file` if not "", the systemd credential polygon_api_key, the environment variable
 * POLYGON_API_KEY (which is then removed from the environment). Trailing white space is cut. -ENOENT: none;
 * -EINVAL: empty, longer than 256 bytes, or characters outside printable ASCII; -EPERM: the file is readable
 * by others. One line in err. */
int secret_load(struct secret **ret, const char *file, char *err, size_t err_size)
    __attribute__((warn_unused_result));
const char *secret_text(const struct secret *secret);
size_t secret_size(const struct secret *secret);
void secret_free(struct secret *secret); /* wipes */

/* Makes the process undumpable and core-less; called first thing in main. */
void secret_guard_process(void);

#endif
