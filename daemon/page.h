/* daemon/page.h - what one REST answer brought: its rows, kept until the answer is known to be whole, and its
 * envelope. Rows are plain records of 64 bytes, whatever their kind. Pure; one thread at a time. */
#ifndef DAEMON_PAGE_H
#define DAEMON_PAGE_H

#include <stdbool.h>

#include "parse.h"

enum rest_kind {
    REST_BARS,     /* aggregates of one ticker */
    REST_TRADES,   /* of one ticker */
    REST_QUOTES,   /* of one ticker */
    REST_GROUPED,  /* one day's bar of every ticker */
    REST_SNAPSHOT, /* the latest minute of many tickers, t 0: none yet */
    REST_NOTHING   /* only the envelope counts */
};

struct rest_rows {
    enum rest_kind kind;
    size_t count;
    union {
        const struct pgd_bar *bars;
        const struct pgd_trade *trades;
        const struct pgd_quote *quotes;
    };
    const char (*symbols)[PGD_SYMBOL_MAX]; /* of each row; REST_GROUPED, REST_SNAPSHOT */
};

#define PAGE_REASONS 8u
#define PAGE_RAW     160u

/* Rows refused for the same reason, with the first of them. */
struct page_bad {
    const char *reason;
    uint64_t count;
    size_t raw_size;
    char raw[PAGE_RAW];
};

struct page {
    enum rest_kind kind;
    struct parse_page envelope;
    uint64_t bytes; /* of the body, inflated */
    size_t count;
    size_t room;
    int64_t least; /* times of the rows: the least and the most; meaningful when there are rows */
    int64_t most;
    union {
        void *rows;
        struct pgd_bar *bars;
        struct pgd_trade *trades;
        struct pgd_quote *quotes;
    };
    char (*symbols)[PGD_SYMBOL_MAX];
    struct page_bad bad[PAGE_REASONS]; /* what has no slot of its own is counted in the last */
    unsigned bad_count;
    bool no_memory; /* a row could not be kept: the page is of no use */
};

struct page *page_new(enum rest_kind kind); /* NULL: no memory */
void page_free(struct page *page);          /* NULL is fine */

/* Room for one row more, which the caller fills and counts. False: no memory. */
bool page_room(struct page *page);

/* Notes a row that was refused. `reason` is a constant. */
void page_refuse(struct page *page, const char *reason, struct event_text raw);

/* Where parse delivers the rows of the page. */
struct parse_sink page_sink(struct page *page);

/* Rows [first, first + count) as a reader sees them. */
struct rest_rows page_rows(const struct page *page, size_t first, size_t count);

#endif
