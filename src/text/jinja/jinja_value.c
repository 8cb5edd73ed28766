/* jinja_value.c: making, asking and comparing values, with Python's rules. jansson objects are wrapped where they lie:
 * their strings and containers are read in place and never changed. */
#include "jinja.h"

#include <string.h>

value value_none(void)
{
    return (value){ .kind = VALUE_NONE };
}

value value_of_bool(bool truth)
{
    return (value){ .kind = VALUE_BOOL, .truth = truth };
}

value value_of_int(int64_t integer)
{
    return (value){ .kind = VALUE_INT, .integer = integer };
}

value value_of_float(double real)
{
    return (value){ .kind = VALUE_FLOAT, .real = real };
}

/* Never with a null pointer, so that all that reads texts may do sums with it. */
value value_of_slice(slice text)
{
    return (value){ .kind = VALUE_TEXT, .text = text.p ? text.p : "", .n = text.n };
}

value value_of_text(const char *text)
{
    return value_of_slice(slice_of(text));
}

value value_of_json(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return (value){ .kind = VALUE_DICT, .foreign = true, .json = (json_t *)json };
    case JSON_ARRAY:
        return (value){ .kind = VALUE_LIST, .foreign = true, .json = (json_t *)json };
    case JSON_STRING:
        return value_of_slice((slice){ json_string_value(json), json_string_length(json) });
    case JSON_INTEGER:
        return value_of_int(json_integer_value(json));
    case JSON_REAL:
        return value_of_float(json_real_value(json));
    case JSON_TRUE:
    case JSON_FALSE:
        return value_of_bool(json_is_true(json));
    case JSON_NULL:
        break;
    }
    return value_none();
}

value value_undefined_name(slice name)
{
    return (value){ .kind = VALUE_UNDEFINED, .undefined = UNDEFINED_VARIABLE, .text = name.p, .n = name.n };
}

value value_undefined_attribute(value object, slice name)
{
    return (value){
        .kind = VALUE_UNDEFINED, .undefined = UNDEFINED_ATTRIBUTE, .owner = object.kind, .text = name.p, .n = name.n
    };
}

value value_undefined_hint(const char *hint)
{
    return (value){ .kind = VALUE_UNDEFINED, .undefined = UNDEFINED_HINT, .text = hint, .n = strlen(hint) };
}

int value_new_sequence(machine *m, value_kind kind, size_t count, value *out)
{
    TRY(machine_spend(m, count));
    sequence *s = work_new(m, 1, sizeof *s);
    value *items = work_new(m, count, sizeof *items);
    if (!s || !items)
        return work_status();
    *s = (sequence){ items, count };
    *out = (value){ .kind = (uint8_t)kind, .sequence = s };
    return LORAC_OK;
}

int value_new_series(machine *m, value_kind kind, const char *type, value *items, size_t count, value *out)
{
    series *s = work_new(m, 1, sizeof *s);
    if (!s)
        return work_status();
    *s = (series){ .type = type, .items = items, .count = count };
    *out = (value){ .kind = (uint8_t)kind, .series = s };
    return LORAC_OK;
}

int value_new_dict(machine *m, value *out)
{
    dict *d = work_new(m, 1, sizeof *d);
    if (!d)
        return work_status();
    *d = (dict){ 0 };
    *out = (value){ .kind = VALUE_DICT, .dict = d };
    return LORAC_OK;
}

slice value_slice(value text)
{
    assert(text.kind == VALUE_TEXT || text.kind == VALUE_UNDEFINED);
    return (slice){ text.text, text.n };
}

bool value_is_number(value v)
{
    return v.kind == VALUE_INT || v.kind == VALUE_FLOAT || v.kind == VALUE_BOOL;
}

double value_as_real(value number)
{
    return number.kind == VALUE_FLOAT ? number.real : (double)value_as_int(number);
}

int64_t value_as_int(value number)
{
    return number.kind == VALUE_BOOL ? number.truth : number.integer;
}

static const char *kind_type(uint8_t kind)
{
    static const char *const names[] = {
        [VALUE_ABSENT] = "missing",
        [VALUE_UNDEFINED] = "Undefined",
        [VALUE_NONE] = "NoneType",
        [VALUE_BOOL] = "bool",
        [VALUE_INT] = "int",
        [VALUE_FLOAT] = "float",
        [VALUE_TEXT] = "str",
        [VALUE_LIST] = "list",
        [VALUE_TUPLE] = "tuple",
        [VALUE_DICT] = "dict",
        [VALUE_VIEW] = "dict view",
        [VALUE_ITERATOR] = "generator",
        [VALUE_RANGE] = "range",
        [VALUE_NAMESPACE] = "Namespace",
        [VALUE_LOOP] = "LoopContext",
        [VALUE_MACRO] = "Macro",
        [VALUE_METHOD] = "method",
        [VALUE_FUNCTION] = "function",
        [VALUE_CYCLER] = "Cycler",
        [VALUE_JOINER] = "Joiner",
        [VALUE_SELF] = "TemplateReference",
    };
    return names[kind];
}

const char *value_type(value v)
{
    if (v.kind == VALUE_VIEW || v.kind == VALUE_ITERATOR)
        return v.series->type;
    return v.kind == VALUE_TEXT && v.markup ? "Markup" : kind_type(v.kind);
}

int(value_fail_undefined)(machine *m, value v)
{
    int n = (int)v.n;
    if (v.undefined == UNDEFINED_HINT)
        return machine_fail(m, "%.*s", n, v.text);
    if (v.undefined == UNDEFINED_VARIABLE)
        return machine_fail(m, "'%.*s' is undefined", n, v.text);
    if (v.owner == VALUE_NONE)
        return machine_fail(m, "'None' has no attribute '%.*s'", n, v.text);
    return machine_fail(m, "'%s object' has no attribute '%.*s'", kind_type(v.owner), n, v.text);
}

size_t sequence_count(value v)
{
    return v.foreign ? json_array_size(v.json) : v.sequence->count;
}

value sequence_at(value v, size_t i)
{
    return v.foreign ? value_of_json(json_array_get(v.json, i)) : v.sequence->items[i];
}

size_t dict_count(value v)
{
    return v.foreign ? json_object_size(v.json) : v.dict->count;
}

bool dict_step(value v, void **state, size_t *i, value *key, value *item)
{
    if (!v.foreign) {
        if (*i >= v.dict->count)
            return false;
        *key = v.dict->keys[*i];
        *item = v.dict->values[(*i)++];
        return true;
    }
    *state = *i ? json_object_iter_next(v.json, *state) : json_object_iter(v.json);
    if (!*state)
        return false;
    (*i)++;
    *key = value_of_slice((slice){ json_object_iter_key(*state), json_object_iter_key_len(*state) });
    *item = value_of_json(json_object_iter_value(*state));
    return true;
}

bool dict_get_text(value v, slice key, value *out)
{
    if (v.foreign) {
        const json_t *json = json_object_getn(v.json, key.p ? key.p : "", key.n);
        if (json)
            *out = value_of_json(json);
        return json != NULL;
    }
    for (size_t i = 0; i < v.dict->count; i++) {
        const value *k = &v.dict->keys[i];
        if (k->kind == VALUE_TEXT && slice_equal(value_slice(*k), key)) {
            *out = v.dict->values[i];
            return true;
        }
    }
    return false;
}

/* What Python refuses as a key of a dict. */
bool value_hashable(value v)
{
    if (v.kind == VALUE_TUPLE) {
        for (size_t i = 0; i < v.sequence->count; i++)
            if (!value_hashable(v.sequence->items[i]))
                return false;
        return true;
    }
    return v.kind != VALUE_LIST && v.kind != VALUE_DICT && v.kind != VALUE_VIEW;
}

static int dict_find(machine *m, const dict *d, value key, size_t *at)
{
    TRY(machine_spend(m, d->count / 8 + 1));
    for (*at = 0; *at < d->count; ++*at) {
        bool same = false;
        TRY(value_equal(m, d->keys[*at], key, &same));
        if (same)
            break;
    }
    return LORAC_OK;
}

int dict_get(machine *m, value v, value key, bool *found, value *out)
{
    size_t at;
    *found = false;
    if (!value_hashable(key))
        return machine_fail(m, "unhashable type: '%s'", value_type(key));
    if (key.kind == VALUE_TEXT) {
        if (!v.foreign)
            TRY(machine_spend(m, v.dict->count / 8 + 1));
        *found = dict_get_text(v, value_slice(key), out);
        return LORAC_OK;
    }
    if (v.foreign)
        return LORAC_OK;
    TRY(dict_find(m, v.dict, key, &at));
    *found = at < v.dict->count;
    if (*found)
        *out = v.dict->values[at];
    return LORAC_OK;
}

int dict_set(machine *m, value v, value key, value item)
{
    dict *d = v.dict;
    size_t at;
    if (!value_hashable(key))
        return machine_fail(m, "unhashable type: '%s'", value_type(key));
    TRY(dict_find(m, d, key, &at));
    if (at == d->capacity) {
        size_t capacity = d->capacity ? 2 * d->capacity : 4;
        value *keys = work_new(m, capacity, sizeof *keys), *values = work_new(m, capacity, sizeof *values);
        if (!keys || !values)
            return work_status();
        if (d->count) {
            memcpy(keys, d->keys, d->count * sizeof *keys);
            memcpy(values, d->values, d->count * sizeof *values);
        }
        d->keys = keys;
        d->values = values;
        d->capacity = capacity;
    }
    if (at == d->count) {
        d->keys[at] = key;
        d->count++;
    }
    d->values[at] = item;
    return LORAC_OK;
}

bool value_true(value v)
{
    switch ((value_kind)v.kind) {
    case VALUE_ABSENT:
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
        return v.truth;
    case VALUE_INT:
        return v.integer != 0;
    case VALUE_FLOAT:
        return v.real != 0;
    case VALUE_TEXT:
        return v.n != 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
        return sequence_count(v) != 0;
    case VALUE_DICT:
        return dict_count(v) != 0;
    case VALUE_VIEW:
        return v.series->count != 0;
    case VALUE_RANGE:
        return v.range->count != 0;
    default:
        return true;
    }
}

bool value_has_length(value v)
{
    return v.kind == VALUE_UNDEFINED || v.kind == VALUE_TEXT || v.kind == VALUE_LIST || v.kind == VALUE_TUPLE ||
           v.kind == VALUE_DICT || v.kind == VALUE_VIEW || v.kind == VALUE_RANGE || v.kind == VALUE_LOOP;
}

bool value_iterable(value v)
{
    return value_has_length(v) || v.kind == VALUE_ITERATOR;
}

int value_length(machine *m, value v, size_t *out)
{
    *out = 0;
    if (!value_has_length(v))
        return machine_fail(m, "object of type '%s' has no len()", value_type(v));
    if (v.kind == VALUE_TEXT) {
        *out = text_length(value_slice(v));
        return machine_spend(m, v.n / 64);
    }
    if (v.kind == VALUE_LIST || v.kind == VALUE_TUPLE)
        *out = sequence_count(v);
    else if (v.kind == VALUE_DICT)
        *out = dict_count(v);
    else if (v.kind == VALUE_VIEW)
        *out = v.series->count;
    else if (v.kind == VALUE_RANGE)
        *out = v.range->count;
    else if (v.kind == VALUE_LOOP)
        *out = v.loop->items.count;
    return LORAC_OK;
}

static int text_items(machine *m, slice s, sequence *out)
{
    value list;
    size_t count = text_length(s), at = 0;
    TRY(value_new_sequence(m, VALUE_LIST, count, &list));
    for (size_t i = 0; i < count; i++) {
        slice character = text_character(s, at);
        list.sequence->items[i] = value_of_slice(character);
        at += character.n;
    }
    *out = *list.sequence;
    return LORAC_OK;
}

static int dict_items(machine *m, value v, sequence *out)
{
    value list, item;
    void *state = NULL;
    TRY(value_new_sequence(m, VALUE_LIST, dict_count(v), &list));
    for (size_t i = 0; i < list.sequence->count;)
        dict_step(v, &state, &i, &list.sequence->items[i], &item);
    *out = *list.sequence;
    return LORAC_OK;
}

static int range_items(machine *m, const range *r, sequence *out)
{
    value list;
    TRY(value_new_sequence(m, VALUE_LIST, r->count, &list));
    for (size_t i = 0; i < r->count; i++)
        list.sequence->items[i] = value_of_int(r->start + (int64_t)i * r->step);
    *out = *list.sequence;
    return LORAC_OK;
}

static int json_items(machine *m, value v, sequence *out)
{
    value list;
    TRY(value_new_sequence(m, VALUE_LIST, sequence_count(v), &list));
    for (size_t i = 0; i < list.sequence->count; i++)
        list.sequence->items[i] = sequence_at(v, i);
    *out = *list.sequence;
    return LORAC_OK;
}

int value_items(machine *m, value v, sequence *out)
{
    *out = (sequence){ NULL, 0 };
    switch ((value_kind)v.kind) {
    case VALUE_UNDEFINED:
        return LORAC_OK;
    case VALUE_TEXT:
        return text_items(m, value_slice(v), out);
    case VALUE_LIST:
    case VALUE_TUPLE:
        if (v.foreign)
            return json_items(m, v, out);
        *out = *v.sequence;
        return LORAC_OK;
    case VALUE_DICT:
        return dict_items(m, v, out);
    case VALUE_RANGE:
        return range_items(m, v.range, out);
    case VALUE_VIEW:
        *out = (sequence){ v.series->items, v.series->count };
        return LORAC_OK;
    case VALUE_ITERATOR:
        if (v.series->fault)
            return machine_fail(m, "%s", v.series->fault);
        *out = (sequence){ 0 };
        if (v.series->next < v.series->count)
            *out = (sequence){ v.series->items + v.series->next, v.series->count - v.series->next };
        v.series->next = v.series->count;
        return LORAC_OK;
    default:
        return machine_fail(m, "'%s' object is not iterable", value_type(v));
    }
}

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

int value_contains(machine *m, value container, value v, bool *out)
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
