/* list.c - polyctl list: the directory. */
#include <stdio.h>
#include <string.h>

#include "out.h"

#define BARS_MAX 8

struct list {
    struct pgd_client *client;
    struct out out;
    int bars[BARS_MAX];
    char names[BARS_MAX][PGD_SEGMENT_MAX + 8]; /* "rows_1m" */
    unsigned bars_count;
};

/* The bars segments, whose rows get a column each. */
static void find_bars(struct list *l)
{
    struct pgd_segment_entry e;
    for (uint32_t i = 0; pgd_get_segment(l->client, i, &e) == 0 && l->bars_count < BARS_MAX; i++) {
        e.name[sizeof e.name - 1] = '\0';
        if (e.kind != PGD_KIND_BARS || strncmp(e.name, "bars.", 5) != 0)
            continue;
        int stream = pgd_stream(l->client, e.name);
        if (stream < 0)
            continue;
        snprintf(l->names[l->bars_count], sizeof l->names[0], "rows_%.27s", e.name + 5);
        l->bars[l->bars_count++] = stream;
    }
}

static void print_symbol(struct list *l, uint32_t index, const struct pgd_symbol *s)
{
    char wanted[64], acked[64], age[16];
    struct cell cells[12 + BARS_MAX];
    unsigned n = 0;
    int64_t age_ns = s->last_ns ? now_real_ns() - s->last_ns : -1;
    topics_text(wanted, sizeof wanted, s->wanted);
    topics_text(acked, sizeof acked, s->acked);
    age_text(age, sizeof age, age_ns < 0 && s->last_ns ? 0 : age_ns);
    cells[n++] = (struct cell){.name = "symbol", .kind = CELL_TEXT, .flags = CELL_LEFT, .text = s->name};
    cells[n++] = CELL_T("cluster", cluster_word(s->cluster));
    cells[n - 1].flags = CELL_LEFT;
    cells[n++] = CELL_T("state", state_word(s->state));
    cells[n - 1].flags = CELL_LEFT;
    cells[n++] = (struct cell){.name = "warm", .kind = CELL_FLAG, .flag = s->warm != 0};
    for (unsigned i = 0; i < l->bars_count; i++)
        cells[n++] = CELL_U(l->names[i], pgd_rows(l->client, l->bars[i], index));
    cells[n++] = CELL_U("events", s->events);
    cells[n++] = CELL_U("refused", s->refused);
    cells[n++] =
        (struct cell){.name = "last", .kind = CELL_TEXT, .flags = CELL_NO_JSON | CELL_NO_CSV, .text = age};
    cells[n++] = (struct cell){.name = "last_t",
                               .kind = s->last_ns ? CELL_TIME_NS : CELL_NULL,
                               .flags = CELL_NO_TEXT,
                               .i = s->last_ns};
    cells[n++] = (struct cell){.name = "wanted", .kind = CELL_WORDS, .flags = CELL_LEFT, .text = wanted};
    cells[n++] = (struct cell){.name = "acked", .kind = CELL_WORDS, .flags = CELL_LEFT, .text = acked};
    out_row(&l->out, cells, n);
}

static void list_symbols(struct list *l)
{
    struct pgd_symbol s;
    find_bars(l);
    for (uint32_t i = 0; pgd_get_symbol(l->client, i, &s) == 0; i++) {
        s.name[sizeof s.name - 1] = '\0';
        print_symbol(l, i, &s);
    }
}

static const char *kind_word(unsigned kind)
{
    return kind == PGD_KIND_BARS ? "bars" : kind == PGD_KIND_TAPE ? "tape" : "board";
}

static void list_segments(struct list *l)
{
    struct pgd_segment_entry e;
    for (uint32_t i = 0; pgd_get_segment(l->client, i, &e) == 0; i++) {
        e.name[sizeof e.name - 1] = '\0';
        int stream = e.kind == PGD_KIND_BOARD ? -1 : pgd_stream(l->client, e.name);
        struct cell cells[] = {
            {.name = "segment", .kind = CELL_TEXT, .flags = CELL_LEFT, .text = e.name},
            {.name = "kind", .kind = CELL_TEXT, .flags = CELL_LEFT, .text = kind_word(e.kind)},
            CELL_U("bytes", e.size),
            {.name = "capacity",
             .kind = stream < 0 ? CELL_NULL : CELL_UINT,
             .u = stream < 0 ? 0 : pgd_stream_capacity(l->client, stream)},
            {.name = "columns",
             .kind = e.kind == PGD_KIND_BARS && stream >= 0 ? CELL_UINT : CELL_NULL,
             .u = stream < 0 ? 0 : pgd_columns(l->client, stream)}};
        out_row(&l->out, cells, sizeof cells / sizeof cells[0]);
    }
}

int verb_list(const struct args *args)
{
    int code = EXIT_OK;
    struct list l = {.client = ctl_open(args, &code)};
    if (!l.client)
        return code;
    out_init(&l.out, args);
    if (args_has(args, OPT_SEGMENTS))
        list_segments(&l);
    else
        list_symbols(&l);
    out_end(&l.out);
    pgd_close(l.client);
    return code;
}
