/* daemon/config_quote.h - a text as a double-quoted YAML scalar. */
#ifndef DAEMON_CONFIG_QUOTE_H
#define DAEMON_CONFIG_QUOTE_H

#include <stdio.h>

/* Valid UTF-8 in; only printable ASCII comes out. */
void config_quote(FILE *out, const char *text);

#endif
