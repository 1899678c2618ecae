/* client.c - attach to an instance: the board, and what it says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "client.h"

int64_t pgd__now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * PGD__NS + ts.tv_nsec;
}

bool pgd__same_file(const struct pgd_map *a, const struct pgd_map *b)
{
    struct stat sa, sb;
    return fstat(a->fd, &sa) == 0 && fstat(b->fd, &sb) == 0 && sa.st_ino == sb.st_ino &&
           sa.st_dev == sb.st_dev;
}

int pgd_open(struct pgd_client **ret, const char *instance)
{
    if (!instance)
        instance = "main";
    if (!pgd_instance_valid(instance))
        return -EINVAL;
    struct pgd_client *client = calloc(1, sizeof *client);
    if (!client)
        return -ENOMEM;
    int r = pgd_board_attach(&client->board, instance);
    if (r < 0) {
        free(client);
        return r == -ENOENT ? PGD_ERR_NO_INSTANCE : r;
    }
    strncpy(client->instance, instance, sizeof client->instance - 1);
    *ret = client;
    return 0;
}

void pgd_close(struct pgd_client *client)
{
    if (!client)
        return;
    for (int i = 0; i < client->stream_count; i++)
        pgd__stream_detach(&client->streams[i]);
    pgd_board_detach(&client->board);
    free(client);
}

bool pgd__replaced(const struct pgd_client *client)
{
    if (pgd_segment_stale(&client->board.map))
        return true;
    for (int i = 0; i < client->stream_count; i++)
        if (pgd_segment_stale(pgd__stream_map(&client->streams[i])))
            return true;
    return false;
}

const uint32_t *pgd__board_notify(const struct pgd_client *client)
{
    const struct pgd_map *map = &client->board.map;
    const uint8_t *board = map->base + map->geometry_offset;
    return (const uint32_t *)(const void *)(board + offsetof(struct pgd_board, notify));
}

/* A board can be succeeded (marked stale), or its name removed and made anew (not marked). */
static int refresh_board(struct pgd_client *client)
{
    struct pgd_board_reader next;
    if (!pgd_segment_stale(&client->board.map) && pgd_board_alive(&client->board) == 1)
        return 0;
    int r = pgd_board_attach(&next, client->instance);
    if (r < 0)
        return r == -ENOENT || r == -EAGAIN ? 0 : r;
    if (pgd__same_file(&next.map, &client->board.map)) {
        pgd_board_detach(&next);
        return 0;
    }
    pgd_board_detach(&client->board);
    client->board = next;
    client->generation++;
    return 1;
}

static int refresh_stream(struct pgd_client *client, struct pgd__stream *s)
{
    struct pgd__stream next;
    int r = pgd__stream_attach(&next, client->instance, s->name);
    if (r < 0)
        return r == PGD_ERR_NO_STREAM || r == -EAGAIN ? 0 : r;
    if (pgd__same_file(pgd__stream_map(&next), pgd__stream_map(s))) {
        pgd__stream_detach(&next);
        return 0;
    }
    next.generation = s->generation + 1;
    pgd__stream_detach(s);
    *s = next;
    return 1;
}

int pgd_refresh(struct pgd_client *client)
{
    int changed = refresh_board(client);
    if (changed < 0)
        return changed;
    bool all = changed > 0;
    for (int i = 0; i < client->stream_count; i++) {
        struct pgd__stream *s = &client->streams[i];
        if (!all && !pgd_segment_stale(pgd__stream_map(s)))
            continue;
        int r = refresh_stream(client, s);
        if (r < 0)
            return r;
        changed |= r;
    }
    return changed;
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t n = strnlen(from, size - 1);
    memcpy(to, from, n);
    to[n] = '\0';
}

void pgd_get_status(const struct pgd_client *client, struct pgd_status *ret)
{
    const struct pgd_board_reader *b = &client->board;
    struct pgd_board now;
    pgd_board_get(b, &now);
    struct pgd_status s = {.alive = pgd_board_alive(b) == 1,
                           .pid = now.pid,
                           .run_state = now.run_state,
                           .symbols = pgd_board_symbols(b),
                           .symbols_max = b->board.symbol_max,
                           .segments = pgd_board_segments(b),
                           .errors = pgd_board_errors(b),
                           .counters = pgd_board_counters(b),
                           .epoch = pgd_board_epoch(b),
                           .started_ns = now.started_ns,
                           .heartbeat_age_ns = pgd_board_heartbeat_age_ns(b),
                           .memory = b->map.size};
    copy_text(s.instance, sizeof s.instance, client->instance);
    copy_text(s.version, sizeof s.version, now.version);
    copy_text(s.engine, sizeof s.engine, now.engine);
    copy_text(s.control, sizeof s.control, now.control);
    for (uint32_t i = 0; i < s.segments; i++) {
        struct pgd_segment_entry e;
        if (pgd_board_segment(b, i, &e) == 0)
            s.memory += e.size;
    }
    *ret = s;
}

int pgd_get_symbol(const struct pgd_client *client, uint32_t index, struct pgd_symbol *ret)
{
    return pgd_board_symbol(&client->board, index, ret);
}

int pgd_get_segment(const struct pgd_client *client, uint32_t index, struct pgd_segment_entry *ret)
{
    return pgd_board_segment(&client->board, index, ret);
}

int pgd_get_counter(const struct pgd_client *client, uint32_t index, struct pgd_counter *ret)
{
    return pgd_board_counter(&client->board, index, ret);
}

int pgd_get_error(const struct pgd_client *client, uint32_t index, struct pgd_error *ret)
{
    return pgd_board_get_error(&client->board, index, ret);
}

int pgd_get_conn(const struct pgd_client *client, enum pgd_cluster cluster, struct pgd_conn *ret)
{
    return pgd_board_conn(&client->board, (uint32_t)cluster, ret);
}

uint32_t pgd_gaps(const struct pgd_client *client)
{
    return pgd_board_gaps(&client->board);
}

int pgd_get_gap(const struct pgd_client *client, uint32_t row, struct pgd_gap *ret)
{
    return pgd_board_gap(&client->board, row, ret);
}

static const char *text_of(const char *const *texts, size_t count, unsigned i)
{
    return i < count && texts[i] ? texts[i] : "?";
}

const char *pgd_gap_why_text(unsigned why)
{
    static const char *const texts[] = {[PGD_GAP_CONNECTION] = "connection",
                                        [PGD_GAP_SILENCE] = "silence",
                                        [PGD_GAP_RESTART] = "restart",
                                        [PGD_GAP_START] = "start",
                                        [PGD_GAP_REFUSED] = "refused",
                                        [PGD_GAP_JUMP] = "jump",
                                        [PGD_GAP_FOUND] = "found"};
    return text_of(texts, sizeof texts / sizeof texts[0], why);
}

const char *pgd_gap_state_text(unsigned state)
{
    static const char *const texts[] = {[PGD_GAP_OPEN] = "open",
                                        [PGD_GAP_FILLING] = "filling",
                                        [PGD_GAP_CLOSED] = "closed",
                                        [PGD_GAP_UNFILLABLE] = "unfillable"};
    return text_of(texts, sizeof texts / sizeof texts[0], state);
}

const char *pgd_gap_reason_text(unsigned reason)
{
    static const char *const texts[] = {[0] = "",
                                        [PGD_GAP_NOT_ENTITLED] = "not entitled",
                                        [PGD_GAP_NO_SOURCE] = "no source",
                                        [PGD_GAP_TOO_LONG] = "too long",
                                        [PGD_GAP_OFF] = "off",
                                        [PGD_GAP_UNKNOWN] = "unknown",
                                        [PGD_GAP_FAILED] = "failed",
                                        [PGD_GAP_UNWANTED] = "unwanted"};
    return text_of(texts, sizeof texts / sizeof texts[0], reason);
}

int32_t pgd_find(const struct pgd_client *client, const char *symbol)
{
    return pgd_board_find(&client->board, symbol);
}
