/* inspect_adapter.c: an adapter of any format on its own, without its base: what it is, and whether its numbers are of
 * any use. An adapter that a run would refuse, for a number that is not finite, is described all the same. */
#include "inspect.h"

#include "err.h"
#include "mem.h"
#include "quant.h"

#include <math.h>
#include <string.h>

enum { LAYERS_LISTED = 1024 };

typedef struct description {
    const adapter_file *file;
    json_t *modules, *other;
    int64_t zero;
    bool finite;
    double squares[LAYERS_LISTED]; /* of the products, by layer */
    int layers;
} description;

/* NULL without memory. What is no number at all has none. */
static float *floats_of(const tensor *t)
{
    float *values = mem_new((size_t)tensor_count(t), sizeof *values);
    if (values && (dtype_is_float(t->type) || dtype_is_quantised(t->type)))
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

static bool all_zero(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

/* The first number in a module's path; -1: it is in no layer. */
static int layer_of(slice name)
{
    while (name.n) {
        slice part = slice_cut(&name, '.');
        int layer = 0;
        size_t i = 0;
        for (; i < part.n && part.p[i] >= '0' && part.p[i] <= '9' && layer < LAYERS_LISTED; i++)
            layer = layer * 10 + (part.p[i] - '0');
        if (part.n && i == part.n)
            return layer < LAYERS_LISTED ? layer : -1;
    }
    return -1;
}

static void add_norm(description *d, slice name, double norm)
{
    int layer = layer_of(name);
    if (layer < 0)
        return;
    d->squares[layer] += norm * norm;
    d->layers = layer >= d->layers ? layer + 1 : d->layers;
}

static bool has_magnitude(const adapter_file *f, size_t i, slice name)
{
    buf full = { 0 };
    buf_add(&full, f->names[i], (size_t)(name.p - f->names[i]) + name.n);
    buf_text(&full, PEFT_MAGNITUDE);
    bool found = !full.failed && adapter_file_find(f, full.p);
    buf_free(&full);
    return found;
}

static void describe_values(description *d, size_t i, slice name, const tensor *b, const float *a_values,
                            const float *b_values)
{
    const adapter_file *f = d->file;
    const tensor *a = &f->tensors[i];
    int64_t parts = f->parts ? f->parts[i] : 1;
    bool finite = all_finite(a_values, tensor_count(a)) && all_finite(b_values, tensor_count(b));
    bool zero = all_zero(a_values, tensor_count(a)) || all_zero(b_values, tensor_count(b));
    bool embedding = slice_ends(slice_of(f->names[i]), PEFT_EMBEDDING_A);
    json_t *entry =
        json_pack("{s:s%,s:s,s:I,s:I,s:I,s:b,s:b}", "module", name.p, name.n, "kind",
                  embedding ? "embedding" : "linear", "rank", (json_int_t)(a->dim[0] / parts), "in",
                  (json_int_t)a->dim[1], "out", (json_int_t)b->dim[0], "finite", (int)finite, "zero", (int)zero);
    if (parts > 1)
        json_object_set_new(entry, "parts", json_integer(parts));
    if (has_magnitude(f, i, name))
        json_object_set_new(entry, "magnitude", json_true());
    if (finite) {
        double norm = product_norm(a_values, b_values, a->dim[0], a->dim[1], b->dim[0]);
        json_object_set_new(entry, "norm", json_real(norm));
        add_norm(d, name, norm);
    }
    d->zero += zero;
    json_array_append_new(d->modules, entry);
}

static int describe_pair(description *d, size_t i, slice name, const tensor *b)
{
    float *a_values = floats_of(&d->file->tensors[i]), *b_values = floats_of(b);
    int status = a_values && b_values ? LORAC_OK : fail_memory();
    if (status == LORAC_OK)
        describe_values(d, i, name, b, a_values, b_values);
    mem_free(a_values);
    mem_free(b_values);
    return status;
}

static int check_finite(description *d, const tensor *t)
{
    float *values = floats_of(t);
    if (!values)
        return fail_memory();
    d->finite &= all_finite(values, tensor_count(t));
    mem_free(values);
    return LORAC_OK;
}

/* Is it a half that is described with the other one, or a magnitude of such a pair? */
static bool is_described(const adapter_file *f, size_t i)
{
    static const char *const parts[][2] = { { PEFT_B, PEFT_A },
                                            { PEFT_EMBEDDING_B, PEFT_EMBEDDING_A },
                                            { PEFT_MAGNITUDE, PEFT_A },
                                            { PEFT_MAGNITUDE, PEFT_EMBEDDING_A } };
    slice name = slice_of(f->names[i]);
    bool found = false;
    for (size_t k = 0; k < sizeof parts / sizeof *parts && !found; k++) {
        buf other = { 0 };
        if (!slice_ends(name, parts[k][0]))
            continue;
        buf_add(&other, name.p, name.n - strlen(parts[k][0]));
        buf_text(&other, parts[k][1]);
        found = !other.failed && adapter_file_find(f, other.p);
        buf_free(&other);
    }
    return found;
}

static int describe_tensors(description *d)
{
    const adapter_file *f = d->file;
    for (size_t i = 0; i < f->count; i++) {
        slice name;
        const tensor *a = &f->tensors[i], *b = adapter_file_partner(f, i, &name);
        TRY(check_finite(d, a));
        if (b && a->ndim == 2 && b->ndim == 2 && a->dim[0] == b->dim[1])
            TRY(describe_pair(d, i, name, b));
        else if (!is_described(f, i))
            json_array_append_new(d->other, json_string(f->names[i]));
    }
    return LORAC_OK;
}

static int describe(const adapter_file *file, json_t *root)
{
    description *d = mem_new(1, sizeof *d);
    if (!d)
        return fail_memory();
    *d = (description){ .file = file, .modules = json_array(), .other = json_array(), .finite = true };
    json_t *by_layer = json_array();
    json_object_set_new(root, "modules", d->modules);
    json_object_set_new(root, "norm_by_layer", by_layer);
    json_object_set_new(root, "other_tensors", d->other);
    int status = describe_tensors(d);
    for (int i = 0; i < d->layers; i++)
        json_array_append_new(by_layer, json_real(sqrt(d->squares[i])));
    json_object_set_new(root, "parameters", json_integer(adapter_file_parameters(file)));
    json_object_set_new(root, "finite", json_boolean(d->finite));
    json_object_set_new(root, "zero_modules", json_integer(d->zero));
    mem_free(d);
    return status;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *list_of(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

static void describe_config(const peft_config *c, json_t *root)
{
    json_object_set_new(root, "rank", json_integer(c->r));
    json_object_set_new(root, "alpha", isnan(c->lora_alpha) ? json_null() : json_real(c->lora_alpha));
    json_object_set_new(root, "dropout", json_real(c->lora_dropout));
    json_object_set_new(root, "use_rslora", json_boolean(c->use_rslora));
    json_object_set_new(root, "use_dora", json_boolean(c->use_dora));
    json_object_set_new(root, "bias", json_string(c->bias));
    json_object_set_new(root, "modules_to_save", list_of(c->saved, c->saved_count));
    json_object_set_new(root, "base", text_or_null(c->base_model_name_or_path));
    json_object_set_new(root, "task_type", text_or_null(c->task_type));
    json_object_set_new(root, "target_modules",
                        c->target_regex ? json_string(c->target_regex) : list_of(c->targets, c->target_count));
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
        status = describe(&file, root);
    }
    adapter_file_close(&file);
    if (status != LORAC_OK) {
        json_decref(root);
        root = NULL;
    }
    *out = root;
    return status;
}
