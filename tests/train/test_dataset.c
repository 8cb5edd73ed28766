/* test_dataset.c: rows found where they stand, and bad ones named by file, line and column. */
#include "test.h"

#include "dataset.h"
#include "err.h"
#include "file.h"

static const char *folder;

static const char *write_file(const char *name, const char *text, size_t n)
{
    static buf path;

    assert_non_null(path_join(&path, folder, name));
    assert_ok(file_write(path.p, text, n));
    return path.p;
}

static dataset *open_text(const char *name, const char *text)
{
    dataset *d;

    assert_ok(dataset_open(&d, write_file(name, text, strlen(text)), "train", false));
    return d;
}

static void check_row(const dataset *d, size_t index, long line, const char *key, const char *value)
{
    const char *file;
    long found;
    json_t *row;

    dataset_place(d, index, &file, &found);
    assert_int_equal(found, line);
    assert_ok(dataset_row(d, index, &row));
    assert_string_equal(json_string_value(json_object_get(row, key)), value);
    json_decref(row);
}

static void check_fails(const dataset *d, size_t index, long line, long column)
{
    json_t *row;

    assert_int_equal(dataset_row(d, index, &row), LORAC_ERROR_DATA);
    assert_null(row);
    assert_int_equal(lorac_last_error()->line, line);
    assert_int_equal(lorac_last_error()->column, column);
    assert_contains(lorac_last_error()->file, folder);
}

/* Blank lines, CRLF, a byte order mark, and no line break at the end. */
static void test_lines(void **state)
{
    dataset *d =
        open_text("a.jsonl", "\xef\xbb\xbf{\"text\":\"one\"}\r\n\n  \t\n{\"text\":\"two\"}\n{\"text\": \"\xc3\xa9\"}");

    (void)state;
    assert_int_equal(dataset_count(d), 3);
    check_row(d, 0, 1, "text", "one");
    check_row(d, 1, 4, "text", "two");
    check_row(d, 2, 5, "text", "\xc3\xa9");
    dataset_close(d);
}

static void test_bad_lines(void **state)
{
    dataset *d = open_text("bad.jsonl", "{\"text\": \"fine\"}\n"
                                        "{\"text\": }\n"
                                        "[1]\n"
                                        "{\"text\": \"\xc3\xa9\xff\"}\n"
                                        "{\"text\": \"a\", \"text\": \"b\"}\n");
    json_t *row;

    (void)state;
    check_row(d, 0, 1, "text", "fine");
    check_fails(d, 1, 2, 10);
    check_fails(d, 2, 3, 1);
    check_fails(d, 3, 4, 12);
    assert_contains(lorac_last_error()->message, "0xFF");
    assert_int_equal(dataset_row(d, 4, &row), LORAC_ERROR_DATA);
    assert_int_equal(lorac_last_error()->line, 5);
    dataset_close(d);
}

static void test_no_rows(void **state)
{
    dataset *d;

    (void)state;
    assert_int_equal(dataset_open(&d, write_file("empty.jsonl", "", 0), "train", false), LORAC_ERROR_DATA);
    assert_int_equal(dataset_open(&d, write_file("blank.jsonl", "\n\n", 2), "train", false), LORAC_ERROR_DATA);
    assert_int_equal(dataset_open(&d, write_file("head.csv", "text\n", 5), "train", false), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "head.csv");
    assert_int_equal(dataset_open(&d, "/nonexistent/rows.jsonl", "train", false), LORAC_ERROR_DATA);
    assert_int_equal(dataset_open(&d, folder, "train", false), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "train.jsonl");
}

static void test_long_line(void **state)
{
    size_t n = (16 << 20) + 1;
    char *text = malloc(n);
    dataset *d;

    (void)state;
    memset(text, 'x', n);
    assert_ok(dataset_open(&d, write_file("long.jsonl", text, n), "train", false));
    check_fails(d, 0, 1, 0);
    dataset_close(d);
    free(text);
}

static void test_csv(void **state)
{
    dataset *d = open_text("a.csv", "id,prompt,completion\r\n"
                                    "1,plain,\"quoted, with \"\"quotes\"\"\"\r\n"
                                    "\n"
                                    "2,\"two\nlines\",\"\"\n"
                                    "3,a\"b,c");

    (void)state;
    assert_int_equal(dataset_count(d), 3);
    check_row(d, 0, 2, "prompt", "plain");
    check_row(d, 0, 2, "completion", "quoted, with \"quotes\"");
    check_row(d, 1, 4, "prompt", "two\nlines");
    check_row(d, 1, 4, "completion", "");
    check_row(d, 2, 6, "prompt", "a\"b");
    check_row(d, 2, 6, "completion", "c");
    dataset_close(d);
}

static void test_tsv(void **state)
{
    dataset *d = open_text("a.tsv", "text\tlabel\none, two\t1\n\"a\tb\"\t0\n");

    (void)state;
    check_row(d, 0, 2, "text", "one, two");
    check_row(d, 1, 3, "text", "a\tb");
    dataset_close(d);
}

static void test_bad_tables(void **state)
{
    dataset *d;
    const char *open_quote = "text\nfine\n\xc3\xa9t\xc3\xa9,\"never\nends\n";

    (void)state;
    d = open_text("q.csv", open_quote); /* a row like others, and the last */
    assert_int_equal(dataset_count(d), 2);
    check_row(d, 0, 2, "text", "fine");
    check_fails(d, 1, 3, 5);
    dataset_close(d);
    assert_int_equal(dataset_open(&d, write_file("r.csv", open_quote + 10, 9), "train", false), LORAC_ERROR_DATA);
    assert_int_equal(lorac_last_error()->column, 5);
    assert_int_equal(dataset_open(&d, write_file("h.csv", "a,b\n1,2\n", 8), "train", false), LORAC_ERROR_DATA);
    assert_int_equal(lorac_last_error()->line, 1);
    d = open_text("f.csv", "text,id\nonly one\n\"a\"b,2\n\xff,3\n");
    check_fails(d, 0, 2, 0);
    check_fails(d, 1, 3, 4);
    check_fails(d, 2, 4, 1);
    dataset_close(d);
}

static void test_folder_of_splits(void **state)
{
    dataset *d;
    bool has;
    json_t *row;
    const char *file;
    long line;

    (void)state;
    write_file("train.csv", "text\nfrom csv\n", 14);
    write_file("valid.jsonl", "", 0);
    assert_ok(dataset_has_split(folder, "valid", &has));
    assert_true(has);
    assert_ok(dataset_has_split(folder, "test", &has));
    assert_false(has);
    assert_ok(dataset_open(&d, folder, "valid", true));
    assert_int_equal(dataset_count(d), 0);
    dataset_close(d);
    assert_ok(dataset_open(&d, folder, "train", false));
    assert_ok(dataset_row(d, 0, &row));
    assert_string_equal(json_string_value(json_object_get(row, "text")), "from csv");
    json_decref(row);
    dataset_place(d, 0, &file, &line);
    assert_contains(file, "train.csv");
    dataset_close(d);
}

static void test_several(void **state)
{
    buf spec = { 0 };
    const dataset_part *parts;
    size_t count;
    dataset *d;

    (void)state;
    write_file("one.jsonl", "{\"text\":\"1\"}\n", 13);
    write_file("with,comma:2.jsonl", "{\"text\":\"2\"}\n{\"text\":\"3\"}\n", 26);
    buf_format(&spec, "%s/with,comma:2.jsonl", folder);
    assert_ok(dataset_open(&d, spec.p, "train", false)); /* a name that is a file is not taken apart */
    dataset_close(d);
    buf_clear(&spec);
    buf_format(&spec, "%s/one.jsonl:2.5,%s/train.csv", folder, folder);
    assert_ok(dataset_open(&d, spec.p, "train", false));
    parts = dataset_parts(d, &count);
    assert_int_equal(count, 2);
    assert_true(parts[0].weight == 2.5 && parts[1].weight == 1);
    assert_int_equal(parts[1].first, 1);
    check_row(d, 1, 2, "text", "from csv");
    dataset_close(d);
    buf_clear(&spec);
    buf_format(&spec, "%s/one.jsonl:none", folder);
    assert_int_equal(dataset_open(&d, spec.p, "train", false), LORAC_ERROR_USAGE);
    buf_free(&spec);
}

static int set_up(void **state)
{
    (void)state;
    folder = test_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),      cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_no_rows),    cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_csv),        cmocka_unit_test(test_tsv),
        cmocka_unit_test(test_bad_tables), cmocka_unit_test(test_folder_of_splits),
        cmocka_unit_test(test_several),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
