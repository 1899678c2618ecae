#include "plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEM_MAX 16u

struct indicator {
    const char *stem;
    uint32_t given; /* parameters its name carries */
    uint32_t bare;  /* may be named without */
    uint32_t defaults[3];
    const char *columns[PGK_OUTPUTS];
    const char *unit;
    struct pgk_indicator_info info;
};

#define ROW(...)                                                                                             \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
static const struct indicator indicators[PGK_INDICATORS] = {
#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, unit, window, words, first, settle,    \
                      info, example, doc)                                                                    \
    {stem, given, bare, ROW defaults, ROW columns, unit, {info, example, doc}},
#include "indicators.def"
};

static const char *const default_names[] = {"sma_20", "ema_12", "rsi_14", "macd", "bb",
                                            "atr_14", "stoch",  "obv",    "vwap", "vwap_ext"};

/* What the parameters make of an indicator. */
struct shape {
    uint32_t window;
    uint32_t words;
    uint32_t first;
    uint32_t settle;
};

static struct shape shape_of(uint32_t id, const uint32_t *n)
{
    switch (id) {
#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, unit, window, words, first, settle,    \
                      info, example, doc)                                                                    \
    case PGK_##id:                                                                                           \
        return (struct shape){window, words, first, settle};
#include "indicators.def"
    default:
        return (struct shape){0};
    }
}

/* A name taken apart: "macd_signal_5_35_5" is the stem "macd_signal" and three numbers. */
struct word {
    const char *text;
    char stem[STEM_MAX];
    const char *number[3];
    uint32_t numbers;
};

struct reason {
    char *text;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct reason *why, const char *name,
                                                        const char *format, ...)
{
    if (why->size == 0)
        return -EINVAL;
    int used = snprintf(why->text, why->size, "indicator '%.40s': ", name);
    if (used < 0 || (size_t)used >= why->size)
        return -EINVAL;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why->text + used, why->size - (size_t)used, format, args);
    va_end(args);
    return -EINVAL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* -EINVAL: no stem, or more numbers than any indicator has. A stem too long for any indicator is cut: unknown
 * all the same. */
static int word_split(struct word *ret, const char *text)
{
    const char *end = text + strlen(text);
    const char *number[3];
    uint32_t numbers = 0;
    while (end > text) {
        const char *at = end;
        while (at > text && at[-1] != '_')
            at--;
        if (at == text || !is_digit(*at))
            break;
        if (numbers == 3)
            return -EINVAL;
        number[numbers++] = at;
        end = at - 1;
    }
    if (end == text)
        return -EINVAL;
    *ret = (struct word){.text = text, .numbers = numbers};
    (void)snprintf(ret->stem, sizeof ret->stem, "%.*s", (int)(end - text), text);
    for (uint32_t i = 0; i < numbers; i++)
        ret->number[i] = number[numbers - 1 - i];
    return 0;
}

/* Digits up to '_' or the end, no leading zero. */
static int parse_period(const char *text, uint32_t *ret)
{
    uint32_t value = 0;
    if (*text == '0')
        return -EINVAL;
    for (; is_digit(*text); text++) {
        value = value * 10 + (uint32_t)(*text - '0');
        if (value > PGK_PERIOD_MAX)
            return -ERANGE;
    }
    if (*text != '\0' && *text != '_')
        return -EINVAL;
    *ret = value;
    return 0;
}

/* "2", "2.5", "0.75": at most four decimals. */
static int parse_factor(const char *text, uint32_t *ret)
{
    uint32_t value = 0, unit = PGK_FACTOR;
    if (text[0] == '0' && text[1] != '.')
        return -EINVAL;
    for (; is_digit(*text); text++) {
        value = value * 10 + (uint32_t)(*text - '0');
        if (value > PGK_FACTOR_MAX)
            return -ERANGE;
    }
    value *= PGK_FACTOR;
    if (*text == '.') {
        if (!is_digit(*++text))
            return -EINVAL;
        for (; is_digit(*text) && unit > 1; text++) {
            unit /= 10;
            value += unit * (uint32_t)(*text - '0');
        }
    }
    if (*text != '\0' && *text != '_')
        return -EINVAL;
    if (value == 0 || value > PGK_FACTOR_MAX * PGK_FACTOR)
        return -ERANGE;
    *ret = value;
    return 0;
}

static bool is_factor(uint32_t id, uint32_t parameter)
{
    return id == PGK_BB && parameter == 1;
}

static int parse_numbers(const struct word *word, uint32_t id, uint32_t *n, const struct reason *why)
{
    if (word->numbers == 0) {
        memcpy(n, indicators[id].defaults, sizeof indicators[id].defaults);
        return 0;
    }
    for (uint32_t i = 0; i < word->numbers; i++) {
        bool factor = is_factor(id, i);
        int rc = factor ? parse_factor(word->number[i], &n[i]) : parse_period(word->number[i], &n[i]);
        if (rc == -ERANGE)
            return factor
                       ? refuse(why, word->text, "factor out of range (above 0, at most %u)", PGK_FACTOR_MAX)
                       : refuse(why, word->text, "period out of range (1 to %u)", PGK_PERIOD_MAX);
        if (rc != 0)
            return refuse(why, word->text, "'%.16s' is not a %s", word->number[i],
                          factor ? "factor such as 2 or 2.5" : "period from 1 to 1000");
    }
    if (id == PGK_MACD && n[0] >= n[1])
        return refuse(why, word->text, "the fast period must be shorter than the slow one");
    return 0;
}

/* Output of `indicator` that a stem names, PGK_OUTPUTS: the whole family; -1: neither. */
static int output_named(const struct indicator *indicator, const char *stem)
{
    if (strcmp(indicator->stem, stem) == 0)
        return PGK_OUTPUTS;
    for (int i = 0; i < PGK_OUTPUTS && indicator->columns[i] != NULL; i++)
        if (strcmp(indicator->columns[i], stem) == 0)
            return i;
    return -1;
}

static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[STEM_MAX + 1];
    size_t width = strlen(b);
    for (uint32_t j = 0; j <= width; j++)
        row[j] = j;
    for (uint32_t i = 1; a[i - 1] != '\0'; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= width; j++) {
            uint32_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            uint32_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[width];
}

/* True for a name with its period run together: sma20. */
static bool run_together(const char *stem, size_t letters)
{
    if (stem[letters] == '\0' || stem[letters + strspn(stem + letters, "0123456789")] != '\0')
        return false;
    for (uint32_t id = 0; id < PGK_INDICATORS; id++)
        if (strlen(indicators[id].stem) == letters && strncmp(indicators[id].stem, stem, letters) == 0)
            return true;
    return false;
}

/* Complains about a stem nobody has, with the nearest one that exists. */
static int refuse_unknown(const struct word *word, const struct reason *why)
{
    const char *best = NULL;
    size_t length = strlen(word->stem), letters = strcspn(word->stem, "0123456789");
    if (run_together(word->stem, letters))
        return refuse(why, word->text, "unknown; did you mean %.*s_%s?", (int)letters, word->stem,
                      word->stem + letters);
    uint32_t least = length < 3 ? (uint32_t)length : 3; /* of a short word nothing would be left */
    for (uint32_t id = 0; id < PGK_INDICATORS; id++) {
        for (int i = -1; i < PGK_OUTPUTS; i++) {
            const char *stem = i < 0 ? indicators[id].stem : indicators[id].columns[i];
            uint32_t d = stem == NULL ? least : distance(word->stem, stem);
            if (d < least) {
                least = d;
                best = stem;
            }
        }
    }
    if (best == NULL)
        return refuse(why, word->text, "unknown");
    return refuse(why, word->text, "unknown; did you mean %s%s%.32s?", best, word->numbers == 0 ? "" : "_",
                  word->numbers == 0 ? "" : word->number[0]);
}

/* Finds the indicator and which of its outputs are meant. */
static int find_indicator(const struct word *word, uint32_t *ret_id, int *ret_output,
                          const struct reason *why)
{
    const struct indicator *near = NULL;
    for (uint32_t id = 0; id < PGK_INDICATORS; id++) {
        const struct indicator *it = &indicators[id];
        int output = output_named(it, word->stem);
        if (output < 0)
            continue;
        near = it;
        if (word->numbers == 0 ? it->bare : word->numbers == it->given) {
            *ret_id = id;
            *ret_output = output;
            return 0;
        }
    }
    if (near == NULL)
        return refuse_unknown(word, why);
    if (near->given == 0)
        return refuse(why, word->text, "takes no parameters");
    return refuse(why, word->text, "needs %u parameter%s: %s", near->given, near->given == 1 ? "" : "s",
                  near->info.name);
}

static bool is_default(uint32_t id, const uint32_t *n)
{
    return indicators[id].bare && memcmp(n, indicators[id].defaults, indicators[id].given * sizeof *n) == 0;
}

/* Writes a column's name; -ENAMETOOLONG. */
static int column_name(char *ret, uint32_t id, const uint32_t *n, int output)
{
    char text[64];
    int used = snprintf(text, sizeof text, "%s", indicators[id].columns[output]);
    for (uint32_t i = 0; i < indicators[id].given && !is_default(id, n); i++) {
        uint32_t whole = is_factor(id, i) ? n[i] / PGK_FACTOR : n[i];
        uint32_t part = is_factor(id, i) ? n[i] % PGK_FACTOR : 0;
        used += snprintf(text + used, sizeof text - (size_t)used, "_%u", whole);
        if (part == 0)
            continue;
        used += snprintf(text + used, sizeof text - (size_t)used, ".%04u", part);
        while (text[used - 1] == '0')
            text[--used] = '\0';
    }
    if ((size_t)used >= PGK_NAME_SIZE)
        return -ENAMETOOLONG;
    memcpy(ret, text, (size_t)used + 1);
    return 0;
}

static void look_back(struct pgk_plan *plan, enum pgk_field field, uint32_t rows)
{
    plan->halo[field] = rows > plan->halo[field] ? rows : plan->halo[field];
}

/* A field of values that only this op reads, `rows` back. */
static void derive(struct pgk_plan *plan, uint32_t rows)
{
    plan->halo[plan->fields++] = rows;
}

/* The rows each field must be read back. What stoch derives is stepped over `warm` rows when a series is
 * taken up, and reads behind itself there too. */
static void plan_fields(struct pgk_plan *plan, struct pgk_op *op)
{
    const uint32_t *n = op->n;
    look_back(plan, PGK_C, 1);
    switch (op->id) {
    case PGK_STOCH:
        op->warm = n[1] + n[2] - 2;
        op->derived = plan->fields;
        look_back(plan, PGK_H, op->warm + n[0] - 1);
        look_back(plan, PGK_L, op->warm + n[0] - 1);
        look_back(plan, PGK_C, op->warm);
        derive(plan, op->warm + n[1] - 1);
        derive(plan, op->warm + n[2] - 1);
        break;
    case PGK_MFI:
        look_back(plan, PGK_H, n[0]);
        look_back(plan, PGK_L, n[0]);
        look_back(plan, PGK_C, n[0]);
        look_back(plan, PGK_V, n[0]);
        break;
    case PGK_VWAP:
        look_back(plan, PGK_P, n[0] - 1);
        look_back(plan, PGK_V, n[0] - 1);
        break;
    default:
        look_back(plan, PGK_C, op->window - 1);
    }
}

/* The op of these parameters, made if it is not there yet. */
static struct pgk_op *plan_op(struct pgk_plan *plan, uint32_t id, const uint32_t *n)
{
    for (uint32_t i = 0; i < plan->ops; i++)
        if (plan->op[i].id == id && memcmp(plan->op[i].n, n, sizeof plan->op[i].n) == 0)
            return &plan->op[i];
    struct shape shape = shape_of(id, n);
    struct pgk_op *op = &plan->op[plan->ops++];
    *op = (struct pgk_op){
        .id = id, .window = shape.window, .words = shape.words, .word = plan->words, .column = {-1, -1, -1}};
    op->factor = (double)n[1] / PGK_FACTOR;
    for (int i = 0; i < 3; i++) {
        op->n[i] = n[i];
        op->smooth[i] = 2.0 / ((double)n[i] + 1.0);
    }
    while (op->outputs < PGK_OUTPUTS && indicators[id].columns[op->outputs] != NULL)
        op->outputs++;
    plan_fields(plan, op);
    plan->words += shape.words;
    plan->window = shape.window > plan->window ? shape.window : plan->window;
    plan->lookback = shape.first > plan->lookback ? shape.first : plan->lookback;
    plan->warmup = shape.first + shape.settle > plan->warmup ? shape.first + shape.settle : plan->warmup;
    plan->sessions |= id == PGK_VWAP_DAY || id == PGK_VWAP_EXT;
    return op;
}

static int add_column(struct pgk_plan *plan, const char *text, struct pgk_op *op, int output,
                      const struct reason *why)
{
    char name[PGK_NAME_SIZE];
    if (column_name(name, op->id, op->n, output) != 0)
        return refuse(why, text, "a column's name would be longer than %u characters", PGK_NAME_SIZE - 1);
    if (op->column[output] >= 0)
        return refuse(why, text, "duplicate column %s", name);
    if (plan->columns == PGK_COLUMNS_MAX)
        return refuse(why, text, "more than %d columns", PGK_COLUMNS_MAX);
    op->column[output] = (int32_t)plan->columns;
    memcpy(plan->name[plan->columns], name, sizeof name);
    plan->unit[plan->columns] = indicators[op->id].unit;
    plan->columns++;
    return 0;
}

static int add_word(struct pgk_plan *plan, const char *text, const struct reason *why)
{
    struct word word;
    uint32_t id = 0, n[3] = {0};
    int output = 0;
    if (word_split(&word, text) != 0)
        return refuse(why, text, "not the name of an indicator");
    int rc = find_indicator(&word, &id, &output, why);
    if (rc == 0)
        rc = parse_numbers(&word, id, n, why);
    if (rc != 0)
        return rc;
    if (plan->columns == PGK_COLUMNS_MAX)
        return refuse(why, text, "more than %d columns", PGK_COLUMNS_MAX);
    struct pgk_op *op = plan_op(plan, id, n);
    if (output < PGK_OUTPUTS)
        return add_column(plan, text, op, output, why);
    for (int i = 0; i < (int)op->outputs && rc == 0; i++)
        rc = add_column(plan, text, op, i, why);
    return rc;
}

/* Outputs that no column shows go to one more column, which nobody reads. */
static void send_unused(struct pgk_plan *plan)
{
    for (uint32_t i = 0; i < plan->ops; i++)
        for (int j = 0; j < PGK_OUTPUTS; j++)
            if (plan->op[i].column[j] < 0)
                plan->op[i].column[j] = (int32_t)plan->columns;
}

int pgk_plan_new(struct pgk_plan **ret, const char *const *names, size_t count, char *err, size_t err_size)
{
    const struct reason why = {err, err_size};
    if (names == NULL || count == 0) {
        names = default_names;
        count = sizeof default_names / sizeof default_names[0];
    }
    struct pgk_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return -ENOMEM;
    plan->window = 2; /* a row and the one before it */
    plan->fields = PGK_BAR_FIELDS;
    for (size_t i = 0; i < count; i++) {
        int rc = add_word(plan, names[i], &why);
        if (rc != 0) {
            free(plan);
            return rc;
        }
    }
    send_unused(plan);
    *ret = plan;
    return 0;
}

void pgk_plan_free(struct pgk_plan *plan)
{
    free(plan);
}

size_t pgk_plan_columns(const struct pgk_plan *plan)
{
    return plan->columns;
}

const char *pgk_plan_name(const struct pgk_plan *plan, size_t column)
{
    return column < plan->columns ? plan->name[column] : NULL;
}

const char *pgk_plan_unit(const struct pgk_plan *plan, size_t column)
{
    return column < plan->columns ? plan->unit[column] : NULL;
}

size_t pgk_plan_lookback(const struct pgk_plan *plan)
{
    return plan->lookback;
}

size_t pgk_plan_warmup(const struct pgk_plan *plan)
{
    return plan->warmup;
}

uint32_t pgk_plan_capacity(const struct pgk_plan *plan)
{
    uint32_t least = 2 * plan->window;
    return least < 16 ? 16 : least;
}

size_t pgk_plan_state_size(const struct pgk_plan *plan)
{
    size_t bytes = (PGK_STATE_HEAD + plan->words) * sizeof(uint64_t);
    return (bytes + 63) / 64 * 64;
}

const struct pgk_indicator_info *pgk_indicator_info(size_t i)
{
    return i < PGK_INDICATORS ? &indicators[i].info : NULL;
}
