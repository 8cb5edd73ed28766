/* test_checkpoint.c: a checkpoint comes back to the last bit, or not at all. */
#include "run_test.h"

#include "checkpoint.h"

#include <math.h>
#include <sys/stat.h>

typedef struct fixture {
    model *m;
    peft_config config;
    adapter *a;
    optimizer o;
    run_parts parts;
    const char *folder;
} fixture;

static fixture f;

/* Fills adapter and moments with values that tell `mark`. */
static void fill(float mark)
{
    for (int i = 0; i < f.a->trainable_count; i++) {
        const named_var *t = &f.a->trainables[i];

        for (int64_t k = 0; k < t->count; k++) {
            ((real *)t->value->t.data)[k] = mark + (real)k / 7;
            f.o.state[i].first[k] = 2 * mark + (real)k / 3;
            f.o.state[i].second[k] = 3 * mark + (real)k / 11;
        }
    }
}

static bool filled(float mark)
{
    for (int i = 0; i < f.a->trainable_count; i++) {
        const named_var *t = &f.a->trainables[i];

        for (int64_t k = 0; k < t->count; k++)
            if (((real *)t->value->t.data)[k] != mark + (real)k / 7 ||
                f.o.state[i].first[k] != 2 * mark + (real)k / 3 || f.o.state[i].second[k] != 3 * mark + (real)k / 11)
                return false;
    }
    return true;
}

static run_state state_at(int64_t step)
{
    return (run_state){ .step = step,
                        .tokens = step * 10,
                        .trained_tokens = step * 9,
                        .metrics_bytes = 77,
                        .report_steps = 3,
                        .report_tokens = 4,
                        .report_trained = 2,
                        .report_loss = 1.0 / 3,
                        .best_loss = NAN,
                        .best_step = 1,
                        .evals_since_best = 2,
                        .eval_due = true };
}

static void save(int64_t step, int64_t keep)
{
    run_state state = state_at(step);

    fill((float)step);
    assert_ok(checkpoint_save(f.folder, &f.parts, &state, keep, NULL));
}

static int64_t load(buf *notes)
{
    run_state state = { 0 };
    bool found;

    fill(-1);
    f.o.updates = -1;
    assert_ok(checkpoint_load(f.folder, &f.parts, &state, &found, notes));
    if (!found) {
        assert_true(filled(-1));
        return -1;
    }
    assert_true(filled((float)state.step));
    assert_int_equal(f.o.updates, state.step);
    return state.step;
}

static void damage(const char *name, bool cut)
{
    buf path = { 0 }, text = { 0 };

    assert_ok(file_read(&text, in_folder(&path, f.folder, name), 1 << 24));
    text.p[text.n / 2] ^= 1;
    assert_ok(file_write(path.p, text.p, cut ? text.n / 2 : text.n));
    buf_free(&path);
    buf_free(&text);
}

static void test_none(void **state)
{
    buf notes = { 0 };

    (void)state;
    assert_int_equal(load(&notes), -1);
    assert_int_equal(notes.n, 0);
}

static void test_exact(void **state)
{
    run_state saved = state_at(12), found_state;
    buf notes = { 0 }, path = { 0 };
    bool found;

    (void)state;
    fill(12);
    assert_ok(checkpoint_save(f.folder, &f.parts, &saved, 3, &path));
    assert_contains(path.p, "checkpoints/step-0000012");
    fill(0);
    assert_ok(checkpoint_load(f.folder, &f.parts, &found_state, &found, &notes));
    assert_true(found && filled(12));
    assert_true(isnan(found_state.best_loss) && found_state.report_loss == 1.0 / 3);
    assert_int_equal(found_state.step, saved.step);
    assert_int_equal(found_state.tokens, saved.tokens);
    assert_int_equal(found_state.trained_tokens, saved.trained_tokens);
    assert_int_equal(found_state.metrics_bytes, saved.metrics_bytes);
    assert_int_equal(found_state.report_steps, saved.report_steps);
    assert_int_equal(found_state.report_tokens, saved.report_tokens);
    assert_int_equal(found_state.report_trained, saved.report_trained);
    assert_int_equal(found_state.best_step, saved.best_step);
    assert_int_equal(found_state.evals_since_best, saved.evals_since_best);
    assert_true(found_state.eval_due && !found_state.stopped);
    buf_free(&path);
}

static void test_keep(void **state)
{
    char **names;
    size_t count;
    buf path = { 0 }, notes = { 0 };

    (void)state;
    for (int64_t step = 2; step <= 20; step += 6) /* 8 before 14 before 20: by number, not by name */
        save(step, 2);
    assert_ok(folder_list(&names, &count, in_folder(&path, f.folder, "checkpoints")));
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "step-0000014");
    assert_string_equal(names[1], "step-0000020");
    folder_list_free(names, count);
    assert_int_equal(load(&notes), 20);
    buf_free(&path);
}

static void test_damage(void **state)
{
    static const char *const files[] = { "adapter_model.safetensors", "optimizer.safetensors", "adapter_config.json",
                                         "state.json" };
    buf notes = { 0 }, path = { 0 };
    char name[128];

    (void)state;
    for (int i = 0; i < 8; i++) {
        buf_clear(&notes);
        save(4, 3);
        save(9, 3);
        snprintf(name, sizeof name, "checkpoints/step-0000009/%s", files[i / 2]);
        damage(name, i % 2);
        assert_int_equal(load(&notes), 4);
        assert_contains(notes.p, "damaged checkpoint");
        assert_false(path_exists(in_folder(&path, f.folder, "checkpoints/step-0000009")));
    }
    buf_clear(&notes);
    save(9, 3);
    unlink(in_folder(&path, f.folder, "checkpoints/step-0000009/optimizer.safetensors"));
    assert_int_equal(load(&notes), 4);
    buf_free(&notes);
    buf_free(&path);
}

/* What a killed save leaves behind: a folder under its temporary name. */
static void test_leftovers(void **state)
{
    buf notes = { 0 }, path = { 0 };

    (void)state;
    save(4, 3);
    assert_ok(folder_make(in_folder(&path, f.folder, "checkpoints/step-0000005.part")));
    assert_ok(folder_make(in_folder(&path, f.folder, "checkpoints/step-0000006")));
    assert_int_equal(load(&notes), 4);
    assert_false(path_exists(in_folder(&path, f.folder, "checkpoints/step-0000005.part")));
    buf_free(&notes);
    buf_free(&path);
}

static int set_up(void **state)
{
    lorac_train_options options = { .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8 };

    (void)state;
    f.folder = test_folder();
    peft_config_init(&f.config);
    f.parts = (run_parts){ f.m, &f.config, NULL, &f.o };
    if (model_open(&f.m, GOLDEN "/models/llama", NULL) || adapter_create(&f.a, f.m, &f.config, NULL) ||
        adapter_make_trainable(f.a) || optimizer_init(&f.o, f.a, &options))
        return -1;
    f.parts.model = f.m;
    f.parts.adapter = f.a;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    optimizer_free(&f.o);
    adapter_free(f.a);
    model_close(f.m);
    peft_config_free(&f.config);
    return folder_remove(f.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
