/* Read side of the board. The order of symbols stands in board.c, that of guarded records in guard.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "board_internal.h"
#include "internal.h"

static bool board_valid(const struct pgd_board *b, uint64_t size)
{
    return b->symbol_max > 0 && b->symbol_max <= PGD_SERIES_LIMIT && b->hash_slots > b->symbol_max &&
           (b->hash_slots & (b->hash_slots - 1)) == 0 &&
           pgd__extent_fits(size, b->hash_offset, 1, 0, (uint64_t)b->hash_slots * sizeof(uint32_t)) &&
           pgd__extent_fits(size, b->symbols_offset, b->symbol_max, sizeof(struct pgd_symbol),
                            sizeof(struct pgd_symbol)) &&
           pgd__extent_fits(size, b->counters_offset, b->counter_count, sizeof(struct pgd_counter),
                            sizeof(struct pgd_counter)) &&
           pgd__extent_fits(size, b->errors_offset, b->error_max, sizeof(struct pgd_error),
                            sizeof(struct pgd_error)) &&
           pgd__extent_fits(size, b->segments_offset, b->segment_max, sizeof(struct pgd_segment_entry),
                            sizeof(struct pgd_segment_entry)) &&
           pgd__extent_fits(size, b->conns_offset, b->conn_max, sizeof(struct pgd_conn),
                            sizeof(struct pgd_conn)) &&
           pgd__extent_fits(size, b->gaps_offset, b->gap_max, sizeof(struct pgd_gap), sizeof(struct pgd_gap));
}

static const struct pgd_board *live(const struct pgd_board_reader *r)
{
    return (const struct pgd_board *)(r->map.base + r->map.geometry_offset);
}

int pgd_board_attach(struct pgd_board_reader *ret, const char *instance)
{
    struct pgd_board_reader r = {0};
    int e = pgd_segment_attach(&r.map, instance, "board", PGD_KIND_BOARD);
    if (e < 0)
        return e;
    e = -EPROTO;
    if (r.map.geometry_size >= sizeof r.board) {
        pgd_board_get(&r, &r.board);
        if (board_valid(&r.board, r.map.size))
            e = 0;
    }
    if (e < 0) {
        pgd_segment_close(&r.map);
        return e;
    }
    *ret = r;
    return 0;
}

void pgd_board_detach(struct pgd_board_reader *r)
{
    pgd_segment_close(&r->map);
}

int pgd_board_alive(const struct pgd_board_reader *r)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (fcntl(r->map.fd, F_OFD_GETLK, &lock) < 0)
        return -errno;
    return lock.l_type != F_UNLCK;
}

int64_t pgd_board_heartbeat_age_ns(const struct pgd_board_reader *r)
{
    int64_t age;
    int64_t beat = (int64_t)shm_load64(&live(r)->heartbeat_ns);
    if (__builtin_sub_overflow(pgd__boottime_ns(), beat, &age))
        return INT64_MAX;
    return age;
}

uint64_t pgd_board_epoch(const struct pgd_board_reader *r)
{
    return pgd_segment_epoch(&r->map);
}

bool pgd_board_stale(const struct pgd_board_reader *r)
{
    return pgd_segment_stale(&r->map);
}

/* A count in the segment, never trusted beyond the table it counts. */
static uint32_t count_of(const uint64_t *word, uint32_t max)
{
    uint64_t count = shm_load64_acquire(word);
    return count < max ? (uint32_t)count : max;
}

int32_t pgd_board_find(const struct pgd_board_reader *r, const char *name)
{
    if (!pgd__symbol_valid(name, strnlen(name, PGD_SYMBOL_MAX)))
        return -ENOENT;
    return pgd__symbol_find((const uint32_t *)(r->map.base + r->board.hash_offset), r->board.hash_slots,
                            (const struct pgd_symbol *)(r->map.base + r->board.symbols_offset),
                            pgd_board_symbols(r), name, NULL);
}

uint32_t pgd_board_symbols(const struct pgd_board_reader *r)
{
    return count_of(&live(r)->symbol_count, r->board.symbol_max);
}

int pgd_board_symbol(const struct pgd_board_reader *r, uint32_t index, struct pgd_symbol *ret)
{
    if (index >= pgd_board_symbols(r))
        return -ENOENT;
    shm_copy_out(ret, r->map.base + r->board.symbols_offset + (uint64_t)index * sizeof *ret, sizeof *ret / 8);
    ret->name[sizeof ret->name - 1] = '\0';
    return 0;
}

uint32_t pgd_board_counters(const struct pgd_board_reader *r)
{
    return r->board.counter_count;
}

int pgd_board_counter(const struct pgd_board_reader *r, uint32_t index, struct pgd_counter *ret)
{
    if (index >= r->board.counter_count)
        return -ENOENT;
    shm_copy_out(ret, r->map.base + r->board.counters_offset + (uint64_t)index * sizeof *ret,
                 sizeof *ret / 8);
    ret->name[sizeof ret->name - 1] = '\0';
    return 0;
}

uint32_t pgd_board_errors(const struct pgd_board_reader *r)
{
    return count_of(&live(r)->error_count, r->board.error_max);
}

int pgd_board_get_error(const struct pgd_board_reader *r, uint32_t index, struct pgd_error *ret)
{
    if (index >= pgd_board_errors(r))
        return -ENOENT;
    struct pgd_error e;
    if (!pgd__copy_guarded(&e, r->map.base + r->board.errors_offset + (uint64_t)index * sizeof e,
                           sizeof e / 8))
        return -EAGAIN;
    if (e.count == 0)
        return -ENOENT;
    e.where[sizeof e.where - 1] = '\0';
    e.text[sizeof e.text - 1] = '\0';
    *ret = e;
    return 0;
}

uint32_t pgd_board_segments(const struct pgd_board_reader *r)
{
    return count_of(&live(r)->segment_count, r->board.segment_max);
}

int pgd_board_segment(const struct pgd_board_reader *r, uint32_t index, struct pgd_segment_entry *ret)
{
    if (index >= pgd_board_segments(r))
        return -ENOENT;
    shm_copy_out(ret, r->map.base + r->board.segments_offset + (uint64_t)index * sizeof *ret,
                 sizeof *ret / 8);
    ret->name[sizeof ret->name - 1] = '\0';
    return 0;
}

int pgd_board_conn(const struct pgd_board_reader *r, uint32_t cluster, struct pgd_conn *ret)
{
    if (cluster >= r->board.conn_max)
        return -ENOENT;
    struct pgd_conn conn;
    if (!pgd__copy_guarded(&conn, r->map.base + r->board.conns_offset + (uint64_t)cluster * sizeof conn,
                           sizeof conn / 8))
        return -EAGAIN;
    conn.url[sizeof conn.url - 1] = '\0';
    conn.reason[sizeof conn.reason - 1] = '\0';
    *ret = conn;
    return 0;
}

uint32_t pgd_board_gaps(const struct pgd_board_reader *r)
{
    return count_of(&live(r)->gap_count, r->board.gap_max);
}

int pgd_board_gap(const struct pgd_board_reader *r, uint32_t row, struct pgd_gap *ret)
{
    if (row >= pgd_board_gaps(r))
        return -ENOENT;
    struct pgd_gap gap;
    const uint8_t *at = r->map.base + r->board.gaps_offset + (uint64_t)row * sizeof gap;
    if (shm_load64((const uint64_t *)(const void *)at) == 0)
        return -ENOENT; /* never written: rows are used in any order */
    if (!pgd__copy_guarded(&gap, at, sizeof gap / 8))
        return -EAGAIN;
    if (gap.id == 0)
        return -ENOENT;
    *ret = gap;
    return 0;
}

void pgd_board_get(const struct pgd_board_reader *r, struct pgd_board *ret)
{
    shm_copy_out(ret, live(r), sizeof *ret / 8);
    ret->control[sizeof ret->control - 1] = '\0';
    ret->version[sizeof ret->version - 1] = '\0';
    ret->engine[sizeof ret->engine - 1] = '\0';
}
