/* complete.c - polyctl complete -- WORD...: candidates for the last word, one a line. The words are those
 * after "polyctl"; the tables that parse them answer. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "kernels/engine.h"
#include "polyctl.h"

#define CANDIDATES_MAX 2000u /* symbols offered at most */

static void offer(const char *prefix, const char *word)
{
    if (strncmp(word, prefix, strlen(prefix)) == 0)
        printf("%s\n", word);
}

static void offer_verbs(const char *prefix)
{
    for (unsigned i = 0; i < verb_count; i++)
        if (strcmp(verbs[i].name, "complete") != 0)
            offer(prefix, verbs[i].name);
}

static void offer_options(const char *prefix, const struct verb *verb)
{
    uint64_t allowed = (verb ? verb->options : 0) | OPTION_BIT(INSTANCE) | OPTION_BIT(HELP);
    for (int i = 0; i < OPT_COUNT_OF; i++) {
        char word[64];
        snprintf(word, sizeof word, "--%s", option_infos[i].name);
        if (allowed >> i & 1u)
            offer(prefix, word);
    }
}

static void offer_instances(const char *prefix)
{
    static const char head[] = "polygond.", tail[] = ".board";
    DIR *dir = opendir("/dev/shm");
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));) {
        size_t n = strlen(e->d_name);
        char name[PGD_INSTANCE_MAX];
        if (n <= sizeof head - 1 + sizeof tail - 1 || strncmp(e->d_name, head, sizeof head - 1) != 0 ||
            strcmp(e->d_name + n - (sizeof tail - 1), tail) != 0)
            continue;
        n -= sizeof head - 1 + sizeof tail - 1;
        if (n >= sizeof name)
            continue;
        memcpy(name, e->d_name + sizeof head - 1, n);
        name[n] = '\0';
        offer(prefix, name);
    }
    closedir(dir);
}

static void offer_spans(const char *prefix, const struct pgd_client *client)
{
    struct pgd_segment_entry e;
    for (uint32_t i = 0; client && pgd_get_segment(client, i, &e) == 0; i++) {
        e.name[sizeof e.name - 1] = '\0';
        if (e.kind == PGD_KIND_BARS && strncmp(e.name, "bars.", 5) == 0)
            offer(prefix, e.name + 5);
    }
}

static void offer_symbols(const char *prefix, const struct pgd_client *client)
{
    struct pgd_symbol s;
    for (uint32_t i = 0; client && i < CANDIDATES_MAX && pgd_get_symbol(client, i, &s) == 0; i++) {
        s.name[sizeof s.name - 1] = '\0';
        offer(prefix, s.name);
    }
}

/* The last word of a list with commas, and what stands before it with each candidate. */
static void offer_listed(const char *list, const char *word, size_t length)
{
    const char *comma = strrchr(list, ',');
    size_t head = comma ? (size_t)(comma + 1 - list) : 0;
    char text[4096];
    if (snprintf(text, sizeof text, "%.*s%.*s", (int)head, list, (int)length, word) < (int)sizeof text)
        offer(list, text);
}

/* Families that have a name of their own, and columns, with the usual periods. */
static void offer_indicators(const char *list)
{
    const struct pgk_indicator_info *info;
    for (size_t i = 0; (info = pgk_indicator_info(i)); i++) {
        size_t family = strcspn(info->name, ",");
        if (info->name[family] == ',' &&
            (strncmp(info->columns, info->name, family) != 0 || info->columns[family] != ' '))
            offer_listed(list, info->name, family);
        for (const char *at = info->columns; *at; at += strspn(at, " ")) {
            size_t n = strcspn(at, " ");
            offer_listed(list, at, n);
            at += n;
        }
    }
}

static void offer_value(int option, const char *prefix, const struct pgd_client *client)
{
    if (option == OPT_INSTANCE)
        offer_instances(prefix);
    else if (option == OPT_BARS)
        offer_spans(prefix, client);
    else if (option == OPT_INDICATORS)
        offer_indicators(prefix);
    for (unsigned i = 1; option == OPT_CLUSTER && i < PGD_CLUSTERS; i++)
        offer(prefix, cluster_word(i));
    static const struct {
        enum option_id option;
        const char *word;
    } words[] = {{OPT_TIMESPAN, "second"}, {OPT_TIMESPAN, "minute"}, {OPT_TIMESPAN, "hour"},
                 {OPT_TIMESPAN, "day"},    {OPT_ENGINE, "auto"},     {OPT_ENGINE, "cpu"},
                 {OPT_ENGINE, "cuda"},     {OPT_SESSION, "us"},      {OPT_SESSION, "utc"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((int)words[i].option == option)
            offer(prefix, words[i].word);
}

/* Option of a word that takes the next word as its value, -1: none. */
static int value_option(const char *word)
{
    for (int i = 0; i < OPT_COUNT_OF; i++) {
        const struct option_info *o = &option_infos[i];
        bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0;
        bool is_short = o->letter && word[0] == '-' && word[1] == o->letter && word[2] == '\0';
        if (o->value && (is_long || is_short))
            return i;
    }
    return -1;
}

static void offer_for(const struct verb *verb, const char *last, const struct pgd_client *client)
{
    if (last[0] == '-')
        offer_options(last, verb);
    else if (!verb || strcmp(verb->name, "help") == 0)
        offer_verbs(last);
    else if (strcmp(verb->name, "bench") == 0)
        offer(last, verb->operands);
    else if (strncmp(verb->operands, "SYMBOL", 6) == 0)
        offer_symbols(last, client);
}

int verb_complete(const struct args *args)
{
    struct args of = {0};
    const struct verb *verb = NULL;
    int option = -1;
    if (args->operand_count == 0)
        return EXIT_OK;
    for (int i = 0; i < args->operand_count - 1; i++) {
        const char *word = args->operands[i];
        if (option == OPT_INSTANCE)
            of.value[OPT_INSTANCE] = word;
        else if (option < 0 && word[0] != '-' && !verb)
            verb = verb_find(word);
        option = option < 0 ? value_option(word) : -1;
    }
    struct pgd_client *client = NULL;
    if (pgd_open(&client, ctl_instance(&of)) < 0)
        client = NULL; /* verbs and options can be offered without */
    const char *last = args->operands[args->operand_count - 1];
    if (option >= 0)
        offer_value(option, last, client);
    else
        offer_for(verb, last, client);
    pgd_close(client);
    return EXIT_OK;
}
