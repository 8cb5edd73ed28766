/* gguf_value.c: the values of a GGUF file's keys as C numbers and text. gguf_open has checked that their bytes are
 * inside the file; here only types and ranges are left to look at. Values may be unaligned. */
#include "err.h"
#include "gguf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
    [GGUF_U8] = "a u8",         [GGUF_I8] = "an i8",       [GGUF_U16] = "a u16",  [GGUF_I16] = "an i16",
    [GGUF_U32] = "a u32",       [GGUF_I32] = "an i32",     [GGUF_F32] = "an f32", [GGUF_BOOL] = "a bool",
    [GGUF_STRING] = "a string", [GGUF_ARRAY] = "an array", [GGUF_U64] = "a u64",  [GGUF_I64] = "an i64",
    [GGUF_F64] = "an f64",
};

static int wrong_type(const gguf *g, const gguf_value *v, const char *expected)
{
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = g->path, .key = v->key, .found = type_names[v->type], .expected = expected },
                   "the key's value has the wrong type");
}

static bool is_int(gguf_type type)
{
    return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

size_t gguf_scalar_bytes(gguf_type type)
{
    static const uint8_t bytes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2,  [GGUF_I16] = 2,    [GGUF_U32] = 4,
        [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_STRING] = 0, [GGUF_ARRAY] = 0,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };

    return bytes[type];
}

size_t gguf_value_bytes(const gguf_value *v)
{
    slice last;

    if (v->element != GGUF_STRING)
        return (size_t)v->count * gguf_scalar_bytes(v->element);
    if (v->count == 0)
        return 0;
    last = gguf_string(v, v->count - 1);
    return (size_t)((const uint8_t *)last.p + last.n - v->p);
}

slice gguf_string(const gguf_value *v, uint64_t i)
{
    const uint8_t *p = v->p + (v->starts ? v->starts[i] : 0);
    uint64_t length;

    assert(v->element == GGUF_STRING && i < v->count);
    memcpy(&length, p, sizeof length);
    return (slice){ (const char *)p + sizeof length, (size_t)length };
}

#define NUMBER_AT(p, i, type)                                         \
    ({                                                                \
        type number_;                                                 \
        memcpy(&number_, (p) + (i) * sizeof number_, sizeof number_); \
        number_;                                                      \
    })

/* A U64 past INT64_MAX comes out as INT64_MAX, which no range that a model allows includes. */
int64_t gguf_int(const gguf_value *v, uint64_t i)
{
    uint64_t wide;

    assert(i < v->count);
    switch (v->element) {
    case GGUF_U8:
    case GGUF_BOOL:
        return v->p[i];
    case GGUF_I8:
        return NUMBER_AT(v->p, i, int8_t);
    case GGUF_U16:
        return NUMBER_AT(v->p, i, uint16_t);
    case GGUF_I16:
        return NUMBER_AT(v->p, i, int16_t);
    case GGUF_U32:
        return NUMBER_AT(v->p, i, uint32_t);
    case GGUF_I32:
        return NUMBER_AT(v->p, i, int32_t);
    case GGUF_U64:
        wide = NUMBER_AT(v->p, i, uint64_t);
        return wide > INT64_MAX ? INT64_MAX : (int64_t)wide;
    case GGUF_I64:
        return NUMBER_AT(v->p, i, int64_t);
    default:
        assert(!"an integer value");
        return 0;
    }
}

double gguf_real(const gguf_value *v, uint64_t i)
{
    assert(i < v->count && (v->element == GGUF_F32 || v->element == GGUF_F64));
    return v->element == GGUF_F32 ? (double)NUMBER_AT(v->p, i, float) : NUMBER_AT(v->p, i, double);
}

int gguf_take_int(const gguf *g, const char *key, int64_t least, int64_t most, int64_t *out)
{
    const gguf_value *v = gguf_find(g, key);
    char found[32], expected[64];
    int64_t number;

    if (!v)
        return LORAC_OK;
    if (!is_int(v->type))
        return wrong_type(g, v, "an integer");
    number = gguf_int(v, 0);
    if (number < least || number > most) {
        snprintf(found, sizeof found, "%lld", (long long)number);
        snprintf(expected, sizeof expected, "%lld to %lld", (long long)least, (long long)most);
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = g->path, .key = key, .found = found, .expected = expected },
                       "the key's value is out of range");
    }
    *out = number;
    return LORAC_OK;
}

int gguf_take_real(const gguf *g, const char *key, double *out)
{
    const gguf_value *v = gguf_find(g, key);

    if (!v)
        return LORAC_OK;
    if (v->type != GGUF_F32 && v->type != GGUF_F64)
        return wrong_type(g, v, "an f32 or f64");
    if (!isfinite(gguf_real(v, 0)))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = g->path, .key = key },
                       "the key's value is not a finite number");
    *out = gguf_real(v, 0);
    return LORAC_OK;
}

int gguf_take_bool(const gguf *g, const char *key, bool *out)
{
    const gguf_value *v = gguf_find(g, key);

    if (!v)
        return LORAC_OK;
    if (v->type != GGUF_BOOL)
        return wrong_type(g, v, "a bool");
    *out = v->p[0];
    return LORAC_OK;
}

int gguf_take_text(const gguf *g, const char *key, slice *out)
{
    const gguf_value *v = gguf_find(g, key);

    if (!v)
        return LORAC_OK;
    if (v->type != GGUF_STRING)
        return wrong_type(g, v, "a string");
    *out = gguf_string(v, 0);
    return LORAC_OK;
}
