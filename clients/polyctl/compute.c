/* compute.c - polyctl compute: the indicators of bars in a file, with the daemon's engine and no daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csv.h"
#include "engines.h"
#include "kernels/sheet.h"
#include "polyctl.h"

#define BUFFER_SIZE  (1u << 20) /* a longer line is refused */
#define FAULTS_SHOWN 10u
#define SECONDS_LIKE INT64_C(4102444800) /* 2100 in seconds, February 1970 in ms */

struct compute {
    const char *name; /* of the file */
    int fd;
    struct csv csv;
    struct pgk_history *history;
    struct sheet *sheet;
    uint64_t line;
    uint64_t bars, refused;
    bool json;
    bool headed;
    bool skipping; /* the rest of a line that is too long */
    int error;
    int output; /* of these: the sheet's */
};

/* Text of a file goes to a terminal: nothing but plain characters. */
static void say_line(const struct compute *c, const char *why)
{
    char plain[CSV_REASON_SIZE];
    size_t n = 0;
    for (; why[n] && n + 1 < sizeof plain; n++)
        plain[n] = why[n] >= ' ' && why[n] < 0x7f ? why[n] : '?';
    plain[n] = '\0';
    say(c->name, "line %llu: %s", (unsigned long long)c->line, plain);
}

static void refuse_line(struct compute *c, const char *why)
{
    if (++c->refused <= FAULTS_SHOWN)
        say_line(c, why);
    else if (c->refused == FAULTS_SHOWN + 1)
        say(c->name, "further lines are refused, which are only counted");
}

static void note_seconds(const struct compute *c, const struct pgd_bar *bar)
{
    if (c->bars == 1 && bar->t > SECONDS_LIKE / 4 && bar->t < SECONDS_LIKE)
        say(c->name, "t looks like seconds; it is read as ms since 1970");
}

static void take_bar(struct compute *c, const char *line, const char *end)
{
    char reason[CSV_REASON_SIZE];
    struct pgd_bar bar;
    int rc = csv_bar(&c->csv, line, end, &bar, reason);
    if (rc < 0)
        refuse_line(c, reason);
    if (rc <= 0)
        return;
    rc = pgk_history_push(c->history, &bar);
    if (rc == -ERANGE) {
        snprintf(reason, sizeof reason, "t runs back further than %u bars", PGK_HISTORY_REVISABLE);
        refuse_line(c, reason);
        return;
    }
    if (rc < 0) {
        c->error = rc;
        return;
    }
    c->bars++;
    note_seconds(c, &bar);
}

static void take_header(struct compute *c, const char *line, const char *end)
{
    char reason[CSV_REASON_SIZE];
    c->headed = true;
    int rc = csv_header(&c->csv, line, end, reason);
    if (rc < 0) {
        say_line(c, reason);
        c->error = rc;
    } else if (!c->json) { /* not before: who mistook the file has nothing in the output */
        c->error = c->output = sheet_header(c->sheet);
    }
}

static void take_line(struct compute *c, const char *line, const char *end)
{
    c->line++;
    if (c->headed)
        take_bar(c, line, end);
    else
        take_header(c, line, end);
}

/* Takes the whole lines of [at, end); returns where the last, unfinished one begins. */
static const char *take_lines(struct compute *c, const char *at, const char *end)
{
    while (c->error == 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            break;
        if (!c->skipping)
            take_line(c, at, newline);
        c->skipping = false;
        at = newline + 1;
    }
    return at;
}

static void skip_line(struct compute *c)
{
    char reason[CSV_REASON_SIZE];
    if (c->skipping)
        return;
    c->skipping = true;
    c->line++;
    snprintf(reason, sizeof reason, "longer than %u bytes", BUFFER_SIZE);
    if (c->headed) {
        refuse_line(c, reason);
        return;
    }
    say_line(c, reason);
    c->error = -EINVAL;
}

/* 0, or the errno of reading. */
static int read_bars(struct compute *c, char *buffer)
{
    size_t held = 0;
    while (c->error == 0) {
        ssize_t n = read(c->fd, buffer + held, BUFFER_SIZE - held);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        held += (size_t)n;
        const char *rest = take_lines(c, buffer, buffer + held);
        held -= (size_t)(rest - buffer);
        memmove(buffer, rest, held);
        if (held == BUFFER_SIZE) {
            skip_line(c);
            held = 0;
        }
    }
    if (held > 0 && !c->skipping && c->error == 0)
        take_line(c, buffer, buffer + held);
    return 0;
}

static int run(struct compute *c)
{
    char *buffer = malloc(BUFFER_SIZE);
    int rc = buffer == NULL ? -ENOMEM : read_bars(c, buffer);
    free(buffer);
    if (rc == 0 && c->error == 0 && !c->headed) {
        say(c->name, "empty: the first line names the columns, such as t,o,h,l,c,v,vw");
        return EXIT_FAILED;
    }
    if (rc < 0) {
        say(c->name, "%s", strerror(-rc));
        return EXIT_FAILED;
    }
    if (c->error == -EINVAL && c->output == 0) /* said already */
        return EXIT_FAILED;
    if (c->error == 0)
        c->error = pgk_history_end(c->history);
    const char *notice = pgk_history_notice(c->history);
    if (notice != NULL)
        say("engine", "%s", notice);
    if (c->error == 0)
        c->error = c->output = sheet_end(c->sheet);
    if (c->error < 0) {
        say(c->output < 0 ? "standard output" : "compute", "%s", strerror(-c->error));
        return EXIT_FAILED;
    }
    if (c->refused == 0)
        return EXIT_OK;
    say(c->name, "%llu of %llu lines refused", (unsigned long long)c->refused,
        (unsigned long long)(c->line - 1));
    return EXIT_LOST;
}

/* t and the indicators, on the standard output. */
static int open_sheet(struct compute *c, const struct pgk_plan *plan)
{
    size_t values = pgk_plan_columns(plan);
    struct sheet_column *columns = calloc(values + 1, sizeof *columns);
    if (columns == NULL)
        return -ENOMEM;
    (void)sheet_field(&columns[0], "t");
    for (size_t j = 0; j < values; j++) {
        columns[j + 1] = (struct sheet_column){.kind = SHEET_VALUE, .value = (uint32_t)j};
        snprintf(columns[j + 1].name, sizeof columns[j + 1].name, "%s", pgk_plan_name(plan, j));
    }
    struct sheet_config config = {
        .fd = STDOUT_FILENO, .json = c->json, .columns = columns, .count = values + 1};
    int rc = sheet_new(&c->sheet, &config);
    free(columns);
    return rc;
}

static int take_rows(void *user, const struct pgk_history_rows *rows)
{
    struct compute *c = user;
    return c->output = sheet_take(c->sheet, rows);
}

/* Makes engine and output, and goes through the file. */
static int compute(struct compute *c, const struct args *args, const struct pgk_plan *plan)
{
    char why[ENGINE_WHY_SIZE] = "";
    struct pgk_history_config config = {.stream = args_has(args, OPT_STREAM), .take = take_rows, .user = c};
    enum pgd_session session;
    if (!engine_kind(args, &config.engine.kind) || !engine_session(args, &session))
        return EXIT_USAGE;
    c->json = args_has(args, OPT_JSON);
    int rc = open_sheet(c, plan);
    if (rc == 0)
        rc = pgk_history_new(&c->history, plan, &config, why, sizeof why);
    if (rc < 0) {
        say("engine", "%s", why[0] ? why : strerror(-rc));
        return EXIT_FAILED;
    }
    pgk_history_begin(c->history, session);
    return run(c);
}

int verb_compute(const struct args *args)
{
    struct pgk_plan *plan = NULL;
    struct compute c = {.fd = STDIN_FILENO};
    if (args->operand_count != 1) {
        say("compute", args->operand_count == 0 ? "no file; - is the standard input" : "one file at a time");
        return EXIT_USAGE;
    }
    int code = engine_plan(args, &plan);
    if (code != EXIT_OK)
        return code;
    bool input = strcmp(args->operands[0], "-") == 0;
    c.name = input ? "standard input" : args->operands[0];
    if (!input)
        c.fd = open(c.name, O_RDONLY | O_CLOEXEC);
    if (c.fd < 0) {
        say(c.name, "%s", strerror(errno));
        code = EXIT_FAILED;
    } else {
        code = compute(&c, args, plan);
    }
    sheet_free(c.sheet); /* its threads may still look at the history's rows */
    pgk_history_free(c.history);
    pgk_plan_free(plan);
    if (!input && c.fd >= 0)
        close(c.fd);
    return code;
}
