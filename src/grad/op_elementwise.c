/* op_elementwise.c: ops that work number by number, and parts of rows. */
#include "ops.h"

#include <assert.h>
#include <string.h>

typedef struct glu_node {
    node base;
    var *gate, *up;
    glu_kind kind;
} glu_node;

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
    c->k->glu_back(c->pool, dgate, dup, self->out->grad, n->gate->t.data, n->up->t.data, tensor_count(&self->out->t),
                   n->kind);
}

typedef struct activation_node {
    node base;
    var *x;
    glu_kind kind;
} activation_node;

var *op_activation(context *c, var *x, glu_kind kind)
{
    var *y = var_new(c, c->act, x->t.ndim, x->t.dim);
    c->k->activation(c->pool, y->t.data, x->t.data, tensor_count(&y->t), kind);
    activation_node *n = record(c, OP_activation, sizeof *n, y, x->needs_grad);
    if (n) {
        n->x = x;
        n->kind = kind;
    }
    return y;
}

void op_activation_back(context *c, node *self)
{
    activation_node *n = (activation_node *)self;
    c->k->activation_back(c->pool, grad_of(c, n->x), self->out->grad, n->x->t.data, tensor_count(&self->out->t),
                          n->kind);
}

typedef struct add_node {
    node base;
    var *x, *y;
} add_node;

var *op_add(context *c, var *x, var *y)
{
    assert(tensor_count(&x->t) == tensor_count(&y->t));
    var *sum = var_new(c, c->act, x->t.ndim, x->t.dim);
    c->k->accumulate(c->pool, (grad){ sum->t.data, 0 }, x->t.data, tensor_count(&sum->t));
    c->k->accumulate(c->pool, (grad){ sum->t.data, 1 }, y->t.data, tensor_count(&sum->t));
    add_node *n = record(c, OP_add, sizeof *n, sum, x->needs_grad || y->needs_grad);
    if (n) {
        n->x = x;
        n->y = y;
    }
    return sum;
}

void op_add_back(context *c, node *self)
{
    add_node *n = (add_node *)self;
    const int64_t count = tensor_count(&self->out->t);
    grad dx = grad_of(c, n->x);
    if (dx.p)
        c->k->accumulate(c->pool, dx, self->out->grad, count);
    grad dy = grad_of(c, n->y);
    if (dy.p)
        c->k->accumulate(c->pool, dy, self->out->grad, count);
}

typedef struct part_node {
    node base;
    var *x;
    int32_t *row;
} part_node;

/* x [T, parts * C] is [T * parts, C] as well, and a part is every parts-th of those rows. */
var *op_part(context *c, var *x, int64_t which, int64_t parts)
{
    int64_t rows = tensor_rows(&x->t), cols = tensor_cols(&x->t) / parts;
    assert(which < parts && cols * parts == tensor_cols(&x->t));
    var *y = var_matrix(c, rows, cols);
    part_node *n = record(c, OP_part, sizeof *n, y, x->needs_grad);
    context_mark mark = context_here(c);
    size_t bytes = (size_t)rows * sizeof(int32_t);
    int32_t *row = n ? context_push(c, bytes) : context_scratch(c, bytes);
    for (int64_t t = 0; t < rows && context_computes(c); t++)
        row[t] = (int32_t)(t * parts + which);
    c->k->gather_rows(c->pool, y->t.data, x->t.data, row, rows, cols);
    context_rewind_high(c, mark);
    if (n) {
        n->x = x;
        n->row = row;
    }
    return y;
}

/* The other parts' columns of a gradient that nobody has written yet are zero. */
void op_part_back(context *c, node *self)
{
    part_node *n = (part_node *)self;
    grad dx = grad_of(c, n->x);
    if (dx.p && !dx.add && context_computes(c))
        memset(dx.p, 0, (size_t)tensor_bytes(&n->x->t));
    c->k->scatter_rows(c->pool, (grad){ dx.p, 1 }, self->out->grad, n->row, tensor_rows(&self->out->t),
                       tensor_cols(&self->out->t));
}
