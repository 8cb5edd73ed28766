/* test_train.c: training, validation and data through the public header alone. */
#include "test.h"

#include "lorac.h"

#include <math.h>

#define MODEL SOURCE_DIR "/tests/golden/models/llama"

static lorac_model *model;
static char root[512], data[600], output[600];

static void write_rows(const char *name, int count)
{
    char path[700];
    FILE *out;

    snprintf(path, sizeof path, "%s/%s", data, name);
    out = fopen(path, "w");
    assert_non_null(out);
    for (int i = 0; i < count; i++)
        fprintf(out, "{\"input_ids\": [%d, %d, %d, %d], \"labels\": [-100, %d, -100, %d]}\n", i % 9, i % 7 + 10, 3, 4,
                i % 7 + 10, 4);
    fclose(out);
}

static lorac_train_options options_for_test(void)
{
    lorac_train_options o;

    lorac_train_options_init(&o);
    o.model = MODEL;
    o.data = data;
    o.output = output;
    o.steps = 8;
    o.learning_rate = 1e-2;
    o.steps_per_report = 2;
    o.steps_per_eval = 4;
    o.dtype = LORAC_DTYPE_F32;
    o.rank = 4;
    return o;
}

typedef struct seen {
    lorac_watch watch;
    int count[LORAC_EVENT_NOTE + 1];
    int64_t last_step, stop_at;
    double eval_loss, loss;
} seen;

static void on_event(void *user, const lorac_event *event)
{
    seen *s = user;

    s->count[event->kind]++;
    assert_int_equal(event->steps, 8);
    assert_true(event->step >= s->last_step);
    s->last_step = event->step;
    if (event->kind == LORAC_EVENT_PLAN) {
        assert_int_equal(s->count[LORAC_EVENT_STEP], 0);
        assert_int_equal(event->plan->steps, 8);
        assert_int_equal(event->example->count, 4);
        assert_int_equal(event->example->trained, 2);
        assert_int_equal(event->example->line, 1);
    }
    if (event->kind == LORAC_EVENT_REPORT)
        s->loss = event->loss;
    if (event->kind == LORAC_EVENT_EVAL)
        s->eval_loss = event->eval_loss;
    if (event->kind == LORAC_EVENT_STEP && event->step == s->stop_at)
        lorac_cancel(&s->watch);
}

static seen watcher(void)
{
    return (seen){ .watch.on_event = on_event };
}

static void test_events(void **state)
{
    lorac_train_options o = options_for_test();
    seen s = watcher();
    lorac_adapter_ref ref = { output, 1 };
    lorac_run_options run = { .dtype = LORAC_DTYPE_F32, .adapters = &ref, .adapter_count = 1 };
    lorac_eval_result base, adapted;

    (void)state;
    s.watch.user = &s;
    assert_ok(lorac_train(model, &o, &s.watch));
    assert_int_equal(s.count[LORAC_EVENT_PLAN], 1);
    assert_int_equal(s.count[LORAC_EVENT_STEP], 8);
    assert_int_equal(s.count[LORAC_EVENT_REPORT], 4);
    assert_int_equal(s.count[LORAC_EVENT_EVAL], 2);
    assert_true(s.count[LORAC_EVENT_SAVE] >= 2);
    assert_ok(lorac_eval(model, NULL, data, "valid", NULL, NULL, -1, NULL, &base));
    assert_ok(lorac_eval(model, &run, data, "valid", NULL, NULL, -1, NULL, &adapted));
    assert_int_equal(adapted.tokens, 20);
    assert_int_equal(adapted.rows, 10);
    assert_true(adapted.loss < base.loss - 0.2);
    assert_true(fabs(adapted.loss - s.eval_loss) < 1e-5);
    assert_true(fabs(adapted.perplexity - exp(adapted.loss)) < 1e-9);
    assert_ok(lorac_eval(model, &run, data, "valid", NULL, NULL, 1, NULL, &adapted));
    assert_int_equal(adapted.rows, 4);
}

static void test_cancel(void **state)
{
    lorac_train_options o = options_for_test();
    seen s = watcher();

    (void)state;
    s.watch.user = &s;
    s.stop_at = 3;
    assert_int_equal(lorac_resume(model, output, NULL), LORAC_ERROR_USAGE);
    assert_int_equal(lorac_train(model, &o, &s.watch), LORAC_INTERRUPTED);
    assert_int_equal(s.last_step, 3);
    assert_int_equal(lorac_train(model, &o, NULL), LORAC_ERROR_USAGE); /* something is there */
    s = watcher();
    s.watch.user = &s;
    assert_ok(lorac_resume(model, output, &s.watch));
    assert_int_equal(s.count[LORAC_EVENT_STEP], 5);
}

static void test_plan(void **state)
{
    lorac_train_options o = options_for_test();
    lorac_plan plan;

    (void)state;
    o.steps = -1;
    o.epochs = 3;
    assert_ok(lorac_train_plan(model, &o, &plan));
    assert_int_equal(plan.rows, 30);
    assert_int_equal(plan.steps, 24);
    assert_string_equal(plan.dtype, "f32");
    assert_int_equal(access(output, F_OK), -1);
}

static void test_data(void **state)
{
    lorac_data *rows;
    lorac_row row;
    char path[700];
    FILE *out;

    (void)state;
    assert_ok(lorac_data_open(&rows, NULL, data, "train", NULL));
    assert_int_equal(lorac_data_count(rows), 30);
    assert_ok(lorac_data_row(rows, 2, &row));
    assert_int_equal(row.line, 3);
    assert_int_equal(row.ids[1], 12);
    assert_int_equal(row.labels[0], -100);
    assert_int_equal(row.trained, 2);
    assert_int_equal(lorac_data_row(rows, 30, &row), LORAC_ERROR_USAGE);
    lorac_data_close(rows);
    snprintf(path, sizeof path, "%s/bad.jsonl", root);
    out = fopen(path, "w");
    fputs("{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, \"a\"]}\n{\"text\": \"no tokenizer\"}\n", out);
    fclose(out);
    assert_ok(lorac_data_open(&rows, NULL, path, NULL, NULL));
    assert_ok(lorac_data_row(rows, 0, &row));
    assert_int_equal(lorac_data_row(rows, 1, &row), LORAC_ERROR_DATA);
    assert_int_equal(lorac_last_error()->line, 2);
    assert_int_equal(lorac_data_row(rows, 2, &row), LORAC_ERROR_DATA);
    assert_int_equal(lorac_last_error()->line, 3);
    lorac_data_close(rows);
}

static int set_up(void **state)
{
    char command[700];

    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    snprintf(data, sizeof data, "%s/data", root);
    snprintf(output, sizeof output, "%s/run", root);
    snprintf(command, sizeof command, "mkdir '%s'", data);
    if (system(command))
        return -1;
    write_rows("train.jsonl", 30);
    write_rows("valid.jsonl", 10);
    return lorac_model_open(&model, MODEL, NULL);
}

static int tear_down(void **state)
{
    char command[700];

    (void)state;
    lorac_model_close(model);
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(test_events), TEST(test_cancel), TEST(test_plan), TEST(test_data) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
