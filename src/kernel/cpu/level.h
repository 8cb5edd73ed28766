/* level.h: what every template of this folder sees: the names, types and vectors of one instruction set (LEVEL) and
 * one activation type (ACT). Both come from the build; the vector width follows from the compiler's flags.
 * Templates are plain loops that compilers vectorise, or use the vector extensions of gcc and clang. */
#ifndef LORAC_LEVEL_H
#define LORAC_LEVEL_H

#include "kernels.h"
#include "split.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define JOIN_(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define NAME(x) JOIN(x, LEVEL, ACT)

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
enum { LANES = VECTOR_BYTES / sizeof(real) };
typedef real vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define SIMD _Pragma("omp simd")
#define SIMD_SUM(...) SIMD_PRAGMA_(omp simd reduction(+ : __VA_ARGS__))
#define SIMD_MAX(variable) SIMD_PRAGMA_(omp simd reduction(max : variable))
#define SIMD_PRAGMA_(...) SIMD_STRING_(__VA_ARGS__)
#define SIMD_STRING_(...) _Pragma(#__VA_ARGS__)
#define INLINE static inline __attribute__((always_inline))

/* ---- activations */
#if defined(ACT_BF16)
typedef uint16_t act;
#define ACT_TYPE DT_BF16
INLINE real widen(act a)
{
    return bf16_to_f32(a);
}
/* f32_to_bf16 without a branch, so that loops over it vectorise. */
INLINE act narrow(real r)
{
    union {
        float f;
        uint32_t u;
    } v = { (float)r };
    uint32_t rounded = (v.u + 0x7fffu + (v.u >> 16 & 1)) >> 16;
    return (act)((v.u & 0x7fffffffu) > 0x7f800000u ? (v.u >> 16 | 0x40) : rounded);
}
#else
typedef real act;
#define ACT_TYPE DT_REAL
INLINE real widen(act a)
{
    return a;
}
INLINE act narrow(real r)
{
    return r;
}
#endif

INLINE void add_to(grad d, int64_t i, real x)
{
    act *p = d.p;
    p[i] = narrow(d.add ? widen(p[i]) + x : x);
}

/* out[0..n) = elements col.. of row `row` of m, whatever its type. Exact in every type but F64. (decode.c) */
void NAME(decode)(real *out, mat m, int64_t row, int64_t col, int64_t n);
#define decode NAME(decode)

/* ---- the entries, in the order of kernels.h */
void NAME(gemm)(pool *, mat c, mat a, int transpose_a, mat b, int transpose_b, real alpha, real beta);
void NAME(gemm_sum)(pool *, mat c, const gemm_term *terms, int n_terms, real beta);
void NAME(bias)(pool *, void *y, const real *bias, int64_t T, int64_t C);
void NAME(bias_back)(pool *, real *dbias, const void *dy, int64_t T, int64_t C);
void NAME(embed)(pool *, grad y, mat table, int transposed, const int32_t *ids, int64_t T, real alpha);
void NAME(embed_back)(pool *, mat dtable, int transposed, const void *dy, const int32_t *ids, int64_t T, real alpha,
                      int32_t skip);
void NAME(scale_columns)(pool *, mat y, mat x, const real *g, int add);
void NAME(dot_columns)(pool *, real *sum, const real *g, mat x, mat y);
void NAME(rmsnorm)(pool *, void *y, real *rstd, const void *x, const real *w, int64_t T, int64_t C, real epsilon);
void NAME(rmsnorm_back)(pool *, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *rstd,
                        int64_t T, int64_t C);
void NAME(layernorm)(pool *, void *y, real *mean, real *rstd, const void *x, const real *w, const real *b, int64_t T,
                     int64_t C, real epsilon);
void NAME(layernorm_back)(pool *, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *mean,
                          const real *rstd, int64_t T, int64_t C);
void NAME(rope_angles)(pool *, real *cosine, real *sine, const int32_t *position, const real *frequency, int64_t T,
                       int64_t half, real scale);
void NAME(rope)(pool *, void *y, const void *x, const real *cosine, const real *sine, int64_t T, int64_t H, int64_t D,
                int64_t R, int back);
void NAME(rope_back)(pool *, grad dx, const void *dy, const real *cosine, const real *sine, int64_t T, int64_t H,
                     int64_t D, int64_t R);
void NAME(glu)(pool *, void *y, const void *gate, const void *up, int64_t N, glu_kind kind);
void NAME(glu_back)(pool *, grad dgate, grad dup, const void *dy, const void *gate, const void *up, int64_t N,
                    glu_kind kind);
void NAME(activation)(pool *, void *y, const void *x, int64_t N, glu_kind kind);
void NAME(activation_back)(pool *, grad dx, const void *dy, const void *x, int64_t N, glu_kind kind);
void NAME(accumulate)(pool *, grad d, const void *x, int64_t N);
void NAME(dropout)(pool *, void *y, const void *x, int64_t N, real p, uint64_t seed, uint64_t site);
void NAME(attention)(pool *, void *out, real *lse, const void *q, const void *k, const void *v,
                     const attention_span *spans, int64_t n_spans, const attention_shape *shape);
void NAME(attention_back)(pool *, void *dq, void *dk, void *dv, const void *dout, const void *out, const real *lse,
                          const void *q, const void *k, const void *v, const attention_span *spans, int64_t n_spans,
                          const attention_shape *shape);
void NAME(cross_entropy)(pool *, real *loss, uint8_t *hit, real *logits, const int32_t *labels, const real *weight,
                         int64_t N, int64_t V, int back);
void NAME(gather_rows)(pool *, void *y, const void *x, const int32_t *row, int64_t N, int64_t C);
void NAME(scatter_rows)(pool *, grad y, const void *x, const int32_t *row, int64_t N, int64_t C);
void NAME(convert)(pool *, void *y, dtype to, const void *x, dtype from, int64_t N);
double NAME(sum_squares)(pool *, const real *x, int64_t N);
void NAME(adamw)(pool *, real *w, real *m, real *v, const real *g, int64_t N, const adamw_step *step);
extern const kernels NAME(kernels);

#endif
