/* test_trainer.c: what must not change the result (how a batch is split, threads, interruptions, kills) and what must
 * be refused. */
#include "run_test.h"

#include "checkpoint.h"
#include "mem.h"
#include "rng.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

enum { TRAIN_ROWS = 23, VALID_ROWS = 5, VOCABULARY = 70 };

static model *m;
static const char *root; /* everything of one test lies here */
static buf data;         /* a folder with train.jsonl and valid.jsonl */

static arena memory;

static const char *in_root(const char *name)
{
    return arena_format(&memory, "%s/%s", root, name);
}

static void write_rows(const char *path, int count, uint64_t seed)
{
    rng r = rng_new(seed, 5);
    buf text = { 0 };

    for (int i = 0; i < count; i++) {
        int length = 3 + (int)(rng_next(&r) % 14);

        buf_text(&text, "{\"input_ids\": [");
        for (int t = 0; t < length; t++)
            buf_format(&text, "%s%d", t ? ", " : "", (int)(rng_next(&r) % 8) * 3 + t % 3); /* something to learn */
        buf_text(&text, "]}\n");
    }
    assert_ok(file_write(path, text.p, text.n));
    buf_free(&text);
}

static lorac_train_options options_for(const char *output)
{
    lorac_train_options o;

    lorac_train_options_init(&o);
    o.model = GOLDEN "/models/llama";
    o.data = data.p;
    o.output = in_root(output);
    o.rank = 4;
    o.steps = 14; /* more than two epochs of 6 steps: the last step of each is smaller */
    o.batch_size = 2;
    o.grad_accumulation_steps = 2;
    o.learning_rate = 1e-2;
    o.warmup_steps = 2;
    o.dropout = 0.1;
    o.steps_per_report = 3;
    o.steps_per_eval = 4;
    o.save_every = 3;
    o.dtype = LORAC_DTYPE_F32;
    o.tokens_per_pass = 20;
    o.threads = 2;
    return o;
}

static void train(const lorac_train_options *o)
{
    assert_run(run_options(m, o, NULL, false));
}

static double last_number(const char *folder, const char *key)
{
    json_t *lines = read_metrics(folder);
    double found = NAN;

    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *value = json_object_get(json_array_get(lines, i), key);

        if (json_is_number(value))
            found = json_number_value(value);
    }
    json_decref(lines);
    return found;
}

/* ---- What must not change the result ------------------------------------------------------------------------------
 */

static void test_learns(void **state)
{
    lorac_train_options o = options_for("learns");
    json_t *lines;
    double first;

    (void)state;
    o.steps = 60;
    o.steps_per_report = 1;
    train(&o);
    lines = read_metrics(o.output);
    first = json_number_value(json_object_get(json_array_get(lines, 0), "loss"));
    assert_true(last_number(o.output, "loss") < first - 0.5);
    assert_true(last_number(o.output, "eval_loss") > 0);
    assert_true(path_exists(in_root("learns/best/adapter_model.safetensors")));
    assert_true(path_exists(in_root("learns/run.yaml")) && path_exists(in_root("learns/run.json")));
    assert_true(path_exists(in_root("learns/README.md")));
    json_decref(lines);
}

static void test_accumulation(void **state)
{
    lorac_train_options o = options_for("8x1");

    (void)state;
    o.batch_size = 8;
    o.grad_accumulation_steps = 1;
    train(&o);
    o.output = in_root("1x8");
    o.batch_size = 1;
    o.grad_accumulation_steps = 8;
    o.val_batches = 200; /* a batch is one row now */
    train(&o);
    assert_same_run(in_root("8x1"), in_root("1x8"));
}

static void test_tokens_per_pass(void **state)
{
    static const int64_t limits[] = { 1, 30, 1000 };
    lorac_train_options o = options_for("auto");
    double loss;

    (void)state;
    o.dropout = 0; /* masks follow the place in a pass */
    o.tokens_per_pass = 0;
    o.steps_per_report = 1;
    train(&o);
    loss = last_number(o.output, "loss");
    for (int i = 0; i < 3; i++) {
        o.output = in_root("pass");
        o.overwrite = 1;
        o.tokens_per_pass = limits[i];
        train(&o);
        assert_true(fabs(last_number(o.output, "loss") - loss) < 1e-5 * loss);
    }
}

static void test_repeats(void **state)
{
    lorac_train_options o = options_for("first");

    (void)state;
    train(&o);
    o.output = in_root("second");
    train(&o);
    assert_same_run(in_root("first"), in_root("second"));
    o.output = in_root("one-thread");
    o.threads = 1;
    train(&o);
    assert_same_run(in_root("first"), in_root("one-thread"));
    o.output = in_root("other-seed");
    o.seed = 1;
    train(&o);
    assert_true(last_number(o.output, "loss") != last_number(in_root("first"), "loss"));
}

static void test_bf16(void **state)
{
    lorac_train_options o = options_for("f32");
    double loss;

    (void)state;
    train(&o);
    loss = last_number(o.output, "loss");
    o.output = in_root("bf16");
    o.dtype = LORAC_DTYPE_BF16;
    train(&o);
    assert_true(fabs(last_number(o.output, "loss") - loss) < 0.02 * loss);
    assert_true(last_number(o.output, "loss") != loss);
    o.output = in_root("bf16-again");
    o.threads = 1;
    train(&o);
    assert_same_run(in_root("bf16"), in_root("bf16-again"));
}

/* ---- Interruptions
 * ---------------------------------------------------------------------------------------------------- */

typedef struct stopper {
    lorac_watch watch;
    int64_t at;
    lorac_event_kind kind;
    int plans, saves, notes;
} stopper;

static void stop_at(void *user, const lorac_event *event)
{
    stopper *s = user;

    s->plans += event->kind == LORAC_EVENT_PLAN;
    s->saves += event->kind == LORAC_EVENT_SAVE;
    s->notes += event->kind == LORAC_EVENT_NOTE;
    if (event->kind == s->kind && event->step == s->at)
        s->watch.cancel = 1;
}

static void interrupt(const lorac_train_options *o, lorac_event_kind kind, int64_t at, bool resume)
{
    stopper s = { .at = at, .kind = kind };

    s.watch = (lorac_watch){ .on_event = stop_at, .user = &s };
    assert_int_equal(run_options(m, o, &s.watch, resume), LORAC_INTERRUPTED);
    assert_contains(lorac_last_error()->message, "lorac resume");
    assert_int_equal(s.plans, 1);
    assert_true(s.saves > 0);
    assert_false(path_exists(in_root("cut/adapter_model.safetensors")));
}

static void resume(const lorac_train_options *o)
{
    assert_run(run_options(m, o, NULL, true));
}

/* Before the first step, within an epoch, at its end, before a validation, and in the last step. */
static void test_resume(void **state)
{
    static const int64_t steps[] = { 1, 4, 6, 8, 13 };
    lorac_train_options o = options_for("whole");

    (void)state;
    train(&o);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        o.output = in_root("cut");
        interrupt(&o, LORAC_EVENT_STEP, steps[i], false);
        resume(&o);
        assert_same_run(in_root("whole"), in_root("cut"));
        assert_same_file(in_root("whole/best"), in_root("cut/best"), "adapter_model.safetensors");
        assert_ok(folder_remove(o.output));
    }
    o.output = in_root("cut");
    interrupt(&o, LORAC_EVENT_PLAN, 0, false);
    interrupt(&o, LORAC_EVENT_STEP, 5, true);
    interrupt(&o, LORAC_EVENT_EVAL, 12, true);
    resume(&o);
    assert_same_run(in_root("whole"), in_root("cut"));
}

static void test_resume_of_a_finished_run(void **state)
{
    lorac_train_options o = options_for("done");
    stopper s = { .at = -1 };

    (void)state;
    train(&o);
    s.watch = (lorac_watch){ .on_event = stop_at, .user = &s };
    assert_run(run_options(m, &o, &s.watch, true));
    assert_int_equal(s.notes, 1);
    assert_int_equal(s.saves, 0);
}

static void test_changed_data(void **state)
{
    lorac_train_options o = options_for("cut");
    buf path = { 0 };

    (void)state;
    interrupt(&o, LORAC_EVENT_STEP, 4, false);
    write_rows(in_folder(&path, data.p, "train.jsonl"), TRAIN_ROWS, 99);
    assert_int_equal(run_options(m, &o, NULL, true), LORAC_ERROR_DATA);
    write_rows(path.p, TRAIN_ROWS, 1);
    resume(&o);
    buf_free(&path);
}

static void test_early_stop(void **state)
{
    lorac_train_options o = options_for("early");

    (void)state;
    o.learning_rate = 0;
    o.steps_per_eval = 2;
    o.patience = 2;
    train(&o);
    assert_true(last_number(o.output, "step") == 6); /* best at 2, none better at 4 and 6 */
}

static pid_t start(const lorac_train_options *o, bool again)
{
    pid_t child = fork();

    if (child == 0)
        _exit(run_options(m, o, NULL, again) == LORAC_OK ? 0 : 1);
    assert_true(child > 0);
    return child;
}

/* SIGKILL at random moments, also while checkpoints are written. */
static void test_kill(void **state)
{
    lorac_train_options o = options_for("unkilled");
    rng r = rng_new(11, 11);
    int kills = 0, result = 1;

    (void)state;
    o.save_every = 1;
    train(&o);
    o.output = in_root("killed");
    o.overwrite = 1;
    while (result != 0) {
        pid_t child = start(&o, path_exists(in_root("killed/run.yaml")));

        if (kills < 20) {
            usleep((useconds_t)(rng_uniform(&r) * 60000));
            kills += kill(child, SIGKILL) == 0;
        }
        assert_int_equal(waitpid(child, &result, 0), child);
        if (WIFEXITED(result) && WEXITSTATUS(result) != 0)
            fail_msg("a resumed run failed after %d kills", kills);
    }
    assert_same_run(in_root("unkilled"), in_root("killed"));
}

/* ---- Refusals
 * --------------------------------------------------------------------------------------------------------- */

static void refuse(const lorac_train_options *o, int status, const char *part)
{
    assert_int_equal(run_options(m, o, NULL, false), status);
    assert_contains(lorac_last_error()->message, part);
}

static void test_used_folder(void **state)
{
    lorac_train_options o = options_for("used");
    buf path = { 0 };

    (void)state;
    assert_ok(folder_make(o.output));
    o.steps = 0;
    train(&o);
    assert_true(path_exists(in_root("used/adapter_model.safetensors")));
    refuse(&o, LORAC_ERROR_USAGE, "--overwrite");
    assert_ok(file_write(in_folder(&path, o.output, "mine.txt"), "mine", 4));
    o.overwrite = 1;
    train(&o);
    assert_true(path_exists(path.p));
    o.adapter = o.output;
    refuse(&o, LORAC_ERROR_USAGE, "starts from");
    o.adapter = NULL;
    o.output = path.p;
    refuse(&o, LORAC_ERROR_USAGE, "this is a file");
    buf_free(&path);
}

static const char *rows_file(const char *text)
{
    static buf path;

    in_folder(&path, root, "rows.jsonl");
    assert_ok(file_write(path.p, text, strlen(text)));
    return path.p;
}

static void test_bad_rows(void **state)
{
    lorac_train_options o = options_for("refused");

    (void)state;
    o.data = rows_file("{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2], \"labels\": [1, -100]}\n");
    refuse(&o, LORAC_ERROR_DATA, "rows.jsonl:2");
    o.data = rows_file("{\"input_ids\": [1, 2]}\n\n{\"input_ids\": [1, 70]}\n");
    refuse(&o, LORAC_ERROR_DATA, "rows.jsonl:3");
    o.data = rows_file("{\"input_ids\": [1, 2], \"labels\": [-100, 71]}\n");
    refuse(&o, LORAC_ERROR_DATA, "labels");
    o.data = rows_file("{\"input_ids\": [1, 2]\n");
    refuse(&o, LORAC_ERROR_DATA, "rows.jsonl:1");
    o.data = rows_file("{\"input_ids\": [1, 2], \"weight\": 2}\n");
    refuse(&o, LORAC_ERROR_DATA, "weight");
    o.data = NULL;
    refuse(&o, LORAC_ERROR_USAGE, "no data");
    assert_false(path_exists(o.output));
}

/* Labels that only truncation took are dropped and counted. */
static void test_truncation(void **state)
{
    lorac_train_options o = options_for("truncated");
    trainer_input in = { .model = m, .options = &o };
    lorac_plan plan;

    (void)state;
    o.data = rows_file("{\"input_ids\": [1, 2, 3, 4, 5], \"labels\": [-100, -100, -100, -100, 5]}\n"
                       "{\"input_ids\": [1, 2, 3, 4, 5]}\n{\"input_ids\": [1, 2]}\n");
    o.max_seq_length = 4;
    assert_run(trainer_plan(&in, &plan));
    assert_int_equal(plan.rows, 2);
    assert_int_equal(plan.truncated_rows, 2);
    assert_int_equal(plan.dropped_rows, 1);
    assert_int_equal(plan.longest_row, 4);
    assert_int_equal(plan.tokens_per_epoch, 6);
    assert_false(path_exists(o.output));
    o.max_seq_length = 1;
    assert_int_equal(trainer_plan(&in, &plan), LORAC_ERROR_DATA);
}

static void test_plan(void **state)
{
    lorac_train_options o = options_for("planned");
    trainer_input in = { .model = m, .options = &o };
    lorac_plan plan;

    (void)state;
    o.steps = -1;
    o.epochs = 2.5;
    assert_run(trainer_plan(&in, &plan));
    assert_int_equal(plan.rows, TRAIN_ROWS);
    assert_int_equal(plan.steps_per_epoch, 6);
    assert_int_equal(plan.steps, 15);
    assert_true(plan.activations > 0);
    assert_true(plan.peak == plan.weights + plan.adapter + plan.optimizer + plan.activations + plan.other);
    assert_int_equal(plan.all_parameters - plan.trainable_parameters, m->parameters);
    assert_true(plan.step_tokens > 0 && plan.step_tokens <= plan.tokens_per_epoch);
    assert_true(plan.step_seconds > 0);
    /* Two operations for every weight of the blocks and every token, forward and backward, at the very least. */
    int64_t block_weights = m->parameters - m->config.vocabulary * m->config.hidden * (m->config.tied_head ? 1 : 2);
    assert_true(plan.step_flops > 3.5 * (double)block_weights * (double)plan.step_tokens);
}

/* Keeping account of the time changes nothing, and what it counts is what the steps need. */
static void test_profile(void **state)
{
    lorac_train_options o = options_for("plain");
    lorac_profile account = { 0 };
    lorac_watch watch = { .profile = &account };
    double seconds = 0;

    (void)state;
    train(&o);
    o.output = in_root("profiled");
    assert_run(run_options(m, &o, &watch, false));
    assert_same_run(in_root("plain"), in_root("profiled"));
    assert_int_equal(account.steps, o.steps - 1);
    assert_true(account.tokens > 0);
    for (int i = 0; i < LORAC_PROFILE_PARTS; i++) {
        assert_true(account.parts[i].seconds > 0);
        assert_true(account.parts[i].flops > 0 || account.parts[i].bytes > 0);
        seconds += account.parts[i].seconds;
    }
    assert_true(seconds < account.seconds);
}

/* Far too large an adapter is refused before any of it is made. */
static void test_memory(void **state)
{
    lorac_train_options o = options_for("refused");
    model huge = *m;
    nn_module *modules[2], wide = m->head;

    (void)state;
    wide.weight.t.dim[0] = wide.weight.t.dim[1] = INT64_C(1) << 40;
    wide.name = "model.layers.0.mlp.wide";
    modules[0] = modules[1] = &wide;
    huge.modules = modules;
    huge.module_count = 2;
    assert_int_equal(run_options(&huge, &o, NULL, false), LORAC_ERROR_MEMORY);
    assert_contains(lorac_last_error()->message, "MiB needed");
    assert_false(path_exists(o.output));
}

/* A weight becomes NaN between two steps: the next one sees it and nothing after the last good step is kept. */
static void poison(void *user, const lorac_event *event)
{
    real **weights = user;

    if (event->kind == LORAC_EVENT_STEP && event->step == 5)
        (*weights)[0] = (real)NAN;
}

static void test_divergence(void **state)
{
    lorac_train_options o = options_for("diverged");
    int64_t bytes = tensor_bytes(&m->final_norm.weight.t);
    real *weights = mem_new((size_t)bytes, 1);
    lorac_watch watch = { .on_event = poison, .user = &weights };
    json_t *lines;

    (void)state;
    memcpy(weights, m->final_norm.weight.t.data, (size_t)bytes);
    m->final_norm.weight.t.data = weights;
    o.steps_per_report = 1;
    assert_int_equal(run_options(m, &o, &watch, false), LORAC_ERROR_DIVERGED);
    assert_contains(lorac_last_error()->message, "at step 6");
    assert_contains(lorac_last_error()->message, "train.jsonl:");
    assert_contains(lorac_last_error()->message, "checkpoints/step-0000003");
    assert_false(path_exists(in_root("diverged/adapter_model.safetensors")));
    lines = read_metrics(o.output);
    assert_int_equal(json_array_size(lines), 6); /* five reports, one validation */
    json_decref(lines);
    mem_free(weights);
}

static int set_up(void **state)
{
    buf path = { 0 };

    (void)state;
    root = test_folder();
    buf_format(&data, "%s/data", root);
    if (folder_make(data.p) || model_open(&m, GOLDEN "/models/llama", NULL))
        return -1;
    write_rows(in_folder(&path, data.p, "train.jsonl"), TRAIN_ROWS, 1);
    write_rows(in_folder(&path, data.p, "valid.jsonl"), VALID_ROWS, 2);
    buf_free(&path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    model_close(m);
    assert_ok(folder_remove(root));
    assert_ok(folder_remove(root));
    arena_free(&memory);
    buf_free(&data);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_learns),
        TEST(test_accumulation),
        TEST(test_tokens_per_pass),
        TEST(test_repeats),
        TEST(test_bf16),
        TEST(test_resume),
        TEST(test_resume_of_a_finished_run),
        TEST(test_changed_data),
        TEST(test_early_stop),
        TEST(test_kill),
        TEST(test_used_folder),
        TEST(test_bad_rows),
        TEST(test_truncation),
        TEST(test_plan),
        TEST(test_profile),
        TEST(test_divergence),
        TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
