/* safetensors files: what the format allows opens, and each thing it forbids is refused with a sentence about that very
 * thing. Every malformed file has a well-formed twin that differs in the fault alone, so that no check can be right by
 * refusing all. */
#include "test.h"

#include "err.h"
#include "mem.h"
#include "safetensors.h"

static const char *folder;
static char path[512];

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    snprintf(path, sizeof path, "%s/x.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

/* length, header, data_bytes of data. */
static void make_file(uint64_t length, slice header, size_t data_bytes)
{
    buf b = { 0 };

    buf_add(&b, (const char *)&length, sizeof length);
    buf_slice(&b, header);
    for (size_t i = 0; i < data_bytes; i++)
        buf_char(&b, (char)i);
    test_write(path, b.p, b.n);
    buf_free(&b);
}

static int open_header(const char *header, size_t data_bytes)
{
    safetensors s;
    int status;

    make_file(strlen(header), slice_of(header), data_bytes);
    status = safetensors_open(&s, path);
    if (status == LORAC_OK)
        safetensors_close(&s);
    return status;
}

static void assert_refused(int status, const char *words)
{
    assert_int_equal(status, LORAC_ERROR_DATA);
    assert_string_equal(lorac_last_error()->file, path);
    assert_contains(lorac_last_error()->message, words);
}

typedef struct twins {
    const char *rule;
    const char *bad;
    size_t bad_data;
    const char *words;
    const char *good;
    size_t good_data;
} twins;

#define ENTRY(fields) "{\"a\":{" fields "}}"
#define F32_2 ENTRY("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]")

static const twins cases[] = {
    { "one JSON object", "[]", 0, "not a JSON object", "{}", 0 },
    { "valid JSON", "{\"a\":}", 0, "not valid JSON", "{}", 0 },
    { "one object only", "{}{}", 0, "not valid JSON", "{}  ", 0 },
    { "no byte order mark", "\xEF\xBB\xBF{}", 0, "not a JSON object", " \t\r\n{}", 0 },
    { "UTF-8", "{\"__metadata__\":{\"k\":\"\xC0\xAF\"}}", 0, "not valid JSON",
      "{\"__metadata__\":{\"k\":\"\xC3\xA9\"}}", 0 },
    { "no surrogates", "{\"__metadata__\":{\"k\":\"\xED\xA0\x80\"}}", 0, "not valid JSON",
      "{\"__metadata__\":{\"k\":\"\xE2\x82\xAC\"}}", 0 },
    { "metadata is an object", "{\"__metadata__\":[]}", 0, "__metadata__", "{\"__metadata__\":{}}", 0 },
    { "metadata or null", "{\"__metadata__\":false}", 0, "__metadata__", "{\"__metadata__\":null}", 0 },
    { "metadata of strings", "{\"__metadata__\":{\"k\":1}}", 0, "__metadata__", "{\"__metadata__\":{\"k\":\"1\"}}", 0 },
    { "an entry is an object", "{\"a\":[\"F32\",[2],[0,8]]}", 8, "found an array", F32_2, 8 },
    { "dtype is there", ENTRY("\"shape\":[2],\"data_offsets\":[0,8]"), 8, "too many or too few", F32_2, 8 },
    { "shape is there", ENTRY("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), 8, "too many or too few", F32_2, 8 },
    { "offsets are there", ENTRY("\"dtype\":\"F32\",\"shape\":[2]"), 8, "too many or too few", F32_2, 8 },
    { "no other field", ENTRY("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1"), 8,
      "too many or too few", F32_2, 8 },
    { "dtype is a string", ENTRY("\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]"), 8, "dtype", F32_2, 8 },
    { "a known dtype", ENTRY("\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "not one of safetensors'",
      F32_2, 8 },
    { "a supported dtype", ENTRY("\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]"), 8,
      "F8_E4M3 is not supported", ENTRY("\"dtype\":\"BOOL\",\"shape\":[8],\"data_offsets\":[0,8]"), 8 },
    { "shape is an array", ENTRY("\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]"), 8, "shape", F32_2, 8 },
    { "sizes are integers", ENTRY("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), 8, "shape", F32_2, 8 },
    { "sizes have no exponent", ENTRY("\"dtype\":\"F32\",\"shape\":[2e0],\"data_offsets\":[0,8]"), 8, "shape", F32_2,
      8 },
    { "sizes are not negative", ENTRY("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), 8, "shape", F32_2,
      8 },
    { "sizes fit 64 bits", ENTRY("\"dtype\":\"F32\",\"shape\":[18446744073709551618],\"data_offsets\":[0,8]"), 8,
      "not valid JSON", F32_2, 8 },
    { "at most 8 dimensions", ENTRY("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]"), 8,
      "9 dimensions", ENTRY("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]"), 8 },
    { "the product fits", ENTRY("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0,
      "too large", ENTRY("\"dtype\":\"F32\",\"shape\":[4294967296,0],\"data_offsets\":[0,0]"), 0 },
    { "the bytes fit", ENTRY("\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]"), 0,
      "too large", "{}", 0 },
    { "a zero hides no overflow", ENTRY("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]"),
      0, "too large", ENTRY("\"dtype\":\"F32\",\"shape\":[4294967296,1,0],\"data_offsets\":[0,0]"), 0 },
    { "offsets are two", ENTRY("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]"), 8, "data_offsets", F32_2,
      8 },
    { "offsets are integers", ENTRY("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]"), 8, "data_offsets",
      F32_2, 8 },
    { "offsets are in order", ENTRY("\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,0]"), 8, "data_offsets",
      ENTRY("\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]"), 0 },
    { "offsets are not negative", ENTRY("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]"), 8, "data_offsets",
      F32_2, 8 },
    { "offsets span the shape", ENTRY("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), 8,
      "found 8, expected 12", F32_2, 8 },
    { "the first begins at 0", ENTRY("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8, "hole", F32_2, 8 },
    { "no hole",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
      "offsets\":[3,5]}}",
      5, "hole (key b",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
      "offsets\":[2,4]}}",
      4 },
    { "no overlap",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
      "offsets\":[1,3]}}",
      3, "overlaps",
      "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
      "offsets\":[0,2]}}",
      4 },
    { "no sharing",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
      "offsets\":[0,2]}}",
      2, "overlaps",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
      "offsets\":[0,2]}}",
      2 },
    { "no tensor twice",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],"
      "\"data_offsets\":[0,0]}}",
      0, "duplicate",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"\\u0062\":{\"dtype\":\"U8\",\"shape\":[0],"
      "\"data_offsets\":[0,0]}}",
      0 },
    { "no field twice", ENTRY("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 8,
      "duplicate", F32_2, 8 },
    { "no metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate", "{\"__metadata__\":{}}", 0 },
    { "all data is there", F32_2, 7, "incomplete", F32_2, 8 },
    { "nothing follows", F32_2, 9, "bytes follow", F32_2, 8 },
    { "names are printable", "{\"a\\u001b[2J\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "U+001B",
      "{\"a\\u00e9\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0 },
    { "names hold no NUL", "{\"a\\u0000\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
      "not valid JSON", "{}", 0 },
};

static void each_rule_refuses_its_breach_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const twins *t = &cases[i];

        if (open_header(t->bad, t->bad_data) == LORAC_OK)
            fail_msg("\"%s\" is not checked", t->rule);
        assert_refused(open_header(t->bad, t->bad_data), t->words);
        if (open_header(t->good, t->good_data) != LORAC_OK)
            fail_msg("\"%s\" refuses too much: %s", t->rule, lorac_last_error()->message);
    }
}

static void a_header_must_fit_its_file(void **state)
{
    safetensors s;

    (void)state;
    test_write(path, "\2\0\0\0\0\0\0", 7);
    assert_refused(safetensors_open(&s, path), "7 bytes");
    test_write(path, "", 0);
    assert_refused(safetensors_open(&s, path), "0 bytes");
    make_file(3, slice_of("{}"), 0);
    assert_refused(safetensors_open(&s, path), "past the end");
    make_file(100000001, slice_of("{}"), 0);
    assert_refused(safetensors_open(&s, path), "too large");
    make_file(UINT64_MAX, slice_of("{}"), 0);
    assert_refused(safetensors_open(&s, path), "too large");
    make_file(UINT64_MAX - 7, slice_of("{}"), 0);
    assert_refused(safetensors_open(&s, path), "too large");
    make_file(0, slice_of(""), 0);
    assert_refused(safetensors_open(&s, path), "not a JSON object");
    make_file(4, (slice){ "{}\0\0", 4 }, 0);
    assert_refused(safetensors_open(&s, path), "NUL byte at byte 10");
    make_file(2, slice_of("{}"), 0);
    assert_ok(safetensors_open(&s, path));
    assert_int_equal(s.count, 0);
    safetensors_close(&s);
}

static void nesting_and_long_names_are_bounded(void **state)
{
    buf b = { 0 };

    (void)state;
    buf_text(&b, "{\"a\":");
    for (int i = 0; i < 100000; i++)
        buf_char(&b, '[');
    assert_refused(open_header(b.p, 0), "nested");
    buf_clear(&b);
    buf_text(&b, "{\"");
    for (int i = 0; i < 4097; i++)
        buf_char(&b, 'n');
    buf_text(&b, "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    assert_refused(open_header(b.p, 0), "4097 bytes");
    memmove(b.p + 2, b.p + 3, b.n - 2);
    assert_ok(open_header(b.p, 0));
    buf_free(&b);
}

static void missing_files_are_named(void **state)
{
    safetensors s;

    (void)state;
    unlink(path);
    assert_refused(safetensors_open(&s, path), "x.safetensors");
    assert_int_equal(safetensors_open(&s, folder), LORAC_ERROR_DATA);
}

static void tensors_come_out_in_file_order(void **state)
{
    static const char header[] = "{\"late\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[3,7]},"
                                 "\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"scalar\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[0,1]},"
                                 "\"empty\":{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[1,1]},"
                                 "\"middle\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}";
    static const char *const order[] = { "scalar", "empty", "middle", "late" };
    safetensors s;

    (void)state;
    make_file(strlen(header), slice_of(header), 7);
    assert_ok(safetensors_open(&s, path));
    assert_int_equal(s.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(s.names[i], order[i]);
        assert_ptr_equal(safetensors_find(&s, order[i]), &s.tensors[i]);
    }
    assert_null(safetensors_find(&s, "late2"));
    assert_null(safetensors_find(&s, "__metadata__"));
    assert_true(slice_is(s.metadata, "{\"format\":\"pt\"}"));
    assert_int_equal(s.tensors[0].ndim, 0);
    assert_int_equal(s.tensors[3].type, DT_F16);
    assert_int_equal(s.tensors[3].ndim, 2);
    assert_int_equal(s.tensors[3].dim[1], 2);
    assert_memory_equal(s.tensors[3].data, "\3\4\5\6", 4);
    assert_memory_equal(s.tensors[2].data, "\1\2", 2);
    safetensors_close(&s);
}

/* ---- Writing */

static void what_is_written_is_read_back(void **state)
{
    static const float values[6] = { 1, -2, 3.5f, 0, 1e-30f, 6 };
    static const uint8_t bytes[3] = { 7, 8, 9 };
    static const int64_t dim[2] = { 2, 3 }, three = 3, zero = 0;
    safetensors_writer *w;
    safetensors s;
    uint64_t length;

    (void)state;
    assert_ok(safetensors_begin(&w, path));
    assert_ok(safetensors_declare(w, "q\"uoted\xC3\xA9", DT_U8, 1, &three));
    assert_ok(safetensors_declare(w, "none", DT_F32, 1, &zero));
    assert_ok(safetensors_declare(w, "matrix", DT_F32, 2, dim));
    assert_ok(safetensors_data(w, bytes, 3));
    assert_ok(safetensors_data(w, values, 5));
    assert_ok(safetensors_data(w, (const char *)values + 5, sizeof values - 5));
    assert_ok(safetensors_finish(w));
    assert_ok(safetensors_open(&s, path));
    memcpy(&length, s.file.p, sizeof length);
    assert_int_equal(length % 8, 0);
    assert_int_equal(s.file.p[8], '{');
    assert_string_equal(s.names[0], "q\"uoted\xC3\xA9");
    assert_string_equal(s.names[2], "matrix");
    assert_memory_equal(s.tensors[2].data, values, sizeof values);
    assert_memory_equal(s.tensors[0].data, bytes, sizeof bytes);
    assert_true(slice_is(s.metadata, "{\"format\":\"pt\"}"));
    safetensors_close(&s);
}

static void abandoned_files_leave_the_old_one(void **state)
{
    static const int64_t one = 1;
    static const char *const name = "a";
    float value = 4;
    tensor t = { .type = DT_F32, .ndim = 1, .dim = { 1 }, .data = &value };
    safetensors_writer *w;
    safetensors s;

    (void)state;
    assert_ok(safetensors_save(path, &name, &t, 1));
    assert_ok(safetensors_begin(&w, path));
    assert_ok(safetensors_declare(w, "b", DT_F32, 1, &one));
    assert_ok(safetensors_data(w, &value, 2));
    safetensors_abandon(w);
    safetensors_abandon(NULL);
    assert_ok(safetensors_open(&s, path));
    assert_non_null(safetensors_find(&s, "a"));
    safetensors_close(&s);
}

static void block_formats_cannot_be_declared(void **state)
{
    static const int64_t dim = 32;
    safetensors_writer *w;

    (void)state;
    assert_ok(safetensors_begin(&w, path));
    assert_int_equal(safetensors_declare(w, "a", DT_Q8_0, 1, &dim), LORAC_ERROR_USAGE);
    assert_ok(safetensors_declare(w, "a", DT_BF16, 1, &dim));
    safetensors_abandon(w);
}

/* Every allocation in turn fails: an error, nothing leaks, nothing is left half made. */
static void running_out_of_memory_is_an_error(void **state)
{
    safetensors s;
    long allocations;

    (void)state;
    make_file(strlen(F32_2), slice_of(F32_2), 8);
    mem_fail_at(0);
    assert_ok(safetensors_open(&s, path));
    safetensors_close(&s);
    allocations = mem_count();
    assert_true(allocations > 0);
    for (long n = 1; n <= allocations; n++) {
        mem_fail_at(n);
        assert_int_equal(safetensors_open(&s, path), LORAC_ERROR_RUNTIME);
        mem_fail_at(0);
    }
}

/* Every truncation of a good file, and every flipped bit of its header, is refused or read in bounds. */
static void damage_never_reads_out_of_bounds(void **state)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"b\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]}}";
    safetensors s;
    buf whole = { 0 };

    (void)state;
    make_file(strlen(header), slice_of(header), 9);
    assert_ok(file_read(&whole, path, 1 << 20));
    for (size_t n = 0; n < whole.n; n++) {
        test_write(path, whole.p, n);
        assert_int_equal(safetensors_open(&s, path), LORAC_ERROR_DATA);
    }
    for (size_t bit = 0; bit < 8 * (whole.n - 9); bit++) {
        whole.p[bit / 8] ^= (char)(1 << bit % 8);
        test_write(path, whole.p, whole.n);
        if (safetensors_open(&s, path) == LORAC_OK) {
            for (size_t i = 0; i < s.count; i++)
                assert_true((const uint8_t *)s.tensors[i].data + tensor_bytes(&s.tensors[i]) <= s.file.p + s.file.n);
            safetensors_close(&s);
        }
        whole.p[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_refuses_its_breach_alone), cmocka_unit_test(a_header_must_fit_its_file),
        cmocka_unit_test(nesting_and_long_names_are_bounded), cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(tensors_come_out_in_file_order),     cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(abandoned_files_leave_the_old_one),  cmocka_unit_test(block_formats_cannot_be_declared),
        cmocka_unit_test(running_out_of_memory_is_an_error),  cmocka_unit_test(damage_never_reads_out_of_bounds),
    };

    return cmocka_run_group_tests_name("safetensors", tests, make_folder, remove_folder);
}
