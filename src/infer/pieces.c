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
static tensor base_weight(const export_plan *plan, const linear *l)
{
    for (size_t i = 0; i < plan->adapter_count; i++) {
        const lora *module = &plan->adapters[i].adapter->modules[l->slot];
        if (module->base.t.data)
            return module->base.t;
    }
    return l->weight.t;
}

/* Block types need whole blocks in a row; a matrix that has none is written in F16. */
static dtype matrix_type(dtype wanted, int64_t cols)
{
    return dtype_row_bytes(wanted, cols) < 0 ? DT_F16 : wanted;
}

static piece *add_piece(pieces *p, const char *name, tensor source, dtype type)
{
    piece *x = &p->list[p->count++];
    *x = (piece){ .name = name, .source = source, .type = type, .slot = -1 };
    return x;
}

static int add_linear(pieces *p, const linear *l, const char *stem, bool paired)
{
    const char *name = arena_format(&p->memory, "%s.weight", stem);
    piece *x = add_piece(p, name, base_weight(p->plan, l), matrix_type(p->plan->type, l->weight.t.dim[1]));
    x->slot = l->slot;
    x->paired_rows = paired;
    if (!name)
        return fail_memory();
    if (!l->bias.t.data)
        return LORAC_OK;
    name = arena_format(&p->memory, "%s.bias", stem);
    x = add_piece(p, name, l->bias.t, p->plan->type);
    x->paired_rows = paired;
    return name ? LORAC_OK : fail_memory();
}

static int add_layer(pieces *p, int64_t layer, bool for_gguf)
{
    const model *m = p->plan->m;
    char *block = m->blocks + (size_t)layer * m->family->block_size;
    for (const param *q = m->family->layer; q->name; q++) {
        const char *stem = for_gguf ? arena_format(&p->memory, "blk.%lld.%s", (long long)layer, q->gguf)
                                : arena_format(&p->memory, "model.layers.%lld.%s", (long long)layer, q->name);
        if (!stem)
            return fail_memory();
        if (q->kind == PARAM_LINEAR) {
            TRY(add_linear(p, (const linear *)(block + q->offset), stem, for_gguf && q->order != ROWS_AS_FILED));
            continue;
        }
        const char *name = arena_format(&p->memory, "%s.weight", stem);
        if (!name)
            return fail_memory();
        add_piece(p, name, ((const var *)(block + q->offset))->t, p->plan->type);
    }
    return LORAC_OK;
}

static int list_pieces(pieces *p, bool for_gguf)
{
    const model *m = p->plan->m;
    int per_layer = 0;
    for (const param *q = m->family->layer; q->name; q++)
        per_layer += 2;
    p->list = arena_new(&p->memory, (size_t)(m->config.layers * per_layer + 4), sizeof *p->list);
    if (!p->list)
        return fail_memory();
    add_piece(p, for_gguf ? "token_embd.weight" : "model.embed_tokens.weight", m->embedding.t, matrix_type(p->plan->type, m->config.hidden));
    for (int64_t layer = 0; layer < m->config.layers; layer++)
        TRY(add_layer(p, layer, for_gguf));
    add_piece(p, for_gguf ? "output_norm.weight" : "model.norm.weight", m->final_norm.t, p->plan->type);
    if (!m->config.tied_head || head_is_untied(p->plan))
        TRY(add_linear(p, &m->head, for_gguf ? "output" : "lm_head", false));
    for (size_t i = 0; i < p->count && for_gguf; i++)
        if (p->list[i].source.ndim == 1)
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
