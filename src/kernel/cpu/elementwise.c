/* elementwise.c: kernels whose elements know nothing of each other, and the optimiser's two. */
#include "level.h"

#include <math.h>

typedef struct accumulate_job {
    act *d;
    const act *x;
} accumulate_job;

static void add_range(const void *arg, int64_t from, int64_t to, int thread)
{
    const accumulate_job *j = arg;
    (void)thread;
    act *d = j->d;
    const act *x = j->x;
    SIMD
    for (int64_t i = from; i < to; i++)
        d[i] = narrow(widen(d[i]) + widen(x[i]));
}

static void copy_range(const void *arg, int64_t from, int64_t to, int thread)
{
    const accumulate_job *j = arg;
    (void)thread;
    memcpy(j->d + from, j->x + from, (size_t)(to - from) * sizeof(act));
}

void NAME(accumulate)(pool *p, grad d, const void *x, int64_t N)
{
    accumulate_job job = { d.p, x };
    if (d.p)
        split_elements(p, N, d.add ? add_range : copy_range, &job);
}

enum { SUM_PIECE = 16384 };

typedef struct squares_job {
    const real *x;
    double *sums;
    int64_t N, from;
} squares_job;

static void squares_piece(void *arg, int64_t piece, int thread)
{
    const squares_job *j = arg;
    (void)thread;
    const int64_t from = j->from + piece * SUM_PIECE, to = smaller(j->N, from + SUM_PIECE);
    const real *x = j->x; /* read through j in the loop, it would not become vectors */
    double sum = 0;
    SIMD_SUM(sum)
    for (int64_t i = from; i < to; i++)
        sum += (double)x[i] * (double)x[i];
    j->sums[piece] = sum;
}

double NAME(sum_squares)(pool *p, const real *x, int64_t N)
{
    enum { PIECES = 256 };
    double sums[PIECES], total = 0;
    for (int64_t from = 0; from < N; from += (int64_t)PIECES * SUM_PIECE) {
        const int64_t pieces = smaller(PIECES, divide_up(N - from, SUM_PIECE));
        squares_job job = { x, sums, N, from };
        pool_run(p, pieces, squares_piece, &job);
        for (int64_t i = 0; i < pieces; i++)
            total += sums[i];
    }
    return total;
}

typedef struct adamw_job {
    real *w, *m, *v;
    const real *g;
    adamw_step step;
} adamw_job;

#define sqrt_real(x) _Generic((x), float : sqrtf, double : sqrt)(x)

/* As torch.optim.AdamW: w -= lr · weight_decay · w, then w -= lr / c1 · m / (√v / √c2 + ε), with c the bias corrections
 * 1 - β^t. */
static void adamw_range(const void *arg, int64_t from, int64_t to, int thread)
{
    const adamw_job *j = arg;
    (void)thread;
    const adamw_step s = j->step;
    real *w = j->w, *m = j->m, *v = j->v;
    const real keep = 1 - s.learning_rate * s.weight_decay, step = s.learning_rate / s.correction1;
    const real root = sqrt_real(s.correction2);
    SIMD
    for (int64_t i = from; i < to; i++) {
        const real g = j->g[i] * s.scale;
        m[i] += (g - m[i]) * (1 - s.beta1);
        v[i] = v[i] * s.beta2 + g * g * (1 - s.beta2);
        w[i] = w[i] * keep - step * (m[i] / (sqrt_real(v[i]) / root + s.epsilon));
    }
}

void NAME(adamw)(pool *p, real *w, real *m, real *v, const real *g, int64_t N, const adamw_step *step)
{
    adamw_job job = { w, m, v, g, *step };
    split_elements(p, N, adamw_range, &job);
}
