/* test_tokenizer_gguf.c: tokenizers from GGUF metadata: llama.cpp's own vectors for GPT-2's vocabulary (skipped where
 * they are not), the named pre-tokenizers against tokenizer.json files that say the same, llama.cpp's rules for special
 * tokens, and files that are wrong. */
#include "test_tokens.h"

#include "file.h"
#include "tokenizer/tokenizer_parts.h"

#include <math.h>

#define VECTORS SOURCE_DIR "/../shared/data/tokenizer-vectors/ggml-vocab-"
#define SEPARATOR "\n__ggml_vocab_test__\n"
#define GOLDEN SOURCE_DIR "/tests/golden/tokenizers/"
#define VOCABULARIES SOURCE_DIR "/tests/golden/gguf_vocabularies/"

static const char *folder;
static char path[512];

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    snprintf(path, sizeof path, "%s/x.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static int try_open(tokenizer **t, const char *file)
{
    gguf g;
    assert_ok(gguf_open(&g, file));
    int status = tokenizer_open_gguf(t, &g);
    gguf_close(&g); /* a tokenizer keeps nothing of it */
    return status;
}

/* ---- llama.cpp's vectors */

/* The next text of the input file, or the rest. */
static slice next_text(slice *rest)
{
    const char *end = memmem(rest->p, rest->n, SEPARATOR, strlen(SEPARATOR));
    slice text = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
    size_t used = end ? text.n + strlen(SEPARATOR) : text.n;
    *rest = (slice){ rest->p + used, rest->n - used };
    return text;
}

static void expect_line(const encoding *e, slice line)
{
    size_t count = 0;
    while (line.n) {
        slice word = slice_cut(&line, ' ');
        if (!word.n)
            continue;
        assert_true(count < e->count);
        assert_int_equal(e->ids[count++], atoi(word.p));
    }
    assert_int_equal(count, e->count);
}

static void read_beside(buf *out, const char *file, const char *ending)
{
    buf name = { 0 };
    buf_format(&name, "%s%s", file, ending);
    assert_ok(file_read(out, name.p, 1 << 20));
    buf_free(&name);
}

static void check_vectors(const char *name, bool decodes_to_itself)
{
    buf file = { 0 }, inputs = { 0 }, outputs = { 0 }, text = { 0 };
    buf_format(&file, VECTORS "%s.gguf", name);
    tokenizer *t;
    assert_ok(try_open(&t, file.p));
    read_beside(&inputs, file.p, ".inp");
    read_beside(&outputs, file.p, ".out");
    slice in = buf_slice_of(&inputs), out = buf_slice_of(&outputs);
    encoding e = { 0 };
    int texts = 0;
    for (; in.n; texts++) {
        slice one = next_text(&in);
        encoding_clear(&e);
        assert_ok(tokenizer_encode(t, one, 0, &e));
        expect_line(&e, slice_cut(&out, '\n'));
        buf_clear(&text);
        assert_ok(tokenizer_decode_part(t, e.ids, e.count, false, &text));
        if (decodes_to_itself)
            assert_true(slice_equal(buf_slice_of(&text), one));
    }
    assert_true(texts > 40);
    encoding_free(&e);
    buf_free(&file);
    buf_free(&inputs);
    buf_free(&outputs);
    buf_free(&text);
    tokenizer_free(t);
}

static void test_vectors(void **state)
{
    (void)state;
    if (!path_exists(VECTORS "gpt-2.gguf")) {
        print_message("skipped: no %s\n", VECTORS "gpt-2.gguf");
        skip();
    }
    check_vectors("gpt-2", true);
    check_vectors("llama-spm", true);
    check_vectors("bert-bge", false);
}

/* ---- Pre-tokenizers by name: the model of a tokenizer.json written as GGUF must give the same ids */

static json_t *read_json(const char *name)
{
    return read_json_of(GOLDEN, name);
}

static void put_vocabulary(gguf_writer *w, json_t *vocab)
{
    slice tokens[512];
    size_t count = json_object_size(vocab);
    const char *token;
    json_t *id;
    assert_true(count <= 512);
    json_object_foreach(vocab, token, id) tokens[json_integer_value(id)] = slice_of(token);
    gguf_put_text_array(w, "tokenizer.ggml.tokens", tokens, count);
}

static void put_merges(gguf_writer *w, const json_t *merges)
{
    slice lines[512];
    buf texts[512] = { 0 };
    size_t count = json_array_size(merges);
    assert_true(count <= 512);
    for (size_t i = 0; i < count; i++) {
        const json_t *merge = json_array_get(merges, i);
        if (json_is_string(merge))
            buf_text(&texts[i], json_string_value(merge));
        else
            buf_format(&texts[i], "%s %s", json_string_value(json_array_get(merge, 0)),
                       json_string_value(json_array_get(merge, 1)));
        lines[i] = buf_slice_of(&texts[i]);
    }
    gguf_put_text_array(w, "tokenizer.ggml.merges", lines, count);
    for (size_t i = 0; i < count; i++)
        buf_free(&texts[i]);
}

static void write_model(const json_t *json, const char *pre)
{
    gguf_writer *w;
    assert_ok(gguf_begin(&w, path));
    gguf_put_text(w, "tokenizer.ggml.model", slice_of("gpt2"));
    gguf_put_text(w, "tokenizer.ggml.pre", slice_of(pre));
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    put_vocabulary(w, json_object_get(json_object_get(json, "model"), "vocab"));
    put_merges(w, json_object_get(json_object_get(json, "model"), "merges"));
    assert_ok(gguf_finish(w));
}

/* The tokenizer.json without what its GGUF lacks. */
static tokenizer *open_bare(json_t *json)
{
    tokenizer *t;
    json_object_del(json, "added_tokens");
    json_object_del(json, "normalizer");
    json_object_del(json, "post_processor");
    char *text = json_dumps(json, 0);
    assert_non_null(text);
    assert_ok(tokenizer_open_json(&t, slice_of(text), "bare"));
    free(text);
    return t;
}

/* (?i:'s) takes the long s, llama.cpp's ['][sS] does not. */
static bool has_long_s(slice text)
{
    return memmem(text.p, text.n, "\u017F", 2) != NULL;
}

static void compare(const char *golden, const char *pre, const json_t *texts)
{
    char file[64];
    snprintf(file, sizeof file, "%s/tokenizer.json", golden);
    json_t *json = read_json(file);
    tokenizer *one, *other = open_bare(json);
    encoding a = { 0 }, b = { 0 };
    write_model(json, pre);
    assert_ok(try_open(&one, path));
    for (size_t i = 0; i < json_array_size(texts); i++) {
        slice text = text_of(json_array_get(texts, i));
        if (has_long_s(text))
            continue;
        encoding_clear(&a);
        encoding_clear(&b);
        assert_ok(tokenizer_encode(one, text, -1, &a));
        assert_ok(tokenizer_encode(other, text, -1, &b));
        if (a.count != b.count || (a.count && memcmp(a.ids, b.ids, a.count * sizeof *a.ids)))
            fail_msg("%s as %s: text %zu has other ids", golden, pre, i);
    }
    encoding_free(&a);
    encoding_free(&b);
    tokenizer_free(one);
    tokenizer_free(other);
    json_decref(json);
}

static void test_names(void **state)
{
    (void)state;
    json_t *texts = read_json("texts.json");
    compare("gpt2", "gpt-2", texts);
    compare("gpt2", "olmo", texts);
    compare("smollm", "smollm", texts);
    compare("smollm", "starcoder", texts);
    compare("llama3", "llama-bpe", texts);
    compare("qwen2", "qwen2", texts);
    compare("qwen2", "megrez", texts);
    json_decref(texts);
}

/* ---- Vocabularies of every kind: what llama.cpp makes of some texts */

static void expect_decoded(const tokenizer *t, const encoding *e, bool skip_special, slice expected, const char *name,
                           size_t i)
{
    buf text = { 0 };
    assert_ok(tokenizer_decode(t, e->ids, e->count, skip_special, &text));
    if (!slice_equal(buf_slice_of(&text), expected))
        fail_msg("%s: text %zu is decoded as \"%.*s\", not as \"%.*s\"", name, i, (int)text.n, text.p ? text.p : "",
                 (int)expected.n, expected.p);
    buf_free(&text);
}

static void check_golden(const char *name, const json_t *texts)
{
    char file[512];
    tokenizer *t;
    encoding e = { 0 };
    snprintf(file, sizeof file, VOCABULARIES "%s.gguf", name);
    assert_ok(try_open(&t, file));
    snprintf(file, sizeof file, "%s.json", name);
    json_t *rows = read_json_of(VOCABULARIES, file);
    size_t first = json_array_size(texts) - json_array_size(rows);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *full = json_array_get(row, 1), *bare = json_array_get(row, 2);
        slice text = text_of(json_array_get(texts, first + i));
        encoding_clear(&e);
        assert_ok(tokenizer_encode(t, text, -1, &e));
        expect_ids(&e, json_array_get(row, 0), name, first + i);
        slice decoded = json_is_null(full) ? text : text_of(full);
        expect_decoded(t, &e, false, decoded, name, first + i);
        expect_decoded(t, &e, true, json_is_null(bare) ? decoded : text_of(bare), name, first + i);
    }
    json_decref(rows);
    encoding_free(&e);
    tokenizer_free(t);
}

static void test_goldens(void **state)
{
    static const char *const names[] = { "gpt2", "gemma4", "llama", "phi3", "bert", "bert_cased", "t5", "t5_spaces" };
    (void)state;
    json_t *texts = read_json_of(VOCABULARIES, "texts.json");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_golden(names[i], texts);
    json_decref(texts);
}

static void rename_pre(const char *name)
{
    gguf g;
    gguf_writer *w;
    assert_ok(gguf_open(&g, VOCABULARIES "gpt2.gguf"));
    assert_ok(gguf_begin(&w, path));
    for (size_t i = 0; i < g.value_count; i++)
        if (strcmp(g.values[i].key, "tokenizer.ggml.pre") != 0)
            gguf_put_copy(w, &g.values[i]);
    gguf_put_text(w, "tokenizer.ggml.pre", slice_of(name));
    assert_ok(gguf_finish(w));
    gguf_close(&g);
}

static uint32_t hash_in(uint32_t hash, int32_t number)
{
    for (int i = 0; i < 4; i++)
        hash = (hash ^ ((uint32_t)number >> 8 * i & 0xFF)) * 0x01000193U;
    return hash;
}

static uint32_t hash_of_ids(const tokenizer *t, const json_t *texts)
{
    uint32_t hash = 0x811C9DC5U;
    encoding e = { 0 };
    for (size_t i = 0; i < json_array_size(texts); i++) {
        encoding_clear(&e);
        assert_ok(tokenizer_encode(t, text_of(json_array_get(texts, i)), -1, &e));
        hash = hash_in(hash, (int32_t)e.count);
        for (size_t k = 0; k < e.count; k++)
            hash = hash_in(hash, e.ids[k]);
    }
    encoding_free(&e);
    return hash;
}

static void test_every_name(void **state)
{
    (void)state;
    json_t *texts = read_json_of(VOCABULARIES, "texts.json"), *names = read_json_of(VOCABULARIES, "names.json");
    const char *name;
    json_t *hash;
    assert_true(json_object_size(names) > 80);
    json_object_foreach(names, name, hash)
    {
        tokenizer *t;
        rename_pre(name);
        assert_ok(try_open(&t, path));
        if (hash_of_ids(t, texts) != (uint32_t)json_integer_value(hash))
            fail_msg("the ids are not those of llama.cpp's pre-tokenizer \"%s\"", name);
        tokenizer_free(t);
    }
    json_decref(names);
    json_decref(texts);
}

/* ---- A small vocabulary by hand */

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

typedef struct recipe {
    const char *model, *pre, *tokens[16], *merges[4];
    int32_t types[16];
    size_t type_count; /* 0: as many as tokens */
    const char *key;   /* an integer under this key, unless NULL */
    uint32_t value;
    const float *scores;
    size_t score_count;
    bool add_bos, add_eos, eos_known, types_are_reals, tokens_are_numbers;
} recipe;

static recipe standard(void)
{
    return (recipe){
        .model = "gpt2",
        .pre = "gpt-2",
        .tokens = { "a", "b", "c", "ab", "\u0120", "<|im_end|>", "<x", "<xy>", "y>z", "<0x0A>", "gone", "\u00e9" },
        .merges = { "a b" },
        .types = { NORMAL, NORMAL, NORMAL, NORMAL, NORMAL, NORMAL, USER, CONTROL, CONTROL, BYTE, UNUSED, USER },
    };
}

static void write_recipe(const recipe *r)
{
    gguf_writer *w;
    slice tokens[16], merges[4];
    size_t count = 0, merge_count = 0;
    for (; count < 16 && r->tokens[count]; count++)
        tokens[count] = slice_of(r->tokens[count]);
    for (; merge_count < 4 && r->merges[merge_count]; merge_count++)
        merges[merge_count] = slice_of(r->merges[merge_count]);
    assert_ok(gguf_begin(&w, path));
    if (r->model)
        gguf_put_text(w, "tokenizer.ggml.model", slice_of(r->model));
    gguf_put_text(w, "tokenizer.ggml.pre", slice_of(r->pre));
    if (r->tokens_are_numbers)
        gguf_put_i32_array(w, "tokenizer.ggml.tokens", r->types, 3);
    else if (count)
        gguf_put_text_array(w, "tokenizer.ggml.tokens", tokens, count);
    if (r->types_are_reals)
        gguf_put_f32_array(w, "tokenizer.ggml.token_type", (float[16]){ 1 }, count);
    else
        gguf_put_i32_array(w, "tokenizer.ggml.token_type", r->types, r->type_count ? r->type_count : count);
    if (merge_count)
        gguf_put_text_array(w, "tokenizer.ggml.merges", merges, merge_count);
    if (r->scores)
        gguf_put_f32_array(w, "tokenizer.ggml.scores", r->scores, r->score_count);
    if (r->add_bos)
        gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true);
    if (r->add_eos)
        gguf_put_bool(w, "tokenizer.ggml.add_eos_token", true);
    if (r->eos_known)
        gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2);
    if (r->key)
        gguf_put_u32(w, r->key, r->value);
    gguf_put_text(w, "tokenizer.chat_template", slice_of("{{ x }}"));
    assert_ok(gguf_finish(w));
}

static void expect(const tokenizer *t, const char *text, int special, const char *ids, const char *decoded)
{
    encoding e = { 0 };
    buf got = { 0 }, back = { 0 };
    assert_ok(tokenizer_encode(t, slice_of(text), special, &e));
    for (size_t i = 0; i < e.count; i++)
        buf_format(&got, "%s%d", i ? " " : "", e.ids[i]);
    assert_string_equal(got.p ? got.p : "", ids);
    assert_ok(tokenizer_decode(t, e.ids, e.count, true, &back));
    assert_string_equal(back.p ? back.p : "", decoded);
    encoding_free(&e);
    buf_free(&got);
    buf_free(&back);
}

static void test_special(void **state)
{
    (void)state;
    recipe r = standard();
    tokenizer *t;
    const int32_t *ends, odd[] = { 9, 10, 11, 7, -1, 99 };
    const char *file;
    buf text = { 0 };
    r.add_eos = r.eos_known = true;
    write_recipe(&r);
    assert_ok(try_open(&t, path));
    expect(t, "ab c", -1, "3 4 2 2", "ab cc");
    expect(t, "ab c", 0, "3 4 2", "ab c");
    expect(t, "a<xa", 0, "0 6 0", "a<xa");
    expect(t, "a<xy>a", 0, "0 7 0", "aa");
    expect(t, "<xy>z", 0, "7", ""); /* "<xy>" is longer than "y>z"; z itself has no token */
    expect(t, "<x<xy>", 0, "6 7", "<x");
    expect(t, "y>z<|im_end|>b", 0, "8 5 1", "b"); /* a control token by its text, though its type is normal */
    expect(t, "\u00e9", 0, "11", "\u00e9");
    assert_ok(tokenizer_decode(t, odd, 6, false, &text));
    assert_string_equal(text.p, "\n\u00e9<xy>");
    assert_int_equal(tokenizer_ends(t, &ends), 2);
    assert_int_equal(ends[0], 5);
    assert_int_equal(ends[1], 2);
    assert_int_equal(tokenizer_role(t, TOKEN_EOS), 2);
    assert_int_equal(tokenizer_role(t, TOKEN_BOS), -1);
    assert_true(slice_is(tokenizer_chat_template(t, "default", &file), "{{ x }}"));
    assert_contains(file, "x.gguf");
    buf_free(&text);
    tokenizer_free(t);
}

/* The longest wins wherever it is, though another begins before it: llama.cpp cuts at one token after the other. */
static void test_longest_first(void **state)
{
    (void)state;
    recipe r = standard();
    tokenizer *t;
    r.tokens[6] = "abc";
    r.tokens[7] = "bcabc";
    write_recipe(&r);
    assert_ok(try_open(&t, path));
    expect(t, "abcabc", 0, "0 7", "a");
    expect(t, "abcab", 0, "6 3", "abcab");
    tokenizer_free(t);
}

static void expect_refusal(const recipe *r, const char *key, const char *sentence)
{
    tokenizer *t;
    write_recipe(r);
    assert_int_equal(try_open(&t, path), LORAC_ERROR_DATA);
    assert_null(t);
    assert_contains(lorac_last_error()->message, "x.gguf");
    assert_contains(lorac_last_error()->message, key);
    assert_contains(lorac_last_error()->message, sentence);
}

static void test_bad(void **state)
{
    (void)state;
    recipe r = standard();
    tokenizer *t;
    write_recipe(&r);
    assert_ok(try_open(&t, path)); /* so that each refusal below has its own reason */
    tokenizer_free(t);
    r.model = NULL, expect_refusal(&r, "tokenizer.ggml.model", "no tokenizer");
    r.model = "no_vocab", expect_refusal(&r, "tokenizer.ggml.model", "no tokenizer");
    r.model = "rwkv", expect_refusal(&r, "tokenizer.ggml.model", "\"rwkv\" are not supported");
    r = standard(), r.pre = "nobody's", expect_refusal(&r, "tokenizer.ggml.pre", "\"nobody's\" is not supported");
    r = standard(), r.tokens[0] = NULL, r.type_count = 1,
    expect_refusal(&r, "tokenizer.ggml.tokens", "no array of tokens");
    r = standard(), r.tokens_are_numbers = true, expect_refusal(&r, "tokenizer.ggml.tokens", "not an array of strings");
    r = standard(), r.tokens[1] = "a", expect_refusal(&r, "tokenizer.ggml.tokens", "\"a\" is there twice");
    r = standard(), r.tokens[7] = "\xFF<", expect_refusal(&r, "tokenizer.ggml.tokens", "not UTF-8");
    r = standard(), r.type_count = 3, expect_refusal(&r, "tokenizer.ggml.token_type", "12 tokens but 3 token types");
    r = standard(), r.types_are_reals = true,
    expect_refusal(&r, "tokenizer.ggml.token_type", "not an array of integers");
    r = standard(), r.merges[0] = NULL, expect_refusal(&r, "tokenizer.ggml.merges", "no array of merges");
    r = standard(), r.merges[0] = "ab", expect_refusal(&r, "tokenizer.ggml.merges", "not two tokens");
    r = standard(), r.merges[0] = "a q", expect_refusal(&r, "tokenizer.ggml.merges", "\"q\", which is not");
    r = standard(), r.merges[0] = "b a", expect_refusal(&r, "tokenizer.ggml.merges", "\"ba\", which is not");
    r = standard(), r.add_bos = true, expect_refusal(&r, "tokenizer.ggml.bos_token_id", "does not name it");
    r = standard(), r.add_eos = true, expect_refusal(&r, "tokenizer.ggml.eos_token_id", "does not name it");
    static const char *const roles[] = { "bos", "eos", "unknown", "padding", "eot", "eom" };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", roles[i]);
        r = standard(), r.key = key, r.value = 12, expect_refusal(&r, key, "not below the vocabulary's size 12");
    }
}

/* SentencePiece's merges by scores, made wrong. */
static recipe scored(void)
{
    static const float scores[16] = { 0, 0, 0, -1, -2, -3, -4, -5, -6, -7, -8, -9 };
    recipe r = standard();
    r.model = "llama";
    r.tokens[0] = "<unk>";
    r.tokens[1] = "a";
    r.tokens[2] = "b";
    r.scores = scores;
    r.score_count = 12;
    return r;
}

static void test_bad_scores(void **state)
{
    static const float odd[16] = { 0, 0, 0, NAN };
    static const char *const key = "tokenizer.ggml.scores";
    (void)state;
    recipe r = scored();
    tokenizer *t;
    write_recipe(&r);
    assert_ok(try_open(&t, path));
    expect(t, "ab", 0, "0 3", "<unk>ab"); /* U+2581 has neither a token nor bytes */
    tokenizer_free(t);
    r.scores = NULL, expect_refusal(&r, key, "the file has no scores");
    r = scored(), r.score_count = 11, expect_refusal(&r, key, "12 tokens but 11 scores");
    r = scored(), r.scores = odd, expect_refusal(&r, key, "the score of token 3 is not a number");
    r = scored(), r.model = "t5", r.key = "tokenizer.ggml.precompiled_charsmap",
    expect_refusal(&r, r.key, "not an array of bytes");
    r = scored(), r.model = "t5", r.key = "tokenizer.ggml.unknown_token_id", r.value = UINT32_MAX,
    expect_refusal(&r, r.key, "a unigram model needs this token");
    r = scored(), r.model = "bert", expect_refusal(&r, "tokenizer.ggml.unknown_token_id", "a WordPiece model needs");
    r.key = "tokenizer.ggml.unknown_token_id", expect_refusal(&r, "tokenizer.ggml.bos_token_id", "begin with this");
}

static int open_vocabulary(const void *g)
{
    tokenizer *t;
    TRY(tokenizer_open_gguf(&t, g));
    tokenizer_free(t);
    return LORAC_OK;
}

static void test_memory(void **state)
{
    static const char *const names[] = { "gpt2", "gemma4", "phi3", "bert", "t5" };
    char file[512];
    gguf g;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, VOCABULARIES "%s.gguf", names[i]);
        assert_ok(gguf_open(&g, file));
        fail_every_allocation(open_vocabulary, &g);
        gguf_close(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),    cmocka_unit_test(test_names),      cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_every_name), cmocka_unit_test(test_special),    cmocka_unit_test(test_longest_first),
        cmocka_unit_test(test_bad),        cmocka_unit_test(test_bad_scores), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
