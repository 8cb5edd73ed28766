/* jinja_arguments.h: how arguments find their parameters, for everything that a template can call with some: functions,
 * methods, filters and tests. */
#ifndef LORAC_JINJA_ARGUMENTS_H
#define LORAC_JINJA_ARGUMENTS_H

#include "jinja.h"

/* Sorts arguments into parameters by place and by name, as a Python call does. The first `required` must be given; out
 * has `count` places, VALUE_ABSENT where nothing was given. `what` names the callee. */
int bind_arguments(machine *m, const char *what, const arguments *a, const char *const *names, size_t required,
                   size_t count, value *out);
int no_arguments(machine *m, const char *what, const arguments *a);
int argument_int(machine *m, const char *what, value v, int64_t fallback, int64_t *out);
int argument_text(machine *m, const char *what, value v, slice *out);

/* Declares p[], with a place for each of the names, and binds the arguments `a` to it. */
#define BIND(what, required, ...)                       \
    static const char *const names[] = { __VA_ARGS__ }; \
    value p[sizeof names / sizeof *names];              \
    TRY(bind_arguments(m, what, a, names, required, sizeof names / sizeof *names, p))

/* A filter or method that is `general` with these choices made. */
#define VARIANT(name, general, ...)                                          \
    static int name(machine *m, value input, const arguments *a, value *out) \
    {                                                                        \
        return general(m, input, a, __VA_ARGS__, out);                       \
    }

static inline bool given(value v)
{
    return v.kind != VALUE_ABSENT;
}

/* For parameters whose None means that nothing was given. */
static inline value none_is_absent(value v)
{
    if (v.kind == VALUE_NONE)
        v.kind = VALUE_ABSENT;
    return v;
}

static inline bool given_something(value v)
{
    return given(none_is_absent(v));
}

#endif
