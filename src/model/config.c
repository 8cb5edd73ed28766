/* config.c: a model's numbers, from config.json or GGUF keys, checked before anything is built on them. */
#include "arch.h"
#include "err.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    CONFIG_LIMIT = 1 << 20,
    LAYERS_MOST = 1024,
    HEADS_MOST = 4096,
    SIZE_MOST = 1 << 20,
    VOCABULARY_MOST = 1 << 24,
    CONTEXT_MOST = 1 << 30,
};

static const char *const rope_names[] = { [ROPE_DEFAULT] = "default", [ROPE_LINEAR] = "linear", [ROPE_LLAMA3] = "llama3" }; /* as in files */

/* Llama 3's rule (transformers, modeling_rope_utils): long waves are slowed by the factor, short ones left, those between blended. */
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

static int check_config(const model_config *g, const char *file, bool is_gguf)
{
    if (g->heads % g->kv_heads != 0)
        return absurd(file, is_gguf ? "attention.head_count_kv" : "num_key_value_heads", "a divisor of the number of heads", (double)g->kv_heads);
    if (g->rotated % 2 != 0 || g->rotated > g->head_size || g->rotated <= 0)
        return absurd(file, is_gguf ? "rope.dimension_count" : "head_dim", "an even number, at most the head's size", (double)g->rotated);
    if (!(g->norm_epsilon > 0 && g->norm_epsilon < 1))
        return absurd(file, is_gguf ? "attention.layer_norm_rms_epsilon" : "rms_norm_eps", "a small positive number", g->norm_epsilon);
    return LORAC_OK;
}

static int check_rope(const model_config *g, const char *file)
{
    const rope_scaling *s = &g->rope_scaling;
    if (!(g->rope_theta > 0 && isfinite(g->rope_theta)))
        return absurd(file, "rope_theta", "a positive number", g->rope_theta);
    if (s->kind != ROPE_DEFAULT && !(s->factor > 0))
        return absurd(file, "rope_scaling.factor", "a positive number", s->factor);
    if (s->kind == ROPE_LLAMA3 && !(s->low_frequency > 0 && s->high_frequency > s->low_frequency && s->original_context > 0))
        return absurd(file, "rope_scaling.high_freq_factor", "larger than low_freq_factor, and a positive original_max_position_embeddings",
                      s->high_frequency);
    return LORAC_OK;
}

/* ---- config.json ---- */

static int required(const json_t *root, const char *key, int64_t most, int64_t *out, const char *file)
{
    *out = 0;
    TRY(json_take_int(root, key, 1, most, out, file));
    if (*out == 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = key, .expected = "a positive number" }, "the model's configuration lacks a key");
    return LORAC_OK;
}

static int read_family(const json_t *root, const architecture **family, const char *file)
{
    const json_t *classes = json_object_get(root, "architectures");
    const char *class_name = json_string_value(json_array_get(classes, 0)), *model_type = NULL;
    TRY(json_take_text(root, "model_type", &model_type, file));
    const char *name = class_name ? class_name : model_type;
    if (!name)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = "architectures" }, "the model's configuration does not say what it is");
    *family = architecture_named(name);
    if (!*family)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = file, .key = "architectures", .found = name, .expected = architecture_names() },
                       "this model family is not supported");
    return LORAC_OK;
}

/* transformers 5 puts theta and scaling into rope_parameters; before, theta stood alone and scaling in rope_scaling (`type`, later `rope_type`). */
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
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = "rope_scaling", .found = json_kind(object), .expected = "an object" },
                       "the model's configuration has a key of the wrong kind");
    const char *name = "default";
    TRY(json_take_text(object, "type", &name, file));
    TRY(json_take_text(object, "rope_type", &name, file));
    TRY(json_take_real(object, "rope_theta", theta, file));
    int kind = 0, kinds = sizeof rope_names / sizeof *rope_names;
    while (kind < kinds && strcmp(rope_names[kind], name) != 0)
        kind++;
    if (kind == kinds)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = file, .key = "rope_type", .found = name, .expected = "default, linear or llama3" },
                       "this kind of rotary scaling is not supported");
    s->kind = kind;
    TRY(json_take_real(object, "factor", &s->factor, file));
    TRY(json_take_real(object, "low_freq_factor", &s->low_frequency, file));
    TRY(json_take_real(object, "high_freq_factor", &s->high_frequency, file));
    return json_take_real(object, "original_max_position_embeddings", &s->original_context, file);
}

static int read_activation(const json_t *root, glu_kind *out, const char *file)
{
    static const struct { const char *name; glu_kind kind; } known[] = {
        { "silu", GLU_SILU }, { "swish", GLU_SILU }, { "gelu", GLU_GELU }, { "gelu_new", GLU_GELU_TANH }, { "gelu_pytorch_tanh", GLU_GELU_TANH },
    };
    const char *name = "silu";
    TRY(json_take_text(root, "hidden_act", &name, file));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].kind;
            return LORAC_OK;
        }
    return fail_at(LORAC_ERROR_USAGE, (fault){ .file = file, .key = "hidden_act", .found = name, .expected = "silu or gelu" },
                   "this activation is not supported");
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
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = key, .found = json_kind(value), .expected = "a token id" },
                       "the model's configuration has a key of the wrong kind");
    if (id >= -1 && id < VOCABULARY_MOST)
        *out = (int32_t)id;
    return LORAC_OK;
}

static int read_config(model_config *g, const json_t *root, const char *file, arena *memory)
{
    TRY(required(root, "num_hidden_layers", LAYERS_MOST, &g->layers, file));
    TRY(required(root, "hidden_size", SIZE_MOST, &g->hidden, file));
    TRY(required(root, "num_attention_heads", HEADS_MOST, &g->heads, file));
    TRY(required(root, "intermediate_size", SIZE_MOST, &g->intermediate, file));
    TRY(required(root, "vocab_size", VOCABULARY_MOST, &g->vocabulary, file));
    g->kv_heads = g->heads;
    TRY(json_take_int(root, "num_key_value_heads", 1, HEADS_MOST, &g->kv_heads, file));
    g->head_size = 0;
    TRY(json_take_int(root, "head_dim", 1, SIZE_MOST, &g->head_size, file));
    if (g->head_size == 0) {
        if (g->hidden % g->heads != 0)
            return absurd(file, "hidden_size", "a multiple of num_attention_heads", (double)g->hidden);
        g->head_size = g->hidden / g->heads;
    }
    g->rotated = g->head_size;
    g->context = 2048;
    TRY(json_take_int(root, "max_position_embeddings", 1, CONTEXT_MOST, &g->context, file));
    g->norm_epsilon = 1e-6;
    TRY(json_take_real(root, "rms_norm_eps", &g->norm_epsilon, file));
    TRY(json_take_bool(root, "tie_word_embeddings", &g->tied_head, file));
    TRY(json_take_bool(root, "attention_bias", &g->attention_bias, file));
    TRY(json_take_bool(root, "mlp_bias", &g->mlp_bias, file));
    TRY(read_activation(root, &g->activation, file));
    TRY(read_token(root, "bos_token_id", &g->bos, file));
    TRY(read_token(root, "eos_token_id", &g->eos, file));
    TRY(read_token(root, "pad_token_id", &g->pad, file));
    TRY(read_rope(root, g, file));
    TRY(check_config(g, file, false));
    TRY(check_rope(g, file));
    return make_frequencies(g, memory);
}

int config_read_folder(model_config *g, const architecture **family, const char *folder, arena *memory)
{
    buf path = { 0 };
    json_t *root = NULL;
    const char *file = path_join(&path, folder, "config.json");
    int status = file ? json_read(&root, file, CONFIG_LIMIT, 0) : fail_memory();
    if (status == LORAC_OK && !json_is_object(root))
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .found = json_kind(root), .expected = "an object" }, "not a model configuration");
    if (status == LORAC_OK)
        status = read_family(root, family, file);
    if (status == LORAC_OK) {
        g->model_type = (*family)->name;
        status = read_config(g, root, file, memory);
    }
    json_decref(root);
    buf_free(&path);
    return status;
}

/* ---- GGUF ---- */

typedef struct gguf_keys { const gguf *file; const char *prefix; } gguf_keys;

static const char *prefixed(const gguf_keys *k, const char *key, char text[128])
{
    snprintf(text, 128, "%s.%s", k->prefix, key);
    return text;
}

static int gguf_required(const gguf_keys *k, const char *key, int64_t most, int64_t *out)
{
    char name[128];
    *out = 0;
    TRY(gguf_take_int(k->file, prefixed(k, key, name), 1, most, out));
    if (*out == 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = k->file->path, .key = name, .expected = "a positive number" },
                       "the model file lacks a key (a vocabulary-only file has no model in it)");
    return LORAC_OK;
}

static int gguf_optional(const gguf_keys *k, const char *key, int64_t most, int64_t *out)
{
    char name[128];
    return gguf_take_int(k->file, prefixed(k, key, name), 1, most, out);
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
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file->path, .key = "rope_freqs.weight", .found = tensor_shape(t, shape),
                                                  .expected = "F32, half the rotated dimensions" }, "the tensor does not fit the configuration");
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

int config_read_gguf(model_config *g, const architecture **family, const gguf *file, arena *memory)
{
    slice name = { 0 };
    TRY(gguf_take_text(file, "general.architecture", &name));
    const char *text = arena_text(memory, name.p, name.n);
    if (!text)
        return fail_memory();
    *family = architecture_named(text);
    if (!*family)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = file->path, .key = "general.architecture", .found = text, .expected = architecture_names() },
                       "this model family is not supported");
    gguf_keys k = { file, text };
    g->model_type = (*family)->name;
    TRY(gguf_required(&k, "block_count", LAYERS_MOST, &g->layers));
    TRY(gguf_required(&k, "embedding_length", SIZE_MOST, &g->hidden));
    TRY(gguf_required(&k, "attention.head_count", HEADS_MOST, &g->heads));
    TRY(gguf_required(&k, "feed_forward_length", SIZE_MOST, &g->intermediate));
    g->kv_heads = g->heads;
    TRY(gguf_optional(&k, "attention.head_count_kv", HEADS_MOST, &g->kv_heads));
    if (g->hidden % g->heads != 0)
        return absurd(file->path, "embedding_length", "a multiple of attention.head_count", (double)g->hidden);
    g->head_size = g->hidden / g->heads;
    TRY(gguf_optional(&k, "attention.key_length", SIZE_MOST, &g->head_size));
    g->rotated = g->head_size;
    TRY(gguf_optional(&k, "rope.dimension_count", SIZE_MOST, &g->rotated));
    g->context = 2048;
    TRY(gguf_optional(&k, "context_length", CONTEXT_MOST, &g->context));
    g->norm_epsilon = 1e-5;
    TRY(gguf_optional_real(&k, "attention.layer_norm_rms_epsilon", &g->norm_epsilon));
    const tensor *embedding = gguf_tensor(file, "token_embd.weight");
    if (!embedding || embedding->ndim != 2)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file->path, .key = "token_embd.weight" },
                       "the model file has no embedding (a vocabulary-only file has no model in it)");
    g->vocabulary = embedding->dim[0];
    g->tied_head = gguf_tensor(file, "output.weight") == NULL;
    TRY(gguf_token(file, "tokenizer.ggml.bos_token_id", &g->bos));
    TRY(gguf_token(file, "tokenizer.ggml.eos_token_id", &g->eos));
    TRY(gguf_token(file, "tokenizer.ggml.padding_token_id", &g->pad));
    g->rope_theta = 10000;
    TRY(gguf_optional_real(&k, "rope.freq_base", &g->rope_theta));
    TRY(gguf_rope_scaling(&k, &g->rope_scaling));
    TRY(check_config(g, file->path, true));
    TRY(check_rope(g, file->path));
    TRY(make_frequencies(g, memory));
    return apply_rope_divisors(g, file);
}
