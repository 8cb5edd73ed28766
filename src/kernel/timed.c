/* timed.c: the table whose entries measure another's. Bytes count each operand once, as if caches were endless. */
#include "timed.h"

#include "clock.h"

#include <string.h>

void profile_attach(profile *p, pool *team, const kernels *inner, int64_t vocabulary)
{
    p->inner = inner;
    p->vocabulary = vocabulary;
    pool_attach(team, p);
}

void profile_clear(profile *p)
{
    memset(p->part, 0, sizeof p->part);
}

/* What a call costs at the least. */
typedef struct cost {
    profile_part part;
    double flops, bytes;
} cost;

static void count(profile *p, double began, cost c)
{
    profile_entry *e = &p->part[c.part];
    e->seconds += clock_seconds() - began;
    e->flops += c.flops;
    e->bytes += c.bytes;
    e->calls++;
}

static double act_bytes(const profile *p, double n)
{
    return n * (double)dtype_block_bytes(p->inner->act);
}

static double real_bytes(double n)
{
    return n * (double)sizeof(real);
}

static double matrix_bytes(mat m)
{
    return (double)m.rows * (double)m.cols * (double)dtype_block_bytes(m.type) / (double)dtype_block(m.type);
}

static cost product_cost(const profile *p, profile_part part, mat c, const gemm_term *terms, int n_terms)
{
    cost sum = { part, 0, matrix_bytes(c) };
    const int64_t rows = terms->a.rows, depth = terms->a.cols;
    if (c.cols == p->vocabulary || (terms->transpose_a ? rows : depth) == p->vocabulary)
        sum.part = PROFILE_HEAD;
    for (const gemm_term *t = terms; t < terms + n_terms; t++) {
        sum.flops += 2.0 * (double)t->a.rows * (double)t->a.cols * (double)c.cols;
        sum.bytes += matrix_bytes(t->a) + matrix_bytes(t->b);
    }
    return sum;
}

/* Scores and their product with the values, `products` of that size in all; masked ones are not counted. */
static cost attention_cost(const profile *p, const attention_span *spans, int64_t n_spans, const attention_shape *shape,
                           int products)
{
    double pairs = 0, rows = 0;
    for (const attention_span *s = spans; s < spans + n_spans; s++) {
        const double q = (double)s->n_q, kv = (double)s->n_kv;
        pairs += shape->causal ? q * kv - q * (q - 1) / 2 : q * kv;
        rows += q * (double)shape->heads + kv * (double)shape->kv_heads;
    }
    const double size = (double)shape->head_size;
    return (cost){ PROFILE_ATTENTION, 2 * products * pairs * size * (double)shape->heads,
                   act_bytes(p, products * rows * size) };
}

/* One entry: the call, then what it cost, as an expression of the parameters and `p`. */
#define TIMED(name, parameters, arguments, ...) \
    static void name parameters                 \
    {                                           \
        profile *p = pool_attached(team);       \
        const double began = clock_seconds();   \
        p->inner->name arguments;               \
        count(p, began, (cost)__VA_ARGS__);     \
    }
#define TIMED_PRODUCT(name, parameters, arguments, part, terms, n_terms) \
    static void name parameters                                          \
    {                                                                    \
        profile *p = pool_attached(team);                                \
        const double began = clock_seconds();                            \
        p->inner->name arguments;                                        \
        count(p, began, product_cost(p, part, c, terms, n_terms));       \
    }

TIMED_PRODUCT(gemm, (pool * team, mat c, mat a, int transpose_a, mat b, int transpose_b, real alpha, real beta),
              (team, c, a, transpose_a, b, transpose_b, alpha, beta), PROFILE_FACTORS,
              (&(gemm_term){ a, b, transpose_a, transpose_b, alpha, 0 }), 1)
TIMED_PRODUCT(gemm_sum, (pool * team, mat c, const gemm_term *terms, int n_terms, real beta),
              (team, c, terms, n_terms, beta), PROFILE_LAYERS, terms, n_terms)
TIMED(bias, (pool * team, void *y, const real *bias, int64_t T, int64_t C), (team, y, bias, T, C),
      { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)(T * C)) })
TIMED(bias_back, (pool * team, real *dbias, const void *dy, int64_t T, int64_t C), (team, dbias, dy, T, C),
      { PROFILE_ELEMENTS, 0, act_bytes(p, (double)(T *C)) })
TIMED(embed, (pool * team, grad y, mat table, int transposed, const int32_t *ids, int64_t T, real alpha),
      (team, y, table, transposed, ids, T, alpha),
      { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)(T * (transposed ? table.rows : table.cols))) })
TIMED(embed_back,
      (pool * team, mat dtable, int transposed, const void *dy, const int32_t *ids, int64_t T, real alpha,
       int32_t skip),
      (team, dtable, transposed, dy, ids, T, alpha, skip),
      { PROFILE_ELEMENTS, 0, act_bytes(p, 3.0 * (double)(T * (transposed ? dtable.rows : dtable.cols))) })
TIMED(scale_columns, (pool * team, mat y, mat x, const real *g, int add), (team, y, x, g, add),
      { PROFILE_FACTORS, 0, (1.0 + add) * matrix_bytes(y) + matrix_bytes(x) })
TIMED(dot_columns, (pool * team, real *sum, const real *g, mat x, mat y), (team, sum, g, x, y),
      { PROFILE_FACTORS, 0, matrix_bytes(x) + matrix_bytes(y) })
TIMED(rmsnorm, (pool * team, void *y, real *rstd, const void *x, const real *w, int64_t T, int64_t C, real epsilon),
      (team, y, rstd, x, w, T, C, epsilon), { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)(T * C)) })
TIMED(rmsnorm_back,
      (pool * team, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *rstd, int64_t T,
       int64_t C),
      (team, dx, dw, dy, x, w, rstd, T, C), { PROFILE_ELEMENTS, 0, act_bytes(p, (3.0 + dx.add) * (double)(T * C)) })
TIMED(layernorm,
      (pool * team, void *y, real *mean, real *rstd, const void *x, const real *w, const real *b, int64_t T, int64_t C,
       real epsilon),
      (team, y, mean, rstd, x, w, b, T, C, epsilon), { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)(T * C)) })
TIMED(layernorm_back,
      (pool * team, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *mean, const real *rstd,
       int64_t T, int64_t C),
      (team, dx, dw, dy, x, w, mean, rstd, T, C),
      { PROFILE_ELEMENTS, 0, act_bytes(p, (3.0 + dx.add) * (double)(T * C)) })
TIMED(rope_angles,
      (pool * team, real *cosine, real *sine, const int32_t *position, const real *frequency, int64_t T, int64_t half,
       real scale),
      (team, cosine, sine, position, frequency, T, half, scale),
      { PROFILE_ELEMENTS, 0, real_bytes(2.0 * (double)(T * half)) })
TIMED(rope,
      (pool * team, void *y, const void *x, const real *cosine, const real *sine, int64_t T, int64_t H, int64_t D,
       int64_t R, int back),
      (team, y, x, cosine, sine, T, H, D, R, back), { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)(T * H * D)) })
TIMED(rope_back,
      (pool * team, grad dx, const void *dy, const real *cosine, const real *sine, int64_t T, int64_t H, int64_t D,
       int64_t R),
      (team, dx, dy, cosine, sine, T, H, D, R),
      { PROFILE_ELEMENTS, 0, act_bytes(p, (2.0 + dx.add) * (double)(T * H * D)) })
TIMED(glu, (pool * team, void *y, const void *gate, const void *up, int64_t N, glu_kind kind),
      (team, y, gate, up, N, kind), { PROFILE_ELEMENTS, 0, act_bytes(p, 3.0 * (double)N) })
TIMED(glu_back,
      (pool * team, grad dgate, grad dup, const void *dy, const void *gate, const void *up, int64_t N, glu_kind kind),
      (team, dgate, dup, dy, gate, up, N, kind), { PROFILE_ELEMENTS, 0, act_bytes(p, 5.0 * (double)N) })
TIMED(activation, (pool * team, void *y, const void *x, int64_t N, glu_kind kind), (team, y, x, N, kind),
      { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)N) })
TIMED(activation_back, (pool * team, grad dx, const void *dy, const void *x, int64_t N, glu_kind kind),
      (team, dx, dy, x, N, kind), { PROFILE_ELEMENTS, 0, act_bytes(p, (3.0 + dx.add) * (double)N) })
TIMED(accumulate, (pool * team, grad d, const void *x, int64_t N), (team, d, x, N),
      { PROFILE_ELEMENTS, 0, act_bytes(p, (2.0 + d.add) * (double)N) })
TIMED(dropout, (pool * team, void *y, const void *x, int64_t N, real rate, uint64_t seed, uint64_t site),
      (team, y, x, N, rate, seed, site), { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)N) })
TIMED(attention,
      (pool * team, void *out, real *lse, const void *q, const void *k, const void *v, const attention_span *spans,
       int64_t n_spans, const attention_shape *shape),
      (team, out, lse, q, k, v, spans, n_spans, shape), attention_cost(p, spans, n_spans, shape, 2))
TIMED(attention_back,
      (pool * team, void *dq, void *dk, void *dv, const void *dout, const void *out, const real *lse, const void *q,
       const void *k, const void *v, const attention_span *spans, int64_t n_spans, const attention_shape *shape),
      (team, dq, dk, dv, dout, out, lse, q, k, v, spans, n_spans, shape), attention_cost(p, spans, n_spans, shape, 5))
TIMED(cross_entropy,
      (pool * team, real *loss, uint8_t *hit, real *logits, const int32_t *labels, const real *weight, int64_t N,
       int64_t V, int back),
      (team, loss, hit, logits, labels, weight, N, V, back),
      { PROFILE_LOSS, 0, real_bytes((1.0 + back) * (double)N * (double)V) })
TIMED(gather_rows, (pool * team, void *y, const void *x, const int32_t *row, int64_t N, int64_t C),
      (team, y, x, row, N, C), { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)(N * C)) })
TIMED(scatter_rows, (pool * team, grad y, const void *x, const int32_t *row, int64_t N, int64_t C),
      (team, y, x, row, N, C), { PROFILE_ELEMENTS, 0, act_bytes(p, (2.0 + y.add) * (double)(N * C)) })
TIMED(convert, (pool * team, void *y, dtype to, const void *x, dtype from, int64_t N), (team, y, to, x, from, N),
      { PROFILE_ELEMENTS, 0, act_bytes(p, 2.0 * (double)N) })
TIMED(adamw, (pool * team, real *w, real *m, real *v, const real *g, int64_t N, const adamw_step *step),
      (team, w, m, v, g, N, step), { PROFILE_OPTIMIZER, 0, real_bytes(7.0 * (double)N) })

static double sum_squares(pool *team, const real *x, int64_t N)
{
    profile *p = pool_attached(team);
    const double began = clock_seconds(), sum = p->inner->sum_squares(team, x, N);
    count(p, began, (cost){ PROFILE_OPTIMIZER, 0, real_bytes((double)N) });
    return sum;
}

static const kernels timed_f32 = {
    .name = "timed",
    .act = DT_F32,
#define ENTRY(entry) .entry = (entry),
#include "entries.def"
};
static const kernels timed_bf16 = {
    .name = "timed",
    .act = DT_BF16,
#define ENTRY(entry) .entry = (entry),
#include "entries.def"
};

const kernels *kernels_timed(dtype act)
{
    return act == DT_BF16 ? &timed_bf16 : &timed_f32;
}
