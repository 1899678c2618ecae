#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "shm/wake.h"

/* One series' changes between two kicks, main thread only. */
struct pending {
    uint64_t first;
    uint64_t end;
    uint32_t flags;
    bool listed;
    bool patient; /* history alone */
};

struct item {
    uint32_t series;
    uint32_t segment;
    uint32_t flags;
    bool patient;
    uint64_t first;
    uint64_t end;
    uint64_t head;
};

/* Items of one series that wait, as one. */
struct held {
    struct item item;
    uint64_t items;
};

#define TAKE_MAX  1024u
#define HELD_MAX  256u             /* series of a segment that wait for others, ... */
#define HELD_ROWS UINT64_C(16384)  /* ... their rows, all together, ... */
#define HELD_NS   INT64_C(2000000) /* ... and how long */

/* Is the worker asleep? Until there is something to do, or only until what it holds is due. */
enum { AWAKE, DOZES, SLEEPS };

struct worker {
    struct bus *bus;
    struct pgk_engine *engine;
    int handle[BUS_BARS_MAX];
    uint32_t series;
    struct worker_hooks hooks;
    pthread_t thread;
    bool running;

    /* main thread */
    struct pending *pending[BUS_BARS_MAX];
    uint32_t *listed[BUS_BARS_MAX];
    uint32_t listed_count[BUS_BARS_MAX];
    uint64_t pushed;
    uint64_t seen_finished;
    uint64_t patient_rows; /* since the worker was woken last */
    int64_t progress_ns;

    /* The queue: one producer (main), one consumer (worker). `tail` is main's, `done` the worker's. An item
     * is read after an acquire of tail, which pairs with main's release; a slot is used again after an
     * acquire of done. */
    struct item *items;
    uint64_t mask;
    uint64_t tail;
    uint64_t done;     /* items taken out of the queue */
    uint64_t finished; /* of these, items that were computed */
    uint32_t kick;     /* futex word: +1 after tail moved */
    uint32_t sleep;
    uint32_t stop;
    uint32_t starved; /* main sets it when the queue was full; the worker takes it down */

    /* worker thread */
    uint64_t *known[BUS_BARS_MAX]; /* rows already reported as appended */
    struct held held[BUS_BARS_MAX][HELD_MAX];
    uint32_t *held_at[BUS_BARS_MAX]; /* by series, + 1; 0: not held */
    uint32_t held_count[BUS_BARS_MAX];
    uint64_t held_items; /* of the queue */
    uint64_t held_rows;
    int64_t held_since_ns;
    struct pgk_change changes[TAKE_MAX + HELD_MAX];
    const struct item *from[TAKE_MAX + HELD_MAX];
    int64_t failed_ns;
    uint64_t count_rows, count_again, count_changes, count_batches;
};

int worker_new(struct worker **ret, struct bus *bus, struct pgk_engine *engine,
               const struct worker_hooks *hooks)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->bus = bus;
    w->engine = engine;
    w->hooks = *hooks;
    w->series = bus->bars_count ? bus->bars[0].geo->series_max : 0;
    uint64_t slots = TAKE_MAX;
    while (slots < 2ull * w->series * bus->bars_count)
        slots *= 2;
    w->mask = slots - 1;
    w->items = calloc(slots, sizeof *w->items);
    int r = w->items ? 0 : -ENOMEM;
    for (unsigned i = 0; i < bus->bars_count && r == 0; i++) {
        w->pending[i] = calloc(w->series, sizeof *w->pending[i]);
        w->listed[i] = calloc(w->series, sizeof *w->listed[i]);
        w->known[i] = calloc(w->series, sizeof *w->known[i]);
        w->held_at[i] = calloc(w->series, sizeof *w->held_at[i]);
        if (!w->pending[i] || !w->listed[i] || !w->known[i] || !w->held_at[i])
            r = -ENOMEM;
        else if ((w->handle[i] = pgk_engine_bind(engine, bus->bars[i].map.base, bus->bars[i].geo)) < 0)
            r = w->handle[i];
    }
    if (r < 0) {
        worker_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

void worker_note(struct worker *w, unsigned segment, uint32_t series, uint64_t first, uint64_t end,
                 uint32_t flags)
{
    struct pending *p = &w->pending[segment][series];
    bool patient = flags & PGD_CHANGE_HISTORY;
    if (!p->listed) {
        p->listed = true;
        p->patient = patient;
        p->first = first;
        p->end = end;
        p->flags = flags;
        w->listed[segment][w->listed_count[segment]++] = series;
        return;
    }
    if (first < p->first)
        p->first = first;
    if (end > p->end)
        p->end = end;
    p->flags |= flags;
    p->patient &= patient;
}

static bool push(struct worker *w, unsigned segment, uint32_t series, bool *urgent)
{
    if (w->pushed - __atomic_load_n(&w->done, __ATOMIC_ACQUIRE) > w->mask)
        return false;
    struct pending *p = &w->pending[segment][series];
    w->items[w->pushed & w->mask] = (struct item){
        .series = series,
        .segment = segment,
        .flags = p->flags,
        .patient = p->patient,
        .first = p->first,
        .end = p->end,
        .head = pgd_bars_head(&w->bus->bars[segment], series),
    };
    w->pushed++;
    w->patient_rows += p->end - p->first;
    *urgent |= !p->patient;
    p->listed = false;
    return true;
}

static uint32_t push_all(struct worker *w, bool *urgent)
{
    uint32_t left = 0;
    for (unsigned s = 0; s < w->bus->bars_count; s++) {
        uint32_t n = 0;
        while (n < w->listed_count[s] && push(w, s, w->listed[s][n], urgent))
            n++;
        w->listed_count[s] -= n;
        memmove(w->listed[s], w->listed[s] + n, w->listed_count[s] * sizeof *w->listed[s]);
        left += w->listed_count[s];
    }
    return left;
}

/* Worker and main agree on who sees whom by four sequentially consistent accesses: main moves `kick`, then
 * looks at `sleep`; the worker sets `sleep`, then looks at `kick` once more. A worker that dozes wakes by
 * itself before long, and is left alone until so much history has come that it is worth its while. */
static void wake(struct worker *w, bool urgent)
{
    __atomic_fetch_add(&w->kick, 1, __ATOMIC_SEQ_CST);
    uint32_t sleep = __atomic_load_n(&w->sleep, __ATOMIC_SEQ_CST);
    if (sleep == AWAKE || (sleep == DOZES && !urgent && w->patient_rows < HELD_ROWS))
        return;
    w->patient_rows = 0;
    pgd_wake_all(&w->kick);
}

/* When not all fits: `starved` goes up, then `done` is looked at again. The worker moves `done`, then takes
 * `starved` down. All four are sequentially consistent, so either we see the room or the worker sees the flag
 * and calls `drained`. */
void worker_kick(struct worker *w)
{
    uint64_t before = w->pushed;
    bool urgent = false;
    while (push_all(w, &urgent)) {
        urgent = true;
        __atomic_store_n(&w->starved, 1, __ATOMIC_SEQ_CST);
        if (w->pushed - __atomic_load_n(&w->done, __ATOMIC_SEQ_CST) > w->mask)
            break;
    }
    if (w->pushed == before)
        return;
    if (before == __atomic_load_n(&w->finished, __ATOMIC_RELAXED))
        w->progress_ns = clock_mono_ns();
    __atomic_store_n(&w->tail, w->pushed, __ATOMIC_RELEASE);
    wake(w, urgent);
}

bool worker_idle(const struct worker *w)
{
    for (unsigned s = 0; s < w->bus->bars_count; s++)
        if (w->listed_count[s])
            return false;
    return __atomic_load_n(&w->finished, __ATOMIC_ACQUIRE) == w->pushed;
}

bool worker_stalled(struct worker *w, int64_t ns)
{
    uint64_t finished = __atomic_load_n(&w->finished, __ATOMIC_RELAXED);
    if (finished != w->seen_finished || finished == w->pushed) {
        w->seen_finished = finished;
        w->progress_ns = clock_mono_ns();
    }
    return clock_mono_ns() - w->progress_ns > ns;
}

/* ------------------------------------------------------------------------------------------ worker thread */

static void log_change(struct worker *w, unsigned segment, const struct pgd_change *change)
{
    struct pgd_change c = *change;
    c.t_ns = clock_mono_ns();
    pgd_tape_put(&w->bus->bars[segment].log, &c);
}

/* A batch may hold both: rows replaced below what was known, and rows appended above it. */
static void log_item(struct worker *w, const struct item *item, const struct pgk_change *done)
{
    uint64_t *known = &w->known[item->segment][item->series];
    uint32_t history = item->flags & PGD_CHANGE_HISTORY;
    if (item->first < *known) {
        uint64_t bars_end = item->end < *known ? item->end : *known;
        uint64_t rows_end = done->done_end > bars_end ? done->done_end : bars_end;
        if (rows_end > *known)
            rows_end = *known;
        log_change(w, item->segment,
                   &(struct pgd_change){.symbol = item->series,
                                        .flags = PGD_CHANGE_REVISE | history,
                                        .first = item->first,
                                        .bars = bars_end - item->first,
                                        .rows = rows_end - item->first});
        w->count_again += rows_end - item->first;
    }
    if (item->head > *known) {
        log_change(w, item->segment,
                   &(struct pgd_change){.symbol = item->series,
                                        .flags = PGD_CHANGE_APPEND | history,
                                        .first = *known,
                                        .bars = item->head - *known,
                                        .rows = item->head - *known});
        *known = item->head;
    }
    w->count_rows += done->done_end - done->done_first;
}

/* Says what has become of the engine, if it is another. */
static void tell(struct worker *w)
{
    const char *notice = pgk_engine_notice(w->engine);
    if (notice && w->hooks.changed)
        w->hooks.changed(w->hooks.user, notice);
}

/* `finished`: items of the queue that the changes stand for. */
static void compute(struct worker *w, unsigned segment, uint32_t count, uint64_t finished)
{
    if (count == 0)
        return;
    int r = pgk_engine_compute(w->engine, w->handle[segment], w->changes, count);
    if (r < 0) {
        for (uint32_t i = 0; i < count; i++)
            w->changes[i].done_first = w->changes[i].done_end = w->changes[i].from;
        int64_t now = clock_mono_ns();
        if (now - w->failed_ns > INT64_C(1000000000)) {
            w->failed_ns = now;
            w->hooks.failed(w->hooks.user, r);
        }
    }
    tell(w);
    for (uint32_t i = 0; i < count; i++)
        log_item(w, w->from[i], &w->changes[i]);
    pgd_tape_publish(&w->bus->bars[segment].log);
    struct pgd_board_writer *b = &w->bus->board;
    w->count_changes += finished;
    w->count_batches++;
    pgd_count_set(b, PGD_C_engine_changes, w->count_changes);
    pgd_count_set(b, PGD_C_engine_rows, w->count_rows);
    pgd_count_set(b, PGD_C_engine_recomputed, w->count_again);
    pgd_count_set(b, PGD_C_engine_batches, w->count_batches);
    __atomic_store_n(&w->finished, w->finished + finished, __ATOMIC_RELEASE);
}

static void add(struct worker *w, const struct item *item, uint32_t *count)
{
    w->from[*count] = item;
    w->changes[(*count)++] =
        (struct pgk_change){.series = item->series, .from = item->first, .end = item->head};
}

/* Keeps an item for later; false: it cannot wait. */
static bool hold(struct worker *w, const struct item *item)
{
    uint32_t s = item->segment, *at = &w->held_at[s][item->series];
    if (!item->patient || (*at == 0 && w->held_count[s] == HELD_MAX))
        return false;
    if (w->held_items++ == 0)
        w->held_since_ns = clock_mono_ns();
    if (*at == 0) {
        *at = ++w->held_count[s];
        w->held[s][*at - 1] = (struct held){*item, 1};
        w->held_rows += item->end - item->first;
        return true;
    }
    struct item *held = &w->held[s][*at - 1].item;
    w->held[s][*at - 1].items++;
    w->held_rows -= held->end - held->first;
    held->first = item->first < held->first ? item->first : held->first;
    held->end = item->end > held->end ? item->end : held->end;
    held->head = item->head;
    held->flags |= item->flags;
    w->held_rows += held->end - held->first;
    return true;
}

/* Adds what is held of a segment; returns the items of the queue it stands for. */
static uint64_t release(struct worker *w, unsigned segment, uint32_t *count)
{
    uint64_t items = 0;
    for (uint32_t i = 0; i < w->held_count[segment]; i++) {
        const struct item *held = &w->held[segment][i].item;
        add(w, held, count);
        w->held_at[segment][held->series] = 0;
        w->held_rows -= held->end - held->first;
        items += w->held[segment][i].items;
    }
    w->held_count[segment] = 0;
    w->held_items -= items;
    return items;
}

/* How long what is held may wait; 0: it is due. */
static int64_t hold_left(const struct worker *w)
{
    int64_t left = w->held_since_ns + HELD_NS - clock_mono_ns();
    bool stop = __atomic_load_n(&w->stop, __ATOMIC_ACQUIRE);
    return stop || w->held_rows >= HELD_ROWS || left < 0 ? 0 : left;
}

static void compute_held(struct worker *w)
{
    for (unsigned s = 0; s < w->bus->bars_count; s++) {
        uint32_t n = 0;
        uint64_t finished = release(w, s, &n);
        compute(w, s, n, finished);
    }
}

/* Takes what is queued, one segment at a time so that a segment's readers are woken once. What cannot wait
 * and is of a series that is held takes along what is. */
static bool take(struct worker *w)
{
    uint64_t tail = __atomic_load_n(&w->tail, __ATOMIC_ACQUIRE);
    uint64_t done = w->done;
    if (tail == done)
        return false;
    if (tail - done > TAKE_MAX)
        tail = done + TAKE_MAX;
    for (unsigned s = 0; s < w->bus->bars_count; s++) {
        uint32_t n = 0;
        uint64_t finished = 0;
        bool follows = false; /* on what is held */
        for (uint64_t i = done; i < tail; i++) {
            struct item *item = &w->items[i & w->mask];
            if (item->segment != s)
                continue;
            item->patient = hold(w, item);
            follows |= !item->patient && w->held_at[s][item->series] != 0;
        }
        if (follows)
            finished = release(w, s, &n);
        for (uint64_t i = done; i < tail; i++) {
            const struct item *item = &w->items[i & w->mask];
            if (item->segment != s || item->patient)
                continue;
            add(w, item, &n);
            finished++;
        }
        compute(w, s, n, finished);
    }
    __atomic_store_n(&w->done, tail, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&w->starved, 0, __ATOMIC_SEQ_CST))
        w->hooks.drained(w->hooks.user);
    return true;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    for (;;) {
        /* kick is read before the queue is looked at: a push after the look changes it, and the wait returns
         * at once */
        uint32_t seen = __atomic_load_n(&w->kick, __ATOMIC_ACQUIRE);
        bool taken = take(w);
        int64_t left = w->held_items ? hold_left(w) : -1;
        if (left == 0)
            compute_held(w);
        if (taken || left == 0)
            continue;
        if (__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
            return NULL;
        __atomic_store_n(&w->sleep, left < 0 ? SLEEPS : DOZES, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&w->kick, __ATOMIC_SEQ_CST) == seen && pgd_wait(&w->kick, seen, left) < 0)
            seen = 0; /* interrupted, or it is time: look again */
        __atomic_store_n(&w->sleep, AWAKE, __ATOMIC_RELAXED);
    }
}

/* -------------------------------------------------------------------------------------------------- start */

/* What is held already is in use from the start: a GPU registers it now, not when its next bars come. */
static void recover(struct worker *w)
{
    for (unsigned s = 0; s < w->bus->bars_count; s++) {
        const struct pgd_bars *bars = &w->bus->bars[s];
        for (uint32_t i = 0; i < w->series; i++) {
            uint64_t head = pgd_bars_head(bars, i);
            if (head == 0)
                continue;
            if (pgk_engine_extent(w->engine, w->handle[s], i, 1) == 0)
                tell(w);
            uint64_t first = pgk_engine_recover(w->engine, w->handle[s], i);
            w->known[s][i] = head;
            if (first < head)
                worker_note(w, s, i, first, head, PGD_CHANGE_REVISE);
        }
    }
}

int worker_start(struct worker *w)
{
    recover(w);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0)
        return -r;
    w->running = true;
    worker_kick(w);
    return 0;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (w->running) {
        bool left = true;
        while (left) {
            worker_kick(w);
            left = false;
            for (unsigned s = 0; s < w->bus->bars_count; s++)
                left |= w->listed_count[s] != 0;
        }
        __atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
        __atomic_fetch_add(&w->kick, 1, __ATOMIC_RELEASE);
        pgd_wake_all(&w->kick);
        pthread_join(w->thread, NULL);
    }
    for (unsigned i = 0; i < BUS_BARS_MAX; i++) {
        free(w->pending[i]);
        free(w->listed[i]);
        free(w->known[i]);
        free(w->held_at[i]);
    }
    free(w->items);
    free(w);
}
