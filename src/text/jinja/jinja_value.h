/* jinja_value.h: values as Python has them: making, asking and comparing them. jansson objects are wrapped where they
 * lie: their strings and containers are read in place and never changed. Knows neither the tree nor how it is walked.
 */
#ifndef LORAC_JINJA_VALUE_H
#define LORAC_JINJA_VALUE_H

#include "err.h"
#include "str.h"

#include <jansson.h>

typedef struct machine machine;

typedef enum value_kind {
    VALUE_ABSENT, /* no value at all: an argument not given */
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_VIEW,     /* dict.items(), keys(), values() */
    VALUE_ITERATOR, /* Python's generators: read once, no length, always true */
    VALUE_RANGE,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_METHOD, /* bound to its object */
    VALUE_FUNCTION,
    VALUE_CYCLER,
    VALUE_JOINER,
    VALUE_SELF /* jinja2's reference to the template's blocks, of which chat templates have none */
} value_kind;

/* What the text of an undefined value is. */
enum { UNDEFINED_VARIABLE, UNDEFINED_ATTRIBUTE, UNDEFINED_HINT };

typedef struct value {
    uint8_t kind;
    bool foreign;             /* LIST, DICT: a jansson object, wrapped and not copied */
    bool markup;              /* TEXT: went through |safe or |escape */
    bool group;               /* TUPLE: of groupby, with the names grouper and list */
    uint8_t undefined, owner; /* UNDEFINED: what `text` is, and the kind of the object that lacks it */
    size_t n;                 /* TEXT, UNDEFINED: bytes */
    union {
        bool truth;
        int64_t integer;
        double real;
        const char *text;
        json_t *json;
        struct sequence *sequence; /* LIST, TUPLE */
        struct dict *dict;         /* DICT, NAMESPACE */
        struct series *series;     /* VIEW, ITERATOR */
        struct range *range;
        struct loop *loop;
        struct macro *macro;
        struct method *method;
        const struct function *function;
        struct cycler *cycler;
        struct joiner *joiner;
        const void *identity;
    };
} value;

typedef struct sequence {
    value *items;
    size_t count;
} sequence;
typedef struct pair {
    value key, item;
} pair;
typedef struct dict {
    pair *pairs;
    size_t count, capacity;
} dict;
/* fault: what reading it will fail with, or NULL: generators find out late what they were made of. */
typedef struct series {
    const char *type;
    value *items;
    size_t count, next;
    const char *fault;
} series;
typedef struct range {
    int64_t start, stop, step;
    size_t count;
} range;
typedef struct cycler {
    value *items;
    size_t count, at;
} cycler;
typedef struct joiner {
    value separator;
    bool used;
} joiner;

/* ---- What is asked for all the time ----------------------------------------------------------------- */

static inline value value_none(void)
{
    return (value){ .kind = VALUE_NONE };
}

static inline value value_of_bool(bool truth)
{
    return (value){ .kind = VALUE_BOOL, .truth = truth };
}

static inline value value_of_int(int64_t integer)
{
    return (value){ .kind = VALUE_INT, .integer = integer };
}

static inline value value_of_float(double real)
{
    return (value){ .kind = VALUE_FLOAT, .real = real };
}

/* Never with a null pointer, so that all that reads texts may do sums with it. */
static inline value value_of_slice(slice text)
{
    return (value){ .kind = VALUE_TEXT, .text = text.p ? text.p : "", .n = text.n };
}

static inline slice value_slice(value text)
{
    assert(text.kind == VALUE_TEXT || text.kind == VALUE_UNDEFINED);
    return (slice){ text.text, text.n };
}

/* Numbers and integers: bools too. */
static inline bool value_is_int(value v)
{
    return v.kind == VALUE_INT || v.kind == VALUE_BOOL;
}

static inline bool value_is_number(value v)
{
    return value_is_int(v) || v.kind == VALUE_FLOAT;
}

static inline int64_t value_as_int(value number)
{
    return number.kind == VALUE_BOOL ? number.truth : number.integer;
}

static inline double value_as_real(value number)
{
    return number.kind == VALUE_FLOAT ? number.real : (double)value_as_int(number);
}

/* ---- jinja_value.c ------------------------------------------------------------------------------------ */

value value_of_text(const char *text);
value value_of_json(const json_t *json);
value value_undefined_name(slice name);
value value_undefined_attribute(value object, slice name);
value value_undefined_hint(slice hint);
int value_new_sequence(machine *m, value_kind kind, size_t count, value *out); /* items to be filled in */
int value_new_series(machine *m, value_kind kind, const char *type, value *items, size_t count, value *out);
int value_new_dict(machine *m, value *out);
int value_truncate(machine *m, double real, value *out); /* int(real) */
const char *value_type(value v);                         /* Python's name of its type */
bool value_true(value v);
int value_length(machine *m, value v, size_t *out); /* fails where Python's len does */
bool value_has_length(value v);
bool value_iterable(value v);
int value_need_hash(machine *m, value v);            /* fails where Python has no hash, as for a dict's keys */
int value_items(machine *m, value v, sequence *out); /* everything it iterates over; empties iterators */
int(value_fail_undefined)(machine *m, value v);
/* Element i of a list or tuple. */
value sequence_at(value v, size_t i);
size_t sequence_count(value v);
size_t dict_count(value v);
bool dict_step(value v, void **state, size_t *i, value *key, value *item); /* start with *state NULL, *i 0 */
int dict_get(machine *m, value v, value key, bool *found, value *out);
int dict_set(machine *m, value v, value key, value item);
bool dict_get_text(value v, slice key, value *out);

/* ---- jinja_compare.c ----------------------------------------------------------------------------------- */

int value_equal(machine *m, value a, value b, bool *out);
int value_order(machine *m, value a, value b, const char *op, int *out); /* <0, 0, >0; 2 for NaN */
/* Sorts n pairs by key, keeping the order of equals; `room` has n places. */
int value_sort(machine *m, pair *pairs, pair *room, size_t n, bool reverse);

/* As in err.h: what clang's analyser cannot see from outside. */
#ifdef __clang_analyzer__
#define value_fail_undefined(m, v) ((void)(value_fail_undefined)((m), (v)), (int)LORAC_ERROR_DATA)
#endif

#endif
