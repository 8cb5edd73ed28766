/* op_elementwise.c: ops that work number by number, and the embedding's lookup. */
#include "ops.h"

#include "op_linear.h"

#include <assert.h>

typedef struct pair_node { node base; var *a, *b; glu_kind kind; } pair_node;

var *op_add(context *c, var *a, var *b)
{
    int64_t count = tensor_count(&a->t);
    assert(count == tensor_count(&b->t));
    var *y = var_new(c, c->act, a->t.ndim, a->t.dim);
    c->k->add(c->pool, y->t.data, a->t.data, b->t.data, count);
    pair_node *n = record(c, OP_add, sizeof *n, y, a->needs_grad || b->needs_grad);
    if (n) {
        n->a = a;
        n->b = b;
    }
    return y;
}

void op_add_back(context *c, node *self)
{
    pair_node *n = (pair_node *)self;
    int64_t count = tensor_count(&self->out->t);
    grad da = grad_of(c, n->a);
    if (da.p)
        c->k->accumulate(c->pool, da, self->out->grad, count);
    grad db = grad_of(c, n->b);
    if (db.p)
        c->k->accumulate(c->pool, db, self->out->grad, count);
}

var *op_glu(context *c, var *gate, var *up, glu_kind kind)
{
    assert(tensor_count(&gate->t) == tensor_count(&up->t));
    var *y = var_new(c, c->act, gate->t.ndim, gate->t.dim);
    c->k->glu(c->pool, y->t.data, gate->t.data, up->t.data, tensor_count(&y->t), kind);
    pair_node *n = record(c, OP_glu, sizeof *n, y, gate->needs_grad || up->needs_grad);
    if (n) {
        n->a = gate;
        n->b = up;
        n->kind = kind;
    }
    return y;
}

void op_glu_back(context *c, node *self)
{
    pair_node *n = (pair_node *)self;
    grad dgate = grad_of(c, n->a), dup = grad_of(c, n->b);
    c->k->glu_back(c->pool, dgate, dup, self->out->grad, n->a->t.data, n->b->t.data, tensor_count(&self->out->t), n->kind);
}

/* The table is frozen: a lookup has nothing to record. */
var *op_embed(context *c, const var *table, const int32_t *ids, int64_t count)
{
    assert(!table->needs_grad);
    var *y = var_matrix(c, count, table->t.dim[1]);
    c->k->embed(c->pool, y->t.data, matrix_of(table), ids, count);
    return y;
}
