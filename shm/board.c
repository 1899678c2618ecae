/* Write side of the board. Order: a symbol's name is stored, then its hash slot, then symbol_count (release);
 * a reader takes an index from the hash only when it is below symbol_count (acquire), so it never sees half a
 * name, and a daemon that died between two of these stores leaves at most a hash slot that counts for
 * nothing. */
#include "shm/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "board_internal.h"
#include "internal.h"
#include "shm/wake.h"

#define BOARD_NAME    "board"
#define SEGMENTS      64u
#define ERRORS_LIMIT  4096u
#define OWN_TRIES     8
#define GAPS_A_SYMBOL 4u   /* trades, quotes, two kinds of bars */
#define GAPS_MORE     256u /* for those that are over */

const struct pgd_counter_info pgd_counter_infos[PGD_COUNTER_COUNT] = {
#define X(id, writer, unit, doc) {#id, writer, unit, doc},
#include "shm/counters.def"
#undef X
};

#define X(id, writer, unit, doc)                                                                             \
    _Static_assert(sizeof #id <= sizeof((struct pgd_counter){0}.name), #id " is too long");
#include "shm/counters.def"
#undef X

static const struct pgd_field board_fields[] = {
#define F(member, type_, unit_, count_)                                                                      \
    {                                                                                                        \
        .name = #member, .unit = unit_, .offset = offsetof(struct pgd_symbol, member),                       \
        .record = PGD_REC_SYMBOL, .type = type_, .count = count_                                             \
    }
    F(name, PGD_CHAR, "", PGD_SYMBOL_MAX),
    F(cluster, PGD_U8, "", 1),
    F(asked, PGD_U8, "", 1),
    F(state, PGD_U8, "", 1),
    F(warm, PGD_U8, "", 1),
    F(wanted, PGD_U32, "bits", 1),
    F(acked, PGD_U32, "bits", 1),
    F(last_ns, PGD_I64, "ns", 1),
    F(events, PGD_U64, "events", 1),
    F(refused, PGD_U64, "events", 1),
#undef F
#define F(member, type_, unit_, count_)                                                                      \
    {                                                                                                        \
        .name = #member, .unit = unit_, .offset = offsetof(struct pgd_gap, member), .record = PGD_REC_GAP,   \
        .type = type_, .count = count_                                                                       \
    }
    F(id, PGD_U64, "", 1),
    F(symbol, PGD_U32, "", 1),
    F(topic, PGD_U32, "bits", 1),
    F(from_ns, PGD_I64, "ns", 1),
    F(to_ns, PGD_I64, "ns", 1),
    F(why, PGD_U8, "", 1),
    F(state, PGD_U8, "", 1),
    F(reason, PGD_U8, "", 1),
    F(tries, PGD_U32, "requests", 1),
    F(opened_ns, PGD_I64, "ns", 1),
    F(changed_ns, PGD_I64, "ns", 1),
    F(received, PGD_U64, "rows", 1),
    F(filled, PGD_U64, "records", 1),
#undef F
};
#define BOARD_FIELDS (sizeof board_fields / sizeof board_fields[0])

/* ------------------------------------------------------------------------------------------ layout */

static bool config_valid(const struct pgd_board_config *c)
{
    const struct pgd_board *b = NULL;
    return c->symbol_max > 0 && c->symbol_max <= PGD_SERIES_LIMIT && c->error_max > 0 &&
           c->error_max <= ERRORS_LIMIT && c->control != NULL && strlen(c->control) < sizeof b->control &&
           c->version != NULL && strlen(c->version) < sizeof b->version;
}

static uint64_t take(uint64_t *at, uint64_t bytes)
{
    uint64_t offset = *at;
    *at += (bytes + PGD_UNIT - 1) / PGD_UNIT * PGD_UNIT;
    return offset;
}

static uint64_t board_make(struct pgd_board *b, const struct pgd_board_config *c)
{
    *b = (struct pgd_board){
        .symbol_max = c->symbol_max,
        .hash_slots = 4,
        .counter_count = PGD_COUNTER_COUNT,
        .error_max = c->error_max,
        .segment_max = SEGMENTS,
        .conn_max = PGD_CLUSTERS,
        .gap_max = GAPS_A_SYMBOL * c->symbol_max + GAPS_MORE,
    };
    while (b->hash_slots < 2 * c->symbol_max)
        b->hash_slots *= 2;
    uint64_t at = pgd_layout_body(sizeof *b, BOARD_FIELDS);
    b->hash_offset = take(&at, b->hash_slots * sizeof(uint32_t));
    b->symbols_offset = take(&at, b->symbol_max * sizeof(struct pgd_symbol));
    b->counters_offset = take(&at, b->counter_count * sizeof(struct pgd_counter));
    b->errors_offset = take(&at, b->error_max * sizeof(struct pgd_error));
    b->segments_offset = take(&at, b->segment_max * sizeof(struct pgd_segment_entry));
    b->conns_offset = take(&at, b->conn_max * sizeof(struct pgd_conn));
    b->gaps_offset = take(&at, (uint64_t)b->gap_max * sizeof(struct pgd_gap));
    return at;
}

uint64_t pgd_board_size(const struct pgd_board_config *config)
{
    struct pgd_board b;
    return config_valid(config) ? board_make(&b, config) : 0;
}

static void bind(struct pgd_board_writer *w)
{
    w->board = (struct pgd_board *)(w->map.base + w->map.geometry_offset);
    w->symbols = (struct pgd_symbol *)(w->map.base + w->board->symbols_offset);
    w->counters = (struct pgd_counter *)(w->map.base + w->board->counters_offset);
    w->hash = (uint32_t *)(w->map.base + w->board->hash_offset);
}

static struct pgd_error *errors_of(struct pgd_board_writer *w)
{
    return (struct pgd_error *)(w->map.base + w->board->errors_offset);
}

static struct pgd_conn *conns_of(struct pgd_board_writer *w)
{
    return (struct pgd_conn *)(w->map.base + w->board->conns_offset);
}

static struct pgd_gap *gaps_of(const struct pgd_board_writer *w)
{
    return (struct pgd_gap *)(w->map.base + w->board->gaps_offset);
}

/* ----------------------------------------------------------------------------------------- symbols */

bool pgd__symbol_valid(const char *name, size_t length)
{
    if (length == 0 || length >= PGD_SYMBOL_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return true;
}

int32_t pgd__symbol_find(const uint32_t *hash, uint32_t slots, const struct pgd_symbol *symbols,
                         uint64_t count, const char *name, uint32_t *ret_slot)
{
    size_t bytes = strlen(name) + 1;
    uint32_t at = (uint32_t)pgd__fnv(PGD_FNV_SEED, name, bytes - 1) & (slots - 1);
    for (uint32_t probes = 0; probes < slots; probes++, at = (at + 1) & (slots - 1)) {
        uint32_t value = shm_load32_acquire(&hash[at]);
        if (value == 0) {
            if (ret_slot != NULL)
                *ret_slot = at;
            return -ENOENT;
        }
        if (value <= count && memcmp(symbols[value - 1].name, name, bytes) == 0)
            return (int32_t)(value - 1);
    }
    return -ENOENT;
}

int32_t pgd_board_add_symbol(struct pgd_board_writer *w, const char *name, size_t length,
                             enum pgd_cluster cluster)
{
    if (!pgd__symbol_valid(name, length))
        return -EINVAL;
    char text[PGD_SYMBOL_MAX] = "";
    memcpy(text, name, length);
    uint64_t count = shm_load64(&w->board->symbol_count);
    uint32_t slot = 0;
    int32_t found = pgd__symbol_find(w->hash, w->board->hash_slots, w->symbols, count, text, &slot);
    if (found >= 0)
        return found;
    if (count >= w->board->symbol_max)
        return -ENOSPC;
    struct pgd_symbol s = {.cluster = (uint8_t)cluster};
    memcpy(s.name, text, sizeof text);
    shm_copy_in(&w->symbols[count], &s, sizeof s / 8);
    shm_store32_release(&w->hash[slot], (uint32_t)count + 1);
    shm_store64_release(&w->board->symbol_count, count + 1);
    return (int32_t)count;
}

/* Names and clusters stay, what this run has not yet earned goes. A hash slot whose symbol was never counted
 * was the last one written: nothing probes past it, it can be emptied. */
static void keep_symbols(struct pgd_board_writer *w)
{
    uint64_t count = shm_load64(&w->board->symbol_count);
    for (uint64_t i = 0; i < count; i++) {
        struct pgd_symbol *s = &w->symbols[i];
        struct pgd_symbol fresh = {.cluster = s->cluster, .asked = s->asked, .wanted = s->wanted};
        size_t skip = sizeof fresh.name / 8;
        shm_copy_in((uint64_t *)s + skip, (const uint64_t *)&fresh + skip, sizeof fresh / 8 - skip);
    }
    for (uint32_t i = 0; i < w->board->hash_slots; i++)
        if (shm_load32(&w->hash[i]) > count)
            shm_store32(&w->hash[i], 0);
}

/* --------------------------------------------------------------------------------------------- own, close */

static int lock_owner(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* The board of an earlier run, locked: nobody else can take it over or succeed it. */
struct previous {
    int fd;             /* -1: none */
    struct pgd_map map; /* base NULL: it cannot be read */
    const struct pgd_board *board;
};

static void previous_close(struct previous *p)
{
    if (p->map.base != NULL)
        munmap(p->map.base, p->map.size);
    if (p->fd >= 0)
        close(p->fd);
    *p = (struct previous){.fd = -1};
}

static int previous_lock(struct previous *ret, const char *instance)
{
    for (int tries = 0; tries < OWN_TRIES; tries++) {
        int fd = pgd__segment_open(instance, BOARD_NAME);
        if (fd == -ENOENT) {
            *ret = (struct previous){.fd = -1};
            return 0;
        }
        if (fd < 0)
            return fd;
        int r = lock_owner(fd);
        if (r == 0 && pgd__segment_is_current(fd, instance, BOARD_NAME)) {
            *ret = (struct previous){.fd = fd};
            return 0;
        }
        close(fd);
        if (r < 0)
            return r;
    }
    return -EBUSY;
}

static void previous_read(struct previous *p)
{
    struct pgd_map map;
    if (p->fd < 0 || pgd__segment_map(&map, p->fd, PGD_KIND_BOARD, PROT_READ) < 0)
        return;
    p->map = map;
    const struct pgd_board *b = (const struct pgd_board *)(map.base + map.geometry_offset);
    if (map.geometry_size >= sizeof *b && b->symbol_count <= b->symbol_max &&
        pgd__extent_fits(map.size, b->symbols_offset, b->symbol_max, sizeof(struct pgd_symbol),
                         sizeof(struct pgd_symbol)))
        p->board = b;
}

/* Takes the directory of a board of another layout over: same names, same indexes. */
static void copy_symbols(struct pgd_board_writer *w, const struct previous *p)
{
    const struct pgd_symbol *from = (const struct pgd_symbol *)(p->map.base + p->board->symbols_offset);
    for (uint64_t i = 0; i < p->board->symbol_count; i++) {
        char name[PGD_SYMBOL_MAX];
        memcpy(name, from[i].name, sizeof name);
        size_t length = strnlen(name, sizeof name);
        int32_t at = pgd_board_add_symbol(w, name, length, (enum pgd_cluster)from[i].cluster);
        if (at >= 0) {
            w->symbols[at].asked = from[i].asked;
            w->symbols[at].wanted = from[i].wanted;
        }
    }
}

static void start_counters(struct pgd_board_writer *w)
{
    for (uint32_t i = 0; i < PGD_COUNTER_COUNT; i++) {
        shm_store64(&w->counters[i].value, 0);
        pgd__store_text(w->counters[i].name, pgd_counter_infos[i].name, sizeof w->counters[i].name);
    }
}

static void start_conns(struct pgd_board_writer *w)
{
    for (uint32_t i = 0; i < w->board->conn_max; i++) {
        struct pgd_conn conn = {.cluster = i};
        pgd__store_guarded(&conns_of(w)[i], &conn, sizeof conn / 8);
    }
}

static void repair_errors(struct pgd_board_writer *w)
{
    static const struct pgd_error none = {0};
    for (uint32_t i = 0; i < w->board->error_max; i++)
        if (shm_load64(&errors_of(w)[i].seq) & 1)
            pgd__store_guarded(&errors_of(w)[i], &none, sizeof none / 8);
}

/* A gap record that was left half written knows nothing any more; the rows themselves still show the hole. */
static void repair_gaps(struct pgd_board_writer *w)
{
    static const struct pgd_gap none = {0};
    for (uint32_t i = 0; i < w->board->gap_max; i++)
        if (shm_load64(&gaps_of(w)[i].seq) & 1)
            pgd__store_guarded(&gaps_of(w)[i], &none, sizeof none / 8);
}

static void start_run(struct pgd_board_writer *w, const struct pgd_board_config *config)
{
    struct pgd_board *b = w->board;
    start_counters(w);
    start_conns(w);
    repair_errors(w);
    repair_gaps(w);
    shm_store64_release(&b->segment_count, 0);
    pgd__store_text(b->control, config->control, sizeof b->control);
    pgd__store_text(b->version, config->version, sizeof b->version);
    pgd__store_text(b->engine, "", sizeof b->engine);
    shm_store32(&b->pid, (uint32_t)getpid());
    shm_store64(&b->started_ns, (uint64_t)pgd__realtime_ns());
    pgd_board_beat(w);
    pgd_board_set_run(w, PGD_RUN_STARTING);
}

/* Who this run is: the epoch behind the previous one's, the directory the previous one's if it can be kept.
 */
static struct pgd_owner owner_after(const struct previous *p, const char *instance,
                                    const struct pgd_board_config *config)
{
    struct pgd_owner owner = {.instance = instance, .mode = config->mode, .gid = config->gid};
    int64_t now_ns = pgd__realtime_ns();
    owner.epoch = p->map.base != NULL ? pgd_segment_epoch(&p->map) + 1 : (uint64_t)(now_ns / 1000000000);
    bool keep = !config->fresh && p->board != NULL && p->board->symbol_count <= config->symbol_max;
    owner.directory = keep ? pgd_segment_header(&p->map)->directory : (uint64_t)now_ns;
    return owner;
}

static int own(struct pgd_board_writer *ret, struct previous *p, const struct pgd_owner *owner,
               const struct pgd_board_config *config)
{
    struct pgd_board board;
    uint64_t size = board_make(&board, config);
    struct pgd_layout layout = {
        .name = BOARD_NAME,
        .kind = PGD_KIND_BOARD,
        .size = size,
        .geometry = &board,
        .geometry_size = sizeof board,
        .geometry_fixed = offsetof(struct pgd_board, control),
        .fields = board_fields,
        .field_count = BOARD_FIELDS,
    };
    struct pgd_board_writer w = {.epoch = owner->epoch, .mode = owner->mode, .gid = owner->gid};
    int r = pgd_segment_own(&w.map, owner, &layout);
    if (r < 0)
        return r;
    bind(&w);
    if (w.map.adopted) {
        /* The lock stays with the descriptor that holds it: the same file, opened earlier. */
        close(w.map.fd);
        w.map.fd = p->fd;
        p->fd = -1;
        keep_symbols(&w);
    } else {
        r = lock_owner(w.map.fd);
        if (r < 0) {
            pgd_segment_close(&w.map);
            return r;
        }
        if (p->board != NULL && pgd_segment_header(&p->map)->directory == owner->directory)
            copy_symbols(&w, p);
    }
    start_run(&w, config);
    pgd_segment_publish(&w.map, owner->epoch);
    *ret = w;
    return 0;
}

int pgd_board_own(struct pgd_board_writer *ret, const char *instance, const struct pgd_board_config *config)
{
    if (!pgd_instance_valid(instance) || !config_valid(config))
        return -EINVAL;
    struct previous p;
    int r = previous_lock(&p, instance);
    if (r < 0)
        return r;
    previous_read(&p);
    struct pgd_owner owner = owner_after(&p, instance, config);
    r = own(ret, &p, &owner, config);
    previous_close(&p);
    return r;
}

struct pgd_owner pgd_board_owner(const struct pgd_board_writer *w, const char *instance)
{
    return (struct pgd_owner){.instance = instance,
                              .epoch = w->epoch,
                              .mode = w->mode,
                              .gid = w->gid,
                              .directory = pgd_segment_header(&w->map)->directory};
}

void pgd_board_close(struct pgd_board_writer *w)
{
    pgd_segment_close(&w->map);
    *w = (struct pgd_board_writer){0};
}

/* ----------------------------------------------------------------------------------------------- the rest */

int pgd_board_add_segment(struct pgd_board_writer *w, const char *name, uint32_t kind, uint64_t size)
{
    struct pgd_segment_entry *entries = (struct pgd_segment_entry *)(w->map.base + w->board->segments_offset);
    struct pgd_segment_entry entry = {.kind = kind, .size = size};
    if (strlen(name) >= sizeof entry.name)
        return -EINVAL;
    memcpy(entry.name, name, strlen(name));
    uint64_t count = shm_load64(&w->board->segment_count), i = 0;
    while (i < count && strncmp(entries[i].name, name, sizeof entry.name) != 0)
        i++;
    if (i >= w->board->segment_max)
        return -ENOSPC;
    /* Untouched when nothing changes: a reader may be looking at what the previous run wrote. */
    if (memcmp(&entries[i], &entry, sizeof entry) != 0)
        shm_copy_in(&entries[i], &entry, sizeof entry / 8);
    if (i == count)
        shm_store64_release(&w->board->segment_count, count + 1);
    return 0;
}

void pgd_board_set_conn(struct pgd_board_writer *w, const struct pgd_conn *conn)
{
    if (conn->cluster < w->board->conn_max)
        pgd__store_guarded(&conns_of(w)[conn->cluster], conn, sizeof *conn / 8);
}

void pgd_board_set_gap(struct pgd_board_writer *w, uint32_t row, const struct pgd_gap *gap)
{
    if (row >= w->board->gap_max)
        return;
    pgd__store_guarded(&gaps_of(w)[row], gap, sizeof *gap / 8);
    if (row >= shm_load64(&w->board->gap_count))
        shm_store64_release(&w->board->gap_count, row + 1u);
}

uint32_t pgd_board_gap_max(const struct pgd_board_writer *w)
{
    return w->board->gap_max;
}

bool pgd_board_old_gap(const struct pgd_board_writer *w, uint32_t row, struct pgd_gap *ret)
{
    if (row >= w->board->gap_max || row >= shm_load64(&w->board->gap_count))
        return false;
    memcpy(ret, &gaps_of(w)[row], sizeof *ret);
    return ret->id != 0;
}

void pgd_board_set_run(struct pgd_board_writer *w, enum pgd_run_state state)
{
    shm_store32_release(&w->board->run_state, state);
}

void pgd_board_set_engine(struct pgd_board_writer *w, const char *text)
{
    pgd__store_text(w->board->engine, text, sizeof w->board->engine);
}

int64_t pgd__boottime_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void pgd_board_beat(struct pgd_board_writer *w)
{
    shm_store64(&w->board->heartbeat_ns, (uint64_t)pgd__boottime_ns());
}

void pgd_board_notify(struct pgd_board_writer *w)
{
    shm_store32_release(&w->board->notify, shm_load32(&w->board->notify) + 1);
    pgd_wake_all(&w->board->notify);
}

/* The entry of this text, else a free one, else the one that was seen least recently. */
static uint32_t error_slot(struct pgd_board_writer *w, const struct pgd_error *wanted)
{
    const struct pgd_error *errors = errors_of(w);
    uint32_t count = (uint32_t)shm_load64(&w->board->error_count), oldest = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(errors[i].where, wanted->where, sizeof wanted->where) == 0 &&
            memcmp(errors[i].text, wanted->text, sizeof wanted->text) == 0)
            return i;
        if (errors[i].last_ns < errors[oldest].last_ns)
            oldest = i;
    }
    return count < w->board->error_max ? count : oldest;
}

void pgd_board_error(struct pgd_board_writer *w, const char *where, const char *text)
{
    struct pgd_error e = {0};
    snprintf(e.where, sizeof e.where, "%s", where);
    snprintf(e.text, sizeof e.text, "%s", text);
    /* snprintf writes nothing behind the NUL: the rest is zero, texts compare as bytes */
    uint32_t i = error_slot(w, &e);
    const struct pgd_error *old = &errors_of(w)[i];
    uint64_t count = shm_load64(&w->board->error_count);
    bool known = i < count && memcmp(old->where, e.where, sizeof e.where) == 0 &&
                 memcmp(old->text, e.text, sizeof e.text) == 0;
    e.last_ns = pgd__realtime_ns();
    e.first_ns = known ? old->first_ns : e.last_ns;
    e.count = known ? old->count + 1 : 1;
    pgd__store_guarded(&errors_of(w)[i], &e, sizeof e / 8);
    if (i == count)
        shm_store64_release(&w->board->error_count, count + 1);
}
