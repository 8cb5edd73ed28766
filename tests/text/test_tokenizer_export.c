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

/* Has the text any of these parts, which are separated by blanks? */
static bool has_any(slice text, const char *parts)
{
    for (slice rest = slice_of(parts), part; rest.n;) {
        part = slice_cut(&rest, ' ');
        if (memmem(text.p, text.n, part.p, part.n))
            return true;
    }
    return false;
}

static void expect_same_ids(const char *name, const tokenizer *one, const tokenizer *other, const json_t *texts,
                            const char *except)
{
    encoding a = { 0 }, b = { 0 };
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        slice s = { json_string_value(text), json_string_length(text) };
        if (has_any(s, except))
            continue;
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

/* Texts with a part in `except` have other ids there, as a note says. */
static void check_saved(const char *file, const json_t *texts, bool and_back, const char *except)
{
    tokenizer *original = open_gguf(file), *saved, *again = NULL;
    assert_ok(save(file));
    assert_ok(tokenizer_open_folder(&saved, folder));
    expect_same_ids(file, original, saved, texts, except);
    expect_same_ends(original, saved);
    if (and_back) {
        assert_ok(save_back(saved));
        again = open_gguf(back);
        expect_same_ids(file, original, again, texts, except);
    }
    tokenizer_free(original);
    tokenizer_free(saved);
    tokenizer_free(again);
}

static void test_there_and_back(void **state)
{
    (void)state;
    json_t *texts = read_texts();
    check_saved(VOCABULARIES "gpt2.gguf", texts, true, "");
    check_saved(VOCABULARIES "llama.gguf", texts, true, "");
    /* Its tokens take white space on their right, which llama.cpp knows by the model's name alone. */
    check_saved(VOCABULARIES "phi3.gguf", texts, false, "");
    /* Its merges do not make this token. */
    check_saved(VOCABULARIES "gemma4.gguf", texts, true, "\n\n");
    /* Hangul and one other that decompose into several parts; controls that are white space, too. */
    check_saved(VOCABULARIES "bert.gguf", texts, true, "\uAC00 \uD55C \U00011938 \xC2\x85 \v \u1100");
    check_saved(VOCABULARIES "bert_cased.gguf", texts, true, "\xC2\x85 \v");
    check_saved(VOCABULARIES "t5.gguf", texts, true, "");
    check_saved(VOCABULARIES "t5_spaces.gguf", texts, true, "");
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
    check_saved(PUBLISHED, texts, true, "");
    json_decref(texts);
}

/* Pre-tokenizers that are no list of expressions, or see the text without the byte alphabet. */
static void test_refused(void **state)
{
    static const char *const names[][2] = { { "gpt2", "superbpe" },
                                            { "gpt2", "afmoe" },
                                            { "whitespace", "whitespace" } };
    const slice tokens[] = { slice_of("a"), slice_of("b") };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        gguf_writer *w;
        assert_ok(gguf_begin(&w, back));
        gguf_put_text(w, "tokenizer.ggml.model", slice_of(names[i][0]));
        gguf_put_text(w, "tokenizer.ggml.pre", slice_of(names[i][1]));
        gguf_put_text_array(w, "tokenizer.ggml.tokens", tokens, 2);
        gguf_put_text_array(w, "tokenizer.ggml.merges", NULL, 0);
        assert_ok(gguf_finish(w));
        assert_int_equal(save(back), LORAC_ERROR_DATA);
        assert_contains(lorac_last_error()->message, names[i][1]);
        assert_contains(lorac_last_error()->message, "cannot be written as tokenizer.json");
    }
}

/* A tokenizer.json whose merges lack one that scores imply ("a" "bc" beside "ab" "c"), or have others in between. */
static void expect_no_scores(const char *merges)
{
    static const char *const start =
        "{\"added_tokens\":[],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
        "\"\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}]},"
        "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,"
        "\"abc\":5,\"\u2581\":6";
    tokenizer *t;
    buf text = { 0 }, path = { 0 };
    buf_text(&text, start);
    for (int byte = 0; byte < 256; byte++)
        buf_format(&text, ",\"<0x%02X>\":%d", byte, 7 + byte);
    buf_format(&text, "},\"merges\":[%s]}}", merges);
    buf_format(&path, "%s/tokenizer.json", folder);
    assert_ok(file_write(path.p, text.p, text.n));
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_int_equal(save_back(t), LORAC_ERROR_DATA);
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
    assert_ok(tokenizer_put_gguf(t, w, 0, NULL));
    assert_ok(gguf_finish(w));
    tokenizer *again = open_gguf(back);
    assert_true(slice_is(tokenizer_token(again, 310), "[PAD310]"));
    expect_same_ids("holes", t, again, texts, "");
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
