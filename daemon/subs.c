#include "subs.h"
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define SUBS_TOPICS     5u
#define SUBS_WIRE       (PGD_SYMBOL_MAX + 8u)
#define SUBS_TEXT       160u
#define SUBS_HASH_LEAST 64u

enum pair_state { PAIR_IDLE, PAIR_ASKED, PAIR_HELD, PAIR_LEAVING, PAIR_REFUSED };

TAILQ_HEAD(pair_list, pair);

struct pair {
    TAILQ_ENTRY(pair) all;
    TAILQ_ENTRY(pair) link; /* in `list` */
    struct pair_list *list; /* todo, again, leave, flight or news; NULL none */
    struct pair *chain;     /* of the hash bucket */
    unsigned topic;         /* bit number */
    enum pair_state state;
    bool wanted;
    bool suspect;    /* refused or unanswered before: asked for after the others */
    bool blamed;     /* refused alone on this connection */
    unsigned limit;  /* pairs that a message with this one may hold */
    unsigned silent; /* times it was asked for on this connection and nothing came */
    char symbol[PGD_SYMBOL_MAX];
    char wire[SUBS_WIRE];
};

/* Pairs of one topic refused alone in a row, in the same words. */
struct streak {
    unsigned count;
    char text[SUBS_TEXT];
};

struct subs {
    enum pgd_cluster cluster;
    uint64_t ack_timeout_ms;
    struct subs_hooks hooks;
    struct pair_list all;
    struct pair_list todo[SUBS_TOPICS];
    struct pair_list again[SUBS_TOPICS];
    struct pair_list leave;
    struct pair_list flight;
    struct pair_list news; /* held, and wanted again before they were given back */
    struct pair **hash;
    size_t hash_size; /* a power of two */
    size_t count;
    unsigned dead; /* not wanted and in no list: to be freed when no hook can be looking */
    struct subs_counts counts;
    struct streak streaks[SUBS_TOPICS];
    /* of the message on its way */
    unsigned flight_size; /* pairs it was sent with */
    unsigned flight_left; /* of these, not answered */
    bool flight_leaves;   /* an unsubscribe */
    unsigned flight_errors;
    char flight_text[SUBS_TEXT]; /* first error */
    uint64_t flight_deadline;
};

/* -------------------------------------------------------------------------------------------------- table */

static uint64_t subs_hash(const char *text, size_t size)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 32);
}

static struct pair **subs_slot(const struct subs *subs, const char *wire, size_t size)
{
    return &subs->hash[subs_hash(wire, size) & (subs->hash_size - 1)];
}

static struct pair *subs_find(const struct subs *subs, const char *wire, size_t size)
{
    for (struct pair *p = *subs_slot(subs, wire, size); p; p = p->chain)
        if (strlen(p->wire) == size && memcmp(p->wire, wire, size) == 0)
            return p;
    return NULL;
}

static int subs_grow(struct subs *subs)
{
    size_t size = subs->hash_size * 2;
    struct pair **hash = calloc(size, sizeof(struct pair *));
    if (!hash)
        return -ENOMEM;
    free(subs->hash);
    subs->hash = hash;
    subs->hash_size = size;
    struct pair *p;
    TAILQ_FOREACH(p, &subs->all, all)
    {
        struct pair **slot = subs_slot(subs, p->wire, strlen(p->wire));
        p->chain = *slot;
        *slot = p;
    }
    return 0;
}

struct subs *subs_new(enum pgd_cluster cluster, uint64_t ack_timeout_ms, const struct subs_hooks *hooks)
{
    struct subs *subs = calloc(1, sizeof(*subs));
    if (!subs)
        return NULL;
    subs->hash = calloc(SUBS_HASH_LEAST, sizeof(struct pair *));
    if (!subs->hash) {
        free(subs);
        return NULL;
    }
    subs->hash_size = SUBS_HASH_LEAST;
    subs->cluster = cluster;
    subs->ack_timeout_ms = ack_timeout_ms;
    subs->hooks = *hooks;
    TAILQ_INIT(&subs->all);
    TAILQ_INIT(&subs->leave);
    TAILQ_INIT(&subs->flight);
    TAILQ_INIT(&subs->news);
    for (unsigned t = 0; t < SUBS_TOPICS; t++) {
        TAILQ_INIT(&subs->todo[t]);
        TAILQ_INIT(&subs->again[t]);
    }
    return subs;
}

void subs_free(struct subs *subs)
{
    if (!subs)
        return;
    struct pair *p;
    while ((p = TAILQ_FIRST(&subs->all))) {
        TAILQ_REMOVE(&subs->all, p, all);
        free(p);
    }
    free(subs->hash);
    free(subs);
}

static void subs_remove(struct subs *subs, struct pair *pair)
{
    struct pair **at = subs_slot(subs, pair->wire, strlen(pair->wire));
    while (*at != pair)
        at = &(*at)->chain;
    *at = pair->chain;
    TAILQ_REMOVE(&subs->all, pair, all);
    subs->count--;
    free(pair);
}

static bool pair_dead(const struct pair *pair)
{
    return !pair->wanted && !pair->list && (pair->state == PAIR_IDLE || pair->state == PAIR_REFUSED);
}

static void subs_sweep(struct subs *subs)
{
    if (!subs->dead)
        return;
    struct pair *next;
    for (struct pair *p = TAILQ_FIRST(&subs->all); p; p = next) {
        next = TAILQ_NEXT(p, all);
        if (pair_dead(p))
            subs_remove(subs, p);
    }
    subs->dead = 0;
}

/* ------------------------------------------------------------------------------------------------- states */

static unsigned *subs_counter(struct subs *subs, const struct pair *pair)
{
    if (pair->state == PAIR_HELD)
        return pair->wanted ? &subs->counts.held : NULL;
    if (pair->state == PAIR_REFUSED)
        return pair->wanted ? &subs->counts.refused : NULL;
    return pair->wanted ? &subs->counts.awaited : NULL;
}

/* Every change of state and wish goes through here, so that the counts hold. */
static void subs_set(struct subs *subs, struct pair *pair, enum pair_state state, bool wanted)
{
    unsigned *before = subs_counter(subs, pair);
    if (before)
        --*before;
    pair->state = state;
    pair->wanted = wanted;
    unsigned *after = subs_counter(subs, pair);
    if (after)
        ++*after;
}

static void subs_move(struct subs *subs, struct pair *pair, struct pair_list *list)
{
    if (pair->list)
        TAILQ_REMOVE(pair->list, pair, link);
    if (pair->list == &subs->flight)
        subs->flight_left--;
    pair->list = list;
    if (list)
        TAILQ_INSERT_TAIL(list, pair, link);
    if (pair_dead(pair))
        subs->dead++;
}

static void subs_queue(struct subs *subs, struct pair *pair)
{
    subs_move(subs, pair, pair->suspect ? &subs->again[pair->topic] : &subs->todo[pair->topic]);
}

static void subs_report(struct subs *subs, const struct pair *pair, int how, const char *message)
{
    subs->hooks.pair(subs->hooks.user, pair->symbol, (enum pgd_topic)(1u << pair->topic), how, message);
}

/* What follows from a pair's state and whether it is wanted. */
static void subs_place(struct subs *subs, struct pair *pair)
{
    if (pair->state == PAIR_IDLE && pair->wanted)
        subs_queue(subs, pair);
    else if (pair->state == PAIR_HELD && !pair->wanted)
        subs_move(subs, pair, &subs->leave);
    else if (pair->state != PAIR_ASKED && pair->state != PAIR_LEAVING)
        subs_move(subs, pair, NULL);
}

static struct pair *subs_add(struct subs *subs, const char *symbol, unsigned topic, const char *wire)
{
    if (subs->count >= subs->hash_size && subs_grow(subs) < 0)
        return NULL;
    struct pair *pair = calloc(1, sizeof(*pair));
    if (!pair)
        return NULL;
    pair->topic = topic;
    pair->limit = SUBS_PAIRS;
    memcpy(pair->symbol, symbol, strlen(symbol) + 1);
    memcpy(pair->wire, wire, strlen(wire) + 1);
    struct pair **slot = subs_slot(subs, wire, strlen(wire));
    pair->chain = *slot;
    *slot = pair;
    TAILQ_INSERT_TAIL(&subs->all, pair, all);
    subs->count++;
    return pair;
}

/* 0: the cluster has no such topic. */
static int subs_wire(const struct subs *subs, const char *symbol, unsigned topic, char wire[SUBS_WIRE])
{
    char name[PGD_SYMBOL_MAX];
    const char *word = stream_topic(subs->cluster, (enum pgd_topic)(1u << topic));
    int r = strlen(symbol) < PGD_SYMBOL_MAX ? stream_wire_symbol(name, subs->cluster, symbol) : -EINVAL;
    if (r < 0 || !word)
        return r;
    return snprintf(wire, SUBS_WIRE, "%s.%s", word, name);
}

static int subs_want_one(struct subs *subs, const char *symbol, unsigned topic)
{
    char wire[SUBS_WIRE];
    int r = subs_wire(subs, symbol, topic, wire);
    if (r <= 0)
        return r;
    struct pair *pair = subs_find(subs, wire, strlen(wire));
    if (!pair)
        pair = subs_add(subs, symbol, topic, wire);
    if (!pair)
        return -ENOMEM;
    if (pair->wanted && pair->state != PAIR_REFUSED)
        return 0;
    if (pair->state == PAIR_REFUSED)
        pair->suspect = true;
    pair->silent = 0;
    subs_set(subs, pair, pair->state == PAIR_REFUSED ? PAIR_IDLE : pair->state, true);
    if (pair->state == PAIR_HELD)
        subs_move(subs, pair, &subs->news);
    else
        subs_place(subs, pair);
    return 0;
}

int subs_want(struct subs *subs, const char *symbol, uint32_t topics)
{
    for (unsigned t = 0; t < SUBS_TOPICS; t++) {
        int r = topics & (1u << t) ? subs_want_one(subs, symbol, t) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

void subs_unwant(struct subs *subs, const char *symbol, uint32_t topics)
{
    char wire[SUBS_WIRE];
    for (unsigned t = 0; t < SUBS_TOPICS; t++) {
        if (!(topics & (1u << t)) || subs_wire(subs, symbol, t, wire) <= 0)
            continue;
        struct pair *pair = subs_find(subs, wire, strlen(wire));
        if (!pair || !pair->wanted)
            continue;
        subs_set(subs, pair, pair->state, false);
        subs_place(subs, pair);
    }
}

void subs_lost(struct subs *subs)
{
    memset(subs->streaks, 0, sizeof(subs->streaks));
    struct pair *p;
    TAILQ_FOREACH(p, &subs->all, all)
    {
        bool held = p->state == PAIR_HELD || p->state == PAIR_LEAVING;
        p->limit = SUBS_PAIRS;
        p->silent = 0;
        p->blamed = false;
        subs_set(subs, p, PAIR_IDLE, p->wanted);
        subs_move(subs, p, NULL);
        subs_place(subs, p);
        if (held)
            subs_report(subs, p, 0, "connection lost");
    }
}

struct subs_counts subs_counts(const struct subs *subs)
{
    return subs->counts;
}

void subs_each(const struct subs *subs,
               void (*each)(void *user, const char *symbol, enum pgd_topic topic, int how), void *user)
{
    struct pair *p;
    TAILQ_FOREACH(p, &subs->all, all)
    {
        if (p->wanted && p->state != PAIR_HELD)
            each(user, p->symbol, (enum pgd_topic)(1u << p->topic), p->state == PAIR_REFUSED ? -1 : 0);
    }
}

/* ----------------------------------------------------------------------------------------------- messages */

static struct pair_list *subs_next_list(struct subs *subs)
{
    if (!TAILQ_EMPTY(&subs->leave))
        return &subs->leave;
    for (unsigned t = 0; t < SUBS_TOPICS; t++)
        if (!TAILQ_EMPTY(&subs->todo[t]))
            return &subs->todo[t];
    for (unsigned t = 0; t < SUBS_TOPICS; t++)
        if (!TAILQ_EMPTY(&subs->again[t]))
            return &subs->again[t];
    return NULL;
}

/* Reported from the loop and not from within the wish. */
static void subs_tell_news(struct subs *subs)
{
    struct pair *p;
    while ((p = TAILQ_FIRST(&subs->news))) {
        subs_move(subs, p, NULL);
        subs_report(subs, p, 1, "");
    }
}

size_t subs_message(struct subs *subs, uint64_t now_ms, char buf[SUBS_BYTES])
{
    subs_tell_news(subs);
    if (subs->flight_left)
        return 0;
    subs_sweep(subs);
    struct pair_list *list = subs_next_list(subs);
    if (!list)
        return 0;
    subs->flight_leaves = list == &subs->leave;
    const char *action = subs->flight_leaves ? "unsubscribe" : "subscribe";
    size_t n = (size_t)snprintf(buf, SUBS_BYTES, "{\"action\":\"%s\",\"params\":\"", action);
    unsigned limit = TAILQ_FIRST(list)->limit;
    struct pair *p;
    while ((p = TAILQ_FIRST(list)) && p->limit == limit && subs->flight_left < limit) {
        size_t size = strlen(p->wire);
        if (n + size + 4 > SUBS_BYTES) /* a comma, the end of the message and a NUL */
            break;
        if (subs->flight_left)
            buf[n++] = ',';
        memcpy(buf + n, p->wire, size);
        n += size;
        subs_set(subs, p, subs->flight_leaves ? PAIR_LEAVING : PAIR_ASKED, p->wanted);
        subs_move(subs, p, &subs->flight);
        subs->flight_left++;
    }
    memcpy(buf + n, "\"}", 3);
    subs->flight_size = subs->flight_left;
    subs->flight_errors = 0;
    subs->flight_deadline = now_ms + subs->ack_timeout_ms;
    return n + 2;
}

/* ------------------------------------------------------------------------------------------------ answers */

static void subs_refuse(struct subs *subs, struct pair *pair, const char *message)
{
    pair->suspect = true;
    subs_set(subs, pair, PAIR_REFUSED, pair->wanted);
    subs_move(subs, pair, NULL);
    if (pair->wanted)
        subs_report(subs, pair, -1, message);
}

static void subs_left(struct subs *subs, struct pair *pair, const char *message)
{
    subs_set(subs, pair, PAIR_IDLE, pair->wanted);
    subs_move(subs, pair, NULL);
    subs_place(subs, pair);
    subs_report(subs, pair, 0, message);
}

static void subs_acked(struct subs *subs, struct pair *pair)
{
    if (pair->state == PAIR_HELD || pair->state == PAIR_LEAVING)
        return;
    pair->suspect = false;
    pair->limit = SUBS_PAIRS;
    subs->streaks[pair->topic].count = 0;
    subs_set(subs, pair, PAIR_HELD, pair->wanted);
    subs_move(subs, pair, NULL);
    subs_place(subs, pair);
    subs_report(subs, pair, 1, "");
}

static void subs_success_one(struct subs *subs, bool held, const char *wire, size_t size)
{
    while (size && wire[0] == ' ') {
        wire++;
        size--;
    }
    while (size && wire[size - 1] == ' ')
        size--;
    struct pair *pair = subs_find(subs, wire, size);
    if (!pair)
        return;
    if (held)
        subs_acked(subs, pair);
    else if (pair->state == PAIR_LEAVING)
        subs_left(subs, pair, "");
}

/* Answers still on their way after a refusal belong to that message: it stays until none came for a while. */
static void subs_wait(struct subs *subs, uint64_t now_ms)
{
    subs->flight_deadline = now_ms + (subs->flight_errors ? SUBS_SETTLE_MS : subs->ack_timeout_ms);
}

void subs_success(struct subs *subs, const char *text, size_t size, uint64_t now_ms)
{
    static const char to[] = "subscribed to:";
    static const char from[] = "unsubscribed to:";
    bool held;
    if (size >= sizeof(from) - 1 && memcmp(text, from, sizeof(from) - 1) == 0)
        held = false;
    else if (size >= sizeof(to) - 1 && memcmp(text, to, sizeof(to) - 1) == 0)
        held = true;
    else
        return;
    const char *end = text + size;
    text += held ? sizeof(to) - 1 : sizeof(from) - 1;
    while (text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma ? comma : end;
        subs_success_one(subs, held, text, (size_t)(stop - text));
        text = stop + (comma ? 1 : 0);
    }
    if (subs->flight_left)
        subs_wait(subs, now_ms);
}

/* The rest of a refused message goes back to the front of its queue, to be asked for in halves. */
static void subs_halve(struct subs *subs)
{
    unsigned limit = (subs->flight_left + 1) / 2;
    struct pair *p;
    while ((p = TAILQ_LAST(&subs->flight, pair_list))) {
        p->limit = limit;
        subs_set(subs, p, PAIR_IDLE, p->wanted);
        subs_move(subs, p, NULL);
        if (!p->wanted)
            continue;
        p->list = p->suspect ? &subs->again[p->topic] : &subs->todo[p->topic];
        TAILQ_INSERT_HEAD(p->list, p, link);
    }
}

/* May the rest of the refused message be given up, too? */
static bool subs_streak(const struct subs *subs, unsigned topic)
{
    const struct streak *streak = &subs->streaks[topic];
    return streak->count >= SUBS_STREAK && strcmp(streak->text, subs->flight_text) == 0;
}

/* The same pair asked for and refused again says nothing new about its topic. */
static void subs_blame(struct subs *subs, struct pair *pair)
{
    struct streak *streak = &subs->streaks[pair->topic];
    bool same = strcmp(streak->text, subs->flight_text) == 0;
    if (!pair->blamed)
        streak->count = same ? streak->count + 1 : 1;
    pair->blamed = true;
    memcpy(streak->text, subs->flight_text, sizeof(streak->text));
}

/* The message on its way was refused and no more answers are to be expected. */
static void subs_judge(struct subs *subs)
{
    char text[SUBS_TEXT];
    memcpy(text, subs->flight_text, sizeof(text));
    struct pair *p;
    if (subs->flight_leaves) {
        while ((p = TAILQ_FIRST(&subs->flight)))
            subs_left(subs, p, text);
        return;
    }
    p = TAILQ_FIRST(&subs->flight);
    if (subs->flight_left == 1)
        subs_blame(subs, p);
    else if (subs->flight_errors < subs->flight_left && !subs_streak(subs, p->topic)) {
        subs_halve(subs);
        return;
    }
    while ((p = TAILQ_FIRST(&subs->flight)))
        subs_refuse(subs, p, text);
}

void subs_error(struct subs *subs, const char *text, size_t size, uint64_t now_ms)
{
    if (!subs->flight_left)
        return;
    if (subs->flight_errors++ == 0)
        (void)snprintf(subs->flight_text, sizeof(subs->flight_text), "%.*s",
                       (int)(size < SUBS_TEXT ? size : SUBS_TEXT), text);
    if (subs->flight_size == 1)
        subs_judge(subs);
    else
        subs_wait(subs, now_ms);
}

static void subs_silence(struct subs *subs)
{
    struct pair *p;
    while ((p = TAILQ_FIRST(&subs->flight))) {
        if (subs->flight_leaves) {
            subs_left(subs, p, "not acknowledged");
        } else if (++p->silent >= 2) {
            subs_refuse(subs, p, "not acknowledged");
        } else {
            p->suspect = true;
            subs_set(subs, p, PAIR_IDLE, p->wanted);
            subs_move(subs, p, NULL);
            subs_place(subs, p);
        }
    }
}

void subs_tick(struct subs *subs, uint64_t now_ms)
{
    if (!subs->flight_left || now_ms < subs->flight_deadline)
        return;
    if (subs->flight_errors)
        subs_judge(subs);
    else
        subs_silence(subs);
}

uint64_t subs_deadline(const struct subs *subs)
{
    return subs->flight_left ? subs->flight_deadline : UINT64_MAX;
}
