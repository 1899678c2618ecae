/* rows.c - bars, trades and quotes as cells, under the names of the schema. */
#include "rows.h"

#include <string.h>

static struct cell *add(struct row *r, struct cell cell)
{
    struct cell *c = &r->cells[r->count++];
    *c = cell;
    return c;
}

static void add_symbol(struct row *r, const char *symbol, int width)
{
    struct cell *c = add(r, CELL_T("symbol", symbol));
    c->flags = CELL_LEFT | (width ? 0 : CELL_NO_TEXT);
    c->width = width;
}

static void add_word(struct row *r, const char *name, const char *text)
{
    add(r, CELL_T(name, text))->flags = CELL_NO_TEXT;
}

static void add_number(struct row *r, const char *name, double value, int width, unsigned flags)
{
    struct cell *c = add(r, CELL_D(name, value));
    c->width = width;
    c->flags = flags | (width ? 0 : CELL_NO_TEXT);
}

/* The vendor counts ids and codes from 0 or 1; 0 here says that there was none. */
static struct cell *add_id(struct row *r, const char *name, uint64_t value, int width)
{
    struct cell *c = add(r, CELL_U(name, value));
    c->width = width;
    c->flags = width ? 0 : CELL_NO_TEXT;
    if (value == 0)
        c->kind = CELL_NULL;
    return c;
}

/* Came late, to fill a hole in the stream. */
static void add_filled(struct row *r, bool filled)
{
    if (filled)
        add(r, (struct cell){.name = "filled", .kind = CELL_FLAG, .flag = true})->flags =
            CELL_NO_TEXT | CELL_NO_CSV;
}

/* Revisions after the first publication: rev counts by two from 2. */
static void add_revision(struct row *r, const struct bar_row *from)
{
    unsigned revisions = from->bar->rev > 2 ? from->bar->rev / 2u - 1u : 0;
    struct cell *c = add(r, CELL_U("rev", revisions));
    c->flags = CELL_NO_TEXT | (revisions ? 0 : CELL_NO_JSON);
    if (from->flags & PGD_ROW_UNCOMPUTED) {
        c = add(r, (struct cell){.name = "computed", .kind = CELL_FLAG});
        c->flags = CELL_NO_TEXT | CELL_NO_CSV;
    }
    if (from->flags & PGD_ROW_RECOMPUTED) {
        c = add(r, (struct cell){.name = "recomputed", .kind = CELL_FLAG, .flag = true});
        c->flags = CELL_NO_TEXT | CELL_NO_CSV;
    }
}

static const char *mark_of(const struct bar_row *from)
{
    if (from->flags & PGD_ROW_RECOMPUTED)
        return "~";
    return from->flags & PGD_ROW_REVISED || from->bar->rev > 2 ? "*" : "";
}

void row_bar(struct row *r, const struct bar_row *from)
{
    const struct pgd_bar *b = from->bar;
    r->count = 0;
    add_symbol(r, from->symbol, from->symbol_width);
    add_word(r, "timespan", from->timespan);
    if (from->what) {
        struct cell *c = add(r, CELL_T("", from->what));
        c->flags = CELL_NO_JSON | CELL_NO_CSV | CELL_LEFT;
    }
    add(r, (struct cell){.name = "t", .kind = CELL_TIME_MS, .i = b->t})->flags =
        from->seconds ? CELL_SECONDS : 0;
    struct cell *mark = add(r, CELL_T("", mark_of(from)));
    mark->flags = CELL_NO_JSON | CELL_NO_CSV;
    mark->width = 1;
    add_number(r, "o", b->o, 9, CELL_PRICE);
    add_number(r, "h", b->h, 9, CELL_PRICE);
    add_number(r, "l", b->l, 9, CELL_PRICE);
    add_number(r, "c", b->c, 9, CELL_PRICE);
    add_number(r, "v", b->v, 9, CELL_AMOUNT);
    add_number(r, "vw", b->vw, 0, 0);
    struct cell *n = add(r, CELL_U("n", b->n));
    n->flags = CELL_NO_TEXT;
    if (b->n == PGD_N_ABSENT)
        n->kind = CELL_NULL;
    const struct row_columns *k = from->indicators;
    for (unsigned i = 0; from->columns && i < k->count; i++)
        add_number(r, k->names[i], from->columns[i], 9, strcmp(k->units[i], "shares") == 0 ? CELL_AMOUNT : 0);
    add_revision(r, from);
    add_filled(r, (b->flags & PGD_BAR_FILLED) != 0);
}

void row_trade(struct row *r, const char *symbol, const struct pgd_trade *t, int symbol_width)
{
    r->count = 0;
    add_symbol(r, symbol, symbol_width);
    add_word(r, "type", "trade");
    add(r, (struct cell){.name = "t", .kind = CELL_TIME_NS, .i = t->t})->flags = CELL_MILLIS;
    add_number(r, "price", t->price, 10, CELL_PRICE);
    add_number(r, "size", t->size, 8, CELL_AMOUNT);
    add_id(r, "exchange", t->exchange, 3);
    add_id(r, "trf", t->trf, 0);
    unsigned n = 0;
    for (unsigned i = 0; i < 4; i++)
        if (t->cond[i])
            r->cond[n++] = (uint16_t)(t->cond[i] - 1u);
    struct cell *c = add(r, (struct cell){.name = "cond", .kind = CELL_LIST});
    c->list.values = r->cond;
    c->list.count = n;
    c->width = 11;
    add(r, CELL_U("flags", t->flags))->flags = CELL_NO_TEXT;
    add_id(r, "seq", t->seq, 10);
    add_id(r, "id", t->id, 0);
    add_filled(r, (t->flags & PGD_FILLED) != 0);
}

void row_quote(struct row *r, const char *symbol, const struct pgd_quote *q, int symbol_width)
{
    r->count = 0;
    add_symbol(r, symbol, symbol_width);
    add_word(r, "type", "quote");
    add(r, (struct cell){.name = "t", .kind = CELL_TIME_NS, .i = q->t})->flags = CELL_MILLIS;
    add_number(r, "bid_size", q->bid_size, 8, CELL_AMOUNT);
    add_number(r, "bid", q->bid, 10, CELL_PRICE);
    add_number(r, "ask", q->ask, 10, CELL_PRICE);
    add_number(r, "ask_size", q->ask_size, 8, CELL_AMOUNT);
    add_id(r, "bid_exchange", q->bid_exchange, 0);
    add_id(r, "ask_exchange", q->ask_exchange, 0);
    struct cell *c = add_id(r, "cond", q->cond, 4);
    if (q->cond)
        c->u = q->cond - 1u;
    add(r, CELL_U("flags", q->flags))->flags = CELL_NO_TEXT;
    add_id(r, "seq", q->seq, 10);
    add_filled(r, (q->flags & PGD_FILLED) != 0);
}

void row_columns(struct row_columns *ret, const struct pgd_client *client, int stream)
{
    unsigned n = pgd_columns(client, stream);
    ret->count = n > ROW_COLUMNS_MAX ? ROW_COLUMNS_MAX : n;
    for (unsigned i = 0; i < ret->count; i++) {
        ret->names[i] = pgd_column_name(client, stream, i);
        ret->units[i] = pgd_column_unit(client, stream, i);
    }
}
