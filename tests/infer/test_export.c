/* Merged and converted models compute what base and adapters compute, in every output type, in both formats, there and back. */
#include "test.h"

#include "err.h"
#include "export.h"
#include "inspect.h"
#include "verify.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"

static const char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static void ok(int status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static session *open_session(const model *m, const adapter_use *use)
{
    context_options options = { .threads = 1, .act = DT_F32, .level = cpu_isa() };
    context *c;
    session *s;
    ok(context_new(&c, &options));
    c->adapters = use;
    c->adapter_count = use != NULL;
    ok(session_new(&s, m, c));
    return s;
}

static void close_session(session *s)
{
    context *c = s->c;
    session_free(s);
    context_free(c);
}

/* The largest logit difference between a model with an adapter (or NULL) and the model at `path`, as a share of the largest logit. */
static double difference(const model *m, const adapter *a, double weight, const char *path)
{
    adapter_use use = { a, (real)weight, 0, -1 };
    comparison result;
    model *written;
    ok(model_open(&written, path, false));
    session *s = open_session(m, a ? &use : NULL), *other = open_session(written, NULL);
    ok(compare_models(s, other, NULL, &result));
    close_session(s);
    close_session(other);
    model_close(written);
    assert_true(result.tokens > 10);
    return result.max_difference / result.largest;
}

static void export_and_compare(const char *model_path, const char *adapter_path, dtype type, bool as_gguf, double tolerance)
{
    char path[300];
    model *m;
    adapter *a = NULL;
    export_loss loss = { 0 };
    snprintf(path, sizeof path, "%s/out%s", folder, as_gguf ? ".gguf" : "");
    print_message("%s %s %s %s\n", model_path, adapter_path ? adapter_path : "", dtype_name(type), as_gguf ? "gguf" : "folder");
    ok(model_open(&m, model_path, false));
    if (adapter_path)
        ok(adapter_load(&a, m, adapter_path, NULL, NULL));
    folded one = { a, 0.5 };
    export_plan plan = { .m = m, .adapters = &one, .adapter_count = a != NULL, .type = type };
    if (as_gguf) {
        ok(export_gguf(&plan, path, &loss));
    } else {
        ok(folder_make(path));
        ok(export_huggingface(&plan, path, &loss));
    }
    double d = difference(m, a, 0.5, path);
    if (d > tolerance)
        fail_msg("logits differ by %g of the largest", d);
    assert_true((loss.delta > 0) == (a != NULL));
    assert_true(type != DT_F32 || loss.error == 0);
    adapter_free(a);
    model_close(m);
    ok(as_gguf ? unlink(path) : folder_remove(path));
}

static void every_type_and_format(void **state)
{
    static const char *const models[] = { "models/llama", "models/llama-tied-bias", "models/llama-rope-linear", "models/llama-head-dim",
                                          "gguf/llama-Q4_0.gguf", "gguf/llama-tied-bias.gguf" };
    static const struct { dtype type; double tolerance; } types[] = { { DT_F32, 1e-5 }, { DT_F16, 0.01 }, { DT_BF16, 0.05 } };
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (size_t j = 0; j < 3; j++)
            for (int as_gguf = 0; as_gguf <= 1; as_gguf++) {
                char path[300];
                snprintf(path, sizeof path, GOLDEN "%s", models[i]);
                export_and_compare(path, NULL, types[j].type, as_gguf, types[j].tolerance);
            }
}

static void adapters_are_folded_in(void **state)
{
    static const char *const adapters[] = { "all-linear", "patterns", "rslora", "head", "layers" };
    (void)state;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++) {
        char path[300];
        snprintf(path, sizeof path, GOLDEN "adapters/%s", adapters[i]);
        export_and_compare(GOLDEN "models/llama", path, DT_F32, false, 1e-5);
        export_and_compare(GOLDEN "models/llama", path, DT_F32, true, 1e-5);
    }
}

/* Rotary factors: Llama 3's go into a GGUF as divisors, and those do not fit a Hugging Face configuration. */
static void rotary_factors(void **state)
{
    (void)state;
    export_and_compare(GOLDEN "models/llama-rope-llama3", NULL, DT_F32, true, 1e-5);
    export_and_compare(GOLDEN "gguf/llama-rope-llama3.gguf", NULL, DT_F32, true, 1e-5);
    model *m;
    export_loss loss;
    ok(model_open(&m, GOLDEN "gguf/llama-rope-llama3.gguf", false));
    export_plan plan = { .m = m, .type = DT_F32 };
    assert_int_equal(export_huggingface(&plan, folder, &loss), LORAC_ERROR_USAGE);
    model_close(m);
}

/* Rows that are whole blocks of 32 are quantised, and the file says so. The tiny model's are; the random models' are not. */
static void q8_0(void **state)
{
    (void)state;
    char path[300];
    model *m, *written;
    export_loss loss;
    snprintf(path, sizeof path, "%s/q8.gguf", folder);
    ok(model_open(&m, SOURCE_DIR "/examples/tiny-llama", false));
    export_plan plan = { .m = m, .type = DT_Q8_0 };
    ok(export_gguf(&plan, path, &loss));
    ok(model_open(&written, path, false));
    assert_int_equal(written->weight_type, DT_Q8_0);
    model_close(written);
    assert_true(difference(m, NULL, 1, path) < 0.05);
    model_close(m);
    ok(unlink(path));
}

/* An adapter in llama.cpp's file: names, alpha / rank, and q's rows as pairs. */
static void adapter_file(void **state)
{
    (void)state;
    char path[300];
    model *m;
    adapter *a;
    gguf g;
    double alpha = 0;
    snprintf(path, sizeof path, "%s/adapter.gguf", folder);
    ok(model_open(&m, GOLDEN "models/llama", false));
    ok(adapter_load(&a, m, GOLDEN "adapters/rslora", NULL, NULL));
    ok(export_adapter_gguf(m, a, path));
    ok(gguf_open(&g, path));
    ok(gguf_take_real(&g, "adapter.lora.alpha", &alpha));
    const lora *q = NULL;
    for (int slot = 0; slot < m->linear_count && !q; slot++)
        if (strcmp(m->linears[slot]->name, "model.layers.0.self_attn.q_proj") == 0)
            q = &a->modules[slot];
    const tensor *b = gguf_tensor(&g, "blk.0.attn_q.weight.lora_b");
    assert_non_null(b);
    assert_non_null(gguf_tensor(&g, "blk.1.ffn_down.weight.lora_a"));
    assert_int_equal(b->dim[1], q->rank);
    int64_t head_size = m->config.head_size, half = head_size / 2;
    for (int64_t row = 0; row < b->dim[0]; row++) {
        int64_t head = row / head_size, at = row % head_size;
        int64_t from = head * head_size + (at % 2 ? half : 0) + at / 2;
        for (int64_t c = 0; c < q->rank; c++) {
            double filed = ((const float *)b->data)[row * q->rank + c] * alpha / (double)q->rank;
            double own = ((const float *)q->b.t.data)[from * q->rank + c] * q->scale;
            assert_true(fabs(filed - own) <= 1e-6 * fabs(own) + 1e-9);
        }
    }
    gguf_close(&g);
    adapter_free(a);
    model_close(m);
    ok(unlink(path));
}

static void descriptions(void **state)
{
    (void)state;
    json_t *about;
    ok(inspect_adapter(GOLDEN "adapters/qv", &about));
    assert_int_equal(json_array_size(json_object_get(about, "modules")), 4);
    json_t *first = json_array_get(json_object_get(about, "modules"), 0);
    assert_true(json_is_true(json_object_get(first, "finite")));
    assert_true(json_real_value(json_object_get(first, "norm")) > 0);
    json_decref(about);
    ok(inspect_model(GOLDEN "models/llama", GOLDEN "adapters/qv/adapter_config.json", &about));
    assert_int_equal(json_integer_value(json_object_get(about, "layers")), 2);
    assert_true(json_integer_value(json_object_get(about, "trainable_parameters")) > 0);
    json_decref(about);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_format),
        cmocka_unit_test(adapters_are_folded_in),
        cmocka_unit_test(rotary_factors),
        cmocka_unit_test(q8_0),
        cmocka_unit_test(adapter_file),
        cmocka_unit_test(descriptions),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
