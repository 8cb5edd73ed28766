/* gemv.c: a few rows of a times the rows of a large b, as in generation: every weight is read once, decoded next to the
 * registers and used in real (nothing is rounded to the compute type). Bound by memory, not by arithmetic. */
#include "gemm.h"

enum { STEP = 2048 };

typedef struct gemv_job {
    mat c, b;
    const real *a; /* [M, K] */
    int64_t M, K;
    real alpha, beta;
} gemv_job;

static void store(const gemv_job *j, int64_t m, int64_t n, real sum)
{
    const int64_t at = m * j->c.ld + n;
    if (j->c.type == DT_REAL) {
        real *c = (real *)j->c.p + at;
        *c = j->beta == 0 ? j->alpha * sum : j->alpha * sum + j->beta * *c;
    } else {
        act *c = (act *)j->c.p + at;
        *c = narrow(j->beta == 0 ? j->alpha * sum : j->alpha * sum + j->beta * widen(*c));
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

static void gemv_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const gemv_job *j = arg;
    (void)thread;
    for (int64_t n = from; n < to; n++) {
        real sums[GEMV_ROWS] = { 0 }, room[STEP];
        for (int64_t k = 0; k < j->K; k += STEP) {
            const int64_t count = smaller(STEP, j->K - k);
            const real *w = room;
            if (j->b.type == DT_REAL && (uintptr_t)j->b.p % sizeof(real) == 0)
                w = (const real *)j->b.p + n * j->b.ld + k;
            else
                decode(room, j->b, n, k, count);
            for (int64_t m = 0; m < j->M; m++)
                sums[m] += dot(j->a + m * j->K + k, w, count);
        }
        for (int64_t m = 0; m < j->M; m++)
            store(j, m, n, sums[m]);
    }
}

void NAME(gemv)(pool *p, mat c, mat a, mat b, real alpha, real beta)
{
    const int64_t M = c.rows, K = a.cols;
    real *rows = pool_scratch(p, 0, 0, (size_t)(M * K + 1) * sizeof(real));
    if (!rows)
        return;
    for (int64_t m = 0; m < M; m++)
        decode(rows + m * K, a, m, 0, K);
    gemv_job job = { c, b, rows, M, K, alpha, beta };
    split_rows(p, c.cols, K, gemv_rows, &job);
}
