/* daemon/parse_rest.h - a REST answer that arrives in pieces: what is complete of the text so far is taken,
 * the rest is given again with what follows it. Cut at any place, the same rows and envelope come out as of
 * the whole (parse_rest), but for one thing: rows that come before the ticker have no symbol, if not one of
 * their own. Pure, no allocation. */
#ifndef DAEMON_PARSE_REST_H
#define DAEMON_PARSE_REST_H

#include "parse_row.h"

/* A row or a value of the envelope that is longer makes the answer bad. A buffer of twice this always does.
 */
#define PARSE_ITEM_MAX (64u * 1024)

struct parse_stream {
    struct parse_page *page;
    const struct parse_sink *sink;
    struct row_reader rows;
    int where;
    bool whole;          /* all of the text is given at once */
    const char *waiting; /* results before the ticker, then */
    const char *waiting_end;
};

/* `page` and `sink` stay where they are as long as the stream is used. */
void parse_stream_begin(struct parse_stream *stream, struct parse_page *page, const struct parse_sink *sink);

/* Takes what it can of the text, *ret_used bytes; what is left comes again, at the front of the next text.
 * `last`: nothing follows. -EBADMSG: not such JSON; rows before the damage have been delivered. */
int parse_stream_more(struct parse_stream *stream, const char *text, size_t size, bool last, size_t *ret_used)
    __attribute__((warn_unused_result));

#endif
