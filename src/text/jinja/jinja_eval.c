/* jinja_eval.c: expressions to values. */
#include "jinja.h"

#include <string.h>

static int eval_sequence(machine *m, frame *f, const node *n, value *out)
{
    value list;
    TRY(value_new_sequence(m, n->kind == NODE_LIST ? VALUE_LIST : VALUE_TUPLE, n->list.count, &list));
    for (size_t i = 0; i < n->list.count; i++)
        TRY(eval(m, f, n->list.items[i], &list.sequence->items[i]));
    *out = list;
    return LORAC_OK;
}

static int eval_dict(machine *m, frame *f, const node *n, value *out)
{
    value made, key, item;
    TRY(value_new_dict(m, &made));
    for (size_t i = 0; i < n->dict.count; i++) {
        TRY(eval(m, f, n->dict.keys[i], &key));
        TRY(eval(m, f, n->dict.values[i], &item));
        TRY(dict_set(m, made, key, item));
    }
    *out = made;
    return LORAC_OK;
}

static int eval_attribute(machine *m, frame *f, const node *n, value *out)
{
    value object;
    TRY(eval(m, f, n->attribute.object, &object));
    m->at = n;
    if (object.kind == VALUE_DICT && !(n->attribute.kinds & 1u << VALUE_DICT)) {
        if (!dict_get_text(object, n->attribute.name, out))
            *out = value_undefined_attribute(object, n->attribute.name);
        return LORAC_OK;
    }
    return get_attribute(m, object, n->attribute.name, out);
}

static int eval_optional(machine *m, frame *f, const node *n, value *out)
{
    *out = value_none();
    return n ? eval(m, f, n, out) : LORAC_OK;
}

static int eval_item(machine *m, frame *f, const node *n, value *out)
{
    value object, key, stop, step;
    const node *index = n->item.index;
    TRY(eval(m, f, n->item.object, &object));
    if (index->kind == NODE_SLICE) {
        TRY(eval_optional(m, f, index->slice.start, &key));
        TRY(eval_optional(m, f, index->slice.stop, &stop));
        TRY(eval_optional(m, f, index->slice.step, &step));
        m->at = n;
        return get_slice(m, object, key, stop, step, out);
    }
    TRY(eval(m, f, index, &key));
    m->at = n;
    return get_item(m, object, key, out);
}

static int add_star(machine *m, frame *f, const node *n, arguments *out)
{
    value star;
    sequence items;
    TRY(eval(m, f, n, &star));
    TRY(value_items(m, star, &items));
    value *all = work_new(m, out->count + items.count, sizeof *all);
    if (!all)
        return work_status();
    if (out->count)
        memcpy(all, out->items, out->count * sizeof *all);
    if (items.count)
        memcpy(all + out->count, items.items, items.count * sizeof *all);
    out->items = all;
    out->count += items.count;
    return LORAC_OK;
}

static int add_double_star(machine *m, frame *f, const node *n, arguments *out, size_t spare)
{
    value mapping, key, item;
    void *state = NULL;
    TRY(eval(m, f, n, &mapping));
    if (mapping.kind != VALUE_DICT)
        return machine_fail(m, "argument after ** must be a mapping, not %s", value_type(mapping));
    keyword *all = work_new(m, out->keyword_count + dict_count(mapping) + spare, sizeof *all);
    if (!all)
        return work_status();
    if (out->keyword_count)
        memcpy(all, out->keywords, out->keyword_count * sizeof *all);
    out->keywords = all;
    for (size_t i = 0; dict_step(mapping, &state, &i, &key, &item);) {
        if (key.kind != VALUE_TEXT)
            return machine_fail(m, "keywords must be strings");
        all[out->keyword_count++] = (keyword){ value_slice(key), item };
    }
    return LORAC_OK;
}

/* `spare` more keywords fit behind those of the call. */
int eval_arguments(machine *m, frame *f, const node_arguments *n, arguments *out, size_t spare)
{
    *out = (arguments){ 0 };
    if (n->items.count) {
        out->items = work_new(m, n->items.count, sizeof *out->items);
        if (!out->items)
            return work_status();
        for (; out->count < n->items.count; out->count++)
            TRY(eval(m, f, n->items.items[out->count], &out->items[out->count]));
    }
    if (n->keyword_count + spare) {
        out->keywords = work_new(m, n->keyword_count + spare, sizeof *out->keywords);
        if (!out->keywords)
            return work_status();
        for (; out->keyword_count < n->keyword_count; out->keyword_count++) {
            out->keywords[out->keyword_count].name = n->keywords[out->keyword_count].name;
            TRY(eval(m, f, n->keywords[out->keyword_count].value, &out->keywords[out->keyword_count].value));
        }
    }
    if (n->star)
        TRY(add_star(m, f, n->star, out));
    if (n->double_star)
        TRY(add_double_star(m, f, n->double_star, out, spare));
    return LORAC_OK;
}

/* What a method makes of markup is markup. */
static value mark(value v)
{
    v.markup = v.kind == VALUE_TEXT;
    if ((v.kind == VALUE_LIST || v.kind == VALUE_TUPLE) && !v.foreign)
        for (size_t i = 0; i < v.sequence->count; i++)
            v.sequence->items[i].markup = v.sequence->items[i].kind == VALUE_TEXT;
    return v;
}

static int call_method(machine *m, const method *bound, const arguments *a, value *out)
{
    if (!bound->entry->run)
        return machine_fail(m, "the method '%s' of %s is not supported", bound->entry->name, value_type(bound->self));
    TRY(bound->entry->run(m, bound->self, a, out));
    if (bound->self.kind == VALUE_TEXT && bound->self.markup)
        *out = mark(*out);
    return LORAC_OK;
}

int call_value(machine *m, value callee, const arguments *a, value *out)
{
    switch ((value_kind)callee.kind) {
    case VALUE_UNDEFINED:
        return value_fail_undefined(m, callee);
    case VALUE_METHOD:
        return call_method(m, callee.method, a, out);
    case VALUE_FUNCTION:
        return callee.function->run(m, a, out);
    case VALUE_MACRO:
        return call_macro(m, callee.macro, a, out);
    case VALUE_LOOP:
        return call_loop(m, callee.loop, a, out);
    case VALUE_JOINER:
        *out = callee.joiner->used ? callee.joiner->separator : value_of_text("");
        callee.joiner->used = true;
        return LORAC_OK;
    default:
        return machine_fail(m, "'%s' object is not callable", value_type(callee));
    }
}

static int eval_call(machine *m, frame *f, const node *n, value *out)
{
    value callee;
    arguments a;
    TRY(eval(m, f, n->call.callee, &callee));
    TRY(eval_arguments(m, f, &n->call.arguments, &a, 0));
    m->at = n->call.callee;
    return call_value(m, callee, &a, out);
}

static int run_filter(machine *m, frame *f, const node *n, value input, value *out)
{
    arguments a;
    TRY(eval_arguments(m, f, &n->filter.arguments, &a, 0));
    m->at = n;
    if (!n->filter.filter)
        return machine_fail(m, "unknown filter '%.*s'", (int)n->filter.name.n, n->filter.name.p);
    return n->filter.filter->run(m, input, &a, out);
}

static int eval_filter(machine *m, frame *f, const node *n, value *out)
{
    value input;
    TRY(eval(m, f, n->filter.input, &input));
    return run_filter(m, f, n, input, out);
}

int filter_text(machine *m, frame *f, const node *n, value text, value *out)
{
    if (++m->depth > JINJA_DEPTH_LIMIT)
        return machine_fail(m, "too many filters one after another");
    if (n->filter.input)
        TRY(filter_text(m, f, n->filter.input, text, &text));
    m->depth--;
    return run_filter(m, f, n, text, out);
}

static int eval_test(machine *m, frame *f, const node *n, value *out)
{
    value input;
    arguments a;
    bool truth = false;
    TRY(eval(m, f, n->test.input, &input));
    TRY(eval_arguments(m, f, &n->test.arguments, &a, 0));
    m->at = n;
    if (!n->test.test)
        return machine_fail(m, "unknown test '%.*s'", (int)n->test.name.n, n->test.name.p);
    TRY(n->test.test->run(m, input, &a, &truth));
    *out = value_of_bool(truth);
    return LORAC_OK;
}

static int eval_sign(machine *m, frame *f, const node *n, value *out)
{
    value v;
    TRY(eval(m, f, n->unary.operand, &v));
    m->at = n;
    if (v.kind == VALUE_UNDEFINED)
        return value_fail_undefined(m, v);
    if (!value_is_number(v))
        return machine_fail(m, "bad operand type for unary %c: '%s'", n->kind == NODE_NEGATIVE ? '-' : '+',
                            value_type(v));
    if (n->kind == NODE_POSITIVE)
        *out = v.kind == VALUE_FLOAT ? v : value_of_int(value_as_int(v));
    else if (v.kind == VALUE_FLOAT)
        *out = value_of_float(-v.real);
    else
        return operate(m, OP_SUB, value_of_int(0), v, out);
    return LORAC_OK;
}

static int eval_logic(machine *m, frame *f, const node *n, value *out)
{
    TRY(eval(m, f, n->binary.left, out));
    return value_true(*out) == (n->kind == NODE_AND) ? eval(m, f, n->binary.right, out) : LORAC_OK;
}

/* a < b < c: each operand is evaluated once, and only as long as the chain holds. */
static int eval_compare(machine *m, frame *f, const node *n, value *out)
{
    value left, right;
    bool holds = true;
    TRY(eval(m, f, n->compare.first, &left));
    for (size_t i = 0; i < n->compare.count && holds; i++) {
        TRY(eval(m, f, n->compare.rest[i].right, &right));
        m->at = n;
        TRY(compare(m, n->compare.rest[i].op, left, right, &holds));
        left = right;
    }
    *out = value_of_bool(holds);
    return LORAC_OK;
}

static int eval_binary(machine *m, frame *f, const node *n, value *out)
{
    value left, right;
    TRY(eval(m, f, n->binary.left, &left));
    TRY(eval(m, f, n->binary.right, &right));
    m->at = n;
    return operate(m, n->binary.op, left, right, out);
}

static int eval_concat(machine *m, frame *f, const node *n, value *out)
{
    value parts;
    builder b = { 0 };
    TRY(eval_sequence(m, f, n, &parts));
    m->at = n;
    for (size_t i = 0; i < n->list.count; i++)
        TRY(value_print(m, &b, parts.sequence->items[i]));
    *out = builder_value(&b);
    return LORAC_OK;
}

static int eval_condition(machine *m, frame *f, const node *n, value *out)
{
    value verdict;
    TRY(eval(m, f, n->condition.test, &verdict));
    if (value_true(verdict))
        return eval(m, f, n->condition.yes, out);
    if (n->condition.no)
        return eval(m, f, n->condition.no, out);
    *out = value_undefined_hint(slice_of("the inline if-expression evaluated to false and has no else"));
    return LORAC_OK;
}

static int eval_not(machine *m, frame *f, const node *n, value *out)
{
    TRY(eval(m, f, n->unary.operand, out));
    *out = value_of_bool(!value_true(*out));
    return LORAC_OK;
}

static int eval_node(machine *m, frame *f, const node *n, value *out)
{
    switch ((node_kind)n->kind) {
    case NODE_CONSTANT:
        *out = n->constant;
        return LORAC_OK;
    case NODE_NAME:
        *out = *frame_find(m, f, n->name.id);
        if (out->kind == VALUE_ABSENT)
            *out = value_undefined_name(n->name.text);
        return LORAC_OK;
    case NODE_LIST:
    case NODE_TUPLE:
        return eval_sequence(m, f, n, out);
    case NODE_DICT:
        return eval_dict(m, f, n, out);
    case NODE_ATTRIBUTE:
        return eval_attribute(m, f, n, out);
    case NODE_ITEM:
        return eval_item(m, f, n, out);
    case NODE_CALL:
        return eval_call(m, f, n, out);
    case NODE_FILTER:
        return eval_filter(m, f, n, out);
    case NODE_TEST:
        return eval_test(m, f, n, out);
    case NODE_NOT:
        return eval_not(m, f, n, out);
    case NODE_NEGATIVE:
    case NODE_POSITIVE:
        return eval_sign(m, f, n, out);
    case NODE_AND:
    case NODE_OR:
        return eval_logic(m, f, n, out);
    case NODE_COMPARE:
        return eval_compare(m, f, n, out);
    case NODE_BINARY:
        return eval_binary(m, f, n, out);
    case NODE_CONCAT:
        return eval_concat(m, f, n, out);
    case NODE_CONDITION:
        return eval_condition(m, f, n, out);
    default: /* a slice among several subscripts */
        return machine_fail(m, "a slice cannot stand here");
    }
}

int eval(machine *m, frame *f, const node *n, value *out)
{
    const node *outer = m->at;
    m->at = n;
    TRY(machine_enter(m));
    TRY(machine_spend(m, 0));
    TRY(eval_node(m, f, n, out));
    m->depth--;
    m->at = outer;
    return LORAC_OK;
}
