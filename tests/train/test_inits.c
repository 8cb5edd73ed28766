/* test_inits.c: runs that begin with PEFT's init_lora_weights: the first values, 20 steps, the files they leave, and
 * resuming them. */
#include "run_test.h"

#include "adapt.h"
#include "cpu.h"
#include "safetensors.h"

#include <math.h>

enum { STEPS = 20, IDS = 12 };

typedef struct init_case {
    buf golden, base, rows, config;
    safetensors expected;
    json_t *about;
    model *m;
    lorac_train_options o;
} init_case;

static void open_case(init_case *c, const char *name)
{
    const json_t *settings;
    buf path = { 0 };

    *c = (init_case){ 0 };
    buf_format(&c->golden, GOLDEN "/inits/%s", name);
    assert_ok(json_read(&c->about, in_folder(&path, c->golden.p, "expected.json"), 1 << 20, 0));
    assert_ok(safetensors_open(&c->expected, in_folder(&path, c->golden.p, "expected.safetensors")));
    settings = json_object_get(c->about, "settings");
    buf_format(&c->base, GOLDEN "/models/%s", json_string_value(json_object_get(settings, "model")));
    assert_ok(model_open(&c->m, c->base.p, false));
    lorac_train_options_init(&c->o);
    c->o.model = c->base.p;
    c->o.data = in_folder(&c->rows, c->golden.p, "rows.jsonl");
    c->o.peft_config = in_folder(&c->config, c->golden.p, "adapter_config.json");
    c->o.steps = STEPS;
    c->o.batch_size = json_integer_value(json_object_get(settings, "batch_size"));
    c->o.learning_rate = json_number_value(json_object_get(settings, "learning_rate"));
    c->o.lr_schedule = LORAC_SCHEDULE_CONSTANT;
    c->o.shuffle = 0;
    c->o.steps_per_report = 1;
    c->o.dtype = LORAC_DTYPE_F32;
    buf_free(&path);
}

static void close_case(init_case *c)
{
    lorac_train_options_clear(&c->o);
    model_close(c->m);
    safetensors_close(&c->expected);
    json_decref(c->about);
    buf_free(&c->golden);
    buf_free(&c->base);
    buf_free(&c->rows);
    buf_free(&c->config);
}

static void train(init_case *c, const char *folder)
{
    c->o.output = folder;
    assert_run(run_options(c->m, &c->o, NULL, false));
}

/* The base with an adapter, as everybody sees it: from the folder. */
static void check_logits(const init_case *c, const char *folder, const char *name, double tolerance)
{
    static const int32_t ids[IDS] = { 5, 61, 17, 17, 3, 42, 69, 0, 28, 33, 9, 54 };
    static const int32_t positions[IDS] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
    const attention_span span = { 0, IDS, 0, IDS };
    const batch rows = { .count = IDS, .ids = ids, .positions = positions, .spans = &span, .n_spans = 1 };
    const context_options options = { .threads = 1, .level = cpu_isa(), .act = DT_F32 };
    const tensor *expected = safetensors_find(&c->expected, name);
    float logits[IDS * 70];
    double worst = 0, most = 0;
    adapter *a;
    context *run;

    assert_non_null(expected);
    assert_int_equal(tensor_count(expected), IDS * 70);
    assert_ok(adapter_load(&a, c->m, folder, NULL, NULL));
    assert_ok(context_new(&run, &options));
    assert_ok(context_reserve(run, 16 << 20));
    run->adapters = &(adapter_use){ a, 1, 0, -1 };
    run->adapter_count = 1;
    assert_ok(model_logits(c->m, run, &rows, NULL, IDS, logits));
    for (int i = 0; i < IDS * 70; i++) {
        worst = fmax(worst, fabs((double)logits[i] - (double)((const float *)expected->data)[i]));
        most = fmax(most, fabs((double)((const float *)expected->data)[i]));
    }
    if (worst > tolerance * most)
        fail_msg("%s of %s: %g of the largest value apart", name, folder, worst / most);
    context_free(run);
    adapter_free(a);
}

static void check_metrics(const init_case *c, const char *folder, double tolerance)
{
    static const char *const keys[] = { "loss", "grad_norm" };
    json_t *lines = read_metrics(folder);

    assert_int_equal(json_array_size(lines), STEPS);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < STEPS; i++) {
            double found = json_number_value(json_object_get(json_array_get(lines, i), keys[k]));
            double expected = json_number_value(json_array_get(json_object_get(c->about, keys[k]), i));

            if (!(fabs(found - expected) <= tolerance * fabs(expected)))
                fail_msg("%s of step %zu: %.9g, where PEFT has %.9g", keys[k], i + 1, found, expected);
        }
    json_decref(lines);
}

static double value_at(const tensor *t, int64_t i, int64_t j)
{
    return (double)((const float *)t->data)[i * tensor_cols(t) + j];
}

/* The second halves of the filed factors: what was taken of the base. */
static void check_taken(const init_case *c, const char *folder, double tolerance)
{
    buf path = { 0 };
    safetensors filed;
    int checked = 0;

    assert_ok(safetensors_open(&filed, in_folder(&path, folder, "adapter_model.safetensors")));
    for (size_t i = 0; i < c->expected.count; i++) {
        const tensor *taken = &c->expected.tensors[i], *a, *b;
        const char *name = c->expected.names[i] + strlen("first.");
        double worst = 0, most = 0, scale;

        if (strncmp(c->expected.names[i], "first.", 6) != 0)
            continue;
        buf_clear(&path);
        buf_format(&path, "base_model.model.%s.lora_A.weight", name);
        a = safetensors_find(&filed, path.p);
        buf_clear(&path);
        buf_format(&path, "base_model.model.%s.lora_B.weight", name);
        b = safetensors_find(&filed, path.p);
        scale = json_number_value(json_object_get(json_object_get(c->about, "scales"), name));
        assert_true(a && b && a->dim[0] == b->dim[1] && a->dim[0] % 2 == 0);
        for (int64_t r = 0; r < taken->dim[0]; r++)
            for (int64_t col = 0; col < taken->dim[1]; col++) {
                double sum = 0;

                for (int64_t k = a->dim[0] / 2; k < a->dim[0]; k++)
                    sum -= scale * value_at(b, r, k) * value_at(a, k, col);
                worst = fmax(worst, fabs(sum - value_at(taken, r, col)));
                most = fmax(most, fabs(value_at(taken, r, col)));
            }
        if (worst > tolerance * most)
            fail_msg("%s took something else than PEFT: %g of the largest value apart", name, worst / most);
        checked++;
    }
    assert_true(checked >= 4);
    safetensors_close(&filed);
    buf_free(&path);
}

/* PiSSA, OLoRA and CorDA: first values, the steps from there, and the folder as an adapter for the untouched base. */
static void check_changed(const char *name, double tolerance)
{
    const char *folder = test_folder();
    init_case c;

    open_case(&c, name);
    train(&c, folder);
    check_taken(&c, folder, tolerance);
    check_metrics(&c, folder, 1e-3);
    check_logits(&c, folder, "final_logits", 1e-3);
    close_case(&c);
    assert_ok(folder_remove(folder));
}

static void test_pissa(void **state)
{
    (void)state;
    check_changed("llama-pissa", 1e-5);
    check_changed("llama-pissa-patterns", 1e-5);
    check_changed("gpt2-pissa", 1e-5);
}

static void test_olora(void **state)
{
    (void)state;
    check_changed("llama-olora", 1e-5);
}

/* PEFT inverts its covariance in f32. */
static void test_corda(void **state)
{
    (void)state;
    check_changed("llama-corda", 1e-4);
    check_changed("llama-corda-keeps", 1e-4);
}

/* How much of each of PEFT's directions lies in the space of ours: 1 is all of it. */
static double overlap(const tensor *a, const tensor *theirs)
{
    double least = 1;

    for (int64_t t = 0; t < theirs->dim[0]; t++) {
        double squares = 0, length = 0;

        for (int64_t j = 0; j < theirs->dim[1]; j++)
            length += value_at(theirs, t, j) * value_at(theirs, t, j);
        for (int64_t r = 0; r < a->dim[0]; r++) {
            double dot = 0, own = 0;

            for (int64_t j = 0; j < a->dim[1]; j++) {
                dot += value_at(a, r, j) * value_at(theirs, t, j);
                own += value_at(a, r, j) * value_at(a, r, j);
            }
            squares += dot * dot / own;
        }
        least = fmin(least, squares / length);
    }
    return least;
}

static void check_eva(const char *name)
{
    const char *folder = test_folder();
    const char *which;
    json_t *rank;
    init_case c;
    safetensors filed;
    buf path = { 0 };

    open_case(&c, name);
    c.o.steps = 0;
    train(&c, folder);
    assert_ok(safetensors_open(&filed, in_folder(&path, folder, "adapter_model.safetensors")));
    json_object_foreach(json_object_get(c.about, "ranks"), which, rank)
    {
        const tensor *a, *theirs;

        buf_clear(&path);
        buf_format(&path, "base_model.model.%s.lora_A.weight", which);
        a = safetensors_find(&filed, path.p);
        assert_non_null(a);
        if (a->dim[0] != json_integer_value(rank))
            fail_msg("%s: rank %d, where PEFT has %d", which, (int)a->dim[0], (int)json_integer_value(rank));
        buf_clear(&path);
        buf_format(&path, "first.%s", which);
        theirs = safetensors_find(&c.expected, path.p);
        if (theirs && overlap(a, theirs) < 0.999)
            fail_msg("%s: a direction of PEFT's lies in ours to %g only", which, overlap(a, theirs));
    }
    safetensors_close(&filed);
    buf_free(&path);
    close_case(&c);
    assert_ok(folder_remove(folder));
}

static void test_eva(void **state)
{
    (void)state;
    check_eva("llama-eva");
    check_eva("gpt2-eva");
}

/* What PEFT's save_pretrained leaves without a conversion: the trained factors alone, for a base that PEFT changes
 * again when it loads them. */
static void file_unconverted(const init_case *c, const char *converted, const char *folder)
{
    buf path = { 0 }, config = { 0 };
    safetensors filed;
    arena memory = { 0 };
    tensor *halves;

    assert_ok(safetensors_open(&filed, in_folder(&path, converted, "adapter_model.safetensors")));
    halves = arena_new(&memory, filed.count, sizeof *halves);
    assert_non_null(halves);
    for (size_t i = 0; i < filed.count; i++) {
        const tensor *t = &filed.tensors[i];
        int halved = strstr(filed.names[i], "lora_A") ? 0 : 1;
        int64_t cols;
        float *half;

        halves[i] = *t;
        halves[i].dim[halved] /= 2;
        cols = halves[i].dim[1];
        half = halves[i].data = arena_new(&memory, (size_t)tensor_count(&halves[i]), sizeof *half);
        assert_non_null(half);
        for (int64_t k = 0; k < tensor_count(&halves[i]); k++)
            half[k] = (float)value_at(t, k / cols, k % cols);
    }
    assert_ok(
        safetensors_save(in_folder(&path, folder, "adapter_model.safetensors"), filed.names, halves, filed.count));
    read_text(&config, c->golden.p, "adapter_config.json");
    assert_ok(file_write(in_folder(&path, folder, "adapter_config.json"), config.p, config.n));
    safetensors_close(&filed);
    arena_free(&memory);
    buf_free(&path);
    buf_free(&config);
}

static void check_unconverted(const char *name, bool can_be_made_again)
{
    const char *folder = test_folder();
    buf converted = { 0 }, unconverted = { 0 };
    init_case c;
    adapter *a;

    open_case(&c, name);
    train(&c, in_folder(&converted, folder, "converted"));
    assert_ok(folder_make(in_folder(&unconverted, folder, "unconverted")));
    file_unconverted(&c, converted.p, unconverted.p);
    if (can_be_made_again) {
        check_logits(&c, unconverted.p, "final_logits", 1e-3);
    } else {
        assert_int_equal(adapter_load(&a, c.m, unconverted.p, NULL, NULL), LORAC_ERROR_USAGE);
        assert_contains(lorac_last_error()->message, "cannot be made again");
        assert_null(a);
    }
    close_case(&c);
    buf_free(&converted);
    buf_free(&unconverted);
    assert_ok(folder_remove(folder));
}

static void test_unconverted(void **state)
{
    (void)state;
    check_unconverted("llama-pissa-patterns", true);
    check_unconverted("llama-olora", true);
    check_unconverted("llama-corda", false);
}

static void stop_at_seven(void *user, const lorac_event *event)
{
    if (event->kind == LORAC_EVENT_STEP && event->step == 7)
        ((lorac_watch *)user)->cancel = 1;
}

/* A run that is resumed half-way, on another number of threads, leaves the bytes of one that went through. */
static void check_resumed(const char *name, const char *init)
{
    const char *folder = test_folder();
    buf whole = { 0 }, halved = { 0 };
    lorac_watch watch = { .on_event = stop_at_seven, .user = &watch };
    init_case c;

    open_case(&c, name);
    if (init)
        c.o.peft_config = NULL;
    c.o.init_lora_weights = init;
    c.o.rank = 4;
    c.o.save_every = 5;
    c.o.threads = 1;
    train(&c, in_folder(&whole, folder, "whole"));
    c.o.threads = 2;
    c.o.output = in_folder(&halved, folder, "halved");
    assert_int_equal(run_options(c.m, &c.o, &watch, false), LORAC_INTERRUPTED);
    assert_run(run_options(c.m, &c.o, NULL, true));
    assert_same_run(whole.p, halved.p);
    c.o.init_lora_weights = NULL;
    close_case(&c);
    buf_free(&whole);
    buf_free(&halved);
    assert_ok(folder_remove(folder));
}

static void test_resumed(void **state)
{
    (void)state;
    check_resumed("llama-pissa-patterns", NULL);
    check_resumed("llama-corda", NULL);
    check_resumed("gpt2-eva", NULL);
    check_resumed("llama-pissa", "pissa_niter_4");
    check_resumed("llama-pissa", "orthogonal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unconverted), cmocka_unit_test(test_resumed), cmocka_unit_test(test_pissa),
        cmocka_unit_test(test_olora),       cmocka_unit_test(test_corda),   cmocka_unit_test(test_eva),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
