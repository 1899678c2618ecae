#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch_table.h"
#include "kernels/sheet.h"

static const char all_fields[] = "t,o,h,l,c,v,vw,n";

/* Words of one list, each with what it stands for. */
struct words {
    const char *word[FETCH_TABLE_COLUMNS];
    size_t count;
    char *text; /* they lie in it */
};

static void say(char *err, size_t err_size, const char *what, const char *why)
{
    snprintf(err, err_size, "%s: %s", what, why);
}

static int split(struct words *ret, const char *option, const char *list, char *err, size_t err_size)
{
    *ret = (struct words){.text = strdup(list)};
    if (!ret->text) {
        say(err, err_size, option, "out of memory");
        return -ENOMEM;
    }
    for (char *save, *word = strtok_r(ret->text, ", \t\n", &save); word;
         word = strtok_r(NULL, ", \t\n", &save)) {
        if (ret->count == FETCH_TABLE_COLUMNS) {
            say(err, err_size, option, "too many");
            return -EINVAL;
        }
        ret->word[ret->count++] = word;
    }
    if (ret->count)
        return 0;
    say(err, err_size, option, "none given");
    return -EINVAL;
}

static int add(struct fetch_columns *c, const char *name, char *err, size_t err_size)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->names[i], name) == 0) {
            say(err, err_size, name, "given twice");
            return -EINVAL;
        }
    if (c->count == FETCH_TABLE_COLUMNS) {
        say(err, err_size, "columns", "too many");
        return -EINVAL;
    }
    snprintf(c->names[c->count++], sizeof c->names[0], "%s", name);
    return 0;
}

/* The columns of an indicator, or of a family. */
static int add_indicator(struct fetch_columns *c, const char *word, char *err, size_t err_size)
{
    struct pgk_plan *plan;
    int r = pgk_plan_new(&plan, &word, 1, err, err_size);
    if (r < 0)
        return r;
    for (size_t i = 0; i < pgk_plan_columns(plan) && r == 0; i++)
        r = add(c, pgk_plan_name(plan, i), err, err_size);
    pgk_plan_free(plan);
    return r;
}

static int add_columns(struct fetch_columns *c, const struct words *words, char *err, size_t err_size)
{
    int r = 0;
    for (size_t i = 0; i < words->count && r == 0; i++) {
        struct sheet_column field;
        if (strcmp(words->word[i], "symbol") == 0 && i == 0)
            continue;
        if (strcmp(words->word[i], "symbol") == 0) {
            say(err, err_size, "symbol", "it is always the first column");
            return -EINVAL;
        }
        r = sheet_field(&field, words->word[i]) ? add(c, field.name, err, err_size)
                                                : add_indicator(c, words->word[i], err, err_size);
    }
    return r;
}

static bool planned(const struct pgk_plan *plan, const char *name)
{
    for (size_t i = 0; plan && i < pgk_plan_columns(plan); i++)
        if (strcmp(pgk_plan_name(plan, i), name) == 0)
            return true;
    return false;
}

/* The plan of the indicators among the columns, by the words given: a family's name is also a column's. */
static int plan_columns(struct fetch_columns *c, const struct words *words, char *err, size_t err_size)
{
    const char *names[FETCH_TABLE_COLUMNS];
    size_t count = 0;
    struct sheet_column field;
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->word[i], "symbol") != 0 && !sheet_field(&field, words->word[i]))
            names[count++] = words->word[i];
    return count ? pgk_plan_new(&c->plan, names, count, err, err_size) : 0;
}

static int choose(struct fetch_columns *c, const struct words *columns, const struct words *indicators,
                  char *err, size_t err_size)
{
    int r = 0;
    if (indicators->count || !columns->text)
        r = pgk_plan_new(&c->plan, indicators->word, indicators->count, err, err_size);
    struct words all = {0};
    if (r == 0 && !columns->text)
        r = split(&all, "columns", all_fields, err, err_size);
    if (r == 0)
        r = add_columns(c, columns->text ? columns : &all, err, err_size);
    free(all.text);
    for (size_t i = 0; r == 0 && !columns->text && i < pgk_plan_columns(c->plan); i++)
        r = add(c, pgk_plan_name(c->plan, i), err, err_size);
    if (r == 0 && !c->plan)
        r = plan_columns(c, columns, err, err_size);
    struct sheet_column field;
    for (size_t i = 0; i < c->count && r == 0; i++)
        if (!sheet_field(&field, c->names[i]) && !planned(c->plan, c->names[i])) {
            say(err, err_size, c->names[i], "a column, but not among the indicators");
            r = -EINVAL;
        }
    return r;
}

int fetch_columns_init(struct fetch_columns *ret, const char *columns, const char *indicators,
                       char *const *fallback, size_t fallback_count, char *err, size_t err_size)
{
    struct words chosen = {0}, computed = {0};
    *ret = (struct fetch_columns){0};
    int r = columns ? split(&chosen, "columns", columns, err, err_size) : 0;
    if (r == 0 && indicators)
        r = split(&computed, "indicators", indicators, err, err_size);
    for (size_t i = 0; !indicators && !columns && i < fallback_count && i < FETCH_TABLE_COLUMNS; i++)
        computed.word[computed.count++] = fallback[i];
    if (r == 0)
        r = choose(ret, &chosen, &computed, err, err_size);
    free(chosen.text);
    free(computed.text);
    if (r < 0)
        fetch_columns_fini(ret);
    return r;
}

void fetch_columns_fini(struct fetch_columns *columns)
{
    pgk_plan_free(columns->plan);
    columns->plan = NULL;
}
