/* op_magnitude.c: columns brought to a trained length (DoRA, Liu et al. 2024, in the form without a gradient through
 * the norm, their section 4.3).
 *
 *     y = onto + bias + g ∘ z, g = m / c     dz = g ∘ dy     dm = Σ_rows dy ∘ z / c     c = |W + s B A|, a constant
 */
#include "op_magnitude.h"

static mat some_rows(mat x, const magnitude *m)
{
    if (m->count < 0)
        return x;
    if (x.p)
        x.p = (char *)x.p + m->first * x.ld * dtype_block_bytes(x.type);
    x.rows = m->count;
    return x;
}

/* Over all rows y is written or added to; over some of them y has z already, and gets what is missing. */
void magnitude_forward(context *c, mat y, mat z, const magnitude *list, int count, bool add)
{
    for (int i = 0; i < count; i++) {
        const magnitude *m = &list[i];
        const int64_t cols = z.cols;
        if (m->count < 0) {
            c->k->scale_columns(c->pool, y, z, m->factor, add);
            continue;
        }
        context_mark mark = context_here(c);
        real *missing = context_scratch(c, (size_t)cols * sizeof *missing);
        for (int64_t o = 0; o < cols && context_computes(c); o++)
            missing[o] = m->factor[o] - 1;
        c->k->scale_columns(c->pool, some_rows(y, m), some_rows(z, m), missing, 1);
        context_rewind_high(c, mark);
    }
}

void magnitude_backward(context *c, const magnitude *m, mat dz, mat dy, mat z, bool add, real scale)
{
    grad dm = grad_of(c, m->m);
    if (dm.p) {
        context_mark mark = context_here(c);
        real *scaled = context_scratch(c, (size_t)z.cols * sizeof *scaled);
        for (int64_t o = 0; o < z.cols && context_computes(c); o++)
            scaled[o] = scale * m->inverse[o];
        c->k->dot_columns(c->pool, dm.p, scaled, dy, z);
        context_rewind_high(c, mark);
    }
    if (dz.p)
        c->k->scale_columns(c->pool, dz, dy, m->factor, add);
}

bool magnitudes_cover_all(const magnitude *list, int count)
{
    return count == 1 && list->count < 0;
}

typedef struct magnitude_node {
    node base;
    var *onto, *z;
    const var *bias;
    magnitude m;
} magnitude_node;

var *op_magnitude(context *c, var *onto, var *z, const var *bias, const magnitude *list, int count)
{
    const int64_t n_elements = tensor_count(&z->t);
    const bool all = magnitudes_cover_all(list, count);
    var *y = var_matrix(c, tensor_rows(&z->t), tensor_cols(&z->t));
    bool wanted = z->needs_grad || (onto && onto->needs_grad) || (bias && bias->needs_grad);
    for (int i = 0; i < count; i++)
        wanted |= list[i].m->needs_grad;
    magnitude_node *n = record(c, OP_magnitude, sizeof *n, y, wanted);
    if (onto)
        c->k->accumulate(c->pool, (grad){ y->t.data, 0 }, onto->t.data, n_elements);
    if (!all)
        c->k->accumulate(c->pool, (grad){ y->t.data, onto != NULL }, z->t.data, n_elements);
    magnitude_forward(c, matrix_of(y), matrix_of(z), list, count, onto || !all);
    if (bias)
        c->k->bias(c->pool, y->t.data, bias->t.data, tensor_rows(&y->t), tensor_cols(&y->t));
    if (n) {
        assert(all); /* what is trained is for all rows */
        n->onto = onto;
        n->z = z;
        n->bias = bias;
        n->m = *list;
    }
    return y;
}

void op_magnitude_back(context *c, node *self)
{
    magnitude_node *n = (magnitude_node *)self;
    mat z = matrix_of(n->z), dy = z, dz = z;
    dy.p = self->out->grad;
    if (n->onto)
        c->k->accumulate(c->pool, grad_of(c, n->onto), dy.p, dy.rows * dy.cols);
    if (n->bias && n->bias->needs_grad)
        c->k->bias_back(c->pool, grad_of(c, n->bias).p, dy.p, dy.rows, dy.cols);
    grad where = grad_of(c, n->z);
    dz.p = where.p;
    magnitude_backward(c, &n->m, dz, dy, z, where.add, 1);
}
