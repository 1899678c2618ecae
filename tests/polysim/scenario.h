/* scenario.h - scripted unpleasantness: rules that say what goes wrong, and when.
 *
 * A script has one rule a line, `#` begins a comment:
 *
 *     WHEN [N | N-M | N- | N/K] [xTIMES] [PATH]: ACTION [ARGUMENTS]
 *
 * WHEN is what is counted from 1: request (REST requests whose path begins with PATH) and upgrade, over all
 * connections; connected, auth, subscribe and message (of data), on each WebSocket connection; after counts
 * seconds of streaming. N/K is N and every Kth from there. Without a number the rule always applies. xTIMES:
 * so often at most, over all connections. */
#ifndef POLYSIM_SCENARIO_H
#define POLYSIM_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_when {
    SIM_REQUEST,
    SIM_UPGRADE,
    SIM_CONNECTED,
    SIM_AUTH,
    SIM_SUBSCRIBE,
    SIM_MESSAGE,
    SIM_AFTER_S,
    SIM_WHENS
};

enum sim_action {
#define X(id, name, where, turn, arguments, doc) SIM_DO_##id,
#include "actions.def"
#undef X
    SIM_ACTIONS
};

struct sim_rule {
    enum sim_when when;
    uint64_t first, last, every; /* of `after`: ms */
    uint64_t times;              /* left; 0: no limit */
    bool spent;
    uint64_t seen; /* requests or upgrades counted */
    char path[96];
    enum sim_action action;
    int64_t numbers[2]; /* leading numeric arguments */
    char text[600];     /* all arguments */
};

struct sim_scenarios {
    struct sim_rule *rules;
    size_t count;
};

void sim_scenarios_fini(struct sim_scenarios *scenarios);

/* Adds the rules of a built-in scenario or, when there is none of that name, of a file. -errno with a message
 * in `err`. */
int sim_scenarios_load(struct sim_scenarios *scenarios, const char *name, char *err, size_t err_size);
/* Adds the rules of a script. */
int sim_scenarios_parse(struct sim_scenarios *scenarios, const char *script, char *err, size_t err_size);
/* One ACTION [ARGUMENTS], as for a rule of `when`. */
int sim_action_parse(struct sim_rule *rule, enum sim_when when, const char *text, char *err, size_t err_size);

/* Is the action one that precedes the reply or message it belongs to? */
bool sim_action_before(enum sim_action action);

/* The first rule for a request to path or an upgrade, counted; NULL: all is well. */
const struct sim_rule *sim_scenarios_request(struct sim_scenarios *scenarios, enum sim_when when,
                                             const char *path);

/* Does rule i apply to the nth of `when`? (SIM_AFTER_S: to the time from `before` to n, ms.) Spends one of
 * its times. */
bool sim_scenarios_applies(struct sim_scenarios *scenarios, size_t i, enum sim_when when, uint64_t before,
                           uint64_t n);

/* Built-in scenarios and actions, for --list-scenarios. */
void sim_scenarios_list(void);
/* Script of the ith built-in. NULL past the end. */
const char *sim_scenarios_builtin(size_t i, const char **ret_name);

#endif
