/* truncate.c: see truncate.h. */
#include "truncate.h"

#include "decompose.h"
#include "err.h"
#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int svd_new(svd *t, int64_t out, int64_t k, int64_t in)
{
    *t = (svd){ .out = out, .k = k, .in = in };
    t->u = mem_new((size_t)out * (size_t)k, sizeof *t->u);
    t->s = mem_new((size_t)k, sizeof *t->s);
    t->vt = mem_new((size_t)k * (size_t)in, sizeof *t->vt);
    return t->u && t->s && t->vt ? LORAC_OK : fail_memory();
}

void svd_free(svd *t)
{
    mem_free(t->u);
    mem_free(t->s);
    mem_free(t->vt);
    *t = (svd){ 0 };
}

int svd_of_matrix(svd *t, const double *m, int64_t out, int64_t in)
{
    TRY(svd_new(t, out, least(out, in), in));
    return decompose_svd(m, out, in, t->u, t->s, t->vt);
}

int svd_of_product(svd *t, const double *b, const double *a, int64_t out, int64_t inner, int64_t in)
{
    TRY(svd_new(t, out, least(inner, least(out, in)), in));
    return decompose_product(b, a, out, inner, in, t->u, t->s, t->vt);
}

double svd_energy(const svd *t, int64_t rank)
{
    double sum = 0;

    for (int64_t i = 0; i < least(rank, t->k); i++)
        sum += t->s[i] * t->s[i];
    return sum;
}

int64_t svd_rank_for(const svd *t, double share)
{
    const double wanted = share * svd_energy(t, t->k);
    double sum = t->s[0] * t->s[0];
    int64_t rank = 1;

    for (; rank < t->k && sum < wanted; rank++)
        sum += t->s[rank] * t->s[rank];
    return rank;
}

static int ascending(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static void limit_entries(double *x, int64_t n, double limit)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = fmin(fmax(x[i], -limit), limit);
}

/* The quantile lies between two entries, in proportion: torch.quantile's default. */
static int clamp_factors(double *us, int64_t us_count, double *vt, int64_t vt_count, double quantile)
{
    const int64_t n = us_count + vt_count;
    double *sorted = mem_new((size_t)n, sizeof *sorted);

    if (!sorted)
        return fail_memory();
    memcpy(sorted, us, (size_t)us_count * sizeof *us);
    memcpy(sorted + us_count, vt, (size_t)vt_count * sizeof *vt);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    const double place = quantile * (double)(n - 1), below = floor(place);
    const int64_t at = (int64_t)below, next = least(at + 1, n - 1);
    const double limit = fmax(sorted[at] + (place - below) * (sorted[next] - sorted[at]), 0);
    mem_free(sorted);
    limit_entries(us, us_count, limit);
    limit_entries(vt, vt_count, limit);
    return LORAC_OK;
}

int svd_store(svd *t, factor_set *set, const char *module, int64_t rank, double clamp)
{
    const int64_t kept = least(rank, t->k);
    factor_pair *pair;

    TRY(factor_set_add(set, module, rank, t->in, t->out, &pair));
    for (int64_t o = 0; o < t->out; o++)
        for (int64_t i = 0; i < kept; i++) /* rows move up in place, never past what is still to be read */
            t->u[o * kept + i] = t->u[o * t->k + i] * t->s[i];
    if (!isnan(clamp))
        TRY(clamp_factors(t->u, t->out * kept, t->vt, kept * t->in, clamp));
    for (int64_t o = 0; o < t->out; o++)
        TRY(factors_store(pair->b + o * rank, t->u + o * kept, kept, module));
    return factors_store(pair->a, t->vt, kept * t->in, module);
}
