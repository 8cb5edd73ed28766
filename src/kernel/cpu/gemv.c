/* gemv.c: a few rows of a times the rows of a large b, as in generation: every weight is read once, decoded next to the
 * registers and used in real (nothing is rounded to the compute type). Bound by memory, not by arithmetic. */
#include "gemm.h"

enum { STEP = 2048 };

typedef struct gemv_job {
    mat c;
    const gemm_term *terms;
    int n_terms;
    const real *rows; /* the terms' a, one after the other */
    real beta;
} gemv_job;

static void store(const gemv_job *j, int64_t m, int64_t n, real sum)
{
    const int64_t at = m * j->c.ld + n;
    if (j->c.type == DT_REAL) {
        real *c = (real *)j->c.p + at;
        *c = j->beta == 0 ? sum : sum + j->beta * *c;
    } else {
        act *c = (act *)j->c.p + at;
        *c = narrow(j->beta == 0 ? sum : sum + j->beta * widen(*c));
    }
}

/* Four chains of sums, since one would wait for itself. */
INLINE real dot(const real *a, const real *w, int64_t n)
{
    vec sum[4] = { 0 };
    real total = 0;
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        UNROLL
        for (int j = 0; j < 4; j++)
            sum[j] += *(const vec *)(a + i + j * LANES) * *(const vec *)(w + i + j * LANES);
    }
    for (; i + LANES <= n; i += LANES)
        sum[0] += *(const vec *)(a + i) * *(const vec *)(w + i);
    for (; i < n; i++)
        total += a[i] * w[i];
    const vec sums = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (int j = 0; j < LANES; j++)
        total += sums[j];
    return total;
}

/* Adds a term's products with row n of its b to the sums of its rows. */
static void add_term(const gemm_term *t, const real *rows, int64_t n, real *sums)
{
    real room[STEP];
    const int64_t K = t->a.cols;
    for (int64_t k = 0; k < K; k += STEP) {
        const int64_t count = smaller(STEP, K - k);
        const real *w = room;
        if (t->b.type == DT_REAL && (uintptr_t)t->b.p % sizeof(real) == 0)
            w = (const real *)t->b.p + n * t->b.ld + k;
        else
            decode(room, t->b, n, k, count);
        for (int64_t m = 0; m < t->a.rows; m++)
            sums[t->first + m] += t->alpha * dot(rows + m * K + k, w, count);
    }
}

static void gemv_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const gemv_job *j = arg;
    (void)thread;
    for (int64_t n = from; n < to; n++) {
        real sums[GEMV_ROWS] = { 0 };
        const real *rows = j->rows;
        for (const gemm_term *t = j->terms; t < j->terms + j->n_terms; t++) {
            add_term(t, rows, n, sums);
            rows += t->a.rows * t->a.cols;
        }
        for (int64_t m = 0; m < j->c.rows; m++)
            store(j, m, n, sums[m]);
    }
}

void NAME(gemv)(pool *p, mat c, const gemm_term *terms, int n_terms, real beta)
{
    int64_t count = 1, cost = 0;
    for (const gemm_term *t = terms; t < terms + n_terms; t++) {
        count += t->a.rows * t->a.cols;
        cost += t->a.cols;
    }
    real *rows = pool_scratch(p, 0, 0, (size_t)count * sizeof(real)), *out = rows;
    if (!rows)
        return;
    for (const gemm_term *t = terms; t < terms + n_terms; t++)
        for (int64_t m = 0; m < t->a.rows; m++, out += t->a.cols)
            decode(out, t->a, m, 0, t->a.cols);
    gemv_job job = { c, terms, n_terms, rows, beta };
    split_rows(p, c.cols, cost, gemv_rows, &job);
}
