/* jinja_arguments.c: arguments to parameters, with the words of Python's own complaints where it has some. */
#include "jinja_arguments.h"

int bind_arguments(machine *m, const char *what, const arguments *a, const char *const *names, size_t required,
                   size_t count, value *out)
{
    if (a->count > count)
        return machine_fail(m, "%s takes at most %zu argument(s), %zu given", what, count, a->count);
    for (size_t i = 0; i < count; i++)
        out[i] = i < a->count ? a->items[i] : (value){ .kind = VALUE_ABSENT };
    for (size_t k = 0; k < a->keyword_count; k++) {
        const keyword *given = &a->keywords[k];
        size_t i = 0;
        while (i < count && !slice_is(given->name, names[i]))
            i++;
        if (i == count)
            return machine_fail(m, "%s has no parameter '%.*s'", what, (int)given->name.n, given->name.p);
        if (out[i].kind != VALUE_ABSENT)
            return machine_fail(m, "%s got its parameter '%s' twice", what, names[i]);
        out[i] = given->value;
    }
    for (size_t i = 0; i < required; i++)
        if (out[i].kind == VALUE_ABSENT)
            return machine_fail(m, "%s lacks its argument '%s'", what, names[i]);
    return LORAC_OK;
}

int no_arguments(machine *m, const char *what, const arguments *a)
{
    return bind_arguments(m, what, a, NULL, 0, 0, NULL);
}

int argument_int(machine *m, const char *what, value v, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (v.kind == VALUE_ABSENT)
        return LORAC_OK;
    if (v.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, v);
    if (!value_is_int(v))
        return machine_fail(m, "%s expects an integer, found %s", what, value_type(v));
    *out = value_as_int(v);
    return LORAC_OK;
}

int argument_text(machine *m, const char *what, value v, slice *out)
{
    if (v.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, v);
    if (v.kind != VALUE_TEXT)
        return machine_fail(m, "%s expects a string, found %s", what, value_type(v));
    *out = value_slice(v);
    return LORAC_OK;
}
