/* test_classifier.c: classifiers against transformers and PEFT (tests/golden/classifiers): logits of texts with and
 * without padding, of models, adapters and what merging them writes. */
#include "test.h"

#include "err.h"
#include "export.h"
#include "json.h"
#include "session.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"
#define CLASSIFIERS GOLDEN "classifiers/"

static void ok(int status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static const char *join(char out[600], const char *folder, const char *name)
{
    snprintf(out, 600, "%.500s/%.80s", folder, name);
    return out;
}

/* The logits of all texts of `expected`, whose shape is [texts, labels], are those of the model. */
static void check_texts(const model *m, const adapter *a, const char *expected, isa level, dtype act, double tolerance)
{
    char path[600];
    safetensors file;
    json_t *root;
    context_options options = { .threads = 2, .act = act, .level = level };
    adapter_use use = { a, 1, 0, -1 };
    context *c;
    session *s;
    double most = 0, largest = 0;
    ok(json_read(&root, join(path, expected, "expected.json"), 1 << 20, 0));
    ok(safetensors_open(&file, join(path, expected, "expected.safetensors")));
    const json_t *texts = json_object_get(root, "texts");
    const tensor *want = safetensors_find(&file, "logits");
    ok(context_new(&c, &options));
    c->adapters = &use;
    c->adapter_count = a != NULL;
    ok(session_new(&s, m, c));
    assert_int_equal(want->dim[0], json_array_size(texts));
    assert_int_equal(want->dim[1], model_outputs(m));
    for (int64_t i = 0; i < want->dim[0]; i++) {
        const json_t *text = json_array_get(texts, (size_t)i);
        int32_t ids[16];
        float logits[8], expected_row[8];
        for (size_t k = 0; k < json_array_size(text); k++)
            ids[k] = (int32_t)json_integer_value(json_array_get(text, k));
        ok(session_logits(s, ids, json_array_size(text), logits));
        memcpy(expected_row, (const float *)want->data + i * want->dim[1], (size_t)want->dim[1] * sizeof(float));
        for (int64_t k = 0; k < want->dim[1]; k++) {
            assert_true(isfinite(logits[k]));
            most = fmax(most, fabs((double)logits[k] - (double)expected_row[k]));
            largest = fmax(largest, fabs((double)expected_row[k]));
        }
    }
    if (most > tolerance * largest)
        fail_msg("%s %s %s: logits differ by %g of the largest", expected, isa_name(level), dtype_name(act),
                 most / largest);
    session_free(s);
    context_free(c);
    safetensors_close(&file);
    json_decref(root);
}

static void check(const model *m, const adapter *a, const char *expected)
{
    for (isa level = ISA_PORTABLE; level <= cpu_isa(); level++) {
        check_texts(m, a, expected, level, DT_F32, 1e-4);
        check_texts(m, a, expected, level, DT_BF16, 0.05);
    }
}

static void models(void **state)
{
    static const char *const names[] = { "llama", "gpt2" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char folder[600];
        model *m;
        ok(model_open(&m, join(folder, CLASSIFIERS "models", names[i]), NULL));
        assert_int_equal(m->config.task, LORAC_TASK_SEQ_CLS);
        assert_string_equal(m->head.name, "score");
        assert_false(m->head_is_new);
        check(m, NULL, folder);
        model_close(m);
    }
}

/* A merged model is opened without being told what it is. */
static void check_merged(const model *m, const adapter *a, const char *expected)
{
    const char *folder = test_folder();
    context_options options = { .threads = 2, .act = DT_F32, .level = cpu_isa() };
    folded one = { a, 1 };
    export_plan plan = { .m = m, .adapters = &one, .adapter_count = a != NULL, .type = DT_F32 };
    export_loss loss = { 0 };
    model *written;
    ok(context_new(&plan.c, &options));
    ok(export_huggingface(&plan, folder, &loss));
    context_free(plan.c);
    ok(model_open(&written, folder, NULL));
    assert_int_equal(written->config.task, LORAC_TASK_SEQ_CLS);
    assert_int_equal(written->config.labels.count, m->config.labels.count);
    assert_int_equal(written->parameters, m->parameters);
    for (int64_t i = 0; i < m->config.labels.count; i++)
        assert_string_equal(written->config.labels.names[i], m->config.labels.names[i]);
    check_texts(written, NULL, expected, cpu_isa(), DT_F32, 1e-4);
    model_close(written);
    ok(folder_remove(folder));
}

static void written(void **state)
{
    static const char *const names[] = { "llama", "gpt2" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char folder[600];
        model *m;
        ok(model_open(&m, join(folder, CLASSIFIERS "models", names[i]), NULL));
        check_merged(m, NULL, folder);
        model_close(m);
    }
}

static void check_counts(const adapter *a, const model *m, const char *folder)
{
    parameter_counts counts = adapter_counts(a, m);
    char path[600], line[160], want[160];
    json_t *root;
    size_t n = 0;
    ok(json_read(&root, join(path, folder, "expected.json"), 1 << 20, 0));
    for (const char *p = json_string_value(json_object_get(root, "trainable_line")); *p && n < sizeof want - 1; p++)
        if (*p != ',')
            want[n++] = *p;
    want[n] = 0;
    snprintf(line, sizeof line, "trainable params: %lld || all params: %lld || trainable%%: %.4f",
             (long long)counts.trainable, (long long)counts.all, 100.0 * (double)counts.trainable / (double)counts.all);
    assert_string_equal(line, want);
    json_decref(root);
}

/* Heads that PEFT has trained: of classifiers, and new ones of causal models, whose size the adapter says. */
static void adapters(void **state)
{
    static const char *const cases[][2] = { { "llama", CLASSIFIERS "models/llama" },
                                            { "gpt2", CLASSIFIERS "models/gpt2" },
                                            { "llama-new-head", GOLDEN "models/llama" },
                                            { "gpt2-new-head", GOLDEN "models/gpt2" } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[600];
        model_options options = { 0 };
        model *m;
        adapter *a;
        print_message("%s\n", cases[i][0]);
        ok(adapter_expects(join(folder, CLASSIFIERS "adapters", cases[i][0]), &options));
        assert_int_equal(options.otherwise, LORAC_TASK_SEQ_CLS);
        ok(model_open(&m, cases[i][1], &options));
        ok(adapter_load(&a, m, folder, NULL, NULL));
        ok(adapters_bring_head(&(adapter_use){ .adapter = a }, 1, m));
        check_counts(a, m, folder);
        check(m, a, folder);
        check_merged(m, a, folder);
        adapter_free(a);
        model_close(m);
    }
}

/* config.json first, then the adapter, and both only where the caller does not say it. */
static void tasks(void **state)
{
    static const char causal[] = GOLDEN "models/gpt2", classifier[] = CLASSIFIERS "models/gpt2";
    static const struct {
        const char *path;
        lorac_task task, otherwise, expected;
        bool is_new;
    } cases[] = {
        { causal, LORAC_TASK_AUTO, LORAC_TASK_AUTO, LORAC_TASK_CAUSAL, false },
        { causal, LORAC_TASK_AUTO, LORAC_TASK_SEQ_CLS, LORAC_TASK_SEQ_CLS, true },
        { causal, LORAC_TASK_SEQ_CLS, LORAC_TASK_AUTO, LORAC_TASK_SEQ_CLS, true },
        { causal, LORAC_TASK_CAUSAL, LORAC_TASK_SEQ_CLS, LORAC_TASK_CAUSAL, false },
        { classifier, LORAC_TASK_AUTO, LORAC_TASK_AUTO, LORAC_TASK_SEQ_CLS, false },
        { classifier, LORAC_TASK_SEQ_CLS, LORAC_TASK_AUTO, LORAC_TASK_SEQ_CLS, false },
        { classifier, LORAC_TASK_CAUSAL, LORAC_TASK_AUTO, LORAC_TASK_CAUSAL, false }, /* its head is the embedding */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_options options = { .task = cases[i].task, .otherwise = cases[i].otherwise };
        model *m;
        ok(model_open(&m, cases[i].path, &options));
        assert_int_equal(m->config.task, cases[i].expected);
        assert_int_equal(m->head_is_new, cases[i].is_new);
        assert_int_equal(model_outputs(m), cases[i].expected == LORAC_TASK_CAUSAL ? 70 : 2);
        model_close(m);
    }
}

/* A new classifier counts, a head that it replaces does not; an adapter says how many labels it has. */
static void new_heads(void **state)
{
    model_options five = { .task = LORAC_TASK_SEQ_CLS, .labels = 5 };
    model *m, *bare;
    (void)state;
    ok(model_open(&m, GOLDEN "models/llama", &five));
    ok(model_open(&bare, GOLDEN "models/llama", NULL));
    assert_int_equal(model_outputs(m), 5);
    assert_int_equal(m->parameters, bare->parameters - 70 * 24 + 5 * 24);
    assert_string_equal(m->config.labels.names[4], "LABEL_4");
    model_close(bare);
    model_close(m);
}

static void no_text(void **state)
{
    context_options options = { .threads = 1, .act = DT_F32, .level = cpu_isa() };
    lorac_sampling sampling = { .top_p = 1, .repetition_penalty = 1 };
    context *c;
    session *s;
    sequence *q;
    model *m;
    (void)state;
    ok(model_open(&m, CLASSIFIERS "models/llama", NULL));
    ok(context_new(&c, &options));
    ok(session_new(&s, m, c));
    assert_int_equal(sequence_new(&q, s, &sampling), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "generates no text");
    assert_int_equal(session_logits(s, NULL, 0, NULL), LORAC_ERROR_USAGE);
    session_free(s);
    context_free(c);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models), cmocka_unit_test(written),   cmocka_unit_test(adapters),
        cmocka_unit_test(tasks),  cmocka_unit_test(new_heads), cmocka_unit_test(no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
