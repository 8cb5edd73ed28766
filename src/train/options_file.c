/* options_file.c: training options from and to YAML. A file is one mapping of option names to scalars (a list
 * stands for a comma-separated text), plus mlx-lm's nested `lora_parameters` and `lr_schedule`.
 *
 * Every failure names file, line and column. What an option means is the table's business (options.c). */
#include "options.h"

#include "err.h"
#include "file.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { YAML_BYTES_MOST = 1 << 20, OPTIONS_MOST = 64 };

typedef struct reader {
    lorac_train_options *options;
    const char *file;
    yaml_document_t *document;
    bool seen[OPTIONS_MOST]; /* by index in the table */
    double scale;            /* mlx-lm's alpha / rank, NAN when not given; rank may follow it */
} reader;

static fault place_of(const reader *r, const yaml_node_t *node)
{
    return (
        fault){ .file = r->file, .line = (long)node->start_mark.line + 1, .column = (long)node->start_mark.column + 1 };
}

static int fail_node(const reader *r, const yaml_node_t *node, const char *key, const char *expected)
{
    fault place = place_of(r, node);

    place.key = key;
    place.found = node->type == YAML_MAPPING_NODE ? "a mapping" : node->type == YAML_SEQUENCE_NODE ? "a list" : "text";
    place.expected = expected;
    return fail_at(LORAC_ERROR_USAGE, place, "a setting of the wrong kind");
}

/* The text of a scalar, which libyaml ends with NUL. */
static int scalar_text(const reader *r, const yaml_node_t *node, const char *key, const char **out)
{
    if (node->type != YAML_SCALAR_NODE)
        return fail_node(r, node, key, "one value");
    if (strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
        return fail_at(LORAC_ERROR_USAGE, place_of(r, node), "a NUL character in a setting");
    *out = (const char *)node->data.scalar.value;
    return LORAC_OK;
}

static bool is_null(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;

    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") || !strcmp(text, "NULL"));
}

/* YAML 1.1 writes truth in many cases; the table knows the lower one. */
static const char *plain_text(const yaml_node_t *node, const char *text)
{
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (!strcmp(text, "True") || !strcmp(text, "TRUE"))
            return "true";
        if (!strcmp(text, "False") || !strcmp(text, "FALSE"))
            return "false";
    }
    return text;
}

static int list_text(const reader *r, const yaml_node_t *list, const char *key, buf *out)
{
    for (yaml_node_item_t *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
        const char *text;

        TRY(scalar_text(r, yaml_document_get_node(r->document, *item), key, &text));
        if (out->n)
            buf_char(out, ',');
        buf_text(out, text);
    }
    return buf_status(out);
}

/* Notes that an option was given; giving it twice, under whatever name, is refused. */
static int see(reader *r, const yaml_node_t *at, const char *key)
{
    const lorac_option *option = train_option_find(key);
    fault place = place_of(r, at);
    size_t index;

    if (!option)
        return LORAC_OK;
    index = (size_t)(option - lorac_train_option_table(NULL));
    place.key = option->name;
    if (r->seen[index])
        return fail_at(LORAC_ERROR_USAGE, place, "the option is given twice");
    r->seen[index] = true;
    return LORAC_OK;
}

static int read_value(reader *r, const char *key, const yaml_node_t *key_node, const yaml_node_t *value)
{
    fault place = place_of(r, key_node);
    const char *text;

    if (is_null(value))
        return LORAC_OK;
    TRY(see(r, key_node, key));
    if (value->type == YAML_SEQUENCE_NODE) {
        const lorac_option *option = train_option_find(key);
        buf joined = { 0 };
        int status;

        if (option && option->type != LORAC_OPTION_TEXT)
            return fail_node(r, value, key, "one value");
        status = list_text(r, value, key, &joined);
        if (status == LORAC_OK)
            status = train_option_set_at(r->options, key, joined.p ? joined.p : "", &place);
        buf_free(&joined);
        return status;
    }
    TRY(scalar_text(r, value, key, &text));
    return train_option_set_at(r->options, key, plain_text(value, text), &place);
}

/* Calls `take` for every pair of a mapping. */
static int each_pair(reader *r, const yaml_node_t *mapping,
                     int (*take)(reader *r, const char *key, const yaml_node_t *key_node, const yaml_node_t *value))
{
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key_node = yaml_document_get_node(r->document, pair->key);
        const char *key;

        TRY(scalar_text(r, key_node, NULL, &key));
        TRY(take(r, key, key_node, yaml_document_get_node(r->document, pair->value)));
    }
    return LORAC_OK;
}

static int read_number(reader *r, const char *key, const yaml_node_t *value, double *out)
{
    lorac_train_options scratch;
    const char *text;
    fault place = place_of(r, value);
    int status;

    TRY(scalar_text(r, value, key, &text));
    place.key = key;
    lorac_train_options_init(&scratch);
    status = train_option_set_at(&scratch, "alpha", text, &place);
    *out = scratch.alpha;
    lorac_train_options_clear(&scratch);
    return status;
}

/* mlx-lm: lora_parameters: {rank: 8, scale: 20.0, dropout: 0.0, keys: [self_attn.q_proj]} */
static int read_lora_parameter(reader *r, const char *key, const yaml_node_t *key_node, const yaml_node_t *value)
{
    if (!strcmp(key, "scale"))
        return read_number(r, key, value, &r->scale);
    return read_value(r, key, key_node, value);
}

/* mlx-lm: lr_schedule: {name: cosine_decay, warmup: 100, arguments: [1e-5, 1000]} */
static int read_schedule(reader *r, const char *key, const yaml_node_t *key_node, const yaml_node_t *value)
{
    const yaml_node_t *first;
    fault place = place_of(r, key_node);

    if (!strcmp(key, "name"))
        return read_value(r, "lr-schedule", key_node, value);
    if (!strcmp(key, "warmup"))
        return read_value(r, "warmup-steps", key_node, value);
    if (!strcmp(key, "arguments") && value->type == YAML_SEQUENCE_NODE &&
        value->data.sequence.items.top - value->data.sequence.items.start <= 2 &&
        value->data.sequence.items.top > value->data.sequence.items.start) {
        first = yaml_document_get_node(r->document, *value->data.sequence.items.start);
        r->seen[train_option_find("learning-rate") - lorac_train_option_table(NULL)] =
            false; /* as in mlx-lm, it wins */
        return read_value(r, "learning-rate", key_node, first);
    }
    place.key = key;
    place.expected = "name, warmup, or arguments with the peak and the steps";
    return fail_at(LORAC_ERROR_USAGE, place, "lorac does not have this part of mlx-lm's lr_schedule");
}

static int read_top(reader *r, const char *key, const yaml_node_t *key_node, const yaml_node_t *value)
{
    if (!strcmp(key, "lora_parameters")) {
        if (value->type != YAML_MAPPING_NODE)
            return fail_node(r, value, key, "a mapping");
        return each_pair(r, value, read_lora_parameter);
    }
    if (!strcmp(key, "lr_schedule") && value->type == YAML_MAPPING_NODE)
        return each_pair(r, value, read_schedule);
    return read_value(r, key, key_node, value);
}

static int read_document(lorac_train_options *options, const char *path, yaml_document_t *document)
{
    reader r = { .options = options, .file = path, .document = document, .scale = NAN };
    const yaml_node_t *root = yaml_document_get_root_node(document);

    if (!root)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .expected = "option names and values" },
                       "the file is empty");
    if (root->type != YAML_MAPPING_NODE)
        return fail_node(&r, root, NULL, "a mapping of option names to values");
    TRY(each_pair(&r, root, read_top));
    if (!isnan(r.scale))
        options->alpha = r.scale * (double)options->rank;
    return LORAC_OK;
}

static int fail_syntax(const char *path, const yaml_parser_t *parser)
{
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = path,
                            .line = (long)parser->problem_mark.line + 1,
                            .column = (long)parser->problem_mark.column + 1 },
                   "this is not YAML: %s", parser->problem ? parser->problem : "unreadable");
}

lorac_status lorac_train_options_load(lorac_train_options *options, const char *yaml_path)
{
    yaml_parser_t parser;
    yaml_document_t document;
    buf text = { 0 };
    int status;

    if (!path_exists(yaml_path))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = yaml_path }, "there is no such file");
    TRY_GOTO(file_read(&text, yaml_path, YAML_BYTES_MOST));
    if (!yaml_parser_initialize(&parser)) {
        status = fail_memory();
        goto done;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    if (yaml_parser_load(&parser, &document)) {
        status = read_document(options, yaml_path, &document);
        yaml_document_delete(&document);
    } else {
        status = parser.error == YAML_MEMORY_ERROR ? fail_memory() : fail_syntax(yaml_path, &parser);
    }
    yaml_parser_delete(&parser);
done:
    buf_free(&text);
    return status;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* The shortest of 15 to 17 digits that reads back to the same bits. */
static void add_real(buf *out, double value)
{
    char digits[40];
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(c);

    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    uselocale(before);
    freelocale(c);
    buf_text(out, digits);
}

static void add_choice(buf *out, const char *choices, int index)
{
    slice rest = slice_of(choices);

    for (int i = 0; i < index; i++)
        slice_cut(&rest, ',');
    buf_slice(out, slice_cut(&rest, ','));
}

/* Appends the value of one option as text that lorac_train_options_set reads back to the same bits; false, and nothing
 * appended, for a field that has no value (NULL text, NAN). */
static bool option_text(const lorac_train_options *options, const lorac_option *option, buf *out)
{
    const void *field = (const char *)options + option->offset;

    switch (option->type) {
    case LORAC_OPTION_INT:
        buf_format(out, "%" PRId64, *(const int64_t *)field);
        return true;
    case LORAC_OPTION_REAL:
        if (isnan(*(const double *)field))
            return false;
        add_real(out, *(const double *)field);
        return true;
    case LORAC_OPTION_FLAG:
        buf_text(out, *(const int *)field ? "true" : "false");
        return true;
    case LORAC_OPTION_CHOICE:
        add_choice(out, option->choices, *(const int *)field);
        return true;
    case LORAC_OPTION_TEXT:
        if (!*(const char *const *)field)
            return false;
        buf_text(out, *(const char *const *)field);
        return true;
    }
    assert(!"option type");
    return false;
}

void train_options_yaml(const lorac_train_options *options, buf *out)
{
    size_t count;
    const lorac_option *table = lorac_train_option_table(&count);
    const char *group = "";
    buf value = { 0 };

    buf_text(out, "# The options of this run, every one of them. lorac train -c repeats it.\n");
    for (size_t i = 0; i < count; i++) {
        if (table[i].offset == offsetof(lorac_train_options, overwrite))
            continue;
        if (strcmp(group, table[i].group) != 0)
            buf_format(out, "\n# %s\n", table[i].group);
        group = table[i].group;
        for (const char *p = table[i].name; *p; p++)
            buf_char(out, (char)(*p == '-' ? '_' : *p));
        buf_text(out, ": ");
        buf_clear(&value);
        if (!option_text(options, &table[i], &value))
            buf_text(out, "null");
        else if (table[i].type == LORAC_OPTION_TEXT)
            buf_json(out, buf_slice_of(&value)); /* a JSON string is a YAML string */
        else
            buf_slice(out, buf_slice_of(&value));
        buf_char(out, '\n');
    }
    out->failed |= value.failed;
    buf_free(&value);
}

int train_options_write(const lorac_train_options *options, const char *path)
{
    buf text = { 0 };
    int status;

    train_options_yaml(options, &text);
    TRY_GOTO(buf_status(&text));
    status = file_write(path, text.p, text.n);
done:
    buf_free(&text);
    return status;
}
