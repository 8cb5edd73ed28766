/* none.c: the table whose entries do nothing. A forward and backward pass with it touches no numbers, so what the pass
 * allocates can be measured in no time and without the memory being there. */
#include "kernels.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

static void gemm(pool *team, mat c, mat a, int transpose_a, mat b, int transpose_b, real alpha, real beta)
{
}

static void gemm_sum(pool *team, mat c, const gemm_term *terms, int n_terms, real beta)
{
}

static void bias(pool *team, void *y, const real *bias, int64_t T, int64_t C)
{
}

static void bias_back(pool *team, real *dbias, const void *dy, int64_t T, int64_t C)
{
}

static void embed(pool *team, grad y, mat table, int transposed, const int32_t *ids, int64_t T, real alpha)
{
}

static void embed_back(pool *team, mat dtable, int transposed, const void *dy, const int32_t *ids, int64_t T,
                       real alpha, int32_t skip)
{
}

static void scale_columns(pool *team, mat y, mat x, const real *g, int add)
{
}

static void dot_columns(pool *team, real *sum, const real *g, mat x, mat y)
{
}

static void rmsnorm(pool *team, void *y, real *rstd, const void *x, const real *w, int64_t T, int64_t C, real epsilon)
{
}

static void rmsnorm_back(pool *team, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *rstd,
                         int64_t T, int64_t C)
{
}

static void layernorm(pool *team, void *y, real *mean, real *rstd, const void *x, const real *w, const real *b,
                      int64_t T, int64_t C, real epsilon)
{
}

static void layernorm_back(pool *team, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *mean,
                           const real *rstd, int64_t T, int64_t C)
{
}

static void rope_angles(pool *team, real *cosine, real *sine, const int32_t *position, const real *frequency, int64_t T,
                        int64_t half, real scale)
{
}

static void rope(pool *team, void *y, const void *x, const real *cosine, const real *sine, int64_t T, int64_t H,
                 int64_t D, int64_t R, int back)
{
}

static void rope_back(pool *team, grad dx, const void *dy, const real *cosine, const real *sine, int64_t T, int64_t H,
                      int64_t D, int64_t R)
{
}

static void glu(pool *team, void *y, const void *gate, const void *up, int64_t N, glu_kind kind)
{
}

static void glu_back(pool *team, grad dgate, grad dup, const void *dy, const void *gate, const void *up, int64_t N,
                     glu_kind kind)
{
}

static void activation(pool *team, void *y, const void *x, int64_t N, glu_kind kind)
{
}

static void activation_back(pool *team, grad dx, const void *dy, const void *x, int64_t N, glu_kind kind)
{
}

static void accumulate(pool *team, grad d, const void *x, int64_t N)
{
}

static void dropout(pool *team, void *y, const void *x, int64_t N, real p, uint64_t seed, uint64_t site)
{
}

static void attention(pool *team, void *out, real *lse, const void *q, const void *k, const void *v,
                      const attention_span *spans, int64_t n_spans, const attention_shape *shape)
{
}

static void attention_back(pool *team, void *dq, void *dk, void *dv, const void *dout, const void *out, const real *lse,
                           const void *q, const void *k, const void *v, const attention_span *spans, int64_t n_spans,
                           const attention_shape *shape)
{
}

static void cross_entropy(pool *team, real *loss, uint8_t *hit, real *logits, const int32_t *labels, const real *weight,
                          int64_t N, int64_t V, int back)
{
}

static void gather_rows(pool *team, void *y, const void *x, const int32_t *row, int64_t N, int64_t C)
{
}

static void scatter_rows(pool *team, grad y, const void *x, const int32_t *row, int64_t N, int64_t C)
{
}

static void convert(pool *team, void *y, dtype to, const void *x, dtype from, int64_t N)
{
}

static double sum_squares(pool *team, const real *x, int64_t N)
{
    return 0;
}

static void adamw(pool *team, real *w, real *m, real *v, const real *g, int64_t N, const adamw_step *step)
{
}

static const kernels none_f32 = {
    .name = "none",
    .act = DT_F32,
#define ENTRY(entry) .entry = (entry),
#include "entries.def"
};
static const kernels none_bf16 = {
    .name = "none",
    .act = DT_BF16,
#define ENTRY(entry) .entry = (entry),
#include "entries.def"
};
static const kernels none_f64 = {
    .name = "none",
    .act = DT_F64,
#define ENTRY(entry) .entry = (entry),
#include "entries.def"
};

const kernels *kernels_none(dtype act)
{
    return act == DT_BF16 ? &none_bf16 : act == DT_F64 ? &none_f64 : &none_f32;
}
