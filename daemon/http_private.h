/* daemon/http_private.h - what http.c and http_conn.c share. */
#ifndef DAEMON_HTTP_PRIVATE_H
#define DAEMON_HTTP_PRIVATE_H

#include "http.h"
#include "multi.h"

struct http {
    struct multi multi; /* REST requests; each connected byte stream has its own */
    char *ca_file;      /* NULL: the system's */
    char *proxy;        /* NULL: the environment's */
};

/* An easy handle with everything both uses want: verification, proxy, no signals, no redirects, HTTP only.
 * NULL: out of memory. `text`: where libcurl's words go. */
CURL *http_easy_new(const struct http *http, const char *url, unsigned timeout_s, char text[CURL_ERROR_SIZE]);

/* libcurl's words of a failure: the error buffer, or the code's general text. */
const char *http_error_text(const char text[CURL_ERROR_SIZE], CURLcode code);

#endif
