/* daemon/multi.h - one libcurl multi handle driven by a libuv loop (socket_action on uv_poll and uv_timer).
 * Main thread. */
#ifndef DAEMON_MULTI_H
#define DAEMON_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

struct multi {
    CURLM *curl;
    uv_loop_t *loop;
    uv_timer_t timer;
    bool closing;
    /* A transfer ended. Called from the loop, never from inside libcurl: handles may be added and removed,
     * and the multi closed. The easy handle stays in the multi until it is removed. */
    void (*done)(struct multi *multi, CURL *easy, CURLcode result);
    void (*closed)(struct multi *multi);
};

/* `connections`: how many are kept alive, 0: libcurl's choice. 0, -ENOMEM, or libuv's error. */
int multi_open(struct multi *multi, uv_loop_t *loop, unsigned connections,
               void (*done)(struct multi *multi, CURL *easy, CURLcode result))
    __attribute__((warn_unused_result));

/* Closes every connection at once (all easy handles must have been removed); `closed` comes from the loop. */
void multi_close(struct multi *multi, void (*closed)(struct multi *multi));

/* libcurl's codes in our currency. `easy` may be NULL; it gives the system's errno where there was one. */
int multi_error(CURL *easy, CURLcode code);

#endif
