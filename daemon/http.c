#include "http_private.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HTTP_BUFFER  (512L * 1024) /* of libcurl; plain bodies are up to half again as fast as with 16 KiB */
#define HTTP_LONGEST 60L           /* times the timeout, for one transfer */

struct http_get {
    struct http *http;
    CURL *easy;
    struct curl_slist *headers;
    int error; /* of the receiver */
    enum http_coding coding;
    bool retry_after; /* the header was there, though it may have said 0 */
    struct http_events events;
    void *user;
    struct http_words words;
};

/* ------------------------------------------------------------------------------------------------ handles */

static int http_copy(char **ret, const char *text)
{
    if (!text || !*text)
        return 0;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

/* TLS writes to a closed connection may raise it, and CURLOPT_NOSIGNAL keeps libcurl from holding it off. */
static void http_ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

static void http_destroy(struct http *http)
{
    free(http->ca_file);
    free(http->proxy);
    free(http);
    curl_global_cleanup();
}

static void http_done(struct multi *multi, CURL *easy, CURLcode result);

int http_new(struct http **ret, uv_loop_t *loop, const struct http_options *options)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    struct http *http = calloc(1, sizeof(*http));
    if (!http) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    int r = http_copy(&http->ca_file, options->ca_file);
    if (r == 0)
        r = http_copy(&http->proxy, options->proxy);
    if (r == 0)
        r = multi_open(&http->multi, loop, options->connections, http_done);
    if (r < 0) {
        http_destroy(http);
        return r;
    }
    http_ignore_sigpipe();
    *ret = http;
    return 0;
}

static void http_closed(struct multi *multi)
{
    http_destroy((struct http *)((char *)multi - offsetof(struct http, multi)));
}

void http_free(struct http *http)
{
    if (http)
        multi_close(&http->multi, http_closed);
}

static CURLcode http_easy_tls(const struct http *http, CURL *easy)
{
    CURLcode r = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    if (r == CURLE_OK)
        r = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (r == CURLE_OK)
        r = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (r == CURLE_OK && http->ca_file) {
        r = curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
        if (r == CURLE_OK) /* or the system's directory would be trusted besides */
            r = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    return r;
}

static CURLcode http_easy_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static CURLcode http_easy_setup(const struct http *http, CURL *easy, const char *url, unsigned timeout_s)
{
    CURLcode r = http_easy_tls(http, easy);
    if (r == CURLE_OK)
        r = http_easy_protocols(easy);
    if (r == CURLE_OK)
        r = curl_easy_setopt(easy, CURLOPT_URL, url);
    if (r == CURLE_OK && http->proxy)
        r = curl_easy_setopt(easy, CURLOPT_PROXY, http->proxy);
    if (r != CURLE_OK)
        return r;
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)timeout_s);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)timeout_s);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Cancelling while the name is being looked up must not wait for the resolver's thread. */
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    return CURLE_OK;
}

static curl_socket_t http_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_words *words = user;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    /* An address family that is switched off is no reason to name: libcurl tries the next address. */
    words->socket_error = fd < 0 && errno != EAFNOSUPPORT ? errno : 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

CURL *http_easy_new(const struct http *http, const char *url, unsigned timeout_s, struct http_words *words)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    *words = (struct http_words){0};
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, words->text);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, words);
    if (http_easy_setup(http, easy, url, timeout_s) != CURLE_OK) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    return easy;
}

int http_error(const struct http_words *words, CURL *easy, CURLcode code, const char **ret_text)
{
    if (code == CURLE_COULDNT_CONNECT && words->socket_error) {
        *ret_text = strerror(words->socket_error);
        return -words->socket_error;
    }
    *ret_text = words->text[0] ? words->text : curl_easy_strerror(code);
    return multi_error(easy, code);
}

/* ---------------------------------------------------------------------------------------------------- GET */

static size_t http_get_body(char *data, size_t one, size_t size, void *user)
{
    struct http_get *get = user;
    long status = 0;
    (void)one;
    (void)curl_easy_getinfo(get->easy, CURLINFO_RESPONSE_CODE, &status);
    int r = get->events.body(get->user, status, get->coding, data, size);
    if (r == -EAGAIN)
        return CURL_WRITEFUNC_PAUSE;
    if (r == 0)
        return size;
    get->error = r;
    return 0;
}

static bool header_is(const char *data, size_t size, const char *name, const char **ret_value,
                      size_t *ret_size)
{
    size_t n = strlen(name);
    if (size < n || strncasecmp(data, name, n) != 0)
        return false;
    const char *end = data + size;
    const char *p = data + n;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (uint8_t)end[-1] <= ' ')
        end--;
    *ret_value = p;
    *ret_size = (size_t)(end - p);
    return true;
}

static size_t http_get_header(char *data, size_t one, size_t size, void *user)
{
    struct http_get *get = user;
    const char *value;
    size_t n;
    (void)one;
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0) { /* of an interim or the proxy's answer, so far */
        get->retry_after = false;
        get->coding = HTTP_PLAIN;
    } else if (header_is(data, size, "retry-after:", &value, &n)) {
        get->retry_after = true;
    } else if (header_is(data, size, "content-encoding:", &value, &n)) {
        bool gzip = (n == 4 && strncasecmp(value, "gzip", n) == 0) ||
                    (n == 6 && strncasecmp(value, "x-gzip", n) == 0);
        bool plain = n == 0 || (n == 8 && strncasecmp(value, "identity", n) == 0);
        get->coding = gzip && get->coding == HTTP_PLAIN ? HTTP_GZIP : plain ? get->coding : HTTP_OTHER;
    }
    return size;
}

static void http_get_destroy(struct http_get *get)
{
    if (get->easy)
        curl_easy_cleanup(get->easy);
    for (struct curl_slist *h = get->headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(get->headers);
    free(get);
}

static int http_get_line(struct http_get *get, const char *line)
{
    struct curl_slist *headers = curl_slist_append(get->headers, line);
    if (!headers)
        return -ENOMEM;
    get->headers = headers;
    return 0;
}

static int http_get_bearer(struct http_get *get, const char *bearer)
{
    char line[512];
    int n = snprintf(line, sizeof(line), "Authorization: Bearer %s", bearer);
    int r = n < 0 || (size_t)n >= sizeof(line) ? -EINVAL : http_get_line(get, line);
    explicit_bzero(line, sizeof(line));
    return r;
}

static int http_get_setup(struct http_get *get, const char *url, const char *bearer, unsigned timeout_s)
{
    get->easy = http_easy_new(get->http, url, timeout_s, &get->words);
    if (!get->easy)
        return -ENOMEM;
    (void)curl_easy_setopt(get->easy, CURLOPT_PRIVATE, get);
    (void)curl_easy_setopt(get->easy, CURLOPT_WRITEFUNCTION, http_get_body);
    (void)curl_easy_setopt(get->easy, CURLOPT_WRITEDATA, get);
    (void)curl_easy_setopt(get->easy, CURLOPT_HEADERFUNCTION, http_get_header);
    (void)curl_easy_setopt(get->easy, CURLOPT_HEADERDATA, get);
    (void)curl_easy_setopt(get->easy, CURLOPT_BUFFERSIZE, HTTP_BUFFER);
    (void)curl_easy_setopt(get->easy, CURLOPT_USERAGENT, "polygond/" PGD_VERSION);
    (void)curl_easy_setopt(get->easy, CURLOPT_TIMEOUT, HTTP_LONGEST * (long)timeout_s);
    (void)curl_easy_setopt(get->easy, CURLOPT_LOW_SPEED_TIME, (long)timeout_s);
    (void)curl_easy_setopt(get->easy, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_SLOW);
    (void)curl_easy_setopt(get->easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* not to a proxy */
    /* Not CURLOPT_ACCEPT_ENCODING, for libcurl would inflate it then, and more slowly. */
    int r = http_get_line(get, "Accept-Encoding: gzip");
    if (r == 0 && bearer)
        r = http_get_bearer(get, bearer);
    if (r == 0 && curl_easy_setopt(get->easy, CURLOPT_HTTPHEADER, get->headers) != CURLE_OK)
        r = -ENOMEM;
    return r;
}

int http_get(struct http *http, struct http_get **ret, const char *url, const char *bearer,
             unsigned timeout_s, const struct http_events *events, void *user)
{
    struct http_get *get = calloc(1, sizeof(*get));
    if (!get)
        return -ENOMEM;
    get->http = http;
    get->events = *events;
    get->user = user;
    int r = http_get_setup(get, url, bearer, timeout_s);
    if (r == 0 && curl_multi_add_handle(http->multi.curl, get->easy) != CURLM_OK)
        r = -ENOMEM;
    if (r < 0) {
        http_get_destroy(get);
        return r;
    }
    *ret = get;
    return 0;
}

void http_get_resume(struct http_get *get)
{
    /* What libcurl holds is delivered before this returns; it sets the multi's timer for the rest. */
    (void)curl_easy_pause(get->easy, CURLPAUSE_CONT);
}

void http_get_cancel(struct http_get *get)
{
    if (!get)
        return;
    (void)curl_multi_remove_handle(get->http->multi.curl, get->easy);
    http_get_destroy(get);
}

static void http_get_answer(struct http_get *get, CURLcode result, struct http_answer *answer)
{
    long status = 0;
    (void)curl_easy_getinfo(get->easy, CURLINFO_RESPONSE_CODE, &status);
    answer->status = status;
    answer->error_text = "";
    if (get->error) {
        answer->error = get->error;
        answer->error_text = strerror(-get->error);
    } else if (result != CURLE_OK) {
        answer->error = http_error(&get->words, get->easy, result, &answer->error_text);
    }
    if (get->retry_after) {
        curl_off_t seconds = 0;
        (void)curl_easy_getinfo(get->easy, CURLINFO_RETRY_AFTER, &seconds);
        answer->retry_after_s = seconds < 1 ? 1 : seconds > LONG_MAX ? LONG_MAX : (long)seconds;
    }
}

static void http_done(struct multi *multi, CURL *easy, CURLcode result)
{
    char *private = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) != CURLE_OK || !private)
        return;
    struct http_get *get = (struct http_get *)(void *)private;
    struct http_answer answer = {0};
    http_get_answer(get, result, &answer);
    (void)curl_multi_remove_handle(multi->curl, easy);
    get->events.done(get->user, &answer);
    http_get_destroy(get);
}
