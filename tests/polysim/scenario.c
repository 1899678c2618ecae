#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_MAX 65536
#define NEVER      UINT64_MAX

enum { R = 1, U = 2, S = 4 };
enum turn { BEFORE, AFTER };

static const struct {
    const char *name;
    unsigned where;
    enum turn turn;
    const char *arguments, *doc;
} actions[SIM_ACTIONS] = {
#define X(id, name, where, turn, arguments, doc) {name, where, turn, arguments, doc},
#include "actions.def"
#undef X
};

static const char *const whens[SIM_WHENS] = {"request",   "upgrade", "connected", "auth",
                                             "subscribe", "message", "after"};

static const struct {
    const char *name, *script, *doc;
} builtins[] = {
    {"drop", "message 20: drop", "each connection is dropped without a close frame after 20 messages"},
    {"drop-once", "message 20 x1: drop", "the same, once"},
    {"drop-in-frame", "message 10 x1: cut 50", "the connection ends within a frame, once"},
    {"reset", "message 20: reset", "each connection is reset after 20 messages"},
    {"flaky", "after 5: drop", "no connection lives longer than 5 s"},
    {"half-open", "message 10 x1: silence", "falls silent, but keeps the connection, once"},
    {"split-bytes", "connected: split 1", "every byte on its own"},
    {"split-random", "connected: split-random 700", "pieces of 1 to 700 bytes"},
    {"coalesce", "connected: hold 300", "many messages in one write"},
    {"fragment", "connected: fragment 37", "messages in fragments, with pings between them"},
    {"mixed", "message: mixed", "status events among the data"},
    {"malformed", "message 2/5: malformed", "now and then an event with a number that is a string"},
    {"unknown-event", "message 2/3: unknown-event", "events of an unknown type"},
    {"duplicates", "message 1/2: duplicate", "byte-identical duplicates in one frame"},
    {"backwards", "message 2/3: backwards", "sequence numbers that go backwards"},
    {"out-of-order", "message 2/4: late\nmessage 3/4: shuffle",
     "messages that overtake each other, events in reverse order"},
    {"lossy", "message 3/7: lose", "every seventh message is never sent"},
    {"numbers", "message: numbers", "exponents, 19-digit integers, unknown nested keys"},
    {"spaces", "message: spaces", "white space between all tokens"},
    {"reorder", "message: reorder", "another order of the keys in every event"},
    {"revise", "after 3/3: revise 2", "every 3 s the bars of two minutes ago again, changed"},
    {"evict", "after 5 x1: evict", "somebody else takes the connection after 5 s, once"},
    {"evict-always", "after 2: evict", "somebody else takes the connection after 2 s, every time"},
    {"auth-failed", "auth: auth-failed", "the key is refused"},
    {"auth-invalid", "auth: auth-failed Your API Key is not valid.", "the key is refused in other words"},
    {"auth-plan", "auth: auth-failed Your plan doesn't include websocket access.",
     "the plan has no WebSocket"},
    {"auth-silent", "auth x1: mute", "no answer to the first auth"},
    {"sub-silent", "subscribe x1: mute", "no answer to the first subscribe"},
    {"sub-limit", "subscribe 2-: limit", "every subscribe but the first meets the limit"},
    {"spread-acks", "subscribe: spread", "each acknowledgement in a message of its own"},
    {"huge", "message 5 x1: huge 2000000", "a message over 1 MiB, once"},
    {"large", "message 5 x1: huge 1000000", "a message just under 1 MiB, once"},
    {"not-utf8", "message 5 x1: not-utf8", "text that is not UTF-8, once"},
    {"binary", "message 5: binary", "a binary message on each connection"},
    {"ping-flood", "message 3: ping 5000", "5000 pings in a row"},
    {"masked", "message 5 x1: masked", "a masked frame, once"},
    {"reserved-bit", "message 5 x1: reserved", "a frame with a reserved bit, once"},
    {"bad-opcode", "message 5 x1: bad-opcode", "a frame of a reserved opcode, once"},
    {"long-ping", "message 5 x1: long-ping", "a ping that is too long, once"},
    {"lone-fragment", "message 5 x1: lone-fragment", "a continuation frame of nothing, once"},
    {"close-1001", "message 10 x1: close 1001 going away", "a closing handshake, once"},
    {"close-1011", "message 10 x1: close 1011 internal error",
     "a closing handshake for an internal error, once"},
    {"bad-accept", "upgrade x1: bad-accept", "a wrong Sec-WebSocket-Accept, once"},
    {"no-accept", "upgrade x1: no-accept", "no Sec-WebSocket-Accept, once"},
    {"upgrade-redirect", "upgrade x1: redirect /elsewhere", "302 instead of 101, once"},
    {"upgrade-502", "upgrade x1: status 502 html", "an HTML 502 instead of 101, once"},
    {"upgrade-429", "upgrade x1: status 429 json", "429 instead of 101, once"},
    {"upgrade-hang", "upgrade x1: hang", "no answer to the handshake, once"},
    {"429", "request x2 /v: status 429 json", "429 with a body, twice"},
    {"429-empty", "request x2 /v: status 429 empty", "429 without a body, twice"},
    {"429-retry-after", "request x2 /v: status 429 json retry-after=1", "429 with Retry-After: 1, twice"},
    {"502-html", "request x2 /v: status 502 html", "an HTML page with status 502, twice"},
    {"503-empty", "request x2 /v: status 503 empty", "503 without a body, twice"},
    {"504-json", "request x2 /v: status 504 json", "504 with a JSON body, twice"},
    {"rest-down", "request /v: status 503 empty", "503 for ever"},
    {"rest-forbidden", "request /v2/aggs: status 403 json", "aggregates are not in the plan"},
    {"rest-unauthorized", "request /v: status 401 json", "the key is unknown"},
    {"truncated", "request x2 /v: truncate", "the body (or its gzip stream) ends in the middle, twice"},
    {"bad-chunk", "request x2 /v: bad-chunk", "a chunk size that is none, twice"},
    {"bad-json", "request x2 /v: body {\"status\":\"OK\",\"results\":[{\"t\":1,",
     "JSON that ends early, twice"},
    {"json-string", "request x1 /v: body \"Internal error\"", "a bare JSON string, once"},
    {"json-number", "request x1 /v: body 42", "a bare JSON number, once"},
    {"json-array", "request x1 /v: body []", "a bare JSON array, once"},
    {"no-results", "request /v2/aggs: no-results", "no bars, and no results key"},
    {"empty-results", "request /v2/aggs: body {\"status\":\"OK\",\"resultsCount\":0,\"results\":[]}",
     "no bars, results []"},
    {"drip", "request /v: split 64 2", "64 bytes every 2 ms"},
    {"rest-cut", "request x2 /v: cut 700", "the connection ends after 700 bytes, twice"},
    {"rest-hang", "request x1 /v: hang", "no answer, once"},
    {"rest-slow", "request /v: delay 1500", "every answer 1.5 s late"},
    {"rest-redirect", "request x1 /v: redirect /elsewhere", "302, once"},
};

void sim_scenarios_fini(struct sim_scenarios *scenarios)
{
    free(scenarios->rules);
    *scenarios = (struct sim_scenarios){0};
}

bool sim_action_before(enum sim_action action)
{
    return actions[action].turn == BEFORE;
}

const char *sim_scenarios_builtin(size_t i, const char **ret_name)
{
    if (i >= sizeof(builtins) / sizeof(*builtins))
        return NULL;
    *ret_name = builtins[i].name;
    return builtins[i].script;
}

void sim_scenarios_list(void)
{
    puts("scenarios (--scenario NAME, POST /sim/scenario?name=NAME):");
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++)
        printf("  %-18s %s\n", builtins[i].name, builtins[i].doc);
    puts("\nactions of a script (request R, upgrade U, session S):");
    for (size_t i = 0; i < SIM_ACTIONS; i++) {
        char head[80];
        snprintf(head, sizeof(head), "%s %s", actions[i].name, actions[i].arguments);
        printf("  %c%c%c %-24s %s\n", actions[i].where & R ? 'R' : ' ', actions[i].where & U ? 'U' : ' ',
               actions[i].where & S ? 'S' : ' ', head, actions[i].doc);
    }
}

/* ----------------------------------------------------------------------------------------- parsing */

static int find_action(const char *word, size_t size)
{
    for (int i = 0; i < SIM_ACTIONS; i++)
        if (strlen(actions[i].name) == size && memcmp(actions[i].name, word, size) == 0)
            return i;
    return -1;
}

static unsigned where_of(enum sim_when when)
{
    return when == SIM_REQUEST ? R : when == SIM_UPGRADE ? U : S;
}

/* Does the action begin with a number? */
static bool numbers_needed(enum sim_action action)
{
    const char *arguments = actions[action].arguments;
    static const char *const numeric[] = {"CODE", "BYTES", "MS", "COUNT", "MINUTES"};
    for (size_t i = 0; i < sizeof(numeric) / sizeof(*numeric); i++)
        if (strncmp(arguments, numeric[i], strlen(numeric[i])) == 0)
            return true;
    return false;
}

int sim_action_parse(struct sim_rule *rule, enum sim_when when, const char *text, char *err, size_t err_size)
{
    text += strspn(text, " \t");
    size_t size = strcspn(text, " \t");
    int action = find_action(text, size);
    if (action < 0 || !(actions[action].where & where_of(when))) {
        snprintf(err, err_size, "'%.*s' is no action of '%s'", (int)size, text, whens[when]);
        return -EINVAL;
    }
    rule->when = when;
    rule->action = (enum sim_action)action;
    text += size;
    text += strspn(text, " \t");
    if (strlen(text) >= sizeof(rule->text)) {
        snprintf(err, err_size, "arguments too long");
        return -E2BIG;
    }
    snprintf(rule->text, sizeof(rule->text), "%s", text);
    int got = sscanf(text, "%lld %lld", (long long *)&rule->numbers[0], (long long *)&rule->numbers[1]);
    if ((got < 1 && numbers_needed(rule->action)) || (got > 0 && rule->numbers[0] < 0) ||
        (got > 1 && rule->numbers[1] < 0)) {
        snprintf(err, err_size, "'%s' needs %s", actions[action].name, actions[action].arguments);
        return -EINVAL;
    }
    return 0;
}

/* N, N-, N-M, N/K; seconds with fractions for `after`. */
static bool parse_range(struct sim_rule *rule, const char *word)
{
    double unit = rule->when == SIM_AFTER_S ? 1000 : 1;
    char *end;
    double first = strtod(word, &end);
    if (end == word || first < 0 || first > 1e12)
        return false;
    rule->first = (uint64_t)(first * unit);
    rule->last = rule->first;
    if (*end == '-') {
        double last = end[1] ? strtod(end + 1, &end) : 0;
        rule->last = last > 0 ? (uint64_t)(last * unit) : NEVER;
        return last > 0 ? *end == '\0' : end[1] == '\0';
    }
    if (*end == '/') {
        double every = strtod(end + 1, &end);
        rule->every = (uint64_t)(every * unit);
        rule->last = NEVER;
        return *end == '\0' && rule->every > 0;
    }
    return *end == '\0';
}

static int parse_condition(struct sim_rule *rule, char *text, char *err, size_t err_size)
{
    char *save = NULL, *word = strtok_r(text, " \t", &save);
    int when = 0;
    while (when < SIM_WHENS && (!word || strcmp(word, whens[when]) != 0))
        when++;
    if (when == SIM_WHENS) {
        snprintf(err, err_size, "'%s' is nothing that happens", word ? word : "");
        return -EINVAL;
    }
    rule->when = (enum sim_when)when;
    rule->first = when == SIM_AFTER_S ? 0 : 1;
    rule->last = NEVER;
    while ((word = strtok_r(NULL, " \t", &save))) {
        char *end = word;
        if (*word == '/')
            snprintf(rule->path, sizeof(rule->path), "%s", word);
        else if (*word == 'x' && (rule->times = strtoull(word + 1, &end, 10)) > 0 && *end == '\0')
            continue;
        else if (!parse_range(rule, word)) {
            snprintf(err, err_size, "'%s' is no number, range, times or path", word);
            return -EINVAL;
        }
    }
    return 0;
}

static int parse_line(struct sim_scenarios *scenarios, char *line, char *err, size_t err_size)
{
    line += strspn(line, " \t\r");
    if (*line == '#' || *line == '\0')
        return 0;
    char *colon = strstr(line, ": ");
    if (!colon) {
        snprintf(err, err_size, "'%s': WHEN ... : ACTION is missing", line);
        return -EINVAL;
    }
    *colon = '\0';
    struct sim_rule rule = {0};
    int r = parse_condition(&rule, line, err, err_size);
    if (r == 0)
        r = sim_action_parse(&rule, rule.when, colon + 2, err, err_size);
    if (r < 0)
        return r;
    struct sim_rule *rules = realloc(scenarios->rules, (scenarios->count + 1) * sizeof(*rules));
    if (!rules)
        return -ENOMEM;
    scenarios->rules = rules;
    rules[scenarios->count++] = rule;
    return 0;
}

int sim_scenarios_parse(struct sim_scenarios *scenarios, const char *script, char *err, size_t err_size)
{
    char *copy = strdup(script), *save = NULL;
    if (!copy)
        return -ENOMEM;
    size_t before = scenarios->count;
    int r = 0;
    for (char *line = strtok_r(copy, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save))
        r = parse_line(scenarios, line, err, err_size);
    free(copy);
    if (r < 0)
        scenarios->count = before;
    return r;
}

int sim_scenarios_load(struct sim_scenarios *scenarios, const char *name, char *err, size_t err_size)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++)
        if (strcmp(builtins[i].name, name) == 0)
            return sim_scenarios_parse(scenarios, builtins[i].script, err, err_size);
    FILE *file = fopen(name, "r");
    char *script = file ? calloc(1, SCRIPT_MAX + 1) : NULL;
    if (!script) {
        int r = errno ? -errno : -ENOMEM;
        snprintf(err, err_size, "%s: neither a built-in scenario (--list-scenarios) nor a readable file",
                 name);
        if (file)
            fclose(file);
        return r;
    }
    size_t size = fread(script, 1, SCRIPT_MAX + 1, file);
    fclose(file);
    int r = size > SCRIPT_MAX ? -E2BIG : 0;
    if (r < 0)
        snprintf(err, err_size, "%s: longer than %d bytes", name, SCRIPT_MAX);
    else
        r = sim_scenarios_parse(scenarios, script, err, err_size);
    free(script);
    return r;
}

/* ---------------------------------------------------------------------------------------- matching */

static bool in_range(const struct sim_rule *rule, uint64_t n)
{
    return n >= rule->first && n <= rule->last && (rule->every == 0 || (n - rule->first) % rule->every == 0);
}

static bool in_time(const struct sim_rule *rule, uint64_t before, uint64_t now)
{
    if (now < rule->first)
        return false;
    if (rule->every == 0)
        return before < rule->first || (rule->first == 0 && before == 0);
    if (before < rule->first)
        return true;
    return (now - rule->first) / rule->every != (before - rule->first) / rule->every;
}

static bool spend(struct sim_rule *rule)
{
    if (rule->times > 0 && --rule->times == 0)
        rule->spent = true;
    return true;
}

const struct sim_rule *sim_scenarios_request(struct sim_scenarios *scenarios, enum sim_when when,
                                             const char *path)
{
    const struct sim_rule *found = NULL;
    for (size_t i = 0; i < scenarios->count; i++) {
        struct sim_rule *rule = &scenarios->rules[i];
        if (rule->when != when || strncmp(path, rule->path, strlen(rule->path)) != 0)
            continue;
        rule->seen++;
        if (!found && !rule->spent && in_range(rule, rule->seen) && spend(rule))
            found = rule;
    }
    return found;
}

bool sim_scenarios_applies(struct sim_scenarios *scenarios, size_t i, enum sim_when when, uint64_t before,
                           uint64_t n)
{
    struct sim_rule *rule = &scenarios->rules[i];
    if (rule->when != when || rule->spent)
        return false;
    bool applies = when == SIM_AFTER_S ? in_time(rule, before, n) : in_range(rule, n);
    return applies && spend(rule);
}
