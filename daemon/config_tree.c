#include "config_tree.h"
#include "config_quote.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    const char *file;
    const char *text;
    size_t size;
    unsigned nodes;
    char *err;
    size_t err_size;
};

/* ------------------------------------------------------------------------------------------------ nodes */

void config_tree_free(struct config_node *node)
{
    if (!node)
        return;
    for (struct config_node *child = node->child, *next; child; child = next) {
        next = child->next;
        config_tree_free(child);
    }
    free(node->key);
    free(node->text);
    free(node);
}

static void append(struct config_node *parent, struct config_node *child)
{
    child->parent = parent;
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->child = child;
    parent->last = child;
}

struct config_node *config_tree_get(const struct config_node *map, const char *key)
{
    for (struct config_node *child = map->child; child; child = child->next) {
        if (child->key && strcmp(child->key, key) == 0)
            return child;
    }
    return NULL;
}

static unsigned place(const struct config_node *node)
{
    unsigned i = 0;
    for (const struct config_node *n = node->parent->child; n != node; n = n->next)
        i++;
    return i;
}

static void print_path(FILE *out, const struct config_node *node)
{
    if (!node->parent)
        return;
    print_path(out, node->parent);
    if (node->key)
        fprintf(out, "%s%s", node->parent->parent ? "." : "", node->key);
    else
        fprintf(out, "[%u]", place(node));
}

int config_tree_fail(const struct config_node *node, char *err, size_t err_size, const char *format, ...)
{
    if (err_size == 0)
        return -EINVAL;
    err[0] = '\0';
    FILE *out = fmemopen(err, err_size, "w");
    if (!out)
        return -EINVAL;
    fprintf(out, "%s:%u: ", node->file, node->line);
    if (node->parent) {
        print_path(out, node);
        fputs(": ", out);
    }
    va_list args;
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    fclose(out);
    err[err_size - 1] = '\0';
    return -EINVAL;
}

/* --------------------------------------------------------------------------------------------- building */

static int refuse(struct builder *b, size_t line, const char *why)
{
    snprintf(b->err, b->err_size, "%s:%zu: %s", b->file, line, why);
    return -EINVAL;
}

static size_t line_of_offset(const struct builder *b, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < b->size; i++)
        line += b->text[i] == '\n';
    return line;
}

static int next_event(struct builder *b)
{
    if (b->have_event)
        yaml_event_delete(&b->event);
    b->have_event = yaml_parser_parse(&b->parser, &b->event) != 0;
    if (b->have_event)
        return 0;
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    const char *why = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR)
        return refuse(b, line_of_offset(b, p->problem_offset), why);
    return refuse(b, p->problem_mark.line + 1, why);
}

static size_t event_line(const struct builder *b)
{
    return b->event.start_mark.line + 1;
}

static int new_node(struct builder *b, enum config_node_kind kind, struct config_node **ret)
{
    if (++b->nodes > CONFIG_TREE_NODES)
        return refuse(b, event_line(b), "too many values");
    struct config_node *node = calloc(1, sizeof(*node));
    if (!node)
        return -ENOMEM;
    node->kind = kind;
    node->file = b->file;
    node->line = (unsigned)event_line(b);
    *ret = node;
    return 0;
}

/* The text of the current scalar event, refused when it could not be shown in one line. */
static int scalar_text(struct builder *b, char **ret)
{
    const char *value = (const char *)b->event.data.scalar.value;
    size_t length = b->event.data.scalar.length;
    for (size_t i = 0; i < length; i++) {
        if ((uint8_t)value[i] < 0x20 || value[i] == 0x7f)
            return refuse(b, event_line(b), "control character or line break in a value");
    }
    char *text = strndup(value, length);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

static bool is_null(const yaml_event_t *event)
{
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *v = (const char *)event->data.scalar.value;
    return strcmp(v, "") == 0 || strcmp(v, "~") == 0 || strcmp(v, "null") == 0;
}

static int build(struct builder *b, unsigned depth, struct config_node **ret);

static int build_key(struct builder *b, const struct config_node *map, char **ret)
{
    if (b->event.type != YAML_SCALAR_EVENT)
        return refuse(b, event_line(b), "a key must be a word");
    if (b->event.data.scalar.anchor || b->event.data.scalar.tag)
        return refuse(b, event_line(b), "anchors and tags are not accepted");
    if (b->event.data.scalar.length > 64)
        return refuse(b, event_line(b), "key too long");
    unsigned keys = 0;
    for (const struct config_node *child = map->child; child; child = child->next) {
        if (strcmp(child->key, (const char *)b->event.data.scalar.value) == 0)
            return refuse(b, event_line(b), "key given twice");
        keys++;
    }
    if (keys >= CONFIG_TREE_KEYS)
        return refuse(b, event_line(b), "too many keys");
    return scalar_text(b, ret);
}

static int build_entry(struct builder *b, unsigned depth, struct config_node *parent)
{
    char *key = NULL;
    size_t line = event_line(b);
    if (parent->kind == CONFIG_MAP) {
        int r = build_key(b, parent, &key);
        if (r == 0)
            r = next_event(b);
        if (r < 0) {
            free(key);
            return r;
        }
    }
    struct config_node *child = NULL;
    int r = build(b, depth + 1, &child);
    if (r < 0) {
        free(key);
        return r;
    }
    child->key = key;
    child->line = (unsigned)line;
    append(parent, child);
    return 0;
}

static int build_collection(struct builder *b, unsigned depth, enum config_node_kind kind,
                            yaml_event_type_t end, struct config_node **ret)
{
    if (depth >= CONFIG_TREE_DEPTH)
        return refuse(b, event_line(b), "nested too deep");
    struct config_node *node = NULL;
    int r = new_node(b, kind, &node);
    if (r < 0)
        return r;
    while ((r = next_event(b)) == 0 && b->event.type != end) {
        r = build_entry(b, depth, node);
        if (r < 0)
            break;
    }
    if (r < 0) {
        config_tree_free(node);
        return r;
    }
    *ret = node;
    return 0;
}

static int build_scalar(struct builder *b, struct config_node **ret)
{
    struct config_node *node = NULL;
    int r = new_node(b, CONFIG_SCALAR, &node);
    if (r < 0)
        return r;
    node->null = is_null(&b->event);
    r = scalar_text(b, &node->text);
    if (r < 0) {
        config_tree_free(node);
        return r;
    }
    *ret = node;
    return 0;
}

static bool decorated(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor || event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor || event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor || event->data.mapping_start.tag;
    default:
        return false;
    }
}

/* The value that starts with the current event, up to its last event. */
static int build(struct builder *b, unsigned depth, struct config_node **ret)
{
    if (decorated(&b->event))
        return refuse(b, event_line(b), "anchors and tags are not accepted");
    switch (b->event.type) {
    case YAML_SCALAR_EVENT:
        return build_scalar(b, ret);
    case YAML_SEQUENCE_START_EVENT:
        return build_collection(b, depth, CONFIG_LIST, YAML_SEQUENCE_END_EVENT, ret);
    case YAML_MAPPING_START_EVENT:
        return build_collection(b, depth, CONFIG_MAP, YAML_MAPPING_END_EVENT, ret);
    case YAML_ALIAS_EVENT:
        return refuse(b, event_line(b), "aliases are not accepted");
    default:
        return refuse(b, event_line(b), "a value is missing");
    }
}

static int empty_map(struct builder *b, struct config_node **ret)
{
    config_tree_free(*ret);
    *ret = NULL;
    return new_node(b, CONFIG_MAP, ret);
}

/* Stream start, at most one document, stream end. */
static int build_document(struct builder *b, struct config_node **ret)
{
    int r = next_event(b);
    if (r == 0)
        r = next_event(b);
    if (r < 0)
        return r;
    if (b->event.type == YAML_STREAM_END_EVENT)
        return empty_map(b, ret);
    r = next_event(b);
    if (r == 0)
        r = build(b, 0, ret);
    if (r < 0)
        return r;
    if ((*ret)->null)
        r = empty_map(b, ret);
    else if ((*ret)->kind != CONFIG_MAP)
        r = refuse(b, (*ret)->line, "expected keys and values");
    if (r == 0)
        r = next_event(b);
    if (r == 0)
        r = next_event(b);
    if (r == 0 && b->event.type != YAML_STREAM_END_EVENT)
        r = refuse(b, event_line(b), "a second document in one file");
    return r;
}

int config_tree_parse(struct config_node **ret, const char *file, const char *text, size_t size, char *err,
                      size_t err_size)
{
    struct builder b = {.file = file, .text = text, .size = size, .err = err, .err_size = err_size};
    if (size > CONFIG_TREE_BYTES)
        return refuse(&b, 1, "longer than 1 MiB");
    if (!yaml_parser_initialize(&b.parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, size);
    struct config_node *root = NULL;
    int r = build_document(&b, &root);
    if (b.have_event)
        yaml_event_delete(&b.event);
    yaml_parser_delete(&b.parser);
    if (r < 0) {
        config_tree_free(root);
        return r;
    }
    *ret = root;
    return 0;
}

/* ------------------------------------------------------------------------------------ merging, writing */

static void replace(struct config_node *old, struct config_node *with)
{
    struct config_node *parent = old->parent;
    struct config_node **slot = &parent->child;
    while (*slot != old)
        slot = &(*slot)->next;
    with->parent = parent;
    with->next = old->next;
    *slot = with;
    if (parent->last == old)
        parent->last = with;
    config_tree_free(old);
}

void config_tree_merge(struct config_node *base, struct config_node *over)
{
    struct config_node *next;
    for (struct config_node *child = over->child; child; child = next) {
        next = child->next;
        struct config_node *old = config_tree_get(base, child->key);
        if (!old) {
            append(base, child);
        } else if (child->null) {
            config_tree_free(child);
        } else if (old->kind == CONFIG_MAP && child->kind == CONFIG_MAP) {
            config_tree_merge(old, child);
        } else {
            replace(old, child);
        }
    }
    over->child = over->last = NULL;
    config_tree_free(over);
}

void config_tree_default(struct config_node *map, struct config_node *defaults)
{
    struct config_node *next;
    for (struct config_node *child = defaults->child; child; child = next) {
        next = child->next;
        child->file = map->file;
        child->line = map->line;
        struct config_node *old = config_tree_get(map, child->key);
        if (!old)
            append(map, child);
        else if (old->null)
            replace(old, child);
        else
            config_tree_free(child);
    }
    defaults->child = defaults->last = NULL;
    config_tree_free(defaults);
}

struct writer {
    FILE *out;
    const struct config_node **lines;
    size_t count, room;
    bool failed;
};

static void begin_line(struct writer *w, const struct config_node *node)
{
    if (w->count > 0)
        fputc('\n', w->out);
    if (w->count == w->room) {
        size_t room = w->room ? w->room * 2 : 256;
        const struct config_node **lines = realloc(w->lines, room * sizeof(*lines));
        if (!lines) {
            w->failed = true;
            return;
        }
        w->lines = lines;
        w->room = room;
    }
    w->lines[w->count++] = node;
}

static void write_node(struct writer *w, const struct config_node *node)
{
    if (node->kind == CONFIG_SCALAR) {
        config_quote(w->out, node->text);
        return;
    }
    fputc(node->kind == CONFIG_MAP ? '{' : '[', w->out);
    for (const struct config_node *child = node->child; child; child = child->next) {
        begin_line(w, child);
        if (child->key) {
            config_quote(w->out, child->key);
            fputs(": ", w->out);
        }
        write_node(w, child);
        if (child->next)
            fputc(',', w->out);
    }
    begin_line(w, node);
    fputc(node->kind == CONFIG_MAP ? '}' : ']', w->out);
}

int config_tree_write(const struct config_node *root, struct config_text *ret)
{
    struct config_text made = {0};
    struct writer w = {.out = open_memstream(&made.text, &made.size)};
    if (!w.out)
        return -ENOMEM;
    begin_line(&w, root);
    write_node(&w, root);
    bool failed = ferror(w.out) != 0 || w.failed;
    failed |= fclose(w.out) != 0;
    if (failed) {
        free(made.text);
        free(w.lines);
        return -ENOMEM;
    }
    made.lines = w.lines;
    made.line_count = w.count;
    *ret = made;
    return 0;
}
