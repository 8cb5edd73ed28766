/* op_head_loss.c: the output embedding, and the cross-entropy with it in one. Logits are never whole: 2048 tokens by
 * 128256 words would be 1 GB. Labelled rows are taken a chunk at a time: logits, loss, and at once dlogits · W, since
 * the loss is a sum whose scale is known. So the gradient of x is there when forward ends; backward only hands it on.
 */
#include "op_linear.h"

#include <assert.h>
#include <string.h>

void op_logits(context *c, real *out, var *x, const var *w, const lowrank *terms, int n_terms)
{
    int64_t rows = tensor_rows(&x->t);
    product p = { w, NULL, terms, n_terms };
    context_mark mark = context_here(c);
    real *h[LOWRANK_MAX];
    for (int i = 0; i < n_terms; i++)
        h[i] = context_scratch(c, (size_t)((terms[i].count < 0 ? rows : terms[i].count) * terms[i].a->t.dim[0]) *
                                      sizeof(real));
    product_forward(c, real_matrix(out, rows, outputs_of(w)), matrix_of(x), &p, h, 0);
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
static void chunk_loss(context *c, const var *x, const product *p, const int32_t *row, const int32_t *label,
                       int64_t rows, grad dx, real scale, loss_result *result)
{
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
        h[i] = context_scratch(c, (size_t)(rows * p->terms[i].a->t.dim[0]) * sizeof(real));

    c->k->gather_rows(c->pool, xc.p, x->t.data, row, rows, cols);
    product_forward(c, logits, xc, p, h, 0);
    c->k->cross_entropy(c->pool, loss, hit, logits.p, label, NULL, rows, vocabulary, dx.p != NULL);
    add_losses(c, loss, hit, rows, result);
    if (dx.p) {
        grad dxc = { context_scratch(c, (size_t)(rows * cols) * act), 0 };
        product_backward(c, dxc, logits, xc, p, h, scale);
        c->k->scatter_rows(c->pool, dx, dxc.p, row, rows, cols);
    }
    context_rewind_high(c, mark);
}

void op_head_loss(context *c, var *x, const var *w, const var *bias, const lowrank *terms, int n_terms,
                  const loss_targets *targets, loss_result *result)
{
    product p = { w, bias, terms, n_terms };
    for (int i = 0; i < n_terms; i++)
        assert(terms[i].first == 0 &&
               terms[i].count < 0); /* chunks have rows of their own: a term is for all of them */
    var *y = var_new(c, DT_REAL, 0, NULL);
    head_loss_node *n = record(c, OP_head_loss, sizeof *n, y, x->needs_grad || product_is_trained(&p));
    grad dx = { NULL, 1 };
    if (n) {
        dx.p = context_push(c, (size_t)tensor_bytes(&x->t));
        if (context_computes(c))
            memset(dx.p, 0, (size_t)tensor_bytes(&x->t));
        n->x = x;
        n->dx = dx.p;
        y->grad_written = true; /* this is where backward starts */
    }
    int64_t step = chunk_rows(outputs_of(w), targets->count);
    for (int64_t done = 0; done < targets->count; done += step) {
        int64_t rows = targets->count - done < step ? targets->count - done : step;
        chunk_loss(c, x, &p, targets->row + done, targets->label + done, rows, dx, targets->grad_scale, result);
    }
}

void op_head_loss_back(context *c, node *self)
{
    head_loss_node *n = (head_loss_node *)self;
    grad dx = grad_of(c, n->x);
    if (dx.p)
        c->k->accumulate(c->pool, dx, n->dx, tensor_count(&n->x->t));
}
