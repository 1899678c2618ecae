#include "fetch_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_WIDTH 12
#define RATE_NS   500000000.0 /* measured so often */
#define RATE_S    8.0         /* and forgotten after so long */

static void clear(struct fetch_show *show)
{
    if (show->line)
        fputs("\r\033[K", stderr);
    show->line = false;
}

void fetch_show_init(struct fetch_show *show, size_t symbols, bool quiet)
{
    uint64_t now = uv_hrtime();
    *show = (struct fetch_show){.symbols = symbols, .quiet = quiet, .began_ns = now, .rate_ns = now};
    show->terminal = !quiet && isatty(STDERR_FILENO);
}

static void count_text(char *to, size_t size, double x)
{
    if (x < 1e4)
        snprintf(to, size, "%.0f", x);
    else if (x < 1e6)
        snprintf(to, size, "%.1f k", x / 1e3);
    else
        snprintf(to, size, "%.2f M", x / 1e6);
}

static void duration_text(char *to, size_t size, double s)
{
    if (s < 60)
        snprintf(to, size, "%.0fs", s);
    else if (s < 3600)
        snprintf(to, size, "%.0fm%02.0fs", (double)(int)(s / 60), (double)((int)s % 60));
    else
        snprintf(to, size, "%.0fh%02.0fm", (double)(int)(s / 3600), (double)((int)(s / 60) % 60));
}

static void measure(struct fetch_show *show, double share, uint64_t now_ns)
{
    double past = (double)(now_ns - show->rate_ns);
    if (past < RATE_NS)
        return;
    double rate = (share - show->rate_share) / (past / 1e9);
    double weight = past / 1e9 / RATE_S;
    show->rate = show->rate > 0 ? show->rate + (weight < 1 ? weight : 1) * (rate - show->rate) : rate;
    show->rate_share = share;
    show->rate_ns = now_ns;
}

static void bar_text(char to[BAR_WIDTH + 1], double share)
{
    int full = (int)(share * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
        to[i] = i < full ? '#' : '.';
    to[BAR_WIDTH] = '\0';
}

void fetch_show_progress(struct fetch_show *show, uint64_t now_ns)
{
    char bar[BAR_WIDTH + 1], rows[24], speed[24], left[24] = "?", line[256];
    struct fetch_progress p = fetch_progress(show->fetch);
    struct winsize window = {0};
    double seconds = (double)(now_ns - show->began_ns) / 1e9;
    if (!show->terminal)
        return;
    measure(show, p.share, now_ns);
    bar_text(bar, p.share);
    count_text(rows, sizeof rows, (double)p.rows);
    count_text(speed, sizeof speed, seconds > 0 ? (double)p.rows / seconds : 0);
    if (show->rate > 0 &&
        p.share > 0) { /* what was in the cache went fast: the slower of all and of lately */
        double by_all = seconds * (1 - p.share) / p.share, by_rate = (1 - p.share) / show->rate;
        duration_text(left, sizeof left, by_all > by_rate ? by_all : by_rate);
    }
    const char *what = show->waits ? ", waiting (429): " : p.symbol ? ": " : "";
    int n = snprintf(line, sizeof line,
                     "[%s] %3.0f%% %zu/%zu symbols, %s rows, %s/s, %" PRIu64 " requests, ETA %s%s%.24s", bar,
                     p.share * 100, p.symbols_done, show->symbols, rows, speed, show->requests, left, what,
                     p.symbol ? p.symbol->name : "");
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col - 1 : 79;
    fprintf(stderr, "\r%.*s\033[K", n < columns ? n : columns, line);
    fflush(stderr);
    show->line = true;
}

void fetch_show_say(struct fetch_show *show, const char *what, const char *why)
{
    char plain[512];
    size_t n = 0;
    for (; why[n] && n + 1 < sizeof plain; n++)
        plain[n] = why[n] >= ' ' && why[n] != 0x7f ? why[n] : '?';
    plain[n] = '\0';
    clear(show);
    fprintf(stderr, "polygond: %s: %s\n", what, plain);
}

void fetch_show_end(struct fetch_show *show, uint64_t now_ns, const char *how)
{
    struct fetch_progress p = fetch_progress(show->fetch);
    double seconds = (double)(now_ns - show->began_ns) / 1e9;
    clear(show);
    if (show->quiet)
        return;
    fprintf(stderr,
            "polygond: fetch: %s%zu of %zu symbols, %" PRIu64 " rows, %" PRIu64
            " requests, %.1f s, %.0f rows/s\n",
            how, p.symbols_done, show->symbols, p.rows, show->requests, seconds,
            seconds > 0 ? (double)p.rows / seconds : 0);
}
