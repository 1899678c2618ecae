/* gaps.c - polyctl gaps: holes in the data, the newest last. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

static int by_id(const void *a, const void *b)
{
    const struct pgd_gap *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static struct cell left(const char *name, const char *text)
{
    return (struct cell){
        .name = name, .kind = text[0] ? CELL_TEXT : CELL_NULL, .flags = CELL_LEFT, .text = text};
}

static void print_gap(struct out *out, const struct pgd_client *client, const struct pgd_gap *g)
{
    struct pgd_symbol symbol = {0};
    char topic[64];
    if (pgd_get_symbol(client, g->symbol, &symbol) < 0)
        snprintf(symbol.name, sizeof symbol.name, "#%u", g->symbol);
    symbol.name[sizeof symbol.name - 1] = '\0';
    topics_text(topic, sizeof topic, g->topic);
    bool grows = g->to_ns == INT64_MAX;
    struct cell cells[] = {
        {.name = "id", .kind = CELL_UINT, .flags = CELL_NO_TEXT, .u = g->id},
        left("symbol", symbol.name),
        left("topic", topic),
        left("state", pgd_gap_state_text(g->state)),
        left("reason", pgd_gap_reason_text(g->reason)),
        left("why", pgd_gap_why_text(g->why)),
        {.name = "from", .kind = CELL_TIME_NS, .flags = CELL_YEAR, .i = g->from_ns},
        {.name = "to",
         .kind = grows ? CELL_NULL : CELL_TIME_NS,
         .flags = CELL_YEAR,
         .i = grows ? 0 : g->to_ns},
        CELL_U("tries", g->tries),
        CELL_U("received", g->received),
        CELL_U("filled", g->filled),
        {.name = "opened", .kind = CELL_TIME_NS, .flags = CELL_NO_TEXT, .i = g->opened_ns},
        {.name = "changed", .kind = CELL_TIME_NS, .flags = CELL_NO_TEXT, .i = g->changed_ns}};
    out_row(out, cells, sizeof cells / sizeof cells[0]);
}

/* Symbols asked for: is this one of them? All of them when none was named. */
static bool asked_for(const int32_t *symbols, int count, uint32_t symbol)
{
    for (int i = 0; i < count; i++)
        if (symbols[i] == (int32_t)symbol)
            return true;
    return count == 0;
}

static int find_symbols(const struct pgd_client *client, const struct args *args, int32_t *symbols)
{
    for (int i = 0; i < args->operand_count; i++) {
        symbols[i] = pgd_find(client, args->operands[i]);
        if (symbols[i] < 0) {
            say(args->operands[i], "not held: polyctl list shows what is");
            return EXIT_UNKNOWN;
        }
    }
    return EXIT_OK;
}

static int print_gaps(struct pgd_client *client, const struct args *args)
{
    struct out out;
    uint32_t rows = pgd_gaps(client), n = 0;
    struct pgd_gap *gaps = calloc(rows + 1u, sizeof *gaps);
    int32_t *symbols = calloc((size_t)args->operand_count + 1u, sizeof *symbols);
    int code = gaps && symbols ? find_symbols(client, args, symbols) : ctl_fail("gaps", -ENOMEM);
    for (uint32_t i = 0; code == EXIT_OK && i < rows; i++)
        n += pgd_get_gap(client, i, &gaps[n]) == 0 && asked_for(symbols, args->operand_count, gaps[n].symbol);
    if (code == EXIT_OK) {
        qsort(gaps, n, sizeof *gaps, by_id);
        out_init(&out, args);
        for (uint32_t i = 0; i < n; i++)
            print_gap(&out, client, &gaps[i]);
        out_end(&out);
    }
    free(gaps);
    free(symbols);
    return code;
}

int verb_gaps(const struct args *args)
{
    int code = EXIT_OK;
    struct pgd_client *client = ctl_open(args, &code);
    if (!client)
        return code;
    code = print_gaps(client, args);
    pgd_close(client);
    return code;
}
