/* rest.h - the REST routes. Each handler fills the reply; nothing is kept between requests but the rate
 * limit. */
#ifndef POLYSIM_REST_H
#define POLYSIM_REST_H

#include "http.h"
#include "sim.h"

struct sim_rest {
    struct sim *sim;
    const struct sim_request *request;
    struct sim_reply *reply;
    struct sim_text *out; /* = &reply->body */
    bool tls;
};

/* Is there such a route, is the key right, is the rate kept, does the plan include it? False: the reply says
 * what is not. */
bool sim_rest_admit(struct sim *sim, const struct sim_request *request, struct sim_reply *reply);
/* Answers a request that was admitted. */
void sim_rest_handle(struct sim *sim, const struct sim_request *request, struct sim_reply *reply, bool tls);

/* The upstream's error body for an HTTP status. */
void sim_rest_error(struct sim_rest *rest, int status, const char *message);
void sim_rest_error_body(struct sim_text *out, const struct sim_request *request, int status,
                         const char *message);

/* "status":"OK" or "DELAYED", "request_id":"..." */
void sim_rest_envelope(struct sim_rest *rest);
bool sim_rest_delayed(const struct sim_rest *rest);

/* Parameter as a whole number in [least, most]; `fallback` when absent. False: an error was sent. */
bool sim_rest_number(struct sim_rest *rest, const char *name, int64_t least, int64_t most, int64_t fallback,
                     int64_t *ret);

/* YYYY-MM-DD (ret_date true, midnight New York) or a count of `unit`s since 1970 (1: ms, 1000000: ns) as ms *
 * unit. */
bool sim_rest_time(const char *text, int64_t unit, int64_t *ret, bool *ret_date);

/* "http://host:port" as the client addressed us. */
void sim_rest_base_url(struct sim_rest *rest, struct sim_text *out);

/* ,"key":number */
void sim_rest_price(struct sim_text *out, const char *key, int64_t price, bool plain);
void sim_rest_size(struct sim_text *out, const char *key, int64_t size, bool plain);
void sim_rest_int(struct sim_text *out, const char *key, int64_t value);
void sim_rest_string(struct sim_text *out, const char *key, const char *value);

void sim_rest_aggs(struct sim_rest *rest);
void sim_rest_previous(struct sim_rest *rest);
void sim_rest_grouped(struct sim_rest *rest);
void sim_rest_open_close(struct sim_rest *rest);

void sim_rest_tickers(struct sim_rest *rest);
void sim_rest_ticker(struct sim_rest *rest);
void sim_rest_exchanges(struct sim_rest *rest);
void sim_rest_conditions(struct sim_rest *rest);
void sim_rest_status_now(struct sim_rest *rest);
void sim_rest_status_upcoming(struct sim_rest *rest);

/* The latest trade or quote up to now. False: none within a week. */
bool sim_rest_find_trade(struct sim_rest *rest, const struct sim_symbol *symbol, int64_t *ret_minute,
                         struct sim_trade *ret);
bool sim_rest_find_quote(struct sim_rest *rest, const struct sim_symbol *symbol, int64_t *ret_minute,
                         struct sim_quote *ret);

void sim_rest_snapshots(struct sim_rest *rest);
void sim_rest_snapshot(struct sim_rest *rest);
void sim_rest_trades(struct sim_rest *rest);
void sim_rest_quotes(struct sim_rest *rest);
void sim_rest_last_trade(struct sim_rest *rest);
void sim_rest_last_quote(struct sim_rest *rest);

#endif
