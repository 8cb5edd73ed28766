/* JSON: what is refused and where the message points; typed getters; numbers out. */
#include "test.h"

#include "err.h"
#include "file.h"
#include "json.h"

#include <locale.h>
#include <math.h>

static int parse(const char *text, int flags)
{
    json_t *json;
    int status = json_parse(&json, slice_of(text), "f.json", 1, flags);

    if (status == LORAC_OK)
        json_decref(json);
    else
        assert_null(json);
    return status;
}

static void bad_text_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "", "f.json:1:" },
        { "{\"a\": 1,\n \"b\": }", "f.json:2:" },
        { "{\"a\": 1} x", "f.json:1:" },
        { "{\"a\": 1, \"a\": 2}", "duplicate object key" },
        { "\"\xFF\"", "unable to decode byte 0xff" },
        { "[1e999]", "real number overflow" },
        { "[99999999999999999999]", "too big integer" },
        { "{\"a\\u0000\": 1}", "NUL" },
        { "[NaN]", "invalid token" },
        { "[1,]", "f.json:1:" },
        { "['a']", "f.json:1:" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(bad[i].text, 0), LORAC_ERROR_DATA);
        assert_contains(lorac_last_error()->message, bad[i].message);
    }
}

static void flags_and_marks_are_taken(void **state)
{
    (void)state;
    assert_ok(parse("{\"a\": 1, \"a\": 2}", JSON_TAKE_DUPLICATES));
    assert_ok(parse("[\"a\\u0000b\"]", JSON_TAKE_NUL));
    assert_int_equal(parse("[\"a\\u0000b\"]", 0), LORAC_ERROR_DATA);
    assert_ok(parse("\xEF\xBB\xBF{}", 0));
    assert_ok(parse("3", 0));
}

static void lines_count_from_the_given_one(void **state)
{
    json_t *json;

    (void)state;
    assert_int_equal(json_parse(&json, slice_of("{\"a\" 1}"), "rows.jsonl", 17, 0), LORAC_ERROR_DATA);
    assert_int_equal(lorac_last_error()->line, 17);
    assert_true(lorac_last_error()->column > 1);
}

static void depth_is_bounded(void **state)
{
    char text[1200];

    (void)state;
    memset(text, '[', 256);
    memset(text + 256, ']', 256);
    text[512] = '\0';
    assert_ok(parse(text, 0));
    memset(text, '[', 600);
    memset(text + 600, ']', 599);
    text[1199] = '\0';
    text[100] = '\n';
    assert_int_equal(parse(text, 0), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "f.json:2:157: JSON is nested deeper than 256");
    memset(text, '[', 600); /* brackets in a string, after an escaped quote, do not count */
    memcpy(text, "\"\\\"", 3);
    memcpy(text + 600, "\"", 2);
    assert_ok(parse(text, 0));
}

static void getters_know_kinds_and_ranges(void **state)
{
    static const char text[] = "{\"i\": 8, \"whole\": 8.0, \"half\": 8.5, \"huge\": 1e30, \"b\": true, \"t\": \"x\", "
                               "\"n\": null, \"a\": []}";
    json_t *o;
    int64_t i = -7;
    double r = -7;
    bool b = false;
    const char *t = "before";

    (void)state;
    assert_ok(json_parse(&o, slice_of(text), "f", 1, 0));
    assert_ok(json_take_int(o, "i", 0, 8, &i, "f"));
    assert_int_equal(i, 8);
    assert_int_equal(json_take_int(o, "i", 0, 7, &i, "f"), LORAC_ERROR_DATA);
    assert_string_equal(lorac_last_error()->message,
                        "f: wrong value (key i; found 8, expected an integer from 0 to 7).");
    i = 0;
    assert_ok(json_take_int(o, "whole", 0, 8, &i, "f"));
    assert_int_equal(i, 8);
    assert_int_equal(json_take_int(o, "half", 0, 9, &i, "f"), LORAC_ERROR_DATA);
    assert_int_equal(json_take_int(o, "huge", INT64_MIN, INT64_MAX, &i, "f"), LORAC_ERROR_DATA);
    assert_int_equal(json_take_int(o, "t", 0, 9, &i, "f"), LORAC_ERROR_DATA);
    assert_ok(json_take_int(o, "missing", 0, 9, &i, "f"));
    assert_ok(json_take_int(o, "n", 0, 9, &i, "f"));
    assert_int_equal(i, 8);
    assert_ok(json_take_real(o, "half", &r, "f"));
    assert_true(r == 8.5);
    assert_ok(json_take_real(o, "i", &r, "f"));
    assert_true(r == 8);
    assert_int_equal(json_take_real(o, "b", &r, "f"), LORAC_ERROR_DATA);
    assert_ok(json_take_bool(o, "b", &b, "f"));
    assert_true(b);
    assert_int_equal(json_take_bool(o, "i", &b, "f"), LORAC_ERROR_DATA);
    assert_ok(json_take_text(o, "t", &t, "f"));
    assert_string_equal(t, "x");
    assert_int_equal(json_take_text(o, "a", &t, "f"), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "found an array, expected a string");
    assert_string_equal(json_kind(NULL), "null");
    assert_string_equal(json_kind(o), "an object");
    json_decref(o);
}

static void files_are_read(void **state)
{
    const char *folder = test_folder();
    buf path = { 0 };
    json_t *json;

    (void)state;
    path_join(&path, folder, "a.json");
    assert_ok(file_write(path.p, "{\"a\": 1}", 8));
    assert_ok(json_read(&json, path.p, 100, 0));
    assert_int_equal(json_integer_value(json_object_get(json, "a")), 1);
    json_decref(json);
    assert_int_equal(json_read(&json, path.p, 7, 0), LORAC_ERROR_DATA);
    assert_null(json);
    assert_ok(folder_remove(folder));
    assert_int_equal(json_read(&json, path.p, 7, 0), LORAC_ERROR_DATA);
    buf_free(&path);
}

static void numbers_carry_nine_digits(void **state)
{
    static const struct {
        double value;
        const char *text;
    } numbers[] = {
        { 0, "0" },      { 1.0 / 3, "0.333333333" }, { 1e-5, "1e-05" },          { -2.5, "-2.5" }, { 1e300, "1e+300" },
        { NAN, "null" }, { INFINITY, "null" },       { 123456789, "123456789" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        buf b = { 0 };
        buf_real(&b, numbers[i].value);
        assert_string_equal(b.p, numbers[i].text);
        buf_free(&b);
    }
}

/* Where a locale with a decimal comma is installed. */
static void the_locale_does_not_matter(void **state)
{
    buf b = { 0 };

    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        skip();
    buf_real(&b, 0.5);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(b.p, "0.5");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_text_is_refused_with_its_place), cmocka_unit_test(flags_and_marks_are_taken),
        cmocka_unit_test(lines_count_from_the_given_one),     cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(getters_know_kinds_and_ranges),      cmocka_unit_test(files_are_read),
        cmocka_unit_test(numbers_carry_nine_digits),          cmocka_unit_test(the_locale_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
