#define PGK_STRIDE 8 /* one lane is stepped alone: from a row to the next are the other lanes */
#include "tile.h"

#include <string.h>

#include "step/stoch.h"

_Static_assert(PGK_STRIDE == PGK_TILE, "a lane's rows are a tile apart");

static void add_band(struct pgk_layout *layout, uint32_t op, uint32_t n, enum pgk_band_kind kind)
{
    struct pgk_band *band = layout->band, *end = band + layout->bands;
    while (band < end && (band->n != n || (band->kind == PGK_BAND_RANGE) != (kind == PGK_BAND_RANGE)))
        band++;
    if (band == end)
        *band = (struct pgk_band){n, kind}, layout->bands++;
    if (band->kind < kind)
        band->kind = kind;
    layout->band_of[op] = (uint8_t)(band - layout->band);
}

/* Whichever of the shared things the op wants. */
static void add_bands(struct pgk_layout *layout, uint32_t i)
{
    const struct pgk_op *op = &layout->plan->op[i];
    switch (op->id) {
    case PGK_SMA:
        add_band(layout, i, op->n[0], PGK_BAND_MEAN);
        break;
    case PGK_BB:
    case PGK_STDDEV:
        add_band(layout, i, op->n[0], PGK_BAND_SIGMA);
        break;
    case PGK_STOCH:
        add_band(layout, i, op->n[0], PGK_BAND_RANGE);
        break;
    default:
        break;
    }
}

/* The team's ops, of those that are in none yet; false when some kind has none left. */
static bool gather_team(struct pgk_turn *turn, const struct pgk_plan *plan, const uint32_t *kinds,
                        const bool *taken)
{
    for (turn->ops = 0; turn->ops < PGK_TEAM_OPS && kinds[turn->ops] != PGK_INDICATORS; turn->ops++) {
        uint32_t i =
            turn->ops > 0 && kinds[turn->ops] == kinds[turn->ops - 1] ? turn->op[turn->ops - 1] + 1u : 0;
        while (i < plan->ops && (taken[i] || plan->op[i].id != kinds[turn->ops]))
            i++;
        if (i == plan->ops)
            return false;
        turn->op[turn->ops] = (uint8_t)i;
    }
    return true;
}

static void add_turns(struct pgk_layout *layout)
{
    static const uint32_t kinds[PGK_TEAM_NONE][PGK_TEAM_OPS] = {
#define TWO(a, b)        {PGK_##a, PGK_##b, PGK_INDICATORS},
#define FOUR(a, b, c, d) {PGK_##a, PGK_##b, PGK_##c, PGK_##d},
        PGK_TEAMS(TWO, FOUR)};
#undef TWO
#undef FOUR
    bool taken[PGK_COLUMNS_MAX] = {false};
    struct pgk_turn *turn = layout->turn;
    for (uint32_t team = 0; team < PGK_TEAM_NONE; team++) {
        while (gather_team(turn, layout->plan, kinds[team], taken)) {
            for (uint32_t i = 0; i < turn->ops; i++)
                taken[turn->op[i]] = true;
            turn++->team = team;
        }
    }
    for (uint32_t i = 0; i < layout->plan->ops; i++)
        if (!taken[i])
            *turn++ = (struct pgk_turn){PGK_TEAM_NONE, 1, {(uint8_t)i}};
    layout->turns = (uint32_t)(turn - layout->turn);
}

/* What a step reads before its own row, of those fields of which the plan has more. */
static void reach_back(uint32_t *past, const struct pgk_op *op)
{
    uint32_t ranges = op->id == PGK_STOCH ? op->n[0] - 1 : 0;
    ranges = op->id == PGK_MFI ? op->n[0] : ranges;
    past[PGK_H] = ranges > past[PGK_H] ? ranges : past[PGK_H];
    past[PGK_L] = ranges > past[PGK_L] ? ranges : past[PGK_L];
    for (uint32_t i = 0; op->derived != 0 && i < PGK_DERIVED_MAX; i++)
        past[op->derived + i] = op->n[1 + i] - 1;
}

void pgk_layout_init(struct pgk_layout *ret, const struct pgk_plan *plan, uint32_t room)
{
    size_t at = (size_t)plan->words * PGK_TILE;
    *ret = (struct pgk_layout){.plan = plan, .room = room, .slide = room == 1 ? PGK_SLIDE : 0};
    memcpy(ret->past, plan->halo, sizeof ret->past);
    if (room == 1)
        ret->past[PGK_H] = ret->past[PGK_L] = 0;
    for (uint32_t i = 0; i < plan->ops; i++) {
        if (room == 1)
            reach_back(ret->past, &plan->op[i]);
        add_bands(ret, i);
    }
    add_turns(ret);
    ret->first = at;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t f = 0; f < plan->fields; f++) {
            if ((ret->past[f] == 0) != (pass == 1))
                continue;
            ret->now[f] = at + (size_t)ret->past[f] * PGK_TILE;
            at = ret->now[f] + (size_t)room * PGK_TILE;
        }
        if (pass == 0) {
            ret->lines = (at - ret->first) / PGK_TILE;
            at += (size_t)ret->slide * PGK_TILE;
        }
    }
    /* an odd number of lines: the same line of many tiles must not fall on one set of a cache */
    ret->size = (sizeof(struct pgk_tile) + at * sizeof(double)) | PGD_LINE;
}

void pgk_tile_room(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t rows)
{
    if (tile->at + rows <= layout->room)
        return;
    const size_t row = PGK_TILE * sizeof(double);
    for (uint32_t f = 0; f < layout->plan->fields; f++) {
        double *to = tile->data + layout->now[f] - (size_t)layout->past[f] * PGK_TILE;
        memmove(to, to + tile->at * PGK_TILE, layout->past[f] * row);
    }
    tile->at = 0;
}

void pgk_tile_wait(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane, uint32_t rows)
{
    for (uint32_t f = 0; f < layout->plan->fields; f++) {
        double *to = pgk_tile_now(layout, tile, f) + lane + ((size_t)rows - 1) * PGK_TILE;
        const double *from = to - (size_t)rows * PGK_TILE;
        for (uint32_t i = 0; i < layout->past[f]; i++, to -= PGK_TILE, from -= PGK_TILE)
            *to = *from;
    }
}

/* All fields in one go: what comes into the place of a field's new row nobody reads. */
void pgk_tile_shift(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane)
{
    double *to = tile->data + layout->first + lane;
    for (size_t i = 1; i < layout->lines; i++, to += PGK_TILE)
        *to = to[PGK_TILE];
}

void pgk_tile_level(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t slid)
{
    double *to = tile->data + layout->first;
    memmove(to, to + (size_t)slid * PGK_TILE, layout->lines * PGK_TILE * sizeof *to);
}

void pgk_tile_copy(const struct pgk_layout *to_layout, struct pgk_tile *to, uint32_t to_lane,
                   const struct pgk_layout *from_layout, struct pgk_tile *from, uint32_t from_lane)
{
    const struct pgk_plan *plan = from_layout->plan;
    for (uint32_t w = 0; w < plan->words; w++)
        memcpy(&pgk_tile_word(to, w)[to_lane], &pgk_tile_word(from, w)[from_lane], sizeof(double));
    for (uint32_t f = 0; f < plan->fields; f++) {
        double *t = pgk_tile_now(to_layout, to, f) + to_lane;
        const double *s = pgk_tile_now(from_layout, from, f) + from_lane;
        for (uint32_t i = 0; i < to_layout->past[f]; i++)
            *(t -= PGK_TILE) = *(s -= PGK_TILE);
    }
    to->row[to_lane] = from->row[from_lane];
    to->origin[to_lane] = from->origin[from_lane];
    to->held[to_lane] = from->held[from_lane];
    to->from[to_lane] = to->until[to_lane] = 0;
}

/* Only stoch derives. */
void pgk_tile_derive(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane)
{
    const struct pgk_plan *plan = layout->plan;
    for (uint32_t i = 0; plan->fields > PGK_BAR_FIELDS && i < plan->ops; i++) {
        const struct pgk_op *op = &plan->op[i];
        if (op->derived == 0)
            continue;
        for (uint32_t back = op->warm; back > 0; back--) {
            size_t past = (size_t)back * PGK_TILE;
            pgk_real out[PGK_OUTPUTS];
            const struct pgk_row row = {
                .h = pgk_tile_now(layout, tile, PGK_H) + lane - past,
                .l = pgk_tile_now(layout, tile, PGK_L) + lane - past,
                .c = pgk_tile_now(layout, tile, PGK_C) + lane - past,
                .derived = {pgk_tile_now(layout, tile, op->derived) + lane - past,
                            pgk_tile_now(layout, tile, op->derived + 1) + lane - past},
                .steady = true};
            pgk_stoch_step(op, NULL, &row, out);
        }
    }
}

void pgk_tile_session(struct pgk_tile *tile, uint32_t lane, int64_t t_ms, bool utc)
{
    struct pgk_span span = pgk_span(t_ms, utc);
    tile->from[lane] = span.from;
    tile->until[lane] = span.until;
    tile->key[0][lane] = span.key[0];
    tile->key[1][lane] = span.key[1];
}

void pgk_tile_get_state(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane,
                        uint64_t *words)
{
    for (uint32_t w = 0; w < layout->plan->words; w++)
        memcpy(&words[w], &pgk_tile_word(tile, w)[lane], sizeof *words);
}

void pgk_tile_set_state(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane,
                        const uint64_t *words)
{
    for (uint32_t w = 0; w < layout->plan->words; w++)
        memcpy(&pgk_tile_word(tile, w)[lane], &words[w], sizeof *words);
}
