#include "multi.h"

#include <errno.h>
#include <stdlib.h>

struct multi_socket {
    uv_poll_t poll;
    struct multi *multi;
    curl_socket_t fd;
};

static void multi_drain(struct multi *multi)
{
    int left;
    /* `done` may close the multi: its memory stays until the loop has seen the timer closed. */
    while (!multi->closing) {
        CURLMsg *msg = curl_multi_info_read(multi->curl, &left);
        if (!msg)
            break;
        if (msg->msg == CURLMSG_DONE)
            multi->done(multi, msg->easy_handle, msg->data.result);
    }
}

static void multi_act(struct multi *multi, curl_socket_t fd, int flags)
{
    int running;
    if (multi->closing)
        return;
    (void)curl_multi_socket_action(multi->curl, fd, flags, &running);
    multi_drain(multi);
}

static void multi_on_poll(uv_poll_t *poll, int status, int events)
{
    struct multi_socket *socket = poll->data;
    int flags = 0;
    if (status < 0)
        flags |= CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    multi_act(socket->multi, socket->fd, flags);
}

static void multi_on_timer(uv_timer_t *timer)
{
    multi_act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void multi_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct multi_socket *multi_socket_new(struct multi *multi, curl_socket_t fd)
{
    struct multi_socket *socket = calloc(1, sizeof(*socket));
    if (!socket)
        return NULL;
    socket->multi = multi;
    socket->fd = fd;
    if (uv_poll_init_socket(multi->loop, &socket->poll, fd) < 0) {
        free(socket);
        return NULL;
    }
    socket->poll.data = socket;
    (void)curl_multi_assign(multi->curl, fd, socket);
    return socket;
}

static int multi_watch(CURL *easy, curl_socket_t fd, int what, void *user, void *assigned)
{
    struct multi *multi = user;
    struct multi_socket *socket = assigned;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket) {
            (void)curl_multi_assign(multi->curl, fd, NULL);
            uv_close((uv_handle_t *)&socket->poll, multi_socket_closed);
        }
        return 0;
    }
    if (!socket)
        socket = multi_socket_new(multi, fd);
    if (!socket)
        return -1;
    int events = 0;
    if (what != CURL_POLL_OUT)
        events |= UV_READABLE;
    if (what != CURL_POLL_IN)
        events |= UV_WRITABLE;
    return uv_poll_start(&socket->poll, events, multi_on_poll) < 0 ? -1 : 0;
}

static int multi_set_timer(CURLM *curl, long timeout_ms, void *user)
{
    struct multi *multi = user;
    (void)curl;
    if (multi->closing)
        return 0;
    if (timeout_ms < 0)
        (void)uv_timer_stop(&multi->timer);
    else
        (void)uv_timer_start(&multi->timer, multi_on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

int multi_open(struct multi *multi, uv_loop_t *loop, unsigned connections,
               void (*done)(struct multi *multi, CURL *easy, CURLcode result))
{
    CURLM *curl = curl_multi_init();
    if (!curl)
        return -ENOMEM;
    int r = uv_timer_init(loop, &multi->timer);
    if (r < 0) {
        (void)curl_multi_cleanup(curl);
        return r;
    }
    multi->timer.data = multi;
    multi->curl = curl;
    multi->loop = loop;
    multi->closing = false;
    multi->done = done;
    multi->closed = NULL;
    (void)curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, multi_watch);
    (void)curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, multi);
    (void)curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, multi_set_timer);
    (void)curl_multi_setopt(curl, CURLMOPT_TIMERDATA, multi);
    (void)curl_multi_setopt(curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    if (connections) {
        (void)curl_multi_setopt(curl, CURLMOPT_MAXCONNECTS, (long)connections);
        (void)curl_multi_setopt(curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections);
    }
    return 0;
}

static void multi_timer_closed(uv_handle_t *handle)
{
    struct multi *multi = handle->data;
    multi->closed(multi);
}

void multi_close(struct multi *multi, void (*closed)(struct multi *multi))
{
    if (multi->closing)
        return;
    multi->closing = true;
    multi->closed = closed;
    (void)curl_multi_cleanup(multi->curl);
    multi->curl = NULL;
    uv_close((uv_handle_t *)&multi->timer, multi_timer_closed);
}

static int multi_os_error(CURL *easy, int fallback)
{
    long os = 0;
    if (easy && curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os) == CURLE_OK && os > 0 && os < 4096)
        return -(int)os;
    return fallback;
}

static const struct {
    CURLcode code;
    int error;
} multi_errors[] = {
    {CURLE_OK, 0},
    {CURLE_AGAIN, -EAGAIN},
    {CURLE_UNSUPPORTED_PROTOCOL, -EINVAL},
    {CURLE_URL_MALFORMAT, -EINVAL},
    {CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH},
    {CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH},
    {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT},
    {CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED},
    {CURLE_SSL_CACERT_BADFILE, -EKEYREJECTED},
    {CURLE_SSL_ISSUER_ERROR, -EKEYREJECTED},
    {CURLE_SSL_CONNECT_ERROR, -EPROTO},
    {CURLE_WEIRD_SERVER_REPLY, -EPROTO},
    {CURLE_PROXY, -EPROTO},
    {CURLE_BAD_CONTENT_ENCODING, -EBADMSG},
    {CURLE_WRITE_ERROR, -EBADMSG},
    {CURLE_GOT_NOTHING, -ECONNRESET},
    {CURLE_PARTIAL_FILE, -ECONNRESET},
    {CURLE_OUT_OF_MEMORY, -ENOMEM},
};

int multi_error(CURL *easy, CURLcode code)
{
    if (code == CURLE_COULDNT_CONNECT)
        return multi_os_error(easy, -ECONNREFUSED);
    if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
        return multi_os_error(easy, -ECONNRESET);
    for (size_t i = 0; i < sizeof(multi_errors) / sizeof(multi_errors[0]); i++)
        if (multi_errors[i].code == code)
            return multi_errors[i].error;
    return -EIO;
}
