/* op_elementwise.c: ops that work number by number, and the embedding's lookup. */
#include "ops.h"

#include "op_linear.h"

#include <assert.h>

typedef struct glu_node { node base; var *gate, *up; glu_kind kind; } glu_node;

var *op_glu(context *c, var *gate, var *up, glu_kind kind)
{
    assert(tensor_count(&gate->t) == tensor_count(&up->t));
    var *y = var_new(c, c->act, gate->t.ndim, gate->t.dim);
    c->k->glu(c->pool, y->t.data, gate->t.data, up->t.data, tensor_count(&y->t), kind);
    glu_node *n = record(c, OP_glu, sizeof *n, y, gate->needs_grad || up->needs_grad);
    if (n) {
        n->gate = gate;
        n->up = up;
        n->kind = kind;
    }
    return y;
}

void op_glu_back(context *c, node *self)
{
    glu_node *n = (glu_node *)self;
    grad dgate = grad_of(c, n->gate), dup = grad_of(c, n->up);
    c->k->glu_back(c->pool, dgate, dup, self->out->grad, n->gate->t.data, n->up->t.data, tensor_count(&self->out->t), n->kind);
}

/* The table is frozen: a lookup has nothing to record. */
var *op_embed(context *c, const var *table, const int32_t *ids, int64_t count)
{
    assert(!table->needs_grad);
    var *y = var_matrix(c, count, table->t.dim[1]);
    c->k->embed(c->pool, y->t.data, matrix_of(table), ids, count);
    return y;
}
