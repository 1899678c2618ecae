/* Write side of bars segments. The order of rows, argued for the Arm model.
 *
 * Append of row h (capacity N; slot h mod N; head says h):
 *
 * - A1 release fence
 * - A2 bar words, then the meta word with rev 2 (relaxed)
 * - A3 head := h + 1 (store-release)
 *
 * Revision of row i:
 *
 * - V1 meta := odd rev (relaxed)
 * - V2 release fence
 * - V3 bar words (relaxed)
 * - V4 meta := next even rev (store-release)
 *
 * Reader of row i (series_read.c):
 *
 * - R1 head (load-acquire); i < head
 * - R2 meta (load-acquire); rev even
 * - R3 bar words (relaxed), indicators
 * - R4 acquire fence
 * - R5 meta again (load-acquire), after it head again (relaxed); the copy counts if meta is unchanged and
 *   i + N > head
 *
 * Whole: R1 read a head stored by A3 of row i or later, so A2 of row i happens before R3. If R2 read the meta
 * word of revision r, V4 of r (or A2) and with it the whole of that revision happens before R3.
 *
 * Not newer, same row: had R3 read a word of a later revision, V1 of that revision stands before the fence
 * V2, before the store that was read; R3 stands before the fence R4: fence to fence, R5 reads that odd word
 * or a later one in the slot. A later one of the same row differs from what R2 read (rev comes round only
 * after 32,767 revisions of one row within one copy). A later one of row i + N can be equal, since every row
 * begins with the same rev; but its store stands behind the fence A1 of that row, R5 reads it with acquire,
 * and so the head that R5 reads next is i + N or more. With a relaxed second load of meta the head could be
 * read before it: tests/model/relacy_row.cpp finds that.
 *
 * Not foreign: had R3 read a word of row i + N in the same slot, the head i + N was stored (A3 of row
 * i + N - 1) before the fence A1 of row i + N, which stands before the word that was read: fence to fence, R5
 * reads head >= i + N, and i + N > head fails. That is why a row counts as gone one append before its bytes
 * are overwritten, and why no mark is needed on a row that is not published yet.
 *
 * On Arm A1, V2 and R4 are `dmb`; a store-release instead of A1 or V2 would order what stands before it, not
 * the payload that follows, and a load-acquire instead of R4 what follows it, not the payload before.
 *
 * The forming bar follows V1-V4 and R2-R5 without the head. The indicators carry a tag before and after (see
 * PGD_UNIT_TAG) that the engine writes by the same rule as rev, so they are validated on their own, and
 * belong to the bar when the tag names its index and revision.
 *
 * Kill -9: stores of a dead process are visible in program order up to the one it died at; the fences and
 * releases keep the compiler to that order. An append that did not reach A3 never was. A revision or an
 * insertion is noted in the intent first and redone from it at adoption: see redo(). */
#include "shm/series.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define CAPACITY_MIN 16u
#define COLUMNS_MAX  511u
#define BAR_WORDS    (PGD_LINE / 8)

enum op { OP_REVISE = 1, OP_INSERT = 2 };

/* ------------------------------------------------------------------------------------------ layout */

static const struct pgd_field fixed_fields[] = {
#define F(rec, strct, member, type_, unit_)                                                                  \
    {                                                                                                        \
        .name = #member, .unit = unit_, .offset = offsetof(struct strct, member), .record = rec,             \
        .type = type_, .count = 1                                                                            \
    }
    F(PGD_REC_BAR, pgd_bar, t, PGD_I64, "ms"),
    F(PGD_REC_BAR, pgd_bar, o, PGD_F64, "price"),
    F(PGD_REC_BAR, pgd_bar, h, PGD_F64, "price"),
    F(PGD_REC_BAR, pgd_bar, l, PGD_F64, "price"),
    F(PGD_REC_BAR, pgd_bar, c, PGD_F64, "price"),
    F(PGD_REC_BAR, pgd_bar, v, PGD_F64, "shares"),
    F(PGD_REC_BAR, pgd_bar, vw, PGD_F64, "price"),
    F(PGD_REC_BAR, pgd_bar, rev, PGD_U16, ""),
    F(PGD_REC_BAR, pgd_bar, flags, PGD_U16, "bits"),
    F(PGD_REC_BAR, pgd_bar, n, PGD_U32, "trades"),
    F(PGD_REC_SERIES, pgd_series, head, PGD_U64, "rows"),
    F(PGD_REC_SERIES, pgd_series, session, PGD_U32, ""),
    F(PGD_REC_SERIES, pgd_series, in_use, PGD_U32, ""),
    F(PGD_REC_SERIES, pgd_series, computed, PGD_U64, "rows"),
    F(PGD_REC_SERIES, pgd_series, recompute, PGD_U64, "row+1"),
    F(PGD_REC_DAY, pgd_day, seq, PGD_U64, ""),
    F(PGD_REC_DAY, pgd_day, t, PGD_I64, "ms"),
    F(PGD_REC_DAY, pgd_day, op, PGD_F64, "price"),
    F(PGD_REC_DAY, pgd_day, av, PGD_F64, "shares"),
    F(PGD_REC_DAY, pgd_day, a, PGD_F64, "price"),
    F(PGD_REC_LOG, pgd_change, commit, PGD_U64, ""),
    F(PGD_REC_LOG, pgd_change, symbol, PGD_U32, "index"),
    F(PGD_REC_LOG, pgd_change, flags, PGD_U32, "bits"),
    F(PGD_REC_LOG, pgd_change, first, PGD_U64, "row"),
    F(PGD_REC_LOG, pgd_change, bars, PGD_U64, "rows"),
    F(PGD_REC_LOG, pgd_change, rows, PGD_U64, "rows"),
    F(PGD_REC_LOG, pgd_change, t_ns, PGD_I64, "ns"),
    {.name = "tag", .offset = 0, .record = PGD_REC_UNIT, .type = PGD_U64, .count = 1},
#undef F
};
#define FIXED_FIELDS (sizeof fixed_fields / sizeof fixed_fields[0])

static uint64_t align_unit(uint64_t n)
{
    return (n + PGD_UNIT - 1) / PGD_UNIT * PGD_UNIT;
}

/* Strides that are a power of two, or three times one, make every series fall on the same few sets of the
 * caches and translation buffers between here and a GPU: an odd number of 128-byte units never is. */
static uint64_t odd_stride(uint64_t n)
{
    uint64_t units = align_unit(n) / PGD_UNIT;
    return (units | 1) * PGD_UNIT;
}

static bool config_valid(const struct pgd_bars_config *c)
{
    if (c->timespan == NULL || c->timespan[0] == '\0' ||
        strlen(c->timespan) >= sizeof((struct pgd_bars_geometry){0}.timespan))
        return false;
    if (c->span_ms <= 0 || c->series_max == 0 || c->series_max > PGD_SERIES_LIMIT)
        return false;
    if (c->capacity < CAPACITY_MIN || c->capacity > PGD_CAPACITY_LIMIT || c->column_count > COLUMNS_MAX)
        return false;
    if (c->log_capacity < 256 || c->log_capacity > PGD_CAPACITY_LIMIT ||
        (c->log_capacity & (c->log_capacity - 1)) != 0)
        return false;
    if ((c->state_size & 7) != 0 || (uint64_t)c->state_size * c->state_slots > UINT32_MAX)
        return false;
    for (uint32_t i = 0; i < c->column_count; i++)
        if (strlen(c->columns[i].name) >= sizeof((struct pgd_field){0}.name))
            return false;
    return true;
}

/* Fills the geometry; returns the size of the whole segment. With the limits above nothing here can wrap. */
static uint64_t geometry_make(struct pgd_bars_geometry *g, uint64_t *ret_log_slots,
                              const struct pgd_bars_config *c)
{
    *g = (struct pgd_bars_geometry){
        .span_ms = c->span_ms,
        .series_max = c->series_max,
        .capacity = c->capacity,
        .series_stride = sizeof(struct pgd_series),
        .bar_stride = PGD_LINE,
        .unit_size = (uint32_t)align_unit(8 * (1 + (uint64_t)c->column_count)),
        .columns = c->column_count,
        .state_size = c->state_size,
        .state_slots = c->state_slots,
        .state_every = c->state_every,
    };
    memcpy(g->timespan, c->timespan, strlen(c->timespan));
    g->unit_stride = g->unit_size;
    uint64_t bars = align_unit((uint64_t)c->capacity * g->bar_stride);
    g->rows_stride = odd_stride(bars + (uint64_t)c->capacity * g->unit_stride);
    g->state_stride = odd_stride((uint64_t)c->state_slots * c->state_size);

    uint64_t at = pgd_layout_body(sizeof *g, FIXED_FIELDS + c->column_count);
    g->intent_offset = at;
    at += align_unit(sizeof(struct pgd_intent));
    g->log_offset = at;
    at += align_unit(sizeof(struct pgd_tape));
    *ret_log_slots = at;
    at += align_unit((uint64_t)c->log_capacity * PGD_LINE);
    g->series_offset = at;
    at += align_unit((uint64_t)c->series_max * g->series_stride);
    g->bar_offset = at;
    g->unit_offset = at + bars;
    at += (uint64_t)c->series_max * g->rows_stride;
    g->state_offset = at;
    return at + (uint64_t)c->series_max * g->state_stride;
}

uint64_t pgd_bars_layout(struct pgd_bars_geometry *ret, const struct pgd_bars_config *config)
{
    uint64_t slots;
    return config_valid(config) ? geometry_make(ret, &slots, config) : 0;
}

uint64_t pgd_bars_size(const struct pgd_bars_config *config)
{
    struct pgd_bars_geometry geometry;
    return pgd_bars_layout(&geometry, config);
}

static struct pgd_field *fields_new(const struct pgd_bars_config *c)
{
    struct pgd_field *fields = calloc(FIXED_FIELDS + c->column_count, sizeof *fields);
    if (fields == NULL)
        return NULL;
    memcpy(fields, fixed_fields, sizeof fixed_fields);
    for (uint32_t i = 0; i < c->column_count; i++) {
        struct pgd_field *f = &fields[FIXED_FIELDS + i];
        snprintf(f->name, sizeof f->name, "%s", c->columns[i].name);
        snprintf(f->unit, sizeof f->unit, "%s", c->columns[i].unit);
        f->offset = 8 * (1 + i);
        f->record = PGD_REC_UNIT;
        f->type = PGD_F64;
        f->count = 1;
    }
    return fields;
}

/* -------------------------------------------------------------------------------------------- rows */

static struct pgd_series *series_of(const struct pgd_bars *b, uint32_t series)
{
    return (struct pgd_series *)(b->map.base + b->geo->series_offset + series * b->geo->series_stride);
}

static uint64_t *row_of(const struct pgd_bars *b, uint32_t series, uint64_t index)
{
    return (uint64_t *)(b->map.base + b->geo->bar_offset + series * b->geo->rows_stride +
                        index % b->geo->capacity * b->geo->bar_stride);
}

static struct pgd_intent *intent_of(const struct pgd_bars *b)
{
    return (struct pgd_intent *)(b->map.base + b->geo->intent_offset);
}

static uint64_t meta_of(uint16_t rev, const struct pgd_bar *bar)
{
    return (uint64_t)rev | (uint64_t)bar->flags << 16 | (uint64_t)bar->n << 32;
}

/* Even, never 0: 0 is a slot that was never written. */
static uint16_t next_rev(uint16_t rev)
{
    uint16_t next = (uint16_t)((rev | 1) + 1);
    return next != 0 ? next : 2;
}

/* V1 to V4; takes up a row that was left odd. */
static void rewrite(uint64_t *row, const struct pgd_bar *bar)
{
    uint64_t words[BAR_WORDS];
    memcpy(words, bar, sizeof words);
    uint64_t meta = shm_load64(row + BAR_WORDS - 1);
    shm_store64(row + BAR_WORDS - 1, meta | 1);
    shm_fence_release();
    shm_copy_in(row, words, BAR_WORDS - 1);
    shm_store64_release(row + BAR_WORDS - 1, meta_of(next_rev((uint16_t)meta), bar));
}

static void row_load(struct pgd_bar *ret, const uint64_t *row)
{
    uint64_t words[BAR_WORDS];
    shm_copy_out(words, row, BAR_WORDS);
    memcpy(ret, words, sizeof *ret);
}

uint64_t pgd_bars_head(const struct pgd_bars *bars, uint32_t series)
{
    return shm_load64(&series_of(bars, series)->head);
}

/* The slot of row head - capacity is the next to be written, so that row counts as gone. */
static uint64_t first_of(uint64_t head, uint64_t capacity)
{
    return head >= capacity ? head - capacity + 1 : 0;
}

uint64_t pgd_bars_first(const struct pgd_bars *bars, uint32_t series)
{
    return first_of(pgd_bars_head(bars, series), bars->geo->capacity);
}

uint64_t pgd_bars_append(struct pgd_bars *bars, uint32_t series, const struct pgd_bar *bar)
{
    struct pgd_series *s = series_of(bars, series);
    uint64_t head = shm_load64(&s->head);
    uint64_t *row = row_of(bars, series, head);
    uint64_t words[BAR_WORDS];
    memcpy(words, bar, sizeof words);
    shm_fence_release();
    shm_copy_in(row, words, BAR_WORDS - 1);
    shm_store64(row + BAR_WORDS - 1, meta_of(2, bar));
    shm_store64_release(&s->head, head + 1);
    shm_hand_on(row);
    return head;
}

/* Slots that no row has had yet are written together: nobody reads one before A3 has moved the head past it,
 * and there is no older row in it to be torn. A slot that has had one may only be written once the head
 * stands right at its new row, so from then on the head moves row by row. */
void pgd_bars_append_all(struct pgd_bars *bars, uint32_t series, const struct pgd_bar *given, size_t count)
{
    struct pgd_series *s = series_of(bars, series);
    uint64_t capacity = bars->geo->capacity, head = shm_load64(&s->head);
    while (count > 0) {
        uint64_t fresh = head < capacity ? capacity - head : 1;
        size_t n = count < fresh ? count : (size_t)fresh;
        uint64_t *row = row_of(bars, series, head);
        shm_fence_release();
        for (size_t i = 0; i < n; i++, row += bars->geo->bar_stride / 8) {
            uint64_t words[BAR_WORDS];
            memcpy(words, &given[i], sizeof words);
            shm_copy_in(row, words, BAR_WORDS - 1);
            shm_store64(row + BAR_WORDS - 1, meta_of(2, &given[i]));
        }
        head += n;
        shm_store64_release(&s->head, head);
        given += n;
        count -= n;
    }
}

static void intent_begin(struct pgd_bars *bars, enum op op, uint32_t series, uint64_t index, uint64_t at,
                         const struct pgd_bar *bar)
{
    struct pgd_intent *intent = intent_of(bars);
    struct pgd_intent note = {.op = op,
                              .series = series,
                              .index = index,
                              .head = pgd_bars_head(bars, series),
                              .at = at,
                              .bar = *bar};
    uint64_t seq = shm_load64(&intent->seq);
    shm_fence_release();
    uint64_t words[sizeof note / 8];
    memcpy(words, &note, sizeof note);
    shm_copy_in((uint64_t *)intent + 1, words + 1, sizeof note / 8 - 1);
    shm_store64_release(&intent->seq, seq | 1);
    shm_fence_release();
}

static void intent_end(struct pgd_bars *bars)
{
    struct pgd_intent *intent = intent_of(bars);
    shm_store64_release(&intent->seq, (shm_load64(&intent->seq) | 1) + 1);
}

int pgd_bars_revise(struct pgd_bars *bars, uint32_t series, uint64_t index, const struct pgd_bar *bar)
{
    if (index >= pgd_bars_head(bars, series) || index < pgd_bars_first(bars, series))
        return -ERANGE;
    intent_begin(bars, OP_REVISE, series, index, index, bar);
    rewrite(row_of(bars, series, index), bar);
    intent_end(bars);
    return 0;
}

/* Moves rows [index, at) up one, from the top, and writes the new bar. `at` is noted before its row is
 * touched and after the row above it is whole; so whenever the writer dies, rows above `at` have moved, rows
 * below are as they were, and the row at `at` is written again from the one below it. */
static void insert_from(struct pgd_bars *bars, uint32_t series, uint64_t index, uint64_t at,
                        const struct pgd_bar *bar)
{
    struct pgd_intent *intent = intent_of(bars);
    for (; at > index; at--) {
        struct pgd_bar below;
        shm_store64_release(&intent->at, at);
        shm_fence_release();
        row_load(&below, row_of(bars, series, at - 1));
        rewrite(row_of(bars, series, at), &below);
    }
    shm_store64_release(&intent->at, index);
    shm_fence_release();
    rewrite(row_of(bars, series, index), bar);
}

int pgd_bars_insert(struct pgd_bars *bars, uint32_t series, uint64_t index, const struct pgd_bar *bar)
{
    uint64_t head = pgd_bars_head(bars, series);
    if (index > head || index < first_of(head + 1, bars->geo->capacity))
        return -ERANGE;
    if (index == head) {
        pgd_bars_append(bars, series, bar);
        return 0;
    }
    struct pgd_bar last;
    intent_begin(bars, OP_INSERT, series, index, head - 1, bar);
    row_load(&last, row_of(bars, series, head - 1));
    pgd_bars_append(bars, series, &last);
    insert_from(bars, series, index, head - 1, bar);
    intent_end(bars);
    return 0;
}

uint64_t pgd_bars_search(const struct pgd_bars *bars, uint32_t series, int64_t t_ms)
{
    uint64_t first = pgd_bars_first(bars, series), head = pgd_bars_head(bars, series);
    /* Gallop down from the newest until a row is older, then halve. Invariant: rows from `high` on are >=
     * t_ms. */
    uint64_t low = first, high = head;
    for (uint64_t step = 1; high > first; step *= 2) {
        uint64_t probe = high - first > step ? high - step : first;
        if ((int64_t)shm_load64(row_of(bars, series, probe)) < t_ms) {
            low = probe + 1;
            break;
        }
        high = probe;
    }
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if ((int64_t)shm_load64(row_of(bars, series, mid)) < t_ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void pgd_bars_peek(const struct pgd_bars *bars, uint32_t series, uint64_t index, struct pgd_bar *ret)
{
    row_load(ret, row_of(bars, series, index));
}

void pgd_bars_forming(struct pgd_bars *bars, uint32_t series, const struct pgd_bar *bar)
{
    rewrite((uint64_t *)&series_of(bars, series)->forming, bar);
}

void pgd_bars_day(struct pgd_bars *bars, uint32_t series, const struct pgd_day *day)
{
    pgd__store_guarded(&series_of(bars, series)->day, day, sizeof *day / 8);
}

void pgd_bars_open_series(struct pgd_bars *bars, uint32_t series, enum pgd_session session)
{
    struct pgd_series *s = series_of(bars, series);
    shm_store32(&s->session, session);
    shm_store32_release(&s->in_use, 1);
}

/* ---------------------------------------------------------------------------------------- adoption */

static void redo_insert(struct pgd_bars *bars, const struct pgd_intent *note)
{
    if (pgd_bars_head(bars, note->series) == note->head) {
        struct pgd_bar last;
        row_load(&last, row_of(bars, note->series, note->head - 1));
        pgd_bars_append(bars, note->series, &last);
    }
    insert_from(bars, note->series, note->index, note->at, &note->bar);
}

static void redo(struct pgd_bars *bars)
{
    struct pgd_intent *intent = intent_of(bars);
    if ((shm_load64_acquire(&intent->seq) & 1) == 0)
        return;
    struct pgd_intent note;
    uint64_t words[sizeof note / 8];
    shm_copy_out(words, intent, sizeof note / 8);
    memcpy(&note, words, sizeof note);
    bool sane = note.series < bars->geo->series_max && note.index <= note.at && note.at < note.head &&
                note.head - note.index < bars->geo->capacity;
    if (sane && note.op == OP_REVISE)
        rewrite(row_of(bars, note.series, note.index), &note.bar);
    else if (sane && note.op == OP_INSERT)
        redo_insert(bars, &note);
    intent_end(bars);
}

/* The forming bar belongs to a run that is over; day figures stay unless the writer died in them. */
static void repair_series(struct pgd_bars *bars, uint32_t series)
{
    static const struct pgd_bar none = {0};
    static const struct pgd_day unknown = {.op = NAN, .av = NAN, .a = NAN};
    struct pgd_series *s = series_of(bars, series);
    if (s->forming.t != 0 || s->forming.rev & 1)
        pgd_bars_forming(bars, series, &none);
    if (s->day.seq & 1)
        pgd_bars_day(bars, series, &unknown);
}

static int own(struct pgd_bars *ret, const struct pgd_owner *owner, const struct pgd_layout *layout,
               const struct pgd_bars_config *config, uint64_t log_slots)
{
    struct pgd_bars bars = {0};
    int r = pgd_segment_own(&bars.map, owner, layout);
    if (r < 0)
        return r;
    bars.geo = (const struct pgd_bars_geometry *)(bars.map.base + bars.map.geometry_offset);
    if (bars.map.adopted) {
        redo(&bars);
        for (uint32_t s = 0; s < bars.geo->series_max; s++)
            repair_series(&bars, s);
    } else {
        pgd_tape_format(&bars.map, bars.geo->log_offset, log_slots, config->log_capacity, 0, 0);
    }
    pgd_tape_writer_init(&bars.log, &bars.map, bars.geo->log_offset);
    pgd_segment_publish(&bars.map, owner->epoch);
    *ret = bars;
    return 0;
}

int pgd_bars_own(struct pgd_bars *ret, const struct pgd_owner *owner, const struct pgd_bars_config *config)
{
    if (!config_valid(config))
        return -EINVAL;
    struct pgd_bars_geometry geometry;
    uint64_t log_slots, size = geometry_make(&geometry, &log_slots, config);
    struct pgd_field *fields = fields_new(config);
    if (fields == NULL)
        return -ENOMEM;
    char name[PGD_SEGMENT_MAX];
    snprintf(name, sizeof name, "bars.%s", config->timespan);
    struct pgd_layout layout = {
        .name = name,
        .kind = PGD_KIND_BARS,
        .size = size,
        .geometry = &geometry,
        .geometry_size = sizeof geometry,
        .fields = fields,
        .field_count = (uint32_t)(FIXED_FIELDS + config->column_count),
    };
    int r = own(ret, owner, &layout, config, log_slots);
    free(fields);
    return r;
}

void pgd_bars_close(struct pgd_bars *bars)
{
    pgd_segment_close(&bars->map);
    *bars = (struct pgd_bars){0};
}
