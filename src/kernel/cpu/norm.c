/* norm.c: layer normalisation (Ba, Kiros & Hinton 2016) and RMS normalisation (Zhang & Sennrich 2019), which is the
 * same with a mean and a bias of nothing; forward and backward, one row at a time.
 *
 *     y = w z s + b     z = x - mean x     s = (mean z² + epsilon)^-1/2
 *     dx = s (g - mean g - z s² mean(g z))     dw = Σ_t dy z s     with g = w dy
 *
 * and without `- mean g` where no mean was taken off. */
#include "level.h"

#include <tgmath.h>

typedef struct forward_job {
    act *y;
    real *mean, *rstd;
    const act *x;
    const real *w, *b;
    int64_t C;
    real epsilon;
} forward_job;

INLINE real mean_of(const act *x, int64_t C)
{
    real sum = 0;
    SIMD_SUM(sum)
    for (int64_t c = 0; c < C; c++)
        sum += widen(x[c]);
    return sum / (real)C;
}

INLINE void forward_rows(const forward_job *j, int64_t from, int64_t to, bool centred)
{
    const int64_t C = j->C;
    const real *restrict w = j->w, *restrict b = j->b;
    for (int64_t t = from; t < to; t++) {
        const act *x = j->x + t * C;
        act *y = j->y + t * C;
        const real mean = centred ? mean_of(x, C) : 0;
        real sum = 0;
        SIMD_SUM(sum)
        for (int64_t c = 0; c < C; c++)
            sum += (widen(x[c]) - mean) * (widen(x[c]) - mean);
        const real s = 1 / sqrt(sum / (real)C + j->epsilon);
        j->rstd[t] = s;
        if (centred)
            j->mean[t] = mean;
        SIMD
        for (int64_t c = 0; c < C; c++)
            y[c] = narrow(centred ? w[c] * ((widen(x[c]) - mean) * s) + b[c] : w[c] * (widen(x[c]) * s));
    }
}

static void rms_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    forward_rows(arg, from, to, false);
}

static void layer_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    forward_rows(arg, from, to, true);
}

void NAME(rmsnorm)(pool *p, void *y, real *rstd, const void *x, const real *w, int64_t T, int64_t C, real epsilon)
{
    forward_job job = { y, NULL, rstd, x, w, NULL, C, epsilon };
    split_rows(p, T, C, rms_rows, &job);
}

void NAME(layernorm)(pool *p, void *y, real *mean, real *rstd, const void *x, const real *w, const real *b, int64_t T,
                     int64_t C, real epsilon)
{
    forward_job job = { y, mean, rstd, x, w, b, C, epsilon };
    split_rows(p, T, C, layer_rows, &job);
}

typedef struct backward_job {
    grad dx, dw;
    const act *dy, *x;
    const real *w, *mean, *rstd; /* mean NULL: none was taken off */
    int64_t T, C;
} backward_job;

INLINE void backward_rows(const backward_job *j, int64_t from, int64_t to, bool centred)
{
    const int64_t C = j->C;
    const real *restrict w = j->w;
    for (int64_t t = from; t < to; t++) {
        const act *x = j->x + t * C, *dy = j->dy + t * C;
        act *dx = (act *)j->dx.p + t * C;
        const real s = j->rstd[t], mean = centred ? j->mean[t] : 0;
        real sum = 0, plain = 0;
        SIMD_SUM(sum, plain)
        for (int64_t c = 0; c < C; c++) {
            sum += w[c] * widen(dy[c]) * (widen(x[c]) - mean);
            plain += w[c] * widen(dy[c]);
        }
        const real pull = sum / (real)C * s * s, level = centred ? plain / (real)C : 0;
        if (j->dx.add) {
            SIMD
            for (int64_t c = 0; c < C; c++)
                dx[c] = narrow(widen(dx[c]) + s * (w[c] * widen(dy[c]) - level - (widen(x[c]) - mean) * pull));
        } else {
            SIMD
            for (int64_t c = 0; c < C; c++)
                dx[c] = narrow(s * (w[c] * widen(dy[c]) - level - (widen(x[c]) - mean) * pull));
        }
    }
}

static void rms_rows_back(const void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    backward_rows(arg, from, to, false);
}

static void layer_rows_back(const void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    backward_rows(arg, from, to, true);
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
            const real s = j->rstd[t], mean = j->mean ? j->mean[t] : 0;
            SIMD
            for (int64_t c = 0; c < n; c++)
                sum[c] += widen(dy[c]) * ((widen(x[c]) - mean) * s);
        }
        for (int64_t c = 0; c < n; c++)
            dw[c] += sum[c];
    }
}

void NAME(rmsnorm_back)(pool *p, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *rstd,
                        int64_t T, int64_t C)
{
    backward_job job = { dx, dw, dy, x, w, NULL, rstd, T, C };
    if (dw.p)
        pool_run(p, divide_up(C, SUM_COLUMNS), weight_columns, &job);
    if (dx.p)
        split_rows(p, T, C, rms_rows_back, &job);
}

void NAME(layernorm_back)(pool *p, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *mean,
                          const real *rstd, int64_t T, int64_t C)
{
    backward_job job = { dx, dw, dy, x, w, mean, rstd, T, C };
    if (dw.p)
        pool_run(p, divide_up(C, SUM_COLUMNS), weight_columns, &job);
    if (dx.p)
        split_rows(p, T, C, layer_rows_back, &job);
}
