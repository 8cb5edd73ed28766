/* first_values.c: the random kinds draw, the others decompose the weight in double. Sources: PEFT 0.21
 * (tuners/lora/layer.py, corda.py); OLoRA: Büyükakyüz 2024; PiSSA: Meng, Wang & Zhang 2024; CorDA: Yang et al. 2024;
 * EVA: Paischer et al. 2024. */
#include "first_values.h"

#include "decompose.h"
#include "err.h"
#include "mem.h"
#include "ops.h"
#include "quant.h"
#include "rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Streams of a module's random numbers. */
enum { STREAM_A, STREAM_B, STREAM_BIAS, STREAM_TURN };

static rng stream_of(const first_pair *p, int which)
{
    return rng_new(p->seed, rng_stream(p->module) + (uint64_t)which);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- Small matrices, row by row in double ---- */

static double *matrix_new(int64_t rows, int64_t cols)
{
    return mem_new((size_t)rows, (size_t)cols * sizeof(double));
}

static void turn(double *out, const double *m, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            out[j * rows + i] = m[i * cols + j];
}

/* out [rows, n] = m [rows, inner] x [inner, n]. Eight columns at a time stay in registers. */
static void multiply(double *out, const double *m, const double *x, int64_t rows, int64_t inner, int64_t n)
{
    enum { AT_ONCE = 8 };
    for (int64_t i = 0; i < rows; i++) {
        int64_t j = 0;
        for (; j + AT_ONCE <= n; j += AT_ONCE) {
            double sum[AT_ONCE] = { 0 };
            for (int64_t k = 0; k < inner; k++)
                for (int c = 0; c < AT_ONCE; c++)
                    sum[c] += m[i * inner + k] * x[k * n + j + c];
            memcpy(out + i * n + j, sum, sizeof sum);
        }
        for (; j < n; j++) {
            out[i * n + j] = 0;
            for (int64_t k = 0; k < inner; k++)
                out[i * n + j] += m[i * inner + k] * x[k * n + j];
        }
    }
}

static int check_finite(const char *module, const float *row, int64_t cols)
{
    for (int64_t j = 0; j < cols; j++)
        if (!isfinite(row[j]))
            return fail_at(LORAC_ERROR_DATA, (fault){ .key = module, .expected = "finite numbers" },
                           "the module's weight holds %g and cannot be decomposed", (double)row[j]);
    return LORAC_OK;
}

/* The weight as [out, in]. */
static int decode_weight(double **out, const char *module, const var *weight)
{
    int64_t rows = tensor_rows(&weight->t), cols = tensor_cols(&weight->t);
    float *row = mem_new((size_t)cols, sizeof *row);
    *out = matrix_new(rows, cols);
    int status = row && *out ? LORAC_OK : fail_memory();
    for (int64_t i = 0; status == LORAC_OK && i < rows; i++) {
        quant_decode_row(row, &weight->t, i);
        for (int64_t j = 0; j < cols; j++)
            (*out)[weight->turned ? j * rows + i : i * cols + j] = (double)row[j];
        status = check_finite(module, row, cols);
    }
    mem_free(row);
    return status;
}

/* ---- Random kinds ---- */

static void draw_uniform(const first_pair *p, int which, real *values, int64_t count, double bound)
{
    rng r = stream_of(p, which);
    for (int64_t i = 0; i < count; i++)
        values[i] = (real)((2 * rng_uniform(&r) - 1) * bound);
}

static void draw_normal(const first_pair *p, int which, double *values, int64_t count)
{
    rng r = stream_of(p, which);
    for (int64_t i = 0; i < count; i++)
        values[i] = rng_normal(&r);
}

/* Kaiming-uniform with a = √5 comes to U(-1/√in, 1/√in); so does torch's Linear, whose B is drawn likewise. */
static int draw_default(const first_pair *p)
{
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight);
    draw_uniform(p, STREAM_A, p->a, p->rank * in, 1 / sqrt((double)in));
    if (p->init->kind != INIT_CARELESS)
        return LORAC_OK;
    draw_uniform(p, STREAM_B, p->b, out * p->rank, 1 / sqrt((double)p->rank));
    if (p->b_bias)
        draw_uniform(p, STREAM_BIAS, p->b_bias, out, 1 / sqrt((double)p->rank));
    return LORAC_OK;
}

static void draw_values(const first_pair *p, int which, real *values, int64_t count, double deviation)
{
    rng r = stream_of(p, which);
    for (int64_t i = 0; i < count; i++)
        values[i] = (real)(rng_normal(&r) * deviation);
}

static int draw_gaussian(const first_pair *p)
{
    draw_values(p, STREAM_A, p->a, p->rank * inputs_of(p->weight), 1 / (double)p->rank);
    return LORAC_OK;
}

static int draw_embedding(const first_pair *p)
{
    draw_values(p, STREAM_B, p->b, outputs_of(p->weight) * p->rank, 1);
    if (p->init->kind == INIT_CARELESS)
        draw_values(p, STREAM_A, p->a, p->rank * inputs_of(p->weight), 1);
    return LORAC_OK;
}

/* factor [n, r] = N(0, 1) [n, r/2] times every second row of the orthogonal q, from `first` on, over 10. */
static int draw_half(const first_pair *p, int which, const double *q, int64_t n, double *factor)
{
    int64_t rank = p->rank, half = rank / 2;
    double *normal = matrix_new(n, half), *rows = matrix_new(half, rank);
    int status = normal && rows ? LORAC_OK : fail_memory();
    if (status == LORAC_OK) {
        draw_normal(p, which, normal, n * half);
        for (int64_t i = 0; i < half; i++)
            for (int64_t j = 0; j < rank; j++)
                rows[i * rank + j] = q[(2 * i + which) * rank + j] / 10;
        multiply(factor, normal, rows, n, half, rank);
    }
    mem_free(normal);
    mem_free(rows);
    return status;
}

/* Aᵀ and B have their rows in two halves of space that are orthogonal to each other, so B A = 0 though both are
 * random. */
static int draw_orthogonal(const first_pair *p)
{
    int64_t rank = p->rank, in = inputs_of(p->weight), out = outputs_of(p->weight);
    double *normal = matrix_new(rank, rank), *q = matrix_new(rank, rank), *r = matrix_new(rank, rank);
    double *a = matrix_new(in, rank), *b = matrix_new(out, rank);
    int status = normal && q && r && a && b ? LORAC_OK : fail_memory();
    TRY_GOTO(status);
    draw_normal(p, STREAM_TURN, normal, rank * rank);
    TRY_GOTO(decompose_qr(normal, rank, rank, q, r));
    TRY_GOTO(draw_half(p, STREAM_A, q, in, a));
    TRY_GOTO(draw_half(p, STREAM_B, q, out, b));
    for (int64_t i = 0; i < rank; i++)
        for (int64_t j = 0; j < in; j++)
            p->a[i * in + j] = (real)a[j * rank + i];
    for (int64_t i = 0; i < out * rank; i++)
        p->b[i] = (real)b[i];
done:
    mem_free(normal);
    mem_free(q);
    mem_free(r);
    mem_free(a);
    mem_free(b);
    return status;
}

/* ---- Kinds that take a part of the weight ---- */

/* A = R[:r], B = Q[:, :r] of W = QR. PEFT does not divide by the scale here. */
static int take_olora(const first_pair *p, const double *w)
{
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight), k = least(in, out);
    double *q = matrix_new(out, k), *r = matrix_new(k, in);
    int status = q && r ? decompose_qr(w, out, in, q, r) : fail_memory();
    for (int64_t i = 0; status == LORAC_OK && i < p->rank * in; i++)
        p->a[i] = (real)r[i];
    for (int64_t i = 0; status == LORAC_OK && i < out * p->rank; i++)
        p->b[i] = (real)q[i / p->rank * k + i % p->rank];
    mem_free(q);
    mem_free(r);
    return status;
}

/* `count` triples of W = U S V from the first-th on: B = U √(S/s), A = √(S/s) V. u [out, k], vt [k, in]. */
static void take_triples(const first_pair *p, const double *u, const double *s, const double *vt, int64_t k,
                         int64_t first)
{
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight);
    for (int64_t i = 0; i < p->rank; i++) {
        double root = sqrt(s[first + i] / p->scale);
        for (int64_t j = 0; j < in; j++)
            p->a[i * in + j] = (real)(root * vt[(first + i) * in + j]);
        for (int64_t j = 0; j < out; j++)
            p->b[j * p->rank + i] = (real)(root * u[j * k + first + i]);
    }
}

static int take_pissa(const first_pair *p, const double *w)
{
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight), k = least(in, out);
    double *u = matrix_new(out, k), *s = matrix_new(k, 1), *vt = matrix_new(k, in);
    int status = u && s && vt ? decompose_svd(w, out, in, u, s, vt) : fail_memory();
    if (status == LORAC_OK)
        take_triples(p, u, s, vt, k, 0);
    mem_free(u);
    mem_free(s);
    mem_free(vt);
    return status;
}

/* An orthonormal basis of what m [rows, cols] makes of x [cols, n]; product and triangle are scratch. */
static int basis_of(double *q, const double *m, const double *x, int64_t rows, int64_t cols, int64_t n, double *product,
                    double *triangle)
{
    multiply(product, m, x, rows, cols, n);
    return decompose_qr(product, rows, n, q, triangle);
}

/* Room of a subspace iteration: bases of both sides, and what makes them. */
typedef struct subspace {
    double *turned, *left, *right, *product, *triangle, *small, *u, *s, *vt;
} subspace;

static int subspace_open(subspace *b, int64_t out, int64_t in, int64_t r)
{
    *b = (subspace){
        .turned = matrix_new(in, out),
        .left = matrix_new(out, r),
        .right = matrix_new(in, r),
        .product = matrix_new(out > in ? out : in, r),
        .triangle = matrix_new(r, r),
        .small = matrix_new(r, r),
        .u = matrix_new(out, r),
        .s = matrix_new(r, 1),
        .vt = matrix_new(r, in),
    };
    bool whole = b->turned && b->left && b->right && b->product && b->triangle && b->small && b->u && b->s && b->vt;
    return whole ? LORAC_OK : fail_memory();
}

static void subspace_close(subspace *b)
{
    mem_free(b->turned);
    mem_free(b->left);
    mem_free(b->right);
    mem_free(b->product);
    mem_free(b->triangle);
    mem_free(b->small);
    mem_free(b->u);
    mem_free(b->s);
    mem_free(b->vt);
}

/* Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.1, with as many columns as the rank, as PEFT's svd_lowrank. */
static int iterate(const first_pair *p, const double *w, const subspace *b)
{
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight), r = p->rank;
    turn(b->turned, w, out, in);
    draw_normal(p, STREAM_A, b->right, in * r);
    TRY(basis_of(b->left, w, b->right, out, in, r, b->product, b->triangle));
    for (int64_t i = 0; i < p->init->iterations; i++) {
        TRY(basis_of(b->right, b->turned, b->left, in, out, r, b->product, b->triangle));
        TRY(basis_of(b->left, w, b->right, out, in, r, b->product, b->triangle));
    }
    multiply(b->right, b->turned, b->left, in, out, r); /* (Qᵀ W)ᵀ */
    turn(b->product, b->right, in, r);
    TRY(decompose_svd(b->product, r, in, b->small, b->s, b->vt));
    multiply(b->u, b->left, b->small, out, r, r);
    take_triples(p, b->u, b->s, b->vt, r, 0);
    return LORAC_OK;
}

static int take_pissa_fast(const first_pair *p, const double *w)
{
    subspace b;
    int status = subspace_open(&b, outputs_of(p->weight), inputs_of(p->weight), p->rank);
    if (status == LORAC_OK)
        status = iterate(p, w, &b);
    subspace_close(&b);
    return status;
}

/* The covariance with a hundredth of its mean variance added to every variance, so that it can be inverted. */
static void damp(double *c, const double *covariance, int64_t n)
{
    double mean = 0;
    for (int64_t i = 0; i < n; i++)
        mean += covariance[i * n + i] / (double)n;
    memcpy(c, covariance, (size_t)(n * n) * sizeof *c);
    for (int64_t i = 0; i < n; i++)
        c[i * n + i] += 0.01 * mean;
}

/* W C = U S V; B = U √(S/s), A = √(S/s) V C⁻¹. The inverse is not needed: V C⁻¹ = S⁻¹ Uᵀ W C C⁻¹ = S⁻¹ Uᵀ W. A triple
 * without S carries nothing of W either. */
static int take_corda(const first_pair *p, const double *w)
{
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight), k = least(in, out);
    int64_t first = p->init->corda_keeps ? k - p->rank : 0;
    double *c = matrix_new(in, in), *wc = matrix_new(out, in);
    double *u = matrix_new(out, k), *s = matrix_new(k, 1), *vt = matrix_new(k, in);
    int status = c && wc && u && s && vt ? LORAC_OK : fail_memory();
    TRY_GOTO(status);
    damp(c, p->inputs, in);
    multiply(wc, w, c, out, in, in);
    TRY_GOTO(decompose_svd(wc, out, in, u, s, vt));
    turn(wc, u, out, k); /* its room is free now: [k, out] */
    multiply(vt, wc, w, k, out, in);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < in; j++)
            vt[i * in + j] = s[i] > 0 ? vt[i * in + j] / s[i] : 0;
    take_triples(p, u, s, vt, k, first);
done:
    mem_free(c);
    mem_free(wc);
    mem_free(u);
    mem_free(s);
    mem_free(vt);
    return status;
}

static int take_from_weight(const first_pair *p)
{
    double *w = NULL;
    int status = decode_weight(&w, p->module, p->weight);
    if (status == LORAC_OK)
        status = p->init->kind == INIT_OLORA        ? take_olora(p, w)
                 : p->init->kind == INIT_PISSA      ? take_pissa(p, w)
                 : p->init->kind == INIT_PISSA_FAST ? take_pissa_fast(p, w)
                                                    : take_corda(p, w);
    mem_free(w);
    return status;
}

static int take_directions(const first_pair *p)
{
    for (int64_t i = 0; i < p->rank * inputs_of(p->weight); i++)
        p->a[i] = (real)p->inputs[i];
    return LORAC_OK;
}

/* ---- All kinds ---- */

int first_values_check(const first_pair *p)
{
    char name[PEFT_INIT_NAME], found[96], most[64];
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight);
    fault place = { .key = "r", .found = found };
    snprintf(found, sizeof found, "%lld", (long long)p->rank);
    if (p->init->kind == INIT_ORTHOGONAL && !p->is_embedding && p->rank % 2 != 0) {
        place.expected = "an even rank";
        return fail_at(LORAC_ERROR_USAGE, place, "orthogonal first values come in two equal halves");
    }
    if (p->is_embedding || !peft_init_changes_weight(p->init))
        return LORAC_OK;
    int64_t limit = least(least(in, out), PEFT_RANK_MOST / 2); /* it is filed with twice its rank */
    if (p->rank > limit) {
        snprintf(most, sizeof most, "at most %lld", (long long)limit);
        place.expected = most;
        return fail_at(LORAC_ERROR_USAGE, place, "%s is of %lld x %lld, and %s cannot take such a rank of it",
                       p->module, (long long)out, (long long)in, peft_init_name(p->init, name));
    }
    if (p->scale > 0 || p->init->kind == INIT_OLORA)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "lora_alpha", .expected = "more than 0" },
                   "%s cannot take a part of the weight with a scale of %g", peft_init_name(p->init, name), p->scale);
}

int first_values(const first_pair *p)
{
    if (p->is_embedding)
        return draw_embedding(p);
    switch (p->init->kind) {
    case INIT_DEFAULT:
    case INIT_CARELESS:
        return draw_default(p);
    case INIT_GAUSSIAN:
        return draw_gaussian(p);
    case INIT_ORTHOGONAL:
        return draw_orthogonal(p);
    case INIT_EVA:
        return take_directions(p);
    case INIT_OLORA:
    case INIT_PISSA:
    case INIT_PISSA_FAST:
    case INIT_CORDA:
        return take_from_weight(p);
    }
    return LORAC_OK;
}

static int fill_one(void *arg, int64_t piece)
{
    return first_values((const first_pair *)arg + piece);
}

int first_values_all(pool *team, first_pair *pairs, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        TRY(first_values_check(&pairs[i]));
    return pool_try(team, count, fill_one, pairs);
}
