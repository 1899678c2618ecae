/* help.c - polyctl help, from the tables of verbs and options. */
#include <stdio.h>
#include <string.h>

#include "kernels/engine.h"
#include "polyctl.h"

static void option_lines(uint64_t options)
{
    for (int i = 0; i < OPT_COUNT_OF; i++) {
        const struct option_info *o = &option_infos[i];
        char text[64];
        if (!(options >> i & 1u))
            continue;
        snprintf(text, sizeof text, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %c%c%c %-20s %s\n", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
               o->letter ? ',' : ' ', text, o->doc);
    }
}

static void indicator_lines(void)
{
    const struct pgk_indicator_info *info;
    printf("\nIndicators:\n");
    for (size_t i = 0; (info = pgk_indicator_info(i)); i++)
        printf("  %-28s %s\n", info->name, info->doc);
}

static int help_verb(const char *name)
{
    const struct verb *verb = verb_find(name);
    if (!verb) {
        const char *near = verb_nearest(name);
        say(name, "no such verb%s%s", near ? "; did you mean " : "", near ? near : "");
        return EXIT_USAGE;
    }
    printf("polyctl [--instance NAME] %s%s%s%s\n  %s\n", verb->name, verb->options ? " [OPTION...]" : "",
           verb->operands[0] ? " " : "", verb->operands, verb->doc);
    if (verb->options)
        printf("\n");
    option_lines(verb->options);
    if (verb->options & OPTION_BIT(INDICATORS))
        indicator_lines();
    return EXIT_OK;
}

int verb_help(const struct args *args)
{
    if (args->operand_count > 0)
        return help_verb(args->operands[0]);
    printf("polyctl [--instance NAME] VERB [OPTION...] [SYMBOL...]\n\n");
    for (unsigned i = 0; i < verb_count; i++)
        printf("  %-10s %s\n", verbs[i].name, verbs[i].doc);
    printf("\npolyctl help VERB shows a verb's options. Exit status: 0 ok, 1 failed, 2 usage, 3 no daemon,\n"
           "4 unknown symbol, 5 timeout, 6 data lost under --strict, or lines of a file refused; fetch and "
           "import\n"
           "also 77 key refused, 78 configuration, 130 interrupted.\n");
    return EXIT_OK;
}
