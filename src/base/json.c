/* json.c: jansson behind our limits. Depth is checked before jansson sees the text, since it recurses. */
#include "json.h"

#include "err.h"
#include "file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 256 };

/* The offset of the first bracket nested deeper than allowed, or n. */
static size_t depth_exceeded(slice text)
{
    int depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == '{') && ++depth > DEEPEST)
            return i;
        else if (!quoted && (c == ']' || c == '}'))
            depth--;
    }
    return text.n;
}

static int fail_too_deep(slice text, size_t at, const char *file, long line)
{
    size_t start = 0;

    for (size_t i = 0; i < at; i++) {
        if (text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .line = line, .column = (long)(at - start) + 1 },
                   "JSON is nested deeper than %d levels", DEEPEST);
}

int json_parse(json_t **out, slice text, const char *file, long line, int flags)
{
    size_t load = JSON_DECODE_ANY;
    json_error_t error;
    size_t deep;

    *out = NULL;
    if (slice_starts(text, "\xEF\xBB\xBF"))
        text = (slice){ text.p + 3, text.n - 3 };
    deep = depth_exceeded(text);
    if (deep < text.n)
        return fail_too_deep(text, deep, file, line);
    if (!(flags & JSON_TAKE_DUPLICATES))
        load |= JSON_REJECT_DUPLICATES;
    if (flags & JSON_TAKE_NUL)
        load |= JSON_ALLOW_NUL;
    if (flags & JSON_TAKE_BIG)
        load |= JSON_DECODE_INT_AS_REAL;
    *out = json_loadb(text.p, text.n, load, &error);
    if (*out)
        return LORAC_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return fail_memory();
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = file,
                            .line = line + (error.line > 0 ? error.line - 1 : 0),
                            .column = error.column > 0 ? error.column : 1 },
                   "not valid JSON: %s",
                   json_error_code(&error) == json_error_null_character ? "\\u0000 is not allowed" : error.text);
}

int json_read(json_t **out, const char *path, size_t limit, int flags)
{
    buf text = { 0 };
    int status = file_read(&text, path, limit);

    *out = NULL;
    if (status == LORAC_OK)
        status = json_parse(out, buf_slice_of(&text), path, 1, flags);
    buf_free(&text);
    return status;
}

const char *json_kind(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static const json_t *value_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static int fail_kind(const char *file, const char *key, const json_t *value, const char *expected)
{
    char found[64];

    if (json_is_number(value))
        snprintf(found, sizeof found, "%.17g", json_number_value(value));
    else
        snprintf(found, sizeof found, "%s", json_kind(value));
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = key, .found = found, .expected = expected },
                   "wrong value");
}

/* A whole number, also when it is written 8.0 or 8e0. */
static bool whole_number(const json_t *value, int64_t *out)
{
    double real = json_real_value(value);

    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    if (!json_is_real(value) || real != floor(real) || fabs(real) > 0x1p53)
        return false;
    *out = (int64_t)real;
    return true;
}

int json_to_int(const json_t *value, const char *key, int64_t least, int64_t most, int64_t *out, const char *file)
{
    int64_t number;
    char expected[96];

    if (!value)
        return LORAC_OK;
    if (whole_number(value, &number) && number >= least && number <= most) {
        *out = number;
        return LORAC_OK;
    }
    snprintf(expected, sizeof expected, "an integer from %" PRId64 " to %" PRId64, least, most);
    return fail_kind(file, key, value, expected);
}

int json_to_real(const json_t *value, const char *key, double *out, const char *file)
{
    if (!value)
        return LORAC_OK;
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return fail_kind(file, key, value, "a number");
    *out = json_number_value(value);
    return LORAC_OK;
}

int json_to_bool(const json_t *value, const char *key, bool *out, const char *file)
{
    if (!value)
        return LORAC_OK;
    if (!json_is_boolean(value))
        return fail_kind(file, key, value, "true or false");
    *out = json_is_true(value);
    return LORAC_OK;
}

int json_to_text(const json_t *value, const char *key, const char **out, const char *file)
{
    if (!value)
        return LORAC_OK;
    if (!json_is_string(value))
        return fail_kind(file, key, value, "a string");
    *out = json_string_value(value);
    return LORAC_OK;
}

int json_take_int(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *out, const char *file)
{
    return json_to_int(value_of(object, key), key, least, most, out, file);
}

int json_take_real(const json_t *object, const char *key, double *out, const char *file)
{
    return json_to_real(value_of(object, key), key, out, file);
}

int json_take_bool(const json_t *object, const char *key, bool *out, const char *file)
{
    return json_to_bool(value_of(object, key), key, out, file);
}

int json_take_text(const json_t *object, const char *key, const char **out, const char *file)
{
    return json_to_text(value_of(object, key), key, out, file);
}

void buf_real(buf *b, double value)
{
    char text[32];
    bool pointed = false;

    if (!isfinite(value)) {
        buf_text(b, "null");
        return;
    }
    snprintf(text, sizeof text, "%.9g", value);
    /* What is neither digit, sign nor exponent is the locale's decimal point, of one byte or more. */
    for (const char *c = text; *c; c++) {
        if (strchr("0123456789+-e", *c)) {
            buf_char(b, *c);
        } else if (!pointed) {
            buf_char(b, '.');
            pointed = true;
        }
    }
}
