/* table.c: a quote opens a quoted field only at the field's start; elsewhere it is a character like any other,
 * as in Python's csv module. */
#include "table.h"

#include "err.h"

#include <string.h>

/* The 1-based place of byte `at` of a record that begins on `line`. */
static fault place_of(slice record, size_t at, const char *file, long line)
{
    fault place = { .file = file, .line = line, .column = 1 };

    for (size_t i = 0; i < at; i++) {
        if (record.p[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)record.p[i] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/* The offset behind the closing quote of a field that opens at `at`, or record.n + 1 when it never closes. */
static size_t quoted_end(slice record, size_t at)
{
    for (size_t i = at + 1; i < record.n; i++) {
        if (record.p[i] != '"')
            continue;
        if (i + 1 < record.n && record.p[i + 1] == '"')
            i++;
        else
            return i + 1;
    }
    return record.n + 1;
}

static int fail_open_quote(slice record, size_t at, const char *file, long line)
{
    fault place = place_of(record, at, file, line);

    place.hint = "Close the field with a quote, and write quotes inside it twice.";
    return fail_at(LORAC_ERROR_DATA, place, "a quoted field that never ends");
}

int table_record_end(slice text, size_t at, char separator, const char *file, long line, size_t *end, long *lines)
{
    slice rest = { text.p + at, text.n - at };
    bool field_begins = true;

    for (size_t i = 0; i < rest.n; i++) {
        if (field_begins && rest.p[i] == '"') {
            size_t closed = quoted_end(rest, i);

            if (closed > rest.n)
                return fail_open_quote(rest, i, file, line);
            for (size_t k = i; k < closed; k++)
                *lines += rest.p[k] == '\n';
            i = closed - 1;
            field_begins = false;
        } else if (rest.p[i] == '\n') {
            ++*lines;
            *end = at + i + 1;
            return LORAC_OK;
        } else {
            field_begins = rest.p[i] == separator;
        }
    }
    *end = text.n;
    return LORAC_OK;
}

static void add_unquoted(buf *field, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_char(field, p[i]);
        i += p[i] == '"'; /* the second of a doubled quote */
    }
}

int table_field(slice record, size_t *at, char separator, const char *file, long line, buf *field, bool *more)
{
    size_t begin = *at, end;

    buf_clear(field);
    while (record.n && (record.p[record.n - 1] == '\n' || record.p[record.n - 1] == '\r'))
        record.n--;
    if (begin < record.n && record.p[begin] == '"') {
        end = quoted_end(record, begin);
        if (end > record.n)
            return fail_open_quote(record, begin, file, line);
        add_unquoted(field, record.p + begin + 1, end - begin - 2);
        if (end < record.n && record.p[end] != separator) {
            fault place = place_of(record, end, file, line);

            place.expected = separator == ',' ? "a comma" : "a tab";
            return fail_at(LORAC_ERROR_DATA, place, "text behind the closing quote of a field");
        }
    } else {
        const char *found = begin < record.n ? memchr(record.p + begin, separator, record.n - begin) : NULL;

        end = found ? (size_t)(found - record.p) : record.n;
        if (end > begin)
            buf_add(field, record.p + begin, end - begin);
    }
    *more = end < record.n;
    *at = end + 1;
    return buf_status(field);
}
