/* sub.c - a subscription's life: its streams, its symbols, its sleep. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sub.h"

#define CHECK_NS PGD__NS           /* between two looks at the daemon */
#define HASTE_NS INT64_C(1000000)  /* first sleep while a successor of a segment is awaited */
#define NAP_NS   INT64_C(10000000) /* kernels without futex_waitv, several streams */

int pgd_sub_new(struct pgd_sub **ret, struct pgd_client *client)
{
    struct pgd_sub *sub = calloc(1, sizeof *sub);
    if (!sub)
        return -ENOMEM;
    sub->client = client;
    sub->haste_ns = HASTE_NS;
    sub->board_generation = client->generation;
    sub->epoch = pgd_board_epoch(&client->board);
    *ret = sub;
    return 0;
}

void pgd_sub_free(struct pgd_sub *sub)
{
    if (!sub)
        return;
    for (int i = 0; i < sub->source_count; i++)
        pgd__source_stop(&sub->sources[i]);
    free(sub->names);
    free(sub);
}

int pgd_sub_stream(struct pgd_sub *sub, const char *stream, uint32_t history)
{
    int id = pgd_stream(sub->client, stream);
    if (id < 0)
        return id;
    for (int i = 0; i < sub->source_count; i++)
        if (sub->sources[i].stream == id)
            return -EEXIST;
    struct pgd__source *s = &sub->sources[sub->source_count];
    *s = (struct pgd__source){.stream = id, .history = history};
    bool tape = sub->client->streams[id].kind == PGD_KIND_TAPE;
    s->history_done = history == 0 || (tape && history != 1);
    int r = pgd__source_start(sub, s, tape && history > 1 ? PGD_FROM_OLDEST : PGD_FROM_NEXT);
    if (r < 0)
        return r;
    if (tape && history > 1 && history != PGD_ALL) {
        uint64_t head = shm_load64_acquire(&s->reader.tape->head);
        if (head > history && head - history > s->reader.next)
            s->reader.next = head - history;
    }
    sub->source_count++;
    return id;
}

int pgd_sub_symbol(struct pgd_sub *sub, const char *symbol)
{
    size_t n = strlen(symbol);
    if (n == 0 || n >= PGD_SYMBOL_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < sub->name_count; i++)
        if (strcmp(sub->names[i].name, symbol) == 0)
            return 0;
    if (sub->name_count == sub->name_room) {
        uint32_t room = sub->name_room ? sub->name_room * 2u : 16u;
        struct pgd__name *names = realloc(sub->names, room * sizeof *names);
        if (!names)
            return -ENOMEM;
        sub->names = names;
        sub->name_room = room;
    }
    struct pgd__name *name = &sub->names[sub->name_count++];
    memset(name, 0, sizeof *name);
    memcpy(name->name, symbol, n);
    name->index = -1;
    sub->directory_seen = 0;
    return 0;
}

void pgd_sub_all(struct pgd_sub *sub)
{
    sub->all = true;
}

void pgd_sub_recomputed(struct pgd_sub *sub, int on)
{
    sub->recomputed = on != 0;
}

uint64_t pgd_sub_lost(const struct pgd_sub *sub)
{
    uint64_t lost = sub->lost_rows;
    for (int i = 0; i < sub->source_count; i++)
        lost += pgd__records_lost(&sub->sources[i]) + sub->sources[i].lost_rows;
    return lost;
}

struct pgd_event *pgd__event(struct pgd_sub *sub, enum pgd_event_kind kind, int stream)
{
    struct pgd_event *e = &sub->event;
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->stream = stream;
    return e;
}

void pgd__resolve(struct pgd_sub *sub)
{
    if (sub->board_generation != sub->client->generation) {
        sub->board_generation = sub->client->generation;
        memset(sub->wanted, 0, sizeof sub->wanted);
        for (uint32_t i = 0; i < sub->name_count; i++)
            sub->names[i].index = -1;
    }
    sub->directory_seen = pgd_board_symbols(&sub->client->board);
    for (uint32_t i = 0; i < sub->name_count; i++) {
        struct pgd__name *name = &sub->names[i];
        if (name->index < 0)
            name->index = pgd_board_find(&sub->client->board, name->name);
        if (name->index >= 0 && name->index < (int32_t)PGD_SERIES_LIMIT)
            sub->wanted[name->index / 64] |= UINT64_C(1) << (name->index % 64);
    }
}

/* A symbol enters the directory before its first record is published, so a record of a symbol beyond what was
 * looked up is the moment to look again. */
bool pgd__wanted(struct pgd_sub *sub, uint32_t symbol)
{
    if (symbol >= PGD_SERIES_LIMIT)
        return false;
    if (sub->all)
        return true;
    if (symbol >= sub->directory_seen || sub->board_generation != sub->client->generation)
        pgd__resolve(sub);
    return sub->wanted[symbol / 64] >> (symbol % 64) & 1u;
}

struct words {
    struct pgd_wait_word list[PGD__STREAMS + 1];
    unsigned count;
};

/* Taken before the sources are looked at, so that whatever is published afterwards changes a word. */
static void take_words(const struct pgd_sub *sub, struct words *w)
{
    w->count = 0;
    for (int i = 0; i < sub->source_count; i++) {
        const uint32_t *word = &sub->sources[i].reader.tape->notify;
        w->list[w->count++] = (struct pgd_wait_word){word, shm_load32_acquire(word)};
    }
    const uint32_t *board = pgd__board_notify(sub->client);
    w->list[w->count++] = (struct pgd_wait_word){board, shm_load32_acquire(board)};
}

static int sleep_on(const struct words *w, int64_t ns)
{
    int r = pgd_wait_any(w->list, w->count, ns);
    if (r == -ENOSYS)
        r = pgd_wait(w->list[0].word, w->list[0].seen, w->count > 2 && ns > NAP_NS ? NAP_NS : ns);
    return r == -EINTR ? -EINTR : 0;
}

/* How long to sleep: until the next look at the daemon, or shortly, growing, while a segment is marked as
 * replaced and its successor is not there yet. */
static int64_t sleep_ns(struct pgd_sub *sub, int64_t now, int64_t deadline, bool replaced)
{
    int64_t until = sub->next_check_ns < deadline ? sub->next_check_ns : deadline;
    if (!replaced) {
        sub->haste_ns = HASTE_NS;
        return until - now;
    }
    int64_t haste = sub->haste_ns;
    if (sub->haste_ns < CHECK_NS)
        sub->haste_ns *= 2;
    return until - now < haste ? until - now : haste;
}

int pgd_sub_next(struct pgd_sub *sub, const struct pgd_event **ret, int64_t timeout_ns)
{
    int64_t start = timeout_ns > 0 ? pgd__now_ns() : 0;
    int64_t deadline = timeout_ns < 0 || timeout_ns > INT64_MAX - start ? INT64_MAX : start + timeout_ns;
    for (;;) {
        struct words words;
        take_words(sub, &words);
        int r = pgd__deliver(sub);
        bool drained = r == 0, replaced = r != 1 && pgd__replaced(sub->client);
        int64_t now = r == 1 ? 0 : pgd__now_ns();
        if (r == 2)
            r = 0;
        if (r == 0 && (replaced || now >= sub->next_check_ns)) {
            sub->next_check_ns = now + CHECK_NS;
            r = pgd__watch(sub);
            drained = drained && r == 0;
            if (r == 2)
                continue;
        }
        if (r == 1)
            *ret = &sub->event;
        if (r != 0)
            return r;
        if (drained && (timeout_ns == 0 || now >= deadline))
            return 0;
        if (drained && (r = sleep_on(&words, sleep_ns(sub, now, deadline, replaced))) < 0)
            return r;
        if (!drained && now >= deadline && timeout_ns > 0)
            return 0;
    }
}
