/* jinja_operators.c: what + - * / // % and ** do. */
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
        if (a == 0 && b < 0)
            return machine_fail(m, "0.0 cannot be raised to a negative power");
        *out = value_of_float(pow(a, b));
        return isfinite(out->real) || !isfinite(a) || !isfinite(b)
                   ? LORAC_OK
                   : machine_fail(m, "the power is too large for a float");
    }
}

int operate(machine *m, operator op, value a, value b, value *out)
{
    static const char *const names[] = { "+", "-", "*", "/", "//", "%", "**" };
    if (value_is_int(a) && value_is_int(b))
        return operate_integers(m, op, value_as_int(a), value_as_int(b), out);
    if (value_is_number(a) && value_is_number(b))
        return operate_reals(m, op, value_as_real(a), value_as_real(b), out);
    if (op == OP_ADD)
        return add(m, a, b, out);
    if (op == OP_MUL && repeatable(a) && value_is_int(b))
        return repeat(m, a, value_as_int(b), out);
    if (op == OP_MUL && repeatable(b) && value_is_int(a))
        return repeat(m, b, value_as_int(a), out);
    if (op == OP_MOD && a.kind == VALUE_TEXT)
        return text_percent(m, a, b, out);
    return operand_fail(m, names[op], a, b);
}
