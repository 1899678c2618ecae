/* polygond/abi.h - the bytes two processes agree on.
 *
 * Every segment is a POSIX shared-memory object `/polygond.<instance>.<segment>`. The daemon is the only
 * writer of every byte; a client maps it PROT_READ. All integers are little-endian and naturally aligned; all
 * floating point is IEEE 754 binary64. A segment describes itself: a reader needs the header, the geometry
 * that follows it, and the schema table, and no other file. docs/abi.md says the same for other languages,
 * and argues the protocols.
 *
 * Words in brackets name the one writer of a field:
 *   [const]  written once before `magic`, never again
 *   [main]   the daemon's main (libuv) thread
 *   [engine] the daemon's engine worker thread
 */
#ifndef POLYGOND_ABI_H
#define POLYGOND_ABI_H

#include <stdint.h>

#ifdef __cplusplus
#define PGD_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define PGD_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#define PGD_MAGIC     UINT64_C(0x444e4f47594c4f50) /* "POLYGOND" read as a little-endian word */
#define PGD_ABI_MAJOR 1                            /* a reader refuses another major */
#define PGD_ABI_MINOR 1                            /* a larger minor only adds fields */

#define PGD_LINE           64u       /* bytes of a bar line, a tape slot, a cache line */
#define PGD_UNIT           128u      /* bytes of one indicator unit; a row has one or more */
#define PGD_INSTANCE_MAX   32u       /* bytes of an instance name with its NUL */
#define PGD_SEGMENT_MAX    32u       /* bytes of a segment name with its NUL */
#define PGD_SYMBOL_MAX     48u       /* bytes of a symbol with its NUL */
#define PGD_SERIES_LIMIT   65536u    /* symbols an instance can hold at most */
#define PGD_CAPACITY_LIMIT 16777216u /* rows a series, or slots a tape, can hold at most */

enum pgd_kind { PGD_KIND_BOARD = 1, PGD_KIND_BARS = 2, PGD_KIND_TAPE = 3 };

/* Header state. A STALE segment has a successor of the same name: attach again. */
enum pgd_state { PGD_STATE_LIVE = 1, PGD_STATE_STALE = 2 };

/* At offset 0 of every segment; the kind's geometry follows at `geometry_offset`. */
struct pgd_header {
    uint64_t magic;           /* [main] PGD_MAGIC, stored last (release); anything else: not ready */
    uint16_t abi_major;       /* [const] */
    uint16_t abi_minor;       /* [const] */
    uint32_t kind;            /* [const] enum pgd_kind */
    uint64_t size;            /* [const] bytes of the whole segment */
    uint32_t header_size;     /* [const] sizeof(struct pgd_header) */
    uint32_t state;           /* [main] enum pgd_state */
    uint64_t epoch;           /* [main] the daemon run that writes; larger than any before it */
    uint64_t layout_hash;     /* [const] FNV-1a of geometry and schema; equal: may be adopted */
    uint32_t geometry_offset; /* [const] */
    uint32_t geometry_size;   /* [const] */
    uint32_t schema_offset;   /* [const] struct pgd_field[schema_count] */
    uint32_t schema_count;    /* [const] */
    uint32_t schema_stride;   /* [const] sizeof(struct pgd_field) */
    uint32_t reserved0;
    int64_t created_ns; /* [const] ns since 1970 */
    char instance[PGD_INSTANCE_MAX];
    char name[PGD_SEGMENT_MAX]; /* "bars.1m", "trades", ... */
    uint64_t directory; /* [const] the symbol directory its indexes belong to: the board's, or foreign */
    uint8_t reserved1[104];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_header) == 256, "header is 256 bytes");

/* ------------------------------------------------------------------------------------------------- schema */

enum pgd_type { PGD_U8 = 1, PGD_U16 = 2, PGD_U32 = 3, PGD_U64 = 4, PGD_I64 = 5, PGD_F64 = 6, PGD_CHAR = 7 };

/* Which record a field lies in; `offset` counts from that record's first byte. */
enum pgd_record {
    PGD_REC_BAR = 1,    /* bar line: rows, and the forming bar */
    PGD_REC_UNIT = 2,   /* indicator units of a row */
    PGD_REC_SERIES = 3, /* struct pgd_series */
    PGD_REC_SLOT = 4,   /* tape slot, and the latest-record table */
    PGD_REC_LOG = 5,    /* change log slot */
    PGD_REC_DAY = 6,    /* struct pgd_day */
    PGD_REC_SYMBOL = 7, /* struct pgd_symbol */
    PGD_REC_GAP = 8     /* struct pgd_gap */
};

struct pgd_field {
    char name[24]; /* "o", "vw", "sma_20", ... */
    char unit[16]; /* "USD", "ms", "shares", "" */
    uint32_t offset;
    uint16_t record; /* enum pgd_record */
    uint16_t type;   /* enum pgd_type */
    uint32_t count;  /* elements; 1 unless an array */
    uint8_t reserved[12];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_field) == 64, "field is 64 bytes");

/* --------------------------------------------------------------------------------------------------- tape */

/* A broadcast ring of 64-byte slots in arrival order. Slot of record i (from 0): slots_offset + (i &
 * (capacity-1)) * 64. Word 0 of a slot is its commit word: i + 1 once record i is complete. Protocol:
 * shm/tape.h and docs/abi.md.
 *
 * A cell of the latest-record table holds a record in the same form; there word 0 is a sequence word, odd
 * while the cell is being written, and a cell whose other words are all 0 holds nothing. */
struct pgd_tape {
    /* line 0 [const] */
    uint64_t slots_offset;  /* from the segment's first byte */
    uint32_t capacity;      /* slots, a power of two, at least 256 */
    uint32_t slot_size;     /* 64 */
    uint64_t latest_offset; /* latest record per symbol, 0: none */
    uint32_t latest_count;
    uint32_t latest_stride; /* 64 */
    uint8_t reserved0[32];
    /* line 1 [writer]: main for trades and quotes, engine for a change log */
    uint64_t reserve; /* the writer may be writing any record below this */
    uint8_t reserved1[56];
    /* line 2 [writer] */
    uint64_t head; /* records published, stored once a batch */
    uint8_t reserved2[56];
    /* line 3 [writer] */
    uint32_t notify; /* futex word (shared kind), +1 once a batch, after head */
    uint8_t reserved3[60];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_tape) == 256, "tape is 256 bytes");

/* Loss bound of a tape reader: record i may be read while reserve - i <= capacity. `reserve` runs ahead by up
 * to this. */
#define PGD_TAPE_RESERVE 64u

/* Flags of trades and quotes. */
enum pgd_record_flag {
    PGD_TAPE_MASK = 0x03,       /* tape: 1 NYSE, 2 other listed, 3 Nasdaq, 0 unknown */
    PGD_ID_HASHED = 0x04,       /* trade id was no number below 2^63: FNV-1a 64 of its text */
    PGD_MORE_CONDITIONS = 0x08, /* the event had more conditions than the record holds */
    PGD_FILLED = 0x10,          /* came late, from REST */
    PGD_SEQ_WRAPPED = 0x20,     /* quote: sequence number exceeded 32 bits and was reduced modulo 2^32 */
    PGD_VALUE = 0x40            /* trade: an index value (no size, exchange or conditions) */
};

/* Segment `trades`: T, XT, V. */
struct pgd_trade {
    uint64_t commit;
    uint32_t symbol;   /* series index: board directory */
    uint16_t exchange; /* vendor's id, 0 absent */
    uint8_t trf;       /* trade reporting facility id, 0 absent, 255: larger than 254 */
    uint8_t flags;     /* enum pgd_record_flag */
    int64_t t;         /* SIP time, ns since 1970 (the stream has ms) */
    double price;
    double size;      /* shares, contracts or coins; may be fractional; NaN absent */
    uint64_t seq;     /* vendor's sequence number, 0 absent; can repeat and run backwards */
    uint64_t id;      /* trade id, 0 absent */
    uint16_t cond[4]; /* condition + 1, 0: none */
};
PGD_STATIC_ASSERT(sizeof(struct pgd_trade) == PGD_LINE, "trade is a line");

/* Segment `quotes`: Q, XQ, C. */
struct pgd_quote {
    uint64_t commit;
    uint32_t symbol;
    uint16_t bid_exchange; /* 0 absent; forex: both carry x */
    uint16_t ask_exchange;
    int64_t t;  /* SIP time, ns since 1970 */
    double bid; /* NaN absent */
    double ask;
    double bid_size; /* as sent; NaN absent */
    double ask_size;
    uint32_t seq;  /* see PGD_SEQ_WRAPPED; 0 absent */
    uint16_t cond; /* condition + 1, 0: none */
    uint8_t flags; /* enum pgd_record_flag */
    uint8_t reserved;
};
PGD_STATIC_ASSERT(sizeof(struct pgd_quote) == PGD_LINE, "quote is a line");

/* --------------------------------------------------------------------------------------------------- bars */

/* One row of a series; also the forming bar and the intent. */
struct pgd_bar {
    int64_t t; /* start of the bar, ms since 1970 */
    double o;
    double h;
    double l;
    double c;
    double v;  /* volume; may be fractional; NaN absent (indices) */
    double vw; /* volume-weighted average price of the bar; NaN absent */
    /* meta, one 64-bit word stored at once: rev | flags << 16 | n << 32 */
    uint16_t rev;   /* odd while being written; 2 at first publication, +2 each revision (skipping 0) */
    uint16_t flags; /* enum pgd_bar_flag */
    uint32_t n;     /* trades in the bar, PGD_N_ABSENT when not given */
};
PGD_STATIC_ASSERT(sizeof(struct pgd_bar) == PGD_LINE, "bar is a line");
#define PGD_BAR_META 56u /* offset of the meta word */
#define PGD_N_ABSENT UINT32_C(0xffffffff)

enum pgd_bar_flag {
    PGD_BAR_REST = 0x01, /* from REST (warm-up, fill), not from the stream */
    PGD_BAR_OTC = 0x02,
    PGD_BAR_MADE = 0x04, /* forming bar only: made from trades or shorter bars here, not sent by the vendor */
    PGD_BAR_FILLED = 0x08 /* came late, from REST: the stream had a hole here */
};

/* Day figures that come with A and AM events, beside the ring. Guarded by `seq`: odd while being written. */
struct pgd_day {
    uint64_t seq; /* [main] */
    int64_t t;    /* start of the bar that brought them, ms since 1970 */
    double op;    /* official open, NaN absent */
    double av;    /* accumulated volume of the day, NaN absent */
    double a;     /* the vendor's VWAP of the day, NaN absent */
    uint8_t reserved[24];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_day) == PGD_LINE, "day is a line");

enum pgd_session {
    PGD_SESSION_US = 0 /* 09:30-16:00, 04:00-20:00 New York */,
    PGD_SESSION_UTC = 1 /* UTC day */
};

/* Head of a series: series_offset + symbol * series_stride. */
struct pgd_series {
    /* line 0 [main] */
    uint64_t head;    /* rows published; row i is in slot i % capacity; readable while i + capacity > head */
    uint32_t session; /* enum pgd_session */
    uint32_t in_use;  /* 1 once a symbol owns it */
    uint8_t reserved0[48];
    /* line 1 [engine] */
    uint64_t computed;  /* rows whose indicators are published */
    uint64_t recompute; /* i + 1 while rows from i on are being recomputed, else 0 */
    uint8_t reserved1[48];
    struct pgd_bar forming; /* line 2 [main] t == 0: none; same rev protocol as a row */
    struct pgd_day day;     /* line 3 [main] */
};
PGD_STATIC_ASSERT(sizeof(struct pgd_series) == 256, "series is 256 bytes");

/* First word of a row's indicator units [engine]: index << 32 | rev << 16 | gen. The indicators belong to row
 * i at revision r when the upper 32 bits equal (uint32_t)i and the middle 16 equal r; an odd middle: being
 * written. `gen` counts rewrites. */
#define PGD_UNIT_TAG(index, rev, gen)                                                                        \
    (((uint64_t)(uint32_t)(index) << 32) | ((uint64_t)(uint16_t)(rev) << 16) | (uint64_t)(uint16_t)(gen))

/* Change log record of a bars segment [engine]: rows of one series whose bytes changed, bars and indicators
 * already visible. */
struct pgd_change {
    uint64_t commit;
    uint32_t symbol;
    uint32_t flags; /* enum pgd_change_flag */
    uint64_t first; /* first row that changed */
    uint64_t
        bars; /* from `first`: rows whose bar is new or revised; the rows of an append, 1 for a revision */
    uint64_t rows; /* from `first`: rows whose bar or indicators changed, >= bars */
    int64_t t_ns;  /* CLOCK_MONOTONIC ns when the engine was done */
    uint8_t reserved[16];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_change) == PGD_LINE, "change is a line");
enum pgd_change_flag {
    PGD_CHANGE_APPEND = 1,
    PGD_CHANGE_REVISE = 2, /* a bar was replaced, or inserted before the last */
    PGD_CHANGE_HISTORY = 4 /* warm-up: rows older than the live stream */
};

/* Redo note of a change to published rows [main]: makes revise and insert whole across kill -9. */
struct pgd_intent {
    uint64_t seq; /* even: nothing pending; odd: pending */
    uint32_t op;  /* 1 revise, 2 insert */
    uint32_t series;
    uint64_t index;
    uint64_t head; /* head when the operation began */
    uint64_t at;   /* insert: the row being overwritten; rows above it have moved, rows below have not */
    uint8_t reserved[24];
    struct pgd_bar bar;
};
PGD_STATIC_ASSERT(sizeof(struct pgd_intent) == 2 * PGD_LINE, "intent is two lines");

/* Geometry of a bars segment. Row i of series s: slot k = i % capacity;
 *   bar line        bar_offset  + s * rows_stride + k * bar_stride
 *   indicator units unit_offset + s * rows_stride + k * unit_stride   (unit_size bytes: tag, then float64
 * columns) Readers use these numbers and assume no order of the planes. */
struct pgd_bars_geometry {
    char timespan[16]; /* "1m" */
    int64_t span_ms;   /* 60000 */
    uint32_t series_max;
    uint32_t capacity;      /* rows a series */
    uint64_t series_offset; /* struct pgd_series[series_max] */
    uint64_t series_stride;
    uint64_t bar_offset;
    uint64_t bar_stride;
    uint64_t unit_offset;
    uint64_t unit_stride;
    uint64_t rows_stride; /* between series; never a power of two: see docs/abi.md */
    uint32_t unit_size;   /* bytes, a multiple of PGD_UNIT */
    uint32_t columns;     /* float64 columns in a row's units */
    uint64_t log_offset;  /* struct pgd_tape of the change log */
    uint64_t intent_offset;
    /* the engine's checkpoints: private, not for readers */
    uint64_t state_offset;
    uint64_t state_stride; /* between series */
    uint32_t state_size;   /* bytes a checkpoint */
    uint32_t state_slots;  /* checkpoints a series */
    uint32_t state_every;  /* rows between checkpoints */
    uint32_t reserved0;
    uint8_t reserved[96];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_bars_geometry) == 240, "bars geometry is 240 bytes");

/* Geometry of a tape segment (trades, quotes). */
struct pgd_tape_geometry {
    uint64_t tape_offset;  /* struct pgd_tape */
    uint32_t capacity;     /* as in the tape: part of what the layout hash covers */
    uint32_t latest_count; /* likewise */
    uint8_t reserved[48];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_tape_geometry) == 64, "tape geometry is 64 bytes");

/* -------------------------------------------------------------------------------------------------- board */

enum pgd_cluster {
    PGD_STOCKS = 1,
    PGD_OPTIONS = 2,
    PGD_CRYPTO = 3,
    PGD_FOREX = 4,
    PGD_INDICES = 5,
    PGD_FUTURES = 6,
    PGD_CLUSTERS = 7
};

/* Topics a symbol can be subscribed to, as bits; the vendor's name depends on the cluster (T or XT, AM or XA
 * or CA, ...). */
enum pgd_topic { PGD_TRADES = 1, PGD_QUOTES = 2, PGD_BARS_1S = 4, PGD_BARS_1M = 8, PGD_VALUES = 16 };

enum pgd_symbol_state {
    PGD_SYM_CHECKING = 1, /* asked for; the reference endpoint has not answered */
    PGD_SYM_UNKNOWN = 2,  /* the vendor does not know it */
    PGD_SYM_WANTED = 3,   /* to be subscribed, not all topics acknowledged */
    PGD_SYM_LIVE = 4,     /* every topic acknowledged */
    PGD_SYM_REFUSED = 5   /* the vendor refused a topic (plan) */
};

struct pgd_symbol {
    char name[PGD_SYMBOL_MAX]; /* [main] NUL-terminated, set before `count` counts it */
    uint32_t hash_next;        /* reserved */
    uint8_t cluster;           /* enum pgd_cluster */
    uint8_t asked;             /* 1: a client asked for it; the next run goes on holding it */
    uint8_t state;             /* enum pgd_symbol_state */
    uint8_t warm;              /* 1 once REST history is in, or given up */
    uint32_t wanted;           /* enum pgd_topic bits asked for */
    uint32_t acked;            /* bits acknowledged on the present connection */
    int64_t last_ns;           /* ns since 1970 of the last event received */
    uint64_t events;           /* events received */
    uint64_t refused;          /* events refused */
    uint8_t reserved1[40];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_symbol) == 128, "symbol is 128 bytes");

/* A named counter; the table is counters.def. Only grows within an epoch, but for the few that say how many
 * there are now. */
struct pgd_counter {
    char name[40];
    uint64_t value; /* [main] or [engine], as counters.def says */
    uint8_t reserved[16];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_counter) == PGD_LINE, "counter is a line");

/* A distinct error: each text once, with how often and when [main]. Guarded by `seq`: odd while being
 * written. */
struct pgd_error {
    uint64_t seq;
    uint64_t count;
    int64_t first_ns; /* ns since 1970 */
    int64_t last_ns;
    char where[24];
    char text[200];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_error) == 256, "error is 256 bytes");

/* One segment of the instance. */
struct pgd_segment_entry {
    char name[PGD_SEGMENT_MAX];
    uint32_t kind;
    uint32_t reserved0;
    uint64_t size;
    uint8_t reserved[16];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_segment_entry) == PGD_LINE, "entry is a line");

enum pgd_conn_state {
    PGD_CONN_OFF = 0, /* cluster not configured, or REST only */
    PGD_CONN_CONNECTING = 1,
    PGD_CONN_CONNECTED = 2,   /* TLS and upgrade done, waiting for "connected" */
    PGD_CONN_AUTH = 3,        /* key sent */
    PGD_CONN_SUBSCRIBING = 4, /* auth_success; acknowledgements awaited */
    PGD_CONN_LIVE = 5,
    PGD_CONN_BACKOFF = 6,  /* waiting until next_try_ns */
    PGD_CONN_COOLDOWN = 7, /* max_connections: somebody else holds the key */
    PGD_CONN_STOPPED = 8   /* will not be tried again: see reason */
};

/* One upstream connection [main]. Guarded by `seq`: odd while being written. Row = enum pgd_cluster. */
struct pgd_conn {
    uint64_t seq;
    uint32_t cluster;
    uint32_t state;        /* enum pgd_conn_state */
    int64_t since_ns;      /* ns since 1970, of the state */
    int64_t next_try_ns;   /* 0: none */
    int64_t last_frame_ns; /* of the last frame received */
    uint64_t connects;     /* times the upgrade succeeded */
    uint64_t drops;        /* times a connection ended */
    uint32_t unacked;      /* topic.symbol pairs awaited */
    uint32_t attempts;     /* since the last stable connection */
    char url[96];          /* without any key */
    char reason[96];       /* why it last ended, "" when it has not */
};
PGD_STATIC_ASSERT(sizeof(struct pgd_conn) == 256, "conn is 256 bytes");

/* Why there is a hole. */
enum pgd_gap_why {
    PGD_GAP_CONNECTION = 1, /* the connection was lost */
    PGD_GAP_SILENCE = 2,    /* it was given up because nothing arrived any more */
    PGD_GAP_RESTART = 3,    /* the daemon was away, or the symbol was not wanted for a while */
    PGD_GAP_START = 4,      /* between the question for history and the subscription */
    PGD_GAP_REFUSED = 5,    /* an event could not be read */
    PGD_GAP_JUMP = 6,       /* the day's volume grew by more than the bars that came */
    PGD_GAP_FOUND = 7       /* REST has a bar that the stream never sent */
};

enum pgd_gap_state { PGD_GAP_OPEN = 1, PGD_GAP_FILLING = 2, PGD_GAP_CLOSED = 3, PGD_GAP_UNFILLABLE = 4 };

/* Why a hole stays one. */
enum pgd_gap_reason {
    PGD_GAP_NOT_ENTITLED = 1, /* the plan does not include these records over REST */
    PGD_GAP_NO_SOURCE = 2,    /* REST has no such records */
    PGD_GAP_TOO_LONG = 3,     /* longer than rest.fill_ticks_s */
    PGD_GAP_OFF = 4,          /* REST, or filling, is off */
    PGD_GAP_UNKNOWN = 5,      /* REST does not know the symbol */
    PGD_GAP_FAILED = 6,       /* given up after several tries */
    PGD_GAP_UNWANTED = 7      /* the symbol is not held any more */
};

/* A hole: records of one topic of one symbol that may be missing [main]. Guarded by `seq`: odd while being
 * written. */
struct pgd_gap {
    uint64_t seq;
    uint64_t id;     /* number of the hole, from 1; 0: the row was never used */
    uint32_t symbol; /* index in the directory */
    uint32_t topic;  /* one bit of enum pgd_topic */
    int64_t from_ns; /* [from, to): times of the missing records, of bars their starts; ns since 1970 */
    int64_t to_ns;   /* INT64_MAX: it still grows */
    uint8_t why;     /* enum pgd_gap_why */
    uint8_t state;   /* enum pgd_gap_state */
    uint8_t reason;  /* enum pgd_gap_reason, 0: none */
    uint8_t reserved0;
    uint32_t tries;     /* times REST was asked */
    int64_t opened_ns;  /* when it was noticed, ns since 1970 */
    int64_t changed_ns; /* of the state */
    uint64_t received;  /* rows that REST had for it */
    uint64_t filled;    /* of these, records that were missing */
    uint8_t reserved1[48];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_gap) == 128, "gap is 128 bytes");

enum pgd_run_state { PGD_RUN_STARTING = 1, PGD_RUN_RUNNING = 2, PGD_RUN_STOPPING = 3, PGD_RUN_STOPPED = 4 };

/* Geometry and body of the board. */
struct pgd_board {
    /* [const] */
    uint32_t symbol_max;
    uint32_t hash_slots;  /* a power of two >= 2 * symbol_max */
    uint64_t hash_offset; /* uint32_t[hash_slots]: symbol index + 1, 0 empty; linear probing from FNV-1a 64 &
                             (slots-1) [main] */
    uint64_t symbols_offset; /* struct pgd_symbol[symbol_max] */
    uint64_t counters_offset;
    uint32_t counter_count;
    uint32_t error_max;
    uint64_t errors_offset;
    uint64_t segments_offset;
    uint32_t segment_max;
    uint32_t conn_max;
    uint64_t conns_offset;
    /* [main] per run, before the epoch is stored */
    char control[112]; /* path of the control socket, "" when off */
    char version[32];  /* polygond's version */
    uint32_t pid;
    uint32_t run_state; /* enum pgd_run_state */
    int64_t started_ns; /* ns since 1970 */
    char engine[96];    /* which engine runs, and why */
    /* [const] since minor 1; 0 before */
    uint64_t gaps_offset; /* struct pgd_gap[gap_max] */
    uint32_t gap_max;
    uint32_t reserved1;
    uint8_t reserved0[104];
    /* [main] */
    int64_t heartbeat_ns; /* CLOCK_BOOTTIME ns, stored every second */
    uint64_t symbol_count;
    uint64_t error_count;
    uint64_t segment_count;
    uint32_t notify; /* futex word: +1 when the directory or a state changes */
    uint32_t reserved3;
    uint64_t gap_count; /* rows of the gap table used so far */
    uint8_t reserved2[16];
};
PGD_STATIC_ASSERT(sizeof(struct pgd_board) == 512, "board is 512 bytes");

#endif
