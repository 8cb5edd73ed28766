/* decompose.h: the one door to LAPACK. Matrices are double, dense and row-major; inputs are only read. The same matrix
 * always gives the same bits, signs included. A matrix with NaN or infinity is LORAC_ERROR_DATA, one too large for
 * LAPACK's 32-bit sizes LORAC_ERROR_USAGE, and an iteration that does not converge LORAC_ERROR_RUNTIME. Sizes are at
 * least 1; a matrix without rank is fine. */
#ifndef LORAC_DECOMPOSE_H
#define LORAC_DECOMPOSE_H

#include <stdint.h>

/* m [rows, cols] = u diag(s) vt, thin: u [rows, k], s [k] descending, vt [k, cols], k = min(rows, cols). In every
 * column of u the entry that is largest by magnitude (the first of equals) is positive; vt's row turns with it. */
int decompose_svd(const double *m, int64_t rows, int64_t cols, double *u, double *s, double *vt);
/* m = q r, thin: q [rows, k] with orthonormal columns, r [k, cols] upper triangular with a diagonal >= 0. */
int decompose_qr(const double *m, int64_t rows, int64_t cols, double *q, double *r);
/* A symmetric m [n, n] (its upper triangle is read): values [n] descending, vectors [n, n] with the eigenvector of
 * values[i] in row i; its entry that is largest by magnitude (the first of equals) is positive. */
int decompose_symmetric(const double *m, int64_t n, double *values, double *vectors);

#endif
