#include "spoil.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS "\"results\":["

struct row {
    const char *text;
    size_t size;
};

/* Rows of the array at `p`, behind its bracket; *ret_end is the bracket that closes it. */
static struct row *split(const char *p, const char *end, size_t *ret_count, const char **ret_end)
{
    struct row *rows = NULL;
    size_t count = 0, depth = 0;
    const char *from = p;
    for (bool quoted = false; p < end; p++) {
        if (*p == '\\' && quoted)
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (!quoted && (*p == '{' || *p == '[') && depth++ == 0)
            from = p;
        else if (!quoted && (*p == '}' || *p == ']')) {
            if (depth == 0)
                break;
            if (--depth)
                continue;
            struct row *more = realloc(rows, (count + 1) * sizeof(*rows));
            if (!more)
                abort();
            rows = more;
            rows[count++] = (struct row){from, (size_t)(p + 1 - from)};
        }
    }
    *ret_count = count;
    *ret_end = p;
    return rows;
}

static void add_row(struct sim_text *out, const struct row *row)
{
    if (out->size && out->data[out->size - 1] != '[')
        sim_text_char(out, ',');
    sim_text_add(out, row->text, row->size);
}

/* Another close: a digit in front of it. Rows without one stay as they are. */
static void add_stale(struct sim_text *out, const struct row *row)
{
    const char *close = memmem(row->text, row->size, "\"c\":", 4);
    size_t before = close ? (size_t)(close + 4 - row->text) : 0;
    add_row(out, &(struct row){row->text, before ? before : row->size});
    if (before) {
        sim_text_char(out, '1');
        sim_text_add(out, row->text + before, row->size - before);
    }
}

static void spoil_rows(struct sim_text *out, enum sim_action action, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (action == SIM_DO_STALE)
            add_stale(out, &rows[i]);
        if (action == SIM_DO_TWICE)
            add_row(out, &rows[i]);
        add_row(out, action == SIM_DO_TURNED ? &rows[count - 1 - i] : &rows[i]);
    }
}

/* Replaces what stands between `key` and the first of `ends` behind it; where there is no such key it is
 * added. */
static void set_member(struct sim_text *body, const char *key, const char *ends, const char *value)
{
    struct sim_text out = {0};
    const char *all = body->data, *end = body->data + body->size;
    const char *at = memmem(all, body->size, key, strlen(key));
    if (at) {
        const char *from = at + strlen(key), *to = from;
        while (to < end && !strchr(ends, *to))
            to++;
        sim_text_add(&out, all, (size_t)(from - all));
        sim_text_str(&out, value);
        sim_text_add(&out, to, (size_t)(end - to));
    } else {
        sim_text_add(&out, all, body->size - 1); /* but the last brace */
        sim_text_printf(&out, ",%s%s%s}", key, value, *ends == '"' ? "\"" : "");
    }
    sim_text_fini(body);
    *body = out;
}

static void spoil_count(struct sim_text *body, int64_t more)
{
    static const char key[] = "\"resultsCount\":";
    const char *at = memmem(body->data, body->size, key, sizeof(key) - 1);
    char value[32];
    snprintf(value, sizeof(value), "%" PRId64,
             more + (int64_t)(at ? strtoll(at + sizeof(key) - 1, NULL, 10) : 0));
    set_member(body, key, ",}", value);
}

static void spoil_next(struct sim_text *body, const char *what, const struct sim_request *request, bool tls)
{
    static uint64_t serial;
    struct sim_text url = {0};
    if (strcmp(what, "self") != 0 && strcmp(what, "again") != 0)
        sim_text_str(&url, what);
    else
        sim_text_printf(&url, "http%s://%s%s", tls ? "s" : "", request->host, request->target);
    if (strcmp(what, "again") == 0)
        sim_text_printf(&url, "%cnew=%" PRIu64, strchr(request->target, '?') ? '&' : '?', ++serial);
    set_member(body, "\"next_url\":\"", "\"", sim_text_cstr(&url));
    sim_text_fini(&url);
}

void sim_spoil(struct sim_reply *reply, const struct sim_request *request, bool tls)
{
    const struct sim_rule *rule = reply->spoil;
    struct sim_text *body = &reply->body;
    const char *at = body->size ? memmem(body->data, body->size, RESULTS, strlen(RESULTS)) : NULL;
    if (!at)
        return;
    if (rule->action == SIM_DO_COUNT) {
        spoil_count(body, rule->numbers[0]);
        return;
    }
    if (rule->action == SIM_DO_NEXT) {
        spoil_next(body, rule->text, request, tls);
        return;
    }
    const char *first = at + strlen(RESULTS), *last;
    size_t count;
    struct row *rows = split(first, body->data + body->size, &count, &last);
    struct sim_text out = {0};
    sim_text_add(&out, body->data, (size_t)(first - body->data));
    spoil_rows(&out, rule->action, rows, count);
    sim_text_add(&out, last, (size_t)(body->data + body->size - last));
    free(rows);
    sim_text_fini(body);
    *body = out;
}
