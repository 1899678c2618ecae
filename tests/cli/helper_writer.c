/* A writer that obeys lines on stdin and answers each with "ok" or "error ...": what the scripts in
 * tests/cli drive polyctl and the Python client with.
 *
 *   helper_writer INSTANCE [CONTROL-PATH]
 *
 * Numbers of a bar: T O H L C V VW N SMA RSI VWAP. "nan" is absent. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

static struct writer writer;
static struct writer_size size = {.symbols = 64, .rows = 64, .log = 256, .tape = 1024};
static const char *instance;
static pthread_mutex_t beat_lock = PTHREAD_MUTEX_INITIALIZER;
static bool beating;

/* A daemon's heart beats every second, whatever else it does. */
static void *beat(void *user)
{
    (void)user;
    for (;;) {
        pthread_mutex_lock(&beat_lock);
        if (beating)
            pgd_board_beat(&writer.board);
        pthread_mutex_unlock(&beat_lock);
        usleep(200000);
    }
    return NULL;
}

static void set_beating(bool on)
{
    pthread_mutex_lock(&beat_lock);
    beating = on;
    pthread_mutex_unlock(&beat_lock);
}

static int32_t symbol_of(const char *name)
{
    return pgd_board_add_symbol(&writer.board, name, strlen(name), PGD_STOCKS);
}

static struct pgd_bars *bars_of(const char *span)
{
    return strcmp(span, "1s") == 0 ? &writer.seconds : &writer.minutes;
}

struct parsed {
    struct pgd_bars *bars;
    uint32_t symbol;
    uint64_t index;
    struct pgd_bar bar;
    double columns[WRITER_COLUMNS];
};

/* "SPAN SYMBOL INDEX T O H L C V VW N SMA RSI VWAP"; the index is ignored by append. */
static int parse_bar(struct parsed *p, const char *text)
{
    char span[8], symbol[PGD_SYMBOL_MAX];
    double n;
    struct pgd_bar *b = &p->bar;
    memset(p, 0, sizeof *p);
    int k = sscanf(text, "%7s %47s %" SCNu64 " %" SCNd64 " %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf", span,
                   symbol, &p->index, &b->t, &b->o, &b->h, &b->l, &b->c, &b->v, &b->vw, &n, &p->columns[0],
                   &p->columns[1], &p->columns[2]);
    if (k < 11)
        return -1;
    b->n = isnan(n) ? PGD_N_ABSENT : (uint32_t)n;
    p->bars = bars_of(span);
    int32_t i = symbol_of(symbol);
    p->symbol = (uint32_t)i;
    return i < 0 ? i : 0;
}

static int do_bar(const char *verb, const char *text)
{
    struct parsed p;
    if (parse_bar(&p, text) < 0)
        return -1;
    if (strcmp(verb, "append") == 0)
        writer_append(p.bars, p.symbol, &p.bar, p.columns);
    else if (strcmp(verb, "bare") == 0) /* without indicators or report */
        pgd_bars_append(p.bars, p.symbol, &p.bar);
    else if (strcmp(verb, "forming") == 0)
        pgd_bars_forming(p.bars, p.symbol, &p.bar);
    else
        return writer_revise(p.bars, p.symbol, p.index, &p.bar, p.columns);
    return 0;
}

/* "SPAN SYMBOL T OP AV A" */
static int do_day(const char *text)
{
    char span[8], symbol[PGD_SYMBOL_MAX];
    struct pgd_day day = {0};
    if (sscanf(text, "%7s %47s %" SCNd64 " %lf %lf %lf", span, symbol, &day.t, &day.op, &day.av, &day.a) != 6)
        return -1;
    pgd_bars_day(bars_of(span), (uint32_t)symbol_of(symbol), &day);
    return 0;
}

/* "SYMBOL T PRICE SIZE SEQ ID EXCHANGE COND..." */
static int do_trade(const char *text)
{
    char symbol[PGD_SYMBOL_MAX];
    struct pgd_trade t = {0};
    unsigned exchange, cond[2] = {0, 0};
    int k = sscanf(text, "%47s %" SCNd64 " %lf %lf %" SCNu64 " %" SCNu64 " %u %u %u", symbol, &t.t, &t.price,
                   &t.size, &t.seq, &t.id, &exchange, &cond[0], &cond[1]);
    if (k < 7)
        return -1;
    t.symbol = (uint32_t)symbol_of(symbol);
    t.exchange = (uint16_t)exchange;
    for (int i = 0; i < k - 7; i++)
        t.cond[i] = (uint16_t)(cond[i] + 1);
    writer_trade(&writer, &t);
    pgd_tape_publish(&writer.trades.writer);
    return 0;
}

/* "SYMBOL T BID ASK BIDSIZE ASKSIZE SEQ" */
static int do_quote(const char *text)
{
    char symbol[PGD_SYMBOL_MAX];
    struct pgd_quote q = {.bid_exchange = 11, .ask_exchange = 12, .cond = 2};
    if (sscanf(text, "%47s %" SCNd64 " %lf %lf %lf %lf %" SCNu32, symbol, &q.t, &q.bid, &q.ask, &q.bid_size,
               &q.ask_size, &q.seq) != 7)
        return -1;
    q.symbol = (uint32_t)symbol_of(symbol);
    writer_quote(&writer, &q);
    pgd_tape_publish(&writer.quotes.writer);
    return 0;
}

/* "SYMBOL FIRST COUNT": trades whose seq counts from FIRST, one publish. */
static int do_flood(const char *text)
{
    char symbol[PGD_SYMBOL_MAX];
    uint64_t first, count;
    if (sscanf(text, "%47s %" SCNu64 " %" SCNu64, symbol, &first, &count) != 3)
        return -1;
    struct pgd_trade t = {.symbol = (uint32_t)symbol_of(symbol), .price = 1, .size = 1, .exchange = 4};
    for (uint64_t i = 0; i < count; i++) {
        t.seq = first + i;
        t.t = INT64_C(1700000000000000000) + (int64_t)i;
        writer_trade(&writer, &t);
    }
    pgd_tape_publish(&writer.trades.writer);
    return 0;
}

static int do_symbol(const char *text)
{
    char name[PGD_SYMBOL_MAX];
    unsigned state = PGD_SYM_LIVE, wanted = 15, acked = 15;
    if (sscanf(text, "%47s %u %u %u", name, &state, &wanted, &acked) < 1)
        return -1;
    int32_t i = writer_symbol(&writer, name);
    if (i < 0)
        return i;
    writer.board.symbols[i].state = (uint8_t)state;
    writer.board.symbols[i].wanted = wanted;
    writer.board.symbols[i].acked = acked;
    return 0;
}

static int do_conn(const char *text)
{
    struct pgd_conn c = {.cluster = PGD_STOCKS, .connects = 3, .drops = 2, .url = "wss://host/stocks"};
    if (sscanf(text, "%" SCNu32 " %" SCNu32 " %95[^\n]", &c.state, &c.unacked, c.reason) < 2)
        return -1;
    c.since_ns = INT64_C(1700000000000000000);
    pgd_board_set_conn(&writer.board, &c);
    return 0;
}

/* gap ROW ID SYMBOL TOPIC FROM_MS TO_MS WHY STATE REASON TRIES FILLED; TO_MS 0: it grows */
static int do_gap(const char *rest)
{
    struct pgd_gap g = {.opened_ns = INT64_C(1700000000000000000),
                        .changed_ns = INT64_C(1700000001000000000)};
    unsigned row, why, state, reason;
    long long from, to;
    unsigned long long id, filled;
    if (sscanf(rest, "%u %llu %u %u %lld %lld %u %u %u %u %llu", &row, &id, &g.symbol, &g.topic, &from, &to,
               &why, &state, &reason, &g.tries, &filled) != 11)
        return -EINVAL;
    g.id = id;
    g.from_ns = from * 1000000;
    g.to_ns = to ? to * 1000000 : INT64_MAX;
    g.why = (uint8_t)why;
    g.state = (uint8_t)state;
    g.reason = (uint8_t)reason;
    g.received = g.filled = filled;
    pgd_board_set_gap(&writer.board, row, &g);
    return 0;
}

static int reopen(bool larger)
{
    set_beating(false);
    writer_drop(&writer);
    if (larger)
        size.rows += 64;
    int r = writer_open(&writer, instance, &size);
    set_beating(r == 0);
    return r;
}

static int wedge(void)
{
    set_beating(false);
    shm_store64(&writer.board.board->heartbeat_ns, 1);
    return 0;
}

static int drop(void)
{
    set_beating(false);
    writer_drop(&writer);
    return 0;
}

static int open_again(void)
{
    int r = writer_open(&writer, instance, &size);
    set_beating(r == 0);
    return r;
}

static int obey(char *line)
{
    char verb[16] = "";
    int used = 0;
    sscanf(line, "%15s %n", verb, &used);
    const char *rest = line + used;
    if (strcmp(verb, "symbol") == 0)
        return do_symbol(rest);
    if (strcmp(verb, "day") == 0)
        return do_day(rest);
    if (strcmp(verb, "trade") == 0)
        return do_trade(rest);
    if (strcmp(verb, "quote") == 0)
        return do_quote(rest);
    if (strcmp(verb, "flood") == 0)
        return do_flood(rest);
    if (strcmp(verb, "conn") == 0)
        return do_conn(rest);
    if (strcmp(verb, "gap") == 0)
        return do_gap(rest);
    if (strcmp(verb, "notify") == 0)
        pgd_board_notify(&writer.board);
    else if (strcmp(verb, "error") == 0)
        pgd_board_error(&writer.board, "stream", rest);
    else if (strcmp(verb, "count") == 0)
        pgd_count(&writer.board, PGD_C_events_received, strtoull(rest, NULL, 10));
    else if (strcmp(verb, "beat") == 0)
        set_beating(true);
    else if (strcmp(verb, "wedge") == 0)
        return wedge();
    else if (strcmp(verb, "restart") == 0 || strcmp(verb, "succeed") == 0)
        return reopen(verb[0] == 's');
    else if (strcmp(verb, "drop") == 0)
        return drop();
    else if (strcmp(verb, "open") == 0)
        return open_again();
    else
        return do_bar(verb, rest);
    return 0;
}

int main(int argc, char **argv)
{
    char line[1024];
    if (argc < 2)
        return 2;
    instance = argv[1];
    size.control = argc > 2 ? argv[2] : NULL;
    int r = open_again();
    pthread_t thread;
    if (r == 0)
        r = -pthread_create(&thread, NULL, beat, NULL);
    printf(r == 0 ? "ok\n" : "error %d\n", r);
    fflush(stdout);
    while (r == 0 && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        int k = obey(line);
        if (k < 0)
            printf("error %d\n", k);
        else
            puts("ok");
        fflush(stdout);
    }
    writer_remove(instance);
    _exit(0);
}
