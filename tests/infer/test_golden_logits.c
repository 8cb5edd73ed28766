/* Logits of tiny random models against transformers and PEFT (tests/golden), at every kernel level this machine has. */
#include "test.h"

#include "err.h"
#include "json.h"
#include "mem.h"
#include "session.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"

static void ok(int status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

/* The ids of an expected.json. */
static size_t read_ids(const char *path, int32_t ids[64])
{
    json_t *root;
    ok(json_read(&root, path, 1 << 20, 0));
    const json_t *list = json_object_get(root, "ids");
    size_t n = json_array_size(list);
    assert_in_range(n, 1, 64);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    json_decref(root);
    return n;
}

/* The largest difference, as a share of the largest reference value. */
static double difference(const float *got, const tensor *want)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < tensor_count(want); i++) {
        float w;
        memcpy(&w, (const char *)want->data + (size_t)i * sizeof w, sizeof w);
        assert_true(isfinite(got[i]));
        most = fmax(most, fabs((double)got[i] - (double)w));
        largest = fmax(largest, fabs((double)w));
    }
    return most / largest;
}

static void check_level(const model *m, const adapter_use *use, const int32_t *ids, size_t n, const tensor *want,
                        isa level, dtype act, double tolerance)
{
    context_options options = { .threads = 2, .act = act, .level = level };
    context *c;
    session *s;
    float *logits = mem_new(n, (size_t)m->config.vocabulary * sizeof *logits);
    assert_int_equal(tensor_count(want), (int64_t)n * m->config.vocabulary);
    ok(context_new(&c, &options));
    c->adapters = use;
    c->adapter_count = use != NULL;
    ok(session_new(&s, m, c));
    ok(session_logits(s, ids, n, logits));
    double d = difference(logits, want);
    if (d > tolerance)
        fail_msg("%s %s: logits differ by %g of the largest", isa_name(level), dtype_name(act), d);
    session_free(s);
    context_free(c);
    mem_free(logits);
}

/* PEFT's line of print_trainable_parameters, here without its commas between digits. */
static void check_counts(const adapter *a, const model *m, const char *expected_path)
{
    json_t *root;
    char line[128], want[128];
    size_t n = 0;
    parameter_counts counts = adapter_counts(a, m);
    ok(json_read(&root, expected_path, 1 << 20, 0));
    for (const char *p = json_string_value(json_object_get(root, "trainable_line")); *p && n < sizeof want - 1; p++)
        if (*p != ',')
            want[n++] = *p;
    want[n] = 0;
    snprintf(line, sizeof line, "trainable params: %lld || all params: %lld || trainable%%: %.4f",
             (long long)counts.trainable, (long long)counts.all, 100.0 * (double)counts.trainable / (double)counts.all);
    assert_string_equal(line, want);
    json_decref(root);
}

static void check(const char *model_path, const char *adapter_path, const char *ids_path, const char *logits_path)
{
    int32_t ids[64];
    size_t n = read_ids(ids_path, ids);
    safetensors expected;
    model *m;
    adapter *a = NULL;
    print_message("%s %s\n", model_path, adapter_path ? adapter_path : "");
    ok(safetensors_open(&expected, logits_path));
    ok(model_open(&m, model_path, NULL));
    if (adapter_path)
        ok(adapter_load(&a, m, adapter_path, NULL, NULL));
    if (adapter_path)
        check_counts(a, m, ids_path);
    adapter_use use = { a, 1, 0, -1 };
    const tensor *want = safetensors_find(&expected, "logits");
    for (isa level = ISA_PORTABLE; level <= cpu_isa(); level++) {
        check_level(m, a ? &use : NULL, ids, n, want, level, DT_F32, 1e-4);
        check_level(m, a ? &use : NULL, ids, n, want, level, DT_BF16, 0.05);
    }
    adapter_free(a);
    model_close(m);
    safetensors_close(&expected);
}

static void models(void **state)
{
    (void)state;
    char **names;
    size_t count;
    ok(folder_list(&names, &count, GOLDEN "models"));
    assert_true(count > 5);
    for (size_t i = 0; i < count; i++) {
        char folder[512], ids[600], logits[600];
        snprintf(folder, sizeof folder, GOLDEN "models/%s", names[i]);
        snprintf(ids, sizeof ids, "%s/expected.json", folder);
        snprintf(logits, sizeof logits, "%s/expected.safetensors", folder);
        check(folder, NULL, ids, logits);
    }
    folder_list_free(names, count);
}

/* The model that an adapter is for, as its configuration names it. */
static void read_base(const char *folder, char base[600])
{
    json_t *root;
    char path[600];
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    ok(json_read(&root, path, 1 << 20, 0));
    snprintf(base, 600, GOLDEN "models/%s", json_string_value(json_object_get(root, "base_model_name_or_path")));
    json_decref(root);
}

static void adapters(void **state)
{
    (void)state;
    char **names;
    size_t count;
    ok(folder_list(&names, &count, GOLDEN "adapters"));
    assert_true(count > 5);
    for (size_t i = 0; i < count; i++) {
        char folder[512], ids[600], logits[600], base[600];
        snprintf(folder, sizeof folder, GOLDEN "adapters/%s", names[i]);
        snprintf(ids, sizeof ids, "%s/expected.json", folder);
        snprintf(logits, sizeof logits, "%s/expected.safetensors", folder);
        read_base(folder, base);
        check(base, folder, ids, logits);
    }
    folder_list_free(names, count);
}

/* Factors and scales are the same to the last bit. */
static void same_adapter(const char *path, const char *expected)
{
    model *m;
    adapter *a, *b;
    ok(model_open(&m, GOLDEN "models/llama", NULL));
    ok(adapter_load(&a, m, path, NULL, NULL));
    ok(adapter_load(&b, m, expected, NULL, NULL));
    assert_int_equal(a->trainable_count, b->trainable_count);
    for (int i = 0; i < a->trainable_count; i++) {
        const named_var *x = &a->trainables[i], *y = &b->trainables[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->count, y->count);
        assert_memory_equal(x->value->t.data, y->value->t.data, (size_t)tensor_bytes(&x->value->t));
    }
    for (int slot = 0; slot < a->module_count; slot++) {
        assert_int_equal(a->modules[slot].rank, b->modules[slot].rank);
        assert_true(a->modules[slot].scale == b->modules[slot].scale);
    }
    adapter_free(a);
    adapter_free(b);
    model_close(m);
}

/* formats/NAME-FORMAT is adapters/NAME as others file it. */
static void other_formats(void **state)
{
    (void)state;
    char **names;
    size_t count, tried = 0;
    ok(folder_list(&names, &count, GOLDEN "formats"));
    for (size_t i = 0; i < count; i++) {
        char path[512], adapter_path[512], ids[600], logits[600];
        const char *end = strrchr(names[i], '-');
        assert_non_null(end);
        if (strcmp(end, "-legacy") == 0)
            continue; /* refused: test_adapter_file */
        snprintf(path, sizeof path, GOLDEN "formats/%s", names[i]);
        snprintf(adapter_path, sizeof adapter_path, GOLDEN "adapters/%.*s", (int)(end - names[i]), names[i]);
        snprintf(ids, sizeof ids, "%s/expected.json", adapter_path);
        snprintf(logits, sizeof logits, "%s/expected.safetensors", adapter_path);
        same_adapter(path, adapter_path);
        check(GOLDEN "models/llama", path, ids, logits);
        tried++;
    }
    assert_true(tried >= 7);
    folder_list_free(names, count);
}

static void gguf_files(void **state)
{
    (void)state;
    char **names;
    size_t count, tried = 0;
    ok(folder_list(&names, &count, GOLDEN "gguf"));
    for (size_t i = 0; i < count; i++) {
        slice name = slice_of(names[i]);
        if (!slice_ends(name, ".gguf"))
            continue;
        char file[512], logits[600];
        snprintf(file, sizeof file, GOLDEN "gguf/%s", names[i]);
        snprintf(logits, sizeof logits, GOLDEN "gguf/%.*s.expected.safetensors", (int)(name.n - 5), names[i]);
        check(file, NULL, GOLDEN "gguf/expected.json", logits);
        tried++;
    }
    assert_true(tried > 5);
    folder_list_free(names, count);
}

/* A sequence that is run token by token through the cache gives the greedy choices of the whole run, also with a
 * neighbour in the batch. */
static void check_cache(const char *path)
{
    enum { PROMPT = 5, NEW = 20 };
    int32_t ids[PROMPT + NEW] = { 5, 61, 17, 3, 42 };
    model *m;
    context *c;
    session *s;
    sequence *q, *neighbour;
    lorac_sampling greedy = { .top_p = 1, .repetition_penalty = 1, .ignore_eos = 1 };
    context_options options = { .threads = 1, .act = DT_F32, .level = cpu_isa() };
    ok(model_open(&m, path, NULL));
    ok(context_new(&c, &options));
    ok(session_new(&s, m, c));
    ok(sequence_new(&q, s, &greedy));
    ok(sequence_new(&neighbour, s, &greedy));
    ok(sequence_append(q, ids, PROMPT));
    ok(sequence_append(neighbour, (int32_t[]){ 1, 2, 3 }, 3));
    for (int i = 0; i < NEW; i++) {
        ok(session_step(s));
        ids[PROMPT + i] = q->last;
    }
    float *logits = mem_new(PROMPT + NEW, (size_t)m->config.vocabulary * sizeof *logits);
    ok(session_logits(s, ids, PROMPT + NEW, logits));
    for (int i = 0; i < NEW; i++) {
        const float *row = logits + (PROMPT + i - 1) * m->config.vocabulary;
        for (int64_t v = 0; v < m->config.vocabulary; v++)
            assert_true(row[v] <= row[ids[PROMPT + i]] + 1e-5f);
    }
    mem_free(logits);
    session_free(s);
    context_free(c);
    model_close(m);
}

static void cache_equals_whole(void **state)
{
    (void)state;
    check_cache(GOLDEN "models/llama");
    check_cache(GOLDEN "models/gpt2");
    check_cache(GOLDEN "gguf/gpt2-Q8_0.gguf");
}

/* Learned positions end: what goes beyond them is refused before anything is read there. */
static void positions_end(void **state)
{
    (void)state;
    enum { MANY = 40 };
    int32_t ids[MANY] = { 0 };
    model *m;
    context *c;
    session *s;
    context_options options = { .threads = 1, .act = DT_F32, .level = cpu_isa() };
    ok(model_open(&m, GOLDEN "models/gpt2", NULL));
    ok(context_new(&c, &options));
    ok(session_new(&s, m, c));
    assert_in_range(m->config.context, 1, MANY - 1);
    float *logits = mem_new(MANY, (size_t)m->config.vocabulary * sizeof *logits);
    ok(session_logits(s, ids, (size_t)m->config.context, logits));
    assert_int_equal(session_logits(s, ids, (size_t)m->config.context + 1, logits), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "learned positions");
    error_clear();
    mem_free(logits);
    session_free(s);
    context_free(c);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),     cmocka_unit_test(adapters),           cmocka_unit_test(other_formats),
        cmocka_unit_test(gguf_files), cmocka_unit_test(cache_equals_whole), cmocka_unit_test(positions_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
