/* Adapters as others file them, in PEFT's terms. That they compute the same is shown with a model
 * (tests/infer/test_golden_logits.c); here is what needs none: the configuration made from tensors, and loralib's
 * files. */
#include "test.h"

#include "adapter_file.h"
#include "err.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"

static void open_file(adapter_file *f, const char *path)
{
    if (adapter_file_open(f, path, NULL) != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static float at(const tensor *t, int64_t row, int64_t column)
{
    float value;

    memcpy(&value, (const char *)t->data + (size_t)(row * t->dim[1] + column) * sizeof value, sizeof value);
    return value;
}

/* B A of a module against the reference's. */
static void check_delta(const adapter_file *f, const safetensors *expected, const char *module)
{
    char name[128];
    const tensor *a, *b, *delta = safetensors_find(expected, module);

    snprintf(name, sizeof name, PEFT_PREFIX "%s" PEFT_A, module);
    a = adapter_file_find(f, name);
    snprintf(name, sizeof name, PEFT_PREFIX "%s" PEFT_B, module);
    b = adapter_file_find(f, name);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(b->dim[0], delta->dim[0]);
    assert_int_equal(a->dim[1], delta->dim[1]);
    for (int64_t r = 0; r < delta->dim[0]; r++)
        for (int64_t c = 0; c < delta->dim[1]; c++) {
            double sum = 0;

            for (int64_t k = 0; k < a->dim[0]; k++)
                sum += (double)at(b, r, k) * (double)at(a, k, c);
            assert_true(fabs(sum - (double)at(delta, r, c)) < 1e-5);
        }
}

static void loralib_state_dicts(void **state)
{
    adapter_file f;
    safetensors expected;

    (void)state;
    open_file(&f, GOLDEN "loralib/merged.pt");
    assert_ok(safetensors_open(&expected, GOLDEN "loralib/delta.safetensors"));
    assert_string_equal(f.format, "loralib");
    assert_int_equal(f.count, 5);
    assert_int_equal(adapter_file_parameters(&f), 4 * 6 + 10 * 2 + 3 * 6 + 5 * 3 + 2 * 6);
    assert_non_null(adapter_file_find(&f, PEFT_PREFIX "classifier.weight"));
    check_delta(&f, &expected, "h.0.attn.c_attn");
    check_delta(&f, &expected, "h.0.mlp");
    assert_int_equal(f.config.target_count, 2);
    assert_int_equal(f.config.r, 4);
    assert_int_equal(f.config.rank_count, 1);
    assert_int_equal(f.config.rank_values[0], 3);
    assert_true(isnan(f.config.lora_alpha));
    safetensors_close(&expected);
    adapter_file_close(&f);
}

static void configurations_are_made_from_tensors(void **state)
{
    adapter_file f;

    (void)state;
    open_file(&f, GOLDEN "formats/qv-mlx");
    assert_int_equal(f.config.r, 4);
    assert_true(f.config.lora_alpha == 8); /* scale 2 times the rank */
    assert_int_equal(f.config.target_count, 4);
    assert_int_equal(f.config.rank_count, 0);
    assert_string_equal(f.config.targets[0], "model.layers.0.self_attn.q_proj");
    adapter_file_close(&f);
    open_file(&f, GOLDEN "formats/qv-gguf.gguf");
    assert_int_equal(f.config.r, 4);
    assert_true(f.config.lora_alpha == 8);
    assert_string_equal(f.config.targets[0], "blk.0.attn_q");
    adapter_file_close(&f);
}

static void kinds_are_told_apart(void **state)
{
    (void)state;
    assert_true(is_adapter_file(GOLDEN "formats/qv-bin"));
    assert_true(is_adapter_file(GOLDEN "formats/qv-mlx"));
    assert_true(is_adapter_file(GOLDEN "formats/qv-gguf.gguf"));
    assert_true(is_adapter_file(GOLDEN "loralib/merged.pt"));
    assert_false(is_adapter_file(GOLDEN "models/llama"));
    assert_false(is_adapter_file(GOLDEN "gguf/llama-F32.gguf"));
    assert_false(is_adapter_file(GOLDEN "README.md"));
    assert_false(is_adapter_file(GOLDEN "nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loralib_state_dicts),
        cmocka_unit_test(configurations_are_made_from_tensors),
        cmocka_unit_test(kinds_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
