/* jinja_items.c: what stands behind a dot or in brackets: attributes, items and slices. */
#include "jinja.h"

#include <string.h>

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
    *out = value_undefined_hint((slice){ b.p, b.n });
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

static int loop_item(const loop *l, size_t i, const char *absent, value *out)
{
    *out = i < l->items.count ? l->items.items[i] : value_undefined_hint(slice_of(absent));
    return LORAC_OK;
}

/* VALUE_ABSENT when there is none. */
static int loop_attribute(machine *m, loop *l, slice name, value *out)
{
    int64_t at = (int64_t)l->at, count = (int64_t)l->items.count;
    const struct {
        const char *name;
        value value;
    } table[] = {
        { "index", value_of_int(at + 1) },
        { "index0", value_of_int(at) },
        { "first", value_of_bool(at == 0) },
        { "last", value_of_bool(at + 1 == count) },
        { "length", value_of_int(count) },
        { "revindex", value_of_int(count - at) },
        { "revindex0", value_of_int(count - at - 1) },
        { "depth", value_of_int(l->depth + 1) },
        { "depth0", value_of_int(l->depth) },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (slice_is(name, table[i].name)) {
            *out = table[i].value;
            return LORAC_OK;
        }
    }
    if (slice_is(name, "previtem"))
        return loop_item(l, l->at - 1, "there is no previous item", out);
    if (slice_is(name, "nextitem"))
        return loop_item(l, l->at + 1, "there is no next item", out);
    const method_entry *entry = method_find(VALUE_LOOP, name);
    return entry ? bind_method(m, (value){ .kind = VALUE_LOOP, .loop = l }, entry, out) : LORAC_OK;
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
    *out = value_undefined_hint((slice){ b.p, b.n });
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
    size_t count = utf8_count(s);
    TRY(machine_spend(m, s.n / 64));
    *found = in_range(&i, count);
    if (*found)
        *out = value_of_slice(text_character(s, count == s.n ? (size_t)i : text_offset(s, (size_t)i)));
    return LORAC_OK;
}

int get_item(machine *m, value object, value key, value *out)
{
    bool found = false;
    int64_t i = value_is_int(key) ? value_as_int(key) : 0;
    if (object.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, object);
    if (object.kind == VALUE_DICT && key.kind != VALUE_LIST && key.kind != VALUE_DICT) {
        TRY(dict_get(m, object, key, &found, out));
    } else if (value_is_int(key) && (object.kind == VALUE_LIST || object.kind == VALUE_TUPLE)) {
        found = in_range(&i, sequence_count(object));
        if (found)
            *out = sequence_at(object, (size_t)i);
    } else if (value_is_int(key) && object.kind == VALUE_TEXT) {
        TRY(text_index(m, object, i, &found, out));
    } else if (value_is_int(key) && object.kind == VALUE_RANGE) {
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
    if (!value_is_int(v))
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
