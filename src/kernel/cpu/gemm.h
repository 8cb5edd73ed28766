/* gemm.h: what gemm.c and gemv.c know of each other. */
#ifndef LORAC_GEMM_H
#define LORAC_GEMM_H

#include "tile.h"

enum { GEMV_ROWS = 8 };

/* Few rows of a times the rows of b: b is streamed once and decoded row by row, without packing. */
static inline int gemv_fits(int64_t rows, int transpose_a, int transpose_b)
{
    return rows <= GEMV_ROWS && !transpose_a && transpose_b;
}

/* c[M, N] = alpha a[M, K] b[N, K]ᵀ + beta c for M <= GEMV_ROWS. */
void NAME(gemv)(pool *, mat c, mat a, mat b, real alpha, real beta);

#endif
