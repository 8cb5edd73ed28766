/* Adapters made of others: PEFT's results for every method, what pruning keeps, what is refused, and adapters out of
 * models and out of adapters of a higher rank. */
#include "test_in_folder.h"

#include "combine.h"
#include "err.h"
#include "export.h"
#include "extract.h"
#include "json.h"
#include "mem.h"
#include "merge_rules.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"
#define ADAPTER(name) GOLDEN "adapters/" name
#define LLAMA GOLDEN "models/llama"

enum { ADAPTERS_MOST = 4 };

static void ok(int status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static lorac_combine_options options_for(int method)
{
    return (lorac_combine_options){ .method = method, .density = NAN, .svd_clamp = NAN };
}

/* A + B of one module multiplied out, [out, in]; the caller frees. */
static double *multiply(const double *a, const double *b, int64_t out, int64_t rank, int64_t in, double scale)
{
    double *delta = mem_new((size_t)(out * in), sizeof *delta);

    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < rank; k++)
            for (int64_t i = 0; i < in; i++)
                delta[o * in + i] += scale * b[o * rank + k] * a[k * in + i];
    return delta;
}

static double *filed_delta(const factor_source *f, const filed_pair *p)
{
    double *a, *b, *delta;

    ok(filed_values(f, p, p->a, &a));
    ok(filed_values(f, p, p->b, &b));
    delta = multiply(a, b, p->b->dim[0], p->a->dim[0], p->a->dim[1], p->scale);
    mem_free(a);
    mem_free(b);
    return delta;
}

/* The largest difference as a share of the largest expected value. */
static double apart(const double *got, const double *expected, int64_t n)
{
    double largest = 0, difference = 0;

    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(expected[i]));
        difference = fmax(difference, fabs(got[i] - expected[i]));
    }
    return largest > 0 ? difference / largest : difference;
}

/* Combines into $folder/NAME and opens what was written. */
static void combine_into(factor_source *out, const char *name, const lorac_adapter_ref *refs, size_t count,
                         const lorac_combine_options *options)
{
    char path[512];
    factor_set set;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    ok(combine(&set, NULL, refs, count, options));
    ok(folder_make(path));
    ok(factor_set_save(&set, path));
    factor_set_free(&set);
    ok(factor_source_open(out, path, NULL));
}

/* ---- PEFT's results */

static const char *text_in(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static int method_named(const char *name)
{
    for (int i = 0; i <= LORAC_COMBINE_MAGNITUDE_PRUNE_SVD; i++)
        if (strcmp(combination_name(i), name) == 0)
            return i;
    fail_msg("no method %s", name);
    return -1;
}

static const double *golden_values(const safetensors *s, const filed_pair *p, bool is_a, double *room, int64_t *rank)
{
    const tensor *t = safetensors_find(s, is_a ? p->a_name : p->b_name);

    assert_non_null(t);
    assert_int_equal(t->type, DT_F32);
    for (int64_t i = 0; i < tensor_count(t); i++) {
        float value;
        memcpy(&value, (const char *)t->data + i * (int64_t)sizeof value, sizeof value);
        room[i] = value;
    }
    *rank = is_a ? t->dim[0] : t->dim[1];
    return room;
}

static void compare_with_peft(const factor_source *got, const char *path, const char *name)
{
    static double a[1 << 16], b[1 << 16];
    safetensors expected;

    ok(safetensors_open(&expected, path));
    assert_int_equal(expected.count, 2 * got->count);
    for (size_t i = 0; i < got->count; i++) {
        const filed_pair *p = &got->pairs[i];
        const int64_t out = p->b->dim[0], in = p->a->dim[1];
        int64_t rank;

        assert_true(p->scale == 1);
        golden_values(&expected, p, true, a, &rank);
        golden_values(&expected, p, false, b, &rank);
        double *peft = multiply(a, b, out, rank, in, 1), *ours = filed_delta(got, p);
        double error = apart(ours, peft, out * in);
        if (!(error < 1e-5))
            fail_msg("%s: %s is %g of the largest value apart", name, p->module, error);
        mem_free(peft);
        mem_free(ours);
    }
    safetensors_close(&expected);
}

static void check_case(const json_t *one)
{
    const char *name = text_in(one, "name");
    const json_t *list = json_object_get(one, "adapters"), *value;
    lorac_combine_options options = options_for(method_named(text_in(one, "method")));
    lorac_adapter_ref refs[ADAPTERS_MOST];
    char paths[ADAPTERS_MOST][256], golden[512];
    factor_source got;

    assert_in_range(json_array_size(list), 1, ADAPTERS_MOST);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        snprintf(paths[i], sizeof paths[i], ADAPTER("%s"), json_string_value(json_array_get(pair, 0)));
        refs[i] = (lorac_adapter_ref){ paths[i], json_number_value(json_array_get(pair, 1)) };
    }
    if ((value = json_object_get(one, "density")) != NULL)
        options.density = json_number_value(value);
    options.svd_rank = json_integer_value(json_object_get(one, "svd_rank"));
    if (json_object_get(one, "majority_sign"))
        options.majority_sign = LORAC_MAJORITY_FREQUENCY;
    combine_into(&got, name, refs, json_array_size(list), &options);
    snprintf(golden, sizeof golden, GOLDEN "combined/%s.safetensors", name);
    compare_with_peft(&got, golden, name);
    factor_source_close(&got);
}

static void every_method_gives_pefts_update(void **state)
{
    json_t *cases;

    (void)state;
    ok(json_read(&cases, GOLDEN "combined/cases.json", 1 << 20, 0));
    assert_true(json_array_size(cases) >= 19);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i));
    json_decref(cases);
}

/* ---- Configuration */

static void ranks_that_differ_stand_in_the_patterns(void **state)
{
    const lorac_adapter_ref refs[] = { { ADAPTER("layers"), 1 }, { ADAPTER("patterns"), 1 } };
    const lorac_combine_options options = options_for(LORAC_COMBINE_CAT);
    factor_source got;

    (void)state;
    combine_into(&got, "patterns-of-cat", refs, 2, &options);
    const peft_config *c = &got.file.config;
    assert_int_equal(c->r, 9); /* up_proj of layer 1: 3 and 6 */
    assert_true(c->lora_alpha == 9 && c->rank_count > 0 && c->alpha_count == c->rank_count);
    for (size_t i = 0; i < c->rank_count; i++)
        assert_true(c->alpha_values[i] == (double)c->rank_values[i]);
    assert_int_equal(factor_source_find(&got, "model.layers.1.mlp.up_proj")->a->dim[0], 9);
    assert_int_equal(factor_source_find(&got, "model.layers.0.self_attn.k_proj")->a->dim[0], 2);
    factor_source_close(&got);
}

/* The rank-stabilised scale of the source is in the result, which is not rank-stabilised itself. */
static void the_result_is_plain_lora(void **state)
{
    const lorac_adapter_ref refs[] = { { ADAPTER("rslora"), 1 }, { ADAPTER("qv"), 1 } };
    const lorac_combine_options options = options_for(LORAC_COMBINE_CAT);
    factor_source got;

    (void)state;
    combine_into(&got, "plain", refs, 2, &options);
    assert_false(got.file.config.use_rslora);
    assert_string_equal(got.file.config.base_model_name_or_path, "llama");
    assert_string_equal(got.file.config.task_type, "CAUSAL_LM");
    assert_int_equal(got.file.config.target_count, 4); /* q, v, o and down, by their last names */
    factor_source_close(&got);
}

static void other_formats_are_read(void **state)
{
    static const char *const paths[] = { GOLDEN "formats/qv-bin", GOLDEN "formats/qv-mlx",
                                         GOLDEN "formats/qv-gguf.gguf" };
    const lorac_combine_options options = options_for(LORAC_COMBINE_CAT);
    factor_source qv;
    model *m;

    (void)state;
    ok(model_open(&m, LLAMA, NULL));
    ok(factor_source_open(&qv, ADAPTER("qv"), NULL));
    for (size_t i = 0; i < 3; i++) {
        const lorac_adapter_ref refs[] = { { paths[i], 2 }, { ADAPTER("qv"), -1 } };
        factor_set set;

        ok(combine(&set, m, refs, 2, &options));
        assert_int_equal(set.count, qv.count);
        for (size_t k = 0; k < set.count; k++) { /* 2 d - d = d */
            const factor_pair *p = &set.pairs[k];
            double *a = mem_new((size_t)(p->rank * p->in), sizeof *a),
                   *b = mem_new((size_t)(p->out * p->rank), sizeof *b);
            for (int64_t n = 0; n < p->rank * p->in; n++)
                a[n] = p->a[n];
            for (int64_t n = 0; n < p->out * p->rank; n++)
                b[n] = p->b[n];
            double *got = multiply(a, b, p->out, p->rank, p->in, 1);
            double *expected = filed_delta(&qv, factor_source_find(&qv, p->module));
            assert_true(apart(got, expected, p->out * p->in) < 1e-5);
            mem_free(a);
            mem_free(b);
            mem_free(got);
            mem_free(expected);
        }
        factor_set_free(&set);
    }
    factor_source_close(&qv);
    model_close(m);
}

/* ---- The rules alone */

static void fill(double *m, int64_t n, const char *stream)
{
    rng r = rng_new(3, rng_stream(stream));

    for (int64_t i = 0; i < n; i++)
        m[i] = rng_normal(&r);
}

static int by_magnitude(const void *a, const void *b)
{
    const double x = fabs(*(const double *)a), y = fabs(*(const double *)b);

    return (x < y) - (x > y);
}

static void pruning_keeps_the_largest(void **state)
{
    enum { ROWS = 13, COLS = 11, N = ROWS * COLS };
    static const double densities[] = { 0.001, 0.01, 0.3, 0.77, 0.999, 1 };
    double x[N], sorted[N], out[N];

    (void)state;
    fill(x, N, "x");
    for (int i = 0; i < N; i += 3)
        x[i] = round(x[i]); /* equal magnitudes, zeros */
    memcpy(sorted, x, sizeof x);
    qsort(sorted, N, sizeof *sorted, by_magnitude);
    for (size_t d = 0; d < sizeof densities / sizeof *densities; d++) {
        merge_input input = { .right = x, .scale = 1, .weight = 1 };
        const merge_rule rule = { .prune = PRUNE_MAGNITUDE, .density = densities[d] };
        const int kept = (int)(densities[d] * N);
        double sum = 0, expected = 0;

        ok(merge_matrices(out, &input, 1, ROWS, COLS, &rule));
        for (int i = 0; i < N; i++) {
            assert_true(out[i] == 0 || out[i] == x[i]);
            sum += fabs(out[i]);
            expected += i < kept ? fabs(sorted[i]) : 0;
        }
        assert_true(fabs(sum - expected) < 1e-12);
    }
}

static void signs_are_elected(void **state)
{
    double a[] = { 1, 1, 5, 0, -1, 2 }, b[] = { 2, -3, -1, 0, -1, -1 }, c[] = { 3, 1, -2, 0, 1, -1 }, out[6];
    merge_input inputs[] = { { .right = a, .scale = 1, .weight = 1 },
                             { .right = b, .scale = 1, .weight = 2 },
                             { .right = c, .scale = 1, .weight = -1 } };
    const merge_rule total = { .elect = true, .density = 1 },
                     most = { .elect = true, .by_frequency = true, .density = 1 };
    const double by_total[] = { (1 + 4 - 3) / 3.0, -6, 5, 0, (-1 - 2) / 2.0, 2 };
    const double by_most[] = { (1 + 4 - 3) / 3.0, (1 - 1) / 2.0, (-2 + 2) / 2.0, 0, (-1 - 2) / 2.0, (-2 + 1) / 2.0 };

    (void)state;
    ok(merge_matrices(out, inputs, 3, 2, 3, &total));
    for (int i = 0; i < 6; i++)
        assert_true(fabs(out[i] - by_total[i]) < 1e-15);
    ok(merge_matrices(out, inputs, 3, 2, 3, &most));
    for (int i = 0; i < 6; i++)
        assert_true(fabs(out[i] - by_most[i]) < 1e-15);
}

/* An entry is kept with probability density, whatever its value, and divided by it. */
static void dare_keeps_the_mean(void **state)
{
    enum { SIDE = 300, N = SIDE * SIDE };
    static double x[N], out[N], again[N];
    const double density = 0.3, deviation = sqrt(density * (1 - density) / N);
    const merge_rule rule = { .prune = PRUNE_RANDOM, .density = density };
    int64_t kept = 0, kept_pairs = 0;

    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = 1 + i % 7;
    merge_input input = { .right = x, .scale = 1, .weight = 1, .dice = rng_new(1, 2) };
    ok(merge_matrices(out, &input, 1, SIDE, SIDE, &rule));
    for (int i = 0; i < N; i++) {
        assert_true(out[i] == 0 || fabs(out[i] - x[i] / density) < 1e-12);
        kept += out[i] != 0;
        kept_pairs += i > 0 && out[i] != 0 && out[i - 1] != 0;
    }
    assert_true(fabs((double)kept / N - density) < 5 * deviation);
    assert_true(fabs((double)kept_pairs / N - density * density) < 10 * deviation);
    input.dice = rng_new(1, 2);
    ok(merge_matrices(again, &input, 1, SIDE, SIDE, &rule));
    assert_memory_equal(out, again, sizeof out);
    input.dice = rng_new(2, 2);
    ok(merge_matrices(again, &input, 1, SIDE, SIDE, &rule));
    assert_memory_not_equal(out, again, sizeof out);
}

static void dare_follows_its_seed(void **state)
{
    const lorac_adapter_ref refs[] = { { ADAPTER("qv"), 1 }, { ADAPTER("qv"), 1 } };
    lorac_combine_options options = options_for(LORAC_COMBINE_DARE_LINEAR);
    factor_set first, second;
    int64_t zeros = 0, count = 0;

    (void)state;
    options.density = 0.5;
    ok(combine(&first, NULL, refs, 2, &options));
    ok(combine(&second, NULL, refs, 2, &options));
    for (size_t i = 0; i < first.count; i++) {
        const factor_pair *p = &first.pairs[i];
        assert_memory_equal(p->a, second.pairs[i].a, (size_t)(p->rank * p->in) * sizeof *p->a);
        for (int64_t k = 0; k < p->rank * p->in; k++) {
            zeros += p->a[k] == 0;
            count++;
        }
    }
    /* The two copies are dropped apart from each other: a quarter of the entries has neither. */
    assert_true(fabs((double)zeros / (double)count - 0.25) < 0.1);
    factor_set_free(&second);
    options.seed = 1;
    ok(combine(&second, NULL, refs, 2, &options));
    assert_memory_not_equal(first.pairs[0].a, second.pairs[0].a,
                            (size_t)(first.pairs[0].rank * first.pairs[0].in) * sizeof(float));
    factor_set_free(&first);
    factor_set_free(&second);
}

static void clamping_limits_the_entries(void **state)
{
    const lorac_adapter_ref refs[] = { { ADAPTER("qv"), 1 }, { ADAPTER("rslora"), 1 } };
    lorac_combine_options options = options_for(LORAC_COMBINE_SVD);
    factor_set plain, clamped;

    (void)state;
    ok(combine(&plain, NULL, refs, 2, &options));
    options.svd_clamp = 0.9;
    ok(combine(&clamped, NULL, refs, 2, &options));
    for (size_t i = 0; i < plain.count; i++) {
        const factor_pair *p = &plain.pairs[i], *q = &clamped.pairs[i];
        const int64_t a = p->rank * p->in, b = p->out * p->rank;
        float limit = 0;
        int64_t above = 0, moved = 0;

        for (int64_t k = 0; k < a + b; k++)
            limit = fmaxf(limit, k < a ? q->a[k] : q->b[k - a]);
        for (int64_t k = 0; k < a + b; k++) {
            const float x = k < a ? p->a[k] : p->b[k - a], y = k < a ? q->a[k] : q->b[k - a];
            assert_true(y == fminf(fmaxf(x, -limit), limit));
            above += x > limit;
            moved += x != y;
        }
        assert_int_equal(above, (a + b - 1) / 10 + ((a + b - 1) % 10 > 0)); /* what lies over the 90 % quantile */
        assert_true(moved >= above);
    }
    factor_set_free(&plain);
    factor_set_free(&clamped);
}

/* ---- What is refused */

static void refuses(int status, const char *part, int method, double density, int64_t rank, const char *a,
                    const char *b)
{
    const lorac_adapter_ref refs[] = { { a, 1 }, { b, 1 } };
    lorac_combine_options options = options_for(method);
    factor_set set;

    options.density = density;
    options.svd_rank = rank;
    int got = combine(&set, NULL, refs, 2, &options);
    if (got != status)
        fail_msg("status %d, expected %d: %s", got, status, lorac_last_error()->message);
    assert_contains(lorac_last_error()->message, part);
}

static void nonsense_is_refused(void **state)
{
    const char *qv = ADAPTER("qv"), *layers = ADAPTER("layers");

    (void)state;
    refuses(LORAC_ERROR_USAGE, "density", LORAC_COMBINE_TIES, NAN, 0, qv, qv);
    refuses(LORAC_ERROR_USAGE, "density of 0 ", LORAC_COMBINE_TIES, 0, 0, qv, qv);
    refuses(LORAC_ERROR_USAGE, "density of 1.5", LORAC_COMBINE_DARE_TIES_SVD, 1.5, 0, qv, qv);
    refuses(LORAC_ERROR_USAGE, "cat does not use", LORAC_COMBINE_CAT, 0.5, 0, qv, qv);
    refuses(LORAC_ERROR_USAGE, "svd-rank", LORAC_COMBINE_CAT, NAN, 3, qv, qv);
    refuses(LORAC_ERROR_USAGE, "rank of -1", LORAC_COMBINE_SVD, NAN, -1, qv, qv);
    refuses(LORAC_ERROR_USAGE, "equal ranks, but the adapters have 4 and 3", LORAC_COMBINE_LINEAR, NAN, 0, qv, layers);
    refuses(LORAC_ERROR_DATA, "this is not an adapter", LORAC_COMBINE_CAT, NAN, 0, qv, "/nowhere");
    refuses(LORAC_ERROR_USAGE, "base_layer.weight", LORAC_COMBINE_CAT, NAN, 0, qv, ADAPTER("head"));
    refuses(LORAC_ERROR_USAGE, "loralib", LORAC_COMBINE_CAT, NAN, 0, qv, GOLDEN "loralib/merged.pt");
    refuses(LORAC_ERROR_USAGE, "-m", LORAC_COMBINE_CAT, NAN, 0, qv, GOLDEN "formats/qv-gguf.gguf");
    refuses(LORAC_ERROR_DATA, "holds nan", LORAC_COMBINE_SVD, NAN, 0, qv, GOLDEN "hostile/nan");
}

static void a_model_must_have_the_modules(void **state)
{
    const lorac_adapter_ref refs[] = { { ADAPTER("gpt2-default"), 1 } };
    const lorac_combine_options options = options_for(LORAC_COMBINE_CAT);
    factor_set set;
    model *m;

    (void)state;
    ok(model_open(&m, LLAMA, NULL));
    assert_int_equal(combine(&set, m, refs, 1, &options), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "another base model");
    model_close(m);
}

static void every_allocation_may_fail(void **state)
{
    static const int tried[] = { LORAC_COMBINE_TIES, LORAC_COMBINE_SVD, LORAC_COMBINE_DARE_TIES_SVD };
    const lorac_adapter_ref refs[] = { { ADAPTER("qv"), 1 }, { ADAPTER("rslora"), -1 } };

    (void)state;
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        lorac_combine_options options = options_for(tried[i]);
        bool failed = true;

        options.density = tried[i] == LORAC_COMBINE_SVD ? NAN : 0.5;
        for (long n = 1; failed; n++) {
            factor_set set;
            mem_fail_at(n);
            int status = combine(&set, NULL, refs, 2, &options);
            failed = mem_count() >= n;
            if (status != LORAC_OK) {
                assert_true(failed && status == LORAC_ERROR_RUNTIME);
                continue;
            }
            /* Looking whether a file is there may go without: the others are looked at then. */
            assert_true(!failed || n < 40);
            assert_int_equal(set.count, 8);
            assert_string_equal(set.base_model, "llama");
            factor_set_free(&set);
        }
        mem_fail_at(0);
    }
}

/* ---- Extraction */

static void merge_model(const char *base, const char *adapter_path, const char *out)
{
    context_options co = { .threads = 1, .act = DT_F32, .level = cpu_isa() };
    export_plan plan = { .type = DT_F32, .adapter_count = 1 };
    export_loss loss = { 0 };
    adapter *a;
    model *m;

    ok(model_open(&m, base, NULL));
    ok(adapter_load(&a, m, adapter_path, NULL, NULL));
    ok(context_new(&plan.c, &co));
    plan.m = m;
    plan.adapters = &(folded){ a, 1 };
    ok(folder_make(out));
    ok(export_huggingface(&plan, out, &loss));
    context_free(plan.c);
    adapter_free(a);
    model_close(m);
}

static void extract_from(const char *base_path, const char *adapter_path, double energy, int64_t rank)
{
    const lorac_extract_options options = { .rank = rank, .energy = energy };
    char path[512], written[512];
    factor_source expected, got;
    factor_set set;
    json_t *about;
    model *base, *tuned;

    snprintf(path, sizeof path, "%s/tuned-%s", folder, strrchr(adapter_path, '/') + 1);
    snprintf(written, sizeof written, "%s/extracted-%s", folder, strrchr(adapter_path, '/') + 1);
    merge_model(base_path, adapter_path, path);
    ok(model_open(&base, base_path, NULL));
    ok(model_open(&tuned, path, NULL));
    ok(extract(&set, &about, base, tuned, &options));
    ok(folder_make(written));
    ok(factor_set_save(&set, written));
    ok(factor_source_open(&expected, adapter_path, NULL));
    ok(factor_source_open(&got, written, base));
    assert_int_equal(json_array_size(json_object_get(about, "other_tensors")), 0);
    assert_int_equal(json_array_size(json_object_get(about, "modules")), expected.count);
    assert_int_equal(got.count, expected.count);
    for (size_t i = 0; i < got.count; i++) {
        const filed_pair *p = &got.pairs[i], *q = factor_source_find(&expected, p->module);
        assert_non_null(q);
        assert_int_equal(p->a->dim[0], q->a->dim[0]);
        double *ours = filed_delta(&got, p), *theirs = filed_delta(&expected, q);
        assert_true(apart(ours, theirs, p->a->dim[1] * p->b->dim[0]) < 1e-5);
        mem_free(ours);
        mem_free(theirs);
    }
    factor_source_close(&got);
    factor_source_close(&expected);
    factor_set_free(&set);
    json_decref(about);
    model_close(tuned);
    model_close(base);
}

/* The rounding of the merged weights has an energy of its own, some 1e-12 of the update's. */
static void a_merged_adapter_comes_out_again(void **state)
{
    (void)state;
    extract_from(LLAMA, ADAPTER("qv"), 0, 4);
    extract_from(LLAMA, ADAPTER("patterns"), 1 - 1e-8, 0);
    extract_from(GOLDEN "models/gpt2", ADAPTER("gpt2-patterns"), 1 - 1e-8, 0);
}

static void what_does_not_fit_is_told(void **state)
{
    lorac_extract_options options = { .rank = 2, .target_modules = "q_proj" };
    factor_set set;
    json_t *about;
    model *base, *tuned, *other;
    bool norm = false, embedding = false, targeted = false;

    (void)state;
    ok(model_open(&base, LLAMA, NULL));
    ok(model_open(&tuned, GOLDEN "models/llama-bf16", NULL));
    ok(model_open(&other, GOLDEN "models/gpt2", NULL));
    ok(extract(&set, &about, base, tuned, &options));
    assert_int_equal(set.count, 2);
    const json_t *others = json_object_get(about, "other_tensors");
    for (size_t i = 0; i < json_array_size(others); i++) {
        const json_t *one = json_array_get(others, i);
        const char *name = text_in(one, "tensor");
        norm |= strcmp(name, "model.norm.weight") == 0;
        embedding |= strcmp(name, "model.embed_tokens.weight") == 0;
        targeted |= strstr(name, "q_proj") != NULL;
        assert_true(json_real_value(json_object_get(one, "norm")) > 0);
        assert_true(json_real_value(json_object_get(one, "relative")) < 10);
    }
    assert_true(norm && embedding && !targeted);
    factor_set_free(&set);
    json_decref(about);
    assert_int_equal(extract(&set, &about, base, base, &options), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "same model");
    assert_int_equal(extract(&set, &about, base, other, &options), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "same layers");
    options.energy = 0.5;
    assert_int_equal(extract(&set, &about, base, tuned, &options), LORAC_ERROR_USAGE);
    options = (lorac_extract_options){ .energy = 1.5 };
    assert_int_equal(extract(&set, &about, base, tuned, &options), LORAC_ERROR_USAGE);
    model_close(base);
    model_close(tuned);
    model_close(other);
}

/* The best approximation of rank 1 leaves exactly the other singular values: what is kept and what is lost add up by
 * Pythagoras. */
static void a_rank_is_reduced(void **state)
{
    const lorac_extract_options one = { .rank = 1 }, all = { .energy = 1 };
    factor_source source;
    factor_set set;
    json_t *about;

    (void)state;
    ok(factor_source_open(&source, ADAPTER("patterns"), NULL));
    ok(reduce(&set, &about, ADAPTER("patterns"), NULL, &one));
    for (size_t i = 0; i < set.count; i++) {
        const factor_pair *p = &set.pairs[i];
        const json_t *told = json_array_get(json_object_get(about, "modules"), i);
        double *delta = filed_delta(&source, factor_source_find(&source, p->module));
        double norm = 0, lost = 0, share = json_real_value(json_object_get(told, "norm_kept"));

        assert_int_equal(p->rank, 1);
        for (int64_t o = 0; o < p->out; o++)
            for (int64_t k = 0; k < p->in; k++) {
                const double x = delta[o * p->in + k], left = x - (double)p->b[o] * (double)p->a[k];
                norm += x * x;
                lost += left * left;
            }
        assert_true(fabs(json_real_value(json_object_get(told, "norm")) - sqrt(norm)) < 1e-6 * sqrt(norm));
        assert_true(fabs(share * share - (1 - lost / norm)) < 1e-6);
        assert_true(share > 0.3 && share < 1);
        mem_free(delta);
    }
    json_decref(about);
    factor_set_free(&set);
    ok(reduce(&set, &about, ADAPTER("patterns"), NULL, &all));
    for (size_t i = 0; i < set.count; i++)
        assert_int_equal(set.pairs[i].rank, factor_source_find(&source, set.pairs[i].module)->a->dim[0]);
    json_decref(about);
    factor_set_free(&set);
    factor_source_close(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_gives_pefts_update),
        cmocka_unit_test(ranks_that_differ_stand_in_the_patterns),
        cmocka_unit_test(the_result_is_plain_lora),
        cmocka_unit_test(other_formats_are_read),
        cmocka_unit_test(pruning_keeps_the_largest),
        cmocka_unit_test(signs_are_elected),
        cmocka_unit_test(dare_keeps_the_mean),
        cmocka_unit_test(dare_follows_its_seed),
        cmocka_unit_test(clamping_limits_the_entries),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_model_must_have_the_modules),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_merged_adapter_comes_out_again),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(a_rank_is_reduced),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
