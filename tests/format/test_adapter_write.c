/* Adapters written for PEFT and for mlx-lm, and what becomes of a loralib state dict. That the others compute the same
 * is checked with the others (tools/peers); here, that nothing is lost on the way. */
#include "test_in_folder.h"

#include "adapter_write.h"
#include "err.h"

#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"
#define MNLI SOURCE_DIR "/../shared/data/loralib/roberta_base_lora_mnli.bin"

static const mlx_names llama = { "model.", "model.layers", 2 };

static void open_file(adapter_file *f, const char *path)
{
    if (adapter_file_open(f, path, NULL) != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static void ok(int status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

/* Every tensor of `a` stands in `b`, byte for byte. */
static void same_tensors(const adapter_file *a, const adapter_file *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const tensor *t = &a->tensors[i], *other = adapter_file_find(b, a->names[i]);

        assert_non_null(other);
        assert_int_equal(t->type, other->type);
        assert_int_equal(t->ndim, other->ndim);
        assert_memory_equal(t->dim, other->dim, (size_t)t->ndim * sizeof t->dim[0]);
        assert_memory_equal(t->data, other->data, (size_t)tensor_bytes(t));
    }
}

/* The scale of a module, by the configuration. */
static double scale_of(const adapter_file *f, const char *module)
{
    peft_matcher *m;
    bool matches;
    int64_t rank;
    double alpha;

    ok(peft_matcher_new(&m, &f->config));
    ok(peft_matches(m, module, false, &matches, &rank, &alpha));
    peft_matcher_free(m);
    assert_true(matches);
    return alpha / (f->config.use_rslora ? sqrt((double)rank) : (double)rank);
}

static void peft_and_back(void **state)
{
    static const char *const files[] = { "adapters/patterns", "adapters/head", "adapters/gpt2-default",
                                         "formats/all-linear-bin", "formats/qv-mlx" };
    char path[512];

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        adapter_file before, after;

        snprintf(path, sizeof path, GOLDEN "%s", files[i]);
        open_file(&before, path);
        ok(adapter_file_check(&before));
        ok(adapter_file_name_targets(&before));
        ok(adapter_write_peft(&before, folder));
        open_file(&after, folder);
        assert_string_equal(after.format, "peft");
        same_tensors(&before, &after);
        assert_int_equal(before.config.r, after.config.r);
        assert_true(before.config.lora_alpha == after.config.lora_alpha);
        assert_int_equal(before.config.rank_count, after.config.rank_count);
        assert_true(before.config.fan_in_fan_out == after.config.fan_in_fan_out);
        adapter_file_close(&after);
        adapter_file_close(&before);
    }
}

static void mlx_and_back(void **state)
{
    static const char *const files[] = { "qv", "all-linear", "rslora", "layers", "regex-layer1" };
    char path[512], mlx[512];

    (void)state;
    snprintf(mlx, sizeof mlx, "%s/mlx", folder);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        adapter_file before, after;
        slice module;
        char name[256];

        snprintf(path, sizeof path, GOLDEN "adapters/%s", files[i]);
        ok(folder_make(mlx));
        open_file(&before, path);
        ok(adapter_write_mlx(&before, &llama, mlx));
        open_file(&after, mlx);
        assert_string_equal(after.format, "mlx");
        same_tensors(&before, &after);
        for (size_t k = 0; k < before.count; k++)
            if (adapter_file_partner(&before, k, &module)) {
                slice_put(module, name, sizeof name);
                assert_true(fabs(scale_of(&after, name) - scale_of(&before, name)) < 1e-12);
            }
        adapter_file_close(&after);
        adapter_file_close(&before);
        ok(folder_remove(mlx));
    }
}

static float at(const tensor *t, int64_t row, int64_t column)
{
    float value;

    memcpy(&value, (const char *)t->data + (size_t)(row * t->dim[1] + column) * sizeof value, sizeof value);
    return value;
}

/* Ranks and scales of their own: thinner pairs come back as thin as they were, and B carries the rest of its scale. */
static void mlx_has_one_scale(void **state)
{
    adapter_file before, after;
    slice module;
    char mlx[512], name[256];

    (void)state;
    snprintf(mlx, sizeof mlx, "%s/mlx", folder);
    ok(folder_make(mlx));
    open_file(&before, GOLDEN "adapters/patterns");
    ok(adapter_write_mlx(&before, &llama, mlx));
    open_file(&after, mlx);
    assert_int_equal(before.count, after.count);
    for (size_t i = 0; i < before.count; i++) {
        const tensor *b = adapter_file_partner(&before, i, &module), *other;

        if (!b)
            continue;
        other = adapter_file_find(&after, before.names[b - before.tensors]);
        assert_non_null(other);
        assert_int_equal(other->dim[1], b->dim[1]);
        slice_put(module, name, sizeof name);
        for (int64_t r = 0; r < b->dim[0]; r++)
            for (int64_t c = 0; c < b->dim[1]; c++)
                assert_true(fabs((double)at(other, r, c) * scale_of(&after, name) -
                                 (double)at(b, r, c) * scale_of(&before, name)) < 1e-6);
    }
    adapter_file_close(&after);
    adapter_file_close(&before);
    ok(folder_remove(mlx));
}

static void mlx_has_no_place(void **state)
{
    adapter_file f;

    (void)state;
    open_file(&f, GOLDEN "loralib/merged.pt");
    ok(adapter_file_set_alpha(&f, 8));
    assert_int_equal(adapter_write_mlx(&f, &llama, folder), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "classifier.weight");
    adapter_file_close(&f);
}

static const tensor *b_of(const adapter_file *f, const char *module)
{
    char name[128];
    const tensor *b;

    snprintf(name, sizeof name, PEFT_PREFIX "%s" PEFT_B, module);
    b = adapter_file_find(f, name);
    assert_non_null(b);
    return b;
}

/* Two adapted parts of query, key and value: B gets zeros for the key. */
static void merged_linears(void **state)
{
    static const bool last_two[] = { false, true, true };
    adapter_file plain, guessed, said;
    buf notes = { 0 };

    (void)state;
    open_file(&plain, GOLDEN "loralib/merged.pt");
    open_file(&guessed, GOLDEN "loralib/merged.pt");
    open_file(&said, GOLDEN "loralib/merged.pt");
    ok(adapter_file_set_alpha(&guessed, 16));
    ok(adapter_file_set_alpha(&said, 16));
    ok(adapter_file_settle(&guessed, NULL, 0, &notes));
    ok(adapter_file_settle(&said, last_two, 3, NULL));
    assert_contains(notes.p, "query and value");
    assert_contains(notes.p, "classifier");
    assert_int_equal(b_of(&guessed, "h.0.mlp")->dim[0], 5);
    assert_int_equal(b_of(&guessed, "h.0.attn.c_attn")->dim[0], 15);
    assert_int_equal(b_of(&guessed, "h.0.attn.c_attn")->dim[1], 4);
    for (int64_t r = 0; r < 15; r++)
        for (int64_t c = 0; c < 4; c++) {
            const tensor *b = b_of(&plain, "h.0.attn.c_attn");
            float query = r < 5 ? at(b, r, c) : 0, value = r >= 10 ? at(b, r - 5, c) : 0;

            assert_true(at(b_of(&guessed, "h.0.attn.c_attn"), r, c) == query + value);
            assert_true(at(b_of(&said, "h.0.attn.c_attn"), r, c) == (r < 5 ? 0 : at(b, r - 5, c)));
        }
    /* Both pairs keep alpha / rank of the one rank they were trained with: 16 / 2 and 16 / 3. */
    assert_true(fabs(scale_of(&guessed, "h.0.attn.c_attn") - 8) < 1e-12);
    assert_true(fabs(scale_of(&guessed, "h.0.mlp") - 16.0 / 3) < 1e-12);
    assert_int_equal(guessed.config.saved_count, 1);
    assert_string_equal(guessed.config.saved[0], "classifier");
    assert_non_null(adapter_file_find(&guessed, PEFT_PREFIX "classifier.weight"));
    buf_free(&notes);
    adapter_file_close(&said);
    adapter_file_close(&guessed);
    adapter_file_close(&plain);
}

/* The adapter of the LoRA paper for MNLI: PEFT's names for RoBERTa, the values as they were. */
static void mnli(void **state)
{
    adapter_file before, after;

    (void)state;
    if (!path_exists(MNLI)) {
        print_message("SKIPPED: %s is not there\n", MNLI);
        skip();
    }
    open_file(&before, MNLI);
    ok(adapter_file_set_alpha(&before, 16));
    ok(adapter_file_settle(&before, NULL, 0, NULL));
    ok(adapter_file_check(&before));
    ok(adapter_write_peft(&before, folder));
    open_file(&after, folder);
    same_tensors(&before, &after);
    assert_int_equal(after.count, 52);
    assert_int_equal(after.config.target_count, 24);
    assert_true(after.config.lora_alpha == 16);
    assert_string_equal(after.config.saved[0], "classifier");
    for (size_t i = 0; i < before.torch.count; i++) {
        const tensor *t = &before.torch.tensors[i], *written;
        const char *name = before.torch.names[i];
        char full[256];

        snprintf(full, sizeof full, PEFT_PREFIX "%s%s", name, strstr(name, "lora_") ? ".weight" : "");
        written = adapter_file_find(&after, full);
        assert_non_null(written);
        assert_memory_equal(t->data, written->data, (size_t)tensor_bytes(t));
    }
    assert_non_null(
        adapter_file_find(&after, PEFT_PREFIX "roberta.encoder.layer.11.attention.self.value.lora_B.weight"));
    adapter_file_close(&after);
    adapter_file_close(&before);
}

static void broken_pairs(void **state)
{
    static const float numbers[6] = { 1, 2, 3, 4, 5, 6 };
    static const char *const names[] = { PEFT_PREFIX "m" PEFT_EMBEDDING_A, PEFT_PREFIX "m" PEFT_EMBEDDING_B };
    const tensor tensors[] = { { .type = DT_F32, .ndim = 2, .dim = { 2, 3 }, .data = (void *)numbers },
                               { .type = DT_F32, .ndim = 2, .dim = { 2, 3 }, .data = (void *)numbers } };
    char path[512];
    adapter_file f;

    (void)state;
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    test_write(path, "{\"r\": 2}", 8);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    ok(safetensors_save(path, names, tensors, 2)); /* B has three columns beside a rank of two */
    open_file(&f, folder);
    assert_int_equal(adapter_file_check(&f), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "do not fit");
    adapter_file_close(&f);
    ok(safetensors_save(path, names, tensors, 1));
    open_file(&f, folder);
    assert_int_equal(adapter_file_check(&f), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "half of a LoRA pair");
    adapter_file_close(&f);
    open_file(&f, GOLDEN "hostile/nan");
    assert_int_equal(adapter_file_check(&f), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "not a number");
    adapter_file_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peft_and_back),    cmocka_unit_test(mlx_and_back),   cmocka_unit_test(mlx_has_one_scale),
        cmocka_unit_test(mlx_has_no_place), cmocka_unit_test(merged_linears), cmocka_unit_test(mnli),
        cmocka_unit_test(broken_pairs),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
