/* gemv.c: a few rows of a times the rows of a large b, as in generation: every weight is read once, decoded next to the
 * registers and used in real (nothing is rounded to the compute type). Bound by memory, not by arithmetic. */
#include "gemm.h"

enum { STEP = 256 };

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

static void gemv_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const gemv_job *j = arg;
    (void)thread;
    for (int64_t n = from; n < to; n++) {
        real sums[GEMV_ROWS] = { 0 }, w[STEP];
        for (int64_t k = 0; k < j->K; k += STEP) {
            const int64_t count = smaller(STEP, j->K - k);
            decode(w, j->b, n, k, count);
            for (int64_t m = 0; m < j->M; m++) {
                const real *a = j->a + m * j->K + k;
                real sum = 0;
                SIMD_SUM(sum)
                for (int64_t i = 0; i < count; i++)
                    sum += a[i] * w[i];
                sums[m] += sum;
            }
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
