/* daemon/rest_url.h - addresses of REST requests, and which of the addresses a server names may be followed.
 * Pure. */
#ifndef DAEMON_REST_URL_H
#define DAEMON_REST_URL_H

#include "config.h"
#include "rest.h"

#define REST_LIMIT 50000u /* rows a page, the vendor's most */

/* New strings (free them); NULL: out of memory. Tickers are percent-encoded. */
char *rest_url(const struct config *config, const struct rest_query *query);
char *rest_url_ticker(const struct config *config, const char *ticker);

/* May the key go there? Only to the host and port of rest.url and to those of rest.hosts (port 443, or 80 for
 * http, unless the entry names one), never from https to http, and not with a user name in the address. */
bool rest_url_allowed(const struct config *config, const char *url);

#endif
