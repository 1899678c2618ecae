/* errors.c - polyctl errors: the log of distinct errors, the most recent last. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

static int by_time(const void *a, const void *b)
{
    const struct pgd_error *x = a, *y = b;
    return (x->last_ns > y->last_ns) - (x->last_ns < y->last_ns);
}

static void print_error(struct out *out, const struct pgd_error *e)
{
    char where[sizeof e->where + 1] = "", text[sizeof e->text + 1] = "";
    memcpy(where, e->where, sizeof e->where);
    memcpy(text, e->text, sizeof e->text);
    struct cell cells[] = {CELL_U("count", e->count),
                           {.name = "first", .kind = CELL_TIME_NS, .flags = CELL_YEAR, .i = e->first_ns},
                           {.name = "last", .kind = CELL_TIME_NS, .flags = CELL_YEAR, .i = e->last_ns},
                           {.name = "where", .kind = CELL_TEXT, .flags = CELL_LEFT, .text = where},
                           {.name = "text", .kind = CELL_TEXT, .flags = CELL_LEFT, .text = text}};
    out_row(out, cells, sizeof cells / sizeof cells[0]);
}

int verb_errors(const struct args *args)
{
    int code = EXIT_OK;
    struct pgd_client *client = ctl_open(args, &code);
    if (!client)
        return code;
    struct out out;
    struct pgd_status status;
    out_init(&out, args);
    out.columns = 0; /* the text is the last column and may wrap */
    pgd_get_status(client, &status);
    struct pgd_error *errors = calloc(status.errors + 1u, sizeof *errors);
    uint32_t n = 0;
    for (uint32_t i = 0; errors && i < status.errors; i++)
        n += pgd_get_error(client, i, &errors[n]) >= 0 && errors[n].count > 0;
    if (errors)
        qsort(errors, n, sizeof *errors, by_time);
    for (uint32_t i = 0; i < n; i++)
        print_error(&out, &errors[i]);
    out_end(&out);
    if (!errors)
        code = ctl_fail("errors", -ENOMEM);
    free(errors);
    pgd_close(client);
    return code;
}
