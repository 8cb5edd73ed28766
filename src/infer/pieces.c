/* pieces.c: listing a model's tensors. */
#include "pieces.h"

#include "err.h"

/* Halves of a head become pairs: file row 2j + t of a head is model row t · half + j. */
int64_t paired_row(int64_t row, int64_t head_size)
{
    int64_t head = row / head_size, at = row % head_size;
    return head * head_size + at % 2 * (head_size / 2) + at / 2;
}

bool head_is_untied(const export_plan *plan)
{
    int slot = plan->m->head.slot;
    for (size_t i = 0; i < plan->adapter_count; i++) {
        const lora *module = &plan->adapters[i].adapter->modules[slot];
        if (module->rank || module->base.t.data)
            return true;
    }
    return false;
}

/* The weight that the deltas are added to: the model's, or one that an adapter brings. */
static const var *base_weight(const export_plan *plan, const linear *l)
{
    for (size_t i = 0; i < plan->adapter_count; i++) {
        const lora *module = &plan->adapters[i].adapter->modules[l->slot];
        if (module->base.t.data)
            return &module->base;
    }
    return &l->weight;
}

/* Block types need whole blocks in a row; a matrix that has none is written in F16. */
static dtype matrix_type(dtype wanted, int64_t cols)
{
    return dtype_row_bytes(wanted, cols) < 0 ? DT_F16 : wanted;
}

static piece *add_piece(pieces *p, const char *stem, const char *suffix, const var *source, bool turned)
{
    const char *name = arena_format(&p->memory, "%s.%s", stem, suffix);
    if (!name)
        return NULL;
    piece *x = &p->list[p->count++];
    *x = (piece){
        .name = name, .source = *source, .type = p->plan->type, .ndim = source->t.ndim, .slot = -1, .turned = turned
    };
    x->dim[0] = source->t.dim[0];
    if (x->ndim == 2) {
        x->dim[0] = turned ? inputs_of(source) : outputs_of(source);
        x->dim[1] = turned ? outputs_of(source) : inputs_of(source);
        x->type = matrix_type(x->type, x->dim[1]);
    }
    return x;
}

static int add_vector(pieces *p, const char *stem, const char *suffix, const var *source)
{
    return !source->t.data || add_piece(p, stem, suffix, source, false) ? LORAC_OK : fail_memory();
}

static int add_linear(pieces *p, const linear *l, const char *stem, bool paired, bool turned)
{
    piece *x = add_piece(p, stem, "weight", base_weight(p->plan, l), turned);
    if (!x)
        return fail_memory();
    x->slot = l->slot;
    x->paired_rows = paired;
    if (!l->bias.t.data)
        return LORAC_OK;
    x = add_piece(p, stem, "bias", &l->bias, false);
    if (!x)
        return fail_memory();
    x->paired_rows = paired;
    return LORAC_OK;
}

static int add_norm(pieces *p, const norm_weights *n, const char *stem)
{
    TRY(add_vector(p, stem, "weight", &n->weight));
    return add_vector(p, stem, "bias", &n->bias);
}

static int add_layer(pieces *p, int64_t layer, bool for_gguf)
{
    const model *m = p->plan->m;
    char *block = m->blocks + (size_t)layer * m->family->block_size;
    for (const param *q = m->family->layer; q->name; q++) {
        const char *stem = param_stem(m->family, q, layer, for_gguf, &p->memory);
        if (!stem)
            return fail_memory();
        if (q->kind == PARAM_LINEAR)
            TRY(add_linear(p, (const linear *)(block + q->offset), stem, for_gguf && q->layout == LAYOUT_PAIRED,
                           !for_gguf && q->layout == LAYOUT_CONV1D));
        else
            TRY(add_norm(p, (const norm_weights *)(block + q->offset), stem));
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
    if (!add_piece(p, end_stem(f, END_EMBEDDING, for_gguf), "weight", &m->embedding, false))
        return fail_memory();
    if (f->positions) {
        piece *x = add_piece(p, end_stem(f, END_POSITIONS, for_gguf), "weight", &m->positions, false);
        if (!x)
            return fail_memory();
        x->type = for_gguf ? DT_F32 : x->type; /* as llama.cpp wants it */
    }
    for (int64_t layer = 0; layer < m->config.layers; layer++)
        TRY(add_layer(p, layer, for_gguf));
    TRY(add_norm(p, &m->final_norm, end_stem(f, END_NORM, for_gguf)));
    if (!m->config.tied_head || head_is_untied(p->plan))
        TRY(add_linear(p, &m->head, end_stem(f, END_HEAD, for_gguf), false, false));
    for (size_t i = 0; i < p->count && for_gguf; i++)
        if (p->list[i].ndim == 1)
            p->list[i].type = DT_F32; /* as llama.cpp wants all vectors */
    return LORAC_OK;
}

int pieces_new(pieces *p, const export_plan *plan, bool for_gguf)
{
    *p = (pieces){ .plan = plan };
    int status = list_pieces(p, for_gguf);
    if (status != LORAC_OK)
        pieces_free(p);
    return status;
}

void pieces_free(pieces *p)
{
    arena_free(&p->memory);
}
