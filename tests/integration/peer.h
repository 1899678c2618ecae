/* tests/integration/peer.h - runs a Python peer for a test: an independent implementation at the other end.
 */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEER_KEY "k3y-for-tests_0123456789"

struct peer {
    pid_t pid;
    int in;  /* the peer ends when this closes, with us if need be */
    int out; /* what it saw */
    int port;
    char ca[200];
    char text[1 << 18]; /* what it said so far, after the first line */
    size_t size;
};

__attribute__((unused)) static void peer_exec(const char *const *argv, int in, int out)
{
    (void)dup2(in, 0);
    (void)dup2(out, 1);
    (void)unsetenv("LD_PRELOAD");
    (void)execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* Reads what the peer said, waiting for up to `ms` for the first byte. */
__attribute__((unused)) static bool peer_read(struct peer *peer, int ms)
{
    struct pollfd p = {peer->out, POLLIN, 0};
    if (peer->size + 1 >= sizeof(peer->text) || poll(&p, 1, ms) <= 0)
        return false;
    ssize_t n = read(peer->out, peer->text + peer->size, sizeof(peer->text) - 1 - peer->size);
    if (n <= 0)
        return false;
    peer->size += (size_t)n;
    peer->text[peer->size] = '\0';
    return true;
}

/* Starts tests/integration/SCRIPT with up to three arguments; returns when it listens. */
__attribute__((unused)) static bool peer_start(struct peer *peer, const char *script, const char *a,
                                               const char *b, const char *c)
{
    char path[256];
    int in[2];
    int out[2];
    const char *argv[] = {"/usr/bin/python3", path, a, b, c, NULL};
    memset(peer, 0, sizeof(*peer));
    (void)snprintf(path, sizeof(path), "tests/integration/%s", script);
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        return false;
    peer->pid = fork();
    if (peer->pid == 0)
        peer_exec(argv, in[0], out[1]);
    (void)close(in[0]);
    (void)close(out[1]);
    peer->in = in[1];
    peer->out = out[0];
    char *line;
    while (!(line = strchr(peer->text, '\n')))
        if (!peer_read(peer, 60000))
            return false;
    if (sscanf(peer->text, "port %d ca %199s", &peer->port, peer->ca) < 1)
        return false;
    peer->size -= (size_t)(line + 1 - peer->text);
    memmove(peer->text, line + 1, peer->size + 1);
    return true;
}

/* How often the peer said `text` so far. */
__attribute__((unused)) static unsigned peer_said(struct peer *peer, const char *text)
{
    unsigned n = 0;
    while (peer_read(peer, 0))
        ;
    for (const char *p = peer->text; (p = strstr(p, text)); p += strlen(text))
        n++;
    return n;
}

__attribute__((unused)) static void peer_stop(struct peer *peer)
{
    if (peer->pid <= 0)
        return;
    (void)close(peer->in);
    (void)close(peer->out);
    (void)waitpid(peer->pid, NULL, 0);
    peer->pid = 0;
}

#endif
