/* op_rope.c: rotary positions (Su et al. 2021) in the half-split order of transformers: the pair (i, i + R/2) of each
 * head turns by position · frequency[i]. A rotation's transpose turns the other way, so the backward is the same loop
 * with the sine negated. */
#include "ops.h"

typedef struct rope_node {
    node base;
    var *x;
    rope_table table;
    int64_t heads;
} rope_node;

rope_table rope_angles(context *c, const int32_t *positions, int64_t count, const real *frequency, int64_t rotated,
                       real scale)
{
    size_t bytes = (size_t)(count * rotated / 2) * sizeof(real);
    rope_table table = { context_push(c, bytes), context_push(c, bytes), rotated };
    c->k->rope_angles(c->pool, table.cosine, table.sine, positions, frequency, count, rotated / 2, scale);
    return table;
}

var *op_rope(context *c, var *x, const rope_table *table, int64_t heads)
{
    int64_t rows = tensor_rows(&x->t), head_size = tensor_cols(&x->t) / heads;
    var *y = var_new(c, c->act, x->t.ndim, x->t.dim);
    c->k->rope(c->pool, y->t.data, x->t.data, table->cosine, table->sine, rows, heads, head_size, table->rotated, 0);
    rope_node *n = record(c, OP_rope, sizeof *n, y, x->needs_grad);
    if (n) {
        n->x = x;
        n->table = *table;
        n->heads = heads;
    }
    return y;
}

void op_rope_back(context *c, node *self)
{
    rope_node *n = (rope_node *)self;
    int64_t rows = tensor_rows(&n->x->t), head_size = tensor_cols(&n->x->t) / n->heads;
    grad dx = grad_of(c, n->x);
    if (dx.p)
        c->k->rope_back(c->pool, dx, self->out->grad, n->table.cosine, n->table.sine, rows, n->heads, head_size,
                        n->table.rotated);
}
