#include "journal_app.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define MIB       (UINT64_C(1) << 20)
#define ROWS_MAX  1024u
#define FILE_MODE 0640

static int directory_of(char *ret, size_t size, const struct config *config)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"STATE_DIRECTORY", "/journal"},
                  {"XDG_STATE_HOME", "/polygond/journal"},
                  {"HOME", "/.local/state/polygond/journal"}};
    if (config->journal.directory[0])
        return (size_t)snprintf(ret, size, "%s", config->journal.directory) < size ? 0 : -ENAMETOOLONG;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *value = getenv(places[i].variable);
        if (!value || value[0] != '/')
            continue;
        int n = snprintf(ret, size, "%.*s%s", (int)strcspn(value, i == 0 ? ":" : ""), value, places[i].below);
        return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
    }
    return -ENOENT;
}

/* ------------------------------------------------------------------------------------------- at the start */

static void put_rows(struct journal *j, const struct bus *bus, unsigned segment, uint32_t series,
                     int64_t t_ns)
{
    const struct pgd_bars *bars = &bus->bars[segment];
    const uint64_t head = pgd_bars_head(bars, series);
    struct pgd_bar rows[ROWS_MAX];
    size_t n = 0;
    const struct journal_entry e = {
        .kind = JOURNAL_CACHED, .index = series, .t_ns = t_ns, .arg = (uint64_t)bus->span_ms[segment]};
    for (uint64_t i = pgd_bars_first(bars, series); i < head; i++) {
        pgd_bars_peek(bars, series, i, &rows[n++]);
        if (n == ROWS_MAX || i + 1 == head) {
            journal_put(j, &e, rows, n * sizeof *rows);
            n = 0;
        }
    }
}

/* What an adopted bus holds, before anything is added to it. */
static void put_start(struct journal *j, const struct bus *bus)
{
    if (!bus->adopted)
        return;
    const int64_t now = clock_real_ns();
    const uint64_t count = shm_load64(&bus->board.board->symbol_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct pgd_symbol *symbol = &bus->board.symbols[i];
        const struct journal_entry e = {
            .kind = JOURNAL_SYMBOL, .cluster = symbol->cluster, .index = i, .t_ns = now};
        journal_put(j, &e, symbol->name, sizeof symbol->name);
        for (unsigned s = 0; s < bus->bars_count; s++)
            put_rows(j, bus, s, i, now);
    }
}

int journal_app_open(struct journal **ret, const struct config *config, struct bus *bus, struct feed *feed,
                     char *err, size_t err_size)
{
    char directory[PATH_MAX];
    char *shape;
    const struct config_journal *c = &config->journal;
    if (!c->enabled)
        return 0;
    int r = directory_of(directory, sizeof directory, config);
    if (r < 0) {
        snprintf(err, err_size, "journal.directory: %s",
                 r == -ENOENT ? "no place is known: set it" : strerror(-r));
        return r;
    }
    r = config_shape(&shape, config);
    if (r < 0) {
        snprintf(err, err_size, "journal: %s", strerror(-r));
        return r;
    }
    const struct journal_options options = {
        .directory = directory,
        .instance = config->instance,
        .config = shape,
        .buffer_bytes = c->buffer_mib * MIB,
        .file_bytes = c->file_mib * MIB,
        .keep_bytes = c->keep_mib * MIB,
        .rotate_s = c->rotate_s,
        .keep_days = c->keep_days,
        .flush_ms = c->flush_ms,
        .symbols = config->bus.symbols,
        .mode = FILE_MODE,
    };
    r = journal_open(ret, &options, err, err_size);
    free(shape);
    if (r < 0)
        return r;
    log_event(LOG_JOURNAL, "journal: every frame is recorded in %s", directory);
    journal_patient(*ret, true);
    put_start(*ret, bus);
    feed_tap(feed, *ret);
    return 0;
}

/* -------------------------------------------------------------------------------------------------- frames
 */

void journal_app_frame(struct journal *j, const struct secret *secret, const struct journal_entry *entry,
                       const uint8_t *data, size_t size)
{
    const char *key = secret ? secret_text(secret) : "";
    size_t n = secret ? secret_size(secret) : 0;
    if (!(entry->flags & JOURNAL_FRAME_STATUS) || n == 0 || !memmem(data, size, key, n)) {
        journal_put(j, entry, data, size);
        return;
    }
    uint8_t *copy = malloc(size);
    if (!copy) /* rather without it */
        return;
    memcpy(copy, data, size);
    for (uint8_t *p = copy; (p = memmem(p, size - (size_t)(p - copy), key, n)) != NULL; p += n)
        memset(p, '*', n);
    journal_put(j, entry, copy, size);
    free(copy);
}

void journal_app_count(const struct journal *j, struct bus *bus)
{
    struct journal_counts c;
    if (!j)
        return;
    journal_counts(j, &c);
    pgd_count_set(&bus->board, PGD_C_journal_records, c.records);
    pgd_count_set(&bus->board, PGD_C_journal_lost, c.lost);
    pgd_count_set(&bus->board, PGD_C_journal_bytes, c.bytes);
    pgd_count_set(&bus->board, PGD_C_journal_files, c.files);
    pgd_count_set(&bus->board, PGD_C_journal_removed, c.files_removed);
    pgd_count_set(&bus->board, PGD_C_journal_faults, c.faults);
    pgd_count_set(&bus->board, PGD_C_journal_cut, c.cut_bytes);
}
