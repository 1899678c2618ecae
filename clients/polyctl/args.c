/* args.c - words of the command line. One table of options serves parsing, help and completion. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "polyctl.h"

const struct option_info option_infos[OPT_COUNT_OF] = {
#define X(id, letter, name, value, doc) [OPT_##id] = {letter, name, value, doc},
#include "options.def"
#undef X
};

const struct verb *verb_find(const char *name)
{
    for (unsigned i = 0; i < verb_count; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits (insert, drop, replace, swap neighbours) from a to b. Words longer than the table are far. */
static unsigned distance(const char *a, const char *b)
{
    enum { MOST = 24 };
    unsigned d[MOST + 1][MOST + 1];
    unsigned n = (unsigned)strlen(a), m = (unsigned)strlen(b);
    if (n > MOST || m > MOST)
        return MOST;
    for (unsigned i = 0; i <= n; i++)
        for (unsigned j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

const char *verb_nearest(const char *word)
{
    const char *best = NULL;
    size_t n = strlen(word);
    unsigned far = n <= 3 ? 2 : 3;
    for (unsigned i = 0; i < verb_count; i++) {
        if (n >= 2 && strncmp(verbs[i].name, word, n) == 0)
            return verbs[i].name;
        unsigned d = distance(word, verbs[i].name);
        if (d < far) {
            far = d;
            best = verbs[i].name;
        }
    }
    return best;
}

static int find_long(const char *name, size_t n)
{
    for (int i = 0; i < OPT_COUNT_OF; i++)
        if (strlen(option_infos[i].name) == n && memcmp(option_infos[i].name, name, n) == 0)
            return i;
    return -1;
}

static int find_letter(char letter)
{
    for (int i = 0; i < OPT_COUNT_OF; i++)
        if (option_infos[i].letter && option_infos[i].letter == letter)
            return i;
    return -1;
}

/* One option word; may use the next word as its value. Returns words used, or -1 (said). */
static int parse_option(struct args *args, uint64_t allowed, char **words, int count)
{
    const char *word = words[0], *value = NULL;
    int id;
    if (word[1] == '-') {
        size_t n = strcspn(word + 2, "=");
        id = find_long(word + 2, n);
        value = word[2 + n] == '=' ? word + 3 + n : NULL;
    } else {
        id = find_letter(word[1]);
        value = word[2] ? word + 2 : NULL;
    }
    if (id < 0 || !(allowed >> id & 1u)) {
        say(word, "no such option here");
        return -1;
    }
    if (!option_infos[id].value && value) {
        say(word, "takes no value");
        return -1;
    }
    if (!option_infos[id].value) {
        args->value[id] = "";
        return 1;
    }
    if (!value && count < 2) {
        say(word, "needs a value: %s", option_infos[id].value);
        return -1;
    }
    args->value[id] = value ? value : words[1];
    return value ? 1 : 2;
}

int args_find_verb(int argc, char **argv, const char **ret_instance, bool *ret_help)
{
    struct args args = {0};
    uint64_t allowed = OPTION_BIT(INSTANCE) | OPTION_BIT(HELP);
    int i = 1;
    while (i < argc && argv[i][0] == '-' && argv[i][1]) {
        int used = parse_option(&args, allowed, argv + i, argc - i);
        if (used < 0)
            return -EXIT_USAGE;
        i += used;
    }
    *ret_help = args_has(&args, OPT_HELP);
    *ret_instance = args.value[OPT_INSTANCE];
    return i < argc ? i : 0;
}

int args_parse(struct args *ret, const struct verb *verb, int argc, char **argv)
{
    uint64_t allowed = verb->options | OPTION_BIT(INSTANCE) | OPTION_BIT(HELP);
    ret->operands = argv;
    ret->operand_count = 0;
    bool options = true;
    for (int i = 0; i < argc;) {
        if (!options || argv[i][0] != '-' || argv[i][1] == '\0') {
            ret->operands[ret->operand_count++] = argv[i++];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            options = false;
            i++;
            continue;
        }
        int used = parse_option(ret, allowed, argv + i, argc - i);
        if (used < 0)
            return EXIT_USAGE;
        i += used;
    }
    if (verb->operands[0] == '\0' && ret->operand_count > 0) {
        say(ret->operands[0], "%s takes no operands", verb->name);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

bool args_has(const struct args *args, enum option_id id)
{
    return args->value[id] != NULL;
}

int64_t args_count(const struct args *args, enum option_id id, int64_t fallback, int64_t most)
{
    const char *text = args->value[id];
    if (!text)
        return fallback;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < 0 || v > most) {
        say(option_infos[id].name, "not a number from 0 to %lld: %s", (long long)most, text);
        return -1;
    }
    return v;
}

int64_t args_seconds(const struct args *args, enum option_id id)
{
    const char *text = args->value[id];
    if (!text)
        return -1;
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < 0 || v > 1e9) {
        say(option_infos[id].name, "not a number of seconds: %s", text);
        return -2;
    }
    return (int64_t)(v * 1e9);
}

int args_cluster(const struct args *args)
{
    const char *text = args->value[OPT_CLUSTER];
    if (!text)
        return 0;
    for (unsigned i = 1; i < PGD_CLUSTERS; i++)
        if (strcmp(cluster_word(i), text) == 0)
            return (int)i;
    say(text, "no such cluster (stocks, options, crypto, forex, indices, futures)");
    return -1;
}
