/* jinja_value.c: making and asking values, with Python's rules. jansson objects are wrapped where they lie:
 * their strings and containers are read in place and never changed. */
#include "jinja.h"

#include <math.h>
#include <string.h>

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

value value_undefined_hint(slice hint)
{
    return (value){ .kind = VALUE_UNDEFINED, .undefined = UNDEFINED_HINT, .text = hint.p, .n = hint.n };
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

int value_truncate(machine *m, double real, value *out)
{
    if (!(fabs(real) < 9.2e18))
        return machine_fail(m, "cannot convert float to a 64-bit integer");
    *out = value_of_int((int64_t)real);
    return LORAC_OK;
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
        *key = v.dict->pairs[*i].key;
        *item = v.dict->pairs[(*i)++].item;
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
        const pair *p = &v.dict->pairs[i];
        if (p->key.kind == VALUE_TEXT && slice_equal(value_slice(p->key), key)) {
            *out = p->item;
            return true;
        }
    }
    return false;
}

static int hash(machine *m, value v, int depth)
{
    if (v.kind == VALUE_LIST || v.kind == VALUE_DICT || v.kind == VALUE_VIEW)
        return machine_fail(m, "unhashable type: '%s'", value_type(v));
    if (v.kind != VALUE_TUPLE)
        return LORAC_OK;
    TRY(machine_spend(m, v.sequence->count / 8));
    if (depth > JINJA_VALUE_DEPTH_LIMIT)
        return machine_fail(m, "value nested too deeply");
    for (size_t i = 0; i < v.sequence->count; i++)
        TRY(hash(m, v.sequence->items[i], depth + 1));
    return LORAC_OK;
}

int value_need_hash(machine *m, value v)
{
    return hash(m, v, 0);
}

static int dict_find(machine *m, const dict *d, value key, size_t *at)
{
    TRY(machine_spend(m, d->count / 8 + 1));
    for (*at = 0; *at < d->count; ++*at) {
        bool same = false;
        TRY(value_equal(m, d->pairs[*at].key, key, &same));
        if (same)
            break;
    }
    return LORAC_OK;
}

int dict_get(machine *m, value v, value key, bool *found, value *out)
{
    size_t at;
    *found = false;
    TRY(value_need_hash(m, key));
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
        *out = v.dict->pairs[at].item;
    return LORAC_OK;
}

int dict_set(machine *m, value v, value key, value item)
{
    dict *d = v.dict;
    size_t at;
    TRY(value_need_hash(m, key));
    TRY(dict_find(m, d, key, &at));
    if (at == d->count) {
        TRY(work_room(m, d->pairs, d->count, d->capacity));
        d->pairs[d->count++].key = key;
    }
    d->pairs[at].item = item;
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
        *out = utf8_count(value_slice(v));
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
    size_t count = utf8_count(s), at = 0;
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
