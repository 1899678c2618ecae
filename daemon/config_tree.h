/* daemon/config_tree.h - YAML text as a tree of nodes that remember where they were written.
 *
 * This is the part of reading a configuration that libcyaml does not do: layers (defaults, file, drop-ins)
 * are merged as trees, and every node keeps its file and line so that an error found late still names them.
 * What a tree may hold is narrower than YAML: no aliases, anchors, tags or second document, no key twice, no
 * control characters, limited depth and size. Any bytes are safe input. */
#ifndef DAEMON_CONFIG_TREE_H
#define DAEMON_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_TREE_BYTES (1024u * 1024u) /* of one file */
#define CONFIG_TREE_NODES 200000u         /* of one file */
#define CONFIG_TREE_DEPTH 8u
#define CONFIG_TREE_KEYS  64u /* of one mapping */

enum config_node_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAP };

struct config_node {
    enum config_node_kind kind;
    bool null;        /* a plain scalar that is empty, "~" or "null": as if the key were not written */
    char *key;        /* in a mapping, else NULL */
    char *text;       /* of a scalar */
    const char *file; /* borrowed from the parse call */
    unsigned line;    /* from 1 */
    struct config_node *parent, *next, *child, *last;
};

/* Parses one document; the top is a mapping (an empty document is an empty one). `file` names it in errors
 * and must outlive the tree. -EINVAL with "FILE:LINE: why" in err, -ENOMEM. */
int config_tree_parse(struct config_node **ret, const char *file, const char *text, size_t size, char *err,
                      size_t err_size) __attribute__((warn_unused_result));
void config_tree_free(struct config_node *node);

/* Lays the mapping `over` on the mapping `base` and takes it in: mappings merge key by key, anything else
 * replaces, a null leaves what is there. */
void config_tree_merge(struct config_node *base, struct config_node *over);

/* Lays the mapping `map` on `defaults` and takes those in: keys that `map` lacks, or has as null, come from
 * there. */
void config_tree_default(struct config_node *map, struct config_node *defaults);

struct config_node *config_tree_get(const struct config_node *map, const char *key); /* NULL: none */

/* Writes "FILE:LINE: path.to[0].key: why" to err and returns -EINVAL. */
int config_tree_fail(const struct config_node *node, char *err, size_t err_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The tree as YAML text for libcyaml, one node a line: `lines[n]` is the node that line n + 1 begins with.
 * Both are malloc'ed. */
struct config_text {
    char *text;
    size_t size;
    const struct config_node **lines;
    size_t line_count;
};
int config_tree_write(const struct config_node *root, struct config_text *ret)
    __attribute__((warn_unused_result));

#endif
