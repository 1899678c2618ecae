#include "config_schema.h"

#define CLUSTERS_MAX 6
#define BARS_MAX     2 /* 1s and 1m */

const cyaml_strval_t config_cluster_words[6] = {
    {"stocks", PGD_STOCKS}, {"options", PGD_OPTIONS}, {"crypto", PGD_CRYPTO},
    {"forex", PGD_FOREX},   {"indices", PGD_INDICES}, {"futures", PGD_FUTURES},
};
const cyaml_strval_t config_topic_words[5] = {
    {"trades", PGD_TRADES},   {"quotes", PGD_QUOTES}, {"bars_1s", PGD_BARS_1S},
    {"bars_1m", PGD_BARS_1M}, {"values", PGD_VALUES},
};
const cyaml_strval_t config_modes[3] = {{"0600", 0600}, {"0640", 0640}, {"0644", 0644}};

static const cyaml_strval_t bool_words[2] = {{"false", 0}, {"true", 1}};

/* libcyaml takes any word but a few for true, hence the enumeration. */
#define FIELD_BOOL(st, key, min, max)                                                                        \
    CYAML_FIELD_ENUM(#key, CYAML_FLAG_STRICT, struct st, key, bool_words, CYAML_ARRAY_LEN(bool_words)),
#define FIELD_UINT(st, key, min, max) CYAML_FIELD_UINT(#key, CYAML_FLAG_DEFAULT, struct st, key),
#define FIELD_TEXT(st, key, min, max)                                                                        \
    CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER, struct st, key, min, max),
#define FIELD_TEXTS(st, key, min, max)                                                                       \
    CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER, struct st, key, &text_value, min, max),
#define FIELD_MODE(st, key, min, max)                                                                        \
    CYAML_FIELD_ENUM(#key, CYAML_FLAG_STRICT, struct st, key, config_modes, CYAML_ARRAY_LEN(config_modes)),
#define FIELD_ENUM(st, key, min, max)                                                                        \
    CYAML_FIELD_ENUM(#key, CYAML_FLAG_STRICT, struct st, key, config_cluster_words,                          \
                     CYAML_ARRAY_LEN(config_cluster_words)),
#define FIELD_FLAGS(st, key, min, max)                                                                       \
    CYAML_FIELD_FLAGS(#key, CYAML_FLAG_STRICT, struct st, key, config_topic_words,                           \
                      CYAML_ARRAY_LEN(config_topic_words)),

static const cyaml_schema_value_t text_value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255)};

static const cyaml_schema_field_t key_fields[] = {
#define KEY(kind, key, def, min, max) FIELD_##kind(config_key, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t stream_fields[] = {
#define STREAM(kind, key, def, min, max) FIELD_##kind(config_stream, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t cluster_fields[] = {
#define CLUSTER(kind, key, def, min, max) FIELD_##kind(config_cluster, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t rest_fields[] = {
#define REST(kind, key, def, min, max) FIELD_##kind(config_rest, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t cache_fields[] = {
#define CACHE(kind, key, def, min, max) FIELD_##kind(config_cache, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t prefetch_fields[] = {
#define PREFETCH(kind, key, def, min, max) FIELD_##kind(config_prefetch, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t bars_fields[] = {
#define BARS(kind, key, def, min, max) FIELD_##kind(config_bars, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t engine_fields[] = {
#define ENGINE(kind, key, def, min, max) FIELD_##kind(config_engine, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t control_fields[] = {
#define CONTROL(kind, key, def, min, max) FIELD_##kind(config_control, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t journal_fields[] = {
#define JOURNAL(kind, key, def, min, max) FIELD_##kind(config_journal, key, min, max)
#include "config.def"
    CYAML_FIELD_END};
static const cyaml_schema_field_t log_fields[] = {
#define LOG(kind, key, def, min, max) FIELD_##kind(config_log, key, min, max)
#include "config.def"
    CYAML_FIELD_END};

static const cyaml_schema_value_t bars_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_bars, bars_fields)};
static const cyaml_schema_field_t bus_fields[] = {
#define BUS(kind, key, def, min, max) FIELD_##kind(config_bus, key, min, max)
#include "config.def"
    CYAML_FIELD_SEQUENCE("bars", CYAML_FLAG_POINTER, struct config_bus, bars, &bars_value, 1, BARS_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_value_t cluster_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_cluster, cluster_fields)};
static const cyaml_schema_field_t top_fields[] = {
#define TOP(kind, key, def, min, max) FIELD_##kind(config, key, min, max)
#include "config.def"
    CYAML_FIELD_MAPPING("key", CYAML_FLAG_DEFAULT, struct config, key, key_fields),
    CYAML_FIELD_MAPPING("stream", CYAML_FLAG_DEFAULT, struct config, stream, stream_fields),
    CYAML_FIELD_SEQUENCE("clusters", CYAML_FLAG_POINTER, struct config, clusters, &cluster_value, 1,
                         CLUSTERS_MAX),
    CYAML_FIELD_MAPPING("rest", CYAML_FLAG_DEFAULT, struct config, rest, rest_fields),
    CYAML_FIELD_MAPPING("cache", CYAML_FLAG_DEFAULT, struct config, cache, cache_fields),
    CYAML_FIELD_MAPPING("prefetch", CYAML_FLAG_DEFAULT, struct config, prefetch, prefetch_fields),
    CYAML_FIELD_MAPPING("bus", CYAML_FLAG_DEFAULT, struct config, bus, bus_fields),
    CYAML_FIELD_MAPPING("engine", CYAML_FLAG_DEFAULT, struct config, engine, engine_fields),
    CYAML_FIELD_MAPPING("control", CYAML_FLAG_DEFAULT, struct config, control, control_fields),
    CYAML_FIELD_MAPPING("journal", CYAML_FLAG_DEFAULT, struct config, journal, journal_fields),
    CYAML_FIELD_MAPPING("log", CYAML_FLAG_DEFAULT, struct config, log, log_fields),
    CYAML_FIELD_END};

const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, top_fields)};

/* ---------------------------------------------------------------------------------------------- defaults */

#define LINE(key, def) #key ": " def "\n"

const char config_defaults[] =
#define TOP(kind, key, def, min, max) LINE(key, def)
#include "config.def"
    "key:\n"
#define KEY(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "stream:\n"
#define STREAM(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "clusters: [{name: stocks}]\n"
    "rest:\n"
#define REST(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "cache:\n"
#define CACHE(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "prefetch:\n"
#define PREFETCH(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "bus:\n"
    "  bars: [{timespan: 1m, rows: 1000}, {timespan: 1s, rows: 600}]\n"
#define BUS(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "engine:\n"
#define ENGINE(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "control:\n"
#define CONTROL(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "journal:\n"
#define JOURNAL(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    "log:\n"
#define LOG(kind, key, def, min, max) "  " LINE(key, def)
#include "config.def"
    ;

static const char cluster_defaults[] =
#define CLUSTER(kind, key, def, min, max) LINE(key, def)
#include "config.def"
    ;
static const char bars_defaults[] =
#define BARS(kind, key, def, min, max) LINE(key, def)
#include "config.def"
    ;

/* ------------------------------------------------------------------------------------------------ rows */

#define COUNT_UINT(st, key)  0
#define COUNT_BOOL(st, key)  0
#define COUNT_TEXT(st, key)  0
#define COUNT_TEXTS(st, key) offsetof(struct st, key##_count)
#define COUNT_MODE(st, key)  0
#define COUNT_ENUM(st, key)  0
#define COUNT_FLAGS(st, key) 0
#define ROW(kind, st, key, min, max)                                                                         \
    {#key, CONFIG_##kind, offsetof(struct st, key), COUNT_##kind(st, key), min, max},

static const struct config_row top_rows[] = {
#define TOP(kind, key, def, min, max) ROW(kind, config, key, min, max)
#include "config.def"
};
static const struct config_row key_rows[] = {
#define KEY(kind, key, def, min, max) ROW(kind, config_key, key, min, max)
#include "config.def"
};
static const struct config_row stream_rows[] = {
#define STREAM(kind, key, def, min, max) ROW(kind, config_stream, key, min, max)
#include "config.def"
};
static const struct config_row cluster_rows[] = {
#define CLUSTER(kind, key, def, min, max) ROW(kind, config_cluster, key, min, max)
#include "config.def"
};
static const struct config_row rest_rows[] = {
#define REST(kind, key, def, min, max) ROW(kind, config_rest, key, min, max)
#include "config.def"
};
static const struct config_row cache_rows[] = {
#define CACHE(kind, key, def, min, max) ROW(kind, config_cache, key, min, max)
#include "config.def"
};
static const struct config_row prefetch_rows[] = {
#define PREFETCH(kind, key, def, min, max) ROW(kind, config_prefetch, key, min, max)
#include "config.def"
};
static const struct config_row bus_rows[] = {
#define BUS(kind, key, def, min, max) ROW(kind, config_bus, key, min, max)
#include "config.def"
};
static const struct config_row bars_rows[] = {
#define BARS(kind, key, def, min, max) ROW(kind, config_bars, key, min, max)
#include "config.def"
};
static const struct config_row engine_rows[] = {
#define ENGINE(kind, key, def, min, max) ROW(kind, config_engine, key, min, max)
#include "config.def"
};
static const struct config_row control_rows[] = {
#define CONTROL(kind, key, def, min, max) ROW(kind, config_control, key, min, max)
#include "config.def"
};
static const struct config_row journal_rows[] = {
#define JOURNAL(kind, key, def, min, max) ROW(kind, config_journal, key, min, max)
#include "config.def"
};
static const struct config_row log_rows[] = {
#define LOG(kind, key, def, min, max) ROW(kind, config_log, key, min, max)
#include "config.def"
};

#define ROWS(rows) rows, CYAML_ARRAY_LEN(rows)
#define PLAIN(name)                                                                                          \
    {                                                                                                        \
#name, ROWS(name##_rows), offsetof(struct config, name), 0, 0, NULL, NULL, 0                         \
    }

const struct config_section config_sections[CONFIG_SECTIONS] = {
    {"", ROWS(top_rows), 0, 0, 0, NULL, NULL, 0},
    PLAIN(key),
    PLAIN(stream),
    {"clusters", ROWS(cluster_rows), offsetof(struct config, clusters),
     offsetof(struct config, clusters_count), sizeof(struct config_cluster), cluster_defaults, "name",
     CLUSTERS_MAX},
    PLAIN(rest),
    PLAIN(cache),
    PLAIN(prefetch),
    PLAIN(bus),
    {"bus.bars", ROWS(bars_rows), offsetof(struct config, bus.bars), offsetof(struct config, bus.bars_count),
     sizeof(struct config_bars), bars_defaults, "timespan", BARS_MAX},
    PLAIN(engine),
    PLAIN(control),
    PLAIN(journal),
    PLAIN(log),
};
