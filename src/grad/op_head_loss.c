/* op_head_loss.c: the output embedding, and the cross-entropy with it in one. Logits are never whole: 2048 tokens by
 * 128256 words would be 1 GB. Labelled rows are taken a chunk at a time: logits, loss, and at once dlogits · W, since
 * the loss is a sum whose scale is known. So the gradient of x is there when forward ends; backward only hands it on.
 */
#include "op_magnitude.h"

#include <string.h>

static product product_of(const head_weights *head)
{
    return (product){ head->w, NULL, head->terms, head->n_terms };
}

void op_logits(context *c, real *out, var *x, const head_weights *head)
{
    const int64_t rows = tensor_rows(&x->t);
    const product p = product_of(head);
    const mat logits = real_matrix(out, rows, outputs_of(p.w));
    context_mark mark = context_here(c);
    real *h[LOWRANK_MAX];
    for (int i = 0; i < p.n_terms; i++)
        h[i] = context_scratch(c, (size_t)(lowrank_rows(&p.terms[i], rows) * lowrank_rank(&p.terms[i])) * sizeof(real));
    product_forward(c, logits, matrix_of(x), &p, h, 0);
    magnitude_forward(c, logits, logits, head->magnitudes, head->n_magnitudes, false);
    context_rewind_high(c, mark);
}

typedef struct head_loss_node {
    node base;
    var *x;
    void *dx;
} head_loss_node;

enum { CHUNK_BYTES = 72 << 20, CHUNK_LEAST = 16 };

/* Each chunk decodes the whole weight, so chunks are few. They must not grow when `count` shrinks: memory is planned
 * for the most labels that a pass can have. */
static int64_t chunk_rows(int64_t vocabulary, int64_t count)
{
    int64_t rows = CHUNK_BYTES / (vocabulary * (int64_t)sizeof(real));
    rows = rows < CHUNK_LEAST ? CHUNK_LEAST : rows;
    return rows < count ? rows : count;
}

static void add_losses(const context *c, const real *loss, const uint8_t *hit, int64_t rows, loss_result *result)
{
    result->count += rows;
    if (!context_computes(c))
        return;
    for (int64_t i = 0; i < rows; i++) {
        result->sum += (double)loss[i];
        result->hits += hit[i];
    }
}

/* One chunk of labelled rows; dx.p NULL when only the loss is wanted. */
static void chunk_loss(context *c, const var *x, const head_weights *head, const int32_t *row, const int32_t *label,
                       int64_t rows, grad dx, real scale, loss_result *result)
{
    const product product_only = product_of(head), *p = &product_only;
    int64_t cols = tensor_cols(&x->t), vocabulary = outputs_of(p->w);
    size_t act = (size_t)dtype_block_bytes(c->act);
    context_mark mark = context_here(c);
    mat xc = { context_scratch(c, (size_t)(rows * cols) * act), c->act, rows, cols, cols };
    mat logits = { context_scratch(c, (size_t)(rows * vocabulary) * sizeof(real)), DT_REAL, rows, vocabulary,
                   vocabulary };
    real *loss = context_scratch(c, (size_t)rows * sizeof(real));
    uint8_t *hit = context_scratch(c, (size_t)rows);
    real *h[LOWRANK_MAX];
    for (int i = 0; i < p->n_terms; i++)
        h[i] = context_scratch(c, (size_t)(rows * lowrank_rank(&p->terms[i])) * sizeof(real));
    mat z = logits; /* before magnitudes */
    if (head->n_magnitudes > 0)
        z.p = context_scratch(c, (size_t)(rows * vocabulary) * sizeof(real));

    c->k->gather_rows(c->pool, xc.p, x->t.data, row, rows, cols);
    product_forward(c, z, xc, p, h, 0);
    magnitude_forward(c, logits, z, head->magnitudes, head->n_magnitudes, false);
    c->k->cross_entropy(c->pool, loss, hit, logits.p, label, NULL, rows, vocabulary, dx.p != NULL);
    add_losses(c, loss, hit, rows, result);
    if (dx.p) {
        grad dxc = { context_scratch(c, (size_t)(rows * cols) * act), 0 };
        if (head->n_magnitudes > 0)
            magnitude_backward(c, head->magnitudes, logits, logits, z, false, scale);
        product_backward(c, dxc, logits, xc, p, h, scale);
        c->k->scatter_rows(c->pool, dx, dxc.p, row, rows, cols);
    }
    context_rewind_high(c, mark);
}

void op_head_loss(context *c, var *x, const head_weights *head, const loss_targets *targets, loss_result *result)
{
    const product p = product_of(head);
    bool wanted =
        x->needs_grad || product_is_trained(&p) || (head->n_magnitudes > 0 && head->magnitudes->m->needs_grad);
    assert(head->n_magnitudes == 0 || magnitudes_cover_all(head->magnitudes, head->n_magnitudes));
    for (int i = 0; i < head->n_terms; i++)
        assert(head->terms[i].first == 0 &&
               head->terms[i].count < 0); /* chunks have rows of their own: a term is for all of them */
    var *y = var_new(c, DT_REAL, 0, NULL);
    head_loss_node *n = record(c, OP_head_loss, sizeof *n, y, wanted);
    grad dx = { NULL, 1 };
    if (n) {
        dx.p = context_push(c, (size_t)tensor_bytes(&x->t));
        if (context_computes(c))
            memset(dx.p, 0, (size_t)tensor_bytes(&x->t));
        n->x = x;
        n->dx = dx.p;
        y->grad_written = true; /* this is where backward starts */
    }
    int64_t step = chunk_rows(outputs_of(head->w), targets->count);
    for (int64_t done = 0; done < targets->count; done += step) {
        int64_t rows = targets->count - done < step ? targets->count - done : step;
        chunk_loss(c, x, head, targets->row + done, targets->label + done, rows, dx, targets->grad_scale, result);
    }
}

void op_head_loss_back(context *c, node *self)
{
    head_loss_node *n = (head_loss_node *)self;
    grad dx = grad_of(c, n->x);
    if (dx.p)
        c->k->accumulate(c->pool, dx, n->dx, tensor_count(&n->x->t));
}
