#include "fetch_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/history.h"
#include "kernels/sheet.h"
#include "symbols.h"

struct queue {
    struct fetch_batch *first, **last;
};

struct fetch_table {
    struct fetch_table_options options;
    struct pgk_history *history; /* NULL: no indicators */
    struct sheet *sheet;
    bool begun; /* a symbol */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    struct queue to_write, written;
    int error;
    bool end;
    bool told; /* the error */
    uv_async_t wake;
};

static void queue_add(struct queue *queue, struct fetch_batch *batch)
{
    batch->next = NULL;
    *queue->last = batch;
    queue->last = &batch->next;
}

static struct fetch_batch *queue_take(struct queue *queue)
{
    struct fetch_batch *batch = queue->first;
    if (batch) {
        queue->first = batch->next;
        if (!queue->first)
            queue->last = &queue->first;
    }
    return batch;
}

/* ------------------------------------------------------------------------------------------------- writing
 */

static int begin(struct fetch_table *t, const struct fetch_symbol *symbol)
{
    t->begun = true;
    if (t->history)
        pgk_history_begin(t->history, symbols_session(symbol->cluster));
    sheet_symbol(t->sheet, symbol->name);
    return 0;
}

static int end(struct fetch_table *t)
{
    if (!t->begun)
        return 0;
    t->begun = false;
    int r = t->history ? pgk_history_end(t->history) : 0;
    return r < 0 ? r : sheet_end(t->sheet);
}

/* The batch's rows may go when this returns: the history has copies. */
static int write_rows(struct fetch_table *t, const struct fetch_batch *batch)
{
    int r = 0;
    if (!t->history) {
        struct pgk_history_rows rows = {.count = batch->count, .bars = batch->bars};
        r = batch->count ? sheet_take(t->sheet, &rows) : 0;
        return r < 0 ? r : sheet_end(t->sheet);
    }
    for (size_t i = 0; i < batch->count && r >= 0; i++)
        r = pgk_history_push(t->history, &batch->bars[i]);
    return r < 0 ? r : 0;
}

static int write_batch(struct fetch_table *t, const struct fetch_batch *batch)
{
    int r = batch->first ? begin(t, batch->symbol) : 0;
    if (r == 0)
        r = batch->last ? end(t) : write_rows(t, batch);
    return r;
}

static void *thread_main(void *user)
{
    struct fetch_table *t = user;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->to_write.first && !t->end)
            pthread_cond_wait(&t->work, &t->lock);
        struct fetch_batch *batch = queue_take(&t->to_write);
        int error = t->error;
        if (!batch)
            break;
        pthread_mutex_unlock(&t->lock);
        if (error == 0)
            error = write_batch(t, batch);
        pthread_mutex_lock(&t->lock);
        t->error = error;
        queue_add(&t->written, batch);
        uv_async_send(&t->wake);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void on_wake(uv_async_t *wake)
{
    struct fetch_table *t = wake->data;
    for (;;) {
        pthread_mutex_lock(&t->lock);
        struct fetch_batch *batch = queue_take(&t->written);
        int error = t->told ? 0 : t->error;
        t->told |= error != 0;
        pthread_mutex_unlock(&t->lock);
        if (error)
            t->options.failed(t->options.user, error);
        if (!batch)
            return;
        t->options.taken(t->options.user, batch);
    }
}

void fetch_table_put(struct fetch_table *t, struct fetch_batch *batch)
{
    pthread_mutex_lock(&t->lock);
    queue_add(&t->to_write, batch);
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
}

static void end_thread(struct fetch_table *t)
{
    pthread_mutex_lock(&t->lock);
    t->end = true;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
}

/* -------------------------------------------------------------------------------------------------- making
 */

static int open_sheet(struct fetch_table *t)
{
    const struct fetch_columns *c = t->options.columns;
    struct sheet_column *columns = calloc(c->count ? c->count : 1, sizeof *columns);
    if (!columns)
        return -ENOMEM;
    for (size_t i = 0; i < c->count; i++) {
        if (sheet_field(&columns[i], c->names[i]))
            continue;
        columns[i].kind = SHEET_VALUE;
        snprintf(columns[i].name, sizeof columns[i].name, "%.50s", c->names[i]);
        while (strcmp(pgk_plan_name(c->plan, columns[i].value), c->names[i]) != 0)
            columns[i].value++; /* it is there: see fetch_columns_init */
    }
    struct sheet_config config = {
        .fd = t->options.fd, .json = t->options.json, .symbol = true, .columns = columns, .count = c->count};
    int r = sheet_new(&t->sheet, &config);
    free(columns);
    return r;
}

static int open_parts(struct fetch_table *t, char *err, size_t err_size)
{
    int r = open_sheet(t);
    struct pgk_history_config config = {
        .engine = {.kind = t->options.engine}, .take = sheet_take, .user = t->sheet};
    if (r == 0 && t->options.columns->plan)
        r = pgk_history_new(&t->history, t->options.columns->plan, &config, err, err_size);
    if (r == 0) {
        err[0] = '\0'; /* the engine has said what it is */
        r = t->options.json ? 0 : sheet_header(t->sheet);
    }
    if (r == 0)
        r = -pthread_create(&t->thread, NULL, thread_main, t);
    if (r < 0)
        return r;
    t->wake.data = t;
    r = uv_async_init(t->options.loop, &t->wake, on_wake);
    if (r < 0)
        end_thread(t);
    return r;
}

int fetch_table_new(struct fetch_table **ret, const struct fetch_table_options *options, char *err,
                    size_t err_size)
{
    struct fetch_table *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->options = *options;
    t->to_write.last = &t->to_write.first;
    t->written.last = &t->written.first;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    err[0] = '\0';
    int r = open_parts(t, err, err_size);
    if (r == 0) {
        *ret = t;
        return 0;
    }
    if (!err[0])
        snprintf(err, err_size, "%s", strerror(-r));
    fetch_table_free(t);
    return r;
}

void fetch_table_finish(struct fetch_table *t)
{
    end_thread(t);
    uv_close((uv_handle_t *)&t->wake, NULL);
}

const char *fetch_table_notice(struct fetch_table *t)
{
    return t->history ? pgk_history_notice(t->history) : NULL;
}

void fetch_table_free(struct fetch_table *t)
{
    if (!t)
        return;
    sheet_free(t->sheet); /* its threads may still look at the history's rows */
    pgk_history_free(t->history);
    pthread_cond_destroy(&t->work);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
