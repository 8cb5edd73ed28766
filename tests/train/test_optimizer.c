/* test_optimizer.c: AdamW against its formula in double, clipping against torch's, and the state's file. */
#include "test.h"

#include "mem.h"
#include "optimizer.h"
#include "rng.h"
#include "str.h"

#include <math.h>

enum { FIRST = 1000, SECOND = 77 };

typedef struct toy {
    adapter a;
    var values[2];
    named_var list[2];
    double w[FIRST + SECOND], m[FIRST + SECOND], v[FIRST + SECOND], g[FIRST + SECOND];
} toy;

static void make(toy *t)
{
    static const int64_t counts[] = { FIRST, SECOND };
    static const char *const names[] = { "layer.lora_A.weight", "layer.lora_B.weight" };
    rng r = rng_new(3, 3);

    *t = (toy){ .a.trainables = t->list, .a.trainable_count = 2, .a.parameters = FIRST + SECOND };
    for (int i = 0, at = 0; i < 2; i++) {
        real *w = mem_new((size_t)counts[i], sizeof *w);

        t->values[i].t = (tensor){ .type = DT_REAL, .ndim = 1, .dim = { counts[i] }, .data = w };
        t->list[i] = (named_var){ .name = names[i], .value = &t->values[i], .count = counts[i] };
        for (int64_t k = 0; k < counts[i]; k++, at++)
            t->w[at] = w[k] = (real)rng_normal(&r);
    }
    assert_ok(adapter_make_trainable(&t->a));
}

static void release(toy *t)
{
    mem_free(t->values[0].t.data);
    mem_free(t->values[1].t.data);
    arena_free(&t->a.memory);
}

static void new_gradients(toy *t, rng *r)
{
    for (int i = 0, at = 0; i < 2; i++)
        for (int64_t k = 0; k < t->list[i].count; k++, at++)
            t->g[at] = ((real *)t->values[i].grad)[k] = (real)rng_normal(r);
}

/* torch.optim.AdamW and clip_grad_norm_ in double. */
static double formula(toy *t, int updates, double lr, const lorac_train_options *o)
{
    double norm = 0, scale;

    for (int i = 0; i < FIRST + SECOND; i++)
        norm += t->g[i] * t->g[i];
    norm = sqrt(norm);
    scale = o->max_grad_norm > 0 && o->max_grad_norm / (norm + 1e-6) < 1 ? o->max_grad_norm / (norm + 1e-6) : 1;
    for (int i = 0; i < FIRST + SECOND; i++) {
        double g = t->g[i] * scale;

        t->w[i] -= lr * o->weight_decay * t->w[i];
        t->m[i] = o->beta1 * t->m[i] + (1 - o->beta1) * g;
        t->v[i] = o->beta2 * t->v[i] + (1 - o->beta2) * g * g;
        t->w[i] -= lr / (1 - pow(o->beta1, updates)) * t->m[i] /
                   (sqrt(t->v[i]) / sqrt(1 - pow(o->beta2, updates)) + o->epsilon);
    }
    return norm;
}

static void check_formula(double max_grad_norm)
{
    lorac_train_options options = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = max_grad_norm
    };
    const kernels *k = kernels_for(cpu_isa(), DT_F32);
    rng r = rng_new(9, 9);
    optimizer o;
    pool *p;
    toy t;

    make(&t);
    assert_ok(pool_new(&p, 2));
    assert_ok(optimizer_init(&o, &t.a, &options));
    for (int step = 1; step <= 10; step++) {
        double norm, expected;

        new_gradients(&t, &r);
        norm = optimizer_grad_norm(&o, k, p);
        expected = formula(&t, step, 1e-2 * step, &options);
        assert_true(fabs(norm - expected) < 1e-6 * expected);
        optimizer_step(&o, k, p, 1e-2 * step, norm);
        for (int i = 0, at = 0; i < 2; i++)
            for (int64_t n = 0; n < t.list[i].count; n++, at++)
                assert_true(fabs((double)((real *)t.values[i].t.data)[n] - t.w[at]) < 3e-6);
    }
    optimizer_free(&o);
    pool_free(p);
    release(&t);
}

static void test_adamw(void **state)
{
    (void)state;
    check_formula(0);
}

static void test_clipping(void **state)
{
    (void)state;
    check_formula(1);
    check_formula(1e6);
}

static void test_file(void **state)
{
    lorac_train_options options = { .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8 };
    const char *folder = test_folder();
    rng r = rng_new(1, 1);
    optimizer o, again;
    pool *p;
    buf path = { 0 };
    toy t;

    (void)state;
    make(&t);
    assert_ok(pool_new(&p, 1));
    assert_ok(optimizer_init(&o, &t.a, &options));
    assert_ok(optimizer_init(&again, &t.a, &options));
    new_gradients(&t, &r);
    optimizer_step(&o, kernels_for(ISA_PORTABLE, DT_F32), p, 0.1, 1);
    buf_format(&path, "%s/optimizer.safetensors", folder);
    assert_ok(optimizer_save(&o, path.p));
    assert_ok(optimizer_load(&again, path.p, 1));
    assert_int_equal(again.updates, 1);
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(o.state[i].first, again.state[i].first, (size_t)t.list[i].count * sizeof(real));
        assert_memory_equal(o.state[i].second, again.state[i].second, (size_t)t.list[i].count * sizeof(real));
    }
    t.values[1].t.dim[0] = SECOND - 1;
    assert_int_equal(optimizer_load(&again, path.p, 1), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "layer.lora_B.weight.first");
    unlink(path.p);
    rmdir(folder);
    buf_free(&path);
    optimizer_free(&o);
    optimizer_free(&again);
    pool_free(p);
    release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
