/* config.c: a model's numbers, from config.json or GGUF keys, checked before anything is built on them. */
#include "arch.h"
#include "err.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_LIMIT = 1 << 20 };

static const char *const rope_names[] = {
    [ROPE_DEFAULT] = "default", [ROPE_LINEAR] = "linear", [ROPE_LLAMA3] = "llama3"
}; /* as in files */

/* Llama 3's rule (transformers, modeling_rope_utils): long waves are slowed by the factor, short ones left, those
 * between blended. */
static double llama3_frequency(double f, const rope_scaling *s)
{
    double wave = 2 * M_PI / f;
    if (wave < s->original_context / s->high_frequency)
        return f;
    if (wave > s->original_context / s->low_frequency)
        return f / s->factor;
    double blend = (s->original_context / wave - s->low_frequency) / (s->high_frequency - s->low_frequency);
    return (1 - blend) * f / s->factor + blend * f;
}

static int make_frequencies(model_config *g, arena *memory)
{
    const rope_scaling *s = &g->rope_scaling;
    int64_t half = g->rotated / 2;
    g->rope_scale = 1;
    g->rope_frequency = arena_new(memory, (size_t)half, sizeof(real));
    if (!g->rope_frequency)
        return fail_memory();
    for (int64_t i = 0; i < half; i++) {
        double f = pow(g->rope_theta, -2.0 * (double)i / (double)g->rotated);
        if (s->kind == ROPE_LINEAR)
            f /= s->factor;
        else if (s->kind == ROPE_LLAMA3)
            f = llama3_frequency(f, s);
        g->rope_frequency[i] = (real)f;
    }
    return LORAC_OK;
}

/* A number of the configuration that makes no sense. */
static int absurd(const char *file, const char *key, const char *expected, double found)
{
    char text[32];
    snprintf(text, sizeof text, "%.9g", found);
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = key, .found = text, .expected = expected },
                   "the model's configuration contradicts itself");
}

/* ---- Both formats ---- */

static void *field_of(model_config *g, const config_key *key)
{
    return (char *)g + key->field;
}

static bool is_end(const config_key *key)
{
    return !key->name && !key->gguf;
}

/* What a file calls a number: for messages. */
static const char *name_of(const architecture *family, size_t field, bool is_gguf)
{
    const char *name = "";
    for (const config_key *key = family->keys; !is_end(key); key++)
        if (key->field == field && (is_gguf ? key->gguf : key->name))
            name = is_gguf ? key->gguf : key->name;
    return name;
}

#define NAME_OF(field) name_of(family, offsetof(model_config, field), is_gguf)

static void set_fallbacks(model_config *g, const architecture *family)
{
    g->model_type = family->name;
    g->attention_scaled = true;
    for (const config_key *key = family->keys; !is_end(key); key++)
        if (key->kind == KEY_REAL)
            *(double *)field_of(g, key) = key->fallback;
        else if (key->kind == KEY_FLAG)
            *(bool *)field_of(g, key) = key->fallback != 0;
        else if (key->kind == KEY_ACTIVATION)
            *(glu_kind *)field_of(g, key) = (glu_kind)key->fallback;
}

/* Sizes that no key gave; then everything is checked. */
static int settle(model_config *g, const architecture *family, const char *file, bool is_gguf)
{
    for (const config_key *key = family->keys; !is_end(key); key++) {
        int64_t *size = field_of(g, key);
        if (key->kind != KEY_SIZE || *size > 0)
            continue;
        if (key->fallback == NEEDED)
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .file = file,
                                    .key = is_gguf ? key->gguf : key->name,
                                    .expected = "a positive number",
                                    .hint = is_gguf ? "a vocabulary-only file has no model in it" : NULL },
                           "the model's configuration lacks a key");
        *size = (int64_t)key->fallback;
    }
    g->kv_heads = g->kv_heads ? g->kv_heads : g->heads;
    g->intermediate = g->intermediate ? g->intermediate : 4 * g->hidden;
    if (g->head_size == 0 && g->hidden % g->heads != 0)
        return absurd(file, NAME_OF(hidden), "a multiple of the number of heads", (double)g->hidden);
    g->head_size = g->head_size ? g->head_size : g->hidden / g->heads;
    g->rotated = !family->rotary ? 0 : g->rotated ? g->rotated : g->head_size;
    if (g->heads % g->kv_heads != 0)
        return absurd(file, NAME_OF(kv_heads), "a divisor of the number of heads", (double)g->kv_heads);
    if (g->rotated % 2 != 0 || g->rotated > g->head_size)
        return absurd(file, is_gguf ? "rope.dimension_count" : "head_dim", "an even number, at most the head's size",
                      (double)g->rotated);
    if (!(g->norm_epsilon > 0 && g->norm_epsilon < 1))
        return absurd(file, NAME_OF(norm_epsilon), "a small positive number", g->norm_epsilon);
    return LORAC_OK;
}

static int check_rope(const model_config *g, const char *file)
{
    const rope_scaling *s = &g->rope_scaling;
    if (!(g->rope_theta > 0 && isfinite(g->rope_theta)))
        return absurd(file, "rope_theta", "a positive number", g->rope_theta);
    if (s->kind != ROPE_DEFAULT && !(s->factor > 0))
        return absurd(file, "rope_scaling.factor", "a positive number", s->factor);
    if (s->kind == ROPE_LLAMA3 &&
        !(s->low_frequency > 0 && s->high_frequency > s->low_frequency && s->original_context > 0))
        return absurd(file, "rope_scaling.high_freq_factor",
                      "larger than low_freq_factor, and a positive original_max_position_embeddings",
                      s->high_frequency);
    return LORAC_OK;
}

/* ---- config.json ---- */

static int read_family(const json_t *root, const architecture **family, const char *file)
{
    const json_t *classes = json_object_get(root, "architectures");
    const char *class_name = json_string_value(json_array_get(classes, 0)), *model_type = NULL;
    TRY(json_take_text(root, "model_type", &model_type, file));
    const char *name = class_name ? class_name : model_type;
    if (!name)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = "architectures" },
                       "the model's configuration does not say what it is");
    char known[ARCHITECTURE_NAMES];
    *family = architecture_named(name);
    if (!*family)
        return fail_at(
            LORAC_ERROR_USAGE,
            (fault){ .file = file, .key = "architectures", .found = name, .expected = architecture_names(known) },
            "this model family is not supported");
    return LORAC_OK;
}

/* transformers 5 puts theta and scaling into rope_parameters; before, theta stood alone and scaling in rope_scaling
 * (`type`, later `rope_type`). */
static int read_rope(const json_t *root, model_config *g, const char *file)
{
    double *theta = &g->rope_theta;
    rope_scaling *s = &g->rope_scaling;
    const json_t *object = json_object_get(root, "rope_parameters");
    if (!json_is_object(object))
        object = json_object_get(root, "rope_scaling");
    *theta = 10000;
    TRY(json_take_real(root, "rope_theta", theta, file));
    *s = (rope_scaling){ .kind = ROPE_DEFAULT };
    if (!object || json_is_null(object))
        return LORAC_OK;
    if (!json_is_object(object))
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = file, .key = "rope_scaling", .found = json_kind(object), .expected = "an object" },
            "the model's configuration has a key of the wrong kind");
    const char *name = "default";
    TRY(json_take_text(object, "type", &name, file));
    TRY(json_take_text(object, "rope_type", &name, file));
    TRY(json_take_real(object, "rope_theta", theta, file));
    int kind = 0, kinds = sizeof rope_names / sizeof *rope_names;
    while (kind < kinds && strcmp(rope_names[kind], name) != 0)
        kind++;
    if (kind == kinds)
        return fail_at(
            LORAC_ERROR_USAGE,
            (fault){ .file = file, .key = "rope_type", .found = name, .expected = "default, linear or llama3" },
            "this kind of rotary scaling is not supported");
    s->kind = kind;
    TRY(json_take_real(object, "factor", &s->factor, file));
    TRY(json_take_real(object, "low_freq_factor", &s->low_frequency, file));
    TRY(json_take_real(object, "high_freq_factor", &s->high_frequency, file));
    return json_take_real(object, "original_max_position_embeddings", &s->original_context, file);
}

static const struct {
    const char *name;
    glu_kind kind;
} activations[] = {
    /* the first of a kind is written */
    { "silu", GLU_SILU },
    { "swish", GLU_SILU },
    { "gelu", GLU_GELU },
    { "gelu_new", GLU_GELU_TANH },
    { "gelu_pytorch_tanh", GLU_GELU_TANH },
};

enum { ACTIVATIONS = sizeof activations / sizeof *activations };

const char *activation_name(glu_kind kind)
{
    int i = 0;
    while (activations[i].kind != kind)
        i++;
    return activations[i].name;
}

static int read_activation(const json_t *root, const char *key, glu_kind *out, const char *file)
{
    const char *name = NULL;
    TRY(json_take_text(root, key, &name, file));
    for (size_t i = 0; i < ACTIVATIONS && name; i++)
        if (strcmp(activations[i].name, name) == 0) {
            *out = activations[i].kind;
            return LORAC_OK;
        }
    if (!name)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = file, .key = key, .found = name, .expected = "silu, gelu or gelu_new" },
                   "this activation is not supported");
}

static int read_key(const json_t *root, model_config *g, const config_key *key, const char *file)
{
    void *field = field_of(g, key);
    switch (key->kind) {
    case KEY_SIZE:
        return json_take_int(root, key->name, 1, key->most, field, file);
    case KEY_REAL:
        return json_take_real(root, key->name, field, file);
    case KEY_FLAG:
        return json_take_bool(root, key->name, field, file);
    case KEY_ACTIVATION:
        break;
    }
    return read_activation(root, key->name, field, file);
}

static int read_token(const json_t *root, const char *key, int32_t *out, const char *file)
{
    const json_t *value = json_object_get(root, key);
    int64_t id = -1;
    *out = -1;
    if (json_is_array(value)) /* eos_token_id may be a list; the tokenizer's side reads all of it */
        value = json_array_get(value, 0);
    if (json_is_integer(value))
        id = json_integer_value(value);
    else if (value && !json_is_null(value))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = file, .key = key, .found = json_kind(value), .expected = "a token id" },
                       "the model's configuration has a key of the wrong kind");
    if (id >= -1 && id < VOCABULARY_MOST)
        *out = (int32_t)id;
    return LORAC_OK;
}

/* A file speaks first, unless the caller insists; then comes what the adapter is for. */
static void settle_task(model_config *g, lorac_task filed, const model_options *options)
{
    g->filed_task = filed;
    if (options->task != LORAC_TASK_AUTO)
        g->task = options->task;
    else if (filed == LORAC_TASK_SEQ_CLS || options->otherwise == LORAC_TASK_AUTO)
        g->task = filed;
    else
        g->task = options->otherwise;
}

/* A classifier's head is tied to nothing. */
static int read_labels(model_config *g, const json_t *root, const char *file)
{
    g->initializer_range = 0.02;
    if (g->task != LORAC_TASK_SEQ_CLS)
        return LORAC_OK;
    g->tied_head = false;
    if (root)
        TRY(json_take_real(root, "initializer_range", &g->initializer_range, file));
    return labels_read(&g->labels, root, file);
}

static int read_config(model_config *g, const architecture *family, const json_t *root, const char *file, arena *memory)
{
    set_fallbacks(g, family);
    for (const config_key *key = family->keys; !is_end(key); key++)
        if (key->name)
            TRY(read_key(root, g, key, file));
    TRY(read_token(root, "bos_token_id", &g->bos, file));
    TRY(read_token(root, "eos_token_id", &g->eos, file));
    TRY(read_token(root, "pad_token_id", &g->pad, file));
    TRY(settle(g, family, file, false));
    if (!family->rotary)
        return LORAC_OK;
    TRY(read_rope(root, g, file));
    TRY(check_rope(g, file));
    return make_frequencies(g, memory);
}

int config_read_folder(model_config *g, const architecture **family, const char *folder, const model_options *options,
                       arena *memory)
{
    buf path = { 0 };
    json_t *root = NULL;
    const char *file = path_join(&path, folder, "config.json");
    int status = file ? json_read(&root, file, CONFIG_LIMIT, 0) : fail_memory();
    if (status == LORAC_OK && !json_is_object(root))
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .found = json_kind(root), .expected = "an object" },
                         "not a model configuration");
    if (status == LORAC_OK)
        status = read_family(root, family, file);
    if (status == LORAC_OK)
        status = read_config(g, *family, root, file, memory);
    if (status == LORAC_OK) {
        settle_task(g, config_is_classifier(root) ? LORAC_TASK_SEQ_CLS : LORAC_TASK_CAUSAL, options);
        status = read_labels(g, root, file);
    }
    json_decref(root);
    buf_free(&path);
    return status;
}

/* ---- GGUF ---- */

typedef struct gguf_keys {
    const gguf *file;
    const char *prefix;
} gguf_keys;

static const char *prefixed(const gguf_keys *k, const char *key, char text[128])
{
    snprintf(text, 128, "%s.%s", k->prefix, key);
    return text;
}

static int gguf_read_key(const gguf_keys *k, model_config *g, const config_key *key)
{
    char name[128];
    void *field = field_of(g, key);
    const bool absent = key->gguf[0] == '!';
    switch (key->kind) {
    case KEY_SIZE:
        return gguf_take_int(k->file, prefixed(k, key->gguf, name), 1, key->most, field);
    case KEY_REAL:
        return gguf_take_real(k->file, prefixed(k, key->gguf, name), field);
    case KEY_FLAG:
        *(bool *)field = (gguf_tensor(k->file, key->gguf + absent) == NULL) == absent;
        break;
    case KEY_ACTIVATION:
        break;
    }
    return LORAC_OK;
}

static int gguf_optional_real(const gguf_keys *k, const char *key, double *out)
{
    char name[128];
    return gguf_take_real(k->file, prefixed(k, key, name), out);
}

static int gguf_rope_scaling(const gguf_keys *k, rope_scaling *s)
{
    char name[128];
    slice kind = slice_of("none");
    *s = (rope_scaling){ .kind = ROPE_DEFAULT, .factor = 1 };
    TRY(gguf_take_text(k->file, prefixed(k, "rope.scaling.type", name), &kind));
    if (slice_is(kind, "linear"))
        s->kind = ROPE_LINEAR;
    else if (!slice_is(kind, "none"))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = k->file->path, .key = name, .expected = "none or linear" },
                       "this kind of rotary scaling is not supported");
    return gguf_optional_real(k, "rope.scaling.factor", &s->factor);
}

/* Llama 3's scaling is filed as the divisors it comes to. */
static int apply_rope_divisors(model_config *g, const gguf *file)
{
    const tensor *t = gguf_tensor(file, "rope_freqs.weight");
    if (!t)
        return LORAC_OK;
    char shape[64];
    if (t->type != DT_F32 || tensor_count(t) != g->rotated / 2)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = file->path,
                                .key = "rope_freqs.weight",
                                .found = tensor_shape(t, shape),
                                .expected = "F32, half the rotated dimensions" },
                       "the tensor does not fit the configuration");
    for (int64_t i = 0; i < g->rotated / 2; i++) {
        float divisor;
        memcpy(&divisor, (const char *)t->data + (size_t)i * sizeof divisor, sizeof divisor);
        if (!(divisor > 0))
            return absurd(file->path, "rope_freqs.weight", "positive divisors", (double)divisor);
        g->rope_frequency[i] /= (real)divisor;
    }
    g->rope_scaling.kind = ROPE_DIVISORS;
    return LORAC_OK;
}

static int gguf_token(const gguf *file, const char *key, int32_t *out)
{
    int64_t id = -1;
    TRY(gguf_take_int(file, key, 0, VOCABULARY_MOST, &id));
    *out = (int32_t)id;
    return LORAC_OK;
}

static int gguf_read_rope(const gguf_keys *k, model_config *g, arena *memory)
{
    g->rope_theta = 10000;
    TRY(gguf_optional_real(k, "rope.freq_base", &g->rope_theta));
    TRY(gguf_rope_scaling(k, &g->rope_scaling));
    TRY(check_rope(g, k->file->path));
    TRY(make_frequencies(g, memory));
    return apply_rope_divisors(g, k->file);
}

static int gguf_read_family(const gguf *file, const architecture **family, arena *memory)
{
    slice name = { 0 };
    char known[ARCHITECTURE_NAMES];
    TRY(gguf_take_text(file, "general.architecture", &name));
    const char *text = arena_text(memory, name.p, name.n);
    if (!text)
        return fail_memory();
    *family = architecture_named(text);
    if (!*family)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = file->path,
                                .key = "general.architecture",
                                .found = text,
                                .expected = architecture_names(known) },
                       "this model family is not supported");
    return LORAC_OK;
}

int config_read_gguf(model_config *g, const architecture **family, const gguf *file, const model_options *options,
                     arena *memory)
{
    TRY(gguf_read_family(file, family, memory));
    const gguf_keys k = { file, (*family)->name };
    char name[128];
    set_fallbacks(g, *family);
    for (const config_key *key = (*family)->keys; !is_end(key); key++)
        if (key->gguf)
            TRY(gguf_read_key(&k, g, key));
    const tensor *embedding = gguf_tensor(file, "token_embd.weight");
    if (!embedding || embedding->ndim != 2)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file->path, .key = "token_embd.weight" },
                       "the model file has no embedding (a vocabulary-only file has no model in it)");
    g->vocabulary = embedding->dim[0];
    TRY(gguf_token(file, "tokenizer.ggml.bos_token_id", &g->bos));
    TRY(gguf_token(file, "tokenizer.ggml.eos_token_id", &g->eos));
    TRY(gguf_token(file, "tokenizer.ggml.padding_token_id", &g->pad));
    TRY(gguf_take_int(file, prefixed(&k, "rope.dimension_count", name), 1, SIZE_MOST, &g->rotated));
    TRY(settle(g, *family, file->path, true));
    settle_task(g, LORAC_TASK_CAUSAL, options);
    TRY(read_labels(g, NULL, file->path));
    return (*family)->rotary ? gguf_read_rope(&k, g, memory) : LORAC_OK;
}
