/* adapt.c: making adapters, and what is asked about any: its size, its lengths. Module names are Hugging Face's paths
 * below "base_model.model.", also for GGUF models. */
#include "adapt_parts.h"

#include "adapt_first.h"
#include "dora.h"
#include "err.h"
#include "mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int note_unused(const maker *b, buf *notes)
{
    const char *unused = peft_matcher_unused(b->matcher);
    if (unused && notes)
        buf_format(notes, "%s'%s' of the adapter's configuration matches no module", notes->n ? "; " : "", unused);
    return LORAC_OK;
}

/* Can the pair begin as the configuration says? */
static int check_first(const maker *b, const nn_module *x, const wish *w)
{
    const first_pair pair = { .module = x->name,
                              .weight = &x->weight,
                              .init = &b->config->init,
                              .rank = w->rank,
                              .scale = peft_scale(b->config, w->rank, w->alpha),
                              .is_embedding = x->kind == MODULE_EMBEDDING };
    return w->has[PART_A] ? first_values_check(&pair) : LORAC_OK;
}

static int create_module(maker *b, const nn_module *x)
{
    adapted *to = &b->a->modules[x->slot];
    wish w;
    TRY(maker_wish(b, x, &w));
    TRY(check_first(b, x, &w));
    TRY(maker_add(b, x, &w));
    for (int kind = PART_WEIGHT; kind <= PART_ROWS; kind++)
        if (w.has[kind])
            TRY(part_copy_own(kind, x, w.tokens, (*part_place(kind, to))->t.data));
    return LORAC_OK;
}

static bool has_lora(const adapter *a)
{
    for (int slot = 0; slot < a->module_count; slot++)
        if (a->modules[slot].a)
            return true;
    return false;
}

static const char *name_of(const void *of, size_t i)
{
    return ((const model *)of)->modules[i]->name;
}

static int create_modules(maker *b, buf *notes)
{
    for (int slot = 0; slot < b->m->module_count; slot++)
        TRY(create_module(b, b->m->modules[slot]));
    if (!has_lora(b->a))
        return peft_no_target(b->config, name_of, b->m, (size_t)b->m->module_count);
    TRY(maker_finish(b));
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

int adapter_create(adapter **out, const model *m, const peft_config *config, buf *notes)
{
    maker b = { 0 };
    peft_config resolved;
    arena names = { 0 };
    *out = NULL;
    int status = adapter_complete(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = maker_open(&b, m, &resolved);
    if (status == LORAC_OK)
        status = create_modules(&b, notes);
    status = maker_close(&b, status, out);
    arena_free(&names);
    return status;
}

/* ---- Figures ---- */

/* What the configuration wants for every module, given to `look` one after the other. */
static int look_at_wishes(const model *m, const peft_config *config,
                          int (*look)(void *, const nn_module *, const wish *), void *arg)
{
    maker b = { 0 };
    adapter *none = NULL;
    peft_config resolved;
    arena names = { 0 };
    int status = adapter_complete(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = maker_open(&b, m, &resolved);
    for (int slot = 0; slot < m->module_count && status == LORAC_OK; slot++) {
        wish w;
        status = maker_wish(&b, m->modules[slot], &w);
        if (status == LORAC_OK)
            status = check_first(&b, m->modules[slot], &w);
        if (status == LORAC_OK)
            status = look(arg, m->modules[slot], &w);
    }
    if (status == LORAC_OK)
        status = maker_check(&b);
    status = maker_close(&b, status, &none);
    adapter_free(none);
    arena_free(&names);
    return status;
}

typedef struct rank_list {
    int64_t *ranks;
    double *alphas;
} rank_list;

static int list_rank(void *arg, const nn_module *x, const wish *w)
{
    const rank_list *list = arg;
    list->ranks[x->slot] = w->has[PART_A] && x->kind != MODULE_EMBEDDING ? w->rank : 0;
    list->alphas[x->slot] = w->alpha;
    return LORAC_OK;
}

int adapter_ranks(int64_t *ranks, double *alphas, const model *m, const peft_config *config)
{
    rank_list list = { ranks, alphas };
    return look_at_wishes(m, config, list_rank, &list);
}

static int count_parts(void *arg, const nn_module *x, const wish *w)
{
    int64_t *parameters = arg;
    for (int kind = 0; kind < PARTS; kind++) {
        const tensor t = part_shape(kind, x, w);
        int64_t count;
        if (w->has[kind] && (__builtin_mul_overflow(t.dim[0], t.ndim == 2 ? t.dim[1] : 1, &count) ||
                             __builtin_add_overflow(*parameters, count, parameters)))
            return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "r" }, "the rank makes an adapter beyond all bounds");
    }
    return LORAC_OK;
}

int adapter_measure(int64_t *parameters, const model *m, const peft_config *config)
{
    *parameters = 0;
    return look_at_wishes(m, config, count_parts, parameters);
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
