#include "replay.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define TURN_NS    INT64_C(5000000) /* of the loop's time for records at a stretch */
#define TURN_BYTES 32768u           /* of records between two looks at the clock */
#define SUFFIX     "-replay"

struct replay {
    uv_timer_t timer;
    struct replay_options options;
    struct replay_hooks hooks;
    struct journal_set *set;
    struct replay_target target;
    struct journal_item item; /* read, and not yet due */
    const struct journal_reader *reader;
    bool have;
    bool open_batch; /* records since the last BATCH */
    bool begun;      /* base_* are set */
    bool ended;
    struct worker *worker;
    bool settling;
    uint64_t settle_every, settled_appended, settled_changed;
    int64_t base_ns; /* a record's time, and when it was served (CLOCK_MONOTONIC) */
    int64_t base_mono_ns;
    int64_t first_ns, last_ns; /* served */
    uint64_t damages;
};

static void on_damage(void *user, const struct journal_damage *d)
{
    struct replay *r = user;
    char much[96] = "";
    r->damages++;
    if (d->bytes)
        snprintf(much, sizeof much, ": %llu bytes passed over%s", (unsigned long long)d->bytes,
                 d->tail ? ", to the end of the file" : "");
    else if (d->records)
        snprintf(much, sizeof much, ": %llu", (unsigned long long)d->records);
    log_event(LOG_JOURNAL_FAULT, "%s: at byte %llu: %s%s", d->file, (unsigned long long)d->offset, d->what,
              much);
}

/* ------------------------------------------------------------------------------------------------- records
 */

/* 1: one is at hand; 0: no more; negative: said. */
static int fetch(struct replay *r)
{
    char err[512];
    if (r->have)
        return 1;
    int e = journal_set_next(r->set, &r->item, &r->reader, err, sizeof err);
    if (e < 0)
        log_event(LOG_JOURNAL_FAULT, "%s", err);
    r->have = e == 1;
    return e;
}

static void show_conn(struct replay *r)
{
    const struct journal_record *head = r->item.head;
    struct pgd_conn conn = {.cluster = head->cluster,
                            .state = (uint32_t)head->arg,
                            .since_ns = head->t_ns,
                            .connects = head->index};
    snprintf(conn.url, sizeof conn.url, "journal %.80s", journal_reader_file(r->reader)->instance);
    snprintf(conn.reason, sizeof conn.reason, "%.*s", (int)(r->item.size < 95 ? r->item.size : 95),
             (const char *)r->item.data);
    if (head->cluster >= PGD_STOCKS && head->cluster < PGD_CLUSTERS && head->arg <= UINT32_MAX)
        r->hooks.conn(r->hooks.user, &conn);
}

/* Before FROM only what frames and their ends depend on. */
static bool passed_over(const struct replay *r)
{
    const unsigned kind = r->item.head->kind;
    return r->item.head->t_ns < r->options.from_ns && !r->options.warm &&
           (kind == JOURNAL_FRAME || kind == JOURNAL_BATCH);
}

static void serve(struct replay *r)
{
    const char *why = NULL;
    r->have = false;
    if (passed_over(r))
        return;
    if (r->first_ns == 0)
        r->first_ns = r->item.head->t_ns;
    r->last_ns = r->item.head->t_ns;
    r->open_batch = r->item.head->kind != JOURNAL_BATCH;
    if (r->item.head->kind == JOURNAL_CONN)
        show_conn(r);
    if (replay_apply(&r->target, &r->item, &why) < 0)
        log_event(LOG_JOURNAL_FAULT, "%s: at byte %llu: %s", journal_reader_name(r->reader),
                  (unsigned long long)r->item.offset, why);
}

/* ----------------------------------------------------------------------------------------------------- pace
 */

static void finish(struct replay *r, bool whole)
{
    if (r->open_batch)
        feed_batch(r->target.feed, 0, 0);
    r->ended = true;
    bool ok = whole && r->damages == 0 && r->target.bad == 0;
    log_event(LOG_REPLAY, "replay ended: %llu records, %llu frames, %.3f s of the original%s%s",
              (unsigned long long)r->target.records, (unsigned long long)r->target.frames,
              (double)(r->last_ns - r->first_ns) / 1e9, ok ? "" : ", with faults",
              r->target.lost ? "; the journal says that records were left out of it" : "");
    if (r->target.frames == 0)
        log_event(LOG_REPLAY, "no message was served%s",
                  r->options.from_ns != INT64_MIN || r->options.to_ns != INT64_MAX
                      ? ": the journal has none between --from and --to"
                      : "");
    if (!r->options.stay)
        r->hooks.done(r->hooks.user, ok);
}

/* How long until the record at hand is due. */
static int64_t wait_ns(struct replay *r, int64_t now)
{
    int64_t t = r->item.head->t_ns;
    if (r->options.speed <= 0 || t < r->options.from_ns)
        return 0;
    if (!r->begun) {
        r->begun = true;
        r->base_ns = t;
        r->base_mono_ns = now;
    }
    double due = (double)(t - r->base_ns) / r->options.speed;
    double left = due - (double)(now - r->base_mono_ns);
    return left < 0 ? 0 : left > 3600e9 ? 3600 * NS_PER_S : (int64_t)left;
}

/* The rows of the day were computed one after the other. At full speed they could leave their ring before the
 * engine has come to them, and running sums would begin elsewhere: so it is waited for, when a series may
 * have grown by half a ring, and when rows changed below their newest. */
static bool engine_must_settle(struct replay *r)
{
    const struct pgd_counter *c = r->target.bus->board.counters;
    const uint64_t appended = c[PGD_C_bars_appended].value;
    const uint64_t changed = c[PGD_C_bars_revised].value + c[PGD_C_bars_inserted].value;
    if (appended - r->settled_appended < r->settle_every && changed == r->settled_changed)
        return false;
    r->settled_appended = appended;
    r->settled_changed = changed;
    return true;
}

/* False: not within this turn. */
static bool settle(struct replay *r, int64_t end)
{
    r->settling = true;
    worker_kick(r->worker);
    while (!worker_idle(r->worker)) {
        if (clock_mono_ns() > end)
            return false;
        sched_yield();
        worker_kick(r->worker);
    }
    r->settling = false;
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct replay *r = timer->data;
    int64_t now = clock_mono_ns();
    const int64_t end = now + TURN_NS;
    for (size_t bytes = 0;;) {
        if ((r->settling || engine_must_settle(r)) && !settle(r, end))
            break;
        int e = fetch(r);
        if (e <= 0 || r->item.head->t_ns > r->options.to_ns) {
            finish(r, e >= 0);
            return;
        }
        int64_t wait = wait_ns(r, now);
        if (wait > 0) {
            uv_timer_start(&r->timer, on_timer, (uint64_t)(wait + 999999) / 1000000, 0);
            return;
        }
        bytes += r->item.head->size;
        serve(r);
        if (bytes < TURN_BYTES)
            continue;
        bytes = 0;
        now = clock_mono_ns();
        if (now > end)
            break;
    }
    uv_timer_start(&r->timer, on_timer, 0, 0); /* sockets and signals first */
}

/* -------------------------------------------------------------------------------------------- open, close */

int replay_new(struct replay **ret, uv_loop_t *loop, struct bus *bus, struct symbols *symbols,
               struct feed *feed, struct worker *worker, const struct replay_options *options,
               const struct replay_hooks *hooks, char *err, size_t err_size)
{
    struct replay *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->options = *options;
    r->hooks = *hooks;
    int e = journal_set_open(&r->set, options->paths, options->count, on_damage, r, err, err_size);
    if (e == 0)
        e = replay_target_init(&r->target, bus, symbols, feed);
    if (e < 0) {
        replay_free(r);
        return e;
    }
    r->worker = worker;
    r->settle_every = UINT64_MAX;
    for (unsigned s = 0; s < bus->bars_count; s++)
        if (bus->bars[s].geo->capacity / 2 < r->settle_every)
            r->settle_every = bus->bars[s].geo->capacity / 2;
    r->target.changed = hooks->changed;
    r->target.user = hooks->user;
    if (options->from_ns != INT64_MIN && !options->warm)
        journal_set_skip(r->set, options->from_ns);
    journal_set_ahead(r->set);
    uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    *ret = r;
    return 0;
}

void replay_start(struct replay *r)
{
    log_event(LOG_REPLAY, "replay of %zu file%s begins", journal_set_files(r->set),
              journal_set_files(r->set) == 1 ? "" : "s");
    uv_timer_start(&r->timer, on_timer, 0, 0);
}

void replay_stop(struct replay *r)
{
    if (r && !uv_is_closing((uv_handle_t *)&r->timer))
        uv_close((uv_handle_t *)&r->timer, NULL);
}

void replay_free(struct replay *r)
{
    if (!r)
        return;
    journal_set_close(r->set);
    replay_target_fini(&r->target);
    free(r);
}

/* ------------------------------------------------------------------------------------------- configuration
 */

int replay_rename(struct config *config)
{
    char *name = malloc(PGD_INSTANCE_MAX);
    if (!name)
        return -ENOMEM;
    const size_t room = PGD_INSTANCE_MAX - sizeof SUFFIX;
    snprintf(name, PGD_INSTANCE_MAX, "%.*s%s", (int)room, config->instance, SUFFIX);
    free(config->instance);
    config->instance = name;
    return 0;
}

int replay_config(struct config **ret, const struct replay_options *options, char *err, size_t err_size)
{
    struct journal_set *set;
    struct journal_item item;
    const struct journal_reader *reader;
    int r = journal_set_open(&set, options->paths, options->count, NULL, NULL, err, err_size);
    if (r < 0)
        return r;
    r = journal_set_next(set, &item, &reader, err, err_size);
    if (r == 1 && item.head->kind == JOURNAL_CONFIG) {
        r = config_load_text(ret, journal_reader_name(reader), (const char *)item.data, item.size, err,
                             err_size);
    } else if (r >= 0) {
        snprintf(err, err_size,
                 "%s: damaged where it says with what configuration it was written: use --config",
                 r == 1 ? journal_reader_name(reader) : options->paths[0]);
        r = -EPROTO;
    }
    journal_set_close(set);
    return r;
}
