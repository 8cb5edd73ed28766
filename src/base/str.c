/* str.c: slices, the growing buffer, UTF-8. Knows no files and no locale. */
#include "str.h"

#include "err.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Slices */

slice slice_of(const char *text)
{
    return text ? (slice){ text, strlen(text) } : (slice){ "", 0 };
}

bool slice_equal(slice a, slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_is(slice s, const char *text)
{
    return slice_equal(s, slice_of(text));
}

bool slice_starts_with(slice s, slice prefix)
{
    return s.n >= prefix.n && slice_equal((slice){ s.p, prefix.n }, prefix);
}

bool slice_ends_with(slice s, slice suffix)
{
    return s.n >= suffix.n && (!suffix.n || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

bool slice_starts(slice s, const char *prefix)
{
    return slice_starts_with(s, slice_of(prefix));
}

bool slice_ends(slice s, const char *suffix)
{
    return slice_ends_with(s, slice_of(suffix));
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *slice_put(slice s, char *room, size_t size)
{
    size_t n = s.n < size ? s.n : size - 1;

    if (n)
        memcpy(room, s.p, n);
    room[n] = '\0';
    return room;
}

slice slice_trim(slice s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s = (slice){ s.p + 1, s.n - 1 };
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

slice slice_cut(slice *rest, char separator)
{
    const char *at = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    slice piece = *rest;

    if (!at) {
        *rest = (slice){ rest->n ? rest->p + rest->n : rest->p, 0 };
        return piece;
    }
    piece.n = (size_t)(at - rest->p);
    *rest = (slice){ at + 1, rest->n - piece.n - 1 };
    return piece;
}

bool name_is_in(const char *names, slice name)
{
    for (slice rest = slice_of(names); rest.n;)
        if (slice_equal(slice_cut(&rest, ' '), name))
            return true;
    return false;
}

slice slice_last(slice s, char separator)
{
    const char *at = s.n ? memrchr(s.p, separator, s.n) : NULL;

    return at ? (slice){ at + 1, s.n - (size_t)(at + 1 - s.p) } : s;
}

/* ---- The buffer */

/* Room for `more` bytes and the NUL after them; false, remembered in b->failed, when there is none. */
static bool reserve(buf *b, size_t more)
{
    size_t need, capacity = b->capacity;
    char *p;

    if (b->failed)
        return false;
    if (__builtin_add_overflow(b->n, more, &need) || __builtin_add_overflow(need, 1, &need)) {
        b->failed = true;
        return false;
    }
    if (need <= capacity)
        return true;
    capacity = capacity < SIZE_MAX / 4 ? 2 * capacity : need;
    if (capacity < 64)
        capacity = 64;
    if (capacity < need)
        capacity = need;
    p = mem_grow(b->p, capacity, 1);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->capacity = capacity;
    return true;
}

void buf_add(buf *b, const char *p, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_text(buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_slice(buf *b, slice s)
{
    buf_add(b, s.p, s.n);
}

void buf_char(buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_codepoint(buf *b, uint32_t c)
{
    char bytes[4];

    buf_add(b, bytes, utf8_put(c, bytes));
}

void buf_format(buf *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if (!reserve(b, (size_t)n))
        return;
    va_start(args, format);
    vsnprintf(b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
}

static void add_json_escape(buf *b, char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = strchr(plain, c);

    if (c && at)
        buf_format(b, "\\%c", letters[at - plain]);
    else
        buf_format(b, "\\u%04x", (unsigned char)c);
}

void buf_json(buf *b, slice s)
{
    size_t done = 0;

    buf_char(b, '"');
    while (done < s.n) {
        size_t at = done;
        while (at < s.n && (signed char)s.p[at] >= 0x20 && s.p[at] != '"' && s.p[at] != '\\')
            at++;
        buf_add(b, s.p + done, at - done);
        done = at;
        if (at == s.n)
            break;
        if ((unsigned char)s.p[at] >= 0x80) {
            buf_codepoint(b, utf8_next(s, &done));
        } else {
            add_json_escape(b, s.p[at]);
            done++;
        }
    }
    buf_char(b, '"');
}

void buf_clear(buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p)
        b->p[0] = '\0';
}

void buf_free(buf *b)
{
    mem_free(b->p);
    *b = (buf){ 0 };
}

int buf_status(const buf *b)
{
    return b->failed ? fail_memory() : LORAC_OK;
}

slice buf_slice_of(const buf *b)
{
    return (slice){ b->p ? b->p : "", b->n };
}

/* ---- UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF) */

/* The length of the valid character at p, or 0. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    size_t length;
    unsigned char least = 0x80, most = 0xBF; /* of the second byte */

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (length > n)
        return 0;
    if (p[0] == 0xE0)
        least = 0xA0;
    if (p[0] == 0xED)
        most = 0x9F;
    if (p[0] == 0xF0)
        least = 0x90;
    if (p[0] == 0xF4)
        most = 0x8F;
    if (p[1] < least || p[1] > most)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

uint32_t utf8_next(slice s, size_t *at)
{
    static const unsigned char lead_mask[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    const unsigned char *p = (const unsigned char *)s.p + *at;
    size_t length = utf8_length(p, s.n - *at);
    uint32_t c;

    assert(*at < s.n);
    if (length == 0) {
        ++*at;
        return 0xFFFD;
    }
    c = p[0] & lead_mask[length];
    for (size_t i = 1; i < length; i++)
        c = c << 6 | (p[i] & 0x3F);
    *at += length;
    return c;
}

size_t utf8_valid(slice s)
{
    size_t at = 0;

    while (at < s.n) {
        size_t length = utf8_length((const unsigned char *)s.p + at, s.n - at);
        if (length == 0)
            return at;
        at += length;
    }
    return s.n;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t utf8_before(slice s, size_t at)
{
    assert(at > 0);
    do
        at--;
    while (at && is_continuation(s.p[at]));
    return at;
}

size_t utf8_count(slice s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.n; i++)
        count += !is_continuation(s.p[i]);
    return count;
}

size_t utf8_put(uint32_t c, char bytes[4])
{
    static const unsigned char lead[] = { 0, 0x00, 0xC0, 0xE0, 0xF0 };
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n; i-- > 1; c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3F));
    bytes[0] = (char)(lead[n] | c);
    return n;
}

/* ---- The nearest name */

enum { NAME_SIZE = 64 };

static char folded(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Insertions, deletions, replacements and swaps of neighbours between two short words
 * (the optimal string alignment distance, Damerau 1964). */
static size_t edits(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][NAME_SIZE + 1];

    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            char x = folded(a[i - 1]), y = folded(b[j - 1]);
            row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[n % 3][m];
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    size_t n = strlen(word), best = 1 + n / 4;
    const char *nearest = NULL;

    if (n == 0 || n > NAME_SIZE)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t m = strlen(names[i]);
        size_t distance = m <= NAME_SIZE ? edits(word, n, names[i], m) : SIZE_MAX;
        if (distance < n && (distance < best || (distance == best && !nearest))) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
