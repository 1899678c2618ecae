#include "page.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROW        64u
#define ROOM_FIRST 1024u
#define SPARE_ROOM 65536u /* the vendor's longest page, rounded up */
#define SPARES     8u

_Static_assert(sizeof(struct pgd_bar) == ROW && sizeof(struct pgd_trade) == ROW &&
                   sizeof(struct pgd_quote) == ROW,
               "rows of every kind share one array");

/* Rows of the last pages, for the next ones: fresh memory costs more than what is written to it. Any thread.
 */
static struct {
    pthread_mutex_t lock;
    unsigned count;
    struct {
        void *rows;
        size_t room;
    } spare[SPARES];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void pool_take(struct page *page)
{
    (void)pthread_mutex_lock(&pool.lock);
    if (pool.count) {
        page->rows = pool.spare[--pool.count].rows;
        page->room = pool.spare[pool.count].room;
    }
    (void)pthread_mutex_unlock(&pool.lock);
}

static void pool_give(void *rows, size_t room)
{
    (void)pthread_mutex_lock(&pool.lock);
    if (rows && room <= SPARE_ROOM && pool.count < SPARES) {
        pool.spare[pool.count].rows = rows;
        pool.spare[pool.count++].room = room;
        rows = NULL;
    }
    (void)pthread_mutex_unlock(&pool.lock);
    free(rows);
}

/* Rows have symbols of their own. */
static bool page_named(enum rest_kind kind)
{
    return kind == REST_GROUPED || kind == REST_SNAPSHOT;
}

struct page *page_new(enum rest_kind kind)
{
    struct page *page = calloc(1, sizeof(*page));
    if (!page)
        return NULL;
    page->kind = kind;
    page->least = INT64_MAX;
    page->most = INT64_MIN;
    if (kind != REST_NOTHING && !page_named(kind)) /* their symbols grow along */
        pool_take(page);
    return page;
}

void page_free(struct page *page)
{
    if (!page)
        return;
    pool_give(page->rows, page->symbols ? SPARE_ROOM + 1 : page->room);
    free(page->symbols);
    free(page);
}

static bool page_grow(struct page *page)
{
    size_t room = page->room ? page->room * 2 : ROOM_FIRST;
    void *rows = realloc(page->rows, room * ROW);
    if (!rows)
        return false;
    page->rows = rows;
    if (page_named(page->kind)) {
        void *symbols = realloc(page->symbols, room * sizeof(*page->symbols));
        if (!symbols)
            return false;
        page->symbols = symbols;
    }
    page->room = room;
    return true;
}

bool page_room(struct page *page)
{
    if (__builtin_expect(page->count < page->room, 1) || page_grow(page))
        return true;
    page->no_memory = true;
    return false;
}

void page_refuse(struct page *page, const char *reason, struct event_text raw)
{
    unsigned i = 0;
    while (i < page->bad_count && page->bad[i].reason != reason && i < PAGE_REASONS - 1)
        i++;
    struct page_bad *bad = &page->bad[i];
    if (i == page->bad_count) {
        page->bad_count++;
        bad->reason = reason;
        bad->raw_size = raw.n < PAGE_RAW ? raw.n : PAGE_RAW;
        if (bad->raw_size)
            memcpy(bad->raw, raw.p, bad->raw_size);
    }
    bad->count++;
}

static void page_time(struct page *page, int64_t t)
{
    page->least = t < page->least ? t : page->least;
    page->most = t > page->most ? t : page->most;
}

static struct pgd_bar *on_room(void *user, size_t *ret_room)
{
    struct page *page = user;
    if (!page_room(page))
        return NULL;
    *ret_room = page->room - page->count;
    return page->bars + page->count;
}

static void on_filled(void *user, size_t count)
{
    struct page *page = user;
    for (size_t end = page->count + count; page->count < end; page->count++)
        page_time(page, page->bars[page->count].t);
}

static void on_event(void *user, const struct event *event)
{
    static const enum event_class wanted[] = {[REST_BARS] = EVENT_CLASS_BAR,
                                              [REST_TRADES] = EVENT_CLASS_TRADE,
                                              [REST_QUOTES] = EVENT_CLASS_QUOTE,
                                              [REST_GROUPED] = EVENT_CLASS_BAR,
                                              [REST_SNAPSHOT] = EVENT_CLASS_BAR};
    struct page *page = user;
    if (page->kind == REST_NOTHING)
        return;
    bool named = !page_named(page->kind) || (event->symbol.n && event->symbol.n < PGD_SYMBOL_MAX);
    bool kind =
        event->class == wanted[page->kind] && page->envelope.snapshots == (page->kind == REST_SNAPSHOT);
    if (!kind || !named) {
        page_refuse(page, kind ? "a row without its ticker" : "a row of another kind than was asked for",
                    event->symbol);
        return;
    }
    if (!page_room(page))
        return;
    if (event->class == EVENT_CLASS_TRADE) {
        page->trades[page->count] = event->trade;
        page_time(page, event->trade.t);
    } else if (event->class == EVENT_CLASS_QUOTE) {
        page->quotes[page->count] = event->quote;
        page_time(page, event->quote.t);
    } else {
        page->bars[page->count] = event->bar.bar;
        page_time(page, event->bar.bar.t);
    }
    if (page->symbols) {
        memcpy(page->symbols[page->count], event->symbol.p, event->symbol.n);
        page->symbols[page->count][event->symbol.n] = '\0';
    }
    page->count++;
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *event,
                     struct event_text raw)
{
    (void)fault;
    (void)event;
    struct page *page = user;
    if (page->kind != REST_NOTHING)
        page_refuse(page, reason, raw);
}

struct parse_sink page_sink(struct page *page)
{
    struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = page};
    if (page->kind == REST_BARS) {
        sink.room = on_room;
        sink.filled = on_filled;
    }
    return sink;
}

struct rest_rows page_rows(const struct page *page, size_t first, size_t count)
{
    struct rest_rows rows = {.kind = page->kind, .count = count};
    rows.bars = page->bars + first;
    if (page->symbols)
        rows.symbols = (const char(*)[PGD_SYMBOL_MAX])page->symbols + first;
    return rows;
}
