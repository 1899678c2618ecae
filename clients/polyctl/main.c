/* polyctl - look at, and ask for, what a polygond daemon publishes. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "polyctl.h"

const struct verb verbs[] = {
#define X(name, operands, options, doc) {#name, operands, options, doc, verb_##name},
#include "verbs.def"
#undef X
};
const unsigned verb_count = sizeof verbs / sizeof verbs[0];

static int unknown_verb(const char *word)
{
    const char *near = verb_nearest(word);
    if (near)
        say(word, "no such verb; did you mean %s?", near);
    else
        say(word, "no such verb; polyctl help lists them");
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    struct args args = {0};
    const char *instance = NULL;
    bool help = false;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return verb_version(&args);
    int at = args_find_verb(argc, argv, &instance, &help);
    if (at < 0)
        return -at;
    if (at == 0 && !help) {
        say("usage", "polyctl [--instance NAME] VERB ...; polyctl help lists the verbs");
        return EXIT_USAGE;
    }
    const struct verb *verb = at ? verb_find(argv[at]) : verb_find("help");
    if (!verb)
        return unknown_verb(argv[at]);
    args.value[OPT_INSTANCE] = instance;
    char **words = at ? argv + at + 1 : argv + argc;
    int code = args_parse(&args, verb, at ? argc - at - 1 : 0, words);
    if (code != EXIT_OK)
        return code;
    if (help || args_has(&args, OPT_HELP)) {
        char *name[] = {(char *)(uintptr_t)verb->name};
        struct args of = {.operands = name, .operand_count = at ? 1 : 0};
        return verb_help(&of);
    }
    return verb->run(&args);
}

int main(int argc, char **argv)
{
    /* A reader that has gone shows as a write error; see the end. */
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    int code = run(argc, argv);
    fflush(stdout);
    return code;
}
