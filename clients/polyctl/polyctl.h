/* polyctl.h - what the verbs of polyctl share: exit codes, arguments, attaching, saying what is wrong. */
#ifndef POLYCTL_H
#define POLYCTL_H

#include <stdbool.h>
#include <stdint.h>

#include "polygond/polygond.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_DAEMON = 3,
    EXIT_UNKNOWN = 4,
    EXIT_TIMEOUT = 5,
    EXIT_LOST = 6
};

enum option_id {
#define X(id, letter, name, value, doc) OPT_##id,
#include "options.def"
#undef X
    OPT_COUNT_OF
};
#define OPTION_BIT(id) (UINT64_C(1) << OPT_##id)

struct option_info {
    char letter;
    const char *name, *value, *doc;
};
extern const struct option_info option_infos[OPT_COUNT_OF];

struct args {
    const char *value[OPT_COUNT_OF]; /* NULL: not given; "" for options without a value */
    char **operands;
    int operand_count;
};

struct verb {
    const char *name, *operands;
    uint64_t options; /* OPTION_BIT of each */
    const char *doc;
    int (*run)(const struct args *args); /* exit code */
};
extern const struct verb verbs[];
extern const unsigned verb_count;

/* ---------------------------------------------------------------------------------------------- args.c */

const struct verb *verb_find(const char *name);
/* The verb or option nearest to a mistyped word, NULL when none is near. */
const char *verb_nearest(const char *word);

/* Index of the verb in argv (0: none); *ret_instance is set if --instance stands before it, *ret_help if
 * help was asked for. Negative exit code on a mistake. */
int args_find_verb(int argc, char **argv, const char **ret_instance, bool *ret_help);

/* Parses the words after the verb: EXIT_OK or EXIT_USAGE (said already). Operands are gathered in argv. */
int args_parse(struct args *ret, const struct verb *verb, int argc, char **argv);

bool args_has(const struct args *args, enum option_id id);
/* Number of an option: `fallback` when not given; -1 when it is no number in [0, most] (said already). */
int64_t args_count(const struct args *args, enum option_id id, int64_t fallback, int64_t most);
/* Seconds, fractions allowed, in ns; -1 not given, -2 no such number (said already). */
int64_t args_seconds(const struct args *args, enum option_id id);
int args_cluster(const struct args *args); /* enum pgd_cluster, 0 not given, -1 unknown (said already) */

/* -------------------------------------------------------------------------------------------- common.c */

/* One line on stderr: "polyctl: what: why". */
void say(const char *what, const char *why, ...) __attribute__((format(printf, 2, 3)));

/* Attaches to the instance; on failure says so and returns NULL, the exit code in *ret_code. */
struct pgd_client *ctl_open(const struct args *args, int *ret_code);
const char *ctl_instance(const struct args *args);

/* Sends a request without operands over the control socket; exit code, explained. */
int ctl_command(const struct args *args, const char *request);

/* Exit code of a library error about `what`, which is said. */
int ctl_fail(const char *what, int error);

/* Becomes polygond, which is to do `what` ("--import"), with the operands and those of the options `passed`
 * (OPTION_BIT of each) that were given. Comes back only when it cannot be started: the exit code, said. */
int ctl_exec_daemon(const char *what, const struct args *args, uint64_t passed);

const char *cluster_word(unsigned cluster);
const char *state_word(unsigned state); /* enum pgd_symbol_state */
const char *run_word(unsigned state);   /* enum pgd_run_state */
const char *conn_word(unsigned state);  /* enum pgd_conn_state */
const char *topic_word(unsigned bit);   /* NULL past the last */
void topics_text(char *to, size_t size, uint32_t topics);
void age_text(char *to, size_t size, int64_t ns); /* "3s", "2m05s", "4d07h" */
int64_t now_real_ns(void);

/* The stream name of the options: "trades", "quotes", "bars.1m". */
void stream_of_args(char *to, size_t size, const struct args *args);

#define X(name, operands, options, doc) int verb_##name(const struct args *args);
#include "verbs.def"
#undef X

#endif
