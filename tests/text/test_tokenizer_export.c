/* test_tokenizer_export.c: a tokenizer written in the other format gives the same ids: GGUF to tokenizer.json and back
 * to GGUF. What the other format cannot say is refused. */
#include "test.h"

#include "err.h"
#include "file.h"
#include "json.h"
#include "tokenizer_export.h"

#define VOCABULARIES SOURCE_DIR "/tests/golden/gguf_vocabularies/"
#define PUBLISHED SOURCE_DIR "/../shared/data/tokenizer-vectors/ggml-vocab-llama-spm.gguf"

static const char *folder;
static char back[512];

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    snprintf(back, sizeof back, "%s/back.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static tokenizer *open_gguf(const char *file)
{
    gguf g;
    tokenizer *t;
    assert_ok(gguf_open(&g, file));
    assert_ok(tokenizer_open_gguf(&t, &g));
    gguf_close(&g);
    return t;
}

static int save(const char *file)
{
    gguf g;
    assert_ok(gguf_open(&g, file));
    tokenizer *t = open_gguf(file);
    int status = tokenizer_save_folder(t, &g, folder, NULL);
    tokenizer_free(t);
    gguf_close(&g);
    return status;
}

static int save_back(const tokenizer *t)
{
    gguf_writer *w;
    assert_ok(gguf_begin(&w, back));
    int status = tokenizer_put_gguf(t, w, 0, NULL);
    if (status != LORAC_OK)
        gguf_abandon(w);
    return status == LORAC_OK ? gguf_finish(w) : status;
}

static json_t *read_texts(void)
{
    json_t *texts;
    assert_ok(json_read(&texts, VOCABULARIES "texts.json", 1 << 20, JSON_TAKE_NUL));
    return texts;
}

static void expect_same_ids(const char *name, const tokenizer *one, const tokenizer *other, const json_t *texts)
{
    encoding a = { 0 }, b = { 0 };
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        slice s = { json_string_value(text), json_string_length(text) };
        encoding_clear(&a);
        encoding_clear(&b);
        assert_ok(tokenizer_encode(one, s, -1, &a));
        assert_ok(tokenizer_encode(other, s, -1, &b));
        if (a.count != b.count || (a.count && memcmp(a.ids, b.ids, a.count * sizeof *a.ids)))
            fail_msg("%s: text %zu has other ids", name, i);
    }
    encoding_free(&a);
    encoding_free(&b);
}

static void expect_same_ends(const tokenizer *one, const tokenizer *other)
{
    const int32_t *a, *b;
    size_t count = tokenizer_ends(one, &a);
    assert_int_equal(tokenizer_ends(other, &b), count);
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < count && b[k] != a[i])
            k++;
        assert_true(k < count);
    }
}

static void check_saved(const char *file, const json_t *texts, bool and_back)
{
    tokenizer *original = open_gguf(file), *saved, *again = NULL;
    assert_ok(save(file));
    assert_ok(tokenizer_open_folder(&saved, folder));
    expect_same_ids(file, original, saved, texts);
    expect_same_ends(original, saved);
    if (and_back) {
        assert_ok(save_back(saved));
        again = open_gguf(back);
        expect_same_ids(file, original, again, texts);
    }
    tokenizer_free(original);
    tokenizer_free(saved);
    tokenizer_free(again);
}

static void test_there_and_back(void **state)
{
    (void)state;
    json_t *texts = read_texts();
    check_saved(VOCABULARIES "gpt2.gguf", texts, true);
    check_saved(VOCABULARIES "llama.gguf", texts, true);
    /* Its tokens take white space on their right, which llama.cpp knows by the model's name alone. */
    check_saved(VOCABULARIES "phi3.gguf", texts, false);
    json_decref(texts);
}

static void test_published(void **state)
{
    (void)state;
    if (!path_exists(PUBLISHED)) {
        print_message("skipped: no %s\n", PUBLISHED);
        skip();
    }
    json_t *texts = read_texts();
    check_saved(PUBLISHED, texts, true);
    json_decref(texts);
}

static void test_refused(void **state)
{
    static const char *const names[] = { "gemma4", "bert", "t5" };
    char file[512];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, VOCABULARIES "%s.gguf", names[i]);
        assert_int_equal(save(file), LORAC_ERROR_USAGE);
        assert_contains(lorac_last_error()->message, names[i]);
        assert_contains(lorac_last_error()->message, "cannot be written as tokenizer.json");
    }
}

/* A tokenizer.json whose merges lack one that scores imply ("a" "bc" beside "ab" "c"), or have others in between. */
static void expect_no_scores(const char *merges)
{
    static const char *const start =
        "{\"added_tokens\":[],\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" "
        "\"},\"content\":\"\u2581\"},"
        "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,"
        "\"abc\":5,\"\u2581\":6},\"merges\":[";
    tokenizer *t;
    buf text = { 0 }, path = { 0 };
    buf_format(&text, "%s%s]}}", start, merges);
    buf_format(&path, "%s/tokenizer.json", folder);
    assert_ok(file_write(path.p, text.p, text.n));
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_int_equal(save_back(t), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "the merges are not those of scores");
    tokenizer_free(t);
    buf_free(&text);
    buf_free(&path);
}

static void test_merges_without_scores(void **state)
{
    (void)state;
    expect_no_scores("\"a b\",\"b c\",\"ab c\"");
    expect_no_scores("\"a b\",\"ab c\",\"b c\",\"a bc\"");
}

/* An id without a token is an unused one, as in llama.cpp's converter. */
static void test_holes(void **state)
{
    (void)state;
    const char *holed = SOURCE_DIR "/tests/golden/tokenizers/holes";
    json_t *texts = read_texts();
    gguf_writer *w;
    gguf g;
    tokenizer *t;
    assert_ok(tokenizer_open_folder(&t, holed));
    assert_null(tokenizer_token(t, 310).p);
    assert_ok(gguf_begin(&w, back));
    assert_ok(tokenizer_put_gguf(t, holed, w, 0));
    assert_ok(gguf_finish(w));
    tokenizer *again = open_gguf(back);
    assert_true(slice_is(tokenizer_token(again, 310), "[PAD310]"));
    expect_same_ids("holes", t, again, texts);
    assert_ok(gguf_open(&g, back));
    const gguf_value *types = gguf_find(&g, "tokenizer.ggml.token_type");
    assert_int_equal(gguf_int(types, 310), 5);
    assert_int_equal(gguf_int(types, 309), 5);
    assert_int_equal(gguf_int(types, 299), 1);
    gguf_close(&g);
    tokenizer_free(t);
    tokenizer_free(again);
    json_decref(texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),        cmocka_unit_test(test_published), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_merges_without_scores), cmocka_unit_test(test_holes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
