/* jinja_sequences.c: filters of sequences. Where jinja2 gives a generator, the result here is an iterator that holds
 * all its items already: it reads once, has no length and is always true, like Python's. */
#include "jinja_arguments.h"

#include <stdio.h>
#include <string.h>

static int generator(machine *m, const char *type, value *items, size_t count, value *out)
{
    return value_new_series(m, VALUE_ITERATOR, type, items, count, out);
}

static const value absent; /* what no argument is */
static const char not_iterable[] = "'%s' object is not iterable";

/* A generator over something that it cannot read: an error only when it is read itself. */
static int broken_generator(machine *m, const char *format, const char *type, value *out)
{
    char sentence[160];
    builder b = { 0 };
    snprintf(sentence, sizeof sentence, format, type);
    TRY(builder_add(m, &b, sentence, strlen(sentence) + 1));
    TRY(generator(m, "generator", NULL, 0, out));
    out->series->fault = b.p;
    return LORAC_OK;
}

/* ---- Attributes by path ------------------------------------------------------------------------------ */

static bool all_digits(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0 && s.n < 18;
}

static int get_part(machine *m, value item, slice part, value *out)
{
    int64_t index = 0;
    if (!all_digits(part))
        return get_item(m, item, value_of_slice(part), out);
    for (size_t i = 0; i < part.n; i++)
        index = 10 * index + (part.p[i] - '0');
    return get_item(m, item, value_of_int(index), out);
}

/* item.a.b.0 for the path "a.b.0"; the item itself where there is no path. */
static int get_path(machine *m, value item, value path, value fallback, value *out)
{
    *out = item;
    if (!given_something(path))
        return LORAC_OK;
    if (path.kind != VALUE_TEXT)
        return get_item(m, item, path, out);
    slice rest = value_slice(path);
    do {
        TRY(get_part(m, *out, slice_cut(&rest, '.'), out));
        if (out->kind == VALUE_UNDEFINED && given_something(fallback))
            *out = fallback;
    } while (rest.n);
    return LORAC_OK;
}

static int fold_case(machine *m, value v, bool case_sensitive, value *out)
{
    *out = v;
    return case_sensitive || v.kind != VALUE_TEXT ? LORAC_OK : text_recase(m, value_slice(v), CASE_LOWER, out);
}

static int sort_key(machine *m, value item, value path, value fallback, bool case_sensitive, value *out)
{
    TRY(get_path(m, item, path, fallback, out));
    return fold_case(m, *out, case_sensitive, out);
}

/* The list of keys for sort's "a,b.c". */
static int sort_keys(machine *m, value item, value attribute, bool case_sensitive, value *out)
{
    size_t count = 1;
    slice rest = attribute.kind == VALUE_TEXT ? value_slice(attribute) : (slice){ 0 };
    for (size_t i = 0; i < rest.n; i++)
        count += rest.p[i] == ',';
    TRY(value_new_sequence(m, VALUE_LIST, count, out));
    for (size_t i = 0; i < count; i++) {
        value path = attribute.kind == VALUE_TEXT ? value_of_slice(slice_cut(&rest, ',')) : attribute;
        TRY(sort_key(m, item, path, absent, case_sensitive, &out->sequence->items[i]));
    }
    return LORAC_OK;
}

static int new_pairs(machine *m, size_t count, pair **out)
{
    TRY(machine_spend(m, count));
    *out = work_new(m, 2 * count, sizeof **out);
    return *out ? LORAC_OK : work_status();
}

static int list_of_items(machine *m, const pair *pairs, size_t count, value *out)
{
    TRY(value_new_sequence(m, VALUE_LIST, count, out));
    for (size_t i = 0; i < count; i++)
        out->sequence->items[i] = pairs[i].item;
    return LORAC_OK;
}

/* ---- Order ------------------------------------------------------------------------------------------- */

static int filter_sort(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    pair *pairs;
    BIND("the filter 'sort'", 0, "reverse", "case_sensitive", "attribute");
    TRY(value_items(m, input, &items));
    TRY(new_pairs(m, items.count, &pairs));
    for (size_t i = 0; i < items.count; i++) {
        pairs[i].item = items.items[i];
        TRY(sort_keys(m, items.items[i], p[2], value_true(p[1]), &pairs[i].key));
    }
    TRY(value_sort(m, pairs, pairs + items.count, items.count, value_true(p[0])));
    return list_of_items(m, pairs, items.count, out);
}

static int make_pair(machine *m, value first, value second, value *out)
{
    TRY(value_new_sequence(m, VALUE_TUPLE, 2, out));
    out->sequence->items[0] = first;
    out->sequence->items[1] = second;
    return LORAC_OK;
}

static int filter_dictsort(machine *m, value input, const arguments *a, value *out)
{
    value key, item;
    void *state = NULL;
    pair *pairs;
    slice by = slice_of("key");
    BIND("the filter 'dictsort'", 0, "case_sensitive", "by", "reverse");
    if (input.kind != VALUE_DICT)
        return machine_fail(m, "the filter 'dictsort' expects a mapping, found %s", value_type(input));
    if (given(p[1]))
        TRY(argument_text(m, "the 'by' of 'dictsort'", p[1], &by));
    if (!slice_is(by, "key") && !slice_is(by, "value"))
        return machine_fail(m, "you can only sort by either \"key\" or \"value\"");
    size_t count = dict_count(input);
    TRY(new_pairs(m, count, &pairs));
    for (size_t i = 0; dict_step(input, &state, &i, &key, &item);) {
        TRY(make_pair(m, key, item, &pairs[i - 1].item));
        TRY(fold_case(m, slice_is(by, "key") ? key : item, value_true(p[0]), &pairs[i - 1].key));
    }
    TRY(value_sort(m, pairs, pairs + count, count, value_true(p[2])));
    return list_of_items(m, pairs, count, out);
}

static int filter_unique(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    pair *pairs;
    size_t count = 0;
    value list;
    BIND("the filter 'unique'", 0, "case_sensitive", "attribute");
    TRY(value_items(m, input, &items));
    TRY(new_pairs(m, items.count, &pairs));
    for (size_t i = 0; i < items.count; i++) {
        bool seen = false;
        TRY(sort_key(m, items.items[i], p[1], absent, value_true(p[0]), &pairs[count].key));
        TRY(value_need_hash(m, pairs[count].key));
        for (size_t k = 0; k < count && !seen; k++)
            TRY(value_equal(m, pairs[k].key, pairs[count].key, &seen));
        if (!seen)
            pairs[count++].item = items.items[i];
    }
    TRY(list_of_items(m, pairs, count, &list));
    return generator(m, "generator", list.sequence->items, count, out);
}

/* Runs of equal keys after sorting: tuples (key, items) with the names grouper and list. */
static int filter_groupby(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    pair *pairs;
    size_t groups = 0;
    BIND("the filter 'groupby'", 1, "attribute", "default", "case_sensitive");
    TRY(value_items(m, input, &items));
    TRY(new_pairs(m, items.count, &pairs));
    for (size_t i = 0; i < items.count; i++) {
        pairs[i].item = items.items[i];
        TRY(sort_key(m, items.items[i], p[0], p[1], value_true(p[2]), &pairs[i].key));
    }
    TRY(value_sort(m, pairs, pairs + items.count, items.count, false));
    TRY(value_new_sequence(m, VALUE_LIST, items.count, out));
    for (size_t begin = 0, end; begin < items.count; begin = end) {
        bool same = true;
        for (end = begin + 1; end < items.count; end++) {
            TRY(value_equal(m, pairs[begin].key, pairs[end].key, &same));
            if (!same)
                break;
        }
        value key, list, *group = &out->sequence->items[groups++];
        TRY(get_path(m, pairs[begin].item, p[0], p[1], &key));
        TRY(list_of_items(m, pairs + begin, end - begin, &list));
        TRY(make_pair(m, key, list, group));
        group->group = true;
    }
    out->sequence->count = groups;
    return LORAC_OK;
}

static int extreme(machine *m, value input, const arguments *a, bool largest, value *out)
{
    sequence items;
    value best = absent, key;
    int order;
    BIND("the filter 'min/max'", 0, "case_sensitive", "attribute");
    TRY(value_items(m, input, &items));
    *out = value_undefined_hint(slice_of("No aggregated item, sequence was empty."));
    for (size_t i = 0; i < items.count; i++) {
        TRY(sort_key(m, items.items[i], p[1], absent, value_true(p[0]), &key));
        if (i)
            TRY(value_order(m, largest ? best : key, largest ? key : best, largest ? ">" : "<", &order));
        if (i && order != -1)
            continue;
        best = key;
        *out = items.items[i];
    }
    return LORAC_OK;
}

VARIANT(filter_min, extreme, false)
VARIANT(filter_max, extreme, true)

static int filter_reverse(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    value list;
    builder b = { 0 };
    TRY(no_arguments(m, "this filter", a));
    TRY(value_items(m, input, &items));
    TRY(value_new_sequence(m, VALUE_LIST, items.count, &list));
    for (size_t i = 0; i < items.count; i++)
        list.sequence->items[i] = items.items[items.count - 1 - i];
    *out = list;
    if (input.kind == VALUE_ITERATOR)
        return LORAC_OK;
    if (input.kind != VALUE_TEXT)
        return generator(m, input.kind == VALUE_LIST ? "list_reverseiterator" : "reversed", list.sequence->items,
                         items.count, out);
    for (size_t i = 0; i < items.count; i++)
        TRY(builder_slice(m, &b, value_slice(list.sequence->items[i])));
    *out = builder_value(&b);
    return LORAC_OK;
}

/* ---- Members ----------------------------------------------------------------------------------------- */

static int filter_first(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    TRY(no_arguments(m, "this filter", a));
    *out = value_undefined_hint(slice_of("No first item, sequence was empty."));
    if (input.kind == VALUE_ITERATOR && !input.series->fault) {
        if (input.series->next < input.series->count)
            *out = input.series->items[input.series->next++];
        return LORAC_OK;
    }
    if (input.kind == VALUE_TEXT && input.n)
        return get_item(m, input, value_of_int(0), out);
    TRY(value_items(m, input, &items));
    if (items.count)
        *out = items.items[0];
    return LORAC_OK;
}

static int filter_last(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    TRY(no_arguments(m, "this filter", a));
    *out = value_undefined_hint(slice_of("No last item, sequence was empty."));
    if (!value_has_length(input) || input.kind == VALUE_LOOP)
        return machine_fail(m, "'%s' object is not reversible", value_type(input));
    if (input.kind == VALUE_TEXT && input.n)
        return get_item(m, input, value_of_int(-1), out);
    TRY(value_items(m, input, &items));
    if (items.count)
        *out = items.items[items.count - 1];
    return LORAC_OK;
}

static int filter_length(machine *m, value input, const arguments *a, value *out)
{
    size_t count;
    TRY(no_arguments(m, "this filter", a));
    TRY(value_length(m, input, &count));
    *out = value_of_int((int64_t)count);
    return LORAC_OK;
}

static int filter_list(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    TRY(no_arguments(m, "this filter", a));
    TRY(value_items(m, input, &items));
    TRY(value_new_sequence(m, VALUE_LIST, 0, out));
    *out->sequence = items;
    return LORAC_OK;
}

static int filter_items(machine *m, value input, const arguments *a, value *out)
{
    value view;
    arguments none = { 0 };
    TRY(no_arguments(m, "this filter", a));
    if (input.kind == VALUE_UNDEFINED)
        return generator(m, "generator", NULL, 0, out);
    if (input.kind != VALUE_DICT)
        return broken_generator(m, "the filter 'items' expects a mapping, found %s", value_type(input), out);
    TRY(method_find(VALUE_DICT, slice_of("items"))->run(m, input, &none, &view));
    return generator(m, "generator", view.series->items, view.series->count, out);
}

static int filter_join(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    builder b = { 0 };
    value item;
    BIND("the filter 'join'", 0, "d", "attribute");
    TRY(value_string(m, given(p[0]) ? p[0] : value_of_text(""), &p[0]));
    TRY(value_items(m, input, &items));
    for (size_t i = 0; i < items.count; i++) {
        if (i)
            TRY(builder_slice(m, &b, value_slice(p[0])));
        TRY(get_path(m, items.items[i], p[1], absent, &item));
        TRY(value_print(m, &b, item));
    }
    *out = builder_value(&b);
    return LORAC_OK;
}

static int filter_sum(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    value item;
    BIND("the filter 'sum'", 0, "attribute", "start");
    *out = given(p[1]) ? p[1] : value_of_int(0);
    if (out->kind == VALUE_TEXT)
        return machine_fail(m, "sum() can't sum strings");
    TRY(value_items(m, input, &items));
    for (size_t i = 0; i < items.count; i++) {
        TRY(get_path(m, items.items[i], p[0], absent, &item));
        TRY(operate(m, OP_ADD, *out, item, out));
    }
    return LORAC_OK;
}

static int sublist(machine *m, const value *items, size_t count, size_t padded, value filler, value *out)
{
    TRY(value_new_sequence(m, VALUE_LIST, padded, out));
    for (size_t i = 0; i < padded; i++)
        out->sequence->items[i] = i < count ? items[i] : filler;
    return LORAC_OK;
}

/* Lists of `linecount` items each. */
static int filter_batch(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    int64_t size;
    value list;
    BIND("the filter 'batch'", 1, "linecount", "fill_with");
    TRY(argument_int(m, "the filter 'batch'", p[0], 0, &size));
    if (!value_iterable(input))
        return broken_generator(m, not_iterable, value_type(input), out);
    TRY(value_items(m, input, &items));
    if (size <= 0)
        return machine_fail(m, "the filter 'batch' expects a positive number of items");
    if ((uint64_t)size > items.count && !given_something(p[1]))
        size = (int64_t)items.count + 1;
    size_t count = items.count / (size_t)size + (items.count % (size_t)size != 0);
    TRY(value_new_sequence(m, VALUE_LIST, count, &list));
    for (size_t i = 0; i < count; i++) {
        size_t left = items.count - i * (size_t)size, have = left < (size_t)size ? left : (size_t)size;
        TRY(sublist(m, items.items + i * (size_t)size, have, given_something(p[1]) ? (size_t)size : have, p[1],
                    &list.sequence->items[i]));
    }
    return generator(m, "generator", list.sequence->items, count, out);
}

/* `slices` lists of nearly equal length. */
static int filter_slice(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    int64_t slices;
    size_t begin = 0;
    value list;
    BIND("the filter 'slice'", 1, "slices", "fill_with");
    TRY(argument_int(m, "the filter 'slice'", p[0], 0, &slices));
    if (!value_iterable(input))
        return broken_generator(m, not_iterable, value_type(input), out);
    TRY(value_items(m, input, &items));
    if (slices <= 0 || slices > JINJA_RANGE_LIMIT)
        return machine_fail(m, "the filter 'slice' expects a number of slices from 1 to %d", JINJA_RANGE_LIMIT);
    size_t count = (size_t)slices, each = items.count / count, longer = items.count % count;
    TRY(value_new_sequence(m, VALUE_LIST, count, &list));
    for (size_t i = 0; i < count; i++) {
        size_t have = each + (i < longer);
        bool fill = given_something(p[1]) && i >= longer;
        TRY(sublist(m, items.items + begin, have, have + fill, p[1], &list.sequence->items[i]));
        begin += have;
    }
    return generator(m, "generator", list.sequence->items, count, out);
}

/* ---- map, select ------------------------------------------------------------------------------------- */

/* What is false has no items here, whatever it is: None too. */
static int items_if_true(machine *m, value input, sequence *out)
{
    *out = (sequence){ NULL, 0 };
    return value_true(input) ? value_items(m, input, out) : LORAC_OK;
}

static int map_attribute(machine *m, const sequence *items, const arguments *a, value *mapped)
{
    static const char *const names[] = { "attribute", "default" };
    value p[2];
    TRY(bind_arguments(m, "the filter 'map'", a, names, 1, 2, p));
    for (size_t i = 0; i < items->count; i++)
        TRY(get_path(m, items->items[i], p[0], p[1], &mapped[i]));
    return LORAC_OK;
}

static int filter_map(machine *m, value input, const arguments *a, value *out)
{
    sequence items;
    value list;
    slice name;
    if (value_true(input) && !value_iterable(input))
        return broken_generator(m, not_iterable, value_type(input), out);
    TRY(items_if_true(m, input, &items));
    TRY(value_new_sequence(m, VALUE_LIST, items.count, &list));
    if (!a->count && a->keyword_count) {
        TRY(map_attribute(m, &items, a, list.sequence->items));
        return generator(m, "generator", list.sequence->items, items.count, out);
    }
    if (!a->count)
        return machine_fail(m, "map requires a filter argument");
    TRY(argument_text(m, "the filter 'map'", a->items[0], &name));
    const filter *f = filter_find(name);
    arguments rest = { a->items + 1, a->count - 1, a->keywords, a->keyword_count };
    if (!f)
        return machine_fail(m, "unknown filter '%.*s'", (int)name.n, name.p);
    TRY(machine_enter(m));
    for (size_t i = 0; i < items.count; i++)
        TRY(f->run(m, items.items[i], &rest, &list.sequence->items[i]));
    m->depth--;
    return generator(m, "generator", list.sequence->items, items.count, out);
}

/* The items, or those whose attribute, for which the named test holds (or fails). */
static int choose(machine *m, value input, const arguments *a, bool by_attribute, bool wanted, value *out)
{
    sequence items;
    value list, subject;
    slice name;
    const test *t = NULL;
    size_t skip = by_attribute, count = 0;
    if (value_true(input) && !value_iterable(input))
        return broken_generator(m, not_iterable, value_type(input), out);
    if (a->count < skip)
        return machine_fail(m, "missing parameter for attribute name");
    if (a->count > skip) {
        TRY(argument_text(m, "the name of a test", a->items[skip], &name));
        t = test_find(name);
        if (!t)
            return machine_fail(m, "unknown test '%.*s'", (int)name.n, name.p);
        skip++;
    }
    arguments rest = { a->count > skip ? a->items + skip : NULL, a->count - skip, a->keywords, a->keyword_count };
    TRY(items_if_true(m, input, &items));
    TRY(value_new_sequence(m, VALUE_LIST, items.count, &list));
    for (size_t i = 0; i < items.count; i++) {
        TRY(get_path(m, items.items[i], by_attribute ? a->items[0] : absent, absent, &subject));
        bool holds = value_true(subject);
        if (t)
            TRY(t->run(m, subject, &rest, &holds));
        if (holds == wanted)
            list.sequence->items[count++] = items.items[i];
    }
    return generator(m, "generator", list.sequence->items, count, out);
}

VARIANT(filter_select, choose, false, true)
VARIANT(filter_reject, choose, false, false)
VARIANT(filter_selectattr, choose, true, true)
VARIANT(filter_rejectattr, choose, true, false)

const filter *sequence_filters(size_t *count)
{
    static const filter filters[] = {
        { "batch", filter_batch },     { "count", filter_length },    { "dictsort", filter_dictsort },
        { "first", filter_first },     { "groupby", filter_groupby }, { "items", filter_items },
        { "join", filter_join },       { "last", filter_last },       { "length", filter_length },
        { "list", filter_list },       { "map", filter_map },         { "max", filter_max },
        { "min", filter_min },         { "reject", filter_reject },   { "rejectattr", filter_rejectattr },
        { "reverse", filter_reverse }, { "select", filter_select },   { "selectattr", filter_selectattr },
        { "slice", filter_slice },     { "sort", filter_sort },       { "sum", filter_sum },
        { "unique", filter_unique },
    };
    *count = sizeof filters / sizeof *filters;
    return filters;
}
