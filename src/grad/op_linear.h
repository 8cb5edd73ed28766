/* op_linear.h: the product with low-rank terms on plain matrices, shared by op_linear and the loss head. */
#ifndef LORAC_OP_LINEAR_H
#define LORAC_OP_LINEAR_H

#include "ops.h"

typedef struct product {
    const var *w, *bias; /* [out, in], or turned; [out] or NULL */
    const lowrank *terms;
    int n_terms;
} product;

mat matrix_of(const var *v);
/* rows x cols numbers of the type real, row after row. */
mat real_matrix(const void *p, int64_t rows, int64_t cols);
bool product_is_trained(const product *p);
int64_t lowrank_rank(const lowrank *term);
/* How many of `all` rows the term is for. */
int64_t lowrank_rows(const lowrank *term, int64_t all);
/* y = beta · y + x Wᵀ + b + terms; h[i], real [rows, r], receives the i-th inner product. */
void product_forward(context *c, mat y, mat x, const product *p, real *const *h, real beta);
/* Gradients of x (where dx.p), of W and of the terms' factors, for scale · dy. The bias is left to the caller. */
void product_backward(context *c, grad dx, mat dy, mat x, const product *p, real *const *h, real scale);

#endif
