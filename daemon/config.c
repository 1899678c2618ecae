#include "config.h"
#include "config_check.h"
#include "config_quote.h"
#include "config_schema.h"
#include "config_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DROPINS_MAX 256

/* --------------------------------------------------------------------------------------------- libcyaml */

/* What libcyaml says of the first error: its words, and the line of the innermost value. */
struct capture {
    char words[256];
    unsigned line;
};

__attribute__((format(printf, 3, 0))) static void capture_log(cyaml_log_t level, void *user,
                                                              const char *format, va_list args)
{
    struct capture *capture = user;
    char text[512];
    (void)level;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    if (capture->words[0] == '\0')
        snprintf(capture->words, sizeof(capture->words), "%.255s", text);
    const char *line = strstr(text, "(line: ");
    if (line && capture->line == 0)
        capture->line = (unsigned)strtoul(line + strlen("(line: "), NULL, 10);
}

static cyaml_config_t cyaml_settings(struct capture *capture)
{
    return (cyaml_config_t){
        .log_fn = capture ? capture_log : NULL,
        .log_ctx = capture,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_DEFAULT,
    };
}

/* libcyaml gives the place of an unknown key as that of the key before it, or as its mapping's when it is the
 * first. */
static int explain_key(const struct config_node *node, const char *key, char *err, size_t err_size)
{
    const struct config_node *inner = config_tree_get(node, key);
    const struct config_node *outer = node->parent ? config_tree_get(node->parent, key) : NULL;
    const struct config_node *found = inner && !config_check_known(inner) ? inner : outer ? outer : node;
    return config_tree_fail(found, err, err_size, "unknown key");
}

/* libcyaml's error in our words where the place is known, else in its own. */
static int explain(const struct capture *capture, const struct config_text *text,
                   const struct config_node *root, char *err, size_t err_size)
{
    static const char unknown[] = "Unexpected key: ";
    const char *at = strstr(capture->words, unknown);
    if (capture->line == 0 || capture->line > text->line_count)
        return config_tree_fail(root, err, err_size, "%s", capture->words);
    const struct config_node *node = text->lines[capture->line - 1];
    if (at)
        return explain_key(node, at + strlen(unknown), err, err_size);
    return config_check_expected(node, err, err_size);
}

static int load_tree(struct config **ret, const struct config_node *root, char *err, size_t err_size)
{
    struct config_text text;
    int r = config_tree_write(root, &text);
    if (r < 0)
        return r;
    struct capture capture = {.line = 0};
    cyaml_config_t settings = cyaml_settings(&capture);
    void *loaded = NULL;
    cyaml_err_t e =
        cyaml_load_data((const uint8_t *)text.text, text.size, &settings, &config_schema, &loaded, NULL);
    if (e == CYAML_OK)
        *ret = loaded;
    else if (e == CYAML_ERR_OOM)
        r = -ENOMEM;
    else
        r = explain(&capture, &text, root, err, err_size);
    free(text.text);
    free(text.lines);
    return r;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    cyaml_config_t settings = cyaml_settings(NULL);
    (void)cyaml_free(&settings, &config_schema, config, 0);
}

/* ------------------------------------------------------------------------------------------------ files */

/* The layers of one load; nodes borrow the names. */
struct layers {
    struct config_node *root;
    char *names[DROPINS_MAX + 1];
    unsigned count;
    char *err;
    size_t err_size;
};

static int fail_read(struct layers *l, const char *path, int r)
{
    snprintf(l->err, l->err_size, "%s: cannot be read: %s", path, strerror(-r));
    return r;
}

static int read_fd(int fd, char **ret, size_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    size_t room = CONFIG_TREE_BYTES + 1, size = 0; /* one more, so that a longer file is seen as such */
    char *text = malloc(room);
    if (!text)
        return -ENOMEM;
    ssize_t n;
    while (size < room && (n = read(fd, text + size, room - size)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int r = -errno;
            free(text);
            return r;
        }
        size += (size_t)n;
    }
    *ret = text;
    *ret_size = size;
    return 0;
}

static int read_file(const char *path, char **ret, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = read_fd(fd, ret, ret_size);
    close(fd);
    return r;
}

static int add_text(struct layers *l, const char *name, const char *text, size_t size)
{
    struct config_node *tree = NULL;
    int r = config_tree_parse(&tree, name, text, size, l->err, l->err_size);
    if (r == 0)
        config_tree_merge(l->root, tree);
    return r;
}

/* Lays the file on what is there; takes `name`. */
static int add_file(struct layers *l, char *name)
{
    char *text = NULL;
    size_t size = 0;
    int r = read_file(name, &text, &size);
    if (r < 0) {
        fail_read(l, name, r);
        free(name);
        return r;
    }
    l->names[l->count++] = name;
    r = add_text(l, name, text, size);
    free(text);
    return r;
}

static int is_dropin(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".yaml") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_dropins(struct layers *l, const char *path)
{
    char dir[4096];
    if ((size_t)snprintf(dir, sizeof(dir), "%s.d", path) >= sizeof(dir))
        return fail_read(l, path, -ENAMETOOLONG);
    struct dirent **entries;
    int n = scandir(dir, &entries, is_dropin, by_bytes);
    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail_read(l, dir, -errno);
    int r = n > DROPINS_MAX ? fail_read(l, dir, -E2BIG) : 0;
    for (int i = 0; i < n; i++) {
        char *name = NULL;
        if (r == 0 && asprintf(&name, "%s/%s", dir, entries[i]->d_name) < 0)
            r = -ENOMEM;
        if (r == 0)
            r = add_file(l, name);
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* ------------------------------------------------------------------------------------------------- load */

static int add_builtin(struct config_node **ret, const char *text, struct layers *l)
{
    return config_tree_parse(ret, "built-in defaults", text, strlen(text), l->err, l->err_size);
}

static int fill_entry(struct layers *l, const struct config_section *section, struct config_node *entry)
{
    if (entry->kind != CONFIG_MAP)
        return 0; /* libcyaml will say so */
    struct config_node *defaults = NULL;
    int r = add_builtin(&defaults, section->defaults, l);
    if (r < 0)
        return r;
    config_tree_default(entry, defaults);
    if (config_tree_get(entry, section->required)->null)
        return config_tree_fail(entry, l->err, l->err_size, "%s is missing", section->required);
    return 0;
}

/* Entries of lists have defaults of their own. */
static int fill_lists(struct layers *l)
{
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *section = &config_sections[i];
        const struct config_node *list =
            section->stride ? config_check_section(l->root, section->name) : NULL;
        if (!list || list->kind != CONFIG_LIST)
            continue;
        for (struct config_node *entry = list->child; entry; entry = entry->next) {
            int r = fill_entry(l, section, entry);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* Three keys that users of the Python predecessor set in the environment. Whatever is no number is left for
 * the check of ranges, which says what is expected. */
static int add_environment(struct layers *l)
{
    static const char *const keys[][2] = {
        {"NUM_WORKERS", "workers"}, {"QUEUE_SIZE", "queue_size"}, {"BATCH_SIZE", "batch_size"}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = getenv(keys[i][0]);
        struct config_node *tree = NULL;
        char text[64];
        if (!value || !value[0])
            continue;
        bool number = strlen(value) < 11 && strspn(value, "0123456789") == strlen(value);
        (void)snprintf(text, sizeof(text), "rest:\n  %s: %s\n", keys[i][1], number ? value : "none");
        int r = config_tree_parse(&tree, keys[i][0], text, strlen(text), l->err, l->err_size);
        if (r < 0)
            return r;
        config_tree_merge(l->root, tree);
    }
    return 0;
}

static int load_files(struct layers *l, const char *path)
{
    if (!path)
        return 0;
    char *name = strdup(path);
    if (!name)
        return -ENOMEM;
    int r = add_file(l, name);
    if (r == 0)
        r = add_dropins(l, path);
    return r;
}

static int load_layers(struct layers *l, const char *path)
{
    int r = add_builtin(&l->root, config_defaults, l);
    if (r == 0)
        r = load_files(l, path);
    if (r == 0)
        r = add_environment(l);
    return r;
}

/* A cluster without topics has all that the vendor has. */
static void fill_topics(struct config *config)
{
    for (unsigned i = 0; i < config->clusters_count; i++) {
        struct config_cluster *cluster = &config->clusters[i];
        if (cluster->topics == 0)
            cluster->topics = config_check_topics(cluster->name);
    }
}

static int load_checked(struct config **ret, struct layers *l)
{
    struct config *config = NULL;
    int r = fill_lists(l);
    if (r == 0)
        r = load_tree(&config, l->root, l->err, l->err_size);
    if (r < 0)
        return r;
    fill_topics(config);
    r = config_check(config, l->root, l->err, l->err_size);
    if (r < 0) {
        config_free(config);
        return r;
    }
    *ret = config;
    return 0;
}

static int load_end(struct config **ret, struct layers *l, const char *name, int r)
{
    if (r == 0)
        r = load_checked(ret, l);
    if (r < 0 && l->err_size > 0 && l->err[0] == '\0')
        snprintf(l->err, l->err_size, "%s: %s", name ? name : "built-in defaults", strerror(-r));
    config_tree_free(l->root);
    for (unsigned i = 0; i < l->count; i++)
        free(l->names[i]);
    return r;
}

int config_load(struct config **ret, const char *path, char *err, size_t err_size)
{
    struct layers l = {.err = err, .err_size = err_size};
    if (err_size > 0)
        err[0] = '\0';
    return load_end(ret, &l, path, load_layers(&l, path));
}

int config_load_text(struct config **ret, const char *name, const char *text, size_t size, char *err,
                     size_t err_size)
{
    struct layers l = {.err = err, .err_size = err_size};
    if (err_size > 0)
        err[0] = '\0';
    int r = load_layers(&l, NULL);
    if (r == 0)
        r = add_text(&l, name, text, size);
    return load_end(ret, &l, name, r);
}

/* ------------------------------------------------------------------------------------------------ print */

static const char *word_of(const cyaml_strval_t *words, size_t count, int64_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].val == value)
            return words[i].str;
    }
    return "";
}

static void print_texts(FILE *out, char *const *texts, unsigned count)
{
    fputc('[', out);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            fputs(", ", out);
        config_quote(out, texts[i]);
    }
    fputc(']', out);
}

static void print_topics(FILE *out, uint32_t topics)
{
    const char *sep = "";
    fputc('[', out);
    for (size_t i = 0; i < CYAML_ARRAY_LEN(config_topic_words); i++) {
        if (topics & (uint32_t)config_topic_words[i].val) {
            fprintf(out, "%s%s", sep, config_topic_words[i].str);
            sep = ", ";
        }
    }
    fputc(']', out);
}

static void print_value(FILE *out, const struct config_row *row, const uint8_t *base)
{
    const void *at = base + row->offset;
    switch (row->kind) {
    case CONFIG_UINT:
        fprintf(out, "%u", *(const uint32_t *)at);
        break;
    case CONFIG_BOOL:
        fputs(*(const bool *)at ? "true" : "false", out);
        break;
    case CONFIG_TEXT:
        config_quote(out, *(char *const *)at);
        break;
    case CONFIG_TEXTS:
        print_texts(out, *(char **const *)at, *(const unsigned *)(const void *)(base + row->count_offset));
        break;
    case CONFIG_MODE:
        fputs(word_of(config_modes, CYAML_ARRAY_LEN(config_modes), *(const uint32_t *)at), out);
        break;
    case CONFIG_ENUM:
        fputs(config_cluster_name(*(const enum pgd_cluster *)at), out);
        break;
    case CONFIG_FLAGS:
        print_topics(out, *(const uint32_t *)at);
        break;
    }
    fputc('\n', out);
}

static void print_rows(FILE *out, const struct config_section *section, const uint8_t *base,
                       const char *first, const char *indent, const char *leave_out)
{
    for (unsigned i = 0; i < section->row_count; i++) {
        char word[40];
        snprintf(word, sizeof(word), " %s ", section->rows[i].key);
        if (strstr(leave_out, word))
            continue;
        fprintf(out, "%s%s: ", first, section->rows[i].key);
        first = indent;
        print_value(out, &section->rows[i], base);
    }
}

/* leave_out: keys, each between spaces. */
static void print_section(FILE *out, const struct config_section *section, const struct config *config,
                          const char *leave_out)
{
    const uint8_t *at = (const uint8_t *)config + section->offset;
    const char *dot = strrchr(section->name, '.');
    if (section->name[0] == '\0') {
        print_rows(out, section, at, "", "", leave_out);
        return;
    }
    fprintf(out, "%s%s:\n", dot ? "  " : "", dot ? dot + 1 : section->name);
    if (section->stride == 0) {
        print_rows(out, section, at, "  ", "  ", leave_out);
        return;
    }
    const uint8_t *entries = *(const uint8_t *const *)(const void *)at;
    unsigned count = *(const unsigned *)(const void *)((const uint8_t *)config + section->count_offset);
    for (unsigned i = 0; i < count; i++)
        print_rows(out, section, entries + i * section->stride, dot ? "    - " : "  - ",
                   dot ? "      " : "    ", leave_out);
}

static int print_end(FILE *out)
{
    bool failed = ferror(out) != 0;
    errno = 0;
    failed |= fclose(out) != 0;
    return failed ? (errno ? -errno : -EIO) : 0;
}

int config_print(const struct config *config, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    FILE *out = fdopen(copy, "w");
    if (!out) {
        int r = -errno;
        close(copy);
        return r;
    }
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++)
        print_section(out, &config_sections[i], config, "");
    return print_end(out);
}

int config_shape(char **ret, const struct config *config)
{
    static const struct {
        const char *section, *leave_out;
    } shape[] = {{"", ""},
                 {"clusters", " url symbols "},
                 {"bus", " group mode "},
                 {"bus.bars", ""},
                 {"engine", " kind "}};
    size_t size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return -ENOMEM;
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++)
        for (size_t k = 0; k < CYAML_ARRAY_LEN(shape); k++)
            if (strcmp(config_sections[i].name, shape[k].section) == 0)
                print_section(out, &config_sections[i], config, shape[k].leave_out);
    int r = print_end(out);
    if (r < 0)
        free(text);
    else
        *ret = text;
    return r;
}

const char *config_cluster_name(enum pgd_cluster cluster)
{
    return word_of(config_cluster_words, CYAML_ARRAY_LEN(config_cluster_words), cluster);
}

enum pgd_cluster config_cluster_from(const char *name)
{
    for (size_t i = 0; i < CYAML_ARRAY_LEN(config_cluster_words); i++) {
        if (strcmp(config_cluster_words[i].str, name) == 0)
            return (enum pgd_cluster)config_cluster_words[i].val;
    }
    return (enum pgd_cluster)0;
}
