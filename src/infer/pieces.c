/* pieces.c: listing a model's tensors, and making their rows: decode, add the deltas, round to the output type. */
#include "pieces.h"

#include "err.h"
#include "mem.h"
#include "quant.h"

#include <string.h>

enum { RUN_ELEMENTS = 1 << 20 };

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

/* W[row] + D[row] in f32; *delta, room for a row, receives D[row]. */
static bool make_row(const pieces *p, const piece *x, int64_t row, int64_t cols, float *out, float *delta)
{
    bool changed = false;
    size_t row_bytes = (size_t)dtype_row_bytes(x->source.type, cols);
    quant_decode(out, (const char *)x->source.data + (size_t)row * row_bytes, x->source.type, cols);
    if (x->slot < 0)
        return false;
    memset(delta, 0, (size_t)cols * sizeof *delta);
    for (size_t i = 0; i < p->plan->adapter_count; i++) {
        const folded *f = &p->plan->adapters[i];
        adapter_add_row(f->adapter, x->slot, f->weight, row, delta);
        changed |= f->adapter->modules[x->slot].rank > 0;
    }
    for (int64_t c = 0; c < cols && changed; c++)
        out[c] += delta[c];
    return changed;
}

static void add_loss(export_loss *loss, const void *written, dtype type, const float *wanted, const float *delta, int64_t cols, float *scratch)
{
    quant_decode(scratch, written, type, cols);
    for (int64_t c = 0; c < cols; c++) {
        double lost = (double)scratch[c] - (double)wanted[c];
        loss->error += lost * lost;
        loss->delta += (double)delta[c] * (double)delta[c];
    }
}

static int write_rows(const pieces *p, const piece *x, float *row, char *bytes, piece_sink sink, void *to, export_loss *loss)
{
    /* A vector is a column of rows when its order changes, and one row otherwise. */
    bool vector = x->source.ndim == 1, split = vector && x->paired_rows;
    int64_t cols = split ? 1 : tensor_cols(&x->source), rows = tensor_count(&x->source) / cols;
    size_t row_bytes = (size_t)dtype_row_bytes(x->type, cols);
    int64_t run = RUN_ELEMENTS / cols > 0 ? RUN_ELEMENTS / cols : 1;
    for (int64_t first = 0; first < rows; first += run) {
        int64_t count = rows - first < run ? rows - first : run;
        for (int64_t i = 0; i < count; i++) {
            int64_t from = x->paired_rows ? paired_row(first + i, p->plan->m->config.head_size) : first + i;
            bool changed = make_row(p, x, from, cols, row, row + cols);
            quant_encode(bytes + (size_t)i * row_bytes, x->type, row, cols);
            if (changed)
                add_loss(loss, bytes + (size_t)i * row_bytes, x->type, row, row + cols, cols, row + 2 * cols);
        }
        TRY(sink(to, bytes, (size_t)count * row_bytes));
    }
    return LORAC_OK;
}

int piece_write(const pieces *p, const piece *x, piece_sink sink, void *to, export_loss *loss)
{
    size_t cols = (size_t)tensor_cols(&x->source), run = RUN_ELEMENTS > cols ? RUN_ELEMENTS : cols;
    float *row = mem_new(3 * cols, sizeof *row);
    char *bytes = mem_new(run, sizeof(float));
    int status = row && bytes ? write_rows(p, x, row, bytes, sink, to, loss) : fail_memory();
    mem_free(row);
    mem_free(bytes);
    return status;
}
