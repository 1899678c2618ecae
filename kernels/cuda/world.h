/* cuda/world.h - what the host and a GPU tell each other: plain structs of fixed layout, read by C, by nvcc
 * and by NVRTC. Addresses are valid on both sides: memory of the host is registered under its own address. */
#ifndef CUDA_WORLD_H
#define CUDA_WORLD_H

#include "step/step.h"

#define PGK_GPU_LANES       32u  /* series that a block of threads steps side by side */
#define PGK_GPU_TILES       4u   /* of a push, whose entries a block keeps */
#define PGK_GPU_FIELDS      261u /* as PGK_FIELDS_MAX of plan.h */
#define PGK_GPU_OPS         127u
#define PGK_GPU_BLOCK_BYTES 18432u /* of shared memory, beside lines and outputs */

/* A bars segment. */
struct pgk_gpu_segment {
    uint64_t bars; /* address of series 0's row 0 */
    uint64_t units;
    uint64_t heads;  /* of struct pgd_series 0 */
    uint64_t points; /* of its first checkpoint */
    uint64_t capacity;
    uint64_t bar_stride;
    uint64_t unit_stride;
    uint64_t rows_stride;
    uint64_t head_stride;
    uint64_t points_stride;
    uint32_t point_size;
    uint32_t point_slots;
    uint32_t point_every;
    uint32_t reserved;
    uint64_t states; /* of the states of all its series, by index; the GPU's memory */
};

/* A series as it stands before a row; in the GPU's memory, words of 8 bytes: these, the state words, then a
 * ring for each field, indexed by the row. A tile of 32 neighbours lies together, word by word, so that
 * threads of neighbouring lanes touch neighbouring words. */
enum pgk_gpu_state {
    PGK_GPU_ROW,    /* stepped next */
    PGK_GPU_ORIGIN, /* row at which the recurrences began */
    PGK_GPU_HELD,   /* rows before it that are in the rings, at most the window's */
    PGK_GPU_FROM,   /* session keys of bars that start from here */
    PGK_GPU_UNTIL,  /* to here */
    PGK_GPU_KEY,    /* the two keys, 32 bits each */
    PGK_GPU_UTC,
    PGK_GPU_WORDS, /* where the state words begin */
};
/* Address of a series' first word; the others lie PGK_GPU_LANES words apart. */
#define PGK_GPU_STATE(states, series, words)                                                                 \
    ((states) + ((uint64_t)(series) / PGK_GPU_LANES * (words)*PGK_GPU_LANES + (series) % PGK_GPU_LANES) * 8)

/* The plan, and the state's layout. */
struct pgk_gpu_plan {
    uint32_t ops;
    uint32_t columns;
    uint32_t words;
    uint32_t fields;
    uint32_t window;
    uint32_t sessions;
    uint32_t unit_words;           /* columns and the tag, and what fills the line up */
    uint32_t state_words;          /* of a series */
    uint32_t ring[PGK_GPU_FIELDS]; /* word at which a field's ring begins */
    uint32_t mask[PGK_GPU_FIELDS]; /* its length - 1, a power of two - 1 */
    struct pgk_op op[PGK_GPU_OPS];
};

enum pgk_gpu_outcome { PGK_GPU_REACHED, PGK_GPU_COALESCED, PGK_GPU_BUSY, PGK_GPU_LAPPED };

/* One series to be swept: see task.h. */
struct pgk_gpu_task {
    uint32_t series;
    uint32_t full;  /* never stop at a checkpoint that is the same */
    uint64_t state; /* address of its first word */
    uint64_t base;  /* first row that windows look back on */
    uint64_t start; /* first row that is stepped */
    uint64_t row;   /* first row that is written */
    uint64_t end;
    uint64_t computed; /* rows before have units */
    uint64_t origin;
    uint64_t words; /* address of the words of its checkpoint, 0: none */
    uint64_t utc;
    /* out */
    uint64_t reached; /* rows before have been stepped */
    uint64_t changed; /* in and out: latest row seen whose bar is not the one its units came from */
    uint64_t wrote;   /* rows [first, wrote): the first and the last that got a unit, 0: none did */
    uint64_t first;
    uint32_t outcome;
    uint32_t watch; /* look, at every step, whether rows have left the ring; else the host does, in the end */
};

/* A push: one new row for each of some series, 32 to a tile. An entry says which, also where in the ring the
 * row lies, so that its bar can be asked for at once. A block has the tile of its own number, one as many
 * behind it as there are blocks, and whatever is left after these when it comes to it.
 *
 * A push is launched, or it goes to blocks that stay. Of these the first ones each poll the entries of a tile
 * of their own, their mail, until all of them bear the number that comes next. For a push of more tiles the
 * mail of block 0 says so alone; it rings a bell in the GPU's memory for the others, and all of them read the
 * same entries as those of a launch. Those carry what all blocks of a launch need, since many reads of one
 * line of host memory are done one after the other. */
#define PGK_GPU_SEGMENTS   16u
#define PGK_GPU_ENTRY_NONE 0x07ffffffu /* lanes without a series */
#define PGK_GPU_ENTRY_GO   0x07fffffeu /* mail of block 0: all leave */
#define PGK_GPU_ENTRY_ALL  0x07fffffdu /* mail of block 0: a push of all blocks, see PGK_GPU_BELL */
#define PGK_GPU_ENTRY(series, segment, slot)                                                                 \
    ((uint64_t)(slot) << 32 | (uint64_t)(segment) << 27 | (uint64_t)(series))
#define PGK_GPU_ENTRY_SERIES(entry)  ((uint32_t)(entry)&0x07ffffff)
#define PGK_GPU_ENTRY_ANY(entry)     (PGK_GPU_ENTRY_SERIES(entry) < PGK_GPU_ENTRY_ALL) /* a series? */
#define PGK_GPU_ENTRY_SEGMENT(entry) ((uint32_t)((entry) >> 27) & 15)
#define PGK_GPU_ENTRY_SLOT(entry)    ((entry) >> 32 & 0xffffff)
#define PGK_GPU_ENTRY_NUMBER(entry)  ((uint32_t)((entry) >> 56) & 127)
#define PGK_GPU_MAIL(entry, number)  ((entry) | ((uint64_t)(number)&127) << 56)

/* Of a launch some entries of each block's first tile say, seven bits each in the place of numbers, how many
 * tiles there are and which number the push has: both of 24 bits. */
#define PGK_GPU_PARTS                   8u
#define PGK_GPU_PART(entry, i, word)    PGK_GPU_MAIL(entry, (word) >> 7 * (i))
#define PGK_GPU_LAUNCHED(tiles, number) ((uint64_t)(tiles) << 24 | PGK_GPU_NUMBER(number))
#define PGK_GPU_LAUNCHED_TILES(word)    ((uint32_t)((word) >> 24) & 0xffffff)

/* Numbers of pushes that are launched or that all blocks do: 24 bits, as a slot has. What the bell says: that
 * and how many tiles there are, 24 bits too, 0: all are to leave. Both come as the slots of two entries. */
#define PGK_GPU_NUMBER(n) ((uint32_t)(n)&0xffffff)
#define PGK_GPU_BELL(before, tiles, number)                                                                  \
    ((((before) >> 48) + 1) << 48 | (uint64_t)(tiles) << 24 | PGK_GPU_NUMBER(number))
#define PGK_GPU_BELL_TILES(bell)  ((uint32_t)((bell) >> 24) & 0xffffff)
#define PGK_GPU_BELL_NUMBER(bell) PGK_GPU_NUMBER(bell)

/* Generations of units are of three kinds, so that those of a row never repeat one after the other, whoever
 * writes: a push only writes units of rows that had none. */
#define PGK_GPU_GEN_PUSH(n)  (0x8000u | ((uint32_t)(n)&0x3fff))
#define PGK_GPU_GEN_SWEEP(n) (0xc000u | ((uint32_t)(n)&0x3fff))

/* What a block says of a push that was launched or that all blocks do: its units are there. */
#define PGK_GPU_ANSWER(number, problems) ((uint64_t)(number) << 32 | (problems)) /* see `problem` */

/* What one that has mail says of that. */
struct pgk_gpu_done {
    uint64_t pushed;  /* likewise */
    uint64_t settled; /* number up to which states and checkpoints are there too */
    uint64_t left;    /* it has gone, of this launch */
    uint64_t reserved[5];
};

/* What a push is launched with; host memory that both sides see, but for the gate. */
struct pgk_gpu_push {
    uint64_t entry;   /* address of the entries */
    uint64_t answer;  /* of a word for each block */
    uint64_t problem; /* of a word for each entry: 1, when it was not done; the host clears them */
    uint64_t gate;    /* device memory: struct pgk_gpu_gate */
    struct pgk_gpu_segment segment[PGK_GPU_SEGMENTS];
};

/* What the host writes for a block that stays: lines of its own. */
struct pgk_gpu_mail {
    uint64_t entry[PGK_GPU_LANES];
    uint64_t from; /* number of its last mail before the launch */
    uint64_t reserved[7];
};

/* What blocks that stay are launched with as well. */
struct pgk_gpu_stay {
    uint64_t mail;    /* address of struct pgk_gpu_mail of each block that has some, host memory */
    uint64_t done;    /* of their struct pgk_gpu_done */
    uint64_t launch;  /* of the word that says which launch it is, host memory */
    uint64_t stay_ns; /* without mail */
    uint64_t mails;   /* blocks that have mail */
};

/* What blocks count together of a push; 0 before it. */
struct pgk_gpu_count {
    uint64_t settled; /* blocks whose states and checkpoints are there */
    uint64_t taken;   /* tiles, beside the first two of each block */
};

/* What the blocks of a GPU tell each other; its own memory, lines of 128 bytes. */
struct pgk_gpu_gate {
    struct pgk_gpu_count count[2]; /* of pushes with even numbers and of those with odd ones */
    uint64_t reserved[12];
    uint64_t bell;   /* of blocks that stay: block 0 rings, the others poll it */
    uint64_t left;   /* the bell as it stood when the last of them left */
    uint64_t launch; /* that leaves */
    uint64_t here;   /* blocks of this launch that have begun */
    uint64_t unused[12];
};

#endif
