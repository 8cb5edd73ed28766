/* The option table: names, values and their limits, YAML in and out. */
#include "err.h"
#include "file.h"
#include "options.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *yaml_file(const char *text)
{
    static char path[] = "/tmp/lorac-options-XXXXXX";
    static int made;
    FILE *file;

    if (!made)
        close(mkstemp(path));
    made = 1;
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return path;
}

static void defaults_are_those_of_the_table(void **state)
{
    lorac_train_options o;

    (void)state;
    lorac_train_options_init(&o);
    assert_int_equal(o.rank, 16);
    assert_true(isnan(o.alpha));
    assert_string_equal(o.target_modules, "all-linear");
    assert_string_equal(o.output, "adapters");
    assert_null(o.model);
    assert_int_equal(o.steps, -1);
    assert_float_equal(o.learning_rate, 2e-4, 0);
    assert_int_equal(o.lr_schedule, LORAC_SCHEDULE_COSINE);
    assert_float_equal(o.beta2, 0.999, 0);
    assert_int_equal(o.shuffle, 1);
    assert_int_equal(o.loss_on, LORAC_LOSS_AUTO);
    assert_int_equal(o.dtype, LORAC_DTYPE_AUTO);
    assert_int_equal(train_options_check(&o), LORAC_OK);
    assert_null(o.owned);
    lorac_train_options_clear(&o);
}

static void values_are_read_and_limits_kept(void **state)
{
    static const struct {
        const char *name, *value;
        int status;
    } cases[] = {
        { "rank", "8", 0 },
        { "r", "8", 0 },
        { "lora_rank", "8", 0 },
        { "lora-r", "8", 0 },
        { "rank", "0", 2 },
        { "rank", "8.5", 2 },
        { "rank", "", 2 },
        { "rank", "99999999999999999999", 2 },
        { "alpha", "auto", 0 },
        { "alpha", "32", 0 },
        { "alpha", "nan", 2 },
        { "dropout", "0.1", 0 },
        { "dropout", "1", 2 },
        { "dropout", "x", 2 },
        { "lr", "1e-5", 0 },
        { "learning_rate", "2e-4", 0 },
        { "lr", "-1", 2 },
        { "lr", "inf", 2 },
        { "lr", "1,5", 2 },
        { "iters", "0", 0 },
        { "max_steps", "-1", 0 },
        { "steps", "-2", 2 },
        { "lr-schedule", "linear", 0 },
        { "lr-schedule", "step", 2 },
        { "dtype", "bf16", 0 },
        { "dtype", "f16", 2 },
        { "shuffle", "false", 0 },
        { "no-shuffle", "true", 0 },
        { "shuffle", "maybe", 2 },
        { "tokens-per-pass", "auto", 0 },
        { "optimizer", "adamw", 0 },
        { "optimizer", "adam", 0 },
        { "optimizer", "sgd", 2 },
        { "mask_prompt", "true", 0 },
        { "num_layers", "-1", 0 },
        { "num_layers", "16", 2 },
        { "fine_tune_type", "full", 2 },
        { "loss-on", "last", 0 },
        { "task", "causal", 0 },
        { "task", "masked_lm", 2 },
        { "output", "", 2 },
        { "rnak", "8", 2 },
        { "no-rank", "1", 2 },
        { "", "1", 2 },
        { "threads", "auto", 0 },
        { "seed", "-1", 2 },
    };
    lorac_train_options o;

    (void)state;
    lorac_train_options_init(&o);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = lorac_train_options_set(&o, cases[i].name, cases[i].value);

        if (status != cases[i].status)
            fail_msg("%s=%s: %d, not %d", cases[i].name, cases[i].value, status, cases[i].status);
        assert_int_equal(train_options_check(&o), LORAC_OK);
    }
    assert_int_equal(o.rank, 8);
    assert_float_equal(o.alpha, 32, 0);
    assert_int_equal(o.lr_schedule, LORAC_SCHEDULE_LINEAR);
    assert_int_equal(o.shuffle, 0);
    assert_int_equal(o.steps, -1);
    assert_float_equal(o.learning_rate, 2e-4, 0);
    assert_int_equal(o.loss_on, LORAC_LOSS_LAST);
    lorac_train_options_clear(&o);
}

static void an_unknown_name_suggests_the_nearest(void **state)
{
    lorac_train_options o;

    (void)state;
    lorac_train_options_init(&o);
    assert_int_equal(lorac_train_options_set(&o, "batch-sise", "1"), LORAC_ERROR_USAGE);
    assert_string_equal(lorac_last_error()->key, "batch-sise");
    assert_non_null(strstr(lorac_last_error()->hint, "batch-size"));
    lorac_train_options_clear(&o);
}

static void names_are_told_apart(void **state)
{
    size_t count;
    const lorac_option *table = lorac_train_option_table(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        slice aliases = slice_of(table[i].aliases);

        assert_ptr_equal(train_option_find(table[i].name), &table[i]);
        while (aliases.n) {
            slice alias = slice_cut(&aliases, ',');
            char name[64];

            snprintf(name, sizeof name, "%.*s", (int)alias.n, alias.p);
            assert_ptr_equal(train_option_find(name), &table[i]);
        }
    }
}

static void an_mlx_file_is_understood(void **state)
{
    lorac_train_options o;

    (void)state;
    lorac_train_options_init(&o);
    assert_int_equal(lorac_train_options_load(&o, yaml_file("model: \"models/x\"\n"
                                                            "train: true\n"
                                                            "fine_tune_type: lora\n"
                                                            "optimizer: adam\n"
                                                            "data: [a.jsonl, b.jsonl]\n"
                                                            "num_layers: -1\n"
                                                            "iters: 1000\n"
                                                            "resume_adapter_file: null\n"
                                                            "mask_prompt: True\n"
                                                            "learning_rate: 1e-4\n"
                                                            "lora_parameters:\n"
                                                            "  scale: 20.0\n"
                                                            "  keys: [\"self_attn.q_proj\", \"self_attn.v_proj\"]\n"
                                                            "  rank: 8\n"
                                                            "  dropout: 0.0\n"
                                                            "lr_schedule:\n"
                                                            "  name: cosine_decay\n"
                                                            "  warmup: 100\n"
                                                            "  arguments: [1e-5, 1000]\n")),
                     LORAC_OK);
    assert_string_equal(o.model, "models/x");
    assert_string_equal(o.data, "a.jsonl,b.jsonl");
    assert_string_equal(o.target_modules, "self_attn.q_proj,self_attn.v_proj");
    assert_int_equal(o.steps, 1000);
    assert_int_equal(o.rank, 8);
    assert_float_equal(o.alpha, 160, 0);
    assert_null(o.adapter);
    assert_int_equal(o.loss_on, LORAC_LOSS_COMPLETION);
    assert_int_equal(o.lr_schedule, LORAC_SCHEDULE_COSINE);
    assert_int_equal(o.warmup_steps, 100);
    assert_float_equal(o.learning_rate, 1e-5, 0);
    lorac_train_options_clear(&o);
}

static void bad_files_are_placed(void **state)
{
    static const struct {
        const char *text;
        long line, column;
    } cases[] = {
        { "rank: 8\nrnak: 8\n", 2, 1 },
        { "rank: [1, 2]\n", 1, 7 },
        { "- rank\n", 1, 1 },
        { "rank: 8\nr: 4\n", 2, 1 },
        { "rank: 8\n  lr: : 4\n", 2, 5 },
        { "lora_parameters: 3\n", 1, 18 },
        { "lora_parameters:\n  scale: much\n", 2, 10 },
        { "model: \"a\\0b\"\n", 1, 8 },
        { "", 0, 0 },
        { "lr_schedule:\n  end: 4\n", 2, 3 },
        { "[a]: 3\n", 1, 1 },
        { "data: [[a]]\n", 1, 8 },
        { "&a rank: *a\n", 1, 1 },
        { "rank: 8\n\tlr: 3\n", 2, 1 },
    };
    lorac_train_options o;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lorac_train_options_init(&o);
        if (lorac_train_options_load(&o, yaml_file(cases[i].text)) != LORAC_ERROR_USAGE)
            fail_msg("case %zu was taken", i);
        if (lorac_last_error()->line != cases[i].line || lorac_last_error()->column != cases[i].column)
            fail_msg("case %zu: %s", i, lorac_last_error()->message);
        lorac_train_options_clear(&o);
    }
    lorac_train_options_init(&o);
    assert_int_equal(lorac_train_options_load(&o, "/nowhere/run.yaml"), LORAC_ERROR_USAGE);
    lorac_train_options_clear(&o);
}

static void what_is_written_reads_back(void **state)
{
    static const char *const settings[][2] = {
        { "model", "a \"quoted\"\\ name\n\x01 é" },
        { "data", "d,e:2" },
        { "learning-rate", "0.1234567890123456789" },
        { "epsilon", "1e-300" },
        { "rank", "3" },
        { "alpha", "7.1" },
        { "shuffle", "no" },
        { "lr-schedule", "linear" },
        { "target-modules", ".*\\.q_proj$" },
        { "seed", "9007199254740992" },
        { "dtype", "f32" },
        { "loss-on", "all" },
        { "overwrite", "true" },
    };
    lorac_train_options o, again;
    buf first = { 0 }, second = { 0 };
    const char *path;

    (void)state;
    lorac_train_options_init(&o);
    lorac_train_options_init(&again);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        assert_int_equal(lorac_train_options_set(&o, settings[i][0], settings[i][1]), LORAC_OK);
    path = yaml_file("");
    assert_int_equal(train_options_write(&o, path), LORAC_OK);
    if (lorac_train_options_load(&again, path) != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
    train_options_yaml(&o, &first);
    train_options_yaml(&again, &second);
    assert_string_equal(first.p, second.p);
    assert_string_equal(again.model, o.model);
    assert_true(again.learning_rate == o.learning_rate && again.alpha == o.alpha && again.epsilon == o.epsilon);
    assert_int_equal(again.overwrite, 0);
    buf_free(&first);
    buf_free(&second);
    lorac_train_options_clear(&o);
    lorac_train_options_clear(&again);
    unlink(path);
}

static void a_struct_filled_by_hand_is_checked(void **state)
{
    lorac_train_options o;

    (void)state;
    lorac_train_options_init(&o);
    o.rank = 0;
    assert_int_equal(train_options_check(&o), LORAC_ERROR_USAGE);
    assert_string_equal(lorac_last_error()->key, "rank");
    lorac_train_options_init(&o);
    o.learning_rate = NAN;
    assert_int_equal(train_options_check(&o), LORAC_ERROR_USAGE);
    lorac_train_options_init(&o);
    o.lr_schedule = 3;
    assert_int_equal(train_options_check(&o), LORAC_ERROR_USAGE);
    lorac_train_options_init(&o);
    o.optimizer = "lion";
    assert_int_equal(train_options_check(&o), LORAC_ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(values_are_read_and_limits_kept),
        cmocka_unit_test(an_unknown_name_suggests_the_nearest),
        cmocka_unit_test(names_are_told_apart),
        cmocka_unit_test(an_mlx_file_is_understood),
        cmocka_unit_test(bad_files_are_placed),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_struct_filled_by_hand_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
