/* gguf.c: opening a .gguf file. Invariant: every size is compared with the bytes that are left before it is used, and a
 * product or a sum of sizes is computed once, checked, and that very value used from then on; so nothing past gguf_open
 * needs to look at the file's end again. Knows the container alone: what keys and tensors mean is the model's business.
 */
#include "gguf.h"

#include "err.h"

#include <stdio.h>
#include <string.h>

enum {
    KEY_LIMIT = 65535, /* bytes, from the specification */
    NAME_LIMIT = 63,   /* ggml's names are 64 bytes with their NUL */
    DIMS_LIMIT = 4,
    TEXT_LIMIT = 16 << 20,
    VALUES_LIMIT = 1 << 16, /* models have dozens */
    TENSORS_LIMIT = 1 << 20,
    LEAST_VALUE = 14,  /* bytes: key length, one character, type, one byte */
    LEAST_TENSOR = 25, /* bytes: name length, one character, dimensions, type, offset */
    LEAST_ALIGNMENT = 8,
    MOST_ALIGNMENT = 1 << 16,
    DEFAULT_ALIGNMENT = 32
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and are used as they are mapped");

typedef struct cursor {
    const char *path;
    const uint8_t *p;
    uint64_t n, at; /* at <= n */
} cursor;

enum { NOT_DECODED = -1 };

typedef struct ggml_type {
    uint32_t number;
    const char *name;
    int type;
} ggml_type;

/* Numbers that are missing ggml gave up. */
static const ggml_type ggml_types[] = {
    { 0, "F32", DT_F32 },
    { 1, "F16", DT_F16 },
    { 2, "Q4_0", DT_Q4_0 },
    { 3, "Q4_1", DT_Q4_1 },
    { 6, "Q5_0", DT_Q5_0 },
    { 7, "Q5_1", DT_Q5_1 },
    { 8, "Q8_0", DT_Q8_0 },
    { 9, "Q8_1", NOT_DECODED },
    { 10, "Q2_K", DT_Q2_K },
    { 11, "Q3_K", DT_Q3_K },
    { 12, "Q4_K", DT_Q4_K },
    { 13, "Q5_K", DT_Q5_K },
    { 14, "Q6_K", DT_Q6_K },
    { 15, "Q8_K", NOT_DECODED },
    { 16, "IQ2_XXS", NOT_DECODED },
    { 17, "IQ2_XS", NOT_DECODED },
    { 18, "IQ3_XXS", NOT_DECODED },
    { 19, "IQ1_S", NOT_DECODED },
    { 20, "IQ4_NL", NOT_DECODED },
    { 21, "IQ3_S", NOT_DECODED },
    { 22, "IQ2_S", NOT_DECODED },
    { 23, "IQ4_XS", NOT_DECODED },
    { 24, "I8", DT_I8 },
    { 25, "I16", DT_I16 },
    { 26, "I32", DT_I32 },
    { 27, "I64", DT_I64 },
    { 28, "F64", DT_F64 },
    { 29, "IQ1_M", NOT_DECODED },
    { 30, "BF16", DT_BF16 },
    { 34, "TQ1_0", NOT_DECODED },
    { 35, "TQ2_0", NOT_DECODED },
    { 39, "MXFP4", NOT_DECODED },
    { 40, "NVFP4", NOT_DECODED },
};
enum { GGML_TYPES = sizeof ggml_types / sizeof ggml_types[0] };

static const ggml_type *find_type(uint32_t number)
{
    for (int i = 0; i < GGML_TYPES; i++) {
        if (ggml_types[i].number == number)
            return &ggml_types[i];
    }
    return NULL;
}

int gguf_type_number(dtype type)
{
    for (int i = 0; i < GGML_TYPES; i++) {
        if (ggml_types[i].type == (int)type)
            return (int)ggml_types[i].number;
    }
    return -1;
}

static int take(cursor *c, uint64_t bytes, const uint8_t **out, const char *key, const char *what)
{
    if (bytes > c->n - c->at) {
        char found[48], expected[48];

        snprintf(found, sizeof found, "%llu bytes left", (unsigned long long)(c->n - c->at));
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)bytes);
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = c->path,
                                .key = key,
                                .found = found,
                                .expected = expected,
                                .hint = "The file was cut short or is damaged" },
                       "the file ends inside %s", what);
    }
    *out = c->p + c->at;
    c->at += bytes;
    return LORAC_OK;
}

static int take_u32(cursor *c, uint32_t *out, const char *key, const char *what)
{
    const uint8_t *p = NULL;

    TRY(take(c, sizeof *out, &p, key, what));
    memcpy(out, p, sizeof *out);
    return LORAC_OK;
}

static int take_u64(cursor *c, uint64_t *out, const char *key, const char *what)
{
    const uint8_t *p = NULL;

    TRY(take(c, sizeof *out, &p, key, what));
    memcpy(out, p, sizeof *out);
    return LORAC_OK;
}

static int take_string(cursor *c, slice *out, const char *key, const char *what)
{
    const uint8_t *p = NULL;
    uint64_t length = 0;

    TRY(take_u64(c, &length, key, what));
    if (length > TEXT_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = key, .expected = "at most 16 MiB" },
                       "the length of %s is %llu bytes", what, (unsigned long long)length);
    TRY(take(c, length, &p, key, what));
    *out = (slice){ (const char *)p, (size_t)length };
    return LORAC_OK;
}

/* A key or a tensor's name: it becomes a C string, and part of messages. */
static int take_name(cursor *c, arena *memory, size_t limit, const char *what, const char **out)
{
    slice text;

    TRY(take_string(c, &text, NULL, what));
    if (text.n == 0 || text.n > limit)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path }, "%s has %zu bytes, not 1 to %zu", what, text.n,
                       limit);
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .expected = "printable characters" },
                           "%s holds the control character 0x%02x at its byte %zu", what, (unsigned char)text.p[i], i);
    }
    if (utf8_valid(text) != text.n)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path }, "%s is not UTF-8", what);
    *out = arena_text(memory, text.p, text.n);
    return *out ? LORAC_OK : fail_memory();
}

/* ---- Keys and values */

static int take_bools(cursor *c, gguf_value *v)
{
    TRY(take(c, v->count, &v->p, v->key, "a value"));
    for (uint64_t i = 0; i < v->count; i++) {
        if (v->p[i] > 1)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = v->key, .expected = "0 or 1" },
                           "a bool has the value %u", v->p[i]);
    }
    return LORAC_OK;
}

static int take_string_array(cursor *c, gguf_value *v, arena *memory)
{
    uint64_t *starts;
    slice text;

    if (v->count > (c->n - c->at) / sizeof(uint64_t))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = v->key },
                       "an array declares %llu strings, more than the rest of the file can hold",
                       (unsigned long long)v->count);
    starts = arena_new(memory, (size_t)v->count, sizeof *starts);
    if (!starts)
        return fail_memory();
    v->p = c->p + c->at;
    v->starts = starts;
    for (uint64_t i = 0; i < v->count; i++) {
        starts[i] = (uint64_t)(c->p + c->at - v->p);
        TRY(take_string(c, &text, v->key, "a string of an array"));
    }
    return LORAC_OK;
}

static int take_scalars(cursor *c, gguf_value *v, gguf_type type)
{
    uint64_t bytes;

    if (type == GGUF_BOOL)
        return take_bools(c, v);
    if (__builtin_mul_overflow(v->count, (uint64_t)gguf_scalar_bytes(type), &bytes))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = v->key },
                       "an array declares %llu elements, more than any file can hold", (unsigned long long)v->count);
    return take(c, bytes, &v->p, v->key, v->type == GGUF_ARRAY ? "an array" : "a value");
}

static int take_type(cursor *c, const char *key, gguf_type *out)
{
    uint32_t number = 0;

    TRY(take_u32(c, &number, key, "a value's type"));
    if (number > GGUF_F64)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = key, .expected = "0 to 12" },
                       "the value's type is number %u", number);
    *out = (gguf_type)number;
    return LORAC_OK;
}

static int take_value(cursor *c, gguf_value *v, arena *memory)
{
    slice text;

    TRY(take_name(c, memory, KEY_LIMIT, "a key", &v->key));
    TRY(take_type(c, v->key, &v->type));
    v->count = 1;
    v->element = v->type;
    if (v->type == GGUF_STRING) {
        v->p = c->p + c->at;
        return take_string(c, &text, v->key, "a string");
    }
    if (v->type != GGUF_ARRAY)
        return take_scalars(c, v, v->type);
    TRY(take_type(c, v->key, &v->element));
    if (v->element == GGUF_ARRAY)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = v->key }, "the value is an array of arrays");
    TRY(take_u64(c, &v->count, v->key, "an array's length"));
    return v->element == GGUF_STRING ? take_string_array(c, v, memory) : take_scalars(c, v, v->element);
}

static int take_values(gguf *g, cursor *c, uint64_t count)
{
    g->values = arena_new(&g->memory, (size_t)count, sizeof *g->values);
    if (!g->values)
        return fail_memory();
    for (; g->value_count < count; g->value_count++) {
        gguf_value *v = &g->values[g->value_count];
        bool found;

        TRY(take_value(c, v, &g->memory));
        TRY(map_add(&g->keys, slice_of(v->key), (int64_t)g->value_count, &found));
        if (found)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = v->key }, "the key comes twice");
    }
    return LORAC_OK;
}

/* ---- Tensors */

static int take_tensor_type(cursor *c, const char *name, dtype *out)
{
    const ggml_type *type;
    uint32_t number = 0;

    TRY(take_u32(c, &number, name, "a tensor's type"));
    type = find_type(number);
    if (!type)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = name },
                       "the tensor's type number %u is not known", number);
    if (type->type == NOT_DECODED)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = c->path, .key = name, .hint = "Use another quantisation of this model" },
                       "the tensor's type %s is not supported", type->name);
    *out = (dtype)type->type;
    return LORAC_OK;
}

static int take_shape(cursor *c, const char *name, tensor *t)
{
    uint32_t ndim = 0;

    TRY(take_u32(c, &ndim, name, "a tensor's number of dimensions"));
    if (ndim > DIMS_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = name, .expected = "at most 4" },
                       "the tensor has %u dimensions", ndim);
    t->ndim = (int)ndim;
    for (uint32_t i = 0; i < ndim; i++) {
        uint64_t size = 0;

        TRY(take_u64(c, &size, name, "a tensor's shape"));
        if (size == 0 || size > INT64_MAX)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = name, .expected = "1 or more" },
                           "a dimension of the tensor has the size %lld", (long long)size);
        t->dim[ndim - 1 - i] = (int64_t)size;
    }
    return LORAC_OK;
}

static int take_tensor(cursor *c, arena *memory, const char **name, tensor *t, uint64_t *offset, uint64_t *bytes)
{
    int64_t checked;
    char dims[64];

    TRY(take_name(c, memory, NAME_LIMIT, "a tensor's name", name));
    TRY(take_shape(c, *name, t));
    TRY(take_tensor_type(c, *name, &t->type));
    TRY(take_u64(c, offset, *name, "a tensor's offset"));
    checked = tensor_bytes_checked(t->type, t->ndim, t->dim);
    if (checked < 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = *name },
                       "the tensor's shape %s is too large or not made of whole %s blocks", tensor_shape(t, dims),
                       dtype_name(t->type));
    *bytes = (uint64_t)checked;
    return LORAC_OK;
}

/* The number of bytes from `at` to the next multiple of the alignment, a power of two. */
static uint64_t padding(uint64_t at, uint64_t alignment)
{
    return -at & (alignment - 1);
}

/* Tensors lie in the order declared, each padded to the alignment. *end is where the last one's bytes end, from the
 * start of data. */
static int take_tensors(gguf *g, cursor *c, uint64_t count, uint64_t alignment, uint64_t *end)
{
    g->tensors = arena_new(&g->memory, (size_t)count, sizeof *g->tensors);
    g->names = arena_new(&g->memory, (size_t)count, sizeof *g->names);
    if (!g->tensors || !g->names)
        return fail_memory();
    *end = 0;
    for (; g->tensor_count < count; g->tensor_count++) {
        tensor *t = &g->tensors[g->tensor_count];
        const char **name = &g->names[g->tensor_count];
        uint64_t offset = 0, bytes = 0, expected;
        bool found;

        TRY(take_tensor(c, &g->memory, name, t, &offset, &bytes));
        TRY(map_add(&g->index, slice_of(*name), (int64_t)g->tensor_count, &found));
        if (found)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = *name }, "the tensor comes twice");
        if (__builtin_add_overflow(*end, padding(*end, alignment), &expected) ||
            __builtin_add_overflow(expected, bytes, end))
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = *name },
                           "the tensors' sizes add up to too much");
        if (offset != expected)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .key = *name },
                           "the tensor's data is at offset %llu where the tensors before it end at %llu",
                           (unsigned long long)offset, (unsigned long long)expected);
    }
    return LORAC_OK;
}

/* `end` bytes of data lie after the padded header; the file ends with them or with their padding. */
static int place_tensors(gguf *g, const cursor *c, uint64_t alignment, uint64_t end)
{
    uint64_t start = c->at + padding(c->at, alignment), offset = 0;
    char found[48], expected[48];

    if (g->tensor_count == 0 && start > c->n)
        start = c->n;
    if (start > c->n || end > c->n - start) {
        snprintf(found, sizeof found, "%llu bytes", (unsigned long long)(start > c->n ? 0 : c->n - start));
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)end);
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = c->path,
                                .found = found,
                                .expected = expected,
                                .hint = "The file was cut short; copy or download it again" },
                       "the tensors' data is incomplete");
    }
    if (c->n - start - end > padding(end, alignment)) {
        snprintf(found, sizeof found, "%llu bytes", (unsigned long long)(c->n - start));
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)end);
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .found = found, .expected = expected },
                       "bytes follow the last tensor's data");
    }
    for (size_t i = 0; i < g->tensor_count; i++) {
        offset += padding(offset, alignment);
        g->tensors[i].data = (void *)(uintptr_t)(c->p + start + offset);
        offset += (uint64_t)tensor_bytes(&g->tensors[i]);
    }
    return LORAC_OK;
}

/* ---- The file */

static int read_alignment(const gguf *g, uint64_t *out)
{
    int64_t alignment = DEFAULT_ALIGNMENT;

    TRY(gguf_take_int(g, "general.alignment", LEAST_ALIGNMENT, MOST_ALIGNMENT, &alignment));
    if (alignment & (alignment - 1))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = g->path, .key = "general.alignment", .expected = "a power of two" },
                       "the alignment is %lld", (long long)alignment);
    *out = (uint64_t)alignment;
    return LORAC_OK;
}

static int read_version(gguf *g, cursor *c)
{
    const uint8_t *magic = NULL;

    if (c->n < 4 || memcmp(c->p, "GGUF", 4) != 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .expected = "the letters GGUF at its start" },
                       "this is not a GGUF file");
    TRY(take(c, 4, &magic, NULL, "the magic number"));
    TRY(take_u32(c, &g->version, NULL, "the version"));
    if (g->version == 2 || g->version == 3)
        return LORAC_OK;
    if ((g->version & 0xffff) == 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path }, "the file is big-endian, which is not supported");
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .expected = "2 or 3" }, "the GGUF version is %u",
                   g->version);
}

static int take_count(cursor *c, uint64_t least, uint64_t limit, const char *what, uint64_t *out)
{
    TRY(take_u64(c, out, NULL, "the header"));
    if (*out > limit || *out > (c->n - c->at) / least)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = c->path, .hint = "The file was cut short or is damaged" },
                       "the header declares %llu %s, more than the file can hold", (unsigned long long)*out, what);
    return LORAC_OK;
}

static int read_file(gguf *g)
{
    cursor c = { g->path, g->file.p, g->file.n, 0 };
    uint64_t tensors = 0, values = 0, alignment = DEFAULT_ALIGNMENT, end = 0;

    TRY(read_version(g, &c));
    TRY(take_count(&c, LEAST_TENSOR, TENSORS_LIMIT, "tensors", &tensors));
    TRY(take_count(&c, LEAST_VALUE, VALUES_LIMIT, "keys", &values));
    TRY(take_values(g, &c, values));
    TRY(read_alignment(g, &alignment));
    TRY(take_tensors(g, &c, tensors, alignment, &end));
    return place_tensors(g, &c, alignment, end);
}

int gguf_open(gguf *out, const char *path)
{
    int status;

    *out = (gguf){ 0 };
    TRY(file_map(&out->file, path));
    out->path = arena_text(&out->memory, path, strlen(path));
    status = out->path ? read_file(out) : fail_memory();
    if (status != LORAC_OK)
        gguf_close(out);
    return status;
}

void gguf_close(gguf *g)
{
    if (g->file.p)
        file_unmap(&g->file);
    map_free(&g->keys);
    map_free(&g->index);
    arena_free(&g->memory);
    *g = (gguf){ 0 };
}

const tensor *gguf_tensor(const gguf *g, const char *name)
{
    int64_t i = map_find(&g->index, slice_of(name));

    return i < 0 ? NULL : &g->tensors[i];
}

const gguf_value *gguf_find(const gguf *g, const char *key)
{
    int64_t i = map_find(&g->keys, slice_of(key));

    return i < 0 ? NULL : &g->values[i];
}
