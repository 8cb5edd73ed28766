/* jinja_format.c: Python's two ways to format text: format % arguments, and format.format(arguments). */
#include "jinja_arguments.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

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

/* A number in its parts: the first `whole` digits are grouped and filled up with zeros. */
typedef struct numeral {
    const char *sign, *prefix;
    char digits[1024];
    size_t whole;
} numeral;

static size_t binary_digits(uint64_t magnitude, char *room)
{
    size_t n = 0;
    for (int bit = 63; bit >= 0; bit--)
        if (magnitude >> bit || !bit)
            room[n++] = (char)('0' + (magnitude >> bit & 1));
    room[n] = 0;
    return n;
}

/* A precision is a least number of digits here; only % formats have one. */
static void integer_digits(value v, const spec *f, numeral *out)
{
    static const struct {
        char type;
        const char *prefix, *format;
    } bases[] = { { 'x', "0x", "%llx" }, { 'X', "0X", "%llX" }, { 'o', "0o", "%llo" } };
    int64_t i = value_as_int(v);
    unsigned long long magnitude = i < 0 ? -(uint64_t)i : (uint64_t)i;
    const char *prefix = "", *format = "%llu";
    char room[72];
    for (size_t k = 0; k < sizeof bases / sizeof *bases; k++) {
        if (f->type != bases[k].type)
            continue;
        prefix = bases[k].prefix;
        format = bases[k].format;
    }
    size_t n = f->type == 'b' ? binary_digits(magnitude, room) : (size_t)snprintf(room, sizeof room, format, magnitude);
    size_t zeros = f->precision > (int64_t)n ? (size_t)f->precision - n : 0;
    out->prefix = !f->alternate ? "" : f->type == 'b' ? "0b" : prefix;
    memset(out->digits, '0', zeros);
    memcpy(out->digits + zeros, room, n + 1);
    out->whole = zeros + n;
}

/* "9.990e+02" without the zeros. */
static void strip_mantissa(char *digits)
{
    char *exponent = strchr(digits, 'e'), *end = exponent;
    while (end[-1] == '0')
        end--;
    if (end[-1] == '.')
        end--;
    memmove(end, exponent, strlen(exponent) + 1);
}

/* A float without a type: as %g, but with a digit behind the point, for which it takes an exponent where all digits
 * would stand before it. */
static void shortest_form(double real, int precision, bool alternate, char *room, size_t size)
{
    const int last = precision > 1 ? precision - 1 : 0;
    snprintf(room, size, "%.*e", last, real);
    if (atoi(strchr(room, 'e') + 1) == last) {
        if (alternate)
            snprintf(room, size, "%#.*e", last, real);
        else
            strip_mantissa(room);
        return;
    }
    snprintf(room, size, alternate ? "%#.*g" : "%.*g", last + 1, real);
    size_t n = strlen(room);
    if (!strpbrk(room, ".e"))
        snprintf(room + n, size - n, ".0");
}

static int real_digits(machine *m, double real, const spec *f, numeral *out)
{
    int precision = f->precision < 0 ? 6 : (int)f->precision;
    char *room = out->digits, format[8];
    const size_t size = sizeof out->digits;
    builder b = { 0 };
    real = fabs(real);
    if (isnan(real) || isinf(real)) {
        bool capital = f->type && strchr("EFG", f->type);
        snprintf(room, size, "%s%s",
                 isnan(real) ? capital ? "NAN" : "nan"
                 : capital   ? "INF"
                             : "inf",
                 f->type == '%' ? "%" : "");
    } else if (f->type == '%') {
        snprintf(room, size, f->alternate ? "%#.*f%%" : "%.*f%%", precision, real * 100);
    } else if (f->type) {
        snprintf(format, sizeof format, f->alternate ? "%%#.*%c" : "%%.*%c", f->type == 'n' ? 'g' : f->type);
        snprintf(room, size, format, precision, real);
    } else if (f->precision >= 0) {
        shortest_form(real, precision, f->alternate, room, size);
    } else {
        TRY(builder_real(m, &b, real));
        snprintf(room, size, "%.*s", (int)b.n, b.p);
    }
    out->whole = strspn(room, "0123456789");
    return LORAC_OK;
}

/* The digits with zeros in front up to `least` characters, and separators between groups of `group` digits. */
static int add_grouped(machine *m, builder *b, const numeral *n, char separator, size_t group, int64_t least)
{
    size_t count = n->whole, width = (size_t)(least > 0 ? least : 0);
    if (!separator)
        count = count < width ? width : count;
    else
        while (count + (count ? count - 1 : 0) / group < width)
            count++;
    TRY(machine_spend(m, count));
    for (size_t left = count; left > 0; left--) {
        if (separator && left < count && left % group == 0)
            TRY(builder_add(m, b, &separator, 1));
        TRY(builder_add(m, b, left > n->whole ? "0" : n->digits + n->whole - left, 1));
    }
    return builder_text(m, b, n->digits + n->whole);
}

static int add_padded(machine *m, builder *b, slice whole, const spec *f, char align)
{
    value padded;
    int64_t length = (int64_t)utf8_count(whole);
    bool odd = align == '^' && f->width > length && (f->width - length) % 2;
    if (odd) { /* format puts the odd fill on the right */
        TRY(text_pad(m, whole, f->width - 1, f->fill, PAD_BOTH, &padded));
        TRY(text_pad(m, value_slice(padded), f->width, f->fill, PAD_RIGHT, &padded));
    } else {
        TRY(text_pad(m, whole, f->width, f->fill,
                     align == '<'   ? PAD_RIGHT
                     : align == '^' ? PAD_BOTH
                                    : PAD_LEFT,
                     &padded));
    }
    return builder_slice(m, b, value_slice(padded));
}

/* Sign and prefix stand before the fill where the alignment is '=', otherwise behind it. */
static int add_number(machine *m, builder *b, const numeral *n, const spec *f)
{
    const char align = f->align ? f->align : f->zero ? '=' : '>';
    const size_t group = f->type && strchr("xXob", f->type) ? 4 : 3, rest = strlen(n->digits + n->whole);
    int64_t taken = (int64_t)(strlen(n->sign) + strlen(n->prefix));
    bool filled = align == '=' && (f->zero || f->fill == '0');
    builder body = { 0 };
    if (align != '=') {
        TRY(builder_text(m, &body, n->sign));
        TRY(builder_text(m, &body, n->prefix));
    } else {
        TRY(builder_text(m, b, n->sign));
        TRY(builder_text(m, b, n->prefix));
    }
    TRY(add_grouped(m, &body, n, f->grouping, group, filled ? f->width - taken - (int64_t)rest : 0));
    spec left = *f;
    left.width -= align == '=' ? taken : 0;
    return add_padded(m, b, (slice){ body.p, body.n }, &left, align);
}

static int format_number(machine *m, builder *b, value v, const spec *f)
{
    numeral n = { .sign = "", .prefix = "" };
    bool real = v.kind == VALUE_FLOAT || (f->type && strchr("eEfFgG%", f->type)), negative;
    if (real) {
        TRY(real_digits(m, value_as_real(v), f, &n));
        negative = signbit(value_as_real(v)) && !isnan(value_as_real(v));
    } else {
        integer_digits(v, f, &n);
        negative = value_as_int(v) < 0;
    }
    n.sign = negative ? "-" : f->sign == '+' ? "+" : f->sign == ' ' ? " " : "";
    return add_number(m, b, &n, f);
}

/* The character of this number: %c and {:c}. */
static int format_character(machine *m, builder *b, value v, const spec *f, char align)
{
    char room[4];
    int64_t c = value_as_int(v);
    if (c < 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return machine_fail(m, "no character has the number %lld", (long long)c);
    slice text = { room, (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)room) };
    return add_padded(m, b, text, f, align);
}

/* What Python's ascii() makes of a repr(). */
static int escape_to_ascii(machine *m, builder *text)
{
    builder out = { 0 };
    slice s = { text->p, text->n };
    char room[16];
    for (size_t at = 0; at < s.n;) {
        uint32_t c = utf8_next(s, &at);
        snprintf(room, sizeof room, c < 0x80 ? "%c" : c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        TRY(builder_text(m, &out, room));
    }
    *text = out;
    return LORAC_OK;
}

static int format_text(machine *m, builder *b, slice s, const spec *f, char align)
{
    if (f->precision >= 0)
        s.n = text_offset(s, (size_t)f->precision);
    return add_padded(m, b, s, f, align);
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
            TRY(value_truncate(x->m, v.real, &v));
        f->type = 'd';
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
    if (v.kind == VALUE_ABSENT && x->at < x->format.n && x->format.p[x->at] == '%') {
        x->at++;
        return builder_text(x->m, &x->out, "%");
    }
    TRY(percent_spec(x, &f));
    if (v.kind == VALUE_ABSENT)
        TRY(next_argument(x, &v));
    if (strchr("diuxXoeEfFgG", f.type))
        return percent_number(x, v, &f);
    if (f.type == 'c' && (v.kind == VALUE_INT || v.kind == VALUE_BOOL))
        return format_character(x->m, &x->out, v, &f, f.align == '<' ? '<' : '>');
    if (f.type == 's' || (f.type == 'c' && v.kind == VALUE_TEXT && utf8_count(value_slice(v)) == 1))
        TRY(value_print(x->m, &text, v));
    else if (f.type == 'r' || f.type == 'a')
        TRY(value_repr(x->m, &text, v));
    else
        return machine_fail(x->m, "unsupported format character '%c'", f.type);
    if (f.type == 'a')
        TRY(escape_to_ascii(x->m, &text));
    if (f.type == 'c')
        f.precision = -1;
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
    const bool filled = next && next < s.n && strchr("<>=^", s.p[next]);
    if (filled) {
        f->fill = utf8_next(s, &at);
        f->align = s.p[at++];
    } else if (s.n && strchr("<>=^", *s.p)) {
        f->align = s.p[at++];
    }
    if (at < s.n && strchr("+- ", s.p[at]))
        f->sign = s.p[at++];
    if (at < s.n && s.p[at] == '#')
        f->alternate = s.p[at++];
    if (at < s.n && s.p[at] == '0' && !filled) {
        f->fill = '0';
        at++;
        f->zero = !f->align;
    }
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

/* What Python refuses. `kind` is s for texts, d for integers, f for floats. */
static int check_spec(machine *m, const spec *f, char kind)
{
    static const char *const types[] = { ['s'] = "s", ['d'] = "bcdnoxXeEfFgG%", ['f'] = "eEfFgGn%" };
    const char *based = f->grouping == '_' ? "dboxXeEfFgG%" : "deEfFgG%";
    bool integer = kind == 'd' && (!f->type || strchr("bcdnoxX", f->type));
    if (f->type && !strchr(types[(uint8_t)kind], f->type))
        return machine_fail(m, "unknown format code '%c' for this kind of value", f->type);
    if (f->grouping && (kind == 's' || (f->type && !strchr(based, f->type))))
        return machine_fail(m, "a format cannot have '%c' here", f->grouping);
    if (kind == 's' && (f->sign || f->alternate || f->align == '='))
        return machine_fail(m, "a text's format has neither sign nor '#' nor '='");
    if (f->type == 'c' && (f->sign || f->alternate))
        return machine_fail(m, "a character's format has neither sign nor '#'");
    return integer && f->precision >= 0 ? machine_fail(m, "a precision is not allowed for integers") : LORAC_OK;
}

static int convert(formatter *x, value v, slice conversion, builder *text)
{
    if (slice_is(conversion, "s") || !conversion.n)
        return value_print(x->m, text, v);
    if (!slice_is(conversion, "r") && !slice_is(conversion, "a"))
        return machine_fail(x->m, "unknown conversion '%.*s' in a format", (int)conversion.n, conversion.p);
    TRY(value_repr(x->m, text, v));
    return *conversion.p == 'a' ? escape_to_ascii(x->m, text) : LORAC_OK;
}

static int format_value(formatter *x, value v, slice conversion, slice specifier)
{
    spec f;
    builder text = { 0 };
    TRY(parse_spec(x->m, specifier, &f));
    bool number = !conversion.n && value_is_number(v) && !(v.kind == VALUE_BOOL && !specifier.n);
    TRY(check_spec(x->m, &f, !number ? 's' : v.kind == VALUE_FLOAT ? 'f' : 'd'));
    if (number && f.type == 'c')
        return format_character(x->m, &x->out, v, &f, f.align ? f.align : '>');
    if (number)
        return format_number(x->m, &x->out, v, &f);
    TRY(convert(x, v, conversion, &text));
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
