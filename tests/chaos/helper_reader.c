/* A reader that trusts nothing: follows the trades tape and re-reads every row of one series, and checks each
 * record against what the driver can only have sent.
 *
 * Usage: helper_reader INSTANCE [stop-after-ms]. Trades carry seq = id, price = seq / 4, size = seq mod 997,
 * t = 1700000000000 ms + seq. Bars of minute k carry one value x in o, h, l, c, v and vw, with x mod 1000000
 * = k + 1. Ends at SIGTERM with one line of JSON; exit 1 when anything was torn, foreign, out of order, or a
 * row was lost. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/board.h"
#include "shm/series.h"
#include "shm/tapes.h"

#define BAR0     INT64_C(1700000040000)
#define ROWS_MAX 4096u

static volatile sig_atomic_t stop;

static void on_term(int number)
{
    (void)number;
    stop = 1;
}

struct account {
    uint64_t trades, trades_lost, torn, disorder, rows, rows_lost, waiting, epochs, reattached;
};

struct reader {
    const char *instance;
    struct pgd_board_reader board;
    struct pgd_map map;
    struct pgd_tape_reader tape;
    struct pgd_bars_reader bars;
    uint64_t epoch;
    uint64_t last_seq;
    bool seen[ROWS_MAX]; /* by minute: it was read once, so it must be there in every later pass */
    bool now[ROWS_MAX];
    struct account account;
};

static bool attach(struct reader *r, enum pgd_from from)
{
    if (pgd_board_attach(&r->board, r->instance) < 0)
        return false;
    if (pgd_tapes_attach(&r->map, &r->tape, r->instance, PGD_TAPES_TRADES, from) < 0) {
        pgd_board_detach(&r->board);
        return false;
    }
    if (pgd_bars_attach(&r->bars, r->instance, "1m") < 0) {
        pgd_segment_close(&r->map);
        pgd_board_detach(&r->board);
        return false;
    }
    return true;
}

static void detach(struct reader *r)
{
    r->account.trades_lost += r->tape.lost;
    pgd_bars_detach(&r->bars);
    pgd_segment_close(&r->map);
    pgd_board_detach(&r->board);
}

static void check_trade(struct reader *r, const struct pgd_trade *t)
{
    r->account.trades++;
    bool whole = t->price * 4 == (double)t->seq && t->size == (double)(t->seq % 997) && t->id == t->seq &&
                 t->t == (INT64_C(1700000000000) + (int64_t)t->seq) * 1000000;
    if (!whole)
        r->account.torn++;
    if (t->seq <= r->last_seq)
        r->account.disorder++;
    r->last_seq = t->seq;
}

/* False when the row cannot be told at this moment. */
static bool check_row(struct reader *r, uint64_t index)
{
    struct pgd_bar b;
    double units[128];
    int result = pgd_bars_row(&r->bars, 0, index, &b, r->bars.geo.columns <= 128 ? units : NULL);
    if (result <= 0) { /* -EAGAIN: a daemon died in it, and the next one repairs it */
        r->account.waiting++;
        return false;
    }
    r->account.rows++;
    int64_t minute = (b.t - BAR0) / 60000;
    bool whole = b.o == b.h && b.o == b.l && b.o == b.c && b.o == b.v && b.o == b.vw &&
                 fmod(b.o, 1000000) == (double)(minute + 1);
    if (!whole || minute < 0 || minute >= ROWS_MAX)
        r->account.torn++;
    else
        r->now[minute] = true;
    return true;
}

/* Rows may move up while we read upward (a late bar is inserted): none can be missed that way, if the head is
 * looked at again each time, since the last row moves up too. */
static void look_at_rows(struct reader *r)
{
    bool complete = true;
    memset(r->now, 0, sizeof r->now);
    for (uint64_t i = 0; i < pgd_bars_rows(&r->bars, 0) && i < ROWS_MAX - 1; i++)
        complete &= check_row(r, i);
    for (uint64_t k = 0; k < ROWS_MAX && complete; k++) {
        r->account.rows_lost += r->seen[k] && !r->now[k];
        r->seen[k] |= r->now[k];
    }
}

static void look(struct reader *r)
{
    struct pgd_trade t;
    int result;
    while ((result = pgd_tape_get(&r->tape, &t)) != 0)
        if (result == 1)
            check_trade(r, &t);
    look_at_rows(r);
    uint64_t epoch = pgd_board_epoch(&r->board);
    r->account.epochs += epoch != r->epoch;
    r->epoch = epoch;
}

int main(int argc, char **argv)
{
    static struct reader r;
    if (argc != 2)
        return 2;
    r.instance = argv[1];
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    for (int i = 0; !attach(&r, PGD_FROM_OLDEST); i++) {
        if (i == 1000 || stop)
            return 3;
        usleep(10000);
    }
    puts("attached");
    fflush(stdout);
    while (!stop) {
        look(&r);
        if (pgd_board_stale(&r.board)) {
            detach(&r);
            while (!stop && !attach(&r, PGD_FROM_OLDEST))
                usleep(10000);
            r.account.reattached++;
        }
        if (pgd_tape_wait(&r.tape, 20000000) == -EINTR)
            continue;
    }
    look(&r);
    detach(&r);
    const struct account *a = &r.account;
    printf("{\"trades\":%" PRIu64 ",\"trades_lost\":%" PRIu64 ",\"torn\":%" PRIu64 ",\"disorder\":%" PRIu64
           ",\"rows\":%" PRIu64 ",\"rows_lost\":%" PRIu64 ",\"waiting\":%" PRIu64 ",\"epochs\":%" PRIu64
           ",\"reattached\":%" PRIu64 "}\n",
           a->trades, a->trades_lost, a->torn, a->disorder, a->rows, a->rows_lost, a->waiting, a->epochs,
           a->reattached);
    return a->torn || a->disorder || a->rows_lost ? 1 : 0;
}
