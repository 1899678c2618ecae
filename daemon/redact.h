/* daemon/redact.h - for text that came from outside and will be shown: a server may echo the key. */
#ifndef DAEMON_REDACT_H
#define DAEMON_REDACT_H

#include "secret.h"

/* Overwrites every occurrence of the key in `text` with asterisks. `secret` may be NULL. */
void redact(char *text, const struct secret *secret);

#endif
