/* jinja_scopes.c: which names a scope hides before it sets them. jinja2 resolves names when it compiles: a name that a
 * scope sets (outside any if), and does not read before, belongs to that scope from its beginning on. Until it is set,
 * the scopes inside see it as undefined, even where an outer scope or the caller has such a name. This pass finds those
 * names, following jinja2's idtracking.py.
 *
 * A scope is looked at in two steps: first what stands in it itself, then the scopes inside it, which must know all its
 * names. State is kept in arrays over all names, with a list of those touched, so that the work stays proportional to
 * the template however it nests. */
#include "array.h"
#include "jinja_parser.h"
#include "mem.h"

#include <string.h>

typedef enum load_kind {
    LOAD_NONE,   /* the scope does not refer to the name */
    LOAD_OUTER,  /* what stands outside when the scope begins; or a parameter */
    LOAD_MISSING /* nothing until it is set */
} load_kind;

typedef struct id_list {
    uint32_t *ids;
    size_t count, capacity;
} id_list;

typedef struct analyser {
    template *t;
    uint8_t *load;       /* by name id: of the scope at hand */
    id_list touched;     /* whose load is not LOAD_NONE */
    uint32_t *outer;     /* by name id: how many enclosing scopes refer to it */
    int depth, branches; /* branches: how many ifs are around */
} analyser;

static int visit(analyser *a, const node *n);
static int analyse_inside(analyser *a, const node_list *body);

static int refer(analyser *a, uint32_t id, load_kind load)
{
    id_list *list = &a->touched;
    if (a->load[id] != LOAD_NONE)
        return LORAC_OK;
    TRY(array_room(list->ids, list->capacity, list->count + 1));
    list->ids[list->count++] = id;
    a->load[id] = (uint8_t)load;
    return LORAC_OK;
}

static int read_name(analyser *a, uint32_t id)
{
    return a->outer[id] ? LORAC_OK : refer(a, id, LOAD_OUTER);
}

static int store_name(analyser *a, uint32_t id)
{
    return refer(a, id, a->outer[id] || a->branches ? LOAD_OUTER : LOAD_MISSING);
}

/* ---- One level: what stands in the scope itself ------------------------------------------------------ */

static int visit_list(analyser *a, const node_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        TRY(visit(a, list->items[i]));
    return LORAC_OK;
}

static int visit_optional(analyser *a, const node *n)
{
    return n ? visit(a, n) : LORAC_OK;
}

static int visit_arguments(analyser *a, const node_arguments *n)
{
    TRY(visit_list(a, &n->items));
    for (size_t i = 0; i < n->keyword_count; i++)
        TRY(visit(a, n->keywords[i].value));
    TRY(visit_optional(a, n->star));
    return visit_optional(a, n->double_star);
}

static int store_target(analyser *a, const node *n)
{
    if (n->kind == NODE_NAMESPACE_ATTRIBUTE)
        return read_name(a, n->namespace.id);
    if (n->kind == NODE_NAME)
        return store_name(a, n->name.id);
    for (size_t i = 0; i < n->list.count; i++)
        TRY(store_target(a, n->list.items[i]));
    return LORAC_OK;
}

static int visit_if(analyser *a, const branch *branches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        TRY(visit_optional(a, branches[i].test));
        a->branches++;
        TRY(visit_list(a, &branches[i].body));
        a->branches--;
    }
    return LORAC_OK;
}

static int visit_pairs(analyser *a, node *const *first, node *const *second, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        TRY(visit_optional(a, first ? first[i] : NULL));
        TRY(visit(a, second[i]));
    }
    return LORAC_OK;
}

static int visit_expression(analyser *a, const node *n)
{
    switch ((node_kind)n->kind) {
    case NODE_NAME:
        return read_name(a, n->name.id);
    case NODE_LIST:
    case NODE_TUPLE:
    case NODE_CONCAT:
        return visit_list(a, &n->list);
    case NODE_DICT:
        return visit_pairs(a, n->dict.keys, n->dict.values, n->dict.count);
    case NODE_ATTRIBUTE:
        return visit(a, n->attribute.object);
    case NODE_ITEM:
        TRY(visit(a, n->item.object));
        return visit(a, n->item.index);
    case NODE_SLICE:
        TRY(visit_optional(a, n->slice.start));
        TRY(visit_optional(a, n->slice.stop));
        return visit_optional(a, n->slice.step);
    case NODE_CALL:
        TRY(visit(a, n->call.callee));
        return visit_arguments(a, &n->call.arguments);
    case NODE_FILTER:
        TRY(visit_optional(a, n->filter.input));
        return visit_arguments(a, &n->filter.arguments);
    case NODE_TEST:
        TRY(visit(a, n->test.input));
        return visit_arguments(a, &n->test.arguments);
    case NODE_NOT:
    case NODE_NEGATIVE:
    case NODE_POSITIVE:
    case NODE_PRINT:
        return visit(a, n->unary.operand);
    case NODE_AND:
    case NODE_OR:
    case NODE_BINARY:
        TRY(visit(a, n->binary.left));
        return visit(a, n->binary.right);
    case NODE_COMPARE:
        TRY(visit(a, n->compare.first));
        for (size_t i = 0; i < n->compare.count; i++)
            TRY(visit(a, n->compare.rest[i].right));
        return LORAC_OK;
    case NODE_CONDITION:
        TRY(visit(a, n->condition.test));
        TRY(visit(a, n->condition.yes));
        return visit_optional(a, n->condition.no);
    default:
        return LORAC_OK;
    }
}

/* Of a statement that opens a scope, only what is evaluated outside it. */
static int visit_node(analyser *a, const node *n)
{
    switch ((node_kind)n->kind) {
    case NODE_IF:
        return visit_if(a, n->branches.branches, n->branches.count);
    case NODE_FOR:
        return visit(a, n->loop->iterable);
    case NODE_SET:
        TRY(visit(a, n->set.value));
        return store_target(a, n->set.target);
    case NODE_SET_BLOCK:
        return store_target(a, n->block.target);
    case NODE_MACRO:
        return store_name(a, n->macro->id);
    case NODE_CALL_BLOCK:
        return visit(a, n->call_block.call);
    case NODE_FILTER_BLOCK:
        return visit(a, n->block.filter);
    case NODE_WITH:
        return visit_pairs(a, NULL, n->with.values, n->with.count);
    default:
        return visit_expression(a, n);
    }
}

static int visit(analyser *a, const node *n)
{
    if (++a->depth > JINJA_DEPTH_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = a->t->file, .line = n->line, .column = n->column },
                       "expression nested too deeply");
    TRY(visit_node(a, n));
    a->depth--;
    return LORAC_OK;
}

/* ---- Scopes in scopes --------------------------------------------------------------------------------- */

static int keep_hidden(analyser *a, name_list *hidden)
{
    size_t count = 0;
    for (size_t i = 0; i < a->touched.count; i++)
        count += a->load[a->touched.ids[i]] == LOAD_MISSING;
    hidden->ids = arena_new(&a->t->arena, count, sizeof *hidden->ids);
    if (!hidden->ids)
        return fail_memory();
    for (size_t i = 0; i < a->touched.count; i++)
        if (a->load[a->touched.ids[i]] == LOAD_MISSING)
            hidden->ids[hidden->count++] = a->touched.ids[i];
    return LORAC_OK;
}

/* A scope, whose parameters have been declared already. */
static int analyse_scope(analyser *a, const node_list *body, name_list *hidden)
{
    TRY(visit_list(a, body));
    TRY(keep_hidden(a, hidden));
    id_list names = a->touched;
    a->touched = (id_list){ 0 };
    for (size_t i = 0; i < names.count; i++) {
        a->outer[names.ids[i]]++;
        a->load[names.ids[i]] = LOAD_NONE;
    }
    int status = analyse_inside(a, body);
    for (size_t i = 0; i < names.count; i++)
        a->outer[names.ids[i]]--;
    mem_free(names.ids);
    return status;
}

static int declare(analyser *a, uint32_t id)
{
    return refer(a, id, LOAD_OUTER);
}

static int declare_target(analyser *a, const node *n)
{
    if (n->kind == NODE_NAME)
        return declare(a, n->name.id);
    for (size_t i = 0; n->kind == NODE_TUPLE && i < n->list.count; i++)
        TRY(declare_target(a, n->list.items[i]));
    return LORAC_OK;
}

static int analyse_for(analyser *a, for_node *n)
{
    TRY(declare(a, (uint32_t)map_find(&a->t->names, slice_of("loop"))));
    TRY(declare_target(a, n->target));
    TRY(analyse_scope(a, &n->body, &n->hidden));
    return analyse_scope(a, &n->otherwise, &n->hidden_otherwise);
}

static int analyse_macro(analyser *a, macro_node *n)
{
    static const char *const special[] = { "caller", "kwargs", "varargs" };
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        TRY(declare(a, (uint32_t)map_find(&a->t->names, slice_of(special[i]))));
    for (size_t i = 0; i < n->count; i++)
        TRY(declare(a, n->parameters[i].id));
    for (size_t i = 0; i < n->count; i++)
        TRY(visit_optional(a, n->parameters[i].fallback));
    return analyse_scope(a, &n->body, &n->hidden);
}

static int analyse_statement(analyser *a, node *n)
{
    switch ((node_kind)n->kind) {
    case NODE_IF:
        for (size_t i = 0; i < n->branches.count; i++)
            TRY(analyse_inside(a, &n->branches.branches[i].body));
        return LORAC_OK;
    case NODE_FOR:
        return analyse_for(a, n->loop);
    case NODE_MACRO:
        return analyse_macro(a, n->macro);
    case NODE_CALL_BLOCK:
        return analyse_macro(a, n->call_block.body);
    case NODE_SET_BLOCK:
    case NODE_FILTER_BLOCK:
    case NODE_GENERATION:
        return analyse_scope(a, &n->block.body, &n->block.hidden);
    case NODE_WITH:
        for (size_t i = 0; i < n->with.count; i++)
            TRY(declare_target(a, n->with.targets[i]));
        return analyse_scope(a, &n->with.body, &n->with.hidden);
    default:
        return LORAC_OK;
    }
}

static int analyse_inside(analyser *a, const node_list *body)
{
    for (size_t i = 0; i < body->count; i++)
        TRY(analyse_statement(a, body->items[i]));
    return LORAC_OK;
}

int jinja_find_hidden(template *t)
{
    analyser a = { .t = t, .load = mem_new(t->names.count, 1), .outer = mem_new(t->names.count, sizeof *a.outer) };
    int status = a.load && a.outer ? analyse_scope(&a, &t->body, &t->hidden) : fail_memory();
    mem_free(a.load);
    mem_free(a.outer);
    mem_free(a.touched.ids);
    return status;
}
