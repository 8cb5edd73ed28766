/* Slices, buffers, UTF-8, the nearest name. */
#include "test.h"

#include "err.h"
#include "mem.h"
#include "str.h"

static slice text(const char *p)
{
    return slice_of(p);
}

static void slices_compare_and_cut(void **state)
{
    slice rest = text("a,,bc");

    (void)state;
    assert_true(slice_is(slice_of(NULL), ""));
    assert_true(slice_is((slice){ "abcd", 3 }, "abc"));
    assert_false(slice_is((slice){ "abcd", 3 }, "abcd"));
    assert_true(slice_starts(text("model.layers"), "model."));
    assert_false(slice_starts(text("mod"), "model."));
    assert_true(slice_ends(text("model.weight"), ".weight"));
    assert_false(slice_ends(text("t"), "weight"));
    assert_true(slice_is(slice_trim(text(" \t\r\n a b \v\f")), "a b"));
    assert_true(slice_is(slice_trim(text("  ")), ""));
    assert_true(slice_is(slice_cut(&rest, ','), "a"));
    assert_true(slice_is(slice_cut(&rest, ','), ""));
    assert_true(slice_is(slice_cut(&rest, ','), "bc"));
    assert_true(slice_is(slice_cut(&rest, ','), ""));
    assert_int_equal(rest.n, 0);
    assert_true(slice_starts_with(text("abc"), text("ab")) && slice_starts_with(text("abc"), text("")));
    assert_false(slice_starts_with(text("ab"), text("abc")) || slice_starts_with(text("abc"), text("bc")));
    assert_true(slice_ends_with(text("abc"), text("bc")) && slice_ends_with(text(""), text("")));
    assert_false(slice_ends_with(text("bc"), text("abc")) || slice_ends_with(text("abc"), text("ab")));
}

static void a_buffer_grows(void **state)
{
    buf b = { 0 };

    (void)state;
    assert_true(slice_is(buf_slice_of(&b), ""));
    for (int i = 0; i < 1000; i++)
        buf_format(&b, "%d,", i);
    assert_int_equal(b.n, 3890);
    assert_int_equal(strlen(b.p), b.n);
    assert_true(slice_ends(buf_slice_of(&b), "998,999,"));
    buf_clear(&b);
    assert_string_equal(b.p, "");
    buf_text(&b, "a");
    buf_slice(&b, text("bc"));
    buf_char(&b, 'd');
    buf_add(&b, NULL, 0);
    assert_string_equal(b.p, "abcd");
    assert_ok(buf_status(&b));
    buf_free(&b);
    assert_null(b.p);
}

static void json_strings_are_escaped(void **state)
{
    static const char raw[] = "\"\\/\b\f\n\r\t\x01\x1F\x7F\0\xC3\xA9\xF0\x9F\x98\x80\xFF\xC3z";
    buf b = { 0 };

    (void)state;
    buf_json(&b, (slice){ raw, sizeof raw - 1 });
    assert_string_equal(b.p, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\\u0000\xC3\xA9\xF0\x9F\x98\x80"
                             "\xEF\xBF\xBD\xEF\xBF\xBDz\"");
    buf_free(&b);
}

static int write_all(buf *b)
{
    for (int i = 0; i < 300; i++) {
        buf_text(b, "0123456789");
        buf_format(b, "%d", i);
        buf_json(b, text("\n\xC3\xA9"));
    }
    return buf_status(b);
}

static void a_buffer_remembers_every_failure(void **state)
{
    int status = LORAC_ERROR_RUNTIME;

    (void)state;
    for (long n = 1; status != LORAC_OK; n++) {
        buf b = { 0 };
        mem_fail_at(n);
        status = write_all(&b);
        assert_int_equal(status, mem_count() >= n ? LORAC_ERROR_RUNTIME : LORAC_OK);
        assert_true(n < 100);
        buf_free(&b);
    }
    mem_fail_at(0);
}

static void every_codepoint_survives_a_round_trip(void **state)
{
    buf b = { 0 };

    (void)state;
    for (uint32_t c = 1; c <= 0x10FFFF; c += c < 0x11000 ? 1 : 97) {
        size_t at = 0;
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        buf_clear(&b);
        buf_codepoint(&b, c);
        assert_int_equal(utf8_next(buf_slice_of(&b), &at), c);
        assert_int_equal(at, b.n);
        assert_int_equal(utf8_valid(buf_slice_of(&b)), b.n);
        assert_int_equal(utf8_count(buf_slice_of(&b)), 1);
        buf_char(&b, 'z');
        assert_int_equal(utf8_before(buf_slice_of(&b), b.n), b.n - 1);
        assert_int_equal(utf8_before(buf_slice_of(&b), b.n - 1), 0);
    }
    buf_free(&b);
}

/* The table of RFC 3629, section 4: what is not in it is invalid. */
static void invalid_bytes_are_replaced_one_by_one(void **state)
{
    static const char *const invalid[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC3",
        "\xC3(",
        "\xE0\x9F\x80",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xE2\x82",
        "\xF0\x8F\xBF\xBF",
        "\xF0\x9F\x98",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xFF",
    };

    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        size_t at = 0;
        assert_int_equal(utf8_valid(text(invalid[i])), 0);
        assert_int_equal(utf8_next(text(invalid[i]), &at), 0xFFFD);
        assert_int_equal(at, 1);
    }
    assert_int_equal(utf8_valid(text("ab\xC3\xA9\xFFz")), 4);
    assert_int_equal(utf8_valid(text("")), 0);
}

static void the_nearest_name_is_suggested(void **state)
{
    static const char *const names[] = { "learning-rate", "rank", "alpha", "batch-size", "steps" };

    (void)state;
    assert_string_equal(nearest_name("lerning_rate", names, 5), "learning-rate");
    assert_string_equal(nearest_name("rnak", names, 5), "rank");
    assert_string_equal(nearest_name("RANK", names, 5), "rank");
    assert_string_equal(nearest_name("batchsize", names, 5), "batch-size");
    assert_string_equal(nearest_name("step", names, 5), "steps");
    assert_null(nearest_name("temperature", names, 5));
    assert_null(nearest_name("x", names, 5));
    assert_null(nearest_name("", names, 5));
    assert_null(nearest_name("a word of more than sixty-four letters cannot be anything that we ever named", names, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_and_cut),
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(a_buffer_remembers_every_failure),
        cmocka_unit_test(every_codepoint_survives_a_round_trip),
        cmocka_unit_test(invalid_bytes_are_replaced_one_by_one),
        cmocka_unit_test(the_nearest_name_is_suggested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
