/* Merged and converted models compute what base and adapters compute, in every output type, in both formats, there and
 * back. */
#include "test_in_folder.h"

#include "err.h"
#include "export.h"
#include "inspect.h"
#include "pieces.h"
#include "rng.h"
#include "verify.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"

static void ok(int status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static context *new_context(int threads)
{
    context_options options = { .threads = threads, .act = DT_F32, .level = cpu_isa() };
    context *c;
    ok(context_new(&c, &options));
    return c;
}

static void apply(context *c, const adapter_use *uses, int count)
{
    c->adapters = uses;
    c->adapter_count = count;
}

/* The largest logit difference between a model with adapters and the model at `path`, as a share of the largest logit.
 */
static double difference(const model *m, const adapter_use *uses, int count, const char *path)
{
    comparison result;
    reference expected;
    model *written;
    context *c = new_context(2);
    apply(c, uses, count);
    ok(reference_new(&expected, m, c, NULL));
    apply(c, NULL, 0);
    ok(model_open(&written, path, NULL));
    ok(reference_compare(&expected, written, c, &result));
    model_close(written);
    reference_free(&expected);
    context_free(c);
    assert_true(result.tokens > 10);
    assert_true(result.kl_divergence > -1e-9 && result.kl_divergence < 0.1);
    return result.max_difference / result.largest;
}

static void write_model(const export_plan *plan, const char *path, bool as_gguf, export_loss *loss)
{
    if (as_gguf) {
        ok(export_gguf(plan, path, loss));
        return;
    }
    ok(folder_make(path));
    ok(export_huggingface(plan, path, loss));
}

static void export_and_compare(const char *model_path, const char *adapter_path, dtype type, bool as_gguf,
                               double tolerance)
{
    char path[300];
    model *m;
    adapter *a = NULL;
    export_loss loss = { 0 };
    snprintf(path, sizeof path, "%s/out%s", folder, as_gguf ? ".gguf" : "");
    print_message("%s %s %s %s\n", model_path, adapter_path ? adapter_path : "", dtype_name(type),
                  as_gguf ? "gguf" : "folder");
    ok(model_open(&m, model_path, NULL));
    if (adapter_path)
        ok(adapter_load(&a, m, adapter_path, NULL, NULL));
    folded one = { a, 0.5 };
    adapter_use use = { a, 0.5f, 0, -1 };
    context *c = new_context(1);
    export_plan plan = { .m = m, .c = c, .adapters = &one, .adapter_count = a != NULL, .type = type };
    write_model(&plan, path, as_gguf, &loss);
    context_free(c);
    double d = difference(m, &use, a != NULL, path);
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
    static const char *const models[] = {
        "models/llama",          "models/llama-tied-bias", "models/llama-rope-linear",
        "models/llama-head-dim", "gguf/llama-Q4_0.gguf",   "gguf/llama-tied-bias.gguf",
        "models/gpt2",           "gguf/gpt2-Q8_0.gguf"
    };
    static const struct {
        dtype type;
        double tolerance;
    } types[] = { { DT_F32, 1e-5 }, { DT_F16, 0.01 }, { DT_BF16, 0.05 } };
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
    static const struct {
        const char *model, *adapter;
    } pairs[] = {
        { "models/llama", "all-linear" },
        { "models/llama", "patterns" },
        { "models/llama", "rslora" },
        { "models/llama", "head" },
        { "models/llama", "layers" },
        { "models/gpt2", "gpt2-all-linear" },
        { "models/gpt2", "gpt2-patterns" },
        { "gguf/gpt2-F16.gguf", "gpt2-default" },
        { "gguf/gpt2-Q8_0.gguf", "gpt2-all-linear" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char path[300], base[300];
        snprintf(base, sizeof base, GOLDEN "%s", pairs[i].model);
        snprintf(path, sizeof path, GOLDEN "adapters/%s", pairs[i].adapter);
        export_and_compare(base, path, DT_F32, false, 1e-5);
        export_and_compare(base, path, DT_F32, true, 1e-5);
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
    ok(model_open(&m, GOLDEN "gguf/llama-rope-llama3.gguf", NULL));
    context *c = new_context(1);
    export_plan plan = { .m = m, .c = c, .type = DT_F32 };
    assert_int_equal(export_huggingface(&plan, folder, &loss), LORAC_ERROR_USAGE);
    context_free(c);
    model_close(m);
}

/* Rows that are whole blocks of 32 are quantised, and the file says so. The tiny model's are; the random models' are
 * not. */
static void q8_0(void **state)
{
    (void)state;
    char path[300];
    model *m, *written;
    export_loss loss;
    snprintf(path, sizeof path, "%s/q8.gguf", folder);
    ok(model_open(&m, SOURCE_DIR "/examples/tiny-llama", NULL));
    context *c = new_context(3);
    export_plan plan = { .m = m, .c = c, .type = DT_Q8_0 };
    ok(export_gguf(&plan, path, &loss));
    context_free(c);
    ok(model_open(&written, path, NULL));
    assert_int_equal(written->weight_type, DT_Q8_0);
    model_close(written);
    assert_true(difference(m, NULL, 0, path) < 0.05);
    model_close(m);
    ok(unlink(path));
}

/* An adapter for the whole tiny model, whose B is not zero. */
static adapter *random_adapter(const model *m, int64_t rank, uint64_t seed)
{
    peft_config config;
    adapter *a;
    rng r = rng_new(seed, 1);
    peft_config_init(&config);
    config.r = rank;
    config.target_regex = "all-linear";
    ok(adapter_create(&a, m, &config, NULL));
    peft_config_free(&config);
    for (int i = 0; i < a->trainable_count; i++)
        for (int64_t j = 0; j < a->trainables[i].count; j++)
            ((real *)a->trainables[i].value->t.data)[j] = (real)(0.05 * rng_normal(&r));
    return a;
}

/* Two adapters at once, tensors of several runs, both orders of rows: right, and the same bytes and losses for any
 * number of threads. */
static void threads_change_nothing(void **state)
{
    static const struct {
        dtype type;
        bool as_gguf;
        double tolerance;
    } outputs[] = {
        { DT_F32, false, 1e-5 }, { DT_F16, true, 0.01 }, { DT_BF16, false, 0.05 }, { DT_Q8_0, true, 0.05 }
    };
    (void)state;
    model *m;
    ok(model_open(&m, SOURCE_DIR "/examples/tiny-llama", NULL));
    adapter *first = random_adapter(m, 8, 1), *second = random_adapter(m, 3, 2);
    const folded both[] = { { first, 0.7 }, { second, -0.4 } };
    const adapter_use uses[] = { { first, 0.7f, 0, -1 }, { second, -0.4f, 0, -1 } };
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        export_loss alone = { 0 };
        buf bytes = { 0 };
        for (int threads = 1; threads <= 3; threads++) {
            char path[300], file[340];
            export_loss loss = { 0 };
            buf again = { 0 };
            context *c = new_context(threads);
            export_plan plan = { .m = m, .c = c, .adapters = both, .adapter_count = 2, .type = outputs[i].type };
            snprintf(path, sizeof path, "%s/out%s", folder, outputs[i].as_gguf ? ".gguf" : "");
            snprintf(file, sizeof file, "%s%s", path, outputs[i].as_gguf ? "" : "/model.safetensors");
            write_model(&plan, path, outputs[i].as_gguf, &loss);
            context_free(c);
            assert_true(difference(m, uses, 2, path) < outputs[i].tolerance);
            ok(file_read(threads == 1 ? &bytes : &again, file, 1 << 24));
            if (threads == 1)
                alone = loss;
            else if (again.n != bytes.n || memcmp(again.p, bytes.p, bytes.n) != 0)
                fail_msg("%s: %d threads write other bytes than one", dtype_name(outputs[i].type), threads);
            assert_true(loss.delta == alone.delta && loss.error == alone.error);
            buf_free(&again);
            ok(outputs[i].as_gguf ? unlink(path) : folder_remove(path));
        }
        buf_free(&bytes);
    }
    adapter_free(first);
    adapter_free(second);
    model_close(m);
}

/* What fails while another batch is made is told to the caller. */
static int full(void *to, const void *bytes, size_t count)
{
    size_t *left = to;
    (void)bytes;
    if (count > *left)
        return fail_at(LORAC_ERROR_RUNTIME, (fault){ .file = "disk" }, "no space is left");
    *left -= count;
    return LORAC_OK;
}

static void a_failing_sink(void **state)
{
    (void)state;
    model *m;
    ok(model_open(&m, SOURCE_DIR "/examples/tiny-llama", NULL));
    for (size_t room = 0; room < 400000; room += 39999) {
        pieces p;
        export_loss loss = { 0 };
        size_t left = room;
        context *c = new_context(3);
        export_plan plan = { .m = m, .c = c, .type = DT_F32 };
        ok(pieces_new(&p, &plan, true));
        assert_int_equal(pieces_write(&p, full, &left, &loss), LORAC_ERROR_RUNTIME);
        assert_contains(lorac_last_error()->message, "no space is left");
        error_clear();
        pieces_free(&p);
        context_free(c);
    }
    model_close(m);
}

/* An adapter in llama.cpp's file: names, alpha / rank, and q's rows as pairs. */
static void llama_cpp_adapter(void **state)
{
    (void)state;
    char path[300];
    model *m;
    adapter *a;
    gguf g;
    double alpha = 0;
    snprintf(path, sizeof path, "%s/adapter.gguf", folder);
    ok(model_open(&m, GOLDEN "models/llama", NULL));
    ok(adapter_load(&a, m, GOLDEN "adapters/rslora", NULL, NULL));
    ok(export_adapter_gguf(m, a, path));
    ok(gguf_open(&g, path));
    ok(gguf_take_real(&g, "adapter.lora.alpha", &alpha));
    const adapted *q = NULL;
    for (int slot = 0; slot < m->module_count && !q; slot++)
        if (strcmp(m->modules[slot]->name, "model.layers.0.self_attn.q_proj") == 0)
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
            double own = ((const float *)q->b->t.data)[from * q->rank + c] * q->scale;
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
        cmocka_unit_test(every_type_and_format),  cmocka_unit_test(adapters_are_folded_in),
        cmocka_unit_test(rotary_factors),         cmocka_unit_test(q8_0),
        cmocka_unit_test(threads_change_nothing), cmocka_unit_test(a_failing_sink),
        cmocka_unit_test(llama_cpp_adapter),      cmocka_unit_test(descriptions),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
