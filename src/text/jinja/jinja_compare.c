/* jinja_compare.c: whether values are equal, in what order they stand, what contains them: Python's comparisons. */
#include "jinja.h"

#include <string.h>

static int equal(machine *m, value a, value b, bool *out, int depth);

static int equal_sequences(machine *m, value a, value b, bool *out, int depth)
{
    size_t count = sequence_count(a);
    *out = a.kind == b.kind && count == sequence_count(b);
    for (size_t i = 0; *out && i < count; i++)
        TRY(equal(m, sequence_at(a, i), sequence_at(b, i), out, depth));
    return LORAC_OK;
}

static int equal_dicts(machine *m, value a, value b, bool *out, int depth)
{
    value key, item, other;
    void *state = NULL;
    *out = dict_count(a) == dict_count(b);
    for (size_t i = 0; *out && dict_step(a, &state, &i, &key, &item);) {
        TRY(dict_get(m, b, key, out, &other));
        if (*out)
            TRY(equal(m, item, other, out, depth));
    }
    return LORAC_OK;
}

/* Holds every 64-bit integer and every double, so that integers and floats compare exactly. */
static long double wide(value number)
{
    return number.kind == VALUE_FLOAT ? (long double)number.real : (long double)value_as_int(number);
}

static bool equal_numbers(value a, value b)
{
    if (a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT)
        return value_as_int(a) == value_as_int(b);
    return wide(a) == wide(b);
}

static int equal(machine *m, value a, value b, bool *out, int depth)
{
    *out = false;
    TRY(machine_spend(m, 1));
    if (depth > JINJA_VALUE_DEPTH_LIMIT)
        return machine_fail(m, "value nested too deeply");
    if (value_is_number(a) && value_is_number(b)) {
        *out = equal_numbers(a, b);
        return LORAC_OK;
    }
    if (a.kind != b.kind)
        return LORAC_OK;
    switch ((value_kind)a.kind) {
    case VALUE_ABSENT:
    case VALUE_NONE:
    case VALUE_UNDEFINED:
        *out = true;
        return LORAC_OK;
    case VALUE_TEXT:
        *out = slice_equal(value_slice(a), value_slice(b));
        return machine_spend(m, a.n / 256);
    case VALUE_LIST:
    case VALUE_TUPLE:
        return equal_sequences(m, a, b, out, depth + 1);
    case VALUE_DICT:
        return equal_dicts(m, a, b, out, depth + 1);
    case VALUE_RANGE:
        *out = a.range->count == b.range->count &&
               (!a.range->count ||
                (a.range->start == b.range->start && (a.range->count == 1 || a.range->step == b.range->step)));
        return LORAC_OK;
    default:
        *out = a.identity == b.identity;
        return LORAC_OK;
    }
}

int value_equal(machine *m, value a, value b, bool *out)
{
    return equal(m, a, b, out, 0);
}

static int order_numbers(value a, value b)
{
    if (a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT) {
        int64_t x = value_as_int(a), y = value_as_int(b);
        return x < y ? -1 : x > y;
    }
    long double x = wide(a), y = wide(b);
    if (x != x || y != y)
        return 2;
    return x < y ? -1 : x > y;
}

static int order(machine *m, value a, value b, const char *op, int *out, int depth);

/* The first unequal pair decides. */
static int order_sequences(machine *m, value a, value b, const char *op, int *out, int depth)
{
    size_t na = sequence_count(a), nb = sequence_count(b);
    for (size_t i = 0; i < na && i < nb; i++) {
        bool same;
        TRY(value_equal(m, sequence_at(a, i), sequence_at(b, i), &same));
        if (!same)
            return order(m, sequence_at(a, i), sequence_at(b, i), op, out, depth + 1);
    }
    *out = na < nb ? -1 : na > nb;
    return LORAC_OK;
}

static int order(machine *m, value a, value b, const char *op, int *out, int depth)
{
    TRY(machine_spend(m, 1));
    if (depth > JINJA_VALUE_DEPTH_LIMIT)
        return machine_fail(m, "value nested too deeply");
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, a.kind == VALUE_UNDEFINED ? a : b);
    if (value_is_number(a) && value_is_number(b)) {
        *out = order_numbers(a, b);
        return LORAC_OK;
    }
    if (a.kind == VALUE_TEXT && b.kind == VALUE_TEXT) {
        /* UTF-8 sorts as its codepoints do. */
        int c = memcmp(a.n ? a.text : "", b.n ? b.text : "", a.n < b.n ? a.n : b.n);
        *out = c < 0 ? -1 : c > 0 ? 1 : a.n < b.n ? -1 : a.n > b.n;
        return machine_spend(m, (a.n < b.n ? a.n : b.n) / 256);
    }
    if (a.kind == b.kind && (a.kind == VALUE_LIST || a.kind == VALUE_TUPLE))
        return order_sequences(m, a, b, op, out, depth);
    return machine_fail(m, "'%s' not supported between instances of '%s' and '%s'", op, value_type(a), value_type(b));
}

int value_order(machine *m, value a, value b, const char *op, int *out)
{
    return order(m, a, b, op, out, 0);
}

static int contains(machine *m, value container, value v, bool *out)
{
    sequence items;
    value ignored;
    *out = false;
    if (container.kind == VALUE_TEXT) {
        if (v.kind != VALUE_TEXT)
            return machine_fail(m, "'in <string>' requires string as left operand, not %s", value_type(v));
        *out = text_find(value_slice(container), value_slice(v)) != NULL;
        return machine_spend(m, container.n / 64);
    }
    if (container.kind == VALUE_DICT)
        return dict_get(m, container, v, out, &ignored);
    if (!value_iterable(container))
        return machine_fail(m, "argument of type '%s' is not iterable", value_type(container));
    TRY(value_items(m, container, &items));
    for (size_t i = 0; i < items.count && !*out; i++)
        TRY(value_equal(m, items.items[i], v, out));
    return LORAC_OK;
}

int value_sort(machine *m, pair *pairs, pair *room, size_t n, bool reverse)
{
    size_t half = n / 2, a = 0, b = half, k = 0;
    if (n < 2)
        return LORAC_OK;
    TRY(value_sort(m, pairs, room, half, reverse));
    TRY(value_sort(m, pairs + half, room, n - half, reverse));
    while (a < half && b < n) {
        int order;
        TRY(value_order(m, pairs[reverse ? a : b].key, pairs[reverse ? b : a].key, "<", &order));
        room[k++] = order == -1 ? pairs[b++] : pairs[a++];
    }
    while (a < half)
        room[k++] = pairs[a++];
    memcpy(pairs, room, k * sizeof *pairs);
    return LORAC_OK;
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
        return contains(m, b, a, out);
    case OP_NOT_IN:
        TRY(contains(m, b, a, out));
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
