/* op_norm.c: RMS and layer normalisation over the last dimension of w's size (Zhang & Sennrich 2019; Ba, Kiros & Hinton
 * 2016).
 *
 *     y = w · z · rstd + b     z = x, or x - mean x     dw_i = Σ_rows dy_i z_i rstd     db_i = Σ_rows dy_i
 *
 * and dx as kernel/cpu/norm.c has it. rstd and the mean are kept, the normalised x is not: x is alive anyway. */
#include "ops.h"

typedef struct rmsnorm_node {
    node base;
    var *x;
    const var *w;
    real *rstd;
} rmsnorm_node;

var *op_rmsnorm(context *c, var *x, const var *w, real epsilon)
{
    int64_t cols = tensor_count(&w->t), rows = tensor_count(&x->t) / cols;
    var *y = var_new(c, c->act, x->t.ndim, x->t.dim);
    rmsnorm_node *n = record(c, OP_rmsnorm, sizeof *n, y, x->needs_grad || w->needs_grad);
    context_mark mark = context_here(c);
    size_t bytes = (size_t)rows * sizeof(real);
    real *rstd = n ? context_push(c, bytes) : context_scratch(c, bytes);
    c->k->rmsnorm(c->pool, y->t.data, rstd, x->t.data, w->t.data, rows, cols, epsilon);
    context_rewind_high(c, mark);
    if (n) {
        n->x = x;
        n->w = w;
        n->rstd = rstd;
    }
    return y;
}

void op_rmsnorm_back(context *c, node *self)
{
    rmsnorm_node *n = (rmsnorm_node *)self;
    int64_t cols = tensor_count(&n->w->t), rows = tensor_count(&n->x->t) / cols;
    grad dx = grad_of(c, n->x), dw = grad_of(c, n->w);
    c->k->rmsnorm_back(c->pool, dx, dw, self->out->grad, n->x->t.data, n->w->t.data, n->rstd, rows, cols);
}

typedef struct layernorm_node {
    node base;
    var *x;
    const var *w, *b;
    real *mean, *rstd;
} layernorm_node;

var *op_layernorm(context *c, var *x, const var *w, const var *b, real epsilon)
{
    int64_t cols = tensor_count(&w->t), rows = tensor_count(&x->t) / cols;
    var *y = var_new(c, c->act, x->t.ndim, x->t.dim);
    layernorm_node *n = record(c, OP_layernorm, sizeof *n, y, x->needs_grad || w->needs_grad || b->needs_grad);
    context_mark mark = context_here(c);
    size_t bytes = (size_t)rows * sizeof(real);
    real *mean = n ? context_push(c, bytes) : context_scratch(c, bytes);
    real *rstd = n ? context_push(c, bytes) : context_scratch(c, bytes);
    c->k->layernorm(c->pool, y->t.data, mean, rstd, x->t.data, w->t.data, b->t.data, rows, cols, epsilon);
    context_rewind_high(c, mark);
    if (n) {
        n->x = x;
        n->w = w;
        n->b = b;
        n->mean = mean;
        n->rstd = rstd;
    }
    return y;
}

void op_layernorm_back(context *c, node *self)
{
    layernorm_node *n = (layernorm_node *)self;
    int64_t cols = tensor_count(&n->w->t), rows = tensor_count(&n->x->t) / cols;
    grad dx = grad_of(c, n->x), dw = grad_of(c, n->w), db = grad_of(c, n->b);
    c->k->layernorm_back(c->pool, dx, dw, self->out->grad, n->x->t.data, n->w->t.data, n->mean, n->rstd, rows, cols);
    if (db.p)
        c->k->bias_back(c->pool, db.p, self->out->grad, rows, cols);
}
