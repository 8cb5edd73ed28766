/* op_linear.c: matrix products with frozen or trained weights and low-rank additions.
 *
 *     y = onto + x Wᵀ + b + s · h Bᵀ,   h = drop(x) Aᵀ
 *
 * never x (W + s·BA)ᵀ: the product BA would cost out·in·r and a matrix as large as W. Backward, with h kept:
 *
 *     dB = s · dyᵀ h      dh = dy B      dA = s · dhᵀ drop(x)      dx = dy W + s · drop'(dh A)
 *
 * A factor is cheapest at the smaller operand of a product, so dh goes without it.
 * At the start B = 0, so dh = 0 and A gets no gradient in the first step. That is not a bug.
 * The dropout mask is a function of (seed, step, site) and is made again in backward instead of being kept.
 */
#include "op_linear.h"

#include <assert.h>
#include <string.h>

mat matrix_of(const var *v)
{
    return (mat){ v->t.data, v->t.type, tensor_rows(&v->t), tensor_cols(&v->t), tensor_cols(&v->t) };
}

int64_t outputs_of(const var *w)
{
    return w->t.dim[w->turned];
}

int64_t inputs_of(const var *w)
{
    return w->t.dim[!w->turned];
}

mat real_matrix(const void *p, int64_t rows, int64_t cols)
{
    return (mat){ (void *)(uintptr_t)p, DT_REAL, rows, cols, cols };
}

int64_t lowrank_rank(const lowrank *term)
{
    return !term->a ? 1 : term->turned ? tensor_cols(&term->a->t) : tensor_rows(&term->a->t);
}

int64_t lowrank_rows(const lowrank *term, int64_t all)
{
    return term->count < 0 ? all : term->count;
}

static mat rows_of(mat m, const lowrank *term)
{
    int64_t count = lowrank_rows(term, m.rows);
    if (m.p)
        m.p = (char *)m.p + term->first * m.ld * dtype_block_bytes(m.type);
    m.rows = count;
    return m;
}

/* What stands in the place of x Aᵀ where there is no A. */
static void fill_ones(const context *c, mat h)
{
    for (int64_t t = 0; t < h.rows && context_computes(c); t++)
        ((real *)h.p)[t] = 1;
}

static uint64_t dropout_site(const context *c, const lowrank *term)
{
    return c->step << 20 ^ term->site;
}

/* The rows of x that enter A: x itself, or a masked copy in scratch. */
static mat dropped(context *c, mat x, const lowrank *term)
{
    if (term->dropout == 0 || !c->training)
        return x;
    void *masked = context_scratch(c, (size_t)(x.rows * x.cols * dtype_block_bytes(c->act)));
    c->k->dropout(c->pool, masked, x.p, x.rows * x.cols, term->dropout, c->seed, dropout_site(c, term));
    x.p = masked;
    return x;
}

static void term_forward(context *c, mat h, mat x, const lowrank *term)
{
    context_mark mark = context_here(c);
    mat xi = dropped(c, rows_of(x, term), term);
    c->k->gemm(c->pool, h, xi, 0, matrix_of(term->a), !term->turned, 1, 0);
    context_rewind_high(c, mark);
}

/* One sum, so that y is rounded once: what a young adapter adds is less than half a unit of a bf16 y and would be lost
 * if it were added to it. */
void product_forward(context *c, mat y, mat x, const product *p, real *const *h, real beta)
{
    assert(p->n_terms <= LOWRANK_MAX);
    gemm_term sum[1 + LOWRANK_MAX]; /* not cleared: it is much longer than most sums */
    sum[0] = (gemm_term){ x, matrix_of(p->w), 0, !p->w->turned, 1, 0 };
    for (int i = 0; i < p->n_terms; i++) {
        const lowrank *term = &p->terms[i];
        mat hi = real_matrix(h[i], lowrank_rows(term, x.rows), lowrank_rank(term));
        if (term->a)
            term_forward(c, hi, x, term);
        else
            fill_ones(c, hi);
        sum[1 + i] = (gemm_term){ hi, matrix_of(term->b), 0, !term->turned, term->scale, term->first };
    }
    c->k->gemm_sum(c->pool, y, sum, 1 + p->n_terms, beta);
    if (p->bias && p->bias->t.data)
        c->k->bias(c->pool, y.p, p->bias->t.data, y.rows, y.cols);
}

/* The gradient of one factor, [rows, cols], += scale · leftᵀ right; turned: of its transpose. */
static void factor_backward(context *c, const var *factor, mat left, mat right, bool turned, real scale)
{
    grad d = grad_of(c, factor);
    if (!d.p)
        return;
    mat first = turned ? right : left, second = turned ? left : right;
    c->k->gemm(c->pool, real_matrix(d.p, first.cols, second.cols), first, 1, second, 0, scale, 1);
}

/* The gradients of one low-rank term's factors; dh, for the rows of the term, is left for dx. */
static void term_backward(context *c, mat dh, mat dy, mat x, const lowrank *term, real *h, real scale)
{
    dy = rows_of(dy, term);
    factor_backward(c, term->b, dy, real_matrix(h, dh.rows, dh.cols), term->turned, scale * term->scale);
    if (!term->a)
        return;
    c->k->gemm(c->pool, dh, dy, 0, matrix_of(term->b), term->turned, 1, 0);
    context_mark mark = context_here(c);
    if (term->a->needs_grad)
        factor_backward(c, term->a, dh, dropped(c, rows_of(x, term), term), term->turned, scale * term->scale);
    context_rewind_high(c, mark);
}

/* What a term whose input was masked adds to dx. */
static void add_masked(context *c, mat dx, mat dh, const lowrank *term, real scale)
{
    context_mark mark = context_here(c);
    mat part = rows_of(dx, term);
    int64_t count = part.rows * part.cols;
    part.p = context_scratch(c, (size_t)(count * dtype_block_bytes(c->act)));
    c->k->gemm(c->pool, part, dh, 0, matrix_of(term->a), term->turned, scale * term->scale, 0);
    c->k->dropout(c->pool, part.p, part.p, count, term->dropout, c->seed, dropout_site(c, term));
    c->k->accumulate(c->pool, (grad){ rows_of(dx, term).p, 1 }, part.p, count);
    context_rewind_high(c, mark);
}

void product_backward(context *c, grad dx, mat dy, mat x, const product *p, real *const *h, real scale)
{
    context_mark mark = context_here(c);
    gemm_term sum[1 + LOWRANK_MAX];
    mat gx = x, dh[LOWRANK_MAX];
    int terms = 1;
    sum[0] = (gemm_term){ dy, matrix_of(p->w), 0, p->w->turned, scale, 0 };
    gx.p = dx.p;
    grad dw = grad_of(c, p->w);
    if (dw.p && p->w->turned)
        c->k->gemm(c->pool, real_matrix(dw.p, x.cols, dy.cols), x, 1, dy, 0, scale, 1);
    else if (dw.p)
        c->k->gemm(c->pool, real_matrix(dw.p, dy.cols, x.cols), dy, 1, x, 0, scale, 1);
    for (int i = 0; i < p->n_terms; i++) {
        const lowrank *term = &p->terms[i];
        int64_t rows = lowrank_rows(term, dy.rows), rank = lowrank_rank(term);
        dh[i] = real_matrix(context_scratch(c, (size_t)(rows * rank) * sizeof(real)), rows, rank);
        term_backward(c, dh[i], dy, x, term, h[i], scale);
        if (term->a && (term->dropout == 0 || !c->training))
            sum[terms++] = (gemm_term){ dh[i], matrix_of(term->a), 0, term->turned, scale * term->scale, term->first };
    }
    if (dx.p)
        c->k->gemm_sum(c->pool, gx, sum, terms, (real)dx.add);
    for (int i = 0; i < p->n_terms; i++)
        if (dx.p && p->terms[i].a && p->terms[i].dropout > 0 && c->training)
            add_masked(c, gx, dh[i], &p->terms[i], scale);
    context_rewind_high(c, mark);
}

bool product_is_trained(const product *p)
{
    bool wanted = p->w->needs_grad || (p->bias && p->bias->needs_grad);
    for (int i = 0; i < p->n_terms; i++)
        wanted |= (p->terms[i].a && p->terms[i].a->needs_grad) || p->terms[i].b->needs_grad;
    return wanted;
}

typedef struct linear_node {
    node base;
    var *onto, *x;
    product p;
    real *h[LOWRANK_MAX];
    lowrank terms[];
} linear_node;

var *op_linear(context *c, var *onto, var *x, const var *w, const var *bias, const lowrank *terms, int n_terms)
{
    assert(n_terms <= LOWRANK_MAX && tensor_cols(&x->t) == inputs_of(w));
    product p = { w, bias, terms, n_terms };
    real *h[LOWRANK_MAX];
    int64_t rows = tensor_rows(&x->t);
    var *y = var_matrix(c, rows, outputs_of(w));
    bool wanted = x->needs_grad || (onto && onto->needs_grad) || product_is_trained(&p);
    linear_node *n = record(c, OP_linear, sizeof *n + (size_t)n_terms * sizeof *terms, y, wanted);
    context_mark mark = context_here(c);
    for (int i = 0; i < n_terms; i++) {
        size_t bytes = (size_t)(lowrank_rows(&terms[i], rows) * lowrank_rank(&terms[i])) * sizeof(real);
        h[i] = n ? context_push(c, bytes) : context_scratch(c, bytes);
    }
    if (onto)
        c->k->accumulate(c->pool, (grad){ y->t.data, 0 }, onto->t.data, tensor_count(&y->t));
    product_forward(c, matrix_of(y), matrix_of(x), &p, h, onto != NULL);
    context_rewind_high(c, mark);
    if (n) {
        n->onto = onto;
        n->x = x;
        n->p = p;
        n->p.terms = n->terms;
        for (int i = 0; i < n_terms; i++) {
            n->terms[i] = terms[i];
            n->h[i] = h[i];
        }
    }
    return y;
}

void op_linear_back(context *c, node *self)
{
    linear_node *n = (linear_node *)self;
    mat dy = matrix_of(self->out);
    dy.p = self->out->grad;
    if (n->onto)
        c->k->accumulate(c->pool, grad_of(c, n->onto), dy.p, dy.rows * dy.cols);
    product_backward(c, grad_of(c, n->x), dy, matrix_of(n->x), &n->p, n->h, 1);
    if (n->p.bias && n->p.bias->needs_grad)
        c->k->bias_back(c->pool, grad_of(c, n->p.bias).p, dy.p, dy.rows, dy.cols);
}
