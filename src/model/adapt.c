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

static int no_target(const maker *b)
{
    buf targets = { 0 };
    for (size_t i = 0; i < b->config->target_count; i++)
        buf_format(&targets, "%s%s", i ? "," : "", b->config->targets[i]);
    const char *found = b->config->target_regex ? b->config->target_regex : targets.p;
    int status = fail_at(
        LORAC_ERROR_USAGE,
        (fault){ .key = "target_modules",
                 .found = found,
                 .expected = "for instance q_proj,v_proj, all-linear or a regular expression over whole module paths",
                 .hint = "`lorac inspect MODEL` lists the modules" },
        "the targets match no module of the model");
    buf_free(&targets);
    return status;
}

static int create_module(maker *b, const module *x)
{
    adapted *to = &b->a->modules[x->slot];
    wish w;
    TRY(maker_wish(b, x, &w));
    TRY(maker_add(b, x, &w));
    if (to->a) {
        const first_pair pair = adapter_first_pair(b->a, b->m, &b->config->init, x->slot, 0);
        TRY(first_values_check(&pair));
    }
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

static int create_modules(maker *b, buf *notes)
{
    for (int slot = 0; slot < b->m->module_count; slot++)
        TRY(create_module(b, b->m->modules[slot]));
    if (!has_lora(b->a))
        return no_target(b);
    TRY(maker_finish(b));
    return note_unused(b, notes);
}

/* A config that names no targets means PEFT's default for the model type. The copy shares the original's memory. */
int adapter_default_targets(peft_config *copy, const peft_config *config, const model *m, arena *memory)
{
    *copy = *config;
    if (config->target_count || config->target_regex)
        return LORAC_OK;
    const char *names = peft_default_targets(m->config.model_type);
    if (!names)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "target_modules", .hint = "name the modules to adapt" },
                       "there are no default targets for models of type %s", m->config.model_type);
    slice rest = slice_of(names);
    copy->targets = arena_new(memory, rest.n + 1, sizeof *copy->targets);
    while (rest.n && copy->targets) {
        slice name = slice_cut(&rest, ',');
        const char *text = arena_text(memory, name.p, name.n);
        if (!text)
            return fail_memory();
        copy->targets[copy->target_count++] = text;
    }
    return copy->targets ? LORAC_OK : fail_memory();
}

int adapter_create(adapter **out, const model *m, const peft_config *config, buf *notes)
{
    maker b = { 0 };
    peft_config resolved;
    arena names = { 0 };
    *out = NULL;
    int status = adapter_default_targets(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = maker_open(&b, m, &resolved);
    if (status == LORAC_OK)
        status = create_modules(&b, notes);
    status = maker_close(&b, status, out);
    arena_free(&names);
    return status;
}

static int match_modules(int64_t *ranks, double *alphas, maker *b)
{
    for (int slot = 0; slot < b->m->module_count; slot++) {
        const module *x = b->m->modules[slot];
        wish w;
        TRY(maker_wish(b, x, &w));
        ranks[slot] = w.has[PART_A] && x->kind != MODULE_EMBEDDING ? w.rank : 0;
        alphas[slot] = w.alpha;
    }
    return LORAC_OK;
}

int adapter_ranks(int64_t *ranks, double *alphas, const model *m, const peft_config *config)
{
    maker b = { .m = m };
    peft_config resolved;
    arena names = { 0 };
    int status = adapter_default_targets(&resolved, config, m, &names);
    b.config = &resolved;
    if (status == LORAC_OK)
        status = peft_matcher_new(&b.matcher, &resolved);
    if (status == LORAC_OK)
        status = match_modules(ranks, alphas, &b);
    peft_matcher_free(b.matcher);
    arena_free(&names);
    return status;
}

/* ---- Figures ---- */

static int measure_modules(int64_t *parameters, maker *b)
{
    *parameters = 0;
    for (int slot = 0; slot < b->m->module_count; slot++) {
        const module *x = b->m->modules[slot];
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
    int status = adapter_default_targets(&resolved, config, m, &names);
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

static const var *base_of(const adapted *to, const module *x)
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
