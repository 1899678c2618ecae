#include "shm/tapes.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define FIELD(rec, name_, type_, struct_, member, unit_, count_)                                             \
    {                                                                                                        \
        .name = name_, .unit = unit_, .offset = offsetof(struct struct_, member), .record = rec,             \
        .type = type_, .count = count_                                                                       \
    }
#define T(name, type, member, unit) FIELD(PGD_REC_SLOT, name, type, pgd_trade, member, unit, 1)
#define Q(name, type, member, unit) FIELD(PGD_REC_SLOT, name, type, pgd_quote, member, unit, 1)

static const struct pgd_field trade_fields[] = {
    T("commit", PGD_U64, commit, ""),
    T("symbol", PGD_U32, symbol, "index"),
    T("exchange", PGD_U16, exchange, "id"),
    T("trf", PGD_U8, trf, "id"),
    T("flags", PGD_U8, flags, "bits"),
    T("t", PGD_I64, t, "ns"),
    T("price", PGD_F64, price, "price"),
    T("size", PGD_F64, size, "shares"),
    T("seq", PGD_U64, seq, ""),
    T("id", PGD_U64, id, ""),
    FIELD(PGD_REC_SLOT, "cond", PGD_U16, pgd_trade, cond, "id+1", 4),
};

static const struct pgd_field quote_fields[] = {
    Q("commit", PGD_U64, commit, ""),
    Q("symbol", PGD_U32, symbol, "index"),
    Q("bid_exchange", PGD_U16, bid_exchange, "id"),
    Q("ask_exchange", PGD_U16, ask_exchange, "id"),
    Q("t", PGD_I64, t, "ns"),
    Q("bid", PGD_F64, bid, "price"),
    Q("ask", PGD_F64, ask, "price"),
    Q("bid_size", PGD_F64, bid_size, "as sent"),
    Q("ask_size", PGD_F64, ask_size, "as sent"),
    Q("seq", PGD_U32, seq, ""),
    Q("cond", PGD_U16, cond, "id+1"),
    Q("flags", PGD_U8, flags, "bits"),
};

struct plan {
    struct pgd_layout layout;
    struct pgd_tape_geometry geometry;
    uint64_t slots;
    uint64_t latest;
};

static const char *name_of(enum pgd_tapes kind)
{
    return kind == PGD_TAPES_TRADES ? "trades" : "quotes";
}

static int plan_make(struct plan *p, enum pgd_tapes kind, uint32_t capacity, uint32_t symbol_max)
{
    if (kind != PGD_TAPES_TRADES && kind != PGD_TAPES_QUOTES)
        return -EINVAL;
    if (capacity < 256 || capacity > PGD_CAPACITY_LIMIT || (capacity & (capacity - 1)) != 0 ||
        symbol_max > PGD_SERIES_LIMIT)
        return -EINVAL;
    bool trades = kind == PGD_TAPES_TRADES;
    uint32_t fields = (uint32_t)(trades ? sizeof trade_fields / sizeof trade_fields[0]
                                        : sizeof quote_fields / sizeof quote_fields[0]);
    *p = (struct plan){0};
    uint64_t body = pgd_layout_body(sizeof p->geometry, fields);
    p->geometry.tape_offset = body;
    p->geometry.capacity = capacity;
    p->geometry.latest_count = symbol_max;
    p->latest = body + sizeof(struct pgd_tape);
    p->slots = p->latest + (uint64_t)symbol_max * PGD_LINE;
    p->layout = (struct pgd_layout){
        .name = name_of(kind),
        .kind = PGD_KIND_TAPE,
        .size = p->slots + (uint64_t)capacity * PGD_LINE,
        .geometry = &p->geometry,
        .geometry_size = sizeof p->geometry,
        .fields = trades ? trade_fields : quote_fields,
        .field_count = fields,
    };
    return 0;
}

uint64_t pgd_tapes_size(enum pgd_tapes kind, uint32_t capacity, uint32_t symbol_max)
{
    struct plan p;
    return plan_make(&p, kind, capacity, symbol_max) == 0 ? p.layout.size : 0;
}

int pgd_tapes_own(struct pgd_tape_segment *ret, const struct pgd_owner *owner, enum pgd_tapes kind,
                  uint32_t capacity, uint32_t symbol_max)
{
    struct plan p;
    int r = plan_make(&p, kind, capacity, symbol_max);
    if (r < 0)
        return r;
    struct pgd_tape_segment s = {0};
    r = pgd_segment_own(&s.map, owner, &p.layout);
    if (r < 0)
        return r;
    if (!s.map.adopted)
        pgd_tape_format(&s.map, p.geometry.tape_offset, p.slots, capacity, p.latest, symbol_max);
    pgd_tape_writer_init(&s.writer, &s.map, p.geometry.tape_offset);
    pgd_segment_publish(&s.map, owner->epoch);
    *ret = s;
    return 0;
}

void pgd_tapes_close(struct pgd_tape_segment *segment)
{
    pgd_segment_close(&segment->map);
    memset(&segment->writer, 0, sizeof segment->writer);
}

int pgd_tapes_attach(struct pgd_map *ret, struct pgd_tape_reader *ret_reader, const char *instance,
                     enum pgd_tapes kind, enum pgd_from from)
{
    struct pgd_map map;
    int r = pgd_segment_attach(&map, instance, name_of(kind), PGD_KIND_TAPE);
    if (r < 0)
        return r;
    if (map.geometry_size < sizeof(struct pgd_tape_geometry)) {
        pgd_segment_close(&map);
        return -EPROTO;
    }
    struct pgd_tape_geometry geo;
    shm_copy_out(&geo, map.base + map.geometry_offset, sizeof geo / 8);
    r = pgd_tape_reader_init(ret_reader, &map, geo.tape_offset, from);
    if (r < 0) {
        pgd_segment_close(&map);
        return r;
    }
    *ret = map;
    return 0;
}
