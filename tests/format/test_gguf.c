/* GGUF files: what the format allows opens, and each thing it forbids is refused with a sentence about that very thing.
 * The malformed files are made from one well-formed recipe with one ingredient changed; the recipe itself must open. */
#include "test.h"

#include "err.h"
#include "gguf.h"
#include "mem.h"

#include <time.h>

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

/* One key, an alignment, two tensors. */
typedef struct recipe {
    const char *magic;
    uint32_t version;
    uint64_t tensor_count, value_count;
    slice key;
    uint64_t key_length;
    uint32_t value_type;
    slice value;
    const char *second_key;
    uint32_t alignment_type;
    uint64_t alignment;
    slice name;
    uint32_t ndim;
    uint64_t dim[5];
    uint32_t type;
    uint64_t offset;
    const char *second_name;
    uint64_t second_offset;
    size_t padding, data;
} recipe;

static recipe standard(void)
{
    return (recipe){ .magic = "GGUF",
                     .version = 3,
                     .tensor_count = 2,
                     .value_count = 2,
                     .key = slice_of("a.key"),
                     .key_length = 5,
                     .value_type = GGUF_U32,
                     .value = { "\7\0\0\0", 4 },
                     .second_key = "general.alignment",
                     .alignment_type = GGUF_U32,
                     .alignment = 32,
                     .name = slice_of("first"),
                     .ndim = 2,
                     .dim = { 2, 3 },
                     .type = 0,
                     .second_name = "second",
                     .second_offset = 32,
                     .padding = 32,
                     .data = 36 };
}

static void add_u32(buf *b, uint32_t v)
{
    buf_add(b, (const char *)&v, sizeof v);
}

static void add_u64(buf *b, uint64_t v)
{
    buf_add(b, (const char *)&v, sizeof v);
}

static void add_string(buf *b, slice s)
{
    add_u64(b, s.n);
    buf_slice(b, s);
}

static void build(buf *b, const recipe *r)
{
    buf_text(b, r->magic);
    add_u32(b, r->version);
    add_u64(b, r->tensor_count);
    add_u64(b, r->value_count);
    add_u64(b, r->key_length);
    buf_slice(b, r->key);
    add_u32(b, r->value_type);
    buf_slice(b, r->value);
    add_string(b, slice_of(r->second_key));
    add_u32(b, r->alignment_type);
    buf_add(b, (const char *)&r->alignment, gguf_scalar_bytes((gguf_type)r->alignment_type));
    add_string(b, r->name);
    add_u32(b, r->ndim);
    for (uint32_t i = 0; i < r->ndim && i < 5; i++)
        add_u64(b, r->dim[i]);
    add_u32(b, r->type);
    add_u64(b, r->offset);
    add_string(b, slice_of(r->second_name));
    add_u32(b, 1);
    add_u64(b, 1);
    add_u32(b, 0);
    add_u64(b, r->second_offset);
    while (b->n % r->padding != 0)
        buf_char(b, 0);
    for (size_t i = 0; i < r->data; i++)
        buf_char(b, (char)i);
}

static int open_recipe(const recipe *r, gguf *g)
{
    buf b = { 0 };

    build(&b, r);
    test_write(path, b.p, b.n);
    buf_free(&b);
    return gguf_open(g, path);
}

static void assert_opens(const recipe *r)
{
    gguf g;

    if (open_recipe(r, &g) != LORAC_OK)
        fail_msg("refused: %s", lorac_last_error()->message);
    gguf_close(&g);
}

static void assert_refused(const recipe *r, const char *words)
{
    gguf g;

    if (open_recipe(r, &g) == LORAC_OK)
        fail_msg("opened, though it should say \"%s\"", words);
    assert_int_equal(lorac_last_error()->status, LORAC_ERROR_DATA);
    assert_string_equal(lorac_last_error()->file, path);
    assert_contains(lorac_last_error()->message, words);
}

#define REFUSED(words, ...)        \
    do {                           \
        recipe r = standard();     \
        __VA_ARGS__;               \
        assert_refused(&r, words); \
    } while (0)
#define OPENS(...)             \
    do {                       \
        recipe r = standard(); \
        __VA_ARGS__;           \
        assert_opens(&r);      \
    } while (0)

#define BYTES(text) ((slice){ text, sizeof(text) - 1 })

static void the_standard_file_is_read(void **state)
{
    recipe r = standard();
    gguf g;
    int64_t number = 0;

    (void)state;
    assert_ok(open_recipe(&r, &g));
    assert_int_equal(g.version, 3);
    assert_int_equal(g.tensor_count, 2);
    assert_string_equal(g.names[0], "first");
    assert_int_equal(g.tensors[0].ndim, 2);
    assert_int_equal(g.tensors[0].dim[0], 3); /* slowest first */
    assert_int_equal(g.tensors[0].dim[1], 2);
    assert_int_equal(((const uint8_t *)g.tensors[0].data)[0], 0);
    assert_int_equal(((const uint8_t *)gguf_tensor(&g, "second")->data)[3], 35);
    assert_null(gguf_tensor(&g, "third"));
    assert_ok(gguf_take_int(&g, "a.key", 0, 100, &number));
    assert_int_equal(number, 7);
    gguf_close(&g);
}

static void the_header_is_checked(void **state)
{
    (void)state;
    REFUSED("not a GGUF file", r.magic = "GGML");
    REFUSED("version is 1", r.version = 1);
    REFUSED("version is 4", r.version = 4);
    REFUSED("big-endian", r.version = 3u << 24);
    OPENS(r.version = 2);
    REFUSED("tensors, more than", r.tensor_count = UINT64_MAX);
    REFUSED("tensors, more than", r.tensor_count = UINT64_MAX / 25);
    REFUSED("tensors, more than", r.tensor_count = 20);
    REFUSED("a tensor's name has 0 bytes", r.tensor_count = 3);
    REFUSED("keys, more than", r.value_count = UINT64_MAX);
    REFUSED("keys, more than", r.value_count = 1u << 31);
    REFUSED("keys, more than", r.value_count = 20);
}

static void keys_are_checked(void **state)
{
    (void)state;
    REFUSED("0 bytes", r.key = BYTES(""), r.key_length = 0);
    REFUSED("the file ends inside", r.key_length = 1000);
    REFUSED("the length of a key", r.key_length = UINT64_MAX);
    REFUSED("the length of a key", r.key_length = UINT64_MAX - 7);
    REFUSED("control character", r.key = BYTES("a.k\0y"));
    REFUSED("control character", r.key = BYTES("a\33key"));
    REFUSED("not UTF-8", r.key = BYTES("a.k\xC0y"));
    OPENS(r.key = BYTES("a.k\xC3\xA9"));
    REFUSED("comes twice", r.second_key = "a.key");
}

static void long_keys_are_refused(void **state)
{
    char text[65536];

    (void)state;
    memset(text, 'k', sizeof text);
    REFUSED("65536 bytes", r.key = (slice){ text, 65536 }, r.key_length = 65536);
    OPENS(r.key = (slice){ text, 65535 }, r.key_length = 65535);
}

static void values_are_checked(void **state)
{
    (void)state;
    REFUSED("number 13", r.value_type = 13);
    REFUSED("number 4294967295", r.value_type = UINT32_MAX);
    REFUSED("value 2", r.value_type = GGUF_BOOL, r.value = BYTES("\2"));
    OPENS(r.value_type = GGUF_BOOL, r.value = BYTES("\1"));
    REFUSED("the length of a string", r.value_type = GGUF_STRING, r.value = BYTES("\377\377\377\377\377\377\377\377"));
    REFUSED("the file ends inside a string", r.value_type = GGUF_STRING, r.value = BYTES("\0\0\1\0\0\0\0\0"));
    REFUSED("the length of a string", r.value_type = GGUF_STRING, r.value = BYTES("\1\0\0\1\0\0\0\0"));
    OPENS(r.value_type = GGUF_STRING, r.value = BYTES("\3\0\0\0\0\0\0\0abc"));
    OPENS(r.value_type = GGUF_STRING, r.value = BYTES("\0\0\0\0\0\0\0\0"));
}

#define ARRAY(type, count, content) r.value_type = GGUF_ARRAY, r.value = BYTES(type "\0\0\0" count content)

static void arrays_are_checked(void **state)
{
    (void)state;
    REFUSED("array of arrays", ARRAY("\11", "\1\0\0\0\0\0\0\0", "\4\0\0\0\0\0\0\0\0\0\0\0"));
    REFUSED("number 13", ARRAY("\15", "\0\0\0\0\0\0\0\0", ""));
    REFUSED("the file ends inside an array", ARRAY("\4", "\377\377\377\0\0\0\0\0", ""));
    REFUSED("more than any file", ARRAY("\4", "\0\0\0\0\0\0\0\100", ""));
    REFUSED("more than any file", ARRAY("\12", "\1\0\0\0\0\0\0\40", ""));
    REFUSED("strings, more than", ARRAY("\10", "\377\377\377\377\377\377\377\377", ""));
    REFUSED("strings, more than", ARRAY("\10", "\0\1\0\0\0\0\0\0", ""));
    REFUSED("the file ends inside a string of an array", ARRAY("\10", "\1\0\0\0\0\0\0\0", "\0\20\0\0\0\0\0\0"));
    REFUSED("value 7", ARRAY("\7", "\3\0\0\0\0\0\0\0", "\0\1\7"));
    OPENS(ARRAY("\7", "\3\0\0\0\0\0\0\0", "\0\1\0"));
    OPENS(ARRAY("\4", "\0\0\0\0\0\0\0\0", ""));
    OPENS(ARRAY("\10", "\0\0\0\0\0\0\0\0", ""));
}

static void string_arrays_have_their_starts(void **state)
{
    recipe r = standard();
    const gguf_value *v;
    gguf g;

    (void)state;
    ARRAY("\10", "\3\0\0\0\0\0\0\0", "\2\0\0\0\0\0\0\0ab\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0c");
    assert_ok(open_recipe(&r, &g));
    v = gguf_find(&g, "a.key");
    assert_int_equal(v->count, 3);
    assert_true(slice_is(gguf_string(v, 0), "ab"));
    assert_true(slice_is(gguf_string(v, 1), ""));
    assert_true(slice_is(gguf_string(v, 2), "c"));
    assert_int_equal(gguf_value_bytes(v), 27);
    gguf_close(&g);
}

static void the_alignment_is_checked(void **state)
{
    (void)state;
    REFUSED("alignment is 48", r.alignment = 48);
    REFUSED("found 0", r.alignment = 0);
    REFUSED("found 4", r.alignment = 4);
    REFUSED("found 131072", r.alignment = 131072);
    REFUSED("wrong type", r.alignment_type = GGUF_F32);
    OPENS(r.alignment = r.padding = 8, r.second_offset = 24, r.data = 28);
    OPENS(r.alignment_type = GGUF_U64);
    OPENS(r.second_key = "b.key", r.alignment = 48);
}

static void tensors_are_checked(void **state)
{
    (void)state;
    REFUSED("comes twice", r.second_name = "first");
    REFUSED("0 bytes", r.name = BYTES(""));
    REFUSED("64 bytes", r.name = BYTES("0123456789012345678901234567890123456789012345678901234567890123"));
    OPENS(r.name = BYTES("012345678901234567890123456789012345678901234567890123456789012"));
    REFUSED("control character", r.name = BYTES("fir\0st"));
    REFUSED("5 dimensions", r.ndim = 5);
    REFUSED("dimensions", r.ndim = UINT32_MAX);
    OPENS(r.ndim = 4, r.dim[2] = r.dim[3] = 1);
    OPENS(r.ndim = 0);
    REFUSED("size 0", r.dim[1] = 0);
    REFUSED("size -1", r.dim[1] = UINT64_MAX);
    REFUSED("too large", r.dim[0] = r.dim[1] = UINT64_C(1) << 32);
    REFUSED("too large", r.dim[0] = INT64_MAX);
    REFUSED("too large", r.ndim = 4, r.dim[0] = r.dim[1] = UINT64_C(1) << 32, r.dim[2] = r.dim[3] = 1);
    REFUSED("number 4 is not known", r.type = 4);
    REFUSED("number 99 is not known", r.type = 99);
    REFUSED("IQ2_XS is not supported", r.type = 17);
    REFUSED("MXFP4 is not supported", r.type = 39);
    REFUSED("blocks", r.type = 8);
    REFUSED("offset 4", r.offset = 4);
    REFUSED("offset 24", r.second_offset = 24);
    REFUSED("offset 0", r.second_offset = 0);
    REFUSED("offset 64", r.second_offset = 64, r.data = 68);
    REFUSED("data is incomplete", r.data = 35);
    REFUSED("data is incomplete", r.data = 0);
    REFUSED("bytes follow", r.data = 65);
    OPENS(r.data = 64);
}

/* Three tensors of 2^63 - 1 bytes: each can be said in 64 bits, their sum cannot. */
static void sums_of_sizes_are_checked(void **state)
{
    buf b = { 0 };
    gguf g;

    (void)state;
    buf_text(&b, "GGUF");
    add_u32(&b, 3);
    add_u64(&b, 3);
    add_u64(&b, 0);
    for (uint64_t i = 0; i < 3; i++) {
        add_string(&b, (slice){ &"abc"[i], 1 });
        add_u32(&b, 1);
        add_u64(&b, INT64_MAX);
        add_u32(&b, 24);
        add_u64(&b, i << 63);
    }
    test_write(path, b.p, b.n);
    assert_int_equal(gguf_open(&g, path), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "add up to too much (key c)");
    buf_free(&b);
}

static void block_types_are_measured_in_blocks(void **state)
{
    recipe r = standard();
    gguf g;

    (void)state;
    r.type = 3; /* Q4_1 */
    r.dim[0] = 64;
    r.second_offset = 128;
    r.data = 132;
    assert_ok(open_recipe(&r, &g));
    assert_int_equal(g.tensors[0].type, DT_Q4_1);
    assert_int_equal(tensor_bytes(&g.tensors[0]), 3 * 2 * 20);
    gguf_close(&g);
}

static void vocabularies_alone_have_no_tensors(void **state)
{
    buf b = { 0 };
    gguf g;

    (void)state;
    buf_text(&b, "GGUF");
    add_u32(&b, 3);
    add_u64(&b, 0);
    add_u64(&b, 1);
    add_string(&b, slice_of("k"));
    add_u32(&b, GGUF_U8);
    buf_char(&b, 9);
    test_write(path, b.p, b.n);
    assert_ok(gguf_open(&g, path));
    assert_int_equal(g.tensor_count, 0);
    gguf_close(&g);
    while (b.n < 64)
        buf_char(&b, 0);
    test_write(path, b.p, b.n);
    assert_ok(gguf_open(&g, path));
    gguf_close(&g);
    buf_char(&b, 0);
    test_write(path, b.p, b.n);
    assert_int_equal(gguf_open(&g, path), LORAC_ERROR_DATA);
    buf_free(&b);
}

/* ---- Getters */

static void getters_check_types_and_ranges(void **state)
{
    recipe r = standard();
    int64_t number = -5;
    double fraction = -5;
    bool truth = true;
    slice text = slice_of("before");
    gguf g;

    (void)state;
    r.value_type = GGUF_F32;
    r.value = BYTES("\0\0\300\177"); /* NaN */
    assert_ok(open_recipe(&r, &g));
    assert_int_equal(gguf_take_real(&g, "a.key", &fraction), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "a.key");
    assert_int_equal(gguf_take_int(&g, "a.key", 0, 9, &number), LORAC_ERROR_DATA);
    assert_int_equal(gguf_take_bool(&g, "a.key", &truth), LORAC_ERROR_DATA);
    assert_int_equal(gguf_take_text(&g, "a.key", &text), LORAC_ERROR_DATA);
    assert_int_equal(gguf_take_int(&g, "general.alignment", 33, 64, &number), LORAC_ERROR_DATA);
    assert_int_equal(gguf_take_int(&g, "general.alignment", 0, 31, &number), LORAC_ERROR_DATA);
    assert_int_equal(gguf_take_real(&g, "general.alignment", &fraction), LORAC_ERROR_DATA);
    assert_ok(gguf_take_int(&g, "none", 0, 0, &number));
    assert_ok(gguf_take_real(&g, "none", &fraction));
    assert_ok(gguf_take_bool(&g, "none", &truth));
    assert_ok(gguf_take_text(&g, "none", &text));
    assert_int_equal(number, -5);
    assert_true(fraction == -5 && truth && slice_is(text, "before"));
    assert_ok(gguf_take_int(&g, "general.alignment", 32, 32, &number));
    assert_int_equal(number, 32);
    gguf_close(&g);
}

static void every_integer_type_is_read(void **state)
{
    static const struct {
        uint32_t type;
        slice bytes;
        int64_t value;
    } cases[] = {
        { GGUF_U8, BYTES("\377"), 255 },
        { GGUF_I8, BYTES("\377"), -1 },
        { GGUF_U16, BYTES("\377\377"), 65535 },
        { GGUF_I16, BYTES("\376\377"), -2 },
        { GGUF_U32, BYTES("\377\377\377\377"), 4294967295 },
        { GGUF_I32, BYTES("\375\377\377\377"), -3 },
        { GGUF_U64, BYTES("\1\0\0\0\0\0\0\0"), 1 },
        { GGUF_I64, BYTES("\374\377\377\377\377\377\377\377"), -4 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        recipe r = standard();
        int64_t number = 0;
        gguf g;

        r.value_type = cases[i].type;
        r.value = cases[i].bytes;
        assert_ok(open_recipe(&r, &g));
        assert_ok(gguf_take_int(&g, "a.key", -10, UINT32_MAX, &number));
        assert_int_equal(number, cases[i].value);
        gguf_close(&g);
    }
}

static void huge_unsigned_numbers_are_out_of_range(void **state)
{
    recipe r = standard();
    int64_t number = 0;
    gguf g;

    (void)state;
    r.value_type = GGUF_U64;
    r.value = BYTES("\377\377\377\377\377\377\377\377");
    assert_ok(open_recipe(&r, &g));
    assert_int_equal(gguf_take_int(&g, "a.key", INT64_MIN, 1 << 20, &number), LORAC_ERROR_DATA);
    gguf_close(&g);
}

/* ---- Writing */

static void write_one_of_each(const char *to, const float *weights, const uint8_t *blocks)
{
    static const int64_t dim[2] = { 3, 5 }, quantised[2] = { 2, 32 };
    const slice words[] = { BYTES("one"), BYTES(""), BYTES("t\0o") };
    const int32_t ints[] = { -1, 2, 3 };
    const float floats[] = { 0.5f, -1 };
    gguf_writer *w;

    assert_ok(gguf_begin(&w, to));
    gguf_put_text(w, "general.architecture", slice_of("llama"));
    gguf_put_u32(w, "u32", 4000000000u);
    gguf_put_f32(w, "f32", 1e-5f);
    gguf_put_bool(w, "bool", true);
    gguf_put_text_array(w, "words", words, 3);
    gguf_put_i32_array(w, "ints", ints, 3);
    gguf_put_f32_array(w, "floats", floats, 2);
    assert_ok(gguf_declare(w, "dense", DT_F32, 2, dim));
    assert_ok(gguf_declare(w, "blocks", DT_Q8_0, 2, quantised));
    assert_ok(gguf_data(w, weights, 7));
    assert_ok(gguf_data(w, (const char *)weights + 7, 15 * 4 - 7));
    assert_ok(gguf_data(w, blocks, 68));
    assert_ok(gguf_finish(w));
}

static void what_is_written_is_read_back(void **state)
{
    float weights[15];
    uint8_t blocks[68];
    const gguf_value *v;
    int64_t number = 0;
    double fraction = 0;
    gguf g;

    (void)state;
    for (int i = 0; i < 15; i++)
        weights[i] = (float)i / 3;
    for (int i = 0; i < 68; i++)
        blocks[i] = (uint8_t)i;
    write_one_of_each(path, weights, blocks);
    assert_ok(gguf_open(&g, path));
    assert_int_equal(g.version, 3);
    assert_ok(gguf_take_int(&g, "u32", 0, UINT32_MAX, &number));
    assert_int_equal(number, 4000000000);
    assert_ok(gguf_take_real(&g, "f32", &fraction));
    assert_true(fraction == (double)1e-5f);
    v = gguf_find(&g, "words");
    assert_int_equal(gguf_string(v, 2).n, 3);
    assert_int_equal(gguf_int(gguf_find(&g, "ints"), 0), -1);
    assert_true(gguf_real(gguf_find(&g, "floats"), 1) == -1);
    assert_int_equal(gguf_tensor(&g, "dense")->dim[0], 3);
    assert_int_equal(gguf_tensor(&g, "dense")->dim[1], 5);
    assert_memory_equal(gguf_tensor(&g, "dense")->data, weights, sizeof weights);
    assert_memory_equal(gguf_tensor(&g, "blocks")->data, blocks, sizeof blocks);
    assert_int_equal((uintptr_t)gguf_tensor(&g, "blocks")->data % 32, 0);
    gguf_close(&g);
}

static void copied_keys_keep_their_bytes(void **state)
{
    static const int64_t one = 1;
    float weights[15] = { 0 };
    uint8_t blocks[68] = { 0 };
    char other[600];
    gguf_writer *w;
    gguf from, to;

    (void)state;
    write_one_of_each(path, weights, blocks);
    snprintf(other, sizeof other, "%s.copy", path);
    assert_ok(gguf_open(&from, path));
    assert_ok(gguf_begin(&w, other));
    for (size_t i = 0; i < from.value_count; i++)
        gguf_put_copy(w, &from.values[i]);
    gguf_put_copy(w, &(gguf_value){ .key = "general.alignment",
                                    .type = GGUF_U32,
                                    .element = GGUF_U32,
                                    .count = 1,
                                    .p = (const uint8_t *)"\100\0\0\0" });
    assert_ok(gguf_declare(w, "t", DT_F32, 1, &one));
    assert_ok(gguf_data(w, weights, 4));
    assert_ok(gguf_finish(w));
    assert_ok(gguf_open(&to, other));
    assert_int_equal(to.value_count, from.value_count);
    for (size_t i = 0; i < from.value_count; i++) {
        assert_string_equal(to.values[i].key, from.values[i].key);
        assert_int_equal(gguf_value_bytes(&to.values[i]), gguf_value_bytes(&from.values[i]));
        assert_memory_equal(to.values[i].p, from.values[i].p, gguf_value_bytes(&from.values[i]));
    }
    gguf_close(&from);
    gguf_close(&to);
}

static void what_gguf_cannot_hold_is_not_declared(void **state)
{
    static const int64_t dim[5] = { 1, 1, 1, 1, 1 }, odd = 33, zero = 0;
    gguf_writer *w;

    (void)state;
    assert_ok(gguf_begin(&w, path));
    assert_int_equal(gguf_declare(w, "a", DT_F32, 5, dim), LORAC_ERROR_DATA);
    assert_int_equal(gguf_declare(w, "a", DT_BOOL, 1, dim), LORAC_ERROR_DATA);
    assert_int_equal(gguf_declare(w, "a", DT_Q8_0, 1, &odd), LORAC_ERROR_DATA);
    assert_int_equal(gguf_declare(w, "a", DT_F32, 1, &zero), LORAC_ERROR_DATA);
    assert_int_equal(
        gguf_declare(w, "0123456789012345678901234567890123456789012345678901234567890123", DT_F32, 1, dim),
        LORAC_ERROR_DATA);
    assert_ok(gguf_declare(w, "a", DT_F32, 4, dim));
    gguf_abandon(w);
    gguf_abandon(NULL);
}

/* ---- Damage */

static void running_out_of_memory_is_an_error(void **state)
{
    recipe r = standard();
    long allocations;
    gguf g;

    (void)state;
    mem_fail_at(0);
    assert_ok(open_recipe(&r, &g));
    gguf_close(&g);
    mem_fail_at(0);
    assert_ok(gguf_open(&g, path));
    allocations = mem_count();
    gguf_close(&g);
    assert_true(allocations > 0);
    for (long n = 1; n <= allocations; n++) {
        mem_fail_at(n);
        assert_int_equal(gguf_open(&g, path), LORAC_ERROR_RUNTIME);
        mem_fail_at(0);
    }
}

static void damage_never_reads_out_of_bounds(void **state)
{
    recipe r = standard();
    buf whole = { 0 };
    gguf g;

    (void)state;
    ARRAY("\10", "\2\0\0\0\0\0\0\0", "\2\0\0\0\0\0\0\0ab\0\0\0\0\0\0\0\0");
    build(&whole, &r);
    for (size_t n = 0; n < whole.n; n++) {
        test_write(path, whole.p, n);
        assert_int_equal(gguf_open(&g, path), LORAC_ERROR_DATA);
    }
    for (size_t bit = 0; bit < 8 * (whole.n - r.data); bit++) {
        whole.p[bit / 8] ^= (char)(1 << bit % 8);
        test_write(path, whole.p, whole.n);
        if (gguf_open(&g, path) == LORAC_OK) {
            for (size_t i = 0; i < g.tensor_count; i++)
                assert_true((const uint8_t *)g.tensors[i].data + tensor_bytes(&g.tensors[i]) <= g.file.p + g.file.n);
            gguf_close(&g);
        }
        whole.p[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_free(&whole);
}

/* A vocabulary of SmolLM2's size: what is checked once a string must not be checked once a pair of strings. */
static void large_vocabularies_open_at_once(void **state)
{
    enum { TOKENS = 200000 };
    slice *words = mem_new(TOKENS, sizeof *words);
    gguf_writer *w;
    struct timespec begin, end;
    gguf g;

    (void)state;
    for (size_t i = 0; i < TOKENS; i++)
        words[i] = slice_of("token");
    assert_ok(gguf_begin(&w, path));
    gguf_put_text_array(w, "tokens", words, TOKENS);
    assert_ok(gguf_finish(w));
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_ok(gguf_open(&g, path));
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(slice_is(gguf_string(gguf_find(&g, "tokens"), TOKENS - 1), "token"));
    assert_true(end.tv_sec - begin.tv_sec < 2); /* a few milliseconds; minutes if it were quadratic */
    gguf_close(&g);
    mem_free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standard_file_is_read),
        cmocka_unit_test(the_header_is_checked),
        cmocka_unit_test(keys_are_checked),
        cmocka_unit_test(long_keys_are_refused),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(arrays_are_checked),
        cmocka_unit_test(string_arrays_have_their_starts),
        cmocka_unit_test(the_alignment_is_checked),
        cmocka_unit_test(tensors_are_checked),
        cmocka_unit_test(sums_of_sizes_are_checked),
        cmocka_unit_test(block_types_are_measured_in_blocks),
        cmocka_unit_test(vocabularies_alone_have_no_tensors),
        cmocka_unit_test(getters_check_types_and_ranges),
        cmocka_unit_test(every_integer_type_is_read),
        cmocka_unit_test(huge_unsigned_numbers_are_out_of_range),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(copied_keys_keep_their_bytes),
        cmocka_unit_test(what_gguf_cannot_hold_is_not_declared),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(damage_never_reads_out_of_bounds),
        cmocka_unit_test(large_vocabularies_open_at_once),
    };

    return cmocka_run_group_tests_name("gguf", tests, make_folder, remove_folder);
}
