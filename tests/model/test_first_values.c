/* test_first_values.c: PEFT's kinds of first values: the ones that decompose the weight against PEFT's own results, the
 * random ones by their distributions. */
#include "test.h"

#include "err.h"
#include "first_values.h"
#include "mem.h"
#include "model.h"
#include "safetensors.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden"

static const linear *find_linear(const model *m, const char *name)
{
    for (int i = 0; i < m->module_count; i++)
        if (strcmp(m->modules[i]->name, name) == 0)
            return m->modules[i];
    fail_msg("no linear %s", name);
    return NULL;
}

static void make_pair(first_pair *p, const linear *l, const peft_init *init, int64_t rank, double scale)
{
    *p = (first_pair){ .module = l->name, .weight = &l->weight, .init = init, .rank = rank, .scale = scale, .seed = 7 };
    p->a = mem_new((size_t)(rank * inputs_of(&l->weight)), sizeof *p->a);
    p->b = mem_new((size_t)(rank * outputs_of(&l->weight)), sizeof *p->b);
    assert_true(p->a && p->b);
}

static void drop_pair(first_pair *p)
{
    mem_free(p->a);
    mem_free(p->b);
}

static peft_init init_named(const char *name)
{
    peft_init init;

    peft_init_start(&init);
    assert_ok(peft_init_parse(&init, name, NULL));
    return init;
}

/* s B A at [i, j]. */
static double product_at(const first_pair *p, int64_t i, int64_t j)
{
    double sum = 0;

    for (int64_t k = 0; k < p->rank; k++)
        sum += (double)p->b[i * p->rank + k] * (double)p->a[k * inputs_of(p->weight) + j];
    return p->scale * sum;
}

/* The largest difference of s B A from what PEFT takes of the weight, against the largest value there. */
static double apart(const first_pair *p, const tensor *expected)
{
    int64_t in = inputs_of(p->weight), out = outputs_of(p->weight);
    double worst = 0, most = 0;

    assert_int_equal(tensor_count(expected), in * out);
    for (int64_t i = 0; i < out; i++)
        for (int64_t j = 0; j < in; j++) {
            double there = (double)((const float *)expected->data)[i * in + j];

            worst = fmax(worst, fabs(product_at(p, i, j) - there));
            most = fmax(most, fabs(there));
        }
    return worst / most;
}

static void check_taken(const char *base, const char *golden, const char *kind, int64_t rank, double scale)
{
    char path[512];
    safetensors expected;
    model *m;
    int checked = 0;
    peft_init init = init_named(kind);

    snprintf(path, sizeof path, GOLDEN "/models/%s", base);
    assert_ok(model_open(&m, path, false));
    snprintf(path, sizeof path, GOLDEN "/inits/%s/expected.safetensors", golden);
    assert_ok(safetensors_open(&expected, path));
    for (size_t i = 0; i < expected.count; i++) {
        const char *name = expected.names[i];
        first_pair p;
        double error;

        if (strncmp(name, "first.", 6) != 0)
            continue;
        make_pair(&p, find_linear(m, name + 6), &init, rank, scale);
        assert_ok(first_values_check(&p));
        assert_ok(first_values(&p));
        error = apart(&p, &expected.tensors[i]);
        if (error > 1e-5)
            fail_msg("%s of %s is %g of the largest value from PEFT's", kind, name, error);
        drop_pair(&p);
        checked++;
    }
    assert_true(checked >= 4);
    safetensors_close(&expected);
    model_close(m);
}

static void test_taken_from_weight(void **state)
{
    (void)state;
    check_taken("llama", "llama-pissa", "pissa", 4, 1.5);
    check_taken("gpt2", "gpt2-pissa", "pissa", 4, 1.5);
    check_taken("llama", "llama-olora", "olora", 4, 3);
    /* The spectra of random weights are flat, so it takes many rounds to get there. */
    check_taken("llama", "llama-pissa", "pissa_niter_500", 4, 1.5);
}

/* The same values for every number of threads, and for a base that is block-quantised. */
static void test_shared_out(void **state)
{
    static const char *const names[] = { "pissa", "olora", "orthogonal", "pissa_niter_4", "gaussian" };
    model *m;
    pool *teams[2];

    (void)state;
    assert_ok(model_open(&m, GOLDEN "/gguf/llama-Q4_0.gguf", false));
    for (int i = 0; i < 2; i++)
        assert_ok(pool_new(&teams[i], 1 + 2 * i));
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        peft_init init = init_named(names[k]);
        const linear *linears[8];
        first_pair pairs[2][8];
        int found = 0;

        for (int i = 0; found < 8; i++)
            if (m->modules[i]->kind == MODULE_LINEAR)
                linears[found++] = m->modules[i];
        for (int t = 0; t < 2; t++) {
            for (int i = 0; i < 8; i++)
                make_pair(&pairs[t][i], linears[i], &init, 4, 2);
            assert_ok(first_values_all(teams[t], pairs[t], 8));
        }
        for (int i = 0; i < 8; i++) {
            size_t a = (size_t)(4 * inputs_of(pairs[0][i].weight)), b = (size_t)(4 * outputs_of(pairs[0][i].weight));

            assert_memory_equal(pairs[0][i].a, pairs[1][i].a, a * sizeof(real));
            assert_memory_equal(pairs[0][i].b, pairs[1][i].b, b * sizeof(real));
            drop_pair(&pairs[0][i]);
            drop_pair(&pairs[1][i]);
        }
    }
    for (int i = 0; i < 2; i++)
        pool_free(teams[i]);
    model_close(m);
}

/* ---- Random kinds: Kolmogorov and Smirnov's distance from the distribution that PEFT draws from */

static int ascending(const void *a, const void *b)
{
    real x = *(const real *)a, y = *(const real *)b;

    return (x > y) - (x < y);
}

static double uniform_below(double x, double bound)
{
    return x < -bound ? 0 : x > bound ? 1 : (x / bound + 1) / 2;
}

static double normal_below(double x, double deviation)
{
    return erfc(-x / (deviation * sqrt(2))) / 2;
}

/* 1.95 / sqrt(n) is passed by one draw in a thousand; the draws are fixed, so a pass stays a pass. */
static void check_distribution(const char *what, const real *values, int64_t count,
                               double (*below)(double x, double size), double size)
{
    real *sorted = mem_new((size_t)count, sizeof *sorted);
    double distance = 0;

    assert_non_null(sorted);
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    for (int64_t i = 0; i < count; i++) {
        double at = below((double)sorted[i], size);

        distance = fmax(distance, fmax(at - (double)i / (double)count, (double)(i + 1) / (double)count - at));
    }
    mem_free(sorted);
    if (distance > 1.95 / sqrt((double)count))
        fail_msg("%s: %lld values are %g from their distribution", what, (long long)count, distance);
}

enum { IN = 300, OUT = 200, RANK = 8 };

static void check_zero(const real *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        assert_true(values[i] == 0);
}

static void test_distributions(void **state)
{
    float data[1] = { 0 };
    linear l = { .name = "some.module",
                 .weight = { .t = { .type = DT_F32, .ndim = 2, .dim = { OUT, IN }, .data = data } } };
    const char *const names[] = { "true", "false", "gaussian" };
    first_pair p;

    (void)state;
    for (int i = 0; i < 3; i++) {
        peft_init init = init_named(names[i]);

        make_pair(&p, &l, &init, RANK, 2);
        assert_ok(first_values(&p));
        if (i < 2)
            check_distribution(names[i], p.a, RANK * IN, uniform_below, 1 / sqrt(IN));
        else
            check_distribution(names[i], p.a, RANK * IN, normal_below, 1.0 / RANK);
        if (i == 1)
            check_distribution("B of false", p.b, OUT * RANK, uniform_below, 1 / sqrt(RANK));
        else
            check_zero(p.b, OUT * RANK);
        drop_pair(&p);
    }
}

/* Every entry of A and of B is N(0, q² / 100) with q the length of half a column of an orthogonal matrix; B A is zero
 * but for rounding. */
static void test_orthogonal(void **state)
{
    float data[1] = { 0 };
    linear l = { .name = "some.module",
                 .weight = { .t = { .type = DT_F32, .ndim = 2, .dim = { OUT, IN }, .data = data } } };
    peft_init init = init_named("orthogonal");
    double squares[2] = { 0 };
    first_pair p;

    (void)state;
    make_pair(&p, &l, &init, RANK, 1);
    assert_ok(first_values_check(&p));
    assert_ok(first_values(&p));
    for (int64_t i = 0; i < OUT; i++)
        for (int64_t j = 0; j < IN; j++)
            assert_true(fabs(product_at(&p, i, j)) < 1e-7);
    for (int64_t i = 0; i < RANK * IN; i++)
        squares[0] += (double)p.a[i] * (double)p.a[i];
    for (int64_t i = 0; i < RANK * OUT; i++)
        squares[1] += (double)p.b[i] * (double)p.b[i];
    /* E |A|² = in · (r / 2) / 100, with a relative deviation of √(2 / (in · r / 2)) */
    assert_true(fabs(squares[0] / (IN * RANK / 200.0) - 1) < 4 * sqrt(4.0 / (IN * RANK)));
    assert_true(fabs(squares[1] / (OUT * RANK / 200.0) - 1) < 4 * sqrt(4.0 / (OUT * RANK)));
    drop_pair(&p);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        int64_t rank;
        double scale;
        const char *part;
    } cases[] = {
        { "orthogonal", 3, 1, "even rank" },    { "pissa", OUT + 1, 1, "some.module is of 200 x 300" },
        { "olora", OUT + 1, 1, "at most 200" }, { "pissa_niter_2", OUT + 1, 1, "pissa_niter_2" },
        { "pissa", 4, 0, "scale of 0" },        { "corda", 4, -1, "scale of -1" },
    };
    float data[1] = { 0 };
    linear l = { .name = "some.module",
                 .weight = { .t = { .type = DT_F32, .ndim = 2, .dim = { OUT, IN }, .data = data } } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peft_init init = init_named(cases[i].name);
        first_pair p;

        make_pair(&p, &l, &init, cases[i].rank, cases[i].scale);
        assert_int_equal(first_values_check(&p), LORAC_ERROR_USAGE);
        assert_contains(lorac_last_error()->message, cases[i].part);
        drop_pair(&p);
    }
}

/* A weight that cannot be decomposed is told in the thread that asked, whichever thread met it. */
static void test_bad_weight(void **state)
{
    static float data[2][12];
    var weights[2];
    first_pair pairs[2];
    peft_init init = init_named("pissa");
    linear l = { .name = "some.module" };
    pool *team;

    (void)state;
    data[1][5] = NAN;
    assert_ok(pool_new(&team, 2));
    for (int i = 0; i < 2; i++) {
        weights[i] = (var){ .t = { .type = DT_F32, .ndim = 2, .dim = { 3, 4 }, .data = data[i] } };
        l.weight = weights[i];
        make_pair(&pairs[i], &l, &init, 2, 1);
        pairs[i].weight = &weights[i];
    }
    assert_int_equal(first_values_all(team, pairs, 2), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "some.module");
    assert_contains(lorac_last_error()->message, "nan");
    check_zero(pairs[0].a, 8); /* a weight of zeros has nothing to take */
    for (int i = 0; i < 2; i++)
        drop_pair(&pairs[i]);
    pool_free(team);
}

static void test_names(void **state)
{
    static const char *const names[] = { "true",  "false", "gaussian",       "orthogonal", "olora",
                                         "pissa", "eva",   "pissa_niter_16", "corda",      "pissa_niter_0" };
    static const char *const unknown[] = { "mica",          "lora_ga",        "loftq", "pissa_niter_",
                                           "pissa_niter_x", "pissa_niter_-1", "" };
    peft_init init;
    char text[PEFT_INIT_NAME];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        init = init_named(names[i]);
        assert_string_equal(peft_init_name(&init, text), names[i]);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        peft_init_start(&init);
        assert_int_equal(peft_init_parse(&init, unknown[i], "x.json"), LORAC_ERROR_USAGE);
        assert_contains(lorac_last_error()->message, unknown[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_from_weight),
        cmocka_unit_test(test_shared_out),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_orthogonal),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bad_weight),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
