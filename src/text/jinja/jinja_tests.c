/* jinja_tests.c: what can stand after `is`. */
#include "jinja_arguments.h"

#include <math.h>
#include <string.h>

#define NO_ARGUMENTS(name) TRY(no_arguments(m, "the test '" name "'", a))

/* value % divisor == remainder, by Python's rules for the types. */
static int remainder_is(machine *m, value input, value divisor, int64_t remainder, bool *out)
{
    value rest;
    TRY(operate(m, OP_MOD, input, divisor, &rest));
    return value_equal(m, rest, value_of_int(remainder), out);
}

static int test_odd(machine *m, value input, const arguments *a, bool *out)
{
    NO_ARGUMENTS("odd");
    return remainder_is(m, input, value_of_int(2), 1, out);
}

static int test_even(machine *m, value input, const arguments *a, bool *out)
{
    NO_ARGUMENTS("even");
    return remainder_is(m, input, value_of_int(2), 0, out);
}

static int test_divisibleby(machine *m, value input, const arguments *a, bool *out)
{
    BIND("the test 'divisibleby'", 1, "num");
    return remainder_is(m, input, p[0], 0, out);
}

#define SIMPLE_TEST(name, condition)                                               \
    static int test_##name(machine *m, value input, const arguments *a, bool *out) \
    {                                                                              \
        NO_ARGUMENTS(#name);                                                       \
        *out = (condition);                                                        \
        return LORAC_OK;                                                           \
    }

SIMPLE_TEST(defined, input.kind != VALUE_UNDEFINED)
SIMPLE_TEST(undefined, input.kind == VALUE_UNDEFINED)
SIMPLE_TEST(none, input.kind == VALUE_NONE)
SIMPLE_TEST(boolean, input.kind == VALUE_BOOL)
SIMPLE_TEST(false, input.kind == VALUE_BOOL && !input.truth)
SIMPLE_TEST(true, input.kind == VALUE_BOOL && input.truth)
SIMPLE_TEST(integer, input.kind == VALUE_INT)
SIMPLE_TEST(float, input.kind == VALUE_FLOAT)
SIMPLE_TEST(string, input.kind == VALUE_TEXT)
SIMPLE_TEST(mapping, input.kind == VALUE_DICT)
SIMPLE_TEST(number, value_is_number(input))
/* A length and items by number; dicts have both for Python, views lack the second. */
SIMPLE_TEST(sequence, value_has_length(input) && input.kind != VALUE_VIEW && input.kind != VALUE_LOOP)
SIMPLE_TEST(iterable, value_iterable(input))
SIMPLE_TEST(callable, input.kind >= VALUE_MACRO || input.kind == VALUE_LOOP || input.kind == VALUE_UNDEFINED)
SIMPLE_TEST(escaped, input.kind == VALUE_TEXT && input.markup)

static int has_case(machine *m, value input, text_case how, bool *out)
{
    value text;
    TRY(value_string(m, input, &text));
    return text_has_case(m, value_slice(text), how, out);
}

static int test_lower(machine *m, value input, const arguments *a, bool *out)
{
    NO_ARGUMENTS("lower");
    return has_case(m, input, CASE_LOWER, out);
}

static int test_upper(machine *m, value input, const arguments *a, bool *out)
{
    NO_ARGUMENTS("upper");
    return has_case(m, input, CASE_UPPER, out);
}

/* Python looks the value up in a dict, for this test and the next. */
static int test_filter(machine *m, value input, const arguments *a, bool *out)
{
    NO_ARGUMENTS("filter");
    TRY(value_need_hash(m, input));
    *out = input.kind == VALUE_TEXT && filter_find(value_slice(input));
    return LORAC_OK;
}

static int test_test(machine *m, value input, const arguments *a, bool *out)
{
    NO_ARGUMENTS("test");
    TRY(value_need_hash(m, input));
    *out = input.kind == VALUE_TEXT && test_find(value_slice(input));
    return LORAC_OK;
}

static int test_sameas(machine *m, value input, const arguments *a, bool *out)
{
    BIND("the test 'sameas'", 1, "other");
    if (input.kind != p[0].kind)
        *out = false;
    else if (value_is_number(input) || input.kind == VALUE_TEXT || input.kind == VALUE_NONE)
        return value_equal(m, input, p[0], out);
    else
        *out = input.identity == p[0].identity;
    return LORAC_OK;
}

static int test_in(machine *m, value input, const arguments *a, bool *out)
{
    BIND("the test 'in'", 1, "seq");
    return compare(m, OP_IN, input, p[0], out);
}

#define COMPARISON_TEST(name, op)                                                  \
    static int test_##name(machine *m, value input, const arguments *a, bool *out) \
    {                                                                              \
        BIND("the test '" #name "'", 1, "other");                                  \
        return compare(m, op, input, p[0], out);                                   \
    }

COMPARISON_TEST(eq, OP_EQ)
COMPARISON_TEST(ne, OP_NE)
COMPARISON_TEST(lt, OP_LT)
COMPARISON_TEST(le, OP_LE)
COMPARISON_TEST(gt, OP_GT)
COMPARISON_TEST(ge, OP_GE)

const test *test_find(slice name)
{
    static const test tests[] = {
        { "defined", test_defined },
        { "undefined", test_undefined },
        { "none", test_none },
        { "string", test_string },
        { "mapping", test_mapping },
        { "iterable", test_iterable },
        { "sequence", test_sequence },
        { "number", test_number },
        { "boolean", test_boolean },
        { "true", test_true },
        { "false", test_false },
        { "integer", test_integer },
        { "float", test_float },
        { "odd", test_odd },
        { "even", test_even },
        { "divisibleby", test_divisibleby },
        { "lower", test_lower },
        { "upper", test_upper },
        { "filter", test_filter },
        { "test", test_test },
        { "callable", test_callable },
        { "sameas", test_sameas },
        { "escaped", test_escaped },
        { "in", test_in },
        { "==", test_eq },
        { "eq", test_eq },
        { "equalto", test_eq },
        { "!=", test_ne },
        { "ne", test_ne },
        { ">", test_gt },
        { "gt", test_gt },
        { "greaterthan", test_gt },
        { ">=", test_ge },
        { "ge", test_ge },
        { "<", test_lt },
        { "lt", test_lt },
        { "lessthan", test_lt },
        { "<=", test_le },
        { "le", test_le },
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (slice_is(name, tests[i].name))
            return &tests[i];
    return NULL;
}
