/* norm.c: RMS normalisation (Zhang & Sennrich 2019), forward and backward, one row at a time.
 *     y = w x s            s = (mean x² + epsilon)^-1/2
 *     dx = s (g - x s² mean(g x))   with g = w dy
 *     dw = Σ_t dy x s */
#include "level.h"

#include <tgmath.h>

typedef struct forward_job {
    act *y;
    real *rstd;
    const act *x;
    const real *w;
    int64_t C;
    real epsilon;
} forward_job;

static void forward_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const forward_job *j = arg;
    (void)thread;
    const int64_t C = j->C;
    const real *restrict w = j->w;
    for (int64_t t = from; t < to; t++) {
        const act *x = j->x + t * C;
        act *y = j->y + t * C;
        real sum = 0;
        SIMD_SUM(sum)
        for (int64_t c = 0; c < C; c++)
            sum += widen(x[c]) * widen(x[c]);
        const real s = 1 / sqrt(sum / (real)C + j->epsilon);
        j->rstd[t] = s;
        SIMD
        for (int64_t c = 0; c < C; c++)
            y[c] = narrow(w[c] * (widen(x[c]) * s));
    }
}

void NAME(rmsnorm)(pool *p, void *y, real *rstd, const void *x, const real *w, int64_t T, int64_t C, real epsilon)
{
    forward_job job = { y, rstd, x, w, C, epsilon };
    split_rows(p, T, C, forward_rows, &job);
}

typedef struct backward_job {
    grad dx, dw;
    const act *dy, *x;
    const real *w, *rstd;
    int64_t T, C;
} backward_job;

static void backward_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const backward_job *j = arg;
    (void)thread;
    const int64_t C = j->C;
    const real *restrict w = j->w;
    for (int64_t t = from; t < to; t++) {
        const act *x = j->x + t * C, *dy = j->dy + t * C;
        act *dx = (act *)j->dx.p + t * C;
        const real s = j->rstd[t];
        real sum = 0;
        SIMD_SUM(sum)
        for (int64_t c = 0; c < C; c++)
            sum += w[c] * widen(dy[c]) * widen(x[c]);
        const real pull = sum / (real)C * s * s;
        if (j->dx.add) {
            SIMD
            for (int64_t c = 0; c < C; c++)
                dx[c] = narrow(widen(dx[c]) + s * (w[c] * widen(dy[c]) - widen(x[c]) * pull));
        } else {
            SIMD
            for (int64_t c = 0; c < C; c++)
                dx[c] = narrow(s * (w[c] * widen(dy[c]) - widen(x[c]) * pull));
        }
    }
}

enum { SUM_COLUMNS = 128, SUM_ROWS = 64 };

/* Columns are summed in blocks of rows, the blocks then in order: shorter chains of additions than row by row. */
static void weight_columns(void *arg, int64_t piece, int thread)
{
    const backward_job *j = arg;
    (void)thread;
    const int64_t from = piece * SUM_COLUMNS, n = smaller(j->C - from, SUM_COLUMNS);
    real *dw = (real *)j->dw.p + from;
    for (int64_t block = 0; block < j->T; block += SUM_ROWS) {
        real sum[SUM_COLUMNS] = { 0 };
        for (int64_t t = block; t < smaller(j->T, block + SUM_ROWS); t++) {
            const act *x = j->x + t * j->C + from, *dy = j->dy + t * j->C + from;
            const real s = j->rstd[t];
            SIMD
            for (int64_t c = 0; c < n; c++)
                sum[c] += widen(dy[c]) * (widen(x[c]) * s);
        }
        for (int64_t c = 0; c < n; c++)
            dw[c] += sum[c];
    }
}

void NAME(rmsnorm_back)(pool *p, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *rstd,
                        int64_t T, int64_t C)
{
    backward_job job = { dx, dw, dy, x, w, rstd, T, C };
    if (dw.p)
        pool_run(p, divide_up(C, SUM_COLUMNS), weight_columns, &job);
    if (dx.p)
        split_rows(p, T, C, backward_rows, &job);
}
