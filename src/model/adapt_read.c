/* adapt_read.c: an adapter's file and a model to an adapter. What the file has decides; the configuration says what it
 * means, and every tensor must have a place. */
#include "adapt_parts.h"

#include "adapt_first.h"
#include "err.h"
#include "mem.h"
#include "quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct reading {
    const adapter_file *file;
    maker *b;
    int64_t (*tensor_of)[PARTS]; /* by slot: an index into the file's tensors, or -1 */
} reading;

/* ---- Where every tensor belongs ---- */

static int misplaced(const reading *f, const char *name)
{
    if (!slice_starts(slice_of(name), PEFT_PREFIX))
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = f->file->path, .key = name, .expected = PEFT_PREFIX "MODULE" PEFT_A " or " PEFT_B },
            "the adapter has a tensor that is not part of a LoRA pair");
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->file->path, .key = name, .hint = "the adapter was made for another base model" },
                   "the adapter has a tensor for a module that the model does not have");
}

/* What PEFT files beside a saved module when biases are trained too: the same numbers, and the original's. */
static bool is_double(slice name)
{
    return slice_ends(name, ".modules_to_save.bias") || slice_ends(name, ".original_module.bias") ||
           slice_ends(name, ".modules_to_save.weight") || slice_ends(name, ".original_module.weight");
}

static int place_tensors(const reading *f)
{
    for (size_t i = 0; i < f->file->count; i++) {
        const char *name = f->file->names[i];
        const nn_module *x;
        part_kind kind;
        if (is_double(slice_of(name)))
            continue;
        if (!part_parse(slice_of(name), f->b->m, &x, &kind))
            return misplaced(f, name);
        if (!f->b->ties || x != &f->b->m->head) /* a tied head has it from the embedding */
            f->tensor_of[x->slot][kind] = (int64_t)i;
    }
    return LORAC_OK;
}

/* ---- Checks ---- */

static int check_shape(const reading *f, const tensor *t, const char *name, const tensor *shape)
{
    char have[64], want[64];
    if (t->ndim != shape->ndim || memcmp(t->dim, shape->dim, (size_t)t->ndim * sizeof *t->dim) != 0)
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){
                .file = f->file->path,
                .key = name,
                .found = tensor_shape(t, have),
                .expected = tensor_shape(shape, want),
                .hint =
                    "the adapter was made for another base model, or with another rank than its configuration says" },
            "an adapter tensor has the wrong shape");
    if (!dtype_is_float(t->type) && !dtype_is_quantised(t->type))
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){
                .file = f->file->path, .key = name, .found = dtype_name(t->type), .expected = "a floating-point type" },
            "an adapter tensor has a type that cannot be used");
    return LORAC_OK;
}

static int check_finite(const reading *f, const char *name, const float *values, const tensor *t)
{
    for (int64_t i = 0; i < tensor_count(t); i++)
        if (!isfinite(values[i])) {
            char found[96];
            snprintf(found, sizeof found, "%g at [%lld, %lld]", (double)values[i], (long long)(i / tensor_cols(t)),
                     (long long)(i % tensor_cols(t)));
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .file = f->file->path,
                                    .key = name,
                                    .found = found,
                                    .expected = "finite numbers",
                                    .hint = "the training that made this adapter went wrong" },
                           "an adapter tensor holds a value that is not a number");
        }
    return LORAC_OK;
}

/* ---- Values ---- */

static int read_values(const reading *f, real *out, const tensor *t, const char *name)
{
    int64_t count = tensor_count(t);
    float *values = mem_new((size_t)count, sizeof *values);
    if (!values)
        return fail_memory();
    quant_decode(values, t->data, t->type, count);
    for (int64_t i = 0; i < count; i++)
        out[i] = (real)values[i];
    int status = check_finite(f, name, values, t);
    mem_free(values);
    return status;
}

/* PEFT files an embedding or head that it adapts beside the factors, most often unchanged. */
static int is_own_weight(const nn_module *x, const tensor *t, bool *same)
{
    const size_t count = (size_t)tensor_count(t);
    real *own = mem_new(count, sizeof *own);
    float *filed = mem_new(count, sizeof *filed);
    int status = own && filed ? part_copy_own(PART_WEIGHT, x, NULL, own) : fail_memory();
    if (status == LORAC_OK) {
        quant_decode(filed, t->data, t->type, (int64_t)count);
        *same = true;
        for (size_t i = 0; i < count && *same; i++)
            *same = own[i] == (real)filed[i];
    }
    mem_free(own);
    mem_free(filed);
    return status;
}

static const tensor *tensor_for(const reading *f, const nn_module *x, part_kind kind)
{
    const int64_t i = f->tensor_of[x->slot][kind];
    return i < 0 ? NULL : &f->file->tensors[i];
}

static int missing(const reading *f, const nn_module *x, part_kind kind)
{
    char name[512];
    snprintf(name, sizeof name, PEFT_PREFIX "%s%s", x->name, part_suffix(kind, x, true));
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->file->path, .key = name },
                   kind <= PART_B ? "half of a LoRA pair is missing" : "a tensor of the adapter is missing");
}

static int unwanted(const reading *f, const nn_module *x, part_kind kind)
{
    static const char *const key[PARTS] = {
        "target_modules", "target_modules", "lora_bias", "use_dora", NULL, NULL, "trainable_token_indices"
    };
    return fail_at(
        LORAC_ERROR_DATA, (fault){ .file = f->file->path, .key = f->file->names[f->tensor_of[x->slot][kind]] },
        "the adapter's %s %s not name a module it has tensors for", key[kind], kind <= PART_B ? "do" : "does");
}

/* What the configuration wants, as far as the file has it: a target without tensors is none. Own weights and biases
 * that nobody asked for are taken as they are, and stay so. */
static int agree(const reading *f, const nn_module *x, wish *w)
{
    bool filed[PARTS];
    TRY(maker_wish(f->b, x, w));
    for (int kind = 0; kind < PARTS; kind++)
        filed[kind] = tensor_for(f, x, kind) != NULL;
    if (!filed[PART_A] && !filed[PART_B])
        w->has[PART_A] = w->has[PART_B] = w->has[PART_B_BIAS] = w->has[PART_MAGNITUDE] = false;
    for (int kind = 0; kind < PARTS; kind++) {
        if (kind == PART_WEIGHT || kind == PART_BIAS) {
            w->frozen[kind] = filed[kind] && !w->has[kind];
            w->has[kind] = filed[kind] || (kind == PART_BIAS && w->has[kind]);
        } else if (filed[kind] && !w->has[kind]) {
            return unwanted(f, x, kind);
        } else if (!filed[kind] && w->has[kind]) {
            return missing(f, x, kind);
        }
    }
    if (w->frozen[PART_WEIGHT]) {
        const tensor shape = part_shape(PART_WEIGHT, x, w), *t = tensor_for(f, x, PART_WEIGHT);
        bool same;
        TRY(check_shape(f, t, f->file->names[f->tensor_of[x->slot][PART_WEIGHT]], &shape));
        TRY(is_own_weight(x, t, &same));
        w->has[PART_WEIGHT] = !same;
    }
    return LORAC_OK;
}

static int read_module(const reading *f, const nn_module *x)
{
    wish w;
    TRY(agree(f, x, &w));
    for (int kind = 0; kind < PARTS; kind++) {
        const tensor *t = tensor_for(f, x, kind), shape = part_shape(kind, x, &w);
        if (w.has[kind] && t)
            TRY(check_shape(f, t, f->file->names[f->tensor_of[x->slot][kind]], &shape));
    }
    TRY(maker_add(f->b, x, &w));
    for (int kind = 0; kind < PARTS; kind++) {
        const tensor *t = tensor_for(f, x, kind);
        real *out = w.has[kind] ? (*part_place(kind, &f->b->a->modules[x->slot]))->t.data : NULL;
        if (out && t)
            TRY(read_values(f, out, t, f->file->names[f->tensor_of[x->slot][kind]]));
        else if (out)
            TRY(part_copy_own(kind, x, w.tokens, out));
    }
    return LORAC_OK;
}

static int read_tensors(maker *b, const adapter_file *file)
{
    reading f = { file, b, mem_new((size_t)b->m->module_count, sizeof *f.tensor_of) };
    int status = f.tensor_of ? LORAC_OK : fail_memory();
    for (int slot = 0; slot < b->m->module_count && status == LORAC_OK; slot++)
        for (int kind = 0; kind < PARTS; kind++)
            f.tensor_of[slot][kind] = -1;
    if (status == LORAC_OK)
        status = place_tensors(&f);
    for (int slot = 0; slot < b->m->module_count && status == LORAC_OK; slot++)
        status = read_module(&f, b->m->modules[slot]);
    mem_free(f.tensor_of);
    TRY(status);
    if (b->a->trainable_count + b->a->kept_count == 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file->path }, "the adapter has no tensors");
    TRY(maker_finish(b));
    return adapter_measure_lengths(b->a, b->m);
}

static int load_file(adapter **out, const model *m, adapter_file *file)
{
    maker b = { 0 };
    peft_config resolved;
    arena names = { 0 };
    int status = adapter_file_check_scale(file);
    if (status == LORAC_OK)
        status = adapter_file_translate(file, m);
    if (status == LORAC_OK)
        status = adapter_complete(&resolved, &file->config, m, &names);
    if (status == LORAC_OK)
        status = maker_open(&b, m, &resolved);
    if (status == LORAC_OK)
        status = read_tensors(&b, file);
    status = maker_close(&b, status, out);
    arena_free(&names);
    return status;
}

int adapter_load(adapter **out, const model *m, const char *path, peft_config *config, buf *notes)
{
    adapter_file file;
    *out = NULL;
    if (config)
        peft_config_init(config);
    TRY(adapter_file_open(&file, path, notes));
    int status = load_file(out, m, &file);
    if (status == LORAC_OK && (*out)->takes)
        status = adapter_convert(*out, m, &file.config, file.path);
    if (status != LORAC_OK) {
        adapter_free(*out);
        *out = NULL;
    }
    if (config) {
        *config = file.config;
        peft_config_init(&file.config);
    }
    adapter_file_close(&file);
    return status;
}
