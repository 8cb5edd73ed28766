/* cross_entropy.c: softmax cross-entropy of whole rows of logits, value and derivative in the same visit. */
#include "functions.h"

typedef struct loss_job {
    real *loss;
    uint8_t *hit;
    real *logits;
    const int32_t *labels;
    const real *weight;
    int64_t V;
    int back;
} loss_job;

INLINE real row_max(const real *x, int64_t n)
{
    real largest = x[0];
    SIMD_MAX(largest)
    for (int64_t i = 0; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static real sum_exp(const real *x, int64_t n, real largest)
{
    real sum = 0;
    SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += exp_real(x[i] - largest);
    return sum;
}

/* The same, leaving the exponentials in x. */
static real make_exp(real *x, int64_t n, real largest)
{
    real sum = 0;
    SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++) {
        const real e = exp_real(x[i] - largest);
        x[i] = e;
        sum += e;
    }
    return sum;
}

enum { SUM_BLOCK = 2048 };

static void loss_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const loss_job *j = arg;
    (void)thread;
    for (int64_t n = from; n < to; n++) {
        real *x = j->logits + n * j->V;
        const real weight = j->weight ? j->weight[n] : 1;
        const int32_t label = j->labels[n];
        assert(label >= 0 && label < j->V);
        const real largest = row_max(x, j->V), at_label = x[label];
        double sum = 0;
        for (int64_t i = 0; i < j->V; i += SUM_BLOCK) {
            const int64_t count = smaller(SUM_BLOCK, j->V - i);
            sum += (double)(j->back ? make_exp(x + i, count, largest) : sum_exp(x + i, count, largest));
        }
        j->loss[n] = (real)(weight * (log(sum) + (double)largest - (double)at_label));
        if (j->hit)
            j->hit[n] = at_label >= largest;
        if (!j->back)
            continue;
        const real factor = (real)(weight / sum);
        SIMD
        for (int64_t i = 0; i < j->V; i++)
            x[i] *= factor;
        x[label] -= weight;
    }
}

void NAME(cross_entropy)(pool *p, real *loss, uint8_t *hit, real *logits, const int32_t *labels, const real *weight,
                         int64_t N, int64_t V, int back)
{
    loss_job job = { loss, hit, logits, labels, weight, V, back };
    split_rows(p, N, V, loss_rows, &job);
}
