/* test_tokenizer.c: tokenizers from tokenizer.json against what Hugging Face's tokenizers made of the same texts
 * (tests/golden/tokenizers), and what holds for every tokenizer: streams, long words, bad files, memory that runs out.
 */
#include "test_tokens.h"

#include "file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN SOURCE_DIR "/tests/golden/tokenizers/"

static tokenizer *open_golden(const char *name)
{
    buf path = { 0 };
    tokenizer *t;
    buf_format(&path, GOLDEN "%s", name);
    assert_ok(tokenizer_open_folder(&t, path.p));
    buf_free(&path);
    return t;
}

static void expect_offsets(const encoding *e, const json_t *offsets, const char *name, size_t row)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->begin[i] != json_integer_value(json_array_get(offsets, 2 * i)) ||
            e->end[i] != json_integer_value(json_array_get(offsets, 2 * i + 1)))
            fail_msg("%s, text %zu: token %zu is at %u to %u", name, row, i, e->begin[i], e->end[i]);
}

static void expect_decoded(const tokenizer *t, const encoding *e, bool skip_special, slice expected, const char *name,
                           size_t row)
{
    buf whole = { 0 }, pieces = { 0 };
    detokenizer d;
    assert_ok(tokenizer_decode(t, e->ids, e->count, skip_special, &whole));
    if (!slice_equal(buf_slice_of(&whole), expected))
        fail_msg("%s, text %zu decodes as \"%s\"", name, row, whole.p);
    detokenizer_init(&d, t, skip_special);
    for (size_t i = 0; i < e->count; i++) {
        assert_ok(detokenizer_feed(&d, e->ids[i], &pieces));
        assert_int_equal(utf8_valid(buf_slice_of(&pieces)), pieces.n);
    }
    assert_ok(detokenizer_end(&d, &pieces));
    assert_true(slice_equal(buf_slice_of(&pieces), buf_slice_of(&whole)));
    buf_free(&whole);
    buf_free(&pieces);
}

/* [ids, offsets, ids without specials, decoded, decoded without specials]; null: as before. */
static void check_row(const tokenizer *t, slice text, const json_t *row, const char *name, size_t number)
{
    encoding e = { 0 };
    const json_t *bare = json_array_get(row, 2), *decoded = json_array_get(row, 3), *skipped = json_array_get(row, 4);
    slice expected = json_is_null(decoded) ? text : text_of(decoded);
    assert_ok(tokenizer_encode(t, text, 0, &e));
    expect_ids(&e, json_is_null(bare) ? json_array_get(row, 0) : bare, name, number);
    encoding_clear(&e);
    assert_ok(tokenizer_encode(t, text, -1, &e));
    expect_ids(&e, json_array_get(row, 0), name, number);
    expect_offsets(&e, json_array_get(row, 1), name, number);
    expect_decoded(t, &e, false, expected, name, number);
    expect_decoded(t, &e, true, json_is_null(skipped) ? expected : text_of(skipped), name, number);
    encoding_free(&e);
}

/* A row that is null was left out. */
static void check_golden(const char *name, const json_t *texts)
{
    char file[320];
    snprintf(file, sizeof file, "%s/expected.json", name);
    tokenizer *t = open_golden(name);
    json_t *rows = read_json_of(GOLDEN, file);
    assert_int_equal(json_array_size(rows), json_array_size(texts));
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!json_is_null(json_array_get(rows, i)))
            check_row(t, text_of(json_array_get(texts, i)), json_array_get(rows, i), name, i);
    json_decref(rows);
    tokenizer_free(t);
}

static int is_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && !strchr(entry->d_name, '.');
}

static void test_goldens(void **state)
{
    (void)state;
    json_t *texts = read_json_of(GOLDEN, "texts.json");
    assert_true(json_array_size(texts) > 140);
    struct dirent **names;
    int count = scandir(GOLDEN, &names, is_name, alphasort);
    assert_true(count >= 25);
    for (int n = 0; n < count; n++) {
        check_golden(names[n]->d_name, texts);
        free(names[n]);
    }
    free(names);
    json_decref(texts);
}

static void test_gpt2(void **state)
{
    (void)state;
    const char *folder = SOURCE_DIR "/../shared/data/gpt2-tokenizer";
    if (!path_exists(folder)) {
        print_message("skipped: no %s\n", folder);
        skip();
    }
    tokenizer *t;
    encoding e = { 0 };
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_ok(tokenizer_encode(t, slice_of("Hello, my dog is cute<|endoftext|>"), -1, &e));
    static const int32_t expected[] = { 15496, 11, 616, 3290, 318, 13779, 50256 };
    assert_int_equal(e.count, 7);
    assert_memory_equal(e.ids, expected, sizeof expected);
    assert_true(tokenizer_is_special(t, 50256));
    assert_true(slice_is(tokenizer_token(t, 616), "\u0120my"));
    assert_int_equal(tokenizer_id(t, slice_of("\u0120my")), 616);
    encoding_free(&e);
    tokenizer_free(t);
}

/* Appending keeps what is there; specials are marked; invalid bytes count as one character each. */
static void test_encoding(void **state)
{
    (void)state;
    tokenizer *t = open_golden("llama3");
    encoding e = { 0 };
    buf text = { 0 };
    assert_ok(tokenizer_encode(t, slice_of("ab"), -1, &e));
    size_t first = e.count;
    assert_ok(tokenizer_encode(t, (slice){ "\xFF\xC3", 2 }, 1, &e));
    int32_t bos = tokenizer_id(t, slice_of("<|begin_of_text|>"));
    assert_int_equal(e.ids[0], bos);
    assert_int_equal(e.ids[first], bos);
    assert_int_equal(e.special[first], 1);
    assert_int_equal(e.special[first + 1], 0);
    assert_int_equal(e.begin[first + 1], 0);
    assert_int_equal(e.end[e.count - 1], 2);
    assert_ok(tokenizer_decode(t, e.ids + first, e.count - first, true, &text));
    assert_string_equal(text.p, "\uFFFD\uFFFD");
    encoding_free(&e);
    buf_free(&text);
    tokenizer_free(t);
}

/* ---- Long words and runs */

/* These would take hours if any part were quadratic. */
static void encode_long(const tokenizer *t, const char *unit, size_t bytes)
{
    buf text = { 0 }, back = { 0 };
    encoding e = { 0 };
    while (text.n < bytes)
        buf_text(&text, unit);
    assert_ok(tokenizer_encode(t, buf_slice_of(&text), 0, &e));
    assert_int_equal(e.end[e.count - 1], text.n);
    assert_ok(tokenizer_decode(t, e.ids, e.count, false, &back));
    assert_true(slice_equal(buf_slice_of(&text), buf_slice_of(&back)));
    buf_free(&text);
    buf_free(&back);
    encoding_free(&e);
}

static void test_long(void **state)
{
    (void)state;
    static const char *const units[] = { "a",      "the",    " ",          "\n",      "1",  "!",  "\t ",
                                         "\u00e9", "\u4e2d", "\U0001f600", "e\u0301", " a", "'s", "\u0301" };
    static const char *const of[] = { "llama3", "smollm" };
    for (size_t n = 0; n < sizeof of / sizeof *of; n++) {
        tokenizer *t = open_golden(of[n]);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            encode_long(t, units[i], 1 << 20);
        tokenizer_free(t);
    }
}

/* ---- Files that are wrong */

static const char head[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}";

typedef struct bad {
    const char *json, *place, *sentence;
} bad;

static const bad bad_files[] = {
    { "", "", "not valid JSON" },
    { "[]", "(the whole file)", "an object" },
    { "{}", "model", "no model" },
    { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "model", "an array of tokens" },
    { "{\"model\":{\"vocab\":{\"a\":0}}}", "model.unk_token", "needs an unknown token" },
    { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "model.unk_token", "needs an unknown token" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "model.vocab", "an object of tokens" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "model.vocab", "the same id 0" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":18},\"merges\":[]}}", "model.vocab",
      "\"b\" has the id 18, but there are 2 tokens" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":2147483647},\"merges\":[]}}", "model.vocab",
      "\"a\" has the id 2147483647" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":9223372036854775807},\"merges\":[]}}", "model.vocab",
      "\"a\" has the id 9223372036854775807" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "model.vocab", "not an integer" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0.5},\"merges\":[]}}", "model.vocab", "not an integer" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a x\"]}}", "model.merges",
      "\"x\", which is not" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "model.merges",
      "\"aa\", which is not" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}}", "model.merges[0]", "left right" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "model.merges[0]", "left right" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"],\"continuing_subword_prefix\":\"#\"}}",
      "model.merges", "does not begin with the prefix" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"end_of_word_suffix\":1}}",
      "model.end_of_word_suffix", "a string" },
    { "+,\"added_tokens\":[{\"id\":3,\"content\":\"\"}]}", "added_tokens[0].content", "cannot be empty" },
    { "+,\"added_tokens\":[{\"id\":3}]}", "added_tokens[0].content", "a string" },
    { "+,\"added_tokens\":[{\"content\":\"x\"}]}", "added_tokens[0]", "needs an id" },
    { "+,\"added_tokens\":[{\"id\":4,\"content\":\"x\"},{\"id\":3,\"content\":\"y\"}]}", "added_tokens[1]",
      "\"x\" and \"y\" have the same id 3" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]},\"added_tokens\":[{\"id\":7,\"content\":"
      "\"x\"}]}",
      "added_tokens[0]", "\"b\" and \"x\" have the same id 2" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"added_tokens\":[{\"id\":1,\"content\":"
      "\"a\\u0000\"},{\"id\":1,\"content\":\"x\"}]}",
      "added_tokens[1]", "have the same id 1" },
    { "+,\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]}", "added_tokens[0]", "the same id 1" },
    { "+,\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]}", "added_tokens[0]", "but 0 in the vocabulary" },
    { "+,\"added_tokens\":[{\"id\":3,\"content\":\"x\"},{\"id\":3,\"content\":\"x\"}]}", "added_tokens[1]",
      "there twice" },
    { "+,\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"lstrip\":1}]}", "added_tokens[0].lstrip", "wrong value" },
    { "+,\"added_tokens\":[{\"id\":\"3\",\"content\":\"x\"}]}", "added_tokens[0].id", "wrong value" },
    { "{\"model\":{\"type\":7,\"vocab\":{\"a\":0}}}", "model.type", "wrong value" },
    { "+,\"normalizer\":{\"type\":[]}}", "normalizer.type", "wrong value" },
    { "+,\"normalizer\":{\"type\":\"Precompiled\"}}", "normalizer.precompiled_charsmap", "a string was expected" },
    { "+,\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Other\"}]}}",
      "normalizer.normalizers[1]", "\"Other\"" },
    { "+,\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}}",
      "normalizer.pattern.String", "empty pattern" },
    { "+,\"pre_tokenizer\":{\"type\":\"Metaspace\"}}", "pre_tokenizer.replacement", "a string was expected" },
    { "+,\"pre_tokenizer\":{}}", "pre_tokenizer", "no type" },
    { "+,\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":1}}", "normalizer.lowercase", "true or false" },
    { "+,\"normalizer\":{\"type\":\"BertNormalizer\",\"strip_accents\":\"x\"}}", "normalizer.strip_accents",
      "true or false" },
    { "+,\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Strip\",\"strip_left\":["
      "]}]}}",
      "normalizer.normalizers[1].strip_left", "true or false" },
    { "+,\"normalizer\":{\"type\":\"Sequence\"}}", "normalizer.normalizers", "an array" },
    { "+,\"normalizer\":{\"type\":\"Prepend\"}}", "normalizer.prepend", "a string" },
    { "+,\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":1}}", "normalizer.content",
      "a string" },
    { "+,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"},{\"type\":\"Metaspace\","
      "\"replacement\":\"ab\"}]}}",
      "pre_tokenizer.pretokenizers[1].replacement", "a single character" },
    { "+,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"},{\"type\":\"Metaspace\","
      "\"replacement\":\"_\",\"prepend_scheme\":\"last\"}]}}",
      "pre_tokenizer.pretokenizers[1].prepend_scheme", "one of always, first, never" },
    { "+,\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"add_prefix_"
      "space\":false}}",
      "pre_tokenizer.prepend_scheme", "contradicts add_prefix_space" },
    { "+,\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":0}}", "pre_tokenizer.split",
      "true or false" },
    { "+,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"},{\"type\":"
      "\"Punctuation\",\"behavior\":7}]}}",
      "pre_tokenizer.pretokenizers[1].behavior", "one of Removed" },
    { "+,\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\"}}", "pre_tokenizer.delimiter", "a string" },
    { "+,\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"\"}}", "pre_tokenizer.delimiter",
      "a single character" },
    { "+,\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}}", "pre_tokenizer.length", "from 1 on" },
    { "+,\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":\"x\"}}", "pre_tokenizer.length", "from 1 on" },
    { "+,\"pre_tokenizer\":{\"type\":\"Digits\",\"individual_digits\":\"yes\"}}", "pre_tokenizer.individual_digits",
      "true or false" },
    { "+,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":0}}", "pre_tokenizer.use_regex", "true or false" },
    { "+,\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}}", "pre_tokenizer.behavior",
      "a behavior was expected" },
    { "+,\"pre_tokenizer\":{\"type\":\"RandomSplit\"}}", "pre_tokenizer", "\"RandomSplit\" is not supported" },
    { "+,\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(\"}}}",
      "pre_tokenizer.pattern.Regex", "does not compile" },
    { "+,\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"[a[^b]]\"}}}",
      "pre_tokenizer.pattern.Regex", "more than a list" },
    { "+,\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Away\",\"pattern\":{\"Regex\":\"a\"}}}",
      "pre_tokenizer.behavior", "one of Removed, Isolated" },
    { "+,\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",9],\"sep\":[\"a\",0]}}", "post_processor.cls",
      "from 0 to 2" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]},\"post_processor\":{\"type\":"
      "\"BertProcessing\",\"cls\":[\"a\",1],\"sep\":[\"a\",0]}}",
      "post_processor.cls", "the id 1, which no token" },
    { "+,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}}", "post_processor.single",
      "names it once, as A" },
    { "+,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}}],"
      "\"pair\":[{\"Sequence\":{\"id\":\"A\"}}]}}",
      "post_processor.pair", "as A and B" },
    { "+,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"s\"}}]}}",
      "post_processor", "special_tokens" },
    { "+,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\"}}]}}",
      "post_processor.single", "as A" },
    { "+,\"decoder\":{\"type\":\"WordPiece\"}}", "decoder.prefix", "a string" },
    { "+,\"decoder\":{\"type\":\"Braille\"}}", "decoder", "\"Braille\" is not supported" },
};

static void write_text(const char *folder, const char *name, const char *text)
{
    buf path = { 0 };
    path_join(&path, folder, name);
    assert_ok(file_write(path.p, text, strlen(text)));
    buf_free(&path);
}

/* '+' stands for a good model. */
static void write_tokenizer(const char *folder, const char *json)
{
    buf text = { 0 };
    if (*json == '+')
        buf_text(&text, head);
    buf_text(&text, *json == '+' ? json + 1 : json);
    write_text(folder, "tokenizer.json", text.p ? text.p : "");
    buf_free(&text);
}

static void expect_refusal(const char *folder, const char *file, const char *place, const char *sentence)
{
    tokenizer *t;
    assert_int_equal(tokenizer_open_folder(&t, folder), LORAC_ERROR_DATA);
    assert_null(t);
    const char *message = lorac_last_error()->message;
    assert_contains(message, file);
    assert_contains(message, place);
    assert_contains(message, sentence);
}

static void test_bad_files(void **state)
{
    (void)state;
    const char *folder = test_folder();
    expect_refusal(folder, folder, "", "no tokenizer.json");
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        write_tokenizer(folder, bad_files[i].json);
        expect_refusal(folder, "tokenizer.json", bad_files[i].place, bad_files[i].sentence);
    }
    folder_remove(folder);
}

/* Ids without a token are decoded as nothing, and an added token's id follows the others whatever the file says. */
static void test_holes(void **state)
{
    (void)state;
    const char *folder = test_folder();
    static const int32_t ids[] = { 0, 2, 3, 5, 9, -1 };
    tokenizer *t;
    encoding e = { 0 };
    buf text = { 0 };
    write_tokenizer(folder, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":5},\"merges\":[]},"
                            "\"added_tokens\":[{\"id\":7,\"content\":\"x\"},{\"id\":8,\"content\":\"y\"}]}");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_int_equal(tokenizer_vocabulary(t), 6);
    assert_null(tokenizer_token(t, 2).p);
    assert_contains(tokenizer_notes(t), "added_tokens[0]: the added token \"x\" gets the id 3, not 7");
    assert_null(strstr(tokenizer_notes(t), "\"y\""));
    assert_ok(tokenizer_encode(t, slice_of("cxay"), -1, &e));
    static const int32_t expected[] = { 5, 3, 0, 4 };
    assert_int_equal(e.count, 4);
    assert_memory_equal(e.ids, expected, sizeof expected);
    assert_ok(tokenizer_decode(t, ids, sizeof ids / sizeof *ids, false, &text));
    assert_string_equal(text.p, "a x c");
    buf_free(&text);
    encoding_free(&e);
    tokenizer_free(t);
    folder_remove(folder);
}

/* ---- vocab.txt */

static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b \n";

static const struct {
    const char *vocabulary, *config, *place, *sentence;
} bad_vocab_txt[] = {
    { "[UNK]\na\nb\na\n", "{}", "vocab.txt:4", "\"a\" is on line 2 already" },
    { "[UNK]\n\n\n", "{}", "vocab.txt:3", "\"\" is on line 2 already" },
    { "[UNK]\n\xFF\n", "{}", "vocab.txt:2", "not UTF-8" },
    { "", "{}", "vocab.txt", "model.vocab" },
    { "a\n", "{}", "vocab.txt", "needs an unknown token of its vocabulary" },
    { vocabulary, "[]", "tokenizer_config.json", "an object" },
    { vocabulary, "{\"tokenizer_class\":\"BertJapaneseTokenizer\"}", "BertJapaneseTokenizer", "BERT's classes only" },
    { vocabulary, "{\"do_lower_case\":1}", "do_lower_case", "true or false" },
    { vocabulary, "{\"mask_token\":7}", "a number", "an added token is a string" },
    { vocabulary, "{\"added_tokens_decoder\":{\"7\":{}}}", "an object", "an added token is a string" },
};

static void test_vocab_txt(void **state)
{
    (void)state;
    const char *folder = test_folder();
    tokenizer *t;
    encoding e = { 0 };
    for (size_t i = 0; i < sizeof bad_vocab_txt / sizeof *bad_vocab_txt; i++) {
        write_text(folder, "vocab.txt", bad_vocab_txt[i].vocabulary);
        write_text(folder, "tokenizer_config.json", bad_vocab_txt[i].config);
        expect_refusal(folder, folder, bad_vocab_txt[i].place, bad_vocab_txt[i].sentence);
    }
    write_text(folder, "vocab.txt", vocabulary);
    write_text(folder, "tokenizer_config.json", "{}");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_int_equal(tokenizer_role(t, TOKEN_UNK), 1);
    assert_int_equal(tokenizer_role(t, TOKEN_PAD), 0);
    assert_ok(tokenizer_encode(t, slice_of("AB x"), -1, &e));
    static const int32_t expected[] = { 2, 5, 6, 1, 3 };
    assert_int_equal(e.count, 5);
    assert_memory_equal(e.ids, expected, sizeof expected);
    encoding_free(&e);
    tokenizer_free(t);
    folder_remove(folder);
}

/* "F" with "FF" is as good as "FF" with "F"; the last bits of the scores decide, as the library reads them: [1, 3, 2].
 */
/* An unknown token that the vocabulary lacks is missed only where there is a character without a token. */
static void test_missed_unknown(void **state)
{
    (void)state;
    const char *folder = test_folder();
    tokenizer *t;
    encoding e = { 0 };
    write_tokenizer(folder, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_ok(tokenizer_encode(t, slice_of("aa"), 0, &e));
    assert_int_equal(e.count, 2);
    assert_int_equal(tokenizer_encode(t, slice_of("ax"), 0, &e), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "has no unknown token");
    encoding_free(&e);
    tokenizer_free(t);
    folder_remove(folder);
}

static void test_unigram_ties(void **state)
{
    (void)state;
    const char *folder = test_folder();
    tokenizer *t;
    encoding e = { 0 };
    write_tokenizer(folder, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"u\",0],"
                            "[\"0x2\",-11.207028862600557],[\"F\",-9.001455143370887],[\"FF\",-11.328737160160818]]}}");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_ok(tokenizer_encode(t, slice_of("0x2FFF"), 0, &e));
    assert_int_equal(e.count, 3);
    assert_int_equal(e.ids[0], 1);
    assert_int_equal(e.ids[1], 3);
    assert_int_equal(e.ids[2], 2);
    encoding_free(&e);
    tokenizer_free(t);
    folder_remove(folder);
}

/* Of two added tokens that normalise to the same text the last is found; a model does not know those that it lacks,
 * also where the normaliser makes a word that is spelled like one. Tokenizers gives these ids and this text. */
static void test_added(void **state)
{
    static const int32_t expected[] = { 5, 3, 0, 5 };
    (void)state;
    const char *folder = test_folder();
    tokenizer *t;
    encoding e = { 0 };
    buf text = { 0 };
    write_tokenizer(folder,
                    "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"u\",0],[\"v\",-1],[\"w\",-1]]},"
                    "\"normalizer\":{\"type\":\"Lowercase\"},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[]},"
                    "\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"special\":true},{\"id\":4,\"content\":\"Yy\"},"
                    "{\"id\":5,\"content\":\"yY\"}]}");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_ok(tokenizer_encode(t, slice_of("YYxXyy"), 0, &e));
    assert_int_equal(e.count, 4);
    assert_memory_equal(e.ids, expected, sizeof expected);
    assert_ok(tokenizer_decode(t, e.ids, e.count, false, &text));
    assert_string_equal(text.p, "yyxuyy");
    buf_free(&text);
    encoding_free(&e);
    tokenizer_free(t);
    folder_remove(folder);
}

/* ---- vocab.json and merges.txt */

static const char letters[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3}";

static const struct {
    const char *vocabulary, *merges, *config, *place, *sentence;
} bad_vocab_json[] = {
    { "{}", "", "{}", "vocab.json", "an object of tokens and ids" },
    { "[]", "", "{}", "vocab.json", "an object of tokens and ids" },
    { "{\"a\":0,\"a\":1}", "", "{}", "vocab.json", "duplicate" },
    { "{\"a\":0,", "", "{}", "vocab.json:1", "" },
    { "{\"a\":\"0\"}", "", "{}", "vocab.json", "not an integer" },
    { "{\"a\":0,\"b\":-7}", "", "{}", "vocab.json", "not an integer from 0 on" },
    { "{\"a\":0,\"b\":2147483647}", "", "{}", "vocab.json", "\"b\" has the id 2147483647, but there are 2 tokens" },
    { "{\"a\":0,\"b\":2}", "", "{}", "vocab.json", "\"b\" and \"<|endoftext|>\" have the same id 2" },
    { "{\"a\":0,\"b\":0}", "", "{}", "vocab.json", "\"b\"" },
    { letters, "#version: 0.2\r\na b\r\nab\r\n", "{}", "merges.txt:3", "two tokens with a blank between" },
    { letters, "a b c\n", "{}", "merges.txt:1", "two tokens with a blank between" },
    { letters, "\n\na  b\n", "{}", "merges.txt:3", "two tokens with a blank between" },
    { letters, "a \xFF\n", "{}", "merges.txt:1", "not UTF-8" },
    { letters, "a b\na c\n", "{}", "merges.txt:2", "\"c\" of this merge is not in vocab.json" },
    { letters, "b a\n", "{}", "merges.txt:1", "\"ba\" of this merge is not in vocab.json" },
    { letters, "a b", "{\"tokenizer_class\":\"WhisperTokenizer\"}", "WhisperTokenizer", "tokenizer_class" },
    { letters, "a b", "{\"add_prefix_space\":1}", "add_prefix_space", "true or false" },
    { letters, "a b", "{\"tokenizer_class\":\"RobertaTokenizer\",\"cls_token\":null}", "cls", "" },
    { letters, "a b", "{\"image_token\":{\"content\":\"\\u0041\",\"lstrip\":2}}", "lstrip", "true or false" },
    { letters, "a b", "{\"extra_special_tokens\":[\"x\",7]}", "a number", "an added token is a string" },
    { letters, "a b", "{\"extra_special_tokens\":{\"x\":[]}}", "an array", "an added token is a string" },
};

static void test_vocab_json(void **state)
{
    (void)state;
    const char *folder = test_folder();
    tokenizer *t;
    encoding e = { 0 };
    write_text(folder, "vocab.json", letters);
    expect_refusal(folder, folder, "vocab.json", "without merges.txt");
    for (size_t i = 0; i < sizeof bad_vocab_json / sizeof *bad_vocab_json; i++) {
        write_text(folder, "vocab.json", bad_vocab_json[i].vocabulary);
        write_text(folder, "merges.txt", bad_vocab_json[i].merges);
        write_text(folder, "tokenizer_config.json", bad_vocab_json[i].config);
        expect_refusal(folder, folder, bad_vocab_json[i].place, bad_vocab_json[i].sentence);
    }
    write_text(folder, "vocab.json", letters);
    write_text(folder, "merges.txt", "#version: 0.2\r\n\r\na b");
    write_text(folder, "tokenizer_config.json", "{}");
    write_text(folder, "config.json", "{\"model_type\":\"whisper\"}");
    expect_refusal(folder, "vocab.json", "whisper", "model_type");
    write_text(folder, "config.json", "{\"model_type\":\"granite\"}");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_int_equal(tokenizer_role(t, TOKEN_EOS), 3);
    assert_int_equal(tokenizer_role(t, TOKEN_PAD), -1);
    assert_ok(tokenizer_encode(t, slice_of("abba<|endoftext|>"), -1, &e));
    static const int32_t expected[] = { 2, 1, 0, 3 };
    assert_int_equal(e.count, 4);
    assert_memory_equal(e.ids, expected, sizeof expected);
    encoding_free(&e);
    tokenizer_free(t);
    folder_remove(folder);
}

/* A text that the file's rules blow up, an expression that takes for ever, and blanks that two tokens want. */
static void test_bad_rules(void **state)
{
    (void)state;
    const char *test = test_folder();
    tokenizer *t;
    encoding e = { 0 };
    buf text = { 0 }, json = { 0 };
    for (int i = 0; i < 4000; i++)
        buf_char(&text, 'a');
    buf_text(&json, "+,\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"");
    buf_add(&json, text.p, text.n);
    buf_text(&json, "\"}}");
    write_tokenizer(test, json.p);
    assert_ok(tokenizer_open_folder(&t, test));
    assert_int_equal(tokenizer_encode(t, buf_slice_of(&text), 0, &e), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "times as long");
    tokenizer_free(t);

    write_tokenizer(
        test,
        "+,\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(a+)+[bc]\"}}}");
    assert_ok(tokenizer_open_folder(&t, test));
    assert_int_equal(tokenizer_encode(t, buf_slice_of(&text), 0, &e), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "gave up");
    assert_int_equal(e.count, 0);
    tokenizer_free(t);

    write_tokenizer(test, "+,\"added_tokens\":[{\"id\":3,\"content\":\"<r>\",\"rstrip\":true,\"normalized\":false},"
                          "{\"id\":4,\"content\":\" \",\"lstrip\":true,\"normalized\":false}]}");
    assert_ok(tokenizer_open_folder(&t, test));
    assert_ok(tokenizer_encode(t, slice_of("a<r>  "), 0, &e));
    assert_int_equal(e.count, 2);
    assert_int_equal(e.end[1], 6);
    tokenizer_free(t);
    encoding_free(&e);
    buf_free(&text);
    buf_free(&json);
    folder_remove(test);
}

/* ---- The files beside it */

static void test_config(void **state)
{
    (void)state;
    const char *folder = test_folder(), *file;
    const int32_t *ends;
    tokenizer *t;
    write_tokenizer(folder, "+}");
    write_text(folder, "tokenizer_config.json",
               "{\"bos_token\":\"a\",\"eos_token\":{\"content\":\"b\",\"special\":true},\"unk_token\":\"none\",\"add_"
               "bos_token\":true,"
               "\"model_max_length\":1000000000000000019884624838656,"
               "\"chat_template\":[{\"name\":\"x\",\"template\":\"X\"},{\"name\":\"default\",\"template\":\"D\"}]}");
    write_text(folder, "special_tokens_map.json", "{\"bos_token\":\"b\",\"pad_token\":\"ab\"}");
    write_text(folder, "generation_config.json", "{\"eos_token_id\":[2,1,1]}");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_int_equal(tokenizer_role(t, TOKEN_BOS), 0);
    assert_int_equal(tokenizer_role(t, TOKEN_EOS), 1);
    assert_int_equal(tokenizer_role(t, TOKEN_UNK), -1);
    assert_int_equal(tokenizer_role(t, TOKEN_PAD), 2);
    assert_int_equal(tokenizer_ends(t, &ends), 2);
    assert_int_equal(ends[0], 1);
    assert_int_equal(ends[1], 2);
    assert_true(slice_is(tokenizer_chat_template(t, "default", &file), "D"));
    assert_contains(file, "tokenizer_config.json");
    encoding e = { 0 };
    assert_ok(tokenizer_encode(t, slice_of("ab"), -1, &e));
    assert_int_equal(e.count, 1); /* beside a tokenizer.json add_bos_token does not count, as in transformers 5 */
    assert_int_equal(e.ids[0], 2);
    encoding_free(&e);
    tokenizer_free(t);

    write_text(folder, "chat_template.jinja", "J");
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_true(slice_is(tokenizer_chat_template(t, "default", &file), "J"));
    assert_contains(file, "chat_template.jinja");
    tokenizer_free(t);

    write_text(folder, "generation_config.json", "{\"eos_token_id\":[\"x\"]}");
    expect_refusal(folder, "generation_config.json", "eos_token_id", "an id or a list");
    write_text(folder, "tokenizer_config.json", "{\"eos_token\":7}");
    expect_refusal(folder, "tokenizer_config.json", "eos_token", "a string");
    write_text(folder, "tokenizer_config.json", "{\"eos_token\":{\"content\":7}}");
    expect_refusal(folder, "tokenizer_config.json", "eos_token.content", "a string");
    folder_remove(folder);
}

/* ---- Memory that runs out, everywhere it can */

static int open_and_use(const void *folder)
{
    tokenizer *t;
    TRY(tokenizer_open_folder(&t, folder));
    return there_and_back(t);
}

static void test_memory(void **state)
{
    (void)state;
    static const char *const folders[] = { GOLDEN "lowercase", GOLDEN "metaspace_first", GOLDEN "vocab_txt_cased",
                                           GOLDEN "vocab_json_roberta" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        fail_every_allocation(open_and_use, folders[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),      cmocka_unit_test(test_gpt2),           cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_long),         cmocka_unit_test(test_config),         cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_unigram_ties), cmocka_unit_test(test_bad_rules),      cmocka_unit_test(test_vocab_txt),
        cmocka_unit_test(test_vocab_json),   cmocka_unit_test(test_memory),         cmocka_unit_test(test_holes),
        cmocka_unit_test(test_added),        cmocka_unit_test(test_missed_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
