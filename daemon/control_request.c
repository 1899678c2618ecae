#include "control_request.h"
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define WORDS_MAX 4

struct word {
    const char *at;
    size_t size;
};

static bool equal(struct word word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.at, text, word.size) == 0;
}

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EINVAL;
}

/* Words separated by single blanks; -EINVAL for anything else. */
static int split(struct word words[WORDS_MAX], const char *line, size_t size, const char **ret_why)
{
    int count = 0;
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && line[i] != ' ') {
            if (line[i] < ' ' || line[i] > '~')
                return refuse(ret_why, "a character that is no printable ASCII");
            continue;
        }
        if (i == start)
            return refuse(ret_why, "words are separated by single blanks");
        if (count == WORDS_MAX)
            return refuse(ret_why, "too many words");
        words[count++] = (struct word){line + start, i - start};
        start = i + 1;
    }
    return count;
}

static uint32_t topic_of(struct word word)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } topics[] = {{"trades", PGD_TRADES},
                  {"quotes", PGD_QUOTES},
                  {"bars_1s", PGD_BARS_1S},
                  {"bars_1m", PGD_BARS_1M},
                  {"values", PGD_VALUES}};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        if (equal(word, topics[i].name))
            return topics[i].bit;
    }
    return 0;
}

static int parse_topics(uint32_t *ret, struct word list, const char **ret_why)
{
    uint32_t bits = 0;
    if (equal(list, "default")) {
        *ret = 0;
        return 0;
    }
    for (size_t start = 0; start <= list.size;) {
        const char *comma = memchr(list.at + start, ',', list.size - start);
        size_t size = comma ? (size_t)(comma - list.at) - start : list.size - start;
        uint32_t bit = topic_of((struct word){list.at + start, size});
        if (bit == 0)
            return refuse(ret_why, "topics: trades, quotes, bars_1s, bars_1m, values, or default");
        bits |= bit;
        start += size + 1;
    }
    *ret = bits;
    return 0;
}

static int parse_cluster(enum pgd_cluster *ret, struct word word, const char **ret_why)
{
    for (int i = PGD_STOCKS; i < PGD_CLUSTERS; i++) {
        if (equal(word, config_cluster_name((enum pgd_cluster)i))) {
            *ret = (enum pgd_cluster)i;
            return 0;
        }
    }
    return refuse(ret_why, "no such cluster");
}

static int parse_subscribe(struct control_parsed *ret, const struct word *words, int count,
                           const char **ret_why)
{
    if (count < 3)
        return refuse(ret_why, "subscribe SYMBOL TOPICS [CLUSTER]");
    if (words[1].size >= PGD_SYMBOL_MAX)
        return refuse(ret_why, "symbol too long");
    for (size_t i = 0; i < words[1].size; i++) {
        if (strchr(",\"\\'", words[1].at[i])) /* these have a meaning in the vendor's requests */
            return refuse(ret_why, "a character that no symbol has");
    }
    if (equal(words[1], "*"))
        return refuse(ret_why, "only the configuration may ask for everything");
    memcpy(ret->symbol, words[1].at, words[1].size);
    int r = parse_topics(&ret->topics, words[2], ret_why);
    if (r == 0 && count == 4)
        r = parse_cluster(&ret->cluster, words[3], ret_why);
    return r;
}

int control_parse(struct control_parsed *ret, const char *line, size_t size, const char **ret_why)
{
    static const char *const verbs[] = {[CONTROL_PING] = "ping",
                                        [CONTROL_SUBSCRIBE] = "subscribe",
                                        [CONTROL_PENDING] = "pending",
                                        [CONTROL_RELOAD] = "reload",
                                        [CONTROL_STOP] = "stop"};
    struct word words[WORDS_MAX];
    struct control_parsed parsed = {.topics = 0};
    int count = split(words, line, size, ret_why);
    if (count < 0)
        return count;
    for (int i = CONTROL_PING; i <= CONTROL_STOP; i++) {
        if (!equal(words[0], verbs[i]))
            continue;
        parsed.verb = (enum control_verb)i;
        int r = 0;
        if (i == CONTROL_SUBSCRIBE)
            r = parse_subscribe(&parsed, words, count, ret_why);
        else if (count != 1)
            r = refuse(ret_why, "this request takes no words after it");
        if (r == 0)
            *ret = parsed;
        return r;
    }
    return refuse(ret_why, "no such request");
}
