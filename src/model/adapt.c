/* adapt.c: making adapters, and what is asked about any: its size, its lengths. Module names are Hugging Face's paths
 * below "base_model.model.", also for GGUF models. */
#include "adapt_parts.h"

#include "dora.h"
#include "err.h"
#include "mem.h"
#include "rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PEFT's first values: A is Kaiming-uniform with a = √5, which comes to U(-1/√in, 1/√in), or N(0, 1/r²); B is zero.
 * init_lora_weights false means no care at all: both as torch makes a Linear. Of an embedding, A is zero and B N(0, 1).
 */
static void first_values(const adapted *to, const nn_module *x, const char *init, uint64_t seed)
{
    const bool is_embedding = x->kind == MODULE_EMBEDDING, careless = strcmp(init, "false") == 0;
    const bool gaussian = strcmp(init, "gaussian") == 0;
    const var *factors[3] = { to->a, to->b, to->b_bias };
    for (int which = 0; which < 3; which++) {
        if (!factors[which] || (which != is_embedding && !careless))
            continue;
        real *values = factors[which]->t.data;
        int64_t count = tensor_count(&factors[which]->t);
        double bound = 1 / sqrt((double)(which == 0 ? factors[0]->t.dim[1] : to->rank));
        rng r = rng_new(seed, rng_stream(x->name) + (uint64_t)which);
        for (int64_t i = 0; i < count; i++)
            values[i] = (real)(is_embedding ? rng_normal(&r)
                               : gaussian   ? rng_normal(&r) / (double)to->rank
                                            : (2 * rng_uniform(&r) - 1) * bound);
    }
}

static int note_unused(const maker *b, buf *notes)
{
    const char *unused = peft_matcher_unused(b->matcher);
    if (unused && notes)
        buf_format(notes, "%s'%s' of the adapter's configuration matches no module", notes->n ? "; " : "", unused);
    return LORAC_OK;
}

/* As transformers makes one. */
static void new_head(const var *weight, const char *name, double deviation, uint64_t seed)
{
    real *values = weight->t.data;
    rng r = rng_new(seed, rng_stream(name));
    for (int64_t i = 0; i < tensor_count(&weight->t); i++)
        values[i] = (real)(rng_normal(&r) * deviation);
}

static int create_module(maker *b, const nn_module *x, uint64_t seed)
{
    adapted *to = &b->a->modules[x->slot];
    wish w;
    TRY(maker_wish(b, x, &w));
    TRY(maker_add(b, x, &w));
    if (to->a)
        first_values(to, x, b->config->init_lora_weights, seed);
    for (int kind = PART_WEIGHT; kind <= PART_ROWS; kind++)
        if (w.has[kind])
            TRY(part_copy_own(kind, x, w.tokens, (*part_place(kind, to))->t.data));
    if (x == &b->m->head && b->m->head_is_new)
        new_head(to->weight, x->name, b->m->config.initializer_range, seed);
    return LORAC_OK;
}

static bool has_lora(const adapter *a)
{
    for (int slot = 0; slot < a->module_count; slot++)
        if (a->modules[slot].a)
            return true;
    return false;
}

/* A magnitude begins as the length that it replaces. */
static void first_magnitudes(const adapter *a)
{
    for (int slot = 0; slot < a->module_count; slot++) {
        const adapted *m = &a->modules[slot];
        const int64_t outputs = m->magnitude ? tensor_count(&m->magnitude->t) : 0;
        for (int64_t o = 0; o < outputs; o++)
            ((real *)m->magnitude->t.data)[o] = dora_length(m, outputs, o, m->scale);
    }
}

static int create_modules(maker *b, uint64_t seed, buf *notes)
{
    for (int slot = 0; slot < b->m->module_count; slot++)
        TRY(create_module(b, b->m->modules[slot], seed));
    if (!has_lora(b->a))
        return peft_no_target(b->config);
    TRY(maker_finish(b));
    TRY(adapter_measure_lengths(b->a, b->m));
    first_magnitudes(b->a);
    return note_unused(b, notes);
}

/* PEFT trains and saves heads of these names for every classifier. */
static int save_classifier(peft_config *copy, arena *memory)
{
    static const char *const heads[] = { "classifier", "score" };
    enum { HEADS = sizeof heads / sizeof *heads };
    const char *const *given = copy->saved;
    const char **saved = arena_new(memory, copy->saved_count + HEADS, sizeof *saved);
    if (!saved)
        return fail_memory();
    for (size_t i = 0; i < copy->saved_count; i++)
        saved[i] = given[i];
    copy->saved = saved;
    for (size_t i = 0; i < HEADS; i++) {
        bool known = false;
        for (size_t k = 0; k < copy->saved_count && !known; k++)
            known = strcmp(saved[k], heads[i]) == 0;
        if (!known)
            saved[copy->saved_count++] = heads[i];
    }
    return LORAC_OK;
}

int adapter_complete(peft_config *copy, const peft_config *config, const model *m, arena *memory)
{
    TRY(peft_with_default_targets(copy, config, m->config.model_type, memory));
    return model_labels(m) ? save_classifier(copy, memory) : LORAC_OK;
}

int adapter_create(adapter **out, const model *m, const peft_config *config, uint64_t seed, buf *notes)
{
    maker b = { 0 };
    peft_config resolved;
    arena names = { 0 };
    *out = NULL;
    int status = adapter_complete(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = maker_open(&b, m, &resolved);
    if (status == LORAC_OK)
        status = create_modules(&b, seed, notes);
    status = maker_close(&b, status, out);
    arena_free(&names);
    return status;
}

/* ---- Figures ---- */

static int measure_modules(int64_t *parameters, maker *b)
{
    *parameters = 0;
    for (int slot = 0; slot < b->m->module_count; slot++) {
        const nn_module *x = b->m->modules[slot];
        wish w;
        TRY(maker_wish(b, x, &w));
        for (int kind = 0; kind < PARTS; kind++) {
            const tensor t = part_shape(kind, x, &w);
            int64_t count;
            if (w.has[kind] && (__builtin_mul_overflow(t.dim[0], t.ndim == 2 ? t.dim[1] : 1, &count) ||
                                __builtin_add_overflow(*parameters, count, parameters)))
                return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "r" }, "the rank makes an adapter beyond all bounds");
        }
    }
    return LORAC_OK;
}

int adapter_measure(int64_t *parameters, const model *m, const peft_config *config)
{
    maker b = { 0 };
    adapter *none = NULL;
    peft_config resolved;
    arena names = { 0 };
    int status = adapter_complete(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = maker_open(&b, m, &resolved);
    if (status == LORAC_OK)
        status = measure_modules(parameters, &b);
    status = maker_close(&b, status, &none);
    adapter_free(none);
    arena_free(&names);
    return status;
}

parameter_counts adapter_counts(const adapter *a, const model *m)
{
    return (parameter_counts){ a->parameters, m->parameters + a->added };
}

/* ---- DoRA's lengths ---- */

static const var *base_of(const adapted *to, const nn_module *x)
{
    return to->weight ? to->weight : &x->weight;
}

int adapter_refresh(const adapter *a, const model *m, context *c)
{
    for (int slot = 0; a->has_norms && slot < m->module_count; slot++)
        if (a->modules[slot].norms)
            TRY(dora_refresh(c, &a->modules[slot], base_of(&a->modules[slot], m->modules[slot])));
    return LORAC_OK;
}

int adapter_measure_lengths(const adapter *a, const model *m)
{
    const context_options options = { .act = DT_REAL, .level = cpu_isa() };
    context *c;
    if (!a->has_norms)
        return LORAC_OK;
    TRY(context_new(&c, &options));
    int status = LORAC_OK;
    for (int slot = 0; slot < m->module_count && status == LORAC_OK; slot++)
        if (a->modules[slot].norms)
            status = dora_measure_weight(&a->modules[slot], base_of(&a->modules[slot], m->modules[slot]));
    if (status == LORAC_OK)
        status = adapter_refresh(a, m, c);
    context_free(c);
    return status;
}
