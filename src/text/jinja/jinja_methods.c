/* jinja_methods.c: the methods of Python's list, tuple and dict, and of the engine's own objects; and how any method is
 * found. Methods that would change a list or dict are known so that they can be forbidden, as in jinja2's immutable
 * sandbox. */
#include "jinja_arguments.h"

#include <string.h>

/* ---- list, tuple, dict ------------------------------------------------------------------------------- */

static int list_count(machine *m, value self, const arguments *a, value *out)
{
    sequence items;
    int64_t count = 0;
    BIND("count()", 1, "value");
    TRY(value_items(m, self, &items));
    for (size_t i = 0; i < items.count; i++) {
        bool same;
        TRY(value_equal(m, items.items[i], p[0], &same));
        count += same;
    }
    *out = value_of_int(count);
    return LORAC_OK;
}

static int list_index(machine *m, value self, const arguments *a, value *out)
{
    sequence items;
    BIND("index()", 1, "value");
    TRY(value_items(m, self, &items));
    for (size_t i = 0; i < items.count; i++) {
        bool same;
        TRY(value_equal(m, items.items[i], p[0], &same));
        if (!same)
            continue;
        *out = value_of_int((int64_t)i);
        return LORAC_OK;
    }
    return machine_fail(m, "the value is not in the %s", value_type(self));
}

/* Nothing changes in place here, so a copy may be the thing itself. */
static int self_copy(machine *m, value self, const arguments *a, value *out)
{
    TRY(no_arguments(m, "this method", a));
    *out = self;
    return LORAC_OK;
}

static int dict_method_get(machine *m, value self, const arguments *a, value *out)
{
    bool found;
    BIND("get()", 1, "key", "default");
    TRY(dict_get(m, self, p[0], &found, out));
    if (!found)
        *out = p[1].kind == VALUE_ABSENT ? value_none() : p[1];
    return LORAC_OK;
}

typedef enum view_of { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } view_of;

static int dict_view(machine *m, value self, const arguments *a, view_of what, value *out)
{
    static const char *const types[] = { "dict_keys", "dict_values", "dict_items" };
    value key, item, list;
    void *state = NULL;
    TRY(no_arguments(m, "this method", a));
    TRY(value_new_sequence(m, VALUE_LIST, dict_count(self), &list));
    for (size_t i = 0; dict_step(self, &state, &i, &key, &item);) {
        value *place = &list.sequence->items[i - 1];
        *place = what == VIEW_KEYS ? key : item;
        if (what != VIEW_ITEMS)
            continue;
        TRY(value_new_sequence(m, VALUE_TUPLE, 2, place));
        place->sequence->items[0] = key;
        place->sequence->items[1] = item;
    }
    return value_new_series(m, VALUE_VIEW, types[what], list.sequence->items, list.sequence->count, out);
}

VARIANT(dict_keys, dict_view, VIEW_KEYS)
VARIANT(dict_values, dict_view, VIEW_VALUES)
VARIANT(dict_items, dict_view, VIEW_ITEMS)

/* ---- loop, cycler ------------------------------------------------------------------------------------ */

static int loop_cycle(machine *m, value self, const arguments *a, value *out)
{
    if (!a->count || a->keyword_count)
        return machine_fail(m, "no items for cycling given");
    *out = a->items[self.loop->at % a->count];
    return LORAC_OK;
}

/* True unless the values are those of the last call. */
static int loop_changed(machine *m, value self, const arguments *a, value *out)
{
    value tuple;
    bool same = false;
    TRY(value_new_sequence(m, VALUE_TUPLE, a->count, &tuple));
    if (a->count)
        memcpy(tuple.sequence->items, a->items, a->count * sizeof *a->items);
    if (self.loop->changed.kind == VALUE_TUPLE)
        TRY(value_equal(m, self.loop->changed, tuple, &same));
    self.loop->changed = tuple;
    *out = value_of_bool(!same);
    return LORAC_OK;
}

static int cycler_next(machine *m, value self, const arguments *a, value *out)
{
    TRY(no_arguments(m, "this method", a));
    *out = self.cycler->items[self.cycler->at];
    self.cycler->at = (self.cycler->at + 1) % self.cycler->count;
    return LORAC_OK;
}

static int cycler_reset(machine *m, value self, const arguments *a, value *out)
{
    TRY(no_arguments(m, "this method", a));
    self.cycler->at = 0;
    *out = value_none();
    return LORAC_OK;
}

static const method_entry methods[] = {
    { "count", VALUE_LIST, false, list_count },
    { "index", VALUE_LIST, false, list_index },
    { "copy", VALUE_LIST, false, self_copy },
    { "append", VALUE_LIST, true, NULL },
    { "clear", VALUE_LIST, true, NULL },
    { "extend", VALUE_LIST, true, NULL },
    { "insert", VALUE_LIST, true, NULL },
    { "pop", VALUE_LIST, true, NULL },
    { "remove", VALUE_LIST, true, NULL },
    { "reverse", VALUE_LIST, true, NULL },
    { "sort", VALUE_LIST, true, NULL },
    { "count", VALUE_TUPLE, false, list_count },
    { "index", VALUE_TUPLE, false, list_index },
    { "count", VALUE_RANGE, false, list_count },
    { "index", VALUE_RANGE, false, list_index },
    { "get", VALUE_DICT, false, dict_method_get },
    { "items", VALUE_DICT, false, dict_items },
    { "keys", VALUE_DICT, false, dict_keys },
    { "values", VALUE_DICT, false, dict_values },
    { "copy", VALUE_DICT, false, self_copy },
    { "fromkeys", VALUE_DICT, false, NULL },
    { "clear", VALUE_DICT, true, NULL },
    { "pop", VALUE_DICT, true, NULL },
    { "popitem", VALUE_DICT, true, NULL },
    { "setdefault", VALUE_DICT, true, NULL },
    { "update", VALUE_DICT, true, NULL },
    { "cycle", VALUE_LOOP, false, loop_cycle },
    { "changed", VALUE_LOOP, false, loop_changed },
    { "next", VALUE_CYCLER, false, cycler_next },
    { "reset", VALUE_CYCLER, false, cycler_reset },
};

/* The method tables one after the other. */
static const method_entry *method_at(size_t i)
{
    size_t count;
    const method_entry *of_str = str_methods(&count);
    if (i < count)
        return &of_str[i];
    return i - count < sizeof methods / sizeof *methods ? &methods[i - count] : NULL;
}

uint32_t method_kinds(slice name)
{
    uint32_t kinds = 0;
    const method_entry *entry;
    for (size_t i = 0; (entry = method_at(i)) != NULL; i++)
        if (slice_is(name, entry->name))
            kinds |= 1u << entry->kind;
    return kinds;
}

const method_entry *method_find(value_kind kind, slice name)
{
    const method_entry *entry;
    for (size_t i = 0; (entry = method_at(i)) != NULL; i++)
        if (entry->kind == kind && slice_is(name, entry->name))
            return entry;
    return NULL;
}
