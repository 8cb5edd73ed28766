/* Every op's backward against central differences in double precision. L = sum of coefficient · output; for each input
 * and a random direction v, (L(x + hv) - L(x - hv)) / 2h must equal <dL/dx, v>. An activation's gradient must also be
 * the same whether it is the first that is written or is added to what stands there; a parameter's is always added. */
#include "test.h"

#include "err.h"
#include "mem.h"
#include "ops.h"
#include "rng.h"

#include <math.h>

enum { INPUTS = 6, MEMORY = 8 << 20 };

static const double step = 1e-5, tolerance = 1e-7;

typedef struct trial {
    context *c;
    var input[INPUTS];
    bool parameter[INPUTS];
    int inputs;
    real *coefficients; /* of the output */
    /* Runs the op; returns its output, or NULL after setting `loss` itself. */
    var *(*run)(struct trial *t);
    double loss;
    int variant;
    rng random;
} trial;

static void add_input(trial *t, bool parameter, int ndim, const int64_t *dim)
{
    t->parameter[t->inputs] = parameter;
    var *v = &t->input[t->inputs++];
    v->t = (tensor){ .type = DT_REAL, .ndim = ndim };
    memcpy(v->t.dim, dim, (size_t)ndim * sizeof *dim);
    int64_t n = tensor_count(&v->t);
    v->t.data = mem_new((size_t)n, sizeof(real));
    for (int64_t i = 0; i < n; i++)
        ((real *)v->t.data)[i] = rng_normal(&t->random);
    v->needs_grad = true;
}

#define ADD(t, parameter, ...) \
    add_input(t, parameter, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]){ __VA_ARGS__ })
#define INPUT(t, ...) ADD(t, false, __VA_ARGS__)
#define PARAMETER(t, ...) ADD(t, true, __VA_ARGS__)

static double forward(trial *t, var **output)
{
    context_reset(t->c);
    t->loss = 0;
    *output = t->run(t);
    if (!*output)
        return t->loss;
    const real *y = (*output)->t.data;
    double sum = 0;
    for (int64_t i = 0; i < tensor_count(&(*output)->t); i++)
        sum += y[i] * t->coefficients[i];
    return sum;
}

/* Gradients of all inputs; preset: into buffers that hold ones already, else into memory of the pass. */
static void gradients(trial *t, bool preset, real *out[INPUTS])
{
    var *y;
    for (int i = 0; i < t->inputs; i++) {
        int64_t n = tensor_count(&t->input[i].t);
        for (int64_t j = 0; j < n; j++)
            out[i][j] = 1;
        t->input[i].grad_written = preset || t->parameter[i];
        t->input[i].grad = t->input[i].grad_written ? out[i] : NULL;
    }
    t->c->recording = true;
    forward(t, &y);
    if (y) {
        assert_true(y->needs_grad);
        y->grad = context_scratch(t->c, (size_t)tensor_bytes(&y->t));
        memcpy(y->grad, t->coefficients, (size_t)tensor_bytes(&y->t));
        y->grad_written = true;
    }
    backward(t->c);
    t->c->recording = false;
    assert_int_equal(context_status(t->c), LORAC_OK);
    for (int i = 0; i < t->inputs; i++)
        for (int64_t j = 0; j < tensor_count(&t->input[i].t); j++)
            out[i][j] = ((real *)t->input[i].grad)[j] - (preset || t->parameter[i]);
}

static void check_input(trial *t, int which, const real *gradient)
{
    var *x = &t->input[which], *y;
    int64_t n = tensor_count(&x->t);
    real *data = x->t.data;
    real *v = mem_new((size_t)n, sizeof *v), *kept = mem_new((size_t)n, sizeof *kept);
    double analytic = 0, size = 0;
    memcpy(kept, data, (size_t)n * sizeof *data);
    for (int64_t i = 0; i < n; i++) {
        v[i] = rng_normal(&t->random);
        analytic += gradient[i] * v[i];
        size += fabs(gradient[i] * v[i]);
        data[i] = kept[i] + step * v[i];
    }
    double above = forward(t, &y);
    for (int64_t i = 0; i < n; i++)
        data[i] = kept[i] - step * v[i];
    double below = forward(t, &y);
    memcpy(data, kept, (size_t)n * sizeof *data);
    double numeric = (above - below) / (2 * step);
    if (!(size > 0) || !(fabs(numeric - analytic) <= tolerance * (size + 1)))
        fail_msg("variant %d, input %d: derivative %.12g, by differences %.12g (size %g)", t->variant, which, analytic,
                 numeric, size);
    mem_free(v);
    mem_free(kept);
}

/* Fills the inputs that `run` wants (they are made by the caller), then checks them all. */
static void check(trial *t, int64_t outputs)
{
    real *first[INPUTS], *added[INPUTS];
    t->coefficients = mem_new((size_t)outputs + 1, sizeof(real));
    for (int64_t i = 0; i < outputs; i++)
        t->coefficients[i] = rng_normal(&t->random);
    for (int i = 0; i < t->inputs; i++) {
        size_t n = (size_t)tensor_count(&t->input[i].t);
        first[i] = mem_new(n, sizeof(real));
        added[i] = mem_new(n, sizeof(real));
    }
    gradients(t, true, added);
    gradients(t, false, first);
    for (int i = 0; i < t->inputs; i++) {
        for (int64_t j = 0; j < tensor_count(&t->input[i].t); j++)
            assert_true(fabs(first[i][j] - added[i][j]) <= 1e-12 * (1 + fabs(first[i][j])));
        check_input(t, i, first[i]);
    }
    for (int i = 0; i < t->inputs; i++) {
        mem_free(first[i]);
        mem_free(added[i]);
        mem_free(t->input[i].t.data);
    }
    mem_free(t->coefficients);
    context_free(t->c);
}

static trial new_trial(var *(*run)(trial *), int variant)
{
    trial t = { .run = run, .variant = variant, .random = rng_new(7, (uint64_t)variant) };
    context_options options = { .threads = 2, .act = DT_F64, .level = ISA_PORTABLE };
    assert_int_equal(context_new(&t.c, &options), LORAC_OK);
    assert_int_equal(context_reserve(t.c, MEMORY), LORAC_OK);
    return t;
}

/* ---- linear: weight (as it is and turned), bias, two low-rank terms, one of them with dropout and for some rows only
 * ---- */

enum { T = 7, IN = 5, OUT = 6, RANK = 3 };

static var *run_linear(trial *t)
{
    lowrank terms[2] = {
        { .a = &t->input[2], .b = &t->input[3], .scale = 0.7, .count = -1 },
        { .a = &t->input[4], .b = &t->input[5], .scale = -1.3, .dropout = 0.4, .site = 9, .first = 2, .count = 4 },
    };
    t->c->training = true;
    t->c->seed = 3;
    return op_linear(t->c, NULL, &t->input[0], &t->input[1], NULL, terms, 2);
}

/* Factors that lie the other way round, and a term that is a bias. */
static var *run_linear_turned_terms(trial *t)
{
    lowrank terms[2] = {
        { .a = &t->input[2], .b = &t->input[3], .turned = true, .scale = 0.7, .dropout = 0.4, .site = 9, .count = -1 },
        { .a = NULL, .b = &t->input[4], .turned = true, .scale = -1.3, .first = t->variant, .count = 4 },
    };
    t->c->training = true;
    t->c->seed = 3;
    return op_linear(t->c, NULL, &t->input[0], &t->input[1], NULL, terms, 2);
}

static var *run_linear_bias(trial *t)
{
    return op_linear(t->c, NULL, &t->input[0], &t->input[1], &t->input[2], NULL, 0);
}

/* Onto another input, or onto the very x that is multiplied. */
static var *run_linear_onto(trial *t)
{
    return op_linear(t->c, &t->input[t->variant], &t->input[0], &t->input[1 + t->variant], NULL, NULL, 0);
}

static void check_linear(void)
{
    trial t;
    for (int turned = 0; turned <= 1; turned++) {
        t = new_trial(run_linear, turned);
        INPUT(&t, T, IN);
        if (turned)
            PARAMETER(&t, IN, OUT);
        else
            PARAMETER(&t, OUT, IN);
        t.input[1].turned = turned;
        PARAMETER(&t, RANK, IN);
        PARAMETER(&t, OUT, RANK);
        PARAMETER(&t, 2, IN);
        PARAMETER(&t, OUT, 2);
        check(&t, T * OUT);
    }
    for (int first = 0; first <= 3; first += 3) {
        t = new_trial(run_linear_turned_terms, first);
        INPUT(&t, T, IN);
        PARAMETER(&t, OUT, IN);
        PARAMETER(&t, IN, RANK);
        PARAMETER(&t, RANK, OUT);
        PARAMETER(&t, OUT);
        check(&t, T * OUT);
    }
    t = new_trial(run_linear_bias, 1);
    INPUT(&t, T, IN);
    PARAMETER(&t, OUT, IN);
    PARAMETER(&t, OUT);
    check(&t, T * OUT);
    for (int onto = 0; onto <= 1; onto++) {
        t = new_trial(run_linear_onto, onto);
        INPUT(&t, T, IN);
        if (onto)
            INPUT(&t, T, IN);
        PARAMETER(&t, IN, IN);
        check(&t, T * IN);
    }
}

/* ---- magnitude: alone, and with a bias and a stream to add to ---- */

static const real inverse[OUT] = { 0.5, 2, -1, 0.3, 0.7, 1.1 };

/* The factor depends on m: m / norm. */
static magnitude magnitude_for(const var *m, real factor[OUT])
{
    for (int o = 0; o < OUT; o++)
        factor[o] = ((const real *)m->t.data)[o] * inverse[o];
    return (magnitude){ .m = m, .inverse = inverse, .factor = factor, .count = -1 };
}

static var *run_magnitude(trial *t)
{
    static real factor[OUT];
    magnitude m = magnitude_for(&t->input[1], factor);
    return t->variant ? op_magnitude(t->c, &t->input[2], &t->input[0], &t->input[3], &m, 1)
                      : op_magnitude(t->c, NULL, &t->input[0], NULL, &m, 1);
}

static void check_magnitude(void)
{
    for (int more = 0; more <= 1; more++) {
        trial t = new_trial(run_magnitude, more);
        INPUT(&t, T, OUT);
        PARAMETER(&t, OUT);
        if (more) {
            INPUT(&t, T, OUT);
            PARAMETER(&t, OUT);
        }
        check(&t, T * OUT);
    }
}

/* ---- embed: rows and columns of a table, some of them twice, one of them none ---- */

static var *run_embed(trial *t)
{
    static const int32_t ids[T] = { 0, 3, 3, -1, 2, 0, 3 };
    const lookup at = { .ids = ids, .count = T, .padding = -1, .scale = 0.6 };
    return op_embed(t->c, t->inputs > 1 ? &t->input[1] : NULL, &t->input[0], &at);
}

static void check_embed(void)
{
    for (int variant = 0; variant <= 3; variant++) {
        const int turned = variant % 2;
        trial t = new_trial(run_embed, variant);
        if (turned)
            PARAMETER(&t, 4, OUT);
        else
            PARAMETER(&t, OUT, 4);
        t.input[0].turned = turned;
        if (variant >= 2)
            INPUT(&t, T, OUT);
        check(&t, T * OUT);
    }
}

/* ---- rmsnorm over whole rows and over heads ---- */

static var *run_rmsnorm(trial *t)
{
    return op_rmsnorm(t->c, &t->input[0], &t->input[1], 1e-5);
}

static void check_rmsnorm(void)
{
    for (int heads = 1; heads <= 3; heads++) {
        trial t = new_trial(run_rmsnorm, heads);
        INPUT(&t, T, 4 * heads);
        PARAMETER(&t, 4);
        check(&t, T * 4 * heads);
    }
}

/* ---- layernorm over whole rows and over heads ---- */

static var *run_layernorm(trial *t)
{
    return op_layernorm(t->c, &t->input[0], &t->input[1], &t->input[2], 1e-5);
}

static void check_layernorm(void)
{
    for (int heads = 1; heads <= 3; heads++) {
        trial t = new_trial(run_layernorm, heads);
        INPUT(&t, T, 4 * heads);
        PARAMETER(&t, 4);
        PARAMETER(&t, 4);
        check(&t, T * 4 * heads);
    }
}

/* ---- glu and plain activation of each kind ---- */

static var *run_glu(trial *t)
{
    return op_glu(t->c, &t->input[0], &t->input[1], (glu_kind)t->variant);
}

static void check_glu(void)
{
    for (int kind = GLU_SILU; kind <= GLU_GELU; kind++) {
        trial t = new_trial(run_glu, kind);
        INPUT(&t, T, IN);
        INPUT(&t, T, IN);
        check(&t, T * IN);
    }
}

static var *run_activation(trial *t)
{
    return op_activation(t->c, &t->input[0], (glu_kind)t->variant);
}

static void check_activation(void)
{
    for (int kind = GLU_SILU; kind <= GLU_GELU; kind++) {
        trial t = new_trial(run_activation, kind);
        INPUT(&t, T, IN);
        check(&t, T * IN);
    }
}

/* ---- add: two, and a thing to itself ---- */

static var *run_add(trial *t)
{
    return op_add(t->c, &t->input[0], &t->input[t->variant]);
}

static void check_add(void)
{
    for (int other = 0; other <= 1; other++) {
        trial t = new_trial(run_add, other);
        INPUT(&t, T, IN);
        if (other)
            INPUT(&t, T, IN);
        check(&t, T * IN);
    }
}

/* ---- part: one alone, and all three of a row, whose gradients meet in one buffer ---- */

static var *run_part(trial *t)
{
    return op_part(t->c, &t->input[0], t->variant, 3);
}

static var *run_all_parts(trial *t)
{
    var *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = op_part(t->c, &t->input[0], i, 3);
    return op_glu(t->c, op_glu(t->c, part[0], part[1], GLU_SILU), part[2], GLU_GELU);
}

static void check_part(void)
{
    for (int which = 0; which <= 3; which++) {
        trial t = new_trial(which < 3 ? run_part : run_all_parts, which);
        INPUT(&t, T, 3 * IN);
        check(&t, T * IN);
    }
}

/* ---- rope: all of a head, and part of it ---- */

static var *run_rope(trial *t)
{
    static const int32_t positions[T] = { 0, 1, 2, 0, 1, 700, 3 };
    static const real frequency[4] = { 1, 0.3, 0.01, 0.002 };
    rope_table table = rope_angles(t->c, positions, T, frequency, t->variant, 1.1);
    return op_rope(t->c, &t->input[0], &table, 2);
}

static void check_rope(void)
{
    for (int rotated = 2; rotated <= 8; rotated += 2) {
        trial t = new_trial(run_rope, rotated);
        INPUT(&t, T, 2 * 8);
        check(&t, T * 2 * 8);
    }
}

/* ---- attention: documents, groups, window, softcap, bias, not causal ---- */

enum { HEADS = 4, GROUPS = 2, SIZE = 3, LONG = 37 };

static var *run_attention(trial *t)
{
    static const attention_span documents[3] = { { 0, 5, 0, 5 }, { 5, 1, 5, 1 }, { 6, LONG - 6, 6, LONG - 6 } };
    static real bias[HEADS * LONG * LONG];
    for (int i = 0; i < HEADS * LONG * LONG; i++)
        bias[i] = sin(i);
    static const attention_span whole = { 0, LONG, 0, LONG };
    const attention_shape shapes[] = {
        { HEADS, GROUPS, SIZE, 0.6, 0, 0, 1, NULL },   { HEADS, GROUPS, SIZE, 0.6, 0, 4, 1, NULL },
        { HEADS, GROUPS, SIZE, 0.6, 1.5, 0, 1, NULL }, { HEADS, GROUPS, SIZE, 0.6, 0, 0, 0, NULL },
        { HEADS, GROUPS, SIZE, 0.6, 0, 0, 1, bias },   { HEADS, GROUPS, SIZE, 0.6, 2, 0, 0, bias },
    };
    const attention_shape *shape = &shapes[t->variant];
    return shape->bias ? op_attention(t->c, &t->input[0], &t->input[1], &t->input[2], &whole, 1, shape)
                       : op_attention(t->c, &t->input[0], &t->input[1], &t->input[2], documents, 3, shape);
}

static void check_attention(void)
{
    for (int variant = 0; variant < 6; variant++) {
        trial t = new_trial(run_attention, variant);
        INPUT(&t, LONG, HEADS * SIZE);
        INPUT(&t, LONG, GROUPS * SIZE);
        INPUT(&t, LONG, GROUPS * SIZE);
        check(&t, LONG * HEADS * SIZE);
    }
}

/* ---- head_loss: with a trained head and a low-rank term on it, and with a magnitude ---- */

static var *run_head_loss(trial *t)
{
    static const int32_t row[4] = { 0, 2, 3, 6 }, label[4] = { 5, 0, 1, 5 };
    const loss_targets targets = { row, label, 4, 0.25 };
    lowrank term = { .a = &t->input[2], .b = &t->input[3], .scale = 0.7, .count = -1 };
    loss_result result = { 0 };
    real factor[OUT];
    magnitude m = t->variant ? magnitude_for(&t->input[4], factor) : (magnitude){ .m = NULL };
    const head_weights head = { &t->input[1], &term, 1, &m, t->variant };
    op_head_loss(t->c, &t->input[0], &head, &targets, &result);
    assert_int_equal(result.count, 4);
    t->loss = result.sum * targets.grad_scale;
    return NULL;
}

static void check_head_loss(void)
{
    for (int with_magnitude = 0; with_magnitude <= 1; with_magnitude++) {
        trial t = new_trial(run_head_loss, with_magnitude);
        INPUT(&t, T, IN);
        PARAMETER(&t, OUT, IN);
        PARAMETER(&t, RANK, IN);
        PARAMETER(&t, OUT, RANK);
        if (with_magnitude)
            PARAMETER(&t, OUT);
        check(&t, 0);
    }
}

/* ---- segment: a chain of two, kept and recomputed ---- */

static var *segment_body(void *env, const void *self, var *x)
{
    trial *t = env;
    const int *which = self;
    var *h = op_rmsnorm(t->c, x, &t->input[1], 1e-5);
    h = op_glu(t->c, h, x, GLU_SILU);
    return op_linear(t->c, x, h, &t->input[2 + *which], NULL, NULL, 0);
}

static var *run_segment(trial *t)
{
    static const int which[2] = { 0, 1 };
    t->c->recompute = t->variant;
    var *x = op_glu(t->c, &t->input[0], &t->input[0], GLU_SILU);
    x = segment(t->c, segment_body, t, &which[0], x);
    return segment(t->c, segment_body, t, &which[1], x);
}

static void check_segment(void)
{
    for (int recompute = 0; recompute <= 1; recompute++) {
        trial t = new_trial(run_segment, recompute);
        INPUT(&t, T, IN);
        PARAMETER(&t, IN);
        PARAMETER(&t, IN, IN);
        PARAMETER(&t, IN, IN);
        check(&t, T * IN);
    }
}

/* ---- One test per row of ops.def: an op without a check does not build ---- */

#define OP(name)                                   \
    static void derivative_of_##name(void **state) \
    {                                              \
        (void)state;                               \
        check_##name();                            \
    }

#include "ops.def"
#undef OP

int main(void)
{
    const struct CMUnitTest tests[] = {
#define OP(name) cmocka_unit_test(derivative_of_##name),
#include "ops.def"
#undef OP
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
