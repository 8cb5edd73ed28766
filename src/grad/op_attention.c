/* op_attention.c: scaled dot-product attention per span (document or sequence); causal, grouped heads, softcap, window,
 * bias. The probabilities are never kept: backward makes them again from the log-sum-exp of each query (Dao et al.
 * 2022). */
#include "ops.h"

typedef struct attention_node {
    node base;
    var *q, *k, *v;
    real *lse;
    const attention_span *spans;
    int64_t n_spans;
    attention_shape shape;
} attention_node;

var *op_attention(context *c, var *q, var *k, var *v, const attention_span *spans, int64_t n_spans,
                  const attention_shape *shape)
{
    var *y = var_new(c, c->act, q->t.ndim, q->t.dim);
    attention_node *n = record(c, OP_attention, sizeof *n, y, q->needs_grad || k->needs_grad || v->needs_grad);
    real *lse = n ? context_push(c, (size_t)(tensor_rows(&q->t) * shape->heads) * sizeof(real)) : NULL;
    c->k->attention(c->pool, y->t.data, lse, q->t.data, k->t.data, v->t.data, spans, n_spans, shape);
    if (n) {
        n->q = q;
        n->k = k;
        n->v = v;
        n->lse = lse;
        n->spans = spans;
        n->n_spans = n_spans;
        n->shape = *shape;
    }
    return y;
}

/* The kernel writes all three; where a gradient is not wanted, or something is there already, it writes to scratch. */
static void *landing(context *c, grad g, const var *x)
{
    return g.p && !g.add ? g.p : context_scratch(c, (size_t)tensor_bytes(&x->t));
}

void op_attention_back(context *c, node *self)
{
    attention_node *n = (attention_node *)self;
    var *inputs[3] = { n->q, n->k, n->v };
    grad wanted[3];
    void *written[3];
    for (int i = 0; i < 3; i++)
        wanted[i] = grad_of(c, inputs[i]);
    context_mark mark = context_here(c);
    for (int i = 0; i < 3; i++)
        written[i] = landing(c, wanted[i], inputs[i]);
    c->k->attention_back(c->pool, written[0], written[1], written[2], self->out->grad, self->out->t.data, n->lse,
                         n->q->t.data, n->k->t.data, n->v->t.data, n->spans, n->n_spans, &n->shape);
    for (int i = 0; i < 3; i++)
        if (wanted[i].p && wanted[i].add)
            c->k->accumulate(c->pool, wanted[i], written[i], tensor_count(&inputs[i]->t));
    context_rewind_high(c, mark);
}
