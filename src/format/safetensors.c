/* safetensors.c: opening a .safetensors file. Invariant: after a successful open every byte of the file belongs to
 * exactly one of the header and the tensors, in order and without a hole, so that a tensor's address and size need no
 * further check. The rules are those of the format's README, and stricter where its reference parser is looser: no
 * tensor twice, no unknown field in an entry, no control characters in names. Knows nothing of models. */
#include "safetensors.h"

#include "err.h"
#include "json.h"
#include "mem.h"
#include "tensor_name.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_LIMIT = 100000000, /* the reference parser's own */
    TENSOR_LIMIT = 1000000
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and are used as they are mapped");

/* A tensor of the header before its place is known to be right. */
typedef struct entry {
    const char *name;
    size_t order; /* in the header: breaks ties between empty tensors */
    tensor shape;
    uint64_t begin, end; /* in the byte buffer */
} entry;

typedef struct dtype_entry {
    const char *name;
    int type;
} dtype_entry;

enum { NOT_COMPUTED = -1 };

static const dtype_entry dtypes[] = {
    { "F32", DT_F32 },
    { "F16", DT_F16 },
    { "BF16", DT_BF16 },
    { "F64", DT_F64 },
    { "I64", DT_I64 },
    { "I32", DT_I32 },
    { "I16", DT_I16 },
    { "I8", DT_I8 },
    { "U8", DT_U8 },
    { "BOOL", DT_BOOL },
    { "U16", NOT_COMPUTED },
    { "U32", NOT_COMPUTED },
    { "U64", NOT_COMPUTED },
    { "C64", NOT_COMPUTED },
    { "F4", NOT_COMPUTED },
    { "F6_E2M3", NOT_COMPUTED },
    { "F6_E3M2", NOT_COMPUTED },
    { "F8_E5M2", NOT_COMPUTED },
    { "F8_E4M3", NOT_COMPUTED },
    { "F8_E8M0", NOT_COMPUTED },
    { "F8_E4M3FNUZ", NOT_COMPUTED },
    { "F8_E5M2FNUZ", NOT_COMPUTED },
};

static int read_dtype(const char *path, const char *name, const json_t *value, dtype *out)
{
    const char *text = json_string_value(value);

    if (!text)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .key = name, .found = json_kind(value), .expected = "a string" },
                       "the tensor's dtype is not right");
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(text, dtypes[i].name) != 0)
            continue;
        if (dtypes[i].type == NOT_COMPUTED)
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .file = path,
                                    .key = name,
                                    .found = text,
                                    .expected = "F32, F16, BF16, F64, I64, I32, I16, I8, U8 or BOOL" },
                           "the tensor's dtype %s is not supported", text);
        *out = (dtype)dtypes[i].type;
        return LORAC_OK;
    }
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .key = name, .found = text },
                   "the tensor's dtype is not one of safetensors'");
}

static int read_shape(const char *path, const char *name, const json_t *value, tensor *out)
{
    if (!json_is_array(value))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .key = name, .found = json_kind(value), .expected = "an array" },
                       "the tensor's shape is not right");
    if (json_array_size(value) > TENSOR_DIMS)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .key = name, .expected = "at most 8" },
                       "the tensor has %zu dimensions", json_array_size(value));
    out->ndim = (int)json_array_size(value);
    for (int i = 0; i < out->ndim; i++) {
        const json_t *dim = json_array_get(value, (size_t)i);

        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .key = name, .expected = "integers from 0" },
                           "dimension %d of the tensor's shape is not right", i);
        out->dim[i] = json_integer_value(dim);
    }
    return LORAC_OK;
}

static int read_offsets(const char *path, const char *name, const json_t *value, entry *out)
{
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);

    if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .key = name, .expected = "[begin, end], integers in order" },
                       "the tensor's data_offsets are not right");
    out->begin = (uint64_t)json_integer_value(begin);
    out->end = (uint64_t)json_integer_value(end);
    return LORAC_OK;
}

static int read_entry(const char *path, const char *name, const json_t *value, entry *out)
{
    const json_t *type = json_object_get(value, "dtype"), *shape = json_object_get(value, "shape");
    const json_t *offsets = json_object_get(value, "data_offsets");
    int64_t bytes;
    char dims[64], expected[96], found[48];

    TRY(tensor_name_check(path, slice_of(name)));
    if (!json_is_object(value))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .key = name, .found = json_kind(value), .expected = "an object" },
                       "the tensor's entry is not right");
    if (!type || !shape || !offsets || json_object_size(value) != 3)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .key = name, .expected = "dtype, shape and data_offsets alone" },
                       "the tensor's entry has a field too many or too few");
    TRY(read_dtype(path, name, type, &out->shape.type));
    TRY(read_shape(path, name, shape, &out->shape));
    TRY(read_offsets(path, name, offsets, out));
    bytes = tensor_bytes_checked(out->shape.type, out->shape.ndim, out->shape.dim);
    if (bytes < 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .key = name }, "the tensor's shape %s is too large",
                       tensor_shape(&out->shape, dims));
    if (out->end - out->begin != (uint64_t)bytes) {
        snprintf(expected, sizeof expected, "%lld for %s %s", (long long)bytes, dtype_name(out->shape.type),
                 tensor_shape(&out->shape, dims));
        snprintf(found, sizeof found, "%llu", (unsigned long long)(out->end - out->begin));
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .key = name, .found = found, .expected = expected },
                       "the tensor's data_offsets span the wrong number of bytes");
    }
    out->name = name;
    return LORAC_OK;
}

static int read_metadata(safetensors *s, const json_t *object)
{
    const char *name;
    json_t *value;
    char *text;

    if (json_is_null(object)) /* as MLX writes none */
        return LORAC_OK;
    if (!json_is_object(object))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = s->path,
                                .key = "__metadata__",
                                .found = json_kind(object),
                                .expected = "an object of strings" },
                       "the metadata is not right");
    json_object_foreach((json_t *)object, name, value)
    {
        if (!json_is_string(value))
            return fail_at(
                LORAC_ERROR_DATA,
                (fault){ .file = s->path, .key = "__metadata__", .found = json_kind(value), .expected = "strings" },
                "a value of the metadata is not right");
    }
    text = json_dumps(object, JSON_COMPACT);
    if (!text)
        return fail_memory();
    s->metadata = slice_of(arena_text(&s->memory, text, strlen(text)));
    free(text);
    return s->metadata.p ? LORAC_OK : fail_memory();
}

static int by_place(const void *left, const void *right)
{
    const entry *a = left, *b = right;

    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Every tensor begins where the one before it ended, and the last ends with the file. */
static int check_places(const safetensors *s, const entry *entries, uint64_t room)
{
    uint64_t at = 0;
    char found[48], expected[48];

    for (size_t i = 0; i < s->count; i++) {
        if (entries[i].begin != at) {
            snprintf(found, sizeof found, "%llu", (unsigned long long)entries[i].begin);
            snprintf(expected, sizeof expected, "%llu", (unsigned long long)at);
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .file = s->path, .key = entries[i].name, .found = found, .expected = expected },
                           "the tensor's data %s",
                           entries[i].begin < at ? "overlaps another's" : "begins after a hole");
        }
        at = entries[i].end;
    }
    if (at == room)
        return LORAC_OK;
    snprintf(found, sizeof found, "%llu bytes", (unsigned long long)room);
    snprintf(expected, sizeof expected, "%llu", (unsigned long long)at);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = s->path,
                            .found = found,
                            .expected = expected,
                            .hint = at > room ? "The file was cut short; copy or download it again" : NULL },
                   at > room ? "the tensors' data is incomplete" : "bytes follow the last tensor's data");
}

/* Copies the sorted entries into the object that outlives the header. */
static int keep_entries(safetensors *s, const entry *entries, const uint8_t *data)
{
    s->names = arena_new(&s->memory, s->count, sizeof *s->names);
    s->tensors = arena_new(&s->memory, s->count, sizeof *s->tensors);
    if (!s->names || !s->tensors)
        return fail_memory();
    for (size_t i = 0; i < s->count; i++) {
        bool found;

        s->names[i] = arena_text(&s->memory, entries[i].name, strlen(entries[i].name));
        if (!s->names[i])
            return fail_memory();
        s->tensors[i] = entries[i].shape;
        s->tensors[i].data = (void *)(uintptr_t)(data + entries[i].begin);
        TRY(map_add(&s->index, slice_of(s->names[i]), (int64_t)i, &found));
        assert(!found); /* the JSON parser refuses a key that comes twice */
    }
    return LORAC_OK;
}

static int read_header(safetensors *s, json_t *header, const uint8_t *data, uint64_t room)
{
    size_t order = 0;
    int status = LORAC_OK;
    const char *name;
    json_t *value;
    entry *entries;

    if (json_object_size(header) > TENSOR_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = s->path, .expected = "at most 1000000" },
                       "the header names %zu tensors", json_object_size(header));
    entries = mem_new(json_object_size(header), sizeof *entries);
    if (!entries)
        return fail_memory();
    json_object_foreach(header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            TRY_GOTO(read_metadata(s, value));
            continue;
        }
        TRY_GOTO(read_entry(s->path, name, value, &entries[order]));
        entries[order].order = order;
        order++;
    }
    s->count = order;
    qsort(entries, order, sizeof *entries, by_place);
    TRY_GOTO(check_places(s, entries, room));
    status = keep_entries(s, entries, data);
done:
    mem_free(entries);
    return status;
}

/* The header's length, checked before anything is added to it. */
static int header_length(const safetensors *s, uint64_t *out)
{
    uint64_t length;
    char found[48], expected[64];

    if (s->file.n < sizeof length)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = s->path, .expected = "at least 8 bytes" },
                       "the file is too short for a safetensors file: it has %zu bytes", s->file.n);
    memcpy(&length, s->file.p, sizeof length);
    snprintf(found, sizeof found, "%llu bytes", (unsigned long long)length);
    if (length > HEADER_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = s->path, .found = found, .expected = "at most 100000000" },
                       "the header's length is too large for a safetensors file");
    if (length > s->file.n - sizeof length) {
        snprintf(expected, sizeof expected, "at most the %zu after its length", s->file.n - sizeof length);
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = s->path,
                                .found = found,
                                .expected = expected,
                                .hint = "The file was cut short or is not a safetensors file" },
                       "the header goes past the end of the file");
    }
    *out = length;
    return LORAC_OK;
}

/* A byte order mark and padding with NUL bytes exist in the wild; the format allows neither. */
static int check_padding(const safetensors *s, slice header)
{
    const char *nul = memchr(header.p, 0, header.n);
    slice text = slice_trim(header);

    if (nul)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = s->path, .expected = "JSON padded with spaces" },
                       "the header has a NUL byte at byte %zu of the file", 8 + (size_t)(nul - header.p));
    if (!slice_starts(text, "{"))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = s->path, .hint = "Is this a safetensors file?" },
                       "the header is not a JSON object");
    return LORAC_OK;
}

static int open_mapped(safetensors *s)
{
    uint64_t length = 0;
    slice text;
    json_t *header = NULL;
    int status;

    TRY(header_length(s, &length));
    text = (slice){ (const char *)s->file.p + 8, (size_t)length };
    TRY(check_padding(s, text));
    TRY(json_parse(&header, text, s->path, 1, 0));
    status = read_header(s, header, s->file.p + 8 + length, s->file.n - 8 - length);
    json_decref(header);
    return status;
}

int safetensors_open(safetensors *out, const char *path)
{
    int status;

    *out = (safetensors){ 0 };
    TRY(file_map(&out->file, path));
    out->path = arena_text(&out->memory, path, strlen(path));
    status = out->path ? open_mapped(out) : fail_memory();
    if (status != LORAC_OK)
        safetensors_close(out);
    return status;
}

void safetensors_close(safetensors *s)
{
    if (s->file.p)
        file_unmap(&s->file);
    map_free(&s->index);
    arena_free(&s->memory);
    *s = (safetensors){ 0 };
}

const tensor *safetensors_find(const safetensors *s, const char *name)
{
    int64_t i = map_find(&s->index, slice_of(name));

    return i < 0 ? NULL : &s->tensors[i];
}
