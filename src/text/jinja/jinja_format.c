/* jinja_format.c: Python's two ways to format text: format % arguments, and format.format(arguments). */
#include "jinja_arguments.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* [[fill]align][sign][#][0][width][,][.precision][type]; % formats use a part of it. */
typedef struct spec {
    uint32_t fill;
    char align, sign, type; /* 0 where not given */
    bool alternate, zero;
    char grouping;
    int64_t width, precision; /* -1: not given */
} spec;

enum { WIDEST = 1 << 20, MOST_PRECISE = 300 };

static bool read_number(slice s, size_t *at, int64_t *out)
{
    size_t begin = *at;
    for (*out = 0; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at)
        if (*out <= WIDEST)
            *out = 10 * *out + (s.p[*at] - '0');
    return *at > begin;
}

static int integer_digits(machine *m, value v, const spec *f, char *room, size_t size)
{
    int64_t i = value_as_int(v);
    uint64_t magnitude = i < 0 ? -(uint64_t)i : (uint64_t)i;
    size_t n = 0;
    switch (f->type) {
    case 'x':
        snprintf(room, size, "%s%llx", f->alternate ? "0x" : "", (unsigned long long)magnitude);
        return LORAC_OK;
    case 'X':
        snprintf(room, size, "%s%llX", f->alternate ? "0X" : "", (unsigned long long)magnitude);
        return LORAC_OK;
    case 'o':
        snprintf(room, size, "%s%llo", f->alternate ? "0o" : "", (unsigned long long)magnitude);
        return LORAC_OK;
    case 'b':
        for (int bit = 63; bit >= 0; bit--)
            if (magnitude >> bit || !bit)
                room[n++] = (char)('0' + (magnitude >> bit & 1));
        room[n] = 0;
        return LORAC_OK;
    default:
        snprintf(room, size, "%llu", (unsigned long long)magnitude);
        return f->precision > 0 ? machine_fail(m, "a precision is not allowed for integers") : LORAC_OK;
    }
}

static int real_digits(machine *m, double real, const spec *f, char *room, size_t size)
{
    int precision = f->precision < 0 ? 6 : (int)f->precision;
    builder b = { 0 };
    char type = f->type ? f->type : f->precision >= 0 ? 'g' : 'r';
    real = fabs(real);
    if (isnan(real) || isinf(real)) {
        snprintf(room, size, isnan(real) ? "nan" : "inf");
        return LORAC_OK;
    }
    switch (type) {
    case 'f':
    case 'F':
        snprintf(room, size, "%.*f", precision, real);
        return LORAC_OK;
    case 'e':
        snprintf(room, size, "%.*e", precision, real);
        return LORAC_OK;
    case 'E':
        snprintf(room, size, "%.*E", precision, real);
        return LORAC_OK;
    case 'g':
    case 'G':
        snprintf(room, size, "%.*g", precision ? precision : 1, real);
        return LORAC_OK;
    case '%':
        snprintf(room, size, "%.*f%%", precision, real * 100);
        return LORAC_OK;
    case 'r':
        TRY(builder_real(m, &b, real));
        snprintf(room, size, "%.*s", (int)b.n, b.p);
        return LORAC_OK;
    default:
        return machine_fail(m, "unknown format '%c' for a float", type);
    }
}

/* Separators between groups of three digits, from the point leftwards. */
static void group_digits(const char *digits, char separator, char *room, size_t size)
{
    size_t whole = strspn(digits, "0123456789"), n = 0;
    for (size_t i = 0; digits[i] && n + 2 < size; i++) {
        if (i && i < whole && (whole - i) % 3 == 0)
            room[n++] = separator;
        room[n++] = digits[i];
    }
    room[n] = 0;
}

static int add_padded(machine *m, builder *b, const char *sign, slice body, const spec *f, char align)
{
    value padded;
    slice whole = body;
    builder joined = { 0 };
    bool inside = align == '=';
    if (!inside && *sign) {
        TRY(builder_text(m, &joined, sign));
        TRY(builder_slice(m, &joined, body));
        whole = (slice){ joined.p, joined.n };
    }
    int64_t width = f->width - (inside ? (int64_t)strlen(sign) : 0);
    bool odd = align == '^' && width > (int64_t)utf8_count(whole) && (width - (int64_t)utf8_count(whole)) % 2;
    TRY(builder_text(m, b, inside ? sign : ""));
    if (odd) { /* format puts the odd fill on the right */
        TRY(text_pad(m, whole, width - 1, f->fill, PAD_BOTH, &padded));
        TRY(text_pad(m, value_slice(padded), width, f->fill, PAD_RIGHT, &padded));
    } else {
        TRY(text_pad(m, whole, width, f->fill, align == '<' ? PAD_RIGHT : align == '^' ? PAD_BOTH : PAD_LEFT, &padded));
    }
    return builder_slice(m, b, value_slice(padded));
}

static int format_number(machine *m, builder *b, value v, const spec *f)
{
    char digits[1024], grouped[1400];
    bool real = v.kind == VALUE_FLOAT || (f->type && strchr("eEfFgG%", f->type));
    if (real)
        TRY(real_digits(m, value_as_real(v), f, digits, sizeof digits));
    else
        TRY(integer_digits(m, v, f, digits, sizeof digits));
    bool negative = real ? signbit(value_as_real(v)) && !isnan(value_as_real(v)) : value_as_int(v) < 0;
    const char *sign = negative ? "-" : f->sign == '+' ? "+" : f->sign == ' ' ? " " : "";
    if (f->grouping)
        group_digits(digits, f->grouping, grouped, sizeof grouped);
    spec zeroed = *f;
    if (f->zero && !f->align)
        zeroed.fill = '0';
    return add_padded(m, b, sign, slice_of(f->grouping ? grouped : digits), &zeroed,
                      f->align  ? f->align
                      : f->zero ? '='
                                : '>');
}

static int format_text(machine *m, builder *b, slice s, const spec *f, char align)
{
    if (f->precision >= 0)
        s.n = text_offset(s, (size_t)f->precision);
    return add_padded(m, b, "", s, f, align);
}

/* ---- % ------------------------------------------------------------------------------------------------ */

typedef struct percent {
    machine *m;
    slice format;
    size_t at, next; /* place in the format; next argument of the tuple */
    value arguments;
    builder out;
} percent;

static int next_argument(percent *x, value *out)
{
    bool tuple = x->arguments.kind == VALUE_TUPLE;
    if (x->next >= (tuple ? x->arguments.sequence->count : 1))
        return machine_fail(x->m, "not enough arguments for format string");
    *out = tuple ? x->arguments.sequence->items[x->next] : x->arguments;
    x->next++;
    return LORAC_OK;
}

/* %(key): the argument of that name. */
static int named_argument(percent *x, value *out)
{
    slice rest = { x->format.p + x->at, x->format.n - x->at };
    const char *close = rest.n ? memchr(rest.p, ')', rest.n) : NULL;
    bool found;
    if (!close)
        return machine_fail(x->m, "incomplete format key");
    if (x->arguments.kind != VALUE_DICT)
        return machine_fail(x->m, "format requires a mapping");
    slice key = { rest.p, (size_t)(close - rest.p) };
    x->at += key.n + 1;
    x->next = 1;
    TRY(dict_get(x->m, x->arguments, value_of_slice(key), &found, out));
    return found ? LORAC_OK : machine_fail(x->m, "the format's key '%.*s' is missing", (int)key.n, key.p);
}

static int star_or_number(percent *x, int64_t *out)
{
    value v;
    if (x->at < x->format.n && x->format.p[x->at] == '*') {
        x->at++;
        TRY(next_argument(x, &v));
        return argument_int(x->m, "* in a format", v, 0, out);
    }
    read_number(x->format, &x->at, out);
    return LORAC_OK;
}

static int percent_spec(percent *x, spec *f)
{
    *f = (spec){ .fill = ' ', .precision = -1 };
    for (; x->at < x->format.n && strchr("-+ #0", x->format.p[x->at]) && x->format.p[x->at]; x->at++) {
        char flag = x->format.p[x->at];
        f->align = flag == '-' ? '<' : f->align;
        f->zero = f->zero || flag == '0';
        f->alternate = f->alternate || flag == '#';
        f->sign = flag == '+' || (flag == ' ' && !f->sign) ? flag : f->sign;
    }
    TRY(star_or_number(x, &f->width));
    if (x->at < x->format.n && x->format.p[x->at] == '.') {
        x->at++;
        TRY(star_or_number(x, &f->precision));
    }
    if (f->width > WIDEST || f->width < -WIDEST || f->precision > MOST_PRECISE)
        return machine_fail(x->m, "width or precision of a format is too large");
    if (x->at == x->format.n)
        return machine_fail(x->m, "incomplete format");
    f->type = x->format.p[x->at++];
    return LORAC_OK;
}

static int percent_number(percent *x, value v, spec *f)
{
    if (v.kind == VALUE_UNDEFINED)
        return value_fail_undefined(x->m, v);
    if (!value_is_number(v))
        return machine_fail(x->m, "%%%c format: a number is required, not %s", f->type, value_type(v));
    if (strchr("diu", f->type)) {
        if (v.kind == VALUE_FLOAT)
            v = value_of_int(fabs(v.real) < 9e18 ? (int64_t)v.real : 0);
        f->type = 'd';
        f->precision = -1;
    } else if (strchr("xXo", f->type) && v.kind == VALUE_FLOAT) {
        return machine_fail(x->m, "%%%c format: an integer is required, not float", f->type);
    }
    return format_number(x->m, &x->out, v, f);
}

static int percent_one(percent *x)
{
    spec f;
    value v = { .kind = VALUE_ABSENT };
    builder text = { 0 };
    if (x->at < x->format.n && x->format.p[x->at] == '(') {
        x->at++;
        TRY(named_argument(x, &v));
    }
    TRY(percent_spec(x, &f));
    if (f.type == '%')
        return builder_text(x->m, &x->out, "%");
    if (v.kind == VALUE_ABSENT)
        TRY(next_argument(x, &v));
    if (strchr("diuxXoeEfFgG", f.type))
        return percent_number(x, v, &f);
    if (f.type == 's')
        TRY(value_print(x->m, &text, v));
    else if (f.type == 'r')
        TRY(value_repr(x->m, &text, v));
    else
        return machine_fail(x->m, "unsupported format character '%c'", f.type);
    return format_text(x->m, &x->out, (slice){ text.p, text.n }, &f, f.align == '<' ? '<' : '>');
}

/* What Python takes for a mapping, of which not all need be used: anything with subscripts but texts and tuples. */
static bool is_mapping(value v)
{
    return v.kind == VALUE_DICT || v.kind == VALUE_LIST || v.kind == VALUE_RANGE || v.kind == VALUE_UNDEFINED;
}

int text_percent(machine *m, value format, value operand, value *out)
{
    percent x = { .m = m, .format = value_slice(format), .arguments = operand };
    while (x.at < x.format.n) {
        slice rest = { x.format.p + x.at, x.format.n - x.at };
        const char *sign = memchr(rest.p, '%', rest.n);
        TRY(builder_add(m, &x.out, rest.p, sign ? (size_t)(sign - rest.p) : rest.n));
        if (!sign)
            break;
        x.at += (size_t)(sign - rest.p) + 1;
        TRY(percent_one(&x));
    }
    if (operand.kind == VALUE_TUPLE ? x.next < operand.sequence->count : !x.next && !is_mapping(operand))
        return machine_fail(m, "not all arguments converted during string formatting");
    *out = builder_value(&x.out);
    out->markup = format.markup;
    return LORAC_OK;
}

/* ---- .format() ------------------------------------------------------------------------------------------ */

typedef struct formatter {
    machine *m;
    const arguments *a;
    int64_t automatic; /* the next {} */
    builder out;
} formatter;

static int field_start(formatter *x, slice name, value *out)
{
    size_t at = 0;
    int64_t index;
    if (!name.n)
        index = x->automatic++;
    else if (!read_number(name, &at, &index) || at < name.n)
        index = -1;
    if (index >= 0) {
        if ((uint64_t)index >= x->a->count)
            return machine_fail(x->m, "Replacement index %lld out of range for positional args tuple",
                                (long long)index);
        *out = x->a->items[index];
        return LORAC_OK;
    }
    for (size_t i = 0; i < x->a->keyword_count; i++) {
        if (slice_equal(x->a->keywords[i].name, name)) {
            *out = x->a->keywords[i].value;
            return LORAC_OK;
        }
    }
    return machine_fail(x->m, "format() lacks its argument '%.*s'", (int)name.n, name.p);
}

/* name, name.attribute, name[key] */
static int field_value(formatter *x, slice path, value *out)
{
    size_t at = 0;
    while (at < path.n && path.p[at] != '.' && path.p[at] != '[')
        at++;
    TRY(field_start(x, (slice){ path.p, at }, out));
    while (at < path.n) {
        bool item = path.p[at++] == '[';
        size_t begin = at, end = 0;
        int64_t index;
        while (at < path.n && (item ? path.p[at] != ']' : path.p[at] != '.' && path.p[at] != '['))
            at++;
        slice name = { path.p + begin, at - begin };
        at += item && at < path.n;
        if (!item)
            TRY(get_attribute(x->m, *out, name, out));
        else if (read_number(name, &end, &index) && end == name.n)
            TRY(get_item(x->m, *out, value_of_int(index), out));
        else
            TRY(get_item(x->m, *out, value_of_slice(name), out));
    }
    return LORAC_OK;
}

static int parse_spec(machine *m, slice s, spec *f)
{
    size_t at = 0, next = 0;
    *f = (spec){ .fill = ' ', .precision = -1 };
    if (s.n)
        utf8_next(s, &next);
    if (next && next < s.n && strchr("<>=^", s.p[next])) {
        f->fill = utf8_next(s, &at);
        f->align = s.p[at++];
    } else if (s.n && strchr("<>=^", *s.p)) {
        f->align = s.p[at++];
    }
    if (at < s.n && strchr("+- ", s.p[at]))
        f->sign = s.p[at++];
    if (at < s.n && s.p[at] == '#')
        f->alternate = s.p[at++];
    if (at < s.n && s.p[at] == '0')
        f->zero = s.p[at++];
    read_number(s, &at, &f->width);
    if (at < s.n && (s.p[at] == ',' || s.p[at] == '_'))
        f->grouping = s.p[at++];
    if (at < s.n && s.p[at] == '.') {
        at++;
        if (!read_number(s, &at, &f->precision))
            return machine_fail(m, "format specifier lacks its precision");
    }
    if (at < s.n)
        f->type = s.p[at++];
    if (at < s.n || f->width > WIDEST || f->precision > MOST_PRECISE)
        return machine_fail(m, "invalid format specifier '%.*s'", (int)s.n, s.p);
    return LORAC_OK;
}

static int format_value(formatter *x, value v, slice conversion, slice specifier)
{
    spec f;
    builder text = { 0 };
    TRY(parse_spec(x->m, specifier, &f));
    if (slice_is(conversion, "r"))
        TRY(value_repr(x->m, &text, v));
    else if (conversion.n && !slice_is(conversion, "s"))
        return machine_fail(x->m, "unknown conversion '%.*s' in a format", (int)conversion.n, conversion.p);
    bool number = !conversion.n && value_is_number(v) && !(v.kind == VALUE_BOOL && !specifier.n);
    if (number && f.type != 's')
        return format_number(x->m, &x->out, v, &f);
    if (!slice_is(conversion, "r"))
        TRY(value_print(x->m, &text, v));
    if (v.kind != VALUE_TEXT && !conversion.n && specifier.n)
        return machine_fail(x->m, "unsupported format string passed to %s.__format__", value_type(v));
    return format_text(x->m, &x->out, (slice){ text.p, text.n }, &f, f.align ? f.align : '<');
}

/* The field after '{'; nested fields in the specifier are not supported. */
static int format_field(formatter *x, slice s, size_t *at)
{
    const char *close = memchr(s.p + *at, '}', s.n - *at);
    value v;
    if (!close)
        return machine_fail(x->m, "expected '}' before end of string");
    slice field = { s.p + *at, (size_t)(close - s.p) - *at }, specifier = { 0 }, conversion = { 0 };
    *at += field.n + 1;
    if (field.n && memchr(field.p, '{', field.n))
        return machine_fail(x->m, "fields inside format specifiers are not supported");
    const char *colon = field.n ? memchr(field.p, ':', field.n) : NULL;
    if (colon) {
        specifier = (slice){ colon + 1, (size_t)(field.p + field.n - colon) - 1 };
        field.n = (size_t)(colon - field.p);
    }
    const char *mark = field.n ? memchr(field.p, '!', field.n) : NULL;
    if (mark) {
        conversion = (slice){ mark + 1, (size_t)(field.p + field.n - mark) - 1 };
        field.n = (size_t)(mark - field.p);
    }
    TRY(field_value(x, field, &v));
    return format_value(x, v, conversion, specifier);
}

int text_format(machine *m, value format, const arguments *a, value *out)
{
    formatter x = { .m = m, .a = a };
    slice s = value_slice(format);
    for (size_t at = 0; at < s.n;) {
        char c = s.p[at++];
        bool doubled = at < s.n && s.p[at] == c;
        if ((c == '{' || c == '}') && doubled)
            at++;
        else if (c == '}')
            return machine_fail(m, "single '}' encountered in format string");
        else if (c == '{') {
            TRY(format_field(&x, s, &at));
            continue;
        }
        TRY(builder_add(m, &x.out, &c, 1));
    }
    *out = builder_value(&x.out);
    return LORAC_OK;
}
