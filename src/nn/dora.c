/* dora.c: the three sums of every output's length. */
#include "dora.h"

#include "err.h"
#include "mem.h"
#include "op_linear.h"
#include "quant.h"

#include <math.h>

enum { WEIGHT, CROSS, DELTA };

int dora_measure_weight(adapted *m, const var *w)
{
    const int64_t rows = tensor_rows(&w->t), cols = tensor_cols(&w->t), outputs = outputs_of(w);
    float *row = mem_new((size_t)cols, sizeof *row);
    double *sum = mem_new((size_t)outputs, sizeof *sum);
    for (int64_t r = 0; r < rows && row && sum; r++) {
        quant_decode_row(row, &w->t, r);
        for (int64_t i = 0; i < cols; i++)
            sum[w->turned ? i : r] += (double)row[i] * (double)row[i];
    }
    for (int64_t o = 0; o < outputs && row && sum; o++)
        m->norms[WEIGHT * outputs + o] = (real)sum[o];
    int status = row && sum ? LORAC_OK : fail_memory();
    mem_free(row);
    mem_free(sum);
    return status;
}

/* Products of the same rows of two matrices. */
static void dot_rows(real *out, const real *x, const real *y, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = 0; i < cols; i++)
            sum += (double)x[r * cols + i] * (double)y[r * cols + i];
        out[r] = (real)sum;
    }
}

int dora_refresh(context *c, adapted *m, const var *w)
{
    const int64_t outputs = outputs_of(w), rank = m->rank;
    const mat a = matrix_of(m->a), b = matrix_of(m->b);
    real *square = mem_new((size_t)(rank * rank), sizeof *square);
    real *products = mem_new((size_t)(outputs * rank), sizeof *products);
    if (square && products) {
        const mat aa = real_matrix(square, rank, rank), p = real_matrix(products, outputs, rank);
        c->kernels->gemm(c->pool, p, matrix_of(w), w->turned, a, 1, 1, 0);
        dot_rows(m->norms + CROSS * outputs, products, b.p, outputs, rank);
        c->kernels->gemm(c->pool, aa, a, 0, a, 1, 1, 0);
        c->kernels->gemm(c->pool, p, b, 0, aa, 0, 1, 0);
        dot_rows(m->norms + DELTA * outputs, products, b.p, outputs, rank);
    }
    int status = square && products && !pool_failed(c->pool) ? LORAC_OK : fail_memory();
    mem_free(square);
    mem_free(products);
    return status;
}

real dora_length(const adapted *m, int64_t outputs, int64_t output, real scale)
{
    const real *n = m->norms + output;
    const double s = (double)scale, cross = (double)n[CROSS * outputs], delta = (double)n[DELTA * outputs];
    return (real)sqrt(fmax(0, (double)n[WEIGHT * outputs] + 2 * s * cross + s * s * delta));
}
