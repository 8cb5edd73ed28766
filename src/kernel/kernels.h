/* kernels.h: THE table of number loops. A kernel knows no tape, no model and no file. It gets a pool, writes its
 * output first, then reads its inputs, then sizes, then constants. Every loop is written once (in cpu/)
 * and compiled once per instruction set, and once with real = double for the derivative tests.
 *
 * Legend
 *   T tokens (rows)   C columns     H heads   D head size   V vocabulary   N any count
 *   Activations ("act") are stored in the table's type `act`: DT_F32 or DT_BF16 (DT_F64 under test); the
 *   pointers are void. Statistics, norm weights, losses and everything that is reduced is `real`.
 *   d-something is dL/d-something. A `grad` says where a gradient goes: p NULL means nobody wants it and it
 *   must not be computed; add 0 writes, add 1 adds to what is there.
 *   Work is cut into pieces that do not depend on the number of threads, and every sum has a fixed order.
 */
#ifndef LORAC_KERNELS_H
#define LORAC_KERNELS_H

#include "cpu.h"
#include "pool.h"
#include "tensor.h"

typedef struct grad {
    void *p;
    int add;
} grad;

/* A matrix in memory: rows x cols, `ld` elements from row to row (for block types ld == cols and a transposed or
 * column-sliced use starts at a block). */
typedef struct mat {
    void *p;
    dtype type;
    int64_t rows, cols, ld;
} mat;

/* One product of a sum: op(alpha · a) · op(b) is added to the rows of c from `first` on, as many as op(a) has. */
typedef struct gemm_term {
    mat a, b;
    int transpose_a, transpose_b;
    real alpha;
    int64_t first;
} gemm_term;

/* Queries n_q rows from row q; they are the LAST n_q of the n_kv positions whose keys and values stand in n_kv rows
 * from row kv. */
typedef struct attention_span {
    int64_t q, n_q, kv, n_kv;
} attention_span;

typedef struct attention_shape {
    int64_t heads, kv_heads, head_size; /* q and out are [rows, heads, D]; k and v are [rows, kv_heads, D] */
    real scale;                         /* usually D^-1/2 */
    real softcap;                       /* 0: none; else softcap * tanh(score / softcap) */
    int64_t window;                     /* 0: none; else a query sees the last `window` positions, itself included */
    int causal;
    const real *bias; /* NULL, or additive [heads, n_q, n_kv] of a single span */
} attention_shape;

/* The function of a gated linear unit, or of a layer without a gate. */
typedef enum glu_kind { GLU_SILU, GLU_GELU_TANH, GLU_GELU } glu_kind;

typedef struct adamw_step {
    real learning_rate, beta1, beta2, epsilon, weight_decay, correction1, correction2, scale;
} adamw_step;

typedef struct kernels {
    const char *name; /* "avx512-bf16" */
    dtype act;

    /* c = alpha · op(a) · op(b) + beta · c, op transposing when its flag is set. Any two operand types: what is not in
     * the compute type (act) is decoded or rounded to it panel by panel, never as a whole copy; accumulation is f32 (or
     * real). c is act or real. */
    void (*gemm)(pool *, mat c, mat a, int transpose_a, mat b, int transpose_b, real alpha, real beta);
    /* c = the sum of the terms + beta · c, rounded to c's type once: an addition far smaller than half a unit of c,
     * such as a young adapter's, must not be lost against a product that is rounded already. The first term is for all
     * rows of c. */
    void (*gemm_sum)(pool *, mat c, const gemm_term *terms, int n_terms, real beta);
    /* y[T,C] += bias[C];  dbias[C] += column sums of dy. */
    void (*bias)(pool *, void *y, const real *bias, int64_t T, int64_t C);
    void (*bias_back)(pool *, real *dbias, const void *dy, int64_t T, int64_t C);

    /* y[t] = alpha · row ids[t] of table [V,C] of any type, or, transposed, column ids[t] of [C,V]; 0 where the id is
     * negative. */
    void (*embed)(pool *, grad y, mat table, int transposed, const int32_t *ids, int64_t T, real alpha);
    /* dtable (real, as table lies) += alpha · dy[t] where y[t] was taken from. Ids that are negative or `skip` add
     * nothing. */
    void (*embed_back)(pool *, mat dtable, int transposed, const void *dy, const int32_t *ids, int64_t T, real alpha,
                       int32_t skip);

    /* y[t,c] = g[c] · x[t,c], or added to y; both act or both real. */
    void (*scale_columns)(pool *, mat y, mat x, const real *g, int add);
    /* sum[c] += g[c] · Σ_t x[t,c] · y[t,c]; both act or both real. */
    void (*dot_columns)(pool *, real *sum, const real *g, mat x, mat y);

    /* y = w · x · rstd, rstd[t] = (mean x² + epsilon)^-1/2.   (Zhang & Sennrich 2019) */
    void (*rmsnorm)(pool *, void *y, real *rstd, const void *x, const real *w, int64_t T, int64_t C, real epsilon);
    /* dw (real [C], or p NULL) always adds. */
    void (*rmsnorm_back)(pool *, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *rstd,
                         int64_t T, int64_t C);

    /* y = w · (x - mean) · rstd + b, rstd[t] = (mean (x - mean)² + epsilon)^-1/2.   (Ba, Kiros & Hinton 2016) */
    void (*layernorm)(pool *, void *y, real *mean, real *rstd, const void *x, const real *w, const real *b, int64_t T,
                      int64_t C, real epsilon);
    /* dw as above; the gradient of b is bias_back's. */
    void (*layernorm_back)(pool *, grad dx, grad dw, const void *dy, const void *x, const real *w, const real *mean,
                           const real *rstd, int64_t T, int64_t C);

    /* Rotary positions, half-split pairs (i, i + R/2) as in transformers: x is [T, H, D], the first R of D turn.
     * cosine and sine are real [T, R/2]. `back` turns the other way (the transpose). y may be x. */
    void (*rope_angles)(pool *, real *cosine, real *sine, const int32_t *position, const real *frequency, int64_t T,
                        int64_t half, real scale);
    void (*rope)(pool *, void *y, const void *x, const real *cosine, const real *sine, int64_t T, int64_t H, int64_t D,
                 int64_t R, int back);
    void (*rope_back)(pool *, grad dx, const void *dy, const real *cosine, const real *sine, int64_t T, int64_t H,
                      int64_t D, int64_t R);

    /* y = f(gate) · up. */
    void (*glu)(pool *, void *y, const void *gate, const void *up, int64_t N, glu_kind kind);
    void (*glu_back)(pool *, grad dgate, grad dup, const void *dy, const void *gate, const void *up, int64_t N,
                     glu_kind kind);

    /* y = f(x). */
    void (*activation)(pool *, void *y, const void *x, int64_t N, glu_kind kind);
    void (*activation_back)(pool *, grad dx, const void *dy, const void *x, int64_t N, glu_kind kind);

    /* d = x, or d += x. */
    void (*accumulate)(pool *, grad d, const void *x, int64_t N);

    /* y = x · mask / (1 - p). The mask of element i is bit-reproducible from (seed, site, i): Philox. Its own backward.
     */
    void (*dropout)(pool *, void *y, const void *x, int64_t N, real p, uint64_t seed, uint64_t site);

    /* Scaled dot-product attention, softmax in real. lse (log-sum-exp, [rows of q, heads]) may be NULL when nothing is
     * to be differentiated. Spans have disjoint q rows. */
    void (*attention)(pool *, void *out, real *lse, const void *q, const void *k, const void *v,
                      const attention_span *spans, int64_t n_spans, const attention_shape *shape);
    /* All of dq, dk, dv are wanted; they are written, not added to. Spans also have disjoint kv rows. */
    void (*attention_back)(pool *, void *dq, void *dk, void *dv, const void *dout, const void *out, const real *lse,
                           const void *q, const void *k, const void *v, const attention_span *spans, int64_t n_spans,
                           const attention_shape *shape);

    /* Cross-entropy of N rows of logits [N, V] (real) against labels: loss[n] = weight[n] · (lse - logit[label]); when
     * `back`, logits become dL/dlogits = weight[n] · (softmax - onehot). hit[n] (or NULL): 1 when the label is the
     * largest logit. weight NULL: all 1. */
    void (*cross_entropy)(pool *, real *loss, uint8_t *hit, real *logits, const int32_t *labels, const real *weight,
                          int64_t N, int64_t V, int back);

    /* y[i] = x[row[i]] and the reverse, y[row[i]] = x[i] (add: +=). Rows are act [., C]. */
    void (*gather_rows)(pool *, void *y, const void *x, const int32_t *row, int64_t N, int64_t C);
    void (*scatter_rows)(pool *, grad y, const void *x, const int32_t *row, int64_t N, int64_t C);

    /* Between types, any to f32/f64/bf16/f16 (block types can only be read). */
    void (*convert)(pool *, void *y, dtype to, const void *x, dtype from, int64_t N);

    /* Sum of squares of x (real), in a fixed order. */
    double (*sum_squares)(pool *, const real *x, int64_t N);
    /* Decoupled AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it; g is multiplied by step.scale first
     * (clipping). */
    void (*adamw)(pool *, real *w, real *m, real *v, const real *g, int64_t N, const adamw_step *step);
} kernels;

/* The table for a level (never above cpu_isa()) and an activation type; static, never NULL for DT_F32 and DT_BF16
 * (DT_F64 in the double build only). */
const kernels *kernels_for(isa level, dtype act);
/* A table whose entries do nothing: a forward and backward pass with it only measures memory. */
const kernels *kernels_none(dtype act);
/* "oneDNN 2.6.3" or "built-in". */
const char *kernels_gemm_name(void);

#endif
