/* test_labels.c: the labels that a config.json names, where a text is classified, and a classifier's rows. */
#include "test.h"

#include "err.h"
#include "rows.h"

/* ---- Labels -------------------------------------------------------------------------------------------- */

static int read_labels(label_set *out, const char *text)
{
    json_t *config;
    assert_ok(json_parse(&config, slice_of(text), "config.json", 1, 0));
    int status = labels_read(out, config, "config.json");
    json_decref(config);
    return status;
}

static void check_labels(const char *text, int64_t count, const char *name, int64_t number)
{
    label_set l;
    assert_ok(read_labels(&l, text));
    assert_int_equal(l.count, count);
    assert_int_equal(map_find(&l.numbers, slice_of(name)), number);
    assert_null(l.problem);
    labels_free(&l);
}

static void test_labels(void **state)
{
    (void)state;
    check_labels("{}", 2, "LABEL_1", 1);
    check_labels("{\"num_labels\": 5}", 5, "LABEL_4", 4);
    check_labels("{\"id2label\": {\"1\": \"yes\", \"0\": \"no\"}}", 2, "yes", 1);
    check_labels("{\"id2label\": {\"1\": \"yes\", \"0\": \"no\"}, \"num_labels\": 7}", 2, "no", 0);
    check_labels("{\"id2label\": {\"0\": \"a\", \"1\": \"b\"}, \"label2id\": {\"A\": 0, \"B\": 1}}", 2, "B", 1);
    check_labels("{\"problem_type\": \"single_label_classification\"}", 2, "LABEL_0", 0);

    label_set l;
    assert_ok(labels_read(&l, NULL, NULL));
    assert_int_equal(l.count, 2);
    labels_free(&l);
    assert_ok(labels_make(&l, 3));
    assert_string_equal(l.names[2], "LABEL_2");
    labels_free(&l);
}

static void test_problems(void **state)
{
    label_set l;
    (void)state;
    assert_ok(read_labels(&l, "{\"num_labels\": 1}"));
    assert_string_equal(l.problem, "regression");
    labels_free(&l);
    assert_ok(read_labels(&l, "{\"problem_type\": \"multi_label_classification\"}"));
    assert_string_equal(l.problem, "multi_label_classification");
    labels_free(&l);
}

static void test_bad_labels(void **state)
{
    static const char *const bad[] = {
        "{\"id2label\": {\"0\": \"a\", \"2\": \"b\"}}",
        "{\"id2label\": {\"0\": \"a\", \"00\": \"b\"}}",
        "{\"id2label\": {\"0\": \"a\", \"\": \"b\"}}",
        "{\"id2label\": {\"0\": \"a\", \"-1\": \"b\"}}",
        "{\"id2label\": {\"0\": 1}}",
        "{\"label2id\": {\"a\": 2}}",
        "{\"label2id\": {\"a\": \"0\"}}",
        "{\"num_labels\": 0}",
        "{\"num_labels\": 100000}",
        "{\"num_labels\": \"2\"}",
        "{\"problem_type\": 3}",
    };
    label_set l;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_labels(&l, bad[i]), LORAC_ERROR_DATA);
        assert_contains(lorac_last_error()->message, "config.json");
    }
}

static void test_classifiers(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } cases[] = {
        { "{\"architectures\": [\"LlamaForSequenceClassification\"]}", true },
        { "{\"architectures\": [\"LlamaForCausalLM\"]}", false },
        { "{\"architectures\": []}", false },
        { "{\"architectures\": 3}", false },
        { "{}", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config;
        assert_ok(json_parse(&config, slice_of(cases[i].text), "config.json", 1, 0));
        assert_int_equal(config_is_classifier(config), cases[i].is);
        json_decref(config);
    }
    assert_false(config_is_classifier(NULL));
}

static void test_position(void **state)
{
    static const int32_t ids[] = { 3, 7, 3, 9, 3, 3 };
    (void)state;
    assert_int_equal(class_position(ids, 6, 3), 3);
    assert_int_equal(class_position(ids, 6, -1), 5);
    assert_int_equal(class_position(ids, 6, 9), 5);
    assert_int_equal(class_position(ids, 1, 3), 0);
    assert_int_equal(class_position(ids + 4, 2, 3), 0);
}

/* ---- Rows ---------------------------------------------------------------------------------------------- */

typedef struct fixture {
    tokenizer *t;
    label_set labels;
    row row;
} fixture;

static void open_fixture(fixture *f, const char *name, const char *config)
{
    char folder[256];
    *f = (fixture){ 0 };
    snprintf(folder, sizeof folder, SOURCE_DIR "/tests/golden/tokenizers/%s", name);
    assert_ok(tokenizer_open_folder(&f->t, folder));
    assert_ok(read_labels(&f->labels, config));
}

static void close_fixture(fixture *f)
{
    row_free(&f->row);
    labels_free(&f->labels);
    tokenizer_free(f->t);
}

static int read_row(fixture *f, const char *text, int64_t limit)
{
    row_reader reader = { .tokenizer = f->t, .labels = &f->labels, .pad = 0, .max_seq_length = limit };
    json_t *object;
    assert_ok(json_parse(&object, slice_of(text), "train.jsonl", 7, 0));
    int status = row_read(&reader, object, "train.jsonl", 7, &f->row);
    json_decref(object);
    return status;
}

/* The row has these ids, and its one label at `position`. */
static void check_row(fixture *f, const char *text, int64_t limit, const int32_t *ids, size_t count, size_t position,
                      int32_t label)
{
    assert_ok(read_row(f, text, limit));
    assert_int_equal(f->row.kind, ROW_CLASS);
    assert_int_equal(f->row.count, count);
    assert_int_equal(f->row.trained, 1);
    assert_int_equal(f->row.class_label, label);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(f->row.ids[i], ids[i]);
        assert_int_equal(f->row.labels[i], i == position ? label : LABEL_NONE);
    }
}

static const char config[] = "{\"id2label\": {\"0\": \"no\", \"1\": \"maybe\", \"2\": \"yes\"}}";

/* Ids as Hugging Face's tokenizers give them; its truncation keeps what stands at the end for every text. */
static void test_texts(void **state)
{
    static const int32_t whole[] = { 330, 220, 39, 68, 265, 78, 264, 272, 11, 220, 88, 78, 84, 331 };
    static const int32_t five[] = { 330, 220, 39, 68, 331 }, two[] = { 330, 331 };
    static const char text[] = "{\"text\": \"Hello there, you\", \"label\": 2}";
    fixture f;
    (void)state;
    open_fixture(&f, "roberta", config);
    check_row(&f, text, 0, whole, 14, 13, 2);
    assert_false(f.row.truncated);
    check_row(&f, text, 5, five, 5, 4, 2);
    assert_true(f.row.truncated);
    check_row(&f, text, 2, two, 2, 1, 2);
    check_row(&f, text, 14, whole, 14, 13, 2);
    check_row(&f, "{\"text\": \"Hello there, you\", \"label\": \"maybe\"}", 0, whole, 14, 13, 1);
    close_fixture(&f);
}

static void test_ids(void **state)
{
    static const int32_t ids[] = { 5, 0, 7, 0, 0 };
    fixture f;
    (void)state;
    open_fixture(&f, "gpt2", config);
    check_row(&f, "{\"input_ids\": [5, 0, 7, 0, 0], \"label\": 1}", 0, ids, 5, 2, 1);
    check_row(&f, "{\"input_ids\": [5, 0, 7, 0, 0], \"label\": 1}", 2, ids, 2, 0, 1);
    check_row(&f, "{\"input_ids\": [0, 0, 0, 0], \"label\": 0, \"note\": 1}", 0, (int32_t[4]){ 0 }, 4, 0, 0);
    close_fixture(&f);
}

static void test_bad_rows(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "{\"text\": \"a\"}", "label" },
        { "{\"text\": \"a\", \"label\": 3}", "found 3" },
        { "{\"text\": \"a\", \"label\": -1}", "found -1" },
        { "{\"text\": \"a\", \"label\": \"Yes\"}", "found Yes" },
        { "{\"text\": \"a\", \"label\": \"1\"}", "0 to 2" },
        { "{\"text\": \"a\", \"label\": 1.0}", "label" },
        { "{\"text\": \"a\", \"label\": true}", "label" },
        { "{\"text\": \"a\", \"label\": null}", "label" },
        { "{\"text\": \"a\", \"label\": [1]}", "label" },
        { "{\"text\": 3, \"label\": 1}", "text" },
        { "{\"text\": \"\", \"label\": 1}", "no token" },
        { "{\"input_ids\": [], \"label\": 1}", "no token" },
        { "{\"input_ids\": [1, -100], \"label\": 1}", "input_ids[1]" },
        { "{\"input_ids\": 1, \"text\": \"a\", \"label\": 1}", "input_ids" }, /* the first of both forms */
        { "{\"messages\": [], \"label\": 1}", "no form" },
        { "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": 1}", "no form" },
        { "{\"label\": 1}", "no form" },
    };
    fixture f;
    (void)state;
    open_fixture(&f, "gpt2", config);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_row(&f, bad[i].text, 0), LORAC_ERROR_DATA);
        assert_contains(lorac_last_error()->message, "train.jsonl:7");
        assert_contains(lorac_last_error()->message, bad[i].says);
    }
    close_fixture(&f);
    open_fixture(&f, "gpt2", "{\"num_labels\": 1}");
    assert_int_equal(read_row(&f, "{\"text\": \"a\", \"label\": 0}", 0), LORAC_ERROR_USAGE);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels),      cmocka_unit_test(test_problems), cmocka_unit_test(test_bad_labels),
        cmocka_unit_test(test_classifiers), cmocka_unit_test(test_position), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_ids),         cmocka_unit_test(test_bad_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
