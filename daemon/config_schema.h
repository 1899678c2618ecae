/* daemon/config_schema.h - config.def as tables: for libcyaml, for the defaults, for range checks and for
 * printing. */
#ifndef DAEMON_CONFIG_SCHEMA_H
#define DAEMON_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

enum config_kind {
    CONFIG_UINT,  /* uint32_t */
    CONFIG_BOOL,  /* bool */
    CONFIG_TEXT,  /* char * */
    CONFIG_TEXTS, /* char ** and a count */
    CONFIG_MODE,  /* uint32_t, one of config_modes */
    CONFIG_ENUM,  /* enum pgd_cluster */
    CONFIG_FLAGS  /* uint32_t of enum pgd_topic bits */
};

/* One key. `offset` counts from its section's struct. */
struct config_row {
    const char *key;
    enum config_kind kind;
    size_t offset;
    size_t count_offset; /* TEXTS: unsigned */
    uint32_t min, max;
};

/* The keys of one mapping. Of a list section the struct is an entry, reached through pointer and count in
 * struct config. */
struct config_section {
    const char *name; /* "" top level, "stream", "clusters", "bus.bars" */
    const struct config_row *rows;
    unsigned row_count;
    size_t offset;        /* of the struct, or of the pointer to the entries, in struct config */
    size_t count_offset;  /* list: of the unsigned count */
    size_t stride;        /* list: bytes an entry; 0: no list */
    const char *defaults; /* list: YAML text of an entry's defaults */
    const char *required; /* list: the key that has none */
    uint32_t entries_max; /* list */
};

/* In printing order. */
#define CONFIG_SECTIONS 13
extern const struct config_section config_sections[CONFIG_SECTIONS];

extern const cyaml_schema_value_t config_schema; /* of struct config *, every key present */
extern const char config_defaults[];             /* YAML text of all defaults */

extern const cyaml_strval_t config_cluster_words[6];
extern const cyaml_strval_t config_topic_words[5];
extern const cyaml_strval_t config_modes[3];

#endif
