/* op_embed.c: looking up rows, or columns, of a table: the product of a table with one-hot rows.
 *
 *     y_t = onto_t + s · E[id_t]     dE[id] = Σ_{t: id_t = id} s · dy_t
 */
#include "op_linear.h"

typedef struct embed_node {
    node base;
    var *onto;
    const var *table;
    lookup at;
} embed_node;

var *op_embed(context *c, var *onto, const var *table, const lookup *at)
{
    var *y = var_matrix(c, at->count, outputs_of(table));
    embed_node *n = record(c, OP_embed, sizeof *n, y, table->needs_grad || (onto && onto->needs_grad));
    if (onto)
        c->k->accumulate(c->pool, (grad){ y->t.data, 0 }, onto->t.data, tensor_count(&y->t));
    c->k->embed(c->pool, (grad){ y->t.data, onto != NULL }, matrix_of(table), !table->turned, at->ids, at->count,
                at->scale);
    if (n) {
        n->onto = onto;
        n->table = table;
        n->at = *at;
    }
    return y;
}

void op_embed_back(context *c, node *self)
{
    embed_node *n = (embed_node *)self;
    const lookup *at = &n->at;
    mat dtable = matrix_of(n->table);
    dtable.p = grad_of(c, n->table).p;
    if (n->onto)
        c->k->accumulate(c->pool, grad_of(c, n->onto), self->out->grad, tensor_count(&self->out->t));
    if (dtable.p)
        c->k->embed_back(c->pool, dtable, !n->table->turned, self->out->grad, at->ids, at->count, at->scale,
                         at->padding);
}
