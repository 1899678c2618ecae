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

/* Why a transfer failed, as libcurl and the system put it. */
struct http_words {
    int socket_error; /* errno of a socket that could not be opened: libcurl would call it a refused
                         connection */
    char text[CURL_ERROR_SIZE];
};

/* An easy handle with everything both uses want: verification, proxy, no signals, no redirects, HTTP only.
 * NULL: out of memory. `words` is filled as long as the handle lives. */
CURL *http_easy_new(const struct http *http, const char *url, unsigned timeout_s, struct http_words *words);

/* The failure in our currency, and in words. */
int http_error(const struct http_words *words, CURL *easy, CURLcode code, const char **ret_text);

#endif
