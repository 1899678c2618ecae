/* tile.h - eight series side by side: what the next row of each is stepped from.
 *
 * A tile holds, for each of its lanes, the state words of the recurrences and the last rows of every field
 * that windows look back on. Values of the same row and field of the eight lanes lie next to each other, so
 * that one vector instruction steps them all. All lanes stand at the same place in the tile, whatever rows of
 * their series they are at. */
#ifndef KERNELS_TILE_H
#define KERNELS_TILE_H

#include "plan.h"
#include "state.h"
#include "step/session.h"

#define PGK_TILE  8u /* lanes */
#define PGK_SLIDE 7u /* see pgk_layout_init */

/* What ops of one period share: of the closes their mean, and their deviation too; or the range of highs and
 * lows. */
enum pgk_band_kind { PGK_BAND_MEAN, PGK_BAND_SIGMA, PGK_BAND_RANGE };

struct pgk_band {
    uint32_t n;
    enum pgk_band_kind kind;
};

/* Recurrences that are stepped side by side, since each waits for its own row before: their kinds. */
#define PGK_TEAMS(TWO, FOUR)                                                                                 \
    FOUR(EMA, RSI, MACD, ATR)                                                                                \
    TWO(RSI, ATR)                                                                                            \
    TWO(RSI, MACD)                                                                                           \
    TWO(EMA, MACD)                                                                                           \
    TWO(EMA, EMA)

enum pgk_team {
#define PGK_TEAM_TWO(a, b)        PGK_TEAM_##a##_##b,
#define PGK_TEAM_FOUR(a, b, c, d) PGK_TEAM_##a##_##b##_##c##_##d,
    PGK_TEAMS(PGK_TEAM_TWO, PGK_TEAM_FOUR)
#undef PGK_TEAM_TWO
#undef PGK_TEAM_FOUR
        PGK_TEAM_NONE
};

#define PGK_TEAM_OPS 4u

/* Ops of a plan that are stepped together: a team, or one. */
struct pgk_turn {
    enum pgk_team team;
    uint32_t ops;
    uint8_t op[PGK_TEAM_OPS]; /* in the order of the team's kinds */
};

/* Where things lie in the tiles of one size. */
struct pgk_layout {
    const struct pgk_plan *plan;
    uint32_t room;                 /* rows that can be stepped before the past is moved back to the front */
    uint32_t past[PGK_FIELDS_MAX]; /* rows of each field before the next one that are kept */
    size_t now[PGK_FIELDS_MAX];    /* in doubles: its first row behind them */
    size_t first;                  /* in doubles: where the fields begin */
    size_t lines;                  /* of those that have a past, rows that are stepped included */
    uint32_t slide;                /* lines that those can be moved up by, all together: room for one row */
    size_t size;                   /* bytes of a tile, a multiple of 64 */
    uint32_t bands;
    uint8_t band_of[PGK_COLUMNS_MAX]; /* of each op that has one */
    struct pgk_band band[PGK_COLUMNS_MAX];
    uint32_t turns;
    struct pgk_turn turn[PGK_COLUMNS_MAX];
};

struct pgk_tile {
    uint64_t at; /* rows of the room that are taken */
    uint64_t reserved[7];
    uint64_t origin[PGK_TILE]; /* row at which the recurrences began */
    uint64_t held[PGK_TILE];   /* rows before `row` that are here, at most the window's; 0: nothing is */
    uint64_t row[PGK_TILE];    /* row of the series that is stepped next */
    int64_t from[PGK_TILE];    /* the session keys below are those of bars that start from here ... */
    int64_t until[PGK_TILE];   /* ... to here */
    int64_t key[2][PGK_TILE];
    double data[]; /* words, then fields, those that have a past first */
};

/* Room for one row: lanes are stepped a row at a time, and less of their past is needed than where one begins
 * behind the first row of a step, or is taken up: then rows before its own are stepped over.
 *
 * When all lanes have been stepped by one row, every field's past begins one line later than before, and the
 * next row's line is that of the following field's oldest row, which is no longer wanted. So all fields can
 * *slide*, one line a row, and are moved back together every now and then. Whoever lets a tile slide keeps
 * account of how far; everything below takes a tile that has not slid. */
void pgk_layout_init(struct pgk_layout *ret, const struct pgk_plan *plan, uint32_t room);

/* One word of all lanes. */
static inline double *pgk_tile_word(struct pgk_tile *tile, uint32_t word)
{
    return tile->data + (size_t)word * PGK_TILE;
}

/* Field `field` of the row that is stepped next; rows before it lie before it. */
static inline double *pgk_tile_now(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t field)
{
    return tile->data + layout->now[field] + tile->at * PGK_TILE;
}

/* Makes room for `rows` more, at most the layout's. */
void pgk_tile_room(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t rows);

/* Moves the past of one lane `rows` later: it sits out the first so many rows of a step. */
void pgk_tile_wait(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane, uint32_t rows);

/* Where there is room for one row: that row of a lane, once it is stepped, is the latest of its past. */
void pgk_tile_shift(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane);

/* Moves the fields of a tile that has slid by so many lines back to where they belong. */
void pgk_tile_level(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t slid);

/* Copies a lane to a lane of a tile of any room. */
void pgk_tile_copy(const struct pgk_layout *to_layout, struct pgk_tile *to, uint32_t to_lane,
                   const struct pgk_layout *from_layout, struct pgk_tile *from, uint32_t from_lane);

/* Steps what ops derive over the rows before the next one, once the past of a lane has been put in place. */
void pgk_tile_derive(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane);

/* The lane's session keys for a bar that starts at t_ms. */
void pgk_tile_session(struct pgk_tile *tile, uint32_t lane, int64_t t_ms, bool utc);

/* A lane's state, as state.h stores it. */
void pgk_tile_get_state(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane,
                        uint64_t *words);
void pgk_tile_set_state(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane,
                        const uint64_t *words);

#endif
