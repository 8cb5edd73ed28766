/* jinja_operators.c: what + - * / // % ** and the comparisons do, attributes, items and slices. */
#include "jinja.h"

#include <math.h>
#include <string.h>

static int operand_fail(machine *m, const char *op, value a, value b)
{
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, a.kind == VALUE_UNDEFINED ? a : b);
    return machine_fail(m, "unsupported operand type(s) for %s: '%s' and '%s'", op, value_type(a), value_type(b));
}

/* Where a's text is the last thing in the workspace, b is written behind it and the bytes are shared: a chain of
 * additions, or a text that grows in a loop, is copied once. */
static int add_texts(machine *m, value a, value b, value *out)
{
    builder joined = { 0 };
    if (a.markup != b.markup)
        TRY(text_escape(m, a.markup ? b : a, a.markup ? &b : &a));
    if (a.n && a.text + a.n == m->free && m->free != m->end)
        joined = (builder){ (char *)a.text, a.n, a.n };
    else
        TRY(builder_slice(m, &joined, value_slice(a)));
    TRY(builder_slice(m, &joined, value_slice(b)));
    *out = builder_value(&joined);
    out->markup = a.markup;
    return LORAC_OK;
}

static int add_sequences(machine *m, value a, value b, value *out)
{
    size_t na = sequence_count(a), nb = sequence_count(b);
    TRY(value_new_sequence(m, a.kind, na + nb, out));
    for (size_t i = 0; i < na; i++)
        out->sequence->items[i] = sequence_at(a, i);
    for (size_t i = 0; i < nb; i++)
        out->sequence->items[na + i] = sequence_at(b, i);
    return LORAC_OK;
}

static int too_large(machine *m)
{
    return machine_fail(m, "integer result beyond 64 bits");
}

static int add(machine *m, value a, value b, value *out)
{
    if (a.kind == VALUE_TEXT && b.kind == VALUE_TEXT)
        return add_texts(m, a, b, out);
    if (a.kind == b.kind && (a.kind == VALUE_LIST || a.kind == VALUE_TUPLE))
        return add_sequences(m, a, b, out);
    if (a.kind == VALUE_TEXT && b.kind != VALUE_UNDEFINED)
        return machine_fail(m, "can only concatenate str (not \"%s\") to str", value_type(b));
    return operand_fail(m, "+", a, b);
}

/* A text or sequence, `count` times. */
static int repeat(machine *m, value v, int64_t count, value *out)
{
    builder b = { 0 };
    if (count < 0)
        count = 0;
    if (v.kind == VALUE_TEXT) {
        if (v.n && (uint64_t)count > JINJA_TEXT_LIMIT / v.n)
            return machine_fail(m, "the template makes a text of more than %zu MiB", (size_t)(JINJA_TEXT_LIMIT >> 20));
        TRY(machine_spend(m, v.n ? (size_t)count : 0));
        for (int64_t i = 0; v.n && i < count; i++)
            TRY(builder_slice(m, &b, value_slice(v)));
        *out = builder_value(&b);
        out->markup = v.markup;
        return LORAC_OK;
    }
    size_t n = sequence_count(v), total;
    if (__builtin_mul_overflow(n, (size_t)count, &total) || total > (size_t)JINJA_STEP_LIMIT)
        return machine_fail(m, "the template makes a list of more than %lld items", JINJA_STEP_LIMIT);
    TRY(value_new_sequence(m, v.kind, total, out));
    for (size_t i = 0; i < total; i++)
        out->sequence->items[i] = sequence_at(v, i % n);
    return LORAC_OK;
}

static bool repeatable(value v)
{
    return v.kind == VALUE_TEXT || v.kind == VALUE_LIST || v.kind == VALUE_TUPLE;
}

static bool is_integer(value v)
{
    return v.kind == VALUE_INT || v.kind == VALUE_BOOL;
}

/* Rounds towards minus infinity, as Python does. */
static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static double modulo(double a, double b)
{
    double r = fmod(a, b);
    if (r != 0 && (r < 0) != (b < 0))
        r += b;
    return r != 0 ? r : copysign(0, b);
}

static double floor_divide_reals(double a, double b)
{
    double r = fmod(a, b), quotient = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0))
        quotient -= 1;
    if (quotient == 0)
        return copysign(0, a / b);
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

static int bits(uint64_t n)
{
    return 64 - __builtin_clzll(n);
}

/* Rounded once, also where the integers do not fit a double: 63 bits of the quotient, the last one set when anything is
 * left over. */
static double divide(int64_t a, int64_t b)
{
    uint64_t n = a < 0 ? -(uint64_t)a : (uint64_t)a, d = b < 0 ? -(uint64_t)b : (uint64_t)b;
    if (!n)
        return b < 0 ? -0.0 : 0.0;
    int shift = 63 - bits(n) + bits(d);
    unsigned __int128 scaled = (unsigned __int128)n << shift;
    uint64_t quotient = (uint64_t)(scaled / d) | (scaled % d != 0);
    double real = ldexp((double)quotient, -shift);
    return (a < 0) != (b < 0) ? -real : real;
}

static int integer_power(machine *m, int64_t base, int64_t exponent, value *out)
{
    int64_t result = 1;
    if (exponent < 0) {
        if (!base)
            return machine_fail(m, "0.0 cannot be raised to a negative power");
        *out = value_of_float(pow((double)base, (double)exponent));
        return LORAC_OK;
    }
    for (;; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return too_large(m);
        if (exponent <= 1)
            break;
        if (__builtin_mul_overflow(base, base, &base))
            return too_large(m);
    }
    *out = value_of_int(result);
    return LORAC_OK;
}

static int operate_integers(machine *m, operator op, int64_t a, int64_t b, value *out)
{
    int64_t r = 0;
    bool overflow = false;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && !b)
        return machine_fail(m, "division by zero");
    switch (op) {
    case OP_ADD:
        overflow = __builtin_add_overflow(a, b, &r);
        break;
    case OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &r);
        break;
    case OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &r);
        break;
    case OP_DIV:
        *out = value_of_float(divide(a, b));
        return LORAC_OK;
    case OP_FLOORDIV:
        overflow = a == INT64_MIN && b == -1;
        r = overflow ? 0 : floor_divide(a, b);
        break;
    case OP_MOD:
        r = b == -1 ? 0 : a - floor_divide(a, b) * b;
        break;
    default:
        return integer_power(m, a, b, out);
    }
    if (overflow)
        return too_large(m);
    *out = value_of_int(r);
    return LORAC_OK;
}

static int operate_reals(machine *m, operator op, double a, double b, value *out)
{
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0)
        return machine_fail(m, "float division by zero");
    switch (op) {
    case OP_ADD:
        *out = value_of_float(a + b);
        return LORAC_OK;
    case OP_SUB:
        *out = value_of_float(a - b);
        return LORAC_OK;
    case OP_MUL:
        *out = value_of_float(a * b);
        return LORAC_OK;
    case OP_DIV:
        *out = value_of_float(a / b);
        return LORAC_OK;
    case OP_FLOORDIV:
        *out = value_of_float(floor_divide_reals(a, b));
        return LORAC_OK;
    case OP_MOD:
        *out = value_of_float(modulo(a, b));
        return LORAC_OK;
    default:
        if (a < 0 && floor(b) != b)
            return machine_fail(m, "power with a complex result");
        *out = value_of_float(pow(a, b));
        return LORAC_OK;
    }
}

int operate(machine *m, operator op, value a, value b, value *out)
{
    static const char *const names[] = { "+", "-", "*", "/", "//", "%", "**" };
    if (is_integer(a) && is_integer(b))
        return operate_integers(m, op, value_as_int(a), value_as_int(b), out);
    if (value_is_number(a) && value_is_number(b))
        return operate_reals(m, op, value_as_real(a), value_as_real(b), out);
    if (op == OP_ADD)
        return add(m, a, b, out);
    if (op == OP_MUL && repeatable(a) && is_integer(b))
        return repeat(m, a, value_as_int(b), out);
    if (op == OP_MUL && repeatable(b) && is_integer(a))
        return repeat(m, b, value_as_int(a), out);
    if (op == OP_MOD && a.kind == VALUE_TEXT)
        return text_percent(m, a, b, out);
    return operand_fail(m, names[op], a, b);
}

int compare(machine *m, operator op, value a, value b, bool *out)
{
    static const char *const names[] = { [OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">=" };
    int order;
    switch (op) {
    case OP_EQ:
        return value_equal(m, a, b, out);
    case OP_NE:
        TRY(value_equal(m, a, b, out));
        *out = !*out;
        return LORAC_OK;
    case OP_IN:
        return value_contains(m, b, a, out);
    case OP_NOT_IN:
        TRY(value_contains(m, b, a, out));
        *out = !*out;
        return LORAC_OK;
    default:
        TRY(value_order(m, a, b, names[op], &order));
        *out = order != 2 && (op == OP_LT   ? order < 0
                              : op == OP_LE ? order <= 0
                              : op == OP_GT ? order > 0
                                            : order >= 0);
        return LORAC_OK;
    }
}

/* ---- Attributes and items ------------------------------------------------------------------------- */

/* obj[name] after obj.name has failed, or the undefined value. */
static int attribute_or_key(machine *m, value object, slice name, value *out)
{
    if (object.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, object);
    if (object.kind == VALUE_DICT && dict_get_text(object, name, out))
        return LORAC_OK;
    *out = value_undefined_attribute(object, name);
    return LORAC_OK;
}

static int unsafe_attribute(machine *m, value object, slice name, value *out)
{
    builder b = { 0 };
    TRY(builder_format(m, &b, "access to attribute '%.*s' of '%s' object is unsafe.",
                       (int)(name.n < 200 ? name.n : 200), name.p, value_type(object)));
    *out = value_undefined_hint("");
    out->text = b.p;
    out->n = b.n;
    return LORAC_OK;
}

static int bind_method(machine *m, value object, const method_entry *entry, value *out)
{
    method *bound = work_new(m, 1, sizeof *bound);
    if (!bound)
        return work_status();
    *bound = (method){ object, entry };
    *out = (value){ .kind = VALUE_METHOD, .method = bound };
    return LORAC_OK;
}

/* What Python's getattr finds: methods, and the fields of the engine's own objects. VALUE_ABSENT when there is none. */
static int own_attribute(machine *m, value object, slice name, value *out)
{
    *out = (value){ .kind = VALUE_ABSENT };
    if (object.kind == VALUE_NAMESPACE) {
        if (dict_get_text((value){ .kind = VALUE_DICT, .dict = object.dict }, name, out))
            return LORAC_OK;
    } else if (object.kind == VALUE_LOOP) {
        return loop_attribute(m, object.loop, name, out);
    } else if (object.kind == VALUE_MACRO && slice_is(name, "name")) {
        *out = value_of_slice(object.macro->node->name);
    } else if (object.kind == VALUE_TUPLE && object.group && (slice_is(name, "grouper") || slice_is(name, "list"))) {
        *out = object.sequence->items[slice_is(name, "list")];
    } else if (object.kind == VALUE_CYCLER && slice_is(name, "current")) {
        *out = object.cycler->items[object.cycler->at];
    } else {
        const method_entry *entry = method_find(object.kind, name);
        if (entry)
            return entry->unsafe ? unsafe_attribute(m, object, name, out) : bind_method(m, object, entry, out);
    }
    return LORAC_OK;
}

int get_attribute(machine *m, value object, slice name, value *out)
{
    TRY(own_attribute(m, object, name, out));
    if (out->kind != VALUE_ABSENT)
        return LORAC_OK;
    return attribute_or_key(m, object, name, out);
}

static int index_fail_or_undefined(machine *m, value object, value key, value *out)
{
    builder b = { 0 };
    if (key.kind == VALUE_TEXT) {
        TRY(own_attribute(m, object, value_slice(key), out));
        if (out->kind == VALUE_ABSENT)
            *out = value_undefined_attribute(object, value_slice(key));
        return LORAC_OK;
    }
    TRY(builder_format(m, &b, "%s object has no element ", value_type(object)));
    TRY(value_repr(m, &b, key));
    *out = value_undefined_hint("");
    out->text = b.p;
    out->n = b.n;
    return LORAC_OK;
}

static bool in_range(int64_t *i, size_t count)
{
    if (*i < 0)
        *i += (int64_t)count;
    return *i >= 0 && (uint64_t)*i < count;
}

static int text_index(machine *m, value object, int64_t i, bool *found, value *out)
{
    slice s = value_slice(object);
    size_t count = text_length(s);
    TRY(machine_spend(m, s.n / 64));
    *found = in_range(&i, count);
    if (*found)
        *out = value_of_slice(text_character(s, count == s.n ? (size_t)i : text_offset(s, (size_t)i)));
    return LORAC_OK;
}

int get_item(machine *m, value object, value key, value *out)
{
    bool found = false;
    int64_t i = is_integer(key) ? value_as_int(key) : 0;
    if (object.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, object);
    if (object.kind == VALUE_DICT && key.kind != VALUE_LIST && key.kind != VALUE_DICT) {
        TRY(dict_get(m, object, key, &found, out));
    } else if (is_integer(key) && (object.kind == VALUE_LIST || object.kind == VALUE_TUPLE)) {
        found = in_range(&i, sequence_count(object));
        if (found)
            *out = sequence_at(object, (size_t)i);
    } else if (is_integer(key) && object.kind == VALUE_TEXT) {
        TRY(text_index(m, object, i, &found, out));
    } else if (is_integer(key) && object.kind == VALUE_RANGE) {
        found = in_range(&i, object.range->count);
        if (found)
            *out = value_of_int(object.range->start + i * object.range->step);
    }
    return found ? LORAC_OK : index_fail_or_undefined(m, object, key, out);
}

typedef struct bounds {
    int64_t start, step;
    size_t count;
} bounds;

static int slice_index(machine *m, value v, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (v.kind == VALUE_NONE)
        return LORAC_OK;
    if (v.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, v);
    if (!is_integer(v))
        return machine_fail(m, "slice indices must be integers or None, not %s", value_type(v));
    *out = value_as_int(v);
    return LORAC_OK;
}

static int64_t clamp(int64_t i, int64_t count, int64_t least, int64_t most)
{
    if (i < 0)
        i = i < -count ? -1 : i + count;
    return i < least ? least : i > most ? most : i;
}

/* Python's slice.indices(). */
static int slice_bounds(machine *m, value start, value stop, value step, size_t length, bounds *out)
{
    int64_t n = (int64_t)length, from, to;
    TRY(slice_index(m, step, 1, &out->step));
    if (!out->step)
        return machine_fail(m, "slice step cannot be zero");
    bool back = out->step < 0;
    TRY(slice_index(m, start, back ? n : 0, &from));
    TRY(slice_index(m, stop, back ? -n - 1 : n, &to));
    from = clamp(from, n, back ? -1 : 0, back ? n - 1 : n);
    to = clamp(to, n, back ? -1 : 0, back ? n - 1 : n);
    uint64_t distance = back ? (from > to ? (uint64_t)(from - to) : 0) : (to > from ? (uint64_t)(to - from) : 0);
    uint64_t stride = back ? -(uint64_t)out->step : (uint64_t)out->step;
    out->start = from;
    out->count = distance ? (size_t)((distance - 1) / stride + 1) : 0;
    return LORAC_OK;
}

static int slice_text(machine *m, value object, const bounds *w, size_t length, value *out)
{
    slice s = value_slice(object);
    builder b = { 0 };
    bool plain = length == s.n;
    TRY(machine_spend(m, s.n / 64));
    if (w->step == 1) {
        size_t begin = plain ? (size_t)w->start : text_offset(s, (size_t)w->start);
        slice rest = { s.p + begin, s.n - begin };
        *out = value_of_slice((slice){ rest.p, plain ? w->count : text_offset(rest, w->count) });
        return LORAC_OK;
    }
    if (plain) {
        for (size_t i = 0; i < w->count; i++)
            TRY(builder_add(m, &b, s.p + w->start + (int64_t)i * w->step, 1));
        *out = builder_value(&b);
        return LORAC_OK;
    }
    sequence characters;
    TRY(value_items(m, object, &characters));
    for (size_t i = 0; i < w->count; i++)
        TRY(builder_slice(m, &b, value_slice(characters.items[w->start + (int64_t)i * w->step])));
    *out = builder_value(&b);
    return LORAC_OK;
}

int get_slice(machine *m, value object, value start, value stop, value step, value *out)
{
    bounds w;
    size_t length;
    if (object.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, object);
    bool list = object.kind == VALUE_LIST || object.kind == VALUE_TUPLE;
    if (!list && object.kind != VALUE_TEXT && object.kind != VALUE_RANGE)
        return machine_fail(m, "'%s' object cannot be sliced", value_type(object));
    TRY(value_length(m, object, &length));
    TRY(slice_bounds(m, start, stop, step, length, &w));
    if (object.kind == VALUE_TEXT) {
        TRY(slice_text(m, object, &w, length, out));
        out->markup = object.markup;
        return LORAC_OK;
    }
    if (object.kind == VALUE_RANGE) {
        range *r = work_new(m, 1, sizeof *r);
        if (!r)
            return work_status();
        int64_t first = object.range->start + w.start * object.range->step, each = object.range->step * w.step;
        *r = (range){ first, first + (int64_t)w.count * each, each, w.count };
        *out = (value){ .kind = VALUE_RANGE, .range = r };
        return LORAC_OK;
    }
    TRY(value_new_sequence(m, object.kind, w.count, out));
    for (size_t i = 0; i < w.count; i++)
        out->sequence->items[i] = sequence_at(object, (size_t)(w.start + (int64_t)i * w.step));
    return LORAC_OK;
}
