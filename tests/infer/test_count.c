/* PEFT's counts from modules alone: the same as of an adapter that is really made, and those of a model that cannot
 * run. That both are PEFT's is checked with PEFT (tools/peers/check_counts.py). */
#include "test.h"

#include "adapt.h"
#include "count.h"
#include "err.h"

#define GOLDEN SOURCE_DIR "/tests/golden/"

static void ok(int status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static void write_config(const char *path, const char *json)
{
    test_write(path, json, strlen(json));
}

static const char *const settings[] = {
    "{}",
    "{\"target_modules\": \"all-linear\", \"r\": 3}",
    "{\"target_modules\": [\"q_proj\", \"c_attn\"], \"rank_pattern\": {\".*1.*(q_proj|c_attn)\": 5}}",
    "{\"target_modules\": [\"q_proj\", \"c_attn\", \"embed_tokens\", \"wte\"]}",
    "{\"target_modules\": [\"v_proj\", \"c_attn\", \"lm_head\"]}",
    "{\"target_modules\": \"all-linear\", \"use_dora\": true}",
    "{\"target_modules\": \"all-linear\", \"lora_bias\": true}",
    "{\"target_modules\": [\"q_proj\", \"c_attn\"], \"bias\": \"all\"}",
    "{\"target_modules\": [\"q_proj\", \"c_attn\"], \"bias\": \"lora_only\"}",
    "{\"target_modules\": [\"q_proj\", \"c_attn\"], \"modules_to_save\": [\"norm\", \"ln_1\"]}",
    "{\"target_modules\": [\"q_proj\", \"c_attn\"], \"modules_to_save\": [\"embed_tokens\", \"wte\"]}",
    "{\"target_modules\": [\"q_proj\", \"c_attn\"], \"trainable_token_indices\": [1, 2, 5]}",
};

/* Both ways to count, for a model with its weights open. */
static void as_made(void **state)
{
    static const char *const models[] = { "llama", "llama-tied-bias", "gpt2" };
    const char *folder = test_folder();
    char path[300], file[512];

    (void)state;
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    for (size_t i = 0; i < 3; i++) {
        model *m;
        module_list l;

        snprintf(file, sizeof file, GOLDEN "models/%s", models[i]);
        ok(model_open(&m, file, false));
        ok(modules_of_model(&l, m));
        assert_int_equal(l.parameters, m->parameters);
        for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
            peft_config config;
            parameter_totals totals;
            parameter_counts made;
            adapter *a;

            write_config(path, settings[k]);
            ok(peft_config_read(&config, path, NULL));
            ok(adapter_create(&a, m, &config, NULL));
            ok(count_parameters(&totals, &l, &config));
            made = adapter_counts(a, m);
            if (totals.trainable != made.trainable || totals.all != made.all)
                fail_msg("%s, %s: %lld of %lld counted, %lld of %lld made", models[i], settings[k],
                         (long long)totals.trainable, (long long)totals.all, (long long)made.trainable,
                         (long long)made.all);
            adapter_free(a);
            peft_config_free(&config);
        }
        modules_free(&l);
        model_close(m);
    }
    ok(folder_remove(folder));
}

/* From shapes alone, with and without the prefix of names, and in shards. */
static void as_filed(void **state)
{
    static const char *const models[] = { "llama", "llama-tied-bias", "llama-sharded" };
    char file[512];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        model *m;
        module_list own, filed;

        snprintf(file, sizeof file, GOLDEN "models/%s", models[i]);
        ok(model_open(&m, file, false));
        ok(modules_of_model(&own, m));
        ok(modules_of_folder(&filed, file));
        assert_int_equal(own.parameters, filed.parameters);
        assert_int_equal(own.count, filed.count);
        for (size_t a = 0; a < own.count; a++) {
            const module_shape *x = &own.list[a], *y = NULL;

            for (size_t b = 0; b < filed.count && !y; b++)
                if (strcmp(x->name, filed.list[b].name) == 0)
                    y = &filed.list[b];
            assert_non_null(y);
            assert_int_equal(x->kind, y->kind);
            assert_int_equal(x->weight, y->weight);
            assert_int_equal(x->bias, y->bias);
            assert_true(x->kind == MODULE_NORM || (x->in == y->in && x->out == y->out));
            assert_true(x->is_head == y->is_head && x->shared == y->shared && x->is_input == y->is_input);
        }
        modules_free(&filed);
        modules_free(&own);
        model_close(m);
    }
}

static void bad_targets(void **state)
{
    peft_config config;
    parameter_totals totals;
    module_list l;

    (void)state;
    ok(modules_of_folder(&l, GOLDEN "models/llama"));
    peft_config_init(&config);
    config.target_regex = "nothing_like_it";
    assert_int_equal(count_parameters(&totals, &l, &config), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "nothing_like_it");
    config.target_regex = "all-linear";
    config.r = INT64_MAX / 4;
    assert_int_equal(count_parameters(&totals, &l, &config), LORAC_ERROR_USAGE);
    config.target_regex = ".*embed_tokens";
    config.r = 4;
    config.lora_bias = true;
    assert_int_equal(count_parameters(&totals, &l, &config), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "lora_bias");
    config.target_regex = NULL;
    l.model_type = "nobody";
    config.lora_bias = false;
    assert_int_equal(count_parameters(&totals, &l, &config), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "nobody");
    modules_free(&l);
}

static void families(void **state)
{
    (void)state;
    assert_true(modules_family_known(GOLDEN "models/llama"));
    assert_true(modules_family_known(GOLDEN "nowhere")); /* opening it says what is wrong */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_made),
        cmocka_unit_test(as_filed),
        cmocka_unit_test(bad_targets),
        cmocka_unit_test(families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
