/* test_sentencepiece.c: SentencePiece models against what the sentencepiece library made of the same texts
 * (tests/golden/sentencepiece), and models that are damaged. */
#include "test_tokens.h"

#include "file.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"

static const char *const names[] = { "unigram",     "unigram_bytes", "unigram_plain", "bpe",  "bpe_bytes",
                                     "bpe_suffix",  "char",          "char_bytes",    "word", "word_bytes",
                                     "unigram_cls", "bpe_unused",    "unigram_unused" };
enum { NAMES = sizeof names / sizeof *names };

static void read_model(buf *bytes, const char *name)
{
    buf path = { 0 };
    buf_format(&path, GOLDEN "sentencepiece/%s/tokenizer.model", name);
    assert_ok(file_read(bytes, path.p, 1 << 20));
    buf_free(&path);
}

static tokenizer *open_golden(const char *name)
{
    buf bytes = { 0 };
    tokenizer *t;
    read_model(&bytes, name);
    assert_ok(tokenizer_from_sentencepiece(&t, buf_slice_of(&bytes), name));
    buf_free(&bytes);
    return t;
}

/* The library does not find control symbols in texts. */
static bool names_control(const tokenizer *t, slice text)
{
    for (size_t i = 0; i < t->added.count; i++)
        if (memmem(text.p, text.n, t->added.tokens[i].text.p, t->added.tokens[i].text.n))
            return true;
    return false;
}

/* [ids, decoded]; null: the text. */
static void check_row(const tokenizer *t, slice text, const json_t *row, const char *name, size_t number)
{
    encoding e = { 0 };
    buf decoded = { 0 };
    const json_t *ids = json_array_get(row, 0), *back = json_array_get(row, 1);
    assert_ok(tokenizer_encode(t, text, 0, &e));
    expect_ids(&e, ids, name, number);
    for (size_t i = 0; i < e.count; i++) {
        assert_true(e.begin[i] <= e.end[i] && e.end[i] <= text.n);
        assert_true(!i || e.begin[i - 1] <= e.begin[i]);
    }
    assert_ok(tokenizer_decode(t, e.ids, e.count, true, &decoded));
    if (!slice_equal(buf_slice_of(&decoded), json_is_null(back) ? text : text_of(back)))
        fail_msg("%s, text %zu decodes as \"%s\"", name, number, decoded.p);
    encoding_free(&e);
    buf_free(&decoded);
}

static void test_goldens(void **state)
{
    (void)state;
    json_t *texts = read_json_of(GOLDEN, "tokenizers/texts.json");
    for (int n = 0; n < NAMES; n++) {
        tokenizer *t;
        buf folder = { 0 }, file = { 0 };
        buf_format(&folder, GOLDEN "sentencepiece/%s", names[n]);
        assert_ok(tokenizer_open_folder(&t, folder.p));
        buf_format(&file, "sentencepiece/%s/expected.json", names[n]);
        json_t *rows = read_json_of(GOLDEN, file.p);
        size_t compared = 0;
        assert_int_equal(json_array_size(rows), json_array_size(texts));
        for (size_t i = 0; i < json_array_size(rows); i++) {
            slice text = text_of(json_array_get(texts, i));
            if (names_control(t, text))
                continue;
            check_row(t, text, json_array_get(rows, i), names[n], i);
            compared++;
        }
        assert_true(compared > 140);
        json_decref(rows);
        buf_free(&folder);
        buf_free(&file);
        tokenizer_free(t);
    }
    json_decref(texts);
}

/* A folder as transformers reads it, its files and ids in folders.json. */
static void check_folder(const char *name, const json_t *golden, const json_t *texts)
{
    const char *folder = test_folder(), *file;
    const json_t *value, *ids = json_object_get(golden, "ids");
    json_t *files = json_object_get(golden, "files");
    buf path = { 0 }, bytes = { 0 };
    tokenizer *t;
    read_model(&bytes, json_string_value(json_object_get(golden, "model")));
    path_join(&path, folder, json_string_value(json_object_get(golden, "file")));
    assert_ok(file_write(path.p, bytes.p, bytes.n));
    json_object_foreach(files, file, value)
    {
        char *text = json_dumps(value, 0);
        buf_clear(&path);
        path_join(&path, folder, file);
        assert_ok(file_write(path.p, text, strlen(text)));
        free(text);
    }
    assert_ok(tokenizer_open_folder(&t, folder));
    assert_int_equal(json_array_size(ids), json_array_size(texts));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        encoding e = { 0 };
        if (json_is_null(json_array_get(ids, i)))
            continue;
        assert_ok(tokenizer_encode(t, text_of(json_array_get(texts, i)), -1, &e));
        expect_ids(&e, json_array_get(ids, i), name, i);
        encoding_free(&e);
    }
    tokenizer_free(t);
    buf_free(&path);
    buf_free(&bytes);
    folder_remove(folder);
}

static void test_folders(void **state)
{
    (void)state;
    json_t *texts = read_json_of(GOLDEN, "tokenizers/texts.json"),
           *all = read_json_of(GOLDEN, "sentencepiece/folders.json"), *golden;
    const char *name;
    assert_true(json_object_size(all) >= 25);
    json_object_foreach(all, name, golden) check_folder(name, golden, texts);
    json_decref(texts);
    json_decref(all);
}

static void write_class(const char *folder, const char *model, const char *config)
{
    buf path = { 0 }, bytes = { 0 };
    read_model(&bytes, model);
    path_join(&path, folder, "sentencepiece.bpe.model");
    assert_ok(file_write(path.p, bytes.p, bytes.n));
    buf_clear(&path);
    path_join(&path, folder, "tokenizer_config.json");
    assert_ok(file_write(path.p, config, strlen(config)));
    buf_free(&path);
    buf_free(&bytes);
}

static void test_refused_class(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        { "{\"tokenizer_class\":\"MarianTokenizer\"}", "MarianTokenizer" },
        { "{\"tokenizer_class\":\"SiglipTokenizer\"}", "SiglipTokenizer" },
        { "{\"tokenizer_class\":\"T5Tokenizer\",\"eos_token\":null}", "puts its eos_token around texts" },
        { "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":65537}", "extra_ids" },
        { "{\"tokenizer_class\":\"PegasusTokenizer\",\"offset\":-1}", "offset" },
        { "{\"tokenizer_class\":\"XLNetTokenizer\",\"do_lower_case\":1}", "do_lower_case" },
        { "{\"tokenizer_class\":\"MBartTokenizer\",\"bos_token\":\"<pad>\"}", "\"<pad>\" is there twice" },
    };
    const char *folder = test_folder();
    tokenizer *t;
    write_class(folder, "unigram", "{}");
    assert_ok(tokenizer_open_folder(&t, folder));
    tokenizer_free(t);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_class(folder, "unigram", bad[i][0]);
        assert_int_equal(tokenizer_open_folder(&t, folder), LORAC_ERROR_DATA);
        assert_null(t);
        assert_contains(lorac_last_error()->message, bad[i][1]);
    }
    folder_remove(folder);
}

static void test_controls(void **state)
{
    (void)state;
    tokenizer *t = open_golden("bpe");
    encoding e = { 0 };
    assert_ok(tokenizer_encode(t, slice_of("he<ctl>"), -1, &e));
    assert_int_equal(e.count, 2);
    assert_int_equal(e.ids[1], tokenizer_id(t, slice_of("<ctl>")));
    assert_true(tokenizer_is_special(t, e.ids[1]));
    assert_int_equal(e.begin[1], 2);
    assert_int_equal(e.end[1], 7);
    assert_int_equal(tokenizer_role(t, TOKEN_BOS), 1);
    assert_int_equal(tokenizer_role(t, TOKEN_EOS), 2);
    assert_int_equal(tokenizer_role(t, TOKEN_UNK), 0);
    assert_int_equal(tokenizer_role(t, TOKEN_PAD), -1);
    encoding_free(&e);
    tokenizer_free(t);
}

/* One word of many bytes, in a segment that never ends and in many. */
static void test_long(void **state)
{
    (void)state;
    static const char *const units[] = { "a", "the", " ", "\u00e9", "\U0001f600", "he ll", "ab" };
    for (size_t n = 0; n < 3; n++) {
        tokenizer *t = open_golden(names[n]);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            buf text = { 0 };
            encoding e = { 0 };
            while (text.n < 1 << 20)
                buf_text(&text, units[i]);
            assert_ok(tokenizer_encode(t, buf_slice_of(&text), 0, &e));
            encoding_free(&e);
            buf_free(&text);
        }
        tokenizer_free(t);
    }
}

/* ---- Models made here */

typedef struct made {
    buf bytes;
} made;

static void put_varint(made *m, size_t n)
{
    for (; n >= 0x80; n >>= 7)
        buf_char(&m->bytes, (char)((n & 0x7F) | 0x80));
    buf_char(&m->bytes, (char)n);
}

static void put_field(made *m, unsigned number, slice content)
{
    put_varint(m, number << 3 | 2);
    put_varint(m, content.n);
    buf_slice(&m->bytes, content);
}

static void put_number(made *m, unsigned number, unsigned value)
{
    put_varint(m, number << 3);
    put_varint(m, value);
}

static void put_piece(made *m, const char *text, unsigned type)
{
    made body = { 0 };
    put_field(&body, 1, slice_of(text));
    buf_add(&body.bytes, "\x15\0\0\x80\xBF", 5); /* score -1 */
    put_number(&body, 3, type);
    put_field(m, 1, buf_slice_of(&body.bytes));
    buf_free(&body.bytes);
}

static void put_trainer(made *m, unsigned number, unsigned value)
{
    made trainer = { 0 };
    put_number(&trainer, number, value);
    put_field(m, 2, buf_slice_of(&trainer.bytes));
    buf_free(&trainer.bytes);
}

static void put_rules(made *m, unsigned field, const char *bytes, size_t n)
{
    made normaliser = { 0 };
    put_field(&normaliser, 2, (slice){ bytes, n });
    put_field(m, field, buf_slice_of(&normaliser.bytes));
    buf_free(&normaliser.bytes);
}

static made small_model(void)
{
    made m = { 0 };
    put_piece(&m, "<unk>", PIECE_UNKNOWN);
    put_piece(&m, "a", PIECE_NORMAL);
    put_piece(&m, "\u2581", PIECE_NORMAL);
    return m;
}

static void refuse(made *m, const char *sentence)
{
    tokenizer *t;
    assert_int_equal(tokenizer_from_sentencepiece(&t, buf_slice_of(&m->bytes), "m.model"), LORAC_ERROR_DATA);
    assert_null(t);
    assert_contains(lorac_last_error()->message, "m.model");
    assert_contains(lorac_last_error()->message, sentence);
    buf_free(&m->bytes);
}

static void refuse_bytes(const char *bytes, size_t n, const char *sentence)
{
    made m = { 0 };
    buf_add(&m.bytes, bytes, n);
    refuse(&m, sentence);
}

static void test_bad_messages(void **state)
{
    (void)state;
    refuse_bytes("", 0, "0 pieces");
    refuse_bytes("not a model at all", 18, "at byte");
    refuse_bytes("\x0A\x05\x0A", 3, "longer than what it stands in");
    refuse_bytes("\x0A", 1, "ends within a number");
    refuse_bytes("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 12, "64 bits");
    refuse_bytes("\x08\x01", 2, "another type");
    refuse_bytes("\x02\x01", 2, "no number");
    refuse_bytes("\x0B\x01", 2, "do not have");
    refuse_bytes("\x0A\x00", 2, "a piece is empty");
    refuse_bytes("\x0A\x03\x0A\x01\xFF", 5, "not UTF-8");
    refuse_bytes("\x0A\x08\x0A\x01x\x15\0\0\xC0\x7F", 10, "not a number");
    refuse_bytes("\x0A\x05\x0A\x01x\x18\x07", 7, "not known");
}

static void test_bad_models(void **state)
{
    (void)state;
    made m = { 0 };
    put_piece(&m, "a", PIECE_NORMAL);
    refuse(&m, "no unknown piece");

    m = small_model();
    put_piece(&m, "?", PIECE_UNKNOWN);
    refuse(&m, "two unknown pieces");

    m = small_model();
    put_piece(&m, "a", PIECE_NORMAL);
    refuse(&m, "there twice");

    m = small_model();
    put_piece(&m, "<0xG0>", PIECE_BYTE);
    refuse(&m, "byte piece");

    m = small_model();
    put_trainer(&m, 35, 1);
    refuse(&m, "not every byte");

    m = small_model();
    put_trainer(&m, 3, SENTENCEPIECE_CHAR + 1);
    refuse(&m, "not known");

    m = small_model();
    put_rules(&m, 3, "\x08\0\0\0abcd", 8);
    refuse(&m, "damaged");

    m = small_model();
    put_rules(&m, 3, "\x04\0\0\0abcd\xFF", 9);
    refuse(&m, "not UTF-8");

    m = small_model();
    put_rules(&m, 5, "\x04\0\0\0abcd", 8);
    refuse(&m, "denormalizer_spec");
}

/* A table of rules that leads anywhere: whatever it says, nothing outside it is touched. */
static void test_wild_rules(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 200; seed++) {
        made m = small_model();
        char rules[4 + 4 * 64 + 8] = { 0, 1 };
        uint32_t number = seed;
        for (size_t i = 4; i < sizeof rules - 8; i++) {
            number = number * 1664525 + 1013904223;
            rules[i] = (char)(i % 4 ? number >> 24 & number >> 16 : 'a' + (number >> 30));
        }
        memcpy(rules + sizeof rules - 8, "xy\0\xC3\xA9\0z", 8);
        put_rules(&m, 3, rules, sizeof rules);
        tokenizer *t;
        encoding e = { 0 };
        assert_ok(tokenizer_from_sentencepiece(&t, buf_slice_of(&m.bytes), "wild"));
        assert_ok(tokenizer_encode(t, slice_of("abcdabdc aabbccdd dcba"), 0, &e));
        encoding_free(&e);
        tokenizer_free(t);
        buf_free(&m.bytes);
    }
}

/* Every part of a model cut short is refused, or is a model. */
static void test_cut_short(void **state)
{
    (void)state;
    buf bytes = { 0 };
    read_model(&bytes, "bpe");
    for (size_t n = 0; n < bytes.n; n += 7) {
        tokenizer *t;
        if (tokenizer_from_sentencepiece(&t, (slice){ bytes.p, n }, "cut") == LORAC_OK)
            tokenizer_free(t);
        else
            assert_null(t);
    }
    buf_free(&bytes);
}

/* ---- Memory that runs out, everywhere it can */

static int open_and_use(const void *bytes)
{
    tokenizer *t;
    TRY(tokenizer_from_sentencepiece(&t, buf_slice_of(bytes), "m"));
    return there_and_back(t);
}

static void test_memory(void **state)
{
    (void)state;
    static const char *const of[] = { "unigram_bytes", "bpe", "bpe_unused", "word_bytes" };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        buf bytes = { 0 };
        read_model(&bytes, of[i]);
        fail_every_allocation(open_and_use, &bytes);
        buf_free(&bytes);
    }
}

static void test_class_memory(void **state)
{
    (void)state;
    static const char *const of[][2] = {
        { "unigram", "{\"tokenizer_class\":\"MBart50Tokenizer\"}" },
        { "bpe", "{\"tokenizer_class\":\"NllbTokenizer\",\"legacy_behaviour\":true}" },
    };
    const char *folder = test_folder();
    tokenizer *t;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        write_class(folder, of[i][0], of[i][1]);
        mem_fail_at(0);
        assert_ok(tokenizer_open_folder(&t, folder));
        tokenizer_free(t);
        long count = mem_count();
        assert_true(count > 20);
        for (long n = 1; n <= count; n++) {
            mem_fail_at(n);
            assert_int_equal(tokenizer_open_folder(&t, folder), LORAC_ERROR_RUNTIME);
        }
        mem_fail_at(0);
    }
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),    cmocka_unit_test(test_folders),      cmocka_unit_test(test_refused_class),
        cmocka_unit_test(test_controls),   cmocka_unit_test(test_long),         cmocka_unit_test(test_bad_messages),
        cmocka_unit_test(test_bad_models), cmocka_unit_test(test_wild_rules),   cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_memory),     cmocka_unit_test(test_class_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
