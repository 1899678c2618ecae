#include "engines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Splits `list` at its commas, in place; blanks around the words are dropped. Words found, most + 1: more. */
static size_t split(char *list, const char **words, size_t most)
{
    size_t count = 0;
    for (char *save, *word = strtok_r(list, ", \t\n", &save); word; word = strtok_r(NULL, ", \t\n", &save)) {
        if (count == most)
            return most + 1;
        words[count++] = word;
    }
    return count;
}

int engine_plan(const struct args *args, struct pgk_plan **ret)
{
    return engine_plan_or(args, NULL, ret);
}

int engine_plan_or(const struct args *args, const char *otherwise, struct pgk_plan **ret)
{
    const char *words[PGK_COLUMNS_MAX];
    char why[ENGINE_WHY_SIZE] = "";
    size_t count = 0;
    char *list = NULL;
    const char *text = args_has(args, OPT_INDICATORS) ? args->value[OPT_INDICATORS] : otherwise;
    if (text != NULL) {
        list = strdup(text);
        if (list == NULL)
            return ctl_fail("indicators", -ENOMEM);
        count = split(list, words, PGK_COLUMNS_MAX);
    }
    int rc = 0, code = EXIT_OK;
    if (list != NULL && (count == 0 || count > PGK_COLUMNS_MAX)) {
        say("indicators", count == 0 ? "none given" : "more than %d", PGK_COLUMNS_MAX);
        code = EXIT_USAGE;
    } else if ((rc = pgk_plan_new(ret, words, count, why, sizeof why)) == -EINVAL) {
        say("indicators", "%s", strncmp(why, "indicator ", 10) == 0 ? why + 10 : why);
        code = EXIT_USAGE;
    } else if (rc < 0) {
        code = ctl_fail("indicators", rc);
    }
    free(list);
    return code;
}

bool engine_kind(const struct args *args, enum pgk_kind *ret)
{
    const char *text = args->value[OPT_ENGINE] ? args->value[OPT_ENGINE] : "auto";
    if (pgk_kind_named(text, ret))
        return true;
    say(text, "no such engine (auto, cpu, cuda)");
    return false;
}

bool engine_session(const struct args *args, enum pgd_session *ret)
{
    const char *text = args->value[OPT_SESSION] ? args->value[OPT_SESSION] : "us";
    bool us = strcmp(text, "us") == 0, utc = strcmp(text, "utc") == 0;
    if (!us && !utc) {
        say(text, "no such session (us: New York; utc: the UTC day)");
        return false;
    }
    *ret = us ? PGD_SESSION_US : PGD_SESSION_UTC;
    return true;
}
