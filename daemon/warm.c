#include "warm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct question {
    struct warm_question want;
    char symbol[PGD_SYMBOL_MAX];
    struct warm_hooks hooks;
    struct cache_rows rows;
    struct question *next;
};

#define SPARE_MAX (WARM_BATCHES * WARM_BATCH_MAX)

struct batch {
    uv_work_t work;
    struct warm *warm;
    struct question *questions; /* NULL: not under way */
    bool busy;
};

struct keep {
    uv_work_t work;
    struct warm *warm;
    struct cache_key key;
    char symbol[PGD_SYMBOL_MAX];
    struct cache_fetched fetched;
    void (*done)(void *user, int result);
    void *user;
    int result;
    struct keep *next;
    struct pgd_bar rows[];
};

struct warm {
    uv_loop_t *loop;
    struct cache *cache;
    void (*batch)(void *user);
    void *user;
    struct batch batches[WARM_BATCHES];
    struct question *first, **last;
    struct keep *keep_first, **keep_last;
    size_t keep_bytes;
    bool keeping;
    bool closed;
    uint64_t skipped;
    uv_work_t trim;
    struct cache_rows spare[SPARE_MAX]; /* their memory, for the next */
    unsigned spare_count;
};

static void trim(uv_work_t *work)
{
    struct warm *w = work->data;
    cache_trim(w->cache);
}

int warm_new(struct warm **ret, uv_loop_t *loop, struct cache *cache, void (*batch)(void *user), void *user)
{
    struct warm *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->loop = loop;
    w->cache = cache;
    w->batch = batch;
    w->user = user;
    w->last = &w->first;
    w->keep_last = &w->keep_first;
    for (unsigned i = 0; i < WARM_BATCHES; i++) {
        w->batches[i].warm = w;
        w->batches[i].work.data = &w->batches[i];
    }
    w->trim.data = w;
    int r = uv_queue_work(loop, &w->trim, trim, NULL);
    if (r < 0) {
        free(w);
        return r;
    }
    *ret = w;
    return 0;
}

uint64_t warm_skipped(const struct warm *w)
{
    return w->skipped;
}

/* ------------------------------------------------------------------------------------------------ questions
 */

static void load_batch(uv_work_t *work)
{
    struct batch *b = work->data;
    for (struct question *q = b->questions; q; q = q->next) {
        if (cache_load(b->warm->cache, &q->want.key, &q->want.window, &q->rows) < 0) {
            q->rows.count = 0;
            q->rows.ask_ms = q->want.window.from_ms;
        }
        if (q->rows.count && q->hooks.ready)
            q->hooks.ready(q->hooks.user, q->rows.count);
    }
}

static void answer(struct warm *w, struct question *q, int error)
{
    struct warm_answer a = {q->rows.bars, q->rows.count, q->rows.ask_ms, error};
    if (error)
        a = (struct warm_answer){.ask_ms = q->want.window.from_ms, .error = error};
    q->hooks.done(q->hooks.user, &a);
    if (q->rows.memory && q->want.window.limit <= WARM_BATCH_ROWS && w->spare_count < SPARE_MAX)
        w->spare[w->spare_count++] = q->rows;
    else
        cache_rows_fini(&q->rows);
    free(q);
}

static void start(struct warm *w);

static void batch_done(uv_work_t *work, int status)
{
    struct batch *b = work->data;
    struct warm *w = b->warm;
    struct question *q = b->questions;
    b->questions = NULL;
    b->busy = false;
    start(w); /* the threads go on while the rows are taken */
    while (q) {
        struct question *next = q->next;
        answer(w, q, w->closed || status == UV_ECANCELED ? -ECANCELED : 0);
        q = next;
    }
    w->batch(w->user);
}

/* The next questions, as many as fit, at least one. */
static struct question *take(struct warm *w)
{
    struct question *first = w->first, **end = &w->first;
    size_t rows = 0, count = 0;
    while (*end && count < WARM_BATCH_MAX &&
           (count == 0 || rows + (*end)->want.window.limit <= WARM_BATCH_ROWS)) {
        count++;
        rows += (*end)->want.window.limit;
        end = &(*end)->next;
    }
    struct question *rest = *end;
    *end = NULL;
    w->first = rest;
    if (!rest)
        w->last = &w->first;
    return first;
}

static void start(struct warm *w)
{
    for (unsigned i = 0; i < WARM_BATCHES && w->first; i++) {
        struct batch *b = &w->batches[i];
        if (b->busy)
            continue;
        b->questions = take(w);
        for (struct question *q = b->questions; q && w->spare_count; q = q->next)
            q->rows = w->spare[--w->spare_count];
        b->busy = true;
        if (uv_queue_work(w->loop, &b->work, load_batch, batch_done) < 0)
            abort(); /* it fails for a NULL function alone */
    }
}

int warm_ask(struct warm *w, const struct warm_question *question, const struct warm_hooks *hooks)
{
    if (w->closed)
        return -ECANCELED;
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    *q = (struct question){.want = *question, .hooks = *hooks};
    strncpy(q->symbol, question->key.symbol, sizeof q->symbol - 1);
    q->want.key.symbol = q->symbol;
    if (question->urgent) {
        q->next = w->first;
        w->first = q;
        if (w->last == &w->first)
            w->last = &q->next;
    } else {
        *w->last = q;
        w->last = &q->next;
    }
    start(w);
    return 0;
}

/* -------------------------------------------------------------------------------------------------- keeping
 */

static void keep_next(struct warm *w);

static void keep_work(uv_work_t *work)
{
    struct keep *k = work->data;
    k->result = cache_store(k->warm->cache, &k->key, &k->fetched);
}

static void keep_done(uv_work_t *work, int status)
{
    struct keep *k = work->data;
    struct warm *w = k->warm;
    int result = status < 0 ? status : k->result;
    w->keeping = false;
    w->keep_bytes -= sizeof *k + k->fetched.count * sizeof *k->rows;
    if (result < 0 && result != -ESTALE)
        w->skipped++;
    keep_next(w);
    k->done(k->user, w->closed ? -ECANCELED : result);
    free(k);
}

/* One at a time: the threads are there for questions first. */
static void keep_next(struct warm *w)
{
    struct keep *k = w->keep_first;
    if (w->keeping || !k)
        return;
    w->keep_first = k->next;
    if (!k->next)
        w->keep_last = &w->keep_first;
    w->keeping = true;
    k->work.data = k;
    if (uv_queue_work(w->loop, &k->work, keep_work, keep_done) < 0)
        abort();
}

bool warm_keep(struct warm *w, const struct cache_key *key, const struct cache_fetched *fetched,
               void (*done)(void *user, int result), void *user)
{
    size_t bytes = fetched->count * sizeof *fetched->bars;
    struct keep *k = NULL;
    if (!w->closed && w->keep_bytes + bytes <= WARM_KEEP_BYTES)
        k = calloc(1, sizeof *k + bytes);
    if (!k) {
        w->skipped++;
        return false;
    }
    k->warm = w;
    k->key = *key;
    k->fetched = *fetched;
    k->done = done;
    k->user = user;
    strncpy(k->symbol, key->symbol, sizeof k->symbol - 1);
    k->key.symbol = k->symbol;
    if (bytes)
        memcpy(k->rows, fetched->bars, bytes);
    k->fetched.bars = k->rows;
    w->keep_bytes += sizeof *k + bytes;
    *w->keep_last = k;
    w->keep_last = &k->next;
    keep_next(w);
    return true;
}

/* ------------------------------------------------------------------------------------------------------ end
 */

void warm_close(struct warm *w)
{
    if (!w || w->closed)
        return;
    w->closed = true;
    while (w->first) {
        struct question *q = w->first;
        w->first = q->next;
        answer(w, q, -ECANCELED);
    }
    w->last = &w->first;
}

void warm_free(struct warm *w)
{
    for (unsigned i = 0; w && i < w->spare_count; i++)
        cache_rows_fini(&w->spare[i]);
    free(w);
}
