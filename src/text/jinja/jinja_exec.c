/* jinja_exec.c: statements: text, output, branches, loops, assignments, macros. Scopes are jinja2's: if has none; for,
 * with, macros and blocks that capture their output have their own, and what is set there ends there. */
#include "jinja_arguments.h"
#include "mem.h"

#include <string.h>

/* How a body ended: exec returns these beside the statuses. */
enum { LEFT_BREAK = -1, LEFT_CONTINUE = -2 };

static int frame_set(machine *m, frame *f, uint32_t id, value v)
{
    if (!f) {
        m->globals[id] = v;
        return LORAC_OK;
    }
    for (size_t i = 0; i < f->count; i++) {
        if (f->bindings[i].id == id) {
            f->bindings[i].value = v;
            return LORAC_OK;
        }
    }
    TRY(work_room(m, f->bindings, f->count, f->capacity));
    f->bindings[f->count++] = (binding){ id, v };
    return LORAC_OK;
}

static int frame_hide(machine *m, frame *f, const name_list *hidden)
{
    for (size_t i = 0; i < hidden->count; i++)
        TRY(frame_set(m, f, hidden->ids[i], (value){ .kind = VALUE_ABSENT }));
    return LORAC_OK;
}

/* In the workspace, not on the stack: macros defined in it may outlive it. */
static int frame_new(machine *m, frame *parent, const name_list *hidden, frame **out)
{
    *out = work_new(m, 1, sizeof **out);
    if (!*out)
        return work_status();
    **out = (frame){ .parent = parent };
    return frame_hide(m, *out, hidden);
}

value *frame_find(machine *m, frame *f, uint32_t id)
{
    for (; f; f = f->parent)
        for (size_t i = 0; i < f->count; i++)
            if (f->bindings[i].id == id)
                return &f->bindings[i].value;
    return &m->globals[id];
}

static int assign(machine *m, frame *f, const node *target, value v);

static int assign_tuple(machine *m, frame *f, const node_list *targets, value v)
{
    sequence items;
    if (!value_iterable(v))
        return machine_fail(m, "cannot unpack non-iterable %s object", value_type(v));
    TRY(value_items(m, v, &items));
    if (items.count > targets->count)
        return machine_fail(m, "too many values to unpack (expected %zu)", targets->count);
    if (items.count < targets->count)
        return machine_fail(m, "not enough values to unpack (expected %zu, got %zu)", targets->count, items.count);
    for (size_t i = 0; i < items.count; i++)
        TRY(assign(m, f, targets->items[i], items.items[i]));
    return LORAC_OK;
}

static int assign(machine *m, frame *f, const node *target, value v)
{
    m->at = target;
    if (target->kind == NODE_TUPLE)
        return assign_tuple(m, f, &target->list, v);
    if (target->kind == NODE_NAME)
        return frame_set(m, f, target->name.id, v);
    const value *space = frame_find(m, f, target->namespace.id);
    slice attribute = target->namespace.attribute;
    if (space->kind != VALUE_NAMESPACE)
        return machine_fail(m, "cannot assign attribute on non-namespace object '%.*s'", (int)target->namespace.name.n,
                            target->namespace.name.p);
    if (*attribute.p == '_')
        return machine_fail(m, "attributes of a namespace cannot begin with an underscore: '%.*s'", (int)attribute.n,
                            attribute.p);
    return dict_set(m, (value){ .kind = VALUE_DICT, .dict = space->dict }, value_of_slice(attribute), v);
}

/* The text a body writes. */
static int capture(machine *m, frame *f, const node_list *body, value *out)
{
    builder b = { 0 }, *outer = m->out;
    m->out = &b;
    int status = exec(m, f, body);
    m->out = outer;
    if (status > 0)
        return status;
    *out = builder_value(&b);
    return status;
}

static int exec_if(machine *m, frame *f, const node *n)
{
    for (size_t i = 0; i < n->branches.count; i++) {
        const branch *b = &n->branches.branches[i];
        value verdict = value_of_bool(true);
        if (b->test)
            TRY(eval(m, f, b->test, &verdict));
        if (value_true(verdict))
            return exec(m, f, &b->body);
    }
    return LORAC_OK;
}

/* The items for which the loop's condition holds. */
static int filter_items(machine *m, frame *f, const for_node *l, sequence *items)
{
    frame *inner;
    value kept, verdict;
    name_list none = { 0 };
    size_t count = 0;
    TRY(frame_new(m, f, &none, &inner));
    TRY(value_new_sequence(m, VALUE_LIST, items->count, &kept));
    for (size_t i = 0; i < items->count; i++) {
        inner->count = 0;
        TRY(assign(m, inner, l->target, items->items[i]));
        TRY(eval(m, inner, l->test, &verdict));
        if (value_true(verdict))
            kept.sequence->items[count++] = items->items[i];
    }
    *items = (sequence){ kept.sequence->items, count };
    return LORAC_OK;
}

/* As in jinja2, "else" follows where no body came to its end: a break or continue in all of them is as good as no
 * items. */
static int exec_loop(machine *m, frame *f, const for_node *n, value iterable, int64_t depth)
{
    static const slice loop_name = { "loop", 4 };
    sequence items;
    frame *inner, *otherwise;
    name_list none = { 0 };
    bool ended = false;
    uint32_t id = (uint32_t)map_find(&m->t->names, loop_name);
    TRY(value_items(m, iterable, &items));
    if (n->test)
        TRY(filter_items(m, f, n, &items));
    TRY(frame_new(m, f, &none, &inner));
    loop *l = work_new(m, 1, sizeof *l);
    if (!l)
        return work_status();
    *l = (loop){ .items = items, .depth = depth, .recurse = n->recursive ? n : NULL, .outside = f };
    for (; l->at < items.count; l->at++) {
        inner->count = 0;
        TRY(frame_hide(m, inner, &n->hidden));
        TRY(frame_set(m, inner, id, (value){ .kind = VALUE_LOOP, .loop = l }));
        TRY(assign(m, inner, n->target, items.items[l->at]));
        int status = exec(m, inner, &n->body);
        if (status == LEFT_BREAK)
            break;
        if (status > 0)
            return status;
        ended |= status == LORAC_OK;
    }
    if (ended)
        return LORAC_OK;
    TRY(frame_new(m, f, &n->hidden_otherwise, &otherwise));
    return exec(m, otherwise, &n->otherwise);
}

static int exec_for(machine *m, frame *f, const node *n)
{
    value iterable;
    TRY(eval(m, f, n->loop->iterable, &iterable));
    m->at = n->loop->iterable;
    return exec_loop(m, f, n->loop, iterable, 0);
}

int call_loop(machine *m, const loop *l, const arguments *a, value *out)
{
    builder b = { 0 }, *outer = m->out;
    if (!l->recurse)
        return machine_fail(m, "the loop must have the 'recursive' marker to be called recursively");
    BIND("loop()", 1, "iterable");
    m->out = &b;
    int status = exec_loop(m, l->outside, l->recurse, p[0], l->depth + 1);
    m->out = outer;
    *out = builder_value(&b);
    return status;
}

static int exec_set_block(machine *m, frame *f, const node *n)
{
    frame *inner;
    value text;
    TRY(frame_new(m, f, &n->block.hidden, &inner));
    TRY(capture(m, inner, &n->block.body, &text));
    if (n->block.filter)
        TRY(filter_text(m, f, n->block.filter, text, &text));
    return assign(m, f, n->block.target, text);
}

static int exec_filter_block(machine *m, frame *f, const node *n)
{
    frame *inner;
    value text;
    TRY(frame_new(m, f, &n->block.hidden, &inner));
    TRY(capture(m, inner, &n->block.body, &text));
    TRY(filter_text(m, f, n->block.filter, text, &text));
    if (text.kind != VALUE_TEXT)
        return machine_fail(m, "the filters of {%% filter %%} gave no string but %s", value_type(text));
    return builder_slice(m, m->out, value_slice(text));
}

static int make_macro(machine *m, frame *f, const macro_node *n, value *out)
{
    macro *c = work_new(m, 1, sizeof *c);
    if (!c)
        return work_status();
    *c = (macro){ n, f };
    *out = (value){ .kind = VALUE_MACRO, .macro = c };
    return LORAC_OK;
}

static int exec_macro(machine *m, frame *f, const node *n)
{
    value made;
    TRY(make_macro(m, f, n->macro, &made));
    return frame_set(m, f, n->macro->id, made);
}

static int exec_call_block(machine *m, frame *f, const node *n)
{
    value callee, text;
    arguments a;
    TRY(eval(m, f, n->call_block.call->call.callee, &callee));
    TRY(eval_arguments(m, f, &n->call_block.call->call.arguments, &a, 1));
    a.keywords[a.keyword_count].name = slice_of("caller");
    TRY(make_macro(m, f, n->call_block.body, &a.keywords[a.keyword_count++].value));
    m->at = n->call_block.call;
    TRY(call_value(m, callee, &a, &text));
    return value_print(m, m->out, text);
}

static const value *take_keyword(const arguments *a, bool *taken, slice name)
{
    for (size_t i = 0; i < a->keyword_count; i++) {
        if (!taken[i] && slice_equal(a->keywords[i].name, name)) {
            taken[i] = true;
            return &a->keywords[i].value;
        }
    }
    return NULL;
}

/* varargs: what is left of the arguments by place. */
static int bind_rest(machine *m, frame *f, const macro_node *n, const arguments *a)
{
    value rest;
    uint32_t id = (uint32_t)map_find(&m->t->names, slice_of("varargs"));
    size_t count = a->count > n->count ? a->count - n->count : 0;
    TRY(value_new_sequence(m, VALUE_TUPLE, count, &rest));
    if (count)
        memcpy(rest.sequence->items, a->items + n->count, count * sizeof *a->items);
    return frame_set(m, f, id, rest);
}

/* kwargs: what is left of the arguments by name. */
static int bind_keywords(machine *m, frame *f, const arguments *a, const bool *taken)
{
    value rest;
    uint32_t id = (uint32_t)map_find(&m->t->names, slice_of("kwargs"));
    TRY(value_new_dict(m, &rest));
    for (size_t i = 0; i < a->keyword_count; i++)
        if (!taken[i])
            TRY(dict_set(m, rest, value_of_slice(a->keywords[i].name), a->keywords[i].value));
    return frame_set(m, f, id, rest);
}

static int check_leftovers(machine *m, const macro_node *n, const arguments *a, const bool *taken)
{
    for (size_t i = 0; !n->takes_keywords && i < a->keyword_count; i++)
        if (!taken[i])
            return machine_fail(m, "macro '%.*s' takes no keyword argument '%.*s'", (int)n->name.n, n->name.p,
                                (int)a->keywords[i].name.n, a->keywords[i].name.p);
    if (!n->takes_rest && a->count > n->count)
        return machine_fail(m, "macro '%.*s' takes not more than %zu argument(s)", (int)n->name.n, n->name.p, n->count);
    return LORAC_OK;
}

/* Defaults are evaluated at each call, in the macro's scope, and see the parameters before them. */
static int bind_parameters(machine *m, frame *f, const macro_node *n, const arguments *a, bool *taken)
{
    for (size_t i = 0; i < n->count; i++) {
        const struct parameter *p = &n->parameters[i];
        const value *given = i < a->count ? &a->items[i] : take_keyword(a, taken, p->name);
        value v;
        if (given) {
            v = *given;
        } else if (p->fallback) {
            TRY(eval(m, f, p->fallback, &v));
        } else {
            builder b = { 0 };
            TRY(builder_format(m, &b, "parameter '%.*s' was not provided", (int)(p->name.n < 200 ? p->name.n : 200),
                               p->name.p));
            v = value_undefined_hint((slice){ b.p, b.n });
        }
        TRY(frame_set(m, f, p->id, v));
    }
    return LORAC_OK;
}

int call_macro(machine *m, const macro *c, const arguments *a, value *out)
{
    const macro_node *n = c->node;
    const node *at = m->at;
    frame *inner;
    bool *taken = work_new(m, a->keyword_count, sizeof *taken);
    TRY(frame_new(m, c->scope, &n->hidden, &inner));
    if (!taken)
        return work_status();
    if (a->keyword_count)
        memset(taken, 0, a->keyword_count * sizeof *taken);
    TRY(bind_parameters(m, inner, n, a, taken));
    m->at = at;
    if (n->takes_caller && !n->names_caller) {
        slice name = slice_of("caller");
        const value *caller = take_keyword(a, taken, name);
        TRY(frame_set(m, inner, (uint32_t)map_find(&m->t->names, name),
                      caller ? *caller : value_undefined_hint(slice_of("No caller defined"))));
    }
    TRY(check_leftovers(m, n, a, taken));
    if (n->takes_keywords)
        TRY(bind_keywords(m, inner, a, taken));
    if (n->takes_rest)
        TRY(bind_rest(m, inner, n, a));
    return capture(m, inner, &n->body, out);
}

static int exec_with(machine *m, frame *f, const node *n)
{
    frame *inner;
    TRY(frame_new(m, f, &n->with.hidden, &inner));
    for (size_t i = 0; i < n->with.count; i++) {
        value v;
        TRY(eval(m, f, n->with.values[i], &v));
        TRY(assign(m, inner, n->with.targets[i], v));
    }
    return exec(m, inner, &n->with.body);
}

/* As in transformers, a region is counted from the end of what has been written to the whole text so far. Inside a
 * macro or a captured block that need not be where the text will stand: regions are checked against the finished text
 * (template.c). */
static int note_region(machine *m, slice text)
{
    TRY(work_room(m, m->marked, m->marked_count, m->marked_capacity));
    m->marked[m->marked_count++] = (marked_text){ m->whole.n, text };
    return LORAC_OK;
}

static int exec_generation(machine *m, frame *f, const node *n)
{
    frame *inner;
    value text;
    TRY(frame_new(m, f, &n->block.hidden, &inner));
    TRY(capture(m, inner, &n->block.body, &text));
    TRY(note_region(m, value_slice(text)));
    return value_print(m, m->out, text);
}

static int exec_print(machine *m, frame *f, const node *n)
{
    value v;
    TRY(eval(m, f, n->unary.operand, &v));
    m->at = n;
    return value_print(m, m->out, v);
}

static int exec_set(machine *m, frame *f, const node *n)
{
    value v;
    TRY(eval(m, f, n->set.value, &v));
    return assign(m, f, n->set.target, v);
}

static int exec_node(machine *m, frame *f, const node *n)
{
    switch ((node_kind)n->kind) {
    case NODE_TEXT:
        return builder_slice(m, m->out, value_slice(n->constant));
    case NODE_PRINT:
        return exec_print(m, f, n);
    case NODE_IF:
        return exec_if(m, f, n);
    case NODE_FOR:
        return exec_for(m, f, n);
    case NODE_SET:
        return exec_set(m, f, n);
    case NODE_SET_BLOCK:
        return exec_set_block(m, f, n);
    case NODE_MACRO:
        return exec_macro(m, f, n);
    case NODE_CALL_BLOCK:
        return exec_call_block(m, f, n);
    case NODE_FILTER_BLOCK:
        return exec_filter_block(m, f, n);
    case NODE_WITH:
        return exec_with(m, f, n);
    case NODE_GENERATION:
        return exec_generation(m, f, n);
    case NODE_BREAK:
        return LEFT_BREAK;
    case NODE_CONTINUE:
        return LEFT_CONTINUE;
    default:
        assert(!"an expression among statements");
        return LORAC_OK;
    }
}

int exec(machine *m, frame *f, const node_list *body)
{
    TRY(machine_enter(m));
    for (size_t i = 0; i < body->count; i++) {
        m->at = body->items[i];
        TRY(machine_spend(m, 0));
        int status = exec_node(m, f, body->items[i]);
        if (status != LORAC_OK) {
            m->depth--;
            return status;
        }
    }
    m->depth--;
    return LORAC_OK;
}
