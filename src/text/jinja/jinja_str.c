/* jinja_str.c: the methods of Python's str. What Python has and this file lacks is listed too, so that it is "defined"
 * as in Python and named when it is called. */
#include "jinja_arguments.h"
#include "jinja_case.h"

#include <string.h>
#include <utf8proc.h>

/* ---- str: cutting ------------------------------------------------------------------------------------ */

static int strip(machine *m, value self, const arguments *a, bool left, bool right, value *out)
{
    slice characters, stripped = text_strip(value_slice(self), left, right);
    BIND("strip()", 0, "chars");
    if (given_something(p[0])) {
        TRY(argument_text(m, "strip()", p[0], &characters));
        TRY(text_strip_of(m, value_slice(self), characters, left, right, &stripped));
    }
    *out = value_of_slice(stripped);
    return LORAC_OK;
}

VARIANT(str_strip, strip, true, true)
VARIANT(str_lstrip, strip, true, false)
VARIANT(str_rstrip, strip, false, true)

/* The pieces of a split, found from either end; reversed at the end when found from the right. */
typedef struct pieces {
    value *items;
    size_t count, capacity;
} pieces;

static int add_piece(machine *m, pieces *list, slice piece)
{
    TRY(work_room(m, list->items, list->count, list->capacity));
    list->items[list->count++] = value_of_slice(piece);
    return machine_spend(m, 1);
}

static int split_at_separator(machine *m, slice s, slice separator, int64_t most, pieces *list)
{
    const char *found;
    for (; most != 0 && (found = text_find(s, separator)) != NULL; most--) {
        size_t n = (size_t)(found - s.p);
        TRY(add_piece(m, list, (slice){ s.p, n }));
        s = (slice){ found + separator.n, s.n - n - separator.n };
    }
    return add_piece(m, list, s);
}

static const char *find_last(slice s, slice part)
{
    for (size_t at = s.n + 1; at-- > 0;)
        if (at + part.n <= s.n && memcmp(s.p + at, part.p, part.n) == 0)
            return s.p + at;
    return NULL;
}

static int rsplit_at_separator(machine *m, slice s, slice separator, int64_t most, pieces *list)
{
    const char *found;
    for (; most != 0 && s.n && (found = find_last(s, separator)) != NULL; most--) {
        const char *after = found + separator.n;
        TRY(add_piece(m, list, (slice){ after, (size_t)(s.p + s.n - after) }));
        s.n = (size_t)(found - s.p);
    }
    return add_piece(m, list, s);
}

static size_t word_end(slice s)
{
    size_t at = 0;
    while (at < s.n) {
        size_t next = at;
        if (codepoint_is_space(utf8_next(s, &next)))
            break;
        at = next;
    }
    return at;
}

static int split_words(machine *m, slice s, int64_t most, pieces *list)
{
    for (s = text_strip(s, true, false); s.n; s = text_strip(s, true, false)) {
        size_t n = most-- == 0 ? s.n : word_end(s);
        TRY(add_piece(m, list, (slice){ s.p, n }));
        s = (slice){ s.p + n, s.n - n };
    }
    return LORAC_OK;
}

static int rsplit_words(machine *m, slice s, int64_t most, pieces *list)
{
    for (s = text_strip(s, false, true); s.n; s = text_strip(s, false, true)) {
        size_t begin = s.n;
        while (begin && most != 0) {
            size_t last = utf8_before(s, begin), next = last;
            if (codepoint_is_space(utf8_next(s, &next)))
                break;
            begin = last;
        }
        if (most-- == 0)
            begin = 0;
        TRY(add_piece(m, list, (slice){ s.p + begin, s.n - begin }));
        s.n = begin;
    }
    return LORAC_OK;
}

static int split(machine *m, value self, const arguments *a, bool right, value *out)
{
    int64_t most;
    slice separator = { 0 }, s = value_slice(self);
    pieces list = { 0 };
    BIND("split()", 0, "sep", "maxsplit");
    TRY(argument_int(m, "the maxsplit of split()", p[1], -1, &most));
    TRY(machine_spend(m, s.n / 64));
    if (given_something(p[0])) {
        TRY(argument_text(m, "split()", p[0], &separator));
        if (!separator.n)
            return machine_fail(m, "empty separator");
        TRY((right ? rsplit_at_separator : split_at_separator)(m, s, separator, most, &list));
    } else {
        TRY((right ? rsplit_words : split_words)(m, s, most, &list));
    }
    TRY(value_new_sequence(m, VALUE_LIST, list.count, out));
    for (size_t i = 0; i < list.count; i++)
        out->sequence->items[i] = list.items[right ? list.count - 1 - i : i];
    return LORAC_OK;
}

VARIANT(str_split, split, false)
VARIANT(str_rsplit, split, true)

static int str_splitlines(machine *m, value self, const arguments *a, value *out)
{
    sequence lines;
    BIND("splitlines()", 0, "keepends");
    TRY(text_lines(m, value_slice(self), value_true(p[0]), &lines));
    TRY(value_new_sequence(m, VALUE_LIST, 0, out));
    *out->sequence = lines;
    return LORAC_OK;
}

static int partition(machine *m, value self, const arguments *a, bool right, value *out)
{
    slice s = value_slice(self), separator;
    BIND("partition()", 1, "sep");
    TRY(argument_text(m, "partition()", p[0], &separator));
    if (!separator.n)
        return machine_fail(m, "empty separator");
    TRY(machine_spend(m, s.n / 64));
    const char *found = !s.n ? NULL : right ? find_last(s, separator) : text_find(s, separator);
    TRY(value_new_sequence(m, VALUE_TUPLE, 3, out));
    value *items = out->sequence->items, empty = value_of_text("");
    items[0] = found ? value_of_slice((slice){ s.p, (size_t)(found - s.p) }) : right ? empty : self;
    items[1] = found ? p[0] : empty;
    items[2] = !found ? (right ? self : empty)
                      : value_of_slice((slice){ found + separator.n, (size_t)(s.p + s.n - found) - separator.n });
    return LORAC_OK;
}

VARIANT(str_partition, partition, false)
VARIANT(str_rpartition, partition, true)

static int str_removeprefix(machine *m, value self, const arguments *a, value *out)
{
    slice s = value_slice(self), prefix;
    BIND("removeprefix()", 1, "prefix");
    TRY(argument_text(m, "removeprefix()", p[0], &prefix));
    *out = slice_starts_with(s, prefix) ? value_of_slice((slice){ s.p + prefix.n, s.n - prefix.n }) : self;
    return LORAC_OK;
}

static int str_removesuffix(machine *m, value self, const arguments *a, value *out)
{
    slice s = value_slice(self), suffix;
    BIND("removesuffix()", 1, "suffix");
    TRY(argument_text(m, "removesuffix()", p[0], &suffix));
    *out = slice_ends_with(s, suffix) ? value_of_slice((slice){ s.p, s.n - suffix.n }) : self;
    return LORAC_OK;
}

/* ---- str: searching ---------------------------------------------------------------------------------- */

/* The part of `self` that [start:end] selects, and how many characters stand before it. `beyond`: start lies behind the
 * end. */
static int window(machine *m, value self, value start, value end, slice *out, int64_t *before, bool *beyond)
{
    slice s = value_slice(self);
    int64_t length = (int64_t)utf8_count(s), from, to;
    TRY(machine_spend(m, s.n / 64));
    TRY(argument_int(m, "the start of a search", none_is_absent(start), 0, &from));
    TRY(argument_int(m, "the end of a search", none_is_absent(end), length, &to));
    from = from < 0 ? (from < -length ? 0 : from + length) : from;
    to = to < 0 ? (to < -length ? 0 : to + length) : to > length ? length : to;
    *beyond = from > length || from > to;
    *before = from;
    if (*beyond)
        from = to = 0;
    size_t begin = text_offset(s, (size_t)from);
    slice rest = { s.p + begin, s.n - begin };
    *out = (slice){ rest.p, text_offset(rest, (size_t)(to - from)) };
    return LORAC_OK;
}

static int begins_or_ends(machine *m, value self, const arguments *a, bool at_end, value *out)
{
    const char *what = at_end ? "endswith()" : "startswith()";
    slice s, part;
    int64_t before;
    bool beyond, has = false;
    BIND(what, 1, "prefix", "start", "end");
    TRY(window(m, self, p[1], p[2], &s, &before, &beyond));
    const sequence one = { p, 1 }, *parts = p[0].kind == VALUE_TUPLE ? p[0].sequence : &one;
    for (size_t i = 0; i < parts->count && !has; i++) {
        TRY(argument_text(m, what, parts->items[i], &part));
        has = at_end ? slice_ends_with(s, part) : slice_starts_with(s, part);
    }
    *out = value_of_bool(has && !beyond);
    return LORAC_OK;
}

VARIANT(str_startswith, begins_or_ends, false)
VARIANT(str_endswith, begins_or_ends, true)

static int find(machine *m, value self, const arguments *a, bool right, bool must, value *out)
{
    slice s, part;
    int64_t before;
    bool beyond;
    BIND("find()", 1, "sub", "start", "end");
    TRY(argument_text(m, "find()", p[0], &part));
    TRY(window(m, self, p[1], p[2], &s, &before, &beyond));
    const char *found = beyond ? NULL : right && s.n ? find_last(s, part) : text_find(s, part);
    if (!found && must)
        return machine_fail(m, "substring not found");
    *out = value_of_int(found ? before + (int64_t)utf8_count((slice){ s.p, s.n ? (size_t)(found - s.p) : 0 }) : -1);
    return LORAC_OK;
}

VARIANT(str_find, find, false, false)
VARIANT(str_rfind, find, true, false)
VARIANT(str_index, find, false, true)
VARIANT(str_rindex, find, true, true)

static int str_count(machine *m, value self, const arguments *a, value *out)
{
    slice s, part;
    int64_t before, count = 0;
    bool beyond;
    const char *found;
    BIND("count()", 1, "sub", "start", "end");
    TRY(argument_text(m, "count()", p[0], &part));
    TRY(window(m, self, p[1], p[2], &s, &before, &beyond));
    if (!part.n)
        count = beyond ? 0 : (int64_t)utf8_count(s) + 1;
    for (; part.n && (found = text_find(s, part)) != NULL; count++)
        s = (slice){ found + part.n, (size_t)(s.p + s.n - found) - part.n };
    *out = value_of_int(count);
    return LORAC_OK;
}

/* ---- str: changing ----------------------------------------------------------------------------------- */

static int recase(machine *m, value self, const arguments *a, text_case how, value *out)
{
    TRY(no_arguments(m, "this method", a));
    return text_recase(m, value_slice(self), how, out);
}

VARIANT(str_upper, recase, CASE_UPPER)
VARIANT(str_lower, recase, CASE_LOWER)
VARIANT(str_title, recase, CASE_TITLE)
VARIANT(str_capitalize, recase, CASE_CAPITALIZE)
VARIANT(str_swapcase, recase, CASE_SWAP)

static int str_replace(machine *m, value self, const arguments *a, value *out)
{
    slice old, new;
    int64_t count;
    BIND("replace()", 2, "old", "new", "count");
    TRY(argument_text(m, "replace()", p[0], &old));
    TRY(argument_text(m, "replace()", p[1], &new));
    TRY(argument_int(m, "the count of replace()", p[2], -1, &count));
    return text_replace(m, value_slice(self), old, new, count, out);
}

static int str_join(machine *m, value self, const arguments *a, value *out)
{
    sequence items;
    slice item;
    builder b = { 0 };
    BIND("join()", 1, "iterable");
    TRY(value_items(m, p[0], &items));
    for (size_t i = 0; i < items.count; i++) {
        TRY(argument_text(m, "join()", items.items[i], &item));
        TRY(builder_slice(m, &b, i ? value_slice(self) : slice_of("")));
        TRY(builder_slice(m, &b, item));
    }
    *out = builder_value(&b);
    return LORAC_OK;
}

static int pad(machine *m, value self, const arguments *a, text_padding where, value *out)
{
    int64_t width;
    slice fill = slice_of(" ");
    size_t at = 0;
    BIND("ljust/rjust/center()", 1, "width", "fillchar");
    TRY(argument_int(m, "the width", p[0], 0, &width));
    if (given_something(p[1]))
        TRY(argument_text(m, "the fill character", p[1], &fill));
    if (utf8_count(fill) != 1)
        return machine_fail(m, "the fill character must be exactly one character long");
    return text_pad(m, value_slice(self), width, utf8_next(fill, &at), where, out);
}

VARIANT(str_ljust, pad, PAD_RIGHT)
VARIANT(str_rjust, pad, PAD_LEFT)
VARIANT(str_center, pad, PAD_BOTH)

/* Zeros between the sign and the rest. */
static int str_zfill(machine *m, value self, const arguments *a, value *out)
{
    int64_t width;
    value padded;
    slice s = value_slice(self);
    builder b = { 0 };
    BIND("zfill()", 1, "width");
    TRY(argument_int(m, "zfill()", p[0], 0, &width));
    size_t sign = s.n && (*s.p == '-' || *s.p == '+');
    TRY(text_pad(m, (slice){ s.p + sign, s.n - sign }, width - (int64_t)sign, '0', PAD_LEFT, &padded));
    TRY(builder_add(m, &b, s.p, sign));
    TRY(builder_slice(m, &b, value_slice(padded)));
    *out = builder_value(&b);
    return LORAC_OK;
}

static int str_format(machine *m, value self, const arguments *a, value *out)
{
    return text_format(m, self, a, out);
}

/* ---- str: asking ------------------------------------------------------------------------------------- */

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

static bool is_decimal(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

static bool is_alpha(uint32_t c)
{
    return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO;
}

static bool is_ascii(uint32_t c)
{
    return c < 0x80;
}

static bool is_word(uint32_t c)
{
    return c == '_' || codepoint_is_alphanumeric(c);
}

/* Whether `holds` for every character; `empty` is the answer for the empty text. */
static int every(machine *m, value self, const arguments *a, bool (*holds)(uint32_t c), bool empty, value *out)
{
    slice s = value_slice(self);
    bool all = s.n || empty;
    TRY(no_arguments(m, "this method", a));
    TRY(machine_spend(m, s.n / 16));
    for (size_t at = 0; all && at < s.n;)
        all = holds(utf8_next(s, &at));
    *out = value_of_bool(all);
    return LORAC_OK;
}

#define EVERY(name, holds, empty)                                                 \
    static int str_##name(machine *m, value self, const arguments *a, value *out) \
    {                                                                             \
        return every(m, self, a, holds, empty, out);                              \
    }

EVERY(isdecimal, is_decimal, false)
EVERY(isdigit, letter_is_digit, false)
EVERY(isnumeric, letter_is_numeric, false)
EVERY(isalpha, is_alpha, false)
EVERY(isalnum, codepoint_is_alphanumeric, false)
EVERY(isspace, codepoint_is_space, false)
EVERY(isascii, is_ascii, true)
EVERY(isprintable, codepoint_is_printable, true)

static int str_isidentifier(machine *m, value self, const arguments *a, value *out)
{
    TRY(every(m, self, a, is_word, false, out));
    if (self.n && *self.text >= '0' && *self.text <= '9')
        *out = value_of_bool(false);
    return LORAC_OK;
}

static int has_case(machine *m, value self, const arguments *a, text_case how, value *out)
{
    bool has;
    TRY(no_arguments(m, "this method", a));
    TRY(text_has_case(m, value_slice(self), how, &has));
    *out = value_of_bool(has);
    return LORAC_OK;
}

VARIANT(str_isupper, has_case, CASE_UPPER)
VARIANT(str_islower, has_case, CASE_LOWER)
VARIANT(str_istitle, has_case, CASE_TITLE)

const method_entry *str_methods(size_t *count)
{
    static const method_entry methods[] = {
        { "strip", VALUE_TEXT, false, str_strip },
        { "lstrip", VALUE_TEXT, false, str_lstrip },
        { "rstrip", VALUE_TEXT, false, str_rstrip },
        { "split", VALUE_TEXT, false, str_split },
        { "rsplit", VALUE_TEXT, false, str_rsplit },
        { "splitlines", VALUE_TEXT, false, str_splitlines },
        { "partition", VALUE_TEXT, false, str_partition },
        { "rpartition", VALUE_TEXT, false, str_rpartition },
        { "removeprefix", VALUE_TEXT, false, str_removeprefix },
        { "removesuffix", VALUE_TEXT, false, str_removesuffix },
        { "startswith", VALUE_TEXT, false, str_startswith },
        { "endswith", VALUE_TEXT, false, str_endswith },
        { "find", VALUE_TEXT, false, str_find },
        { "rfind", VALUE_TEXT, false, str_rfind },
        { "index", VALUE_TEXT, false, str_index },
        { "rindex", VALUE_TEXT, false, str_rindex },
        { "count", VALUE_TEXT, false, str_count },
        { "upper", VALUE_TEXT, false, str_upper },
        { "lower", VALUE_TEXT, false, str_lower },
        { "title", VALUE_TEXT, false, str_title },
        { "capitalize", VALUE_TEXT, false, str_capitalize },
        { "swapcase", VALUE_TEXT, false, str_swapcase },
        { "replace", VALUE_TEXT, false, str_replace },
        { "join", VALUE_TEXT, false, str_join },
        { "ljust", VALUE_TEXT, false, str_ljust },
        { "rjust", VALUE_TEXT, false, str_rjust },
        { "center", VALUE_TEXT, false, str_center },
        { "zfill", VALUE_TEXT, false, str_zfill },
        { "format", VALUE_TEXT, false, str_format },
        { "isdecimal", VALUE_TEXT, false, str_isdecimal },
        { "isdigit", VALUE_TEXT, false, str_isdigit },
        { "isnumeric", VALUE_TEXT, false, str_isnumeric },
        { "isalpha", VALUE_TEXT, false, str_isalpha },
        { "isalnum", VALUE_TEXT, false, str_isalnum },
        { "isspace", VALUE_TEXT, false, str_isspace },
        { "isascii", VALUE_TEXT, false, str_isascii },
        { "isprintable", VALUE_TEXT, false, str_isprintable },
        { "isidentifier", VALUE_TEXT, false, str_isidentifier },
        { "isupper", VALUE_TEXT, false, str_isupper },
        { "islower", VALUE_TEXT, false, str_islower },
        { "istitle", VALUE_TEXT, false, str_istitle },
        { "casefold", VALUE_TEXT, false, NULL },
        { "encode", VALUE_TEXT, false, NULL },
        { "expandtabs", VALUE_TEXT, false, NULL },
        { "format_map", VALUE_TEXT, false, NULL },
        { "maketrans", VALUE_TEXT, false, NULL },
        { "translate", VALUE_TEXT, false, NULL },
    };
    *count = sizeof methods / sizeof *methods;
    return methods;
}
