/* inspect.c: reading just enough of a model or an adapter to describe it. */
#include "inspect.h"

#include "arch.h"
#include "err.h"
#include "json.h"
#include "mem.h"
#include "quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- An adapter ---- */

static bool is_decodable(dtype type)
{
    return dtype_is_float(type) || dtype_is_quantised(type);
}

static float *floats_of(const tensor *t)
{
    float *values = mem_new((size_t)tensor_count(t), sizeof *values);
    if (values)
        quant_decode(values, t->data, t->type, tensor_count(t));
    return values;
}

/* |BA| by the r x r Gram matrices: |BA|² = trace((BᵀB)(AAᵀ)); nothing of W's size is formed. */
static double product_norm(const float *a, const float *b, int64_t rank, int64_t in, int64_t out)
{
    double sum = 0;
    for (int64_t i = 0; i < rank; i++)
        for (int64_t j = 0; j < rank; j++) {
            double bb = 0, aa = 0;
            for (int64_t k = 0; k < out; k++)
                bb += (double)b[k * rank + i] * (double)b[k * rank + j];
            for (int64_t k = 0; k < in; k++)
                aa += (double)a[i * in + k] * (double)a[j * in + k];
            sum += bb * aa;
        }
    return sqrt(sum > 0 || isnan(sum) ? sum : 0);
}

static bool all_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static int describe_pair(const char *name, const tensor *a, const tensor *b, int64_t parts, json_t *list)
{
    float *a_values = floats_of(a), *b_values = floats_of(b);
    int status = a_values && b_values ? LORAC_OK : fail_memory();
    if (status == LORAC_OK) {
        bool finite = all_finite(a_values, tensor_count(a)) && all_finite(b_values, tensor_count(b));
        json_t *entry = json_pack("{s:s,s:I,s:I,s:I,s:b}", "module", name, "rank", (json_int_t)(a->dim[0] / parts),
                                  "in", (json_int_t)a->dim[1], "out", (json_int_t)b->dim[0], "finite", (int)finite);
        if (parts > 1)
            json_object_set_new(entry, "parts", json_integer(parts));
        if (finite)
            json_object_set_new(entry, "norm",
                                json_real(product_norm(a_values, b_values, a->dim[0], a->dim[1], b->dim[0])));
        json_array_append_new(list, entry);
    }
    mem_free(a_values);
    mem_free(b_values);
    return status;
}

static int describe_tensors(const adapter_file *file, json_t *root)
{
    json_t *modules = json_array(), *other = json_array();
    int status = LORAC_OK;
    json_object_set_new(root, "modules", modules);
    json_object_set_new(root, "other_tensors", other);
    for (size_t i = 0; i < file->count && status == LORAC_OK; i++) {
        slice name = slice_of(file->names[i]);
        if (slice_ends(name, PEFT_B))
            continue;
        char stem_name[512], partner[600];
        const tensor *b = NULL;
        size_t skip = slice_starts(name, PEFT_PREFIX) ? strlen(PEFT_PREFIX) : 0;
        if (slice_ends(name, PEFT_A) && name.n < sizeof stem_name) {
            size_t stem = name.n - strlen(PEFT_A);
            snprintf(partner, sizeof partner, "%.*s" PEFT_B, (int)stem, name.p);
            snprintf(stem_name, sizeof stem_name, "%.*s", (int)(stem - skip), name.p + skip);
            b = adapter_file_find(file, partner);
        }
        const tensor *a = &file->tensors[i];
        if (b && a->ndim == 2 && b->ndim == 2 && a->dim[0] == b->dim[1] && is_decodable(a->type) &&
            is_decodable(b->type))
            status = describe_pair(stem_name, a, b, file->parts ? file->parts[i] : 1, modules);
        else
            json_array_append_new(other, json_string(file->names[i]));
    }
    json_object_set_new(root, "parameters", json_integer(adapter_file_parameters(file)));
    return status;
}

static void describe_config(const peft_config *c, json_t *root)
{
    json_object_set_new(root, "rank", json_integer(c->r));
    json_object_set_new(root, "alpha", isnan(c->lora_alpha) ? json_null() : json_real(c->lora_alpha));
    json_object_set_new(root, "dropout", json_real(c->lora_dropout));
    json_object_set_new(root, "use_rslora", json_boolean(c->use_rslora));
    json_object_set_new(root, "base",
                        c->base_model_name_or_path ? json_string(c->base_model_name_or_path) : json_null());
    json_object_set_new(root, "task_type", c->task_type ? json_string(c->task_type) : json_null());
    json_t *targets = json_array();
    for (size_t i = 0; i < c->target_count; i++)
        json_array_append_new(targets, json_string(c->targets[i]));
    if (c->target_regex) {
        json_decref(targets);
        targets = json_string(c->target_regex);
    }
    json_object_set_new(root, "target_modules", targets);
}

int inspect_adapter(const char *path, json_t **out)
{
    adapter_file file;
    *out = NULL;
    TRY(adapter_file_open(&file, path, NULL));
    json_t *root = json_pack("{s:s,s:s,s:s}", "kind", "adapter", "path", path, "format", file.format);
    int status = root ? LORAC_OK : fail_memory();
    if (status == LORAC_OK) {
        describe_config(&file.config, root);
        status = describe_tensors(&file, root);
    }
    adapter_file_close(&file);
    if (status != LORAC_OK) {
        json_decref(root);
        root = NULL;
    }
    *out = root;
    return status;
}

/* ---- A model ---- */

static void describe_modules(const model *m, json_t *root)
{
    json_t *list = json_array();
    for (int i = 0; i < m->module_count; i++) {
        const module *l = m->modules[i];
        if (l->kind == MODULE_NORM)
            continue;
        json_array_append_new(list,
                              json_pack("{s:s,s:I,s:I,s:s,s:b}", "module", l->name, "in",
                                        (json_int_t)inputs_of(&l->weight), "out", (json_int_t)outputs_of(&l->weight),
                                        "type", dtype_name(l->weight.t.type), "bias", l->bias.t.data != NULL));
    }
    json_object_set_new(root, "modules", list);
}

static int describe_training(const model *m, const char *peft_config_path, json_t *root)
{
    peft_config config;
    adapter *a = NULL;
    peft_config_init(&config);
    int status = peft_config_read(&config, peft_config_path, NULL);
    if (status == LORAC_OK)
        status = adapter_create(&a, m, &config, NULL);
    if (status == LORAC_OK) {
        parameter_counts counts = adapter_counts(a, m);
        json_object_set_new(root, "trainable_parameters", json_integer(counts.trainable));
        json_object_set_new(root, "all_parameters", json_integer(counts.all));
        json_object_set_new(root, "trainable_percent",
                            json_real(100.0 * (double)counts.trainable / (double)counts.all));
    }
    adapter_free(a);
    peft_config_free(&config);
    return status;
}

int inspect_model(const char *path, const char *peft_config_path, json_t **out)
{
    model *m;
    TRY(model_open(&m, path, false));
    const model_config *g = &m->config;
    json_t *root = json_pack("{s:s,s:s,s:s,s:s,s:s}", "kind", "model", "path", path, "family", m->family->name,
                             "format", m->is_gguf ? "gguf" : "huggingface", "weights", dtype_name(m->weight_type));
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        { "parameters", m->parameters }, { "bytes", (int64_t)m->bytes },
        { "layers", g->layers },         { "hidden", g->hidden },
        { "heads", g->heads },           { "kv_heads", g->kv_heads },
        { "head_size", g->head_size },   { "intermediate", g->intermediate },
        { "vocabulary", g->vocabulary }, { "context", g->context },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(root, numbers[i].key, json_integer(numbers[i].value));
    if (m->family->rotary)
        json_object_set_new(root, "rope_theta", json_real(g->rope_theta));
    json_object_set_new(root, "tied_head", json_boolean(g->tied_head));
    describe_modules(m, root);
    int status = peft_config_path ? describe_training(m, peft_config_path, root) : LORAC_OK;
    model_close(m);
    if (status != LORAC_OK) {
        json_decref(root);
        root = NULL;
    }
    *out = root;
    return status;
}
