/* push.h - one new row of each of many hot series: what a thread needs for it. Of cpu.c alone. */
#ifndef KERNELS_PUSH_H
#define KERNELS_PUSH_H

#include "block.h"
#include "cpu.h"

/* Tiles whose rows are asked for before they are looked at. */
#define PGK_PUSH_AHEAD 4u
#define PGK_PUSH_AIMS  8u /* a power of two, more than that and PGK_PUSH together */

struct pgk_pusher {
    struct pgk_block block; /* for tiles that are not as usual */
    struct pgk_push push;
    struct pgk_push_tile *aim; /* PGK_PUSH_AIMS that are taken in turn */
    uint32_t number[PGK_PUSH]; /* of the tiles in `push` */
    uint64_t *words;           /* one lane's state */
    struct pgd_series idle;    /* of lanes that get no row */
};

/* A call of pgk_cpu_compute, of which this is one round. */
struct pgk_call {
    struct pgk_cpu *cpu;
    struct pgk_cpu_segment *segment;
    struct pgk_change *changes;
    size_t count;
    uint64_t round;
    uint32_t listed;
    bool sorted;       /* once: `reserved` of the changes says which are done */
    size_t next;       /* change to be looked at; shared by the threads */
    size_t later;      /* changes of a series that has one in this round already */
    uint64_t long_way; /* rows that changed otherwise */
};

/* `layout` must outlive it. */
int pgk_pusher_init(struct pgk_pusher *ret, const struct pgk_layout *layout,
                    const struct pgk_simd *simd) PGK_WARN_UNUSED;
void pgk_pusher_fini(struct pgk_pusher *pusher);

/* Pushes tiles [from, to) of those listed. Rows that cannot be are left to the long way. */
void pgk_push_tiles(struct pgk_call *call, struct pgk_pusher *pusher, size_t from, size_t to);

#endif
