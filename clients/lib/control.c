/* control.c - the client's end of the control socket: one request, its answer lines, the end. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"

#define LINE_MAX_BYTES 4096

static int wait_for(int fd, short events, int64_t deadline)
{
    int64_t left = deadline - pgd__now_ns();
    if (left <= 0)
        return -ETIMEDOUT;
    int64_t ms = left / 1000000 + 1;
    struct pollfd p = {.fd = fd, .events = events};
    int r = poll(&p, 1, ms > 3600000 ? 3600000 : (int)ms);
    return r < 0 ? -errno : 0;
}

static int dial(const char *path, int64_t deadline)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (path[0] == '\0')
        return PGD_ERR_OFF;
    if (strlen(path) >= sizeof addr.sun_path)
        return -ENAMETOOLONG;
    strcpy(addr.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* A UNIX socket connects at once or says EAGAIN while the queue of the listener is full. */
    while (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        int r = errno == ENOENT || errno == ECONNREFUSED ? PGD_ERR_NO_DAEMON : -errno;
        if (r == -EAGAIN && pgd__now_ns() < deadline) {
            poll(NULL, 0, 10);
            continue;
        }
        close(fd);
        return r == -EAGAIN ? -ETIMEDOUT : r;
    }
    return fd;
}

static int send_line(int fd, const char *request, int64_t deadline)
{
    char line[LINE_MAX_BYTES];
    int n = snprintf(line, sizeof line, "%s\n", request);
    if (n < 2 || n >= (int)sizeof line || strchr(request, '\n'))
        return -EINVAL;
    for (size_t sent = 0; sent < (size_t)n;) {
        ssize_t k = send(fd, line + sent, (size_t)n - sent, MSG_NOSIGNAL);
        if (k >= 0) {
            sent += (size_t)k;
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return PGD_ERR_NO_DAEMON;
        if (errno != EAGAIN)
            return -errno;
        int r = wait_for(fd, POLLOUT, deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

struct answer {
    char line[LINE_MAX_BYTES];
    size_t n;
};

/* Reads up to the next newline, which is replaced by NUL. */
static int read_line(int fd, struct answer *a, int64_t deadline)
{
    for (a->n = 0; a->n < sizeof a->line;) {
        ssize_t k = recv(fd, a->line + a->n, 1, 0);
        if (k == 0 || (k < 0 && errno == ECONNRESET))
            return PGD_ERR_NO_DAEMON;
        if (k == 1) {
            if (a->line[a->n] == '\n') {
                a->line[a->n] = '\0';
                return 0;
            }
            a->n++;
            continue;
        }
        if (errno != EAGAIN)
            return -errno;
        int r = wait_for(fd, POLLIN, deadline);
        if (r < 0)
            return r;
    }
    return PGD_ERR_CONTROL;
}

/* "error CODE text": the code as an error of ours. */
static int error_of(const char *code, size_t n)
{
    static const struct {
        const char *code;
        int error;
    } codes[] = {{"unknown", PGD_ERR_UNKNOWN}, {"refused", PGD_ERR_REFUSED}, {"limit", PGD_ERR_LIMIT},
                 {"denied", PGD_ERR_DENIED},   {"timeout", -ETIMEDOUT},      {"off", PGD_ERR_CLUSTER},
                 {"failed", PGD_ERR_FAILED},   {"syntax", -EINVAL}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strlen(codes[i].code) == n && memcmp(codes[i].code, code, n) == 0)
            return codes[i].error;
    return PGD_ERR_CONTROL;
}

/* 1: not the last line; else the result, the rest of the line in *text. */
static int judge_line(const char *line, const char **text)
{
    if (strcmp(line, "ok") == 0 || strncmp(line, "ok ", 3) == 0) {
        *text = line[2] ? line + 3 : "";
        return 0;
    }
    if (strncmp(line, "error ", 6) != 0)
        return 1;
    size_t n = strcspn(line + 6, " ");
    *text = line[6 + n] ? line + 7 + n : "";
    return error_of(line + 6, n);
}

int pgd_control(struct pgd_client *client, const char *request, pgd_line_fn *line, void *user,
                int64_t timeout_ns, char *text, size_t text_size)
{
    int64_t now = pgd__now_ns();
    int64_t deadline = timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    struct pgd_board board; /* as the present run wrote it */
    pgd_board_get(&client->board, &board);
    board.control[sizeof board.control - 1] = '\0';
    int fd = dial(board.control, deadline);
    if (fd < 0)
        return fd;
    struct answer answer;
    const char *said = "";
    int r = send_line(fd, request, deadline);
    if (r == 0)
        r = 1;
    while (r == 1) {
        r = read_line(fd, &answer, deadline);
        if (r == 0)
            r = judge_line(answer.line, &said);
        if (r == 1 && line)
            line(user, answer.line);
    }
    close(fd);
    if (text && text_size > 0)
        snprintf(text, text_size, "%s", said);
    return r;
}

static const char *cluster_word(int cluster)
{
    static const char *const words[PGD_CLUSTERS] = {
        [PGD_STOCKS] = "stocks", [PGD_OPTIONS] = "options", [PGD_CRYPTO] = "crypto",
        [PGD_FOREX] = "forex",   [PGD_INDICES] = "indices", [PGD_FUTURES] = "futures"};
    return cluster > 0 && cluster < PGD_CLUSTERS ? words[cluster] : "";
}

static void topic_words(char *to, size_t size, uint32_t topics)
{
    static const char *const words[] = {"trades", "quotes", "bars_1s", "bars_1m", "values"};
    size_t n = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (topics >> i & 1u)
            n += (size_t)snprintf(to + n, size - n, "%s%s", n ? "," : "", words[i]);
    if (n == 0)
        snprintf(to, size, "default");
}

static bool symbol_sendable(const char *symbol)
{
    size_t n = strlen(symbol);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)symbol[i] <= ' ' || symbol[i] == 0x7f)
            return false;
    return n > 0 && n < PGD_SYMBOL_MAX;
}

int32_t pgd_request(struct pgd_client *client, const char *symbol, uint32_t topics, int cluster,
                    int64_t timeout_ns, char *text, size_t text_size)
{
    char request[256], list[64], said[512] = "";
    if (!symbol_sendable(symbol) || cluster < 0 || cluster >= PGD_CLUSTERS)
        return -EINVAL;
    topic_words(list, sizeof list, topics);
    snprintf(request, sizeof request, "subscribe %s %s%s%s", symbol, list, cluster ? " " : "",
             cluster_word(cluster));
    int r = pgd_control(client, request, NULL, NULL, timeout_ns, said, sizeof said);
    if (text && text_size > 0)
        snprintf(text, text_size, "%s", said);
    if (r < 0)
        return r;
    const char *index = strrchr(said, ' ');
    char *end = NULL;
    long value = index ? strtol(index + 1, &end, 10) : -1;
    if (!index || end == index + 1 || *end || value < 0 || value >= (long)PGD_SERIES_LIMIT)
        return PGD_ERR_CONTROL;
    return (int32_t)value;
}
