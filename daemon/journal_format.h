/* daemon/journal_format.h - the bytes of a journal file. docs/journal.md is their description; a change there
 * and here goes together, with JOURNAL_VERSION.
 *
 * A file is a file header and then blocks; a block is a header and then whole records. All numbers are
 * little-endian, all headers and records begin at multiples of 8. Header and record each carry their own
 * CRC-32C: a block's header leads over a damaged record, a damaged header is found again by its magic, and a
 * torn tail is cut between two records. */
#ifndef DAEMON_JOURNAL_FORMAT_H
#define DAEMON_JOURNAL_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a journal is written as it lies in memory");

#define JOURNAL_MAGIC       UINT64_C(0x0a31304a44475009) /* "\tPGDJ01\n" */
#define JOURNAL_BLOCK_MAGIC UINT32_C(0x4b4c4250)         /* "PBLK" */
#define JOURNAL_VERSION     1u
#define JOURNAL_BLOCK_MAX   (512u << 20) /* bytes of a block's records */
#define JOURNAL_RECORD_MAX  (384u << 20)

enum journal_kind {
#define X(id, number, what) JOURNAL_##id = number,
#include "journal.def"
#undef X
};

struct journal_file {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size; /* blocks begin here */
    int64_t run_ns;       /* when the run that writes began: the same in all its files */
    uint64_t number;      /* of the file, ascending within an instance */
    int64_t created_ns;
    uint64_t first_seq; /* of the run's records */
    char instance[32];
    char program[32]; /* version of polygond */
    uint32_t reserved;
    uint32_t crc; /* of all before it */
};
static_assert(sizeof(struct journal_file) == 120, "file header");

struct journal_block {
    uint32_t magic;
    uint32_t bytes; /* of the records that follow */
    uint32_t records;
    uint32_t kinds;     /* bit n: a record of kind n is in it */
    uint64_t first_seq; /* number of its first record in the run; the others follow without a hole */
    int64_t first_ns;   /* earliest and latest time of its records */
    int64_t last_ns;
    uint32_t header_size;
    uint32_t crc; /* of all before it */
};
static_assert(sizeof(struct journal_block) == 48, "block header");

struct journal_record {
    uint32_t crc;  /* of all behind it, padding included */
    uint32_t size; /* of header and data, without the padding to 8 */
    uint16_t kind; /* enum journal_kind */
    uint8_t cluster;
    uint8_t flags;
    uint32_t index; /* of the symbol, or number of the connection */
    int64_t t_ns;   /* since 1970 */
    uint64_t arg;
};
static_assert(sizeof(struct journal_record) == 32, "record header");

/* JOURNAL_SYMBOL's data. flags: */
#define JOURNAL_SYMBOL_HELD 1u /* taken in; else given up */
#define JOURNAL_SYMBOL_HOLD 2u /* its bars wait for its history; arg: bit 0 of 1s, bit 1 of 1m */
#define JOURNAL_SYMBOL_COPY 4u /* said before: a new file repeats what holds */

/* JOURNAL_HISTORY, _CACHED, _FILL_BARS: arg is the bars' span in ms; data is struct pgd_bar[], before it in
 * _FILL_BARS struct journal_span. _COVERED: likewise, and no bars. _RELEASE: arg as of SYMBOL. _FILL_TRADES:
 * struct pgd_trade[]; _FILL_QUOTES: struct pgd_quote[]. _REFUSED, _UNWANTED: arg is the number of rows.
 * _BATCH: arg is the bytes received, index the messages. */
struct journal_span {
    int64_t from_ms;
    int64_t to_ms;
};

/* JOURNAL_FRAME: index is the connection's number, data the message. flags: */
#define JOURNAL_FRAME_STATUS 1u /* holds status events; the API key has been taken out of it */

/* JOURNAL_LOST: arg is the number of records that are missing, data struct journal_lost. flags: */
#define JOURNAL_LOST_SLOW 1u /* the ring was full */
#define JOURNAL_LOST_DISK 2u /* the disk was full or failed */
#define JOURNAL_LOST_SIZE 4u /* a record larger than the ring takes */
struct journal_lost {
    uint64_t bytes;
    int64_t first_ns;
    int64_t last_ns;
};

/* JOURNAL_CONN: index is the connection's number, arg enum pgd_conn_state, data the reason's text. */

static inline size_t journal_padded(size_t size)
{
    return (size + 7u) & ~(size_t)7;
}

void journal_file_seal(struct journal_file *file);
void journal_block_seal(struct journal_block *block);
/* The record lies with its data and room for the padding at `record`. */
void journal_record_seal(struct journal_record *record);

/* What is wrong, or NULL. `room`: bytes there from the record on. */
const char *journal_file_fault(const struct journal_file *file);
const char *journal_block_fault(const struct journal_block *block);
const char *journal_record_fault(const struct journal_record *record, size_t room);

const char *journal_kind_name(unsigned kind); /* "FRAME"; NULL: not known */

#endif
