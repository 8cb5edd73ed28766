/* glu.c: gated linear units, y = f(gate) up, and plain activations, y = f(x), with f one of
 *     silu(x) = x σ(x)
 *     gelu(x) = x Φ(x)                                   (erf)
 *     gelu_tanh(x) = x σ(2 √(2/π) (x + 0.044715 x³))     (the tanh form, as ½(1 + tanh u) = σ(2u)) */
#include "functions.h"

typedef struct value_slope {
    real value, slope;
} value_slope;

INLINE real sigmoid(real x)
{
    return 1 / (1 + exp_real(-x));
}

/* f(x) and f'(x). */
INLINE value_slope gate_function(real x, glu_kind kind)
{
    if (kind == GLU_SILU) {
        const real s = sigmoid(x);
        return (value_slope){ x * s, s * (1 + x * (1 - s)) };
    }
    if (kind == GLU_GELU) {
        const real normal = (real)0.5 * (1 + erf_real(x * (real)0.70710678118654752440));
        const real density = (real)0.39894228040143267794 * exp_real((real)-0.5 * x * x);
        return (value_slope){ x * normal, normal + x * density };
    }
    const real twice = (real)1.59576912160573071176, cubic = (real)0.044715;
    const real s = sigmoid(twice * (x + cubic * x * x * x));
    return (value_slope){ x * s, s + x * s * (1 - s) * twice * (1 + 3 * cubic * x * x) };
}

/* Without a gate, x stands in its place and `up` is not there. */
typedef struct glu_job {
    act *y;
    grad dgate, dup;
    const act *dy, *gate, *up;
    glu_kind kind;
} glu_job;

/* Loops for each kind: what is constant in them is what makes vectors of them. */
#define FOR_KIND(loop, j, from, to)       \
    switch ((j)->kind) {                  \
    case GLU_SILU:                        \
        loop(j, from, to, GLU_SILU);      \
        break;                            \
    case GLU_GELU:                        \
        loop(j, from, to, GLU_GELU);      \
        break;                            \
    case GLU_GELU_TANH:                   \
        loop(j, from, to, GLU_GELU_TANH); \
        break;                            \
    }

INLINE void forward_range(const glu_job *j, int64_t from, int64_t to, glu_kind kind)
{
    act *y = j->y;
    const act *gate = j->gate, *up = j->up;
    SIMD
    for (int64_t i = from; i < to; i++)
        y[i] = narrow(gate_function(widen(gate[i]), kind).value * widen(up[i]));
}

static void forward(const void *arg, int64_t from, int64_t to, int thread)
{
    const glu_job *j = arg;
    (void)thread;
    FOR_KIND(forward_range, j, from, to)
}

void NAME(glu)(pool *p, void *y, const void *gate, const void *up, int64_t N, glu_kind kind)
{
    glu_job job = { .y = y, .gate = gate, .up = up, .kind = kind };
    split_elements(p, N, forward, &job);
}

INLINE void backward_range(grad dgate, grad dup, const glu_job *j, int64_t from, int64_t to, glu_kind kind)
{
    const act *dy = j->dy, *gate = j->gate, *up = j->up;
    SIMD
    for (int64_t i = from; i < to; i++) {
        const value_slope f = gate_function(widen(gate[i]), kind);
        const real d = widen(dy[i]), u = widen(up[i]);
        if (dgate.p)
            add_to(dgate, i, d * u * f.slope);
        if (dup.p)
            add_to(dup, i, d * f.value);
    }
}

/* The usual case, both wanted and written, is a loop of its own because it is the one that is worth vectorising. */
INLINE void backward_kind(const glu_job *j, int64_t from, int64_t to, glu_kind kind)
{
    const grad dgate = { j->dgate.p, 0 }, dup = { j->dup.p, 0 }, none = { NULL, 0 };
    if (j->dgate.p && j->dup.p && !j->dgate.add && !j->dup.add)
        backward_range(dgate, dup, j, from, to, kind);
    else {
        backward_range(j->dgate, none, j, from, to, kind);
        backward_range(none, j->dup, j, from, to, kind);
    }
}

static void backward(const void *arg, int64_t from, int64_t to, int thread)
{
    const glu_job *j = arg;
    (void)thread;
    FOR_KIND(backward_kind, j, from, to)
}

void NAME(glu_back)(pool *p, grad dgate, grad dup, const void *dy, const void *gate, const void *up, int64_t N,
                    glu_kind kind)
{
    glu_job job = { .dgate = dgate, .dup = dup, .dy = dy, .gate = gate, .up = up, .kind = kind };
    if (dgate.p || dup.p)
        split_elements(p, N, backward, &job);
}

/* ---- without a gate */

INLINE void activate_range(const glu_job *j, int64_t from, int64_t to, glu_kind kind)
{
    act *y = j->y;
    const act *x = j->gate;
    SIMD
    for (int64_t i = from; i < to; i++)
        y[i] = narrow(gate_function(widen(x[i]), kind).value);
}

static void activate(const void *arg, int64_t from, int64_t to, int thread)
{
    const glu_job *j = arg;
    (void)thread;
    FOR_KIND(activate_range, j, from, to)
}

void NAME(activation)(pool *p, void *y, const void *x, int64_t N, glu_kind kind)
{
    glu_job job = { .y = y, .gate = x, .kind = kind };
    split_elements(p, N, activate, &job);
}

INLINE void slope_range(const glu_job *j, grad dx, int64_t from, int64_t to, glu_kind kind)
{
    const act *dy = j->dy, *x = j->gate;
    SIMD
    for (int64_t i = from; i < to; i++)
        add_to(dx, i, widen(dy[i]) * gate_function(widen(x[i]), kind).slope);
}

INLINE void slope_kind(const glu_job *j, int64_t from, int64_t to, glu_kind kind)
{
    if (j->dgate.add)
        slope_range(j, (grad){ j->dgate.p, 1 }, from, to, kind);
    else
        slope_range(j, (grad){ j->dgate.p, 0 }, from, to, kind);
}

static void slope(const void *arg, int64_t from, int64_t to, int thread)
{
    const glu_job *j = arg;
    (void)thread;
    FOR_KIND(slope_kind, j, from, to)
}

void NAME(activation_back)(pool *p, grad dx, const void *dy, const void *x, int64_t N, glu_kind kind)
{
    glu_job job = { .dgate = dx, .dy = dy, .gate = x, .kind = kind };
    if (dx.p)
        split_elements(p, N, slope, &job);
}
