/* http.h - HTTP/1.1, the server's side: parse a request, send a reply (gzip and chunked as asked for). */
#ifndef POLYSIM_HTTP_H
#define POLYSIM_HTTP_H

#include "conn.h"
#include "scenario.h"

#define SIM_SEGMENTS 12

struct sim_request {
    char method[12];
    char target[4096];
    char path[4096];  /* of the target, percent-decoded */
    char query[4096]; /* of the target, as sent */
    char segments_text[4096];
    const char *segments[SIM_SEGMENTS]; /* path split at '/', decoded; "" beyond the last */
    size_t segment_count;
    char host[256];
    char auth[512];
    char upgrade[64];
    char connection[128];
    char ws_key[64];
    char ws_version[16];
    bool gzip;
    bool keep_alive;
    int64_t rows_most; /* of a page, 0: as asked for */
    size_t body_size;
    const char *body; /* in the input, not terminated */
    char id[33];      /* X-Request-Id */
};

/* Parses one request off the front of data. Returns bytes it took, 0 when it is incomplete, or the negative
 * HTTP status to refuse it with. */
int64_t sim_request_parse(struct sim_request *request, const char *data, size_t size);

/* A query parameter, decoded. False: not there. */
bool sim_request_param(const struct sim_request *request, const char *name, char *value, size_t size);

struct sim_reply {
    int status;
    const char *type;        /* NULL: application/json */
    struct sim_text headers; /* further lines, each ended by CRLF */
    struct sim_text body;
    bool lasting; /* the same request will have the same answer as long as the market is not revised */
    /* Ways to go wrong. */
    bool truncate;                /* the body ends in the middle and so does the connection */
    bool bad_chunk;               /* a chunk size that is none */
    bool no_body;                 /* Content-Length: 0 */
    bool corrupt;                 /* a byte of the body is another */
    const struct sim_rule *spoil; /* what is done to the page (spoil.h), or NULL */
};

void sim_reply_fini(struct sim_reply *reply);

/* The bytes of the answer, head and all, appended to out. True: the connection is to be closed after it. */
bool sim_reply_render(const struct sim_request *request, const struct sim_reply *reply, struct sim_text *out);

/* Sends it and closes the connection where the client or the reply wants that. */
void sim_reply_send(struct sim_conn *conn, const struct sim_request *request, struct sim_reply *reply);

/* The body gzipped, appended to out. */
void sim_gzip(struct sim_text *out, const char *data, size_t size);

/* First handler of every connection. */
extern const struct sim_conn_handler sim_http_handler;

#endif
