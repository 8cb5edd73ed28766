/* test_golden_run.c: whole runs in f32 follow PEFT's: losses, gradient norms, learning rates and the final adapter. */
#include "run_test.h"

#include "safetensors.h"

#include <math.h>

enum { STEPS = 20 };

static void near(const char *what, int step, double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%s of step %d: %.9g, where PEFT has %.9g", what, step + 1, found, expected);
}

static double number(const json_t *object, const char *key)
{
    assert_true(json_is_number(json_object_get(object, key)));
    return json_number_value(json_object_get(object, key));
}

static double element(const json_t *object, const char *key, int i)
{
    return json_number_value(json_array_get(json_object_get(object, key), (size_t)i));
}

static int schedule_of(const json_t *settings)
{
    const char *name = json_string_value(json_object_get(settings, "lr_schedule"));

    return !strcmp(name, "linear")   ? LORAC_SCHEDULE_LINEAR
           : !strcmp(name, "cosine") ? LORAC_SCHEDULE_COSINE
                                     : LORAC_SCHEDULE_CONSTANT;
}

static void check_metrics(const char *folder, const json_t *expected)
{
    json_t *lines = read_metrics(folder);

    assert_int_equal(json_array_size(lines), STEPS);
    for (int i = 0; i < STEPS; i++) {
        const json_t *line = json_array_get(lines, (size_t)i);

        near("step", i, number(line, "step"), i + 1, 0);
        near("loss", i, number(line, "loss"), element(expected, "loss", i), 1e-5);
        near("grad_norm", i, number(line, "grad_norm"), element(expected, "grad_norm", i), 1e-4);
        near("learning_rate", i, number(line, "learning_rate"), element(expected, "learning_rate", i), 1e-9);
    }
    json_decref(lines);
}

static void check_adapter(const char *folder, const char *golden)
{
    safetensors found, expected;
    buf path = { 0 };
    double worst = 0;

    assert_ok(safetensors_open(&found, in_folder(&path, folder, "adapter_model.safetensors")));
    assert_ok(safetensors_open(&expected, in_folder(&path, golden, "final.safetensors")));
    assert_int_equal(found.count, expected.count);
    for (size_t i = 0; i < expected.count; i++) {
        const tensor *a = safetensors_find(&found, expected.names[i]), *b = &expected.tensors[i];

        assert_non_null(a);
        assert_int_equal(tensor_bytes(a), tensor_bytes(b));
        for (int64_t k = 0; k < tensor_count(b); k++)
            worst = fmax(worst, fabs((double)((float *)a->data)[k] - (double)((float *)b->data)[k]));
    }
    if (worst > 1e-4)
        fail_msg("the final adapter is off by %g", worst);
    safetensors_close(&found);
    safetensors_close(&expected);
    buf_free(&path);
}

/* `set`: the folder of models/ and training/, below GOLDEN. */
static void check_run_of(const char *set, const char *name, int64_t tokens_per_pass)
{
    const char *folder = test_folder();
    lorac_train_options o;
    buf golden = { 0 }, rows = { 0 }, initial = { 0 }, base = { 0 }, path = { 0 };
    json_t *expected, *settings;
    model *m;

    buf_format(&golden, GOLDEN "%s/training/%s", set, name);
    assert_ok(json_read(&expected, in_folder(&path, golden.p, "expected.json"), 1 << 20, 0));
    settings = json_object_get(expected, "settings");
    buf_format(&base, GOLDEN "%s/models/%s", set, json_string_value(json_object_get(settings, "model")));
    lorac_train_options_init(&o);
    o.model = base.p;
    o.data = in_folder(&rows, golden.p, "rows.jsonl");
    o.adapter = in_folder(&initial, golden.p, "initial");
    o.output = folder;
    o.steps = STEPS;
    o.batch_size = (int64_t)number(settings, "batch_size");
    o.grad_accumulation_steps = (int64_t)number(settings, "grad_accumulation_steps");
    o.learning_rate = number(settings, "learning_rate");
    o.lr_schedule = schedule_of(settings);
    o.warmup_steps = (int64_t)number(settings, "warmup_steps");
    o.weight_decay = number(settings, "weight_decay");
    o.max_grad_norm = number(settings, "max_grad_norm");
    o.shuffle = 0;
    o.steps_per_report = 1;
    o.dtype = LORAC_DTYPE_F32;
    o.tokens_per_pass = tokens_per_pass;
    assert_ok(model_open(&m, base.p, NULL));
    assert_run(run_options(m, &o, NULL, false));
    check_metrics(folder, expected);
    check_adapter(folder, golden.p);
    model_close(m);
    json_decref(expected);
    lorac_train_options_clear(&o);
    buf_free(&golden);
    buf_free(&rows);
    buf_free(&initial);
    buf_free(&base);
    buf_free(&path);
    assert_ok(folder_remove(folder));
}

static void check_run(const char *name, int64_t tokens_per_pass)
{
    check_run_of("", name, tokens_per_pass);
}

static void test_all_linear(void **state)
{
    (void)state;
    check_run("all-linear", 0);
    check_run("all-linear", 12); /* several passes a step */
}

static void test_qv_rslora(void **state)
{
    (void)state;
    check_run("qv-rslora", 0);
}

static void test_patterns(void **state)
{
    (void)state;
    check_run("patterns", 1);
}

static void test_gpt2(void **state)
{
    (void)state;
    check_run("gpt2-default", 0);
    check_run("gpt2-all-linear", 0);
    check_run("gpt2-all-linear", 12);
}

static void test_classifiers(void **state)
{
    (void)state;
    check_run_of("/classifiers", "llama", 0);
    check_run_of("/classifiers", "llama", 12);
    check_run_of("/classifiers", "gpt2", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_linear), cmocka_unit_test(test_qv_rslora),   cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_gpt2),       cmocka_unit_test(test_classifiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
