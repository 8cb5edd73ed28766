/* jinja_functions.c: the functions every template has. */
#include "jinja_arguments.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int run_raise_exception(machine *m, const arguments *a, value *out)
{
    BIND("raise_exception()", 1, "message");
    TRY(value_string(m, p[0], out));
    return machine_fail(m, "%.*s", (int)out->n, out->n ? out->text : "");
}

int date_read(const char *text, struct tm *out)
{
    int year, month, day, end = 0;
    bool is_date =
        sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end) == 3 && !text[end] && month >= 1 && month <= 12;
    if (is_date)
        *out = (struct tm){ .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    if (is_date && timegm(out) != -1 && out->tm_mday == day)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "date", .found = text, .expected = "a day as YYYY-MM-DD" },
                   "this is no date");
}

static int template_date(machine *m, struct tm *out)
{
    time_t now = time(NULL);
    if (m->date)
        *out = *m->date;
    return m->date || localtime_r(&now, out) ? LORAC_OK : machine_fail(m, "the local time is not known");
}

/* What C's strftime does not know, or knows otherwise: Python's date has microseconds, always midnight's here, and no
 * time zone. */
static int date_format(machine *m, slice s, builder *out)
{
    for (size_t at = 0; at < s.n;) {
        size_t n = s.p[at] == '%' && at + 1 < s.n ? 2 : 1;
        char directive = n == 2 ? s.p[at + 1] : 0;
        if (directive == 'f')
            TRY(builder_text(m, out, "000000"));
        else if (directive != 'Z' && directive != 'z')
            TRY(builder_add(m, out, s.p + at, n));
        at += n;
    }
    return LORAC_OK;
}

/* Always in English, whatever the program's locale is. */
static int run_strftime_now(machine *m, const arguments *a, value *out)
{
    char room[1024], format[512];
    struct tm date;
    builder own = { 0 };
    slice s;
    BIND("strftime_now()", 1, "format");
    TRY(argument_text(m, "strftime_now()", p[0], &s));
    TRY(template_date(m, &date));
    TRY(date_format(m, s, &own));
    if (own.n >= sizeof format)
        return machine_fail(m, "the format of strftime_now() is too long");
    snprintf(format, sizeof format, "%.*s", (int)own.n, own.n ? own.p : "");
    locale_t english = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!english)
        return fail_memory();
    size_t n = strftime_l(room, sizeof room, format, &date, english);
    freelocale(english);
    builder b = { 0 };
    TRY(builder_add(m, &b, room, n));
    *out = builder_value(&b);
    return LORAC_OK;
}

static uint64_t range_length(int64_t start, int64_t stop, int64_t step)
{
    bool back = step < 0;
    if (back ? start <= stop : start >= stop)
        return 0;
    uint64_t distance = back ? (uint64_t)start - (uint64_t)stop : (uint64_t)stop - (uint64_t)start;
    uint64_t stride = back ? -(uint64_t)step : (uint64_t)step;
    return (distance - 1) / stride + 1;
}

static int run_range(machine *m, const arguments *a, value *out)
{
    int64_t bounds[3] = { 0, 0, 1 };
    if (!a->count || a->count > 3 || a->keyword_count)
        return machine_fail(m, "range() takes one to three arguments, without names");
    for (size_t i = 0; i < a->count; i++)
        TRY(argument_int(m, "range()", a->items[i], 0, &bounds[i]));
    if (a->count == 1) {
        bounds[1] = bounds[0];
        bounds[0] = 0;
    }
    if (!bounds[2])
        return machine_fail(m, "range() arg 3 must not be zero");
    uint64_t count = range_length(bounds[0], bounds[1], bounds[2]);
    if (count > JINJA_RANGE_LIMIT)
        return machine_fail(m, "range too big: the limit is %d items", JINJA_RANGE_LIMIT);
    range *r = work_new(m, 1, sizeof *r);
    if (!r)
        return work_status();
    *r = (range){ bounds[0], bounds[1], bounds[2], (size_t)count };
    *out = (value){ .kind = VALUE_RANGE, .range = r };
    return LORAC_OK;
}

static int add_pairs(machine *m, value pairs, value made)
{
    sequence items, two;
    TRY(value_items(m, pairs, &items));
    for (size_t i = 0; i < items.count; i++) {
        TRY(value_items(m, items.items[i], &two));
        if (two.count != 2)
            return machine_fail(m, "element %zu of the argument of dict() has length %zu; 2 is required", i, two.count);
        TRY(dict_set(m, made, two.items[0], two.items[1]));
    }
    return LORAC_OK;
}

static int add_mapping(machine *m, value mapping, value made)
{
    value key, item;
    void *state = NULL;
    for (size_t i = 0; dict_step(mapping, &state, &i, &key, &item);)
        TRY(dict_set(m, made, key, item));
    return LORAC_OK;
}

/* dict(mapping or pairs, name=value ...) */
static int make_dict(machine *m, const char *what, const arguments *a, value *out)
{
    TRY(value_new_dict(m, out));
    if (a->count > 1)
        return machine_fail(m, "%s takes at most one argument without a name", what);
    if (a->count && a->items[0].kind == VALUE_DICT)
        TRY(add_mapping(m, a->items[0], *out));
    else if (a->count)
        TRY(add_pairs(m, a->items[0], *out));
    for (size_t i = 0; i < a->keyword_count; i++)
        TRY(dict_set(m, *out, value_of_slice(a->keywords[i].name), a->keywords[i].value));
    return LORAC_OK;
}

static int run_dict(machine *m, const arguments *a, value *out)
{
    return make_dict(m, "dict()", a, out);
}

static int run_namespace(machine *m, const arguments *a, value *out)
{
    TRY(make_dict(m, "namespace()", a, out));
    for (size_t i = 0; i < out->dict->count; i++) {
        value key = out->dict->pairs[i].key;
        if (key.kind == VALUE_TEXT && key.n && *key.text == '_')
            return machine_fail(m, "attributes of a namespace cannot begin with an underscore: '%.*s'", (int)key.n,
                                key.text);
    }
    out->kind = VALUE_NAMESPACE;
    return LORAC_OK;
}

static int run_cycler(machine *m, const arguments *a, value *out)
{
    if (!a->count || a->keyword_count)
        return machine_fail(m, "cycler() expects one or more values");
    cycler *c = work_new(m, 1, sizeof *c);
    if (!c)
        return work_status();
    *c = (cycler){ a->items, a->count, 0 };
    *out = (value){ .kind = VALUE_CYCLER, .cycler = c };
    return LORAC_OK;
}

static int run_joiner(machine *m, const arguments *a, value *out)
{
    BIND("joiner()", 0, "sep");
    joiner *j = work_new(m, 1, sizeof *j);
    if (!j)
        return work_status();
    *j = (joiner){ given(p[0]) ? p[0] : value_of_text(", "), false };
    *out = (value){ .kind = VALUE_JOINER, .joiner = j };
    return LORAC_OK;
}

const function *function_list(size_t *count)
{
    static const function functions[] = {
        { "raise_exception", run_raise_exception },
        { "strftime_now", run_strftime_now },
        { "range", run_range },
        { "dict", run_dict },
        { "namespace", run_namespace },
        { "cycler", run_cycler },
        { "joiner", run_joiner },
    };
    *count = sizeof functions / sizeof *functions;
    return functions;
}
