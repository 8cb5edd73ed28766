/* jinja_print.c: values as Python prints them: str(), repr(), and json.dumps(). */
#include "jinja.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int repr(machine *m, builder *b, value v, int depth);

/* The shortest decimal that reads back as the same double, laid out as Python's float.__repr__ does. */
int builder_real(machine *m, builder *b, double real)
{
    char digits[40], *mantissa = digits;
    if (isnan(real))
        return builder_text(m, b, "nan");
    if (isinf(real))
        return builder_text(m, b, real < 0 ? "-inf" : "inf");
    for (int precision = 0; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    char *e = strchr(digits, 'e');
    int exponent = atoi(e + 1);
    *e = 0;
    if (*mantissa == '-') {
        TRY(builder_text(m, b, "-"));
        mantissa++;
    }
    if (exponent < -4 || exponent >= 16)
        return builder_format(m, b, "%se%c%02d", mantissa, exponent < 0 ? '-' : '+', abs(exponent));
    if (mantissa[1])
        memmove(mantissa + 1, mantissa + 2, strlen(mantissa + 2) + 1);
    int count = (int)strlen(mantissa);
    if (exponent < 0)
        return builder_format(m, b, "0.%.*s%s", -exponent - 1, "0000", mantissa);
    if (exponent + 1 < count)
        return builder_format(m, b, "%.*s.%s", exponent + 1, mantissa, mantissa + exponent + 1);
    return builder_format(m, b, "%s%.*s.0", mantissa, exponent + 1 - count, "0000000000000000");
}

static int repr_escape(machine *m, builder *b, uint32_t c)
{
    if (c == '\n' || c == '\r' || c == '\t')
        return builder_text(m, b, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    return builder_format(m, b, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

/* In single quotes, unless only double ones spare an escape. */
static int repr_text(machine *m, builder *b, slice s)
{
    bool single = s.n && memchr(s.p, '\'', s.n), two = s.n && memchr(s.p, '"', s.n);
    char quote = single && !two ? '"' : '\'';
    TRY(machine_spend(m, s.n / 16));
    TRY(builder_add(m, b, &quote, 1));
    for (size_t at = 0; at < s.n;) {
        size_t begin = at;
        uint32_t c = utf8_next(s, &at);
        if (c == (uint32_t)quote || c == '\\')
            TRY(builder_text(m, b, "\\"));
        if (codepoint_is_printable(c))
            TRY(builder_add(m, b, s.p + begin, at - begin));
        else
            TRY(repr_escape(m, b, c));
    }
    return builder_add(m, b, &quote, 1);
}

static int repr_items(machine *m, builder *b, const char *open, value v, const char *close, int depth)
{
    size_t count = sequence_count(v);
    TRY(builder_text(m, b, open));
    for (size_t i = 0; i < count; i++) {
        TRY(builder_text(m, b, i ? ", " : ""));
        TRY(repr(m, b, sequence_at(v, i), depth + 1));
    }
    return builder_text(m, b, v.kind == VALUE_TUPLE && count == 1 ? ",)" : close);
}

static int repr_dict(machine *m, builder *b, value v, int depth)
{
    value key, item;
    void *state = NULL;
    TRY(builder_text(m, b, "{"));
    for (size_t i = 0; dict_step(v, &state, &i, &key, &item);) {
        TRY(builder_text(m, b, i > 1 ? ", " : ""));
        TRY(repr(m, b, key, depth + 1));
        TRY(builder_text(m, b, ": "));
        TRY(repr(m, b, item, depth + 1));
    }
    return builder_text(m, b, "}");
}

/* What Python prints with an address is printed without one. */
static int repr_object(machine *m, builder *b, value v)
{
    slice name;
    switch ((value_kind)v.kind) {
    case VALUE_ITERATOR:
        return builder_format(m, b, "<%s object>", v.series->type);
    case VALUE_LOOP:
        return builder_format(m, b, "<LoopContext %zu/%zu>", v.loop->at + 1, v.loop->items.count);
    case VALUE_MACRO:
        name = v.macro->node->name;
        return builder_format(m, b, "<Macro '%.*s'>", (int)name.n, name.p);
    case VALUE_METHOD:
        return builder_format(m, b, "<built-in method %s of %s object>", v.method->entry->name,
                              value_type(v.method->self));
    case VALUE_FUNCTION:
        return builder_format(m, b, "<function %s>", v.function->name);
    case VALUE_SELF:
        return builder_text(m, b, "<TemplateReference None>");
    default:
        return builder_format(m, b, "<%s object>", value_type(v));
    }
}

static int repr_view(machine *m, builder *b, value v, int depth)
{
    sequence items = { v.series->items, v.series->count };
    value list = { .kind = VALUE_LIST, .sequence = &items };
    TRY(builder_format(m, b, "%s(", v.series->type));
    TRY(repr_items(m, b, "[", list, "]", depth));
    return builder_text(m, b, ")");
}

static int repr(machine *m, builder *b, value v, int depth)
{
    TRY(machine_spend(m, 1));
    if (depth > JINJA_VALUE_DEPTH_LIMIT)
        return machine_fail(m, "value nested too deeply to print");
    switch ((value_kind)v.kind) {
    case VALUE_ABSENT:
    case VALUE_UNDEFINED:
        return builder_text(m, b, "Undefined");
    case VALUE_NONE:
        return builder_text(m, b, "None");
    case VALUE_BOOL:
        return builder_text(m, b, v.truth ? "True" : "False");
    case VALUE_INT:
        return builder_format(m, b, "%lld", (long long)v.integer);
    case VALUE_FLOAT:
        return builder_real(m, b, v.real);
    case VALUE_TEXT:
        if (!v.markup)
            return repr_text(m, b, value_slice(v));
        TRY(builder_text(m, b, "Markup("));
        TRY(repr_text(m, b, value_slice(v)));
        return builder_text(m, b, ")");
    case VALUE_LIST:
        return repr_items(m, b, "[", v, "]", depth);
    case VALUE_TUPLE:
        return repr_items(m, b, "(", v, ")", depth);
    case VALUE_DICT:
        return repr_dict(m, b, v, depth);
    case VALUE_NAMESPACE:
        TRY(builder_text(m, b, "<Namespace "));
        TRY(repr_dict(m, b, (value){ .kind = VALUE_DICT, .dict = v.dict }, depth));
        return builder_text(m, b, ">");
    case VALUE_VIEW:
        return repr_view(m, b, v, depth);
    case VALUE_RANGE:
        TRY(builder_format(m, b, "range(%lld, %lld", (long long)v.range->start, (long long)v.range->stop));
        return v.range->step == 1 ? builder_text(m, b, ")") : builder_format(m, b, ", %lld)", (long long)v.range->step);
    default:
        return repr_object(m, b, v);
    }
}

int value_repr(machine *m, builder *b, value v)
{
    return repr(m, b, v, 0);
}

int value_print(machine *m, builder *b, value v)
{
    if (v.kind == VALUE_TEXT)
        return builder_slice(m, b, value_slice(v));
    return v.kind == VALUE_UNDEFINED ? LORAC_OK : repr(m, b, v, 0);
}

int value_string(machine *m, value v, value *out)
{
    builder b = { 0 };
    *out = v;
    if (v.kind == VALUE_TEXT)
        return LORAC_OK;
    TRY(value_print(m, &b, v));
    *out = builder_value(&b);
    return LORAC_OK;
}

/* ---- json.dumps ---------------------------------------------------------------------------------- */

static int json_codepoint(machine *m, builder *b, uint32_t c)
{
    static const char letters[] = "\b\f\n\r\t\"\\", codes[] = "bfnrt\"\\";
    const char *known = c && c < 0x80 ? strchr(letters, (int)c) : NULL;
    if (known)
        return builder_format(m, b, "\\%c", codes[known - letters]);
    if (c >= 0x10000)
        return builder_format(m, b, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
    return builder_format(m, b, "\\u%04x", (unsigned)c);
}

static int json_text(machine *m, builder *b, slice s, bool ascii)
{
    size_t clean = 0; /* [clean, at) needs no escape */
    TRY(machine_spend(m, s.n / 64));
    TRY(builder_text(m, b, "\""));
    for (size_t at = 0; at < s.n;) {
        size_t begin = at;
        uint32_t c = (unsigned char)s.p[at];
        if (c < 0x80)
            at++;
        else
            c = utf8_next(s, &at);
        if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x7F || !ascii))
            continue;
        TRY(builder_add(m, b, s.p + clean, begin - clean));
        TRY(json_codepoint(m, b, c));
        clean = at;
    }
    TRY(builder_add(m, b, s.p + clean, s.n - clean));
    return builder_text(m, b, "\"");
}

static int json_scalar(machine *m, builder *b, value v, const json_style *style)
{
    switch ((value_kind)v.kind) {
    case VALUE_NONE:
        return builder_text(m, b, "null");
    case VALUE_BOOL:
        return builder_text(m, b, v.truth ? "true" : "false");
    case VALUE_INT:
        return builder_format(m, b, "%lld", (long long)v.integer);
    case VALUE_FLOAT:
        if (isnan(v.real) || isinf(v.real))
            return builder_text(m, b, isnan(v.real) ? "NaN" : v.real < 0 ? "-Infinity" : "Infinity");
        return builder_real(m, b, v.real);
    case VALUE_TEXT:
        return json_text(m, b, value_slice(v), style->ascii);
    default:
        return machine_fail(m, "Object of type %s is not JSON serializable", value_type(v));
    }
}

static int json_break(machine *m, builder *b, const json_style *style, int depth)
{
    if (!style->pretty)
        return LORAC_OK;
    TRY(builder_text(m, b, "\n"));
    for (int i = 0; i < depth; i++)
        TRY(builder_slice(m, b, style->indent));
    return LORAC_OK;
}

static int json_value(machine *m, builder *b, value v, const json_style *style, int depth);

static int json_list(machine *m, builder *b, value v, const json_style *style, int depth)
{
    size_t count = sequence_count(v);
    if (!count)
        return builder_text(m, b, "[]");
    TRY(builder_text(m, b, "["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            TRY(builder_slice(m, b, style->item_separator));
        TRY(json_break(m, b, style, depth + 1));
        TRY(json_value(m, b, sequence_at(v, i), style, depth + 1));
    }
    TRY(json_break(m, b, style, depth));
    return builder_text(m, b, "]");
}

/* Numbers, true, false and null become strings; anything else is no key in JSON. */
static int json_key(machine *m, builder *b, value key, const json_style *style)
{
    if (key.kind == VALUE_TEXT)
        return json_text(m, b, value_slice(key), style->ascii);
    if (key.kind != VALUE_NONE && !value_is_number(key))
        return machine_fail(m, "keys must be str, int, float, bool or None, not %s", value_type(key));
    TRY(builder_text(m, b, "\""));
    TRY(json_scalar(m, b, key, style));
    return builder_text(m, b, "\"");
}

static int json_dict(machine *m, builder *b, value v, const json_style *style, int depth)
{
    size_t count = dict_count(v);
    void *state = NULL;
    if (!count)
        return builder_text(m, b, "{}");
    TRY(machine_spend(m, count));
    pair *pairs = work_new(m, 2 * count, sizeof *pairs);
    if (!pairs)
        return work_status();
    for (size_t i = 0; i < count;) {
        pair *p = &pairs[i];
        dict_step(v, &state, &i, &p->key, &p->item);
    }
    if (style->sort)
        TRY(value_sort(m, pairs, pairs + count, count, false));
    TRY(builder_text(m, b, "{"));
    for (size_t i = 0; i < count; i++) {
        if (i)
            TRY(builder_slice(m, b, style->item_separator));
        TRY(json_break(m, b, style, depth + 1));
        TRY(json_key(m, b, pairs[i].key, style));
        TRY(builder_slice(m, b, style->key_separator));
        TRY(json_value(m, b, pairs[i].item, style, depth + 1));
    }
    TRY(json_break(m, b, style, depth));
    return builder_text(m, b, "}");
}

static int json_value(machine *m, builder *b, value v, const json_style *style, int depth)
{
    TRY(machine_spend(m, 1));
    if (depth > JINJA_VALUE_DEPTH_LIMIT)
        return machine_fail(m, "value nested too deeply for tojson");
    if (v.kind == VALUE_LIST || v.kind == VALUE_TUPLE)
        return json_list(m, b, v, style, depth);
    if (v.kind == VALUE_DICT)
        return json_dict(m, b, v, style, depth);
    return json_scalar(m, b, v, style);
}

int value_json(machine *m, builder *b, value v, const json_style *style)
{
    return json_value(m, b, v, style, 0);
}
