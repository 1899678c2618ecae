#include "garble.h"

#include <string.h>

#define MEMBERS_MAX 40

struct member {
    const char *key, *value;
    size_t key_size, value_size;
};

/* Splits a flat {"k":v,...}; values may be arrays. */
static size_t split(const char *event, size_t size, struct member *members)
{
    size_t count = 0, depth = 0;
    const char *end = event + size - 1, *p = event + 1;
    while (p < end && count < MEMBERS_MAX) {
        struct member *m = &members[count++];
        m->key = ++p;
        while (*p != '"')
            p++;
        m->key_size = (size_t)(p - m->key);
        p += 2;
        m->value = p;
        bool quoted = false;
        for (; p < end && (quoted || depth > 0 || *p != ','); p++) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                quoted = !quoted;
            else if (!quoted)
                depth += *p == '[' || *p == '{' ? 1 : *p == ']' || *p == '}' ? (size_t)-1 : 0;
        }
        m->value_size = (size_t)(p - m->value);
        p++;
    }
    return count;
}

static bool named(const struct member *m, const char *key)
{
    return strlen(key) == m->key_size && memcmp(key, m->key, m->key_size) == 0;
}

static const struct member *find(const struct member *members, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (named(&members[i], key))
            return &members[i];
    return NULL;
}

static void add_member(struct sim_text *out, const struct member *m, const char *value, size_t size)
{
    sim_text_char(out, out->size && out->data[out->size - 1] != '{' ? ',' : '"');
    if (out->data[out->size - 1] == ',')
        sim_text_char(out, '"');
    sim_text_add(out, m->key, m->key_size);
    sim_text_str(out, "\":");
    sim_text_add(out, value, size);
}

/* ---------------------------------------------------------------------------------- whole messages */

static const char *event_at(const struct sim_session *s, size_t i, size_t *ret_size)
{
    size_t end = i + 1 < s->event_count ? s->starts[i + 1] - 1 : s->events.size;
    *ret_size = end - s->starts[i];
    return s->events.data + s->starts[i];
}

static void append(struct sim_session *s, const struct sim_text *event)
{
    if (s->event_count == SIM_STARTS_MAX)
        return;
    if (s->event_count)
        sim_text_char(&s->events, ',');
    s->starts[s->event_count++] = s->events.size;
    sim_text_add(&s->events, event->data, event->size);
}

/* Replaces the events by what `change` makes of each, in this order or backwards. */
static void rewrite(struct sim_session *s, bool reverse,
                    void (*change)(struct sim_text *out, const struct member *members, size_t count))
{
    struct sim_text old = s->events, event = {0};
    size_t count = s->event_count, starts[SIM_STARTS_MAX];
    memcpy(starts, s->starts, sizeof(starts));
    s->events = (struct sim_text){0};
    s->event_count = 0;
    for (size_t k = 0; k < count; k++) {
        size_t i = reverse ? count - 1 - k : k;
        size_t end = i + 1 < count ? starts[i + 1] - 1 : old.size;
        event.size = 0;
        if (change) {
            struct member members[MEMBERS_MAX];
            size_t n = split(old.data + starts[i], end - starts[i], members);
            sim_text_char(&event, '{');
            change(&event, members, n);
            sim_text_char(&event, '}');
        } else {
            sim_text_add(&event, old.data + starts[i], end - starts[i]);
        }
        append(s, &event);
    }
    sim_text_fini(&event);
    sim_text_fini(&old);
}

/* ---------------------------------------------------------------------------------- one event each */

/* 228.43 becomes 2.2843e+02. */
static void add_exponent(struct sim_text *out, const struct member *m)
{
    char digits[32];
    int count = 0, point = 0;
    bool seen_point = false, plain = m->value_size < sizeof(digits);
    for (size_t i = 0; i < m->value_size && plain; i++) {
        char c = m->value[i];
        plain = (c >= '0' && c <= '9') || (c == '.' && !seen_point);
        if (c == '.') {
            seen_point = true;
            continue;
        }
        if (count > 0 || c != '0')
            digits[count++] = c;
        if (!seen_point && count > 0)
            point++;
        else if (seen_point && count == 0)
            point--;
    }
    if (!plain || count == 0) {
        add_member(out, m, m->value, m->value_size);
        return;
    }
    struct sim_text value = {0};
    int exponent = point - 1;
    sim_text_printf(&value, "%c%s%.*se%c%02d", digits[0], count > 1 ? "." : "", count - 1, digits + 1,
                    exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
    add_member(out, m, value.data, value.size);
    sim_text_fini(&value);
}

static void with_exponents(struct sim_text *out, const struct member *members, size_t count)
{
    static const char *const amounts[] = {"p",  "bp", "ap", "o", "h", "l",   "c",  "v",
                                          "vw", "av", "op", "a", "b", "val", "fmv"};
    bool bar = find(members, count, "o") != NULL;
    for (size_t i = 0; i < count; i++) {
        bool amount = false;
        for (size_t k = 0; k < sizeof(amounts) / sizeof(*amounts); k++)
            amount |= named(&members[i], amounts[k]) && (bar || !named(&members[i], "c"));
        if (amount)
            add_exponent(out, &members[i]);
        else
            add_member(out, &members[i], members[i].value, members[i].value_size);
    }
    sim_text_str(out,
                 ",\"ns\":1788877046310003385,\"zz\":{\"a\":[1,{\"b\":\"}]\\\"\"}],\"c\":null},\"ok\":true");
}

static void with_keys_turned(struct sim_text *out, const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[(i + count / 2) % count];
        add_member(out, m, m->value, m->value_size);
    }
}

/* The last event once more, with `value` for the first of these keys that it has. */
static void repeat_last(struct sim_session *s, bool in_place, const char *const *keys, const char *value)
{
    struct member members[MEMBERS_MAX];
    size_t size;
    const char *event = event_at(s, s->event_count - 1, &size);
    size_t count = split(event, size, members);
    const struct member *target = NULL;
    for (; *keys && !target; keys++)
        target = find(members, count, *keys);
    struct sim_text changed = {0};
    sim_text_char(&changed, '{');
    for (size_t i = 0; i < count; i++) {
        bool hit = &members[i] == target;
        add_member(&changed, &members[i], hit ? value : members[i].value,
                   hit ? strlen(value) : members[i].value_size);
    }
    sim_text_char(&changed, '}');
    if (in_place) {
        s->event_count--;
        s->events.size = s->event_count ? s->starts[s->event_count] - 1 : 0;
    }
    append(s, &changed);
    sim_text_fini(&changed);
}

static void duplicate(struct sim_session *s)
{
    struct sim_text copy = {0};
    size_t size;
    const char *event = event_at(s, s->event_count - 1, &size);
    sim_text_add(&copy, event, size);
    append(s, &copy);
    sim_text_fini(&copy);
}

static void mix(struct sim_session *s)
{
    struct sim_text status = {0};
    sim_event_status(&status, "success", "subscribed to: AM.MIXED");
    append(s, &status);
    rewrite(s, true, NULL);
    append(s, &status);
    sim_text_fini(&status);
}

static void unknown(struct sim_session *s)
{
    struct sim_text event = {0};
    sim_text_str(&event, "{\"ev\":\"ZZ\",\"sym\":\"AAPL\",\"x\":[1,{\"y\":null,\"z\":\"\\u00e9\"}],\"t\":1}");
    append(s, &event);
    sim_text_fini(&event);
}

bool sim_garble(struct sim_session *session, enum sim_action action)
{
    static const char *const oddities[] = {"z", "s", "t", NULL}, *const sequence[] = {"q", NULL};
    switch (action) {
    case SIM_DO_MALFORMED:
        repeat_last(session, true, oddities, "\"odd\"");
        return true;
    case SIM_DO_BACKWARDS:
        repeat_last(session, false, sequence, "7");
        return true;
    case SIM_DO_UNKNOWN:
        unknown(session);
        return true;
    case SIM_DO_DUPLICATE:
        duplicate(session);
        return true;
    case SIM_DO_SHUFFLE:
        rewrite(session, true, NULL);
        return true;
    case SIM_DO_NUMBERS:
        rewrite(session, false, with_exponents);
        return true;
    case SIM_DO_REORDER:
        rewrite(session, false, with_keys_turned);
        return true;
    case SIM_DO_MIXED:
        mix(session);
        return true;
    default:
        return false;
    }
}

void sim_garble_spaces(struct sim_text *out, const char *text, size_t size)
{
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool token = !quoted && strchr("{}[]:,", c);
        if (token)
            sim_text_str(out, " \t");
        sim_text_char(out, c);
        if (token)
            sim_text_str(out, "\r\n ");
        if (c == '\\' && quoted && i + 1 < size)
            sim_text_char(out, text[++i]);
        else if (c == '"')
            quoted = !quoted;
    }
}
