/* peft.c: adapter_config.json in and out. One table says what becomes of every key that PEFT 0.21 knows; a key that
 * changes what an adapter computes is either understood or refused by name, never passed over. Knows nothing of models.
 */
#include "peft.h"

#include "err.h"
#include "json.h"

#include <math.h>
#include <string.h>

enum {
    FILE_LIMIT = 8 << 20,
    PATTERN_LIMIT = 4096 /* keys of rank_pattern, of alpha_pattern: each is a regular expression */
};

/* What a key is to us. */
typedef enum key_use {
    USE_READ,  /* has a field in peft_config */
    USE_NONE,  /* does not change what the adapter computes */
    USE_REFUSE /* we lack it: only its default is taken */
} key_use;

typedef struct known_key {
    const char *name;
    key_use use;
    const char *default_text;
} known_key;

static const known_key known_keys[] = {
    { "alora_invocation_tokens", USE_REFUSE, NULL },
    { "alpha_pattern", USE_READ, NULL },
    { "arrow_config", USE_REFUSE, NULL },
    { "auto_mapping", USE_NONE, NULL },
    { "base_model_name_or_path", USE_READ, NULL },
    { "bias", USE_READ, NULL },
    { "corda_config", USE_READ, NULL },
    { "ensure_weight_tying", USE_READ, NULL },
    { "eva_config", USE_READ, NULL },
    { "exclude_modules", USE_READ, NULL },
    { "fan_in_fan_out", USE_READ, NULL },
    { "inference_mode", USE_NONE, NULL },
    { "init_lora_weights", USE_READ, NULL },
    { "kasa_config", USE_REFUSE, NULL },
    { "layer_replication", USE_REFUSE, NULL },
    { "layers_pattern", USE_READ, NULL },
    { "layers_to_transform", USE_READ, NULL },
    { "loftq_config", USE_REFUSE, NULL },
    { "lora_alpha", USE_READ, NULL },
    { "lora_bias", USE_READ, NULL },
    { "lora_dropout", USE_READ, NULL },
    { "lora_ga_config", USE_REFUSE, NULL },
    { "megatron_config", USE_REFUSE, NULL },
    { "megatron_core", USE_REFUSE, "megatron.core" },
    { "modules_to_save", USE_READ, NULL },
    { "monteclora_config", USE_REFUSE, NULL },
    { "peft_type", USE_READ, NULL },
    { "peft_version", USE_NONE, NULL },
    { "qalora_group_size", USE_NONE, NULL }, /* speaks only where use_qalora does */
    { "r", USE_READ, NULL },
    { "rank_pattern", USE_READ, NULL },
    { "revision", USE_NONE, NULL },
    { "target_modules", USE_READ, NULL },
    { "target_parameters", USE_REFUSE, NULL },
    { "task_type", USE_READ, NULL },
    { "trainable_token_indices", USE_READ, NULL },
    { "use_bdlora", USE_REFUSE, NULL },
    { "use_dora", USE_READ, NULL },
    { "use_qalora", USE_REFUSE, NULL },
    { "use_rslora", USE_READ, NULL },
    { "velora_config", USE_REFUSE, NULL },
};

void peft_config_init(peft_config *c)
{
    *c = (peft_config){ .r = 8, .lora_alpha = 8, .bias = "none" };
    peft_init_start(&c->init);
}

double peft_scale(const peft_config *c, int64_t rank, double alpha)
{
    return alpha / (c->use_rslora ? sqrt((double)rank) : (double)rank);
}

void peft_config_free(peft_config *c)
{
    arena_free(&c->memory);
    *c = (peft_config){ 0 };
}

/* ---- Reading */

static int wrong_kind(const char *path, const char *key, const json_t *value, const char *expected)
{
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = path, .key = key, .found = json_kind(value), .expected = expected },
                   "the key's value has the wrong kind");
}

static int keep_text(peft_config *c, const char *text, const char **out)
{
    *out = arena_text(&c->memory, text, strlen(text));
    return *out ? LORAC_OK : fail_memory();
}

static const known_key *find_key(const char *name)
{
    for (size_t i = 0; i < sizeof known_keys / sizeof known_keys[0]; i++) {
        if (strcmp(name, known_keys[i].name) == 0)
            return &known_keys[i];
    }
    return NULL;
}

static bool is_default(const known_key *key, const json_t *value)
{
    if (key->default_text && json_is_string(value))
        return strcmp(json_string_value(value), key->default_text) == 0;
    return json_is_null(value) || json_is_false(value) || (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static int check_keys(const json_t *object, const char *path, buf *notes)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        const known_key *key = find_key(name);

        if (key && key->use == USE_REFUSE && !is_default(key, value))
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .file = path,
                                    .key = name,
                                    .found = json_is_string(value) ? json_string_value(value) : json_kind(value),
                                    .expected = key->default_text ? key->default_text : "null or false" },
                           "PEFT's setting %s is not supported", name);
        if (key || !notes)
            continue;
        buf_format(notes, "%s: the key ", path);
        buf_json(notes, slice_of(name));
        buf_text(notes, " is not one of PEFT's and is ignored\n");
    }
    return notes ? buf_status(notes) : LORAC_OK;
}

static int read_type(const json_t *object, const char *path)
{
    const char *type = "LORA";

    TRY(json_take_text(object, "peft_type", &type, path));
    if (strcmp(type, "LORA") == 0)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .key = "peft_type", .found = type, .expected = "LORA" },
                   "the adapter type %s is not supported", type);
}

static int read_numbers(peft_config *c, const json_t *object, const char *path)
{
    TRY(json_take_int(object, "r", 1, PEFT_RANK_MOST, &c->r, path));
    TRY(json_take_real(object, "lora_alpha", &c->lora_alpha, path));
    TRY(json_take_real(object, "lora_dropout", &c->lora_dropout, path));
    TRY(json_take_bool(object, "use_rslora", &c->use_rslora, path));
    TRY(json_take_bool(object, "use_dora", &c->use_dora, path));
    TRY(json_take_bool(object, "lora_bias", &c->lora_bias, path));
    TRY(json_take_bool(object, "ensure_weight_tying", &c->ensure_weight_tying, path));
    TRY(json_take_bool(object, "fan_in_fan_out", &c->fan_in_fan_out, path));
    if (!(c->lora_dropout >= 0 && c->lora_dropout < 1))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .key = "lora_dropout", .expected = "0 or more, and less than 1" },
                       "the dropout probability is %g", c->lora_dropout);
    return LORAC_OK;
}

static int read_bias(peft_config *c, const json_t *object, const char *path)
{
    static const char *const kinds[] = { "none", "all", "lora_only" };
    const char *text = "none";

    TRY(json_take_text(object, "bias", &text, path));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(text, kinds[i]) == 0) {
            c->bias = kinds[i];
            return LORAC_OK;
        }
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = path, .key = "bias", .found = text, .expected = "none, all or lora_only" },
                   "there is no such choice of biases");
}

static int read_text(peft_config *c, const json_t *object, const char *key, const char **out, const char *path)
{
    const char *text = NULL;

    TRY(json_take_text(object, key, &text, path));
    return text ? keep_text(c, text, out) : LORAC_OK;
}

static int read_text_list(peft_config *c, const json_t *list, const char *key, const char ***out, size_t *count,
                          const char *path)
{
    const char **texts = arena_new(&c->memory, json_array_size(list), sizeof *texts);

    if (!texts)
        return fail_memory();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_string(item))
            return wrong_kind(path, key, item, "a list of strings");
        TRY(keep_text(c, json_string_value(item), &texts[i]));
    }
    *out = texts;
    *count = json_array_size(list);
    return LORAC_OK;
}

/* A list of names, or one text. */
static int read_names(peft_config *c, const json_t *object, const char *key, const char ***list, size_t *count,
                      const char **text, const char *path)
{
    const json_t *value = json_object_get(object, key);

    if (!value || json_is_null(value))
        return LORAC_OK;
    if (json_is_string(value))
        return keep_text(c, json_string_value(value), text);
    if (json_is_array(value))
        return read_text_list(c, value, key, list, count, path);
    return wrong_kind(path, key, value, "a list of strings, or a string");
}

static int read_targets(peft_config *c, const json_t *object, const char *path)
{
    TRY(read_names(c, object, "target_modules", &c->targets, &c->target_count, &c->target_regex, path));
    TRY(read_names(c, object, "exclude_modules", &c->excludes, &c->exclude_count, &c->exclude_regex, path));
    if (c->targets && c->target_count == 0)
        return fail_at(
            LORAC_ERROR_USAGE,
            (fault){ .file = path, .key = "target_modules", .hint = "Leave the key out for PEFT's own choice" },
            "the list of target modules is empty");
    return LORAC_OK;
}

static int read_saved(peft_config *c, const json_t *object, const char *path)
{
    const json_t *value = json_object_get(object, "modules_to_save");

    if (!value || json_is_null(value))
        return LORAC_OK;
    if (!json_is_array(value))
        return wrong_kind(path, "modules_to_save", value, "a list of strings");
    return read_text_list(c, value, "modules_to_save", &c->saved, &c->saved_count, path);
}

static int read_token_list(peft_config *c, peft_tokens *out, const json_t *list, const char *path)
{
    const size_t count = json_array_size(list);

    if (!json_is_array(list))
        return wrong_kind(path, "trainable_token_indices", list, "a list of token ids");
    out->ids = arena_new(&c->memory, count, sizeof *out->ids);
    if (!out->ids)
        return fail_memory();
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        const json_int_t id = json_integer_value(item);

        if (!json_is_integer(item) || id < 0 || id > INT32_MAX)
            return wrong_kind(path, "trainable_token_indices", item, "token ids");
        out->ids[out->count++] = (int32_t)id;
    }
    return LORAC_OK;
}

/* A list is for the input embedding; a mapping names the modules. */
static int read_tokens(peft_config *c, const json_t *object, const char *path)
{
    json_t *value = json_object_get(object, "trainable_token_indices"), *list;
    const char *name;

    if (!value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
        return LORAC_OK;
    if (!json_is_array(value) && !json_is_object(value))
        return wrong_kind(path, "trainable_token_indices", value, "a list of token ids, or one for each module");
    c->tokens = arena_new(&c->memory, json_is_array(value) ? 1 : json_object_size(value), sizeof *c->tokens);
    if (!c->tokens)
        return fail_memory();
    if (json_is_array(value))
        return read_token_list(c, &c->tokens[c->token_lists++], value, path);
    json_object_foreach(value, name, list)
    {
        peft_tokens *out = &c->tokens[c->token_lists++];

        TRY(keep_text(c, name, &out->module));
        TRY(read_token_list(c, out, list, path));
    }
    return LORAC_OK;
}

/* PEFT's own check of what may stand beside lora_bias. */
static int check_lora_bias(const peft_config *c, const char *path)
{
    const bool plain = c->init.kind == INIT_DEFAULT || c->init.kind == INIT_CARELESS;

    if (!c->lora_bias || (plain && !c->use_dora))
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .key = "lora_bias" },
                   "lora_bias goes only with init_lora_weights true or false, and without use_dora");
}

static int read_layers(peft_config *c, const json_t *object, const char *path)
{
    const json_t *value = json_object_get(object, "layers_to_transform");
    bool one = json_is_integer(value);
    size_t count = one ? 1 : json_array_size(value);

    if (!value || json_is_null(value))
        return LORAC_OK;
    if (!one && !json_is_array(value))
        return wrong_kind(path, "layers_to_transform", value, "an integer, or a list of integers");
    c->layers = arena_new(&c->memory, count, sizeof *c->layers);
    if (!c->layers)
        return fail_memory();
    for (size_t i = 0; i < count; i++) {
        const json_t *item = one ? value : json_array_get(value, i);

        if (!json_is_integer(item))
            return wrong_kind(path, "layers_to_transform", item, "an integer, or a list of integers");
        c->layers[i] = json_integer_value(item);
    }
    c->layer_count = count;
    return LORAC_OK;
}

static int read_layers_pattern(peft_config *c, const json_t *object, const char *path)
{
    const char *text = NULL;

    TRY(read_names(c, object, "layers_pattern", &c->layers_pattern, &c->layers_pattern_count, &text, path));
    if (!text || !*text)
        return LORAC_OK;
    c->layers_pattern = arena_new(&c->memory, 1, sizeof *c->layers_pattern);
    if (!c->layers_pattern)
        return fail_memory();
    c->layers_pattern[0] = text;
    c->layers_pattern_count = 1;
    return LORAC_OK;
}

/* PEFT's own checks of what may stand beside what. */
static int check_layers(const peft_config *c, const json_t *object, const char *path)
{
    static const char *const keys[] = { "layers_to_transform", "layers_pattern" };

    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_object_get(object, keys[i]);

        if (c->target_regex && value && !json_is_null(value))
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .file = path, .key = keys[i], .hint = "Give target_modules as a list" },
                           "%s cannot be used when target_modules is one string", keys[i]);
    }
    if (c->layers_pattern_count > 0 && !c->layers)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .key = "layers_pattern" },
                       "layers_pattern needs layers_to_transform");
    return LORAC_OK;
}

static int pattern_size(const json_t *value, const char *key, size_t *count, const char *path)
{
    *count = 0;
    if (!value || json_is_null(value))
        return LORAC_OK;
    if (!json_is_object(value))
        return wrong_kind(path, key, value, "an object");
    if (json_object_size(value) > PATTERN_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .key = key, .expected = "at most 4096" },
                       "%s has %zu entries", key, json_object_size(value));
    *count = json_object_size(value);
    return LORAC_OK;
}

static int read_ranks(peft_config *c, const json_t *object, const char *path)
{
    const json_t *patterns = json_object_get(object, "rank_pattern");
    const char *key;
    json_t *value;
    size_t count;

    TRY(pattern_size(patterns, "rank_pattern", &count, path));
    c->rank_keys = arena_new(&c->memory, count, sizeof *c->rank_keys);
    c->rank_values = arena_new(&c->memory, count, sizeof *c->rank_values);
    if (!c->rank_keys || !c->rank_values)
        return fail_memory();
    json_object_foreach((json_t *)patterns, key, value)
    {
        if (json_is_null(value))
            return wrong_kind(path, "rank_pattern", value, "integers");
        TRY(json_take_int(patterns, key, 1, PEFT_RANK_MOST, &c->rank_values[c->rank_count], path));
        TRY(keep_text(c, key, &c->rank_keys[c->rank_count]));
        c->rank_count++;
    }
    return LORAC_OK;
}

static int read_alphas(peft_config *c, const json_t *object, const char *path)
{
    const json_t *patterns = json_object_get(object, "alpha_pattern");
    const char *key;
    json_t *value;
    size_t count;

    TRY(pattern_size(patterns, "alpha_pattern", &count, path));
    c->alpha_keys = arena_new(&c->memory, count, sizeof *c->alpha_keys);
    c->alpha_values = arena_new(&c->memory, count, sizeof *c->alpha_values);
    if (!c->alpha_keys || !c->alpha_values)
        return fail_memory();
    json_object_foreach((json_t *)patterns, key, value)
    {
        if (json_is_null(value))
            return wrong_kind(path, "alpha_pattern", value, "numbers");
        TRY(json_take_real(patterns, key, &c->alpha_values[c->alpha_count], path));
        TRY(keep_text(c, key, &c->alpha_keys[c->alpha_count]));
        c->alpha_count++;
    }
    return LORAC_OK;
}

static int read_config(peft_config *c, const json_t *object, const char *path, buf *notes)
{
    if (!json_is_object(object))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .found = json_kind(object), .expected = "an object" },
                       "this is not an adapter configuration");
    TRY(read_type(object, path));
    TRY(check_keys(object, path, notes));
    TRY(read_numbers(c, object, path));
    TRY(peft_init_read(&c->init, object, path));
    TRY(read_bias(c, object, path));
    TRY(check_lora_bias(c, path));
    TRY(read_saved(c, object, path));
    TRY(read_tokens(c, object, path));
    TRY(read_text(c, object, "base_model_name_or_path", &c->base_model_name_or_path, path));
    TRY(read_text(c, object, "task_type", &c->task_type, path));
    TRY(read_targets(c, object, path));
    TRY(read_layers(c, object, path));
    TRY(read_layers_pattern(c, object, path));
    TRY(check_layers(c, object, path));
    TRY(read_ranks(c, object, path));
    return read_alphas(c, object, path);
}

int peft_config_read(peft_config *c, const char *path, buf *notes)
{
    json_t *object = NULL;
    int status;

    peft_config_init(c);
    TRY(json_read(&object, path, FILE_LIMIT, 0));
    status = read_config(c, object, path, notes);
    json_decref(object);
    if (status != LORAC_OK)
        peft_config_free(c);
    return status;
}
