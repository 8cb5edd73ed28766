/* adapter_write_mlx.c: mlx-lm's adapter folder, the inverse of adapter_mlx.c. mlx-lm puts its layers on the modules
 * that lora_parameters.keys names, of the last num_layers blocks or by their whole path, and then reads the tensors;
 * where there is none, its zero lora_b stays. Source: mlx_lm/tuner/utils.py, linear_to_lora_layers and load_adapters.
 */
#include "adapter_write.h"

#include "adapter_parts.h"
#include "err.h"
#include "json.h"
#include "quant.h"

#include <stdlib.h>
#include <string.h>

#define MLX_PREFIX "model."

typedef struct writing {
    const adapter_file *f;
    const mlx_names *names;
    peft_matcher *matcher;
    double factor; /* of the first module, and so of the file; 0: none yet */
    int64_t rank, first_layer;
    json_t *keys; /* an object, whose keys are wanted */
    const char **tensor_names;
    tensor *tensors;
    size_t count;
    arena memory;
} writing;

/* alpha / r, or with rsLoRA alpha / √r, by the configuration's patterns. */
static int factor_of(const writing *w, const char *module, int64_t rank, double *factor)
{
    const peft_config *c = &w->f->config;
    bool matches;
    int64_t expected;
    double alpha;

    TRY(peft_matches(w->matcher, module, false, &matches, &expected, &alpha));
    if (!matches || expected != rank)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = w->f->path, .key = module },
                       matches ? "the adapter's tensors have another rank than its configuration says"
                               : "the adapter's target_modules do not name a module it has tensors for");
    *factor = peft_scale(c, rank, alpha);
    return LORAC_OK;
}

/* Adds what mlx-lm finds the module by, and sees to it that enough blocks are searched. */
static int add_key(writing *w, slice module, const char *mlx_name)
{
    slice layers = slice_of(w->names->layers), rest = module, digits;
    const char *key = mlx_name;
    int64_t layer = 0;

    if (slice_starts(module, w->names->layers) && module.n > layers.n && module.p[layers.n] == '.') {
        rest = (slice){ module.p + layers.n + 1, module.n - layers.n - 1 };
        digits = slice_cut(&rest, '.');
        for (size_t i = 0; i < digits.n && layer < w->names->layer_count; i++)
            layer = layer * 10 + (digits.p[i] - '0');
        w->first_layer = layer < w->first_layer ? layer : w->first_layer;
        key = arena_text(&w->memory, rest.p, rest.n);
    }
    return key && json_object_set_new(w->keys, key, json_true()) == 0 ? LORAC_OK : fail_memory();
}

/* b · ratio, in f32. */
static int scaled(arena *memory, tensor *t, double ratio)
{
    int64_t count = tensor_count(t);
    float *values = arena_new(memory, (size_t)count, sizeof *values);

    if (!values)
        return fail_memory();
    quant_decode(values, t->data, t->type, count);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)((double)values[i] * ratio);
    *t = (tensor){ .type = DT_F32, .ndim = 2, .dim = { t->dim[0], t->dim[1] }, .data = values };
    return LORAC_OK;
}

/* Rows of zeros below the others, up to `rows`. */
static int lengthen(arena *memory, tensor *t, int64_t rows)
{
    size_t bytes = (size_t)tensor_bytes(t);
    char *longer;

    if (t->dim[0] == rows)
        return LORAC_OK;
    longer = arena_new(memory, (size_t)rows, bytes / (size_t)t->dim[0]);
    if (!longer)
        return fail_memory();
    t->data = memcpy(longer, t->data, bytes);
    t->dim[0] = rows;
    return LORAC_OK;
}

/* A [r, in] as [in, R], B [out, r] as [R, out], where R is the rank of all. */
static int add_half(writing *w, const char *module, bool is_a, tensor t, double ratio)
{
    tensor *turned = &w->tensors[w->count];

    if (ratio != 1 || dtype_is_quantised(t.type) || t.type == DT_F64) /* mlx has no f64 */
        TRY(scaled(&w->memory, &t, ratio));
    if (is_a)
        TRY(lengthen(&w->memory, &t, w->rank));
    TRY(adapter_transpose(&w->memory, &t, turned));
    if (!is_a)
        TRY(lengthen(&w->memory, turned, w->rank));
    w->tensor_names[w->count] = arena_format(&w->memory, "%s.lora_%c", module, is_a ? 'a' : 'b');
    return w->tensor_names[w->count++] ? LORAC_OK : fail_memory();
}

/* "transformer.h.0.mlp.c_fc" as "model.h.0.mlp.c_fc". */
static const char *name_in_mlx(writing *w, slice module)
{
    slice prefix = slice_of(w->names->prefix);
    bool inside = slice_starts(module, w->names->prefix);

    if (inside)
        module = (slice){ module.p + prefix.n, module.n - prefix.n };
    return arena_format(&w->memory, "%s%.*s", inside ? MLX_PREFIX : "", (int)module.n, module.p);
}

static int add_pair(writing *w, const tensor *a, const tensor *b, slice module)
{
    const char *name = arena_text(&w->memory, module.p, module.n), *mlx_name = name_in_mlx(w, module);
    int64_t rank = a->dim[0];
    double factor = 0;

    if (!name || !mlx_name)
        return fail_memory();
    TRY(factor_of(w, name, rank, &factor));
    w->factor = w->factor == 0 ? factor : w->factor;
    TRY(add_key(w, module, mlx_name));
    TRY(add_half(w, mlx_name, true, *a, 1));
    return add_half(w, mlx_name, false, *b, factor == w->factor ? 1 : factor / w->factor);
}

/* DoRA's m. */
static int add_magnitude(writing *w, size_t i)
{
    slice name = slice_of(w->f->names[i]);
    slice module = { name.p + strlen(PEFT_PREFIX), name.n - strlen(PEFT_PREFIX) - strlen(PEFT_MAGNITUDE) };
    const char *mlx_name = name_in_mlx(w, module);

    if (!mlx_name)
        return fail_memory();
    w->tensors[w->count] = w->f->tensors[i];
    w->tensor_names[w->count] = arena_format(&w->memory, "%s.m", mlx_name);
    return w->tensor_names[w->count++] ? LORAC_OK : fail_memory();
}

static int add_pairs(writing *w)
{
    const adapter_file *f = w->f;
    slice module;

    for (size_t i = 0; i < f->count; i++)
        if (adapter_file_partner(f, i, &module) && f->tensors[i].dim[0] > w->rank)
            w->rank = f->tensors[i].dim[0];
    for (size_t i = 0; i < f->count; i++) {
        const tensor *b = adapter_file_partner(f, i, &module);

        if (b)
            TRY(add_pair(w, &f->tensors[i], b, module));
        else if (slice_starts(slice_of(f->names[i]), PEFT_PREFIX) && slice_ends(slice_of(f->names[i]), PEFT_MAGNITUDE))
            TRY(add_magnitude(w, i));
        else if (!adapter_is_half(slice_of(f->names[i])) && !slice_ends(slice_of(f->names[i]), PEFT_BASE))
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .file = f->path, .key = f->names[i], .hint = "merge the adapter instead" },
                           "mlx-lm's adapters have no place for this tensor");
    }
    return LORAC_OK;
}

static int write_config(const writing *w, const char *path)
{
    const adapter_file *f = w->f;
    const char *base = f->config.base_model_name_or_path, *key;
    json_t *keys = json_array(), *root, *value;
    char *text;
    int status;

    json_object_foreach(w->keys, key, value)
    {
        json_array_append_new(keys, json_string(key));
    }
    root =
        json_pack("{s:s,s:s*,s:I,s:{s:o,s:I,s:f,s:f}}", "fine_tune_type", f->config.use_dora ? "dora" : "lora", "model",
                  base, "num_layers", (json_int_t)(w->names->layer_count - w->first_layer), "lora_parameters", "keys",
                  keys, "rank", (json_int_t)w->rank, "scale", w->factor, "dropout", f->config.lora_dropout);
    text = json_dumps(root, JSON_INDENT(4) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    status = text ? file_write(path, text, strlen(text)) : fail_memory();
    free(text);
    json_decref(root);
    return status;
}

static int write_all(writing *w, const char *folder)
{
    const adapter_file *f = w->f;
    buf path = { 0 };
    int status;

    w->tensor_names = arena_new(&w->memory, f->count, sizeof *w->tensor_names);
    w->tensors = arena_new(&w->memory, f->count, sizeof *w->tensors);
    w->keys = json_object();
    if (!w->tensor_names || !w->tensors || !w->keys)
        return fail_memory();
    TRY(peft_matcher_new(&w->matcher, &f->config));
    TRY(add_pairs(w));
    status = path_join(&path, folder, "adapters.safetensors")
                 ? safetensors_save(path.p, w->tensor_names, w->tensors, w->count)
                 : fail_memory();
    if (status == LORAC_OK)
        status = path_join(&path, folder, "adapter_config.json") ? write_config(w, path.p) : fail_memory();
    buf_free(&path);
    return status;
}

int adapter_write_mlx(const adapter_file *f, const mlx_names *names, const char *folder)
{
    writing w = { .f = f, .names = names, .first_layer = names->layer_count };
    int status = write_all(&w, folder);

    peft_matcher_free(w.matcher);
    json_decref(w.keys);
    arena_free(&w.memory);
    return status;
}
