/* Prints a symbol's closes and indicators as bars are published:
 *
 *     cc follow.c $(pkg-config --cflags --libs libpolygond) -o follow
 *     ./follow AAPL
 */
#include <stdio.h>

#include <polygond/polygond.h>

static void print_row(const struct pgd_client *client, const struct pgd_event *e)
{
    printf("%s %lld c=%g", e->name, (long long)e->bar.t, e->bar.c);
    for (unsigned i = 0; i < e->column_count; i++)
        printf(" %s=%g", pgd_column_name(client, e->stream, i), e->columns[i]);
    printf("%s\n", e->flags & PGD_ROW_REVISED ? " (revised)" : "");
}

static int follow(struct pgd_client *client, struct pgd_sub *sub)
{
    const struct pgd_event *e;
    int r;
    while ((r = pgd_sub_next(sub, &e, -1)) > 0) {
        switch (e->kind) {
        case PGD_EVENT_BAR:
            print_row(client, e);
            break;
        case PGD_EVENT_LOST:
            fprintf(stderr, "read too slowly: %llu records lost\n", (unsigned long long)e->lost);
            break;
        case PGD_EVENT_DOWN:
            fprintf(stderr, "the daemon has gone; waiting\n");
            break;
        default:
            break;
        }
        fflush(stdout);
    }
    return r;
}

int main(int argc, char **argv)
{
    struct pgd_client *client = NULL;
    struct pgd_sub *sub = NULL;
    int r = pgd_open(&client, argc > 2 ? argv[2] : NULL);
    if (r == 0)
        r = pgd_sub_new(&sub, client);
    if (r == 0)
        r = pgd_sub_stream(sub, "bars.1m", 10);
    if (r >= 0)
        r = pgd_sub_symbol(sub, argc > 1 ? argv[1] : "AAPL");
    if (r == 0)
        r = follow(client, sub);
    fprintf(stderr, "%s\n", pgd_strerror(r));
    pgd_sub_free(sub);
    pgd_close(client);
    return 1;
}
