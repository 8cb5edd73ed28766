/* jinja_filters.c: filters of single values: texts, numbers, JSON. Those of sequences are in jinja_sequences.c.
 * Parameter names are jinja2's, since templates may give arguments by name. */
#include "jinja_arguments.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Text ---------------------------------------------------------------------------------------- */

static int recase(machine *m, value input, const arguments *a, text_case how, value *out)
{
    TRY(no_arguments(m, "this filter", a));
    TRY(value_string(m, input, &input));
    TRY(text_recase(m, value_slice(input), how, out));
    out->markup = input.markup;
    return LORAC_OK;
}

VARIANT(filter_upper, recase, CASE_UPPER)
VARIANT(filter_lower, recase, CASE_LOWER)
VARIANT(filter_capitalize, recase, CASE_CAPITALIZE)

static bool separates_words(slice s, size_t at)
{
    return codepoint_is_space(utf8_next(s, &at)) || strchr("-({[<", s.p[at - 1]);
}

/* The first letter in upper case, the others in lower case, each by itself: a sigma in them has no letter before it. */
static int add_title(machine *m, builder *b, slice word)
{
    value first, rest;
    slice letter = text_character(word, 0);
    TRY(text_recase(m, letter, CASE_UPPER, &first));
    TRY(text_recase(m, (slice){ word.p + letter.n, word.n - letter.n }, CASE_LOWER, &rest));
    TRY(builder_slice(m, b, value_slice(first)));
    return builder_slice(m, b, value_slice(rest));
}

/* Words begin after white space and after - ( { [ <; unlike Python's str.title, an apostrophe does not begin one. */
static int filter_title(machine *m, value input, const arguments *a, value *out)
{
    builder b = { 0 };
    TRY(no_arguments(m, "this filter", a));
    TRY(value_string(m, input, &input));
    slice s = value_slice(input);
    for (size_t at = 0, end; at < s.n; at = end) {
        bool separator = separates_words(s, at);
        for (end = at; end < s.n && separates_words(s, end) == separator;)
            end += text_character(s, end).n;
        slice word = { s.p + at, end - at };
        TRY(separator ? builder_slice(m, &b, word) : add_title(m, &b, word));
    }
    *out = builder_value(&b);
    return LORAC_OK;
}

static int filter_trim(machine *m, value input, const arguments *a, value *out)
{
    slice characters, stripped;
    BIND("the filter 'trim'", 0, "chars");
    TRY(value_string(m, input, &input));
    stripped = text_strip(value_slice(input), true, true);
    if (given_something(p[0])) {
        TRY(argument_text(m, "the filter 'trim'", p[0], &characters));
        TRY(text_strip_of(m, value_slice(input), characters, true, true, &stripped));
    }
    *out = value_of_slice(stripped);
    out->markup = input.markup;
    return LORAC_OK;
}

static int filter_string(machine *m, value input, const arguments *a, value *out)
{
    TRY(no_arguments(m, "this filter", a));
    return value_string(m, input, out);
}

static int filter_safe(machine *m, value input, const arguments *a, value *out)
{
    TRY(no_arguments(m, "this filter", a));
    TRY(value_string(m, input, out));
    out->markup = true;
    return LORAC_OK;
}

static int filter_escape(machine *m, value input, const arguments *a, value *out)
{
    TRY(no_arguments(m, "this filter", a));
    return text_escape(m, input, out);
}

static int filter_forceescape(machine *m, value input, const arguments *a, value *out)
{
    input.markup = false;
    return filter_escape(m, input, a, out);
}

static int filter_replace(machine *m, value input, const arguments *a, value *out)
{
    int64_t count;
    BIND("the filter 'replace'", 2, "old", "new", "count");
    TRY(argument_int(m, "the count of 'replace'", none_is_absent(p[2]), -1, &count));
    TRY(value_string(m, input, &input));
    TRY(value_string(m, p[0], &p[0]));
    TRY(value_string(m, p[1], &p[1]));
    return text_replace(m, value_slice(input), value_slice(p[0]), value_slice(p[1]), count, out);
}

/* The first line, and empty ones, are left as they are unless `first` or `blank` ask for them. */
static int filter_indent(machine *m, value input, const arguments *a, value *out)
{
    slice s, indent = slice_of("    ");
    sequence lines;
    value spaces;
    builder b = { 0 };
    BIND("the filter 'indent'", 0, "width", "first", "blank");
    TRY(argument_text(m, "the filter 'indent'", input, &s));
    if (given(p[0]) && p[0].kind == VALUE_TEXT) {
        indent = value_slice(p[0]);
    } else if (given(p[0])) {
        TRY(operate(m, OP_MUL, value_of_text(" "), p[0], &spaces));
        indent = value_slice(spaces);
    }
    TRY(builder_slice(m, &b, s));
    TRY(builder_text(m, &b, "\n"));
    TRY(text_lines(m, (slice){ b.p, b.n }, false, &lines));
    b = (builder){ 0 };
    for (size_t i = 0; i < lines.count; i++) {
        slice line = value_slice(lines.items[i]);
        TRY(builder_text(m, &b, i ? "\n" : ""));
        if (i ? line.n || value_true(p[2]) : value_true(p[1]))
            TRY(builder_slice(m, &b, indent));
        TRY(builder_slice(m, &b, line));
    }
    *out = builder_value(&b);
    out->markup = input.markup;
    return LORAC_OK;
}

static int filter_center(machine *m, value input, const arguments *a, value *out)
{
    int64_t width;
    BIND("the filter 'center'", 0, "width");
    TRY(argument_int(m, "the filter 'center'", p[0], 80, &width));
    TRY(value_string(m, input, &input));
    TRY(text_pad(m, value_slice(input), width, ' ', PAD_BOTH, out));
    out->markup = input.markup;
    return LORAC_OK;
}

/* Cuts to `length` characters, `end` included, at the last space before that unless killwords. */
static int filter_truncate(machine *m, value input, const arguments *a, value *out)
{
    slice s, end = slice_of("...");
    int64_t length, leeway;
    size_t count;
    builder b = { 0 };
    BIND("the filter 'truncate'", 0, "length", "killwords", "end", "leeway");
    TRY(argument_int(m, "the length of 'truncate'", p[0], 255, &length));
    TRY(argument_int(m, "the leeway of 'truncate'", none_is_absent(p[3]), 5, &leeway));
    if (given(p[2]))
        TRY(argument_text(m, "the end of 'truncate'", p[2], &end));
    int64_t keep = length - (int64_t)utf8_count(end);
    if (keep < 0 || leeway < 0)
        return machine_fail(m, "the filter 'truncate' expects a length of at least %zu", utf8_count(end));
    *out = input;
    TRY(value_length(m, input, &count));
    if ((int64_t)count <= length || (int64_t)count - length <= leeway)
        return LORAC_OK;
    TRY(argument_text(m, "the filter 'truncate'", input, &s));
    s.n = text_offset(s, (size_t)keep);
    const char *space = value_true(p[1]) || !s.n ? NULL : memrchr(s.p, ' ', s.n);
    TRY(builder_add(m, &b, s.p, space ? (size_t)(space - s.p) : s.n));
    TRY(builder_slice(m, &b, end));
    *out = builder_value(&b);
    out->markup = input.markup;
    return LORAC_OK;
}

static int filter_wordcount(machine *m, value input, const arguments *a, value *out)
{
    int64_t words = 0;
    bool inside = false;
    TRY(no_arguments(m, "this filter", a));
    TRY(value_string(m, input, &input));
    slice s = value_slice(input);
    TRY(machine_spend(m, s.n / 16));
    for (size_t at = 0; at < s.n;) {
        uint32_t c = utf8_next(s, &at);
        bool word = c == '_' || codepoint_is_alphanumeric(c);
        words += word && !inside;
        inside = word;
    }
    *out = value_of_int(words);
    return LORAC_OK;
}

static int quote(machine *m, builder *b, slice s, bool query)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (isalnum(c) || strchr("_.-~", c) || (c == '/' && !query))
            TRY(builder_add(m, b, s.p + i, 1));
        else if (c == ' ' && query)
            TRY(builder_text(m, b, "+"));
        else
            TRY(builder_format(m, b, "%%%02X", c));
    }
    return LORAC_OK;
}

static int quote_pair(machine *m, builder *b, value key, value item)
{
    TRY(value_string(m, key, &key));
    TRY(value_string(m, item, &item));
    TRY(builder_text(m, b, b->n ? "&" : ""));
    TRY(quote(m, b, value_slice(key), true));
    TRY(builder_text(m, b, "="));
    return quote(m, b, value_slice(item), true);
}

/* A text is quoted as a path, pairs as a query. */
static int filter_urlencode(machine *m, value input, const arguments *a, value *out)
{
    builder b = { 0 };
    sequence pairs, two;
    arguments none = { 0 };
    TRY(no_arguments(m, "this filter", a));
    if (input.kind == VALUE_DICT)
        TRY(method_find(VALUE_DICT, slice_of("items"))->run(m, input, &none, &input));
    if (input.kind == VALUE_TEXT || !value_iterable(input)) {
        TRY(value_string(m, input, &input));
        TRY(quote(m, &b, value_slice(input), false));
        *out = builder_value(&b);
        return LORAC_OK;
    }
    TRY(value_items(m, input, &pairs));
    for (size_t i = 0; i < pairs.count; i++) {
        TRY(value_items(m, pairs.items[i], &two));
        if (two.count != 2)
            return machine_fail(m, "the filter 'urlencode' expects pairs, found %zu values", two.count);
        TRY(quote_pair(m, &b, two.items[0], two.items[1]));
    }
    *out = builder_value(&b);
    return LORAC_OK;
}

static int filter_format(machine *m, value input, const arguments *a, value *out)
{
    value tuple;
    TRY(value_string(m, input, &input));
    if (a->count && a->keyword_count)
        return machine_fail(m, "the filter 'format' takes arguments by place or by name, not both");
    if (a->keyword_count) {
        TRY(value_new_dict(m, &tuple));
        for (size_t i = 0; i < a->keyword_count; i++)
            TRY(dict_set(m, tuple, value_of_slice(a->keywords[i].name), a->keywords[i].value));
    } else {
        TRY(value_new_sequence(m, VALUE_TUPLE, a->count, &tuple));
        if (a->count)
            memcpy(tuple.sequence->items, a->items, a->count * sizeof *a->items);
    }
    return text_percent(m, input, tuple, out);
}

/* ---- Numbers --------------------------------------------------------------------------------------- */

static int filter_abs(machine *m, value input, const arguments *a, value *out)
{
    TRY(no_arguments(m, "this filter", a));
    if (input.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, input);
    if (!value_is_number(input))
        return machine_fail(m, "bad operand type for abs(): '%s'", value_type(input));
    if (input.kind == VALUE_FLOAT)
        *out = value_of_float(fabs(input.real));
    else if (value_as_int(input) < 0)
        return operate(m, OP_SUB, value_of_int(0), input, out);
    else
        *out = value_of_int(value_as_int(input));
    return LORAC_OK;
}

/* Text without white space around it and without the single underscores Python allows between digits. False when it is
 * too long or empty or has misplaced ones. */
static bool number_text(slice s, char *room, size_t size)
{
    size_t n = 0;
    s = text_strip(s, true, true);
    for (size_t i = 0; i < s.n; i++) {
        bool underscore = s.p[i] == '_';
        if (underscore &&
            (!i || i + 1 == s.n || !isalnum((unsigned char)s.p[i - 1]) || !isalnum((unsigned char)s.p[i + 1])))
            return false;
        if (n + 1 == size || (unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7F)
            return false;
        if (!underscore)
            room[n++] = s.p[i];
    }
    room[n] = 0;
    return n > 0;
}

static bool parse_real(slice s, double *out)
{
    char room[512], *end;
    if (!number_text(s, room, sizeof room) || strpbrk(room, "xX("))
        return false;
    *out = strtod(room, &end);
    return !*end;
}

static bool parse_integer(slice s, int base, int64_t *out)
{
    char room[512], *end, *digits = room;
    if (!number_text(s, room, sizeof room))
        return false;
    digits += *digits == '-' || *digits == '+';
    if (digits[0] == '0' &&
        strchr(base == 2    ? "bB"
               : base == 8  ? "oO"
               : base == 16 ? "xX"
                            : "",
               digits[1]) &&
        digits[1])
        memmove(digits, digits + 2, strlen(digits + 2) + 1);
    if (!isalnum((unsigned char)*digits))
        return false;
    *out = strtoll(room, &end, base);
    return !*end && *out != INT64_MAX && *out != INT64_MIN;
}

static int filter_int(machine *m, value input, const arguments *a, value *out)
{
    int64_t base, integer;
    double real;
    BIND("the filter 'int'", 0, "default", "base");
    TRY(argument_int(m, "the base of 'int'", p[1], 10, &base));
    *out = given(p[0]) ? p[0] : value_of_int(0);
    if (input.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, input);
    if (input.kind == VALUE_FLOAT)
        return value_truncate(m, input.real, out);
    if (value_is_number(input))
        *out = value_of_int(value_as_int(input));
    if (input.kind != VALUE_TEXT)
        return LORAC_OK;
    if (base >= 2 && base <= 36 && parse_integer(value_slice(input), (int)base, &integer))
        *out = value_of_int(integer);
    else if (parse_real(value_slice(input), &real) && !isnan(real) && !isinf(real))
        return value_truncate(m, real, out);
    return LORAC_OK;
}

static int filter_float(machine *m, value input, const arguments *a, value *out)
{
    double real;
    BIND("the filter 'float'", 0, "default");
    *out = given(p[0]) ? p[0] : value_of_float(0);
    if (input.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, input);
    if (value_is_number(input))
        *out = value_of_float(value_as_real(input));
    else if (input.kind == VALUE_TEXT && parse_real(value_slice(input), &real))
        *out = value_of_float(real);
    return LORAC_OK;
}

/* To a multiple of 10 to the `zeros`; to the even one of two that are as near. */
static int64_t round_integer(int64_t i, int64_t zeros)
{
    int64_t unit = 1;
    if (zeros > 18)
        return 0;
    while (zeros-- > 0)
        unit *= 10;
    int64_t rest = (i % unit + unit) % unit, down = i - rest;
    bool up = rest > unit - rest || (rest && rest == unit - rest && down / unit % 2);
    return up ? down + unit : down;
}

/* To even where the decimal is a tie, as Python's round: printf rounds the exact binary value that way. */
static double round_real(double real, int64_t precision)
{
    char room[512];
    if (real == 0 || !isfinite(real) || precision > 320)
        return real;
    snprintf(room, sizeof room, "%e", real);
    int64_t digits = atoi(strchr(room, 'e') + 1) + 1 + precision; /* that stay */
    if (precision >= 0)
        snprintf(room, sizeof room, "%.*f", (int)precision, real);
    else if (digits > 0)
        snprintf(room, sizeof room, "%.*e", (int)digits - 1, real);
    else
        snprintf(room, sizeof room, "%se%lld", !digits && fabs(real) > 5 * pow(10, (double)-precision - 1) ? "1" : "0",
                 -(long long)precision);
    return copysign(fabs(strtod(room, NULL)), real);
}

static int round_common(machine *m, value input, int64_t precision, value *out)
{
    if (input.kind == VALUE_FLOAT)
        *out = value_of_float(round_real(input.real, precision));
    else
        *out = value_of_int(precision < 0 ? round_integer(value_as_int(input), -precision) : value_as_int(input));
    bool finite = input.kind != VALUE_FLOAT || !isfinite(input.real) || isfinite(out->real);
    return finite ? LORAC_OK : machine_fail(m, "the rounded value is too large");
}

static int filter_round(machine *m, value input, const arguments *a, value *out)
{
    int64_t precision;
    slice how = slice_of("common");
    BIND("the filter 'round'", 0, "precision", "method");
    TRY(argument_int(m, "the precision of 'round'", p[0], 0, &precision));
    if (given(p[1]))
        TRY(argument_text(m, "the method of 'round'", p[1], &how));
    if (input.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, input);
    if (!value_is_number(input))
        return machine_fail(m, "type %s doesn't define __round__ method", value_type(input));
    if (slice_is(how, "common"))
        return round_common(m, input, precision, out);
    if (!slice_is(how, "ceil") && !slice_is(how, "floor"))
        return machine_fail(m, "method must be common, ceil or floor");
    double scale = pow(10, (double)precision), scaled = value_as_real(input) * scale;
    if (!isfinite(scaled))
        return machine_fail(m, "cannot convert float infinity to integer");
    double whole = slice_is(how, "ceil") ? ceil(scaled) : floor(scaled);
    *out = value_of_float((whole == 0 ? 0 : whole) / scale); /* an integer in Python: no negative zero */
    return LORAC_OK;
}

/* ---- Anything ---------------------------------------------------------------------------------------- */

static int filter_default(machine *m, value input, const arguments *a, value *out)
{
    BIND("the filter 'default'", 0, "default_value", "boolean");
    bool take = input.kind == VALUE_UNDEFINED || (value_true(p[1]) && !value_true(input));
    *out = !take ? input : given(p[0]) ? p[0] : value_of_text("");
    return LORAC_OK;
}

static int filter_attr(machine *m, value input, const arguments *a, value *out)
{
    slice name;
    BIND("the filter 'attr'", 1, "name");
    TRY(argument_text(m, "the filter 'attr'", p[0], &name));
    if (input.kind == VALUE_DICT && !method_find(VALUE_DICT, name)) {
        *out = value_undefined_attribute(input, name);
        return LORAC_OK;
    }
    return get_attribute(m, input, name, out);
}

static int json_separators(machine *m, value separators, json_style *style)
{
    sequence items;
    TRY(value_items(m, separators, &items));
    if (items.count != 2)
        return machine_fail(m, "tojson expects two separators, found %zu", items.count);
    TRY(argument_text(m, "a separator of tojson", items.items[0], &style->item_separator));
    return argument_text(m, "a separator of tojson", items.items[1], &style->key_separator);
}

static int filter_tojson(machine *m, value input, const arguments *a, value *out)
{
    builder b = { 0 };
    BIND("the filter 'tojson'", 0, "ensure_ascii", "indent", "separators", "sort_keys");
    json_style style = { .ascii = value_true(p[0]), .sort = value_true(p[3]), .key_separator = slice_of(": ") };
    style.pretty = given_something(p[1]);
    style.item_separator = slice_of(style.pretty ? "," : ", ");
    if (style.pretty && p[1].kind != VALUE_TEXT)
        TRY(operate(m, OP_MUL, value_of_text(" "), p[1], &p[1]));
    if (style.pretty)
        style.indent = value_slice(p[1]);
    if (given_something(p[2]))
        TRY(json_separators(m, p[2], &style));
    TRY(value_json(m, &b, input, &style));
    *out = builder_value(&b);
    return LORAC_OK;
}

static const filter *find_in(const filter *filters, size_t count, slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(name, filters[i].name))
            return &filters[i];
    return NULL;
}

const filter *filter_find(slice name)
{
    static const filter filters[] = {
        { "abs", filter_abs },
        { "attr", filter_attr },
        { "capitalize", filter_capitalize },
        { "center", filter_center },
        { "d", filter_default },
        { "default", filter_default },
        { "e", filter_escape },
        { "escape", filter_escape },
        { "float", filter_float },
        { "forceescape", filter_forceescape },
        { "format", filter_format },
        { "indent", filter_indent },
        { "int", filter_int },
        { "lower", filter_lower },
        { "replace", filter_replace },
        { "round", filter_round },
        { "safe", filter_safe },
        { "string", filter_string },
        { "title", filter_title },
        { "tojson", filter_tojson },
        { "trim", filter_trim },
        { "truncate", filter_truncate },
        { "upper", filter_upper },
        { "urlencode", filter_urlencode },
        { "wordcount", filter_wordcount },
    };
    size_t count;
    const filter *found = find_in(filters, sizeof filters / sizeof *filters, name);
    if (found)
        return found;
    const filter *others = sequence_filters(&count);
    return find_in(others, count, name);
}
