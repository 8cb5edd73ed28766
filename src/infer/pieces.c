/* pieces.c: listing a model's tensors. */
#include "pieces.h"

#include "err.h"

/* Halves of a head become pairs: file row 2j + t of a head is model row t · half + j. */
int64_t paired_row(int64_t row, int64_t head_size)
{
    int64_t head = row / head_size, at = row % head_size;
    return head * head_size + at % 2 * (head_size / 2) + at / 2;
}

/* Does an adapter change a tied head and its embedding to the same matrix again? */
static bool changes_alike(const adapted *in, const adapted *out)
{
    const bool changed = in->a || in->weight || in->rows || out->a || out->weight || out->rows;
    return !changed || (out->a && out->turned) || (out->rows && out->rows == in->rows) ||
           (out->weight && in->weight && out->weight->t.data == in->weight->t.data);
}

bool head_is_untied(const export_plan *plan)
{
    for (size_t i = 0; i < plan->adapter_count; i++) {
        const adapted *modules = plan->adapters[i].adapter->modules;
        if (!changes_alike(&modules[plan->m->embedding.slot], &modules[plan->m->head.slot]))
            return true;
    }
    return false;
}

/* What the deltas are added to: the model's own, or what an adapter brings. */
static const var *in_force(const export_plan *plan, const nn_module *x, bool is_bias)
{
    for (size_t i = 0; i < plan->adapter_count; i++) {
        const adapted *to = &plan->adapters[i].adapter->modules[x->slot];
        const var *own = is_bias ? to->bias : to->weight;
        if (own)
            return own;
    }
    return is_bias ? &x->bias : &x->weight;
}

/* Block types need whole blocks in a row; a matrix that has none is written in F16. */
static dtype matrix_type(dtype wanted, int64_t cols)
{
    return dtype_row_bytes(wanted, cols) < 0 ? DT_F16 : wanted;
}

static piece *add_piece(pieces *p, const char *stem, const nn_module *x, bool is_bias, bool turned)
{
    const var *source = in_force(p->plan, x, is_bias);
    const char *name = arena_format(&p->memory, "%s.%s", stem, is_bias ? "bias" : "weight");
    if (!name)
        return NULL;
    piece *out = &p->list[p->count++];
    *out = (piece){ .name = name,
                    .source = *source,
                    .type = p->plan->type,
                    .ndim = source->t.ndim,
                    .dim = { source->t.dim[0] },
                    .is_bias = is_bias,
                    .slot = x->slot,
                    .turned = turned };
    if (out->ndim == 2) {
        out->dim[0] = turned ? inputs_of(source) : outputs_of(source);
        out->dim[1] = turned ? outputs_of(source) : inputs_of(source);
        out->type = matrix_type(out->type, out->dim[1]);
    }
    return out;
}

/* A bias that only an adapter has cannot be added to a module without one: PEFT's rule too. */
static int refuse_bias(const pieces *p, const nn_module *x)
{
    for (size_t i = 0; i < p->plan->adapter_count; i++)
        if (p->plan->adapters[i].adapter->modules[x->slot].b_bias)
            return fail_at(LORAC_ERROR_USAGE, (fault){ .key = x->name },
                           "an adapter with lora_bias cannot be merged into a layer that has no bias");
    return LORAC_OK;
}

static int add_module(pieces *p, const nn_module *x, const char *stem, bool paired, bool turned)
{
    piece *out = add_piece(p, stem, x, false, turned);
    if (!out)
        return fail_memory();
    out->paired_rows = paired;
    if (!x->bias.t.data)
        return refuse_bias(p, x);
    out = add_piece(p, stem, x, true, false);
    if (!out)
        return fail_memory();
    out->paired_rows = paired;
    return LORAC_OK;
}

static int add_layer(pieces *p, int64_t layer, bool for_gguf)
{
    const model *m = p->plan->m;
    char *block = m->blocks + (size_t)layer * m->family->block_size;
    for (const param *q = m->family->layer; q->name; q++) {
        const char *stem = param_stem(m->family, q, layer, for_gguf, &p->memory);
        if (!stem)
            return fail_memory();
        TRY(add_module(p, (const nn_module *)(block + q->offset), stem, for_gguf && q->layout == LAYOUT_PAIRED,
                       !for_gguf && q->layout == LAYOUT_CONV1D));
    }
    return LORAC_OK;
}

static int list_pieces(pieces *p, bool for_gguf)
{
    const model *m = p->plan->m;
    const architecture *f = m->family;
    int per_layer = 0;
    for (const param *q = f->layer; q->name; q++)
        per_layer += 2;
    p->list = arena_new(&p->memory, (size_t)(m->config.layers * per_layer + 5), sizeof *p->list);
    if (!p->list)
        return fail_memory();
    TRY(add_module(p, &m->embedding, end_stem(f, END_EMBEDDING, for_gguf), false, true));
    if (f->positions) {
        TRY(add_module(p, &m->positions, end_stem(f, END_POSITIONS, for_gguf), false, true));
        if (for_gguf)
            p->list[p->count - 1].type = DT_F32; /* as llama.cpp wants it */
    }
    for (int64_t layer = 0; layer < m->config.layers; layer++)
        TRY(add_layer(p, layer, for_gguf));
    TRY(add_module(p, &m->final_norm, end_stem(f, END_NORM, for_gguf), false, false));
    if (!m->config.tied_head || head_is_untied(p->plan))
        TRY(add_module(p, &m->head, for_gguf ? end_stem(f, END_HEAD, true) : m->head.name, false, false));
    for (size_t i = 0; i < p->count && for_gguf; i++)
        if (p->list[i].ndim == 1)
            p->list[i].type = DT_F32; /* as llama.cpp wants all vectors */
    return LORAC_OK;
}

static bool is_changed(const export_plan *plan, const piece *x)
{
    for (size_t i = 0; i < plan->adapter_count; i++) {
        const adapted *to = &plan->adapters[i].adapter->modules[x->slot];
        if (x->is_bias ? to->bias || to->b_bias : to->weight || to->a || to->rows)
            return true;
    }
    return false;
}

static void drop_unchanged(pieces *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        if (is_changed(p->plan, &p->list[i]))
            p->list[kept++] = p->list[i];
    p->count = kept;
}

int pieces_new(pieces *p, const export_plan *plan, bool for_gguf)
{
    *p = (pieces){ .plan = plan };
    int status = list_pieces(p, for_gguf);
    if (plan->changed_only)
        drop_unchanged(p);
    if (status != LORAC_OK)
        pieces_free(p);
    return status;
}

void pieces_free(pieces *p)
{
    arena_free(&p->memory);
}
