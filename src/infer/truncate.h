/* truncate.h: a matrix, or a product of thin ones, as the nearest pair of factors of a lower rank (Eckart–Young).
 * B = U S and A = Vt, as PEFT files them. Knows one module at a time. */
#ifndef LORAC_TRUNCATE_H
#define LORAC_TRUNCATE_H

#include "factors.h"

typedef struct svd {
    double *u, *s, *vt; /* [out, k], [k] descending, [k, in] */
    int64_t out, k, in;
} svd; /* {0} is an empty one */

/* Both leave what svd_free ends, also after a failure. */
int svd_of_matrix(svd *t, const double *m, int64_t out, int64_t in);
int svd_of_product(svd *t, const double *b, const double *a, int64_t out, int64_t inner, int64_t in);
void svd_free(svd *t);

/* The sum of the squares of the first `rank` singular values. */
double svd_energy(const svd *t, int64_t rank);
/* The smallest rank, at least 1, that keeps this share (0..1) of it. */
int64_t svd_rank_for(const svd *t, double share);
/* Adds the pair to the set; where there are fewer singular values than `rank` it is filled up with zeros. `clamp` is
 * NAN, or the quantile of all entries of both factors that limits each. Uses `t` up. */
int svd_store(svd *t, factor_set *set, const char *module, int64_t rank, double clamp);

#endif
