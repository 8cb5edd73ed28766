/* jinja_expression.c: tokens to expressions, in jinja2's order of precedence, which is not Python's: -2**2 is 4, and ~
 * binds tighter than +. Each function parses one level and calls the next tighter one. */
#include "jinja_parser.h"

#include <string.h>

static int parse_unary(parser *p, node **out, bool with_filters);
static int parse_primary(parser *p, node **out, bool with_namespace);

/* ---- Operators, from the tightest to the loosest ------------------------------------------------------ */

typedef struct infix {
    const char *text;
    operator op; /* of a NODE_BINARY */
} infix;

/* Operands of `next`, with any of the operators between them; they bind from the left. */
static int parse_infix(parser *p, node **out, node_kind kind, const infix *operators, size_t count,
                       int (*next)(parser *p, node **out))
{
    TRY(next(p, out));
    for (size_t i = 0; i < count;) {
        const token *at = p->at;
        node *n;
        if (!parse_skip(p, operators[i].text)) {
            i++;
            continue;
        }
        TRY(node_new(p, &n, kind, at));
        n->binary.left = *out;
        n->binary.op = operators[i].op;
        TRY(next(p, &n->binary.right));
        *out = n;
        i = 0;
    }
    return LORAC_OK;
}

static int parse_filtered_unary(parser *p, node **out)
{
    return parse_unary(p, out, true);
}

static int parse_pow(parser *p, node **out)
{
    static const infix operators[] = { { "**", OP_POW } };
    return parse_infix(p, out, NODE_BINARY, operators, 1, parse_filtered_unary);
}

static int parse_math2(parser *p, node **out)
{
    static const infix operators[] = { { "*", OP_MUL }, { "/", OP_DIV }, { "//", OP_FLOORDIV }, { "%", OP_MOD } };
    return parse_infix(p, out, NODE_BINARY, operators, 4, parse_pow);
}

static int parse_concat(parser *p, node **out)
{
    const token *at = p->at;
    TRY(parse_math2(p, out));
    if (!token_is(p->at, "~"))
        return LORAC_OK;
    node *n;
    TRY(node_new(p, &n, NODE_CONCAT, at));
    TRY(node_list_add(p, &n->list, *out));
    while (parse_skip(p, "~")) {
        node *part;
        TRY(parse_math2(p, &part));
        TRY(node_list_add(p, &n->list, part));
    }
    *out = n;
    return LORAC_OK;
}

static int parse_math1(parser *p, node **out)
{
    static const infix operators[] = { { "+", OP_ADD }, { "-", OP_SUB } };
    return parse_infix(p, out, NODE_BINARY, operators, 2, parse_concat);
}

static bool comparison_operator(parser *p, operator* op)
{
    static const infix table[] = { { "==", OP_EQ }, { "!=", OP_NE }, { "<", OP_LT }, { "<=", OP_LE },
                                   { ">", OP_GT },  { ">=", OP_GE }, { "in", OP_IN } };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (parse_skip(p, table[i].text)) {
            *op = table[i].op;
            return true;
        }
    }
    if (!token_is(p->at, "not") || !token_is(p->at + 1, "in"))
        return false;
    p->at += 2;
    *op = OP_NOT_IN;
    return true;
}

static int parse_compare(parser *p, node **out)
{
    node *n = NULL;
    const token *at = p->at;
    operator op;
    TRY(parse_math1(p, out));
    while (comparison_operator(p, &op)) {
        if (!n) {
            TRY(node_new(p, &n, NODE_COMPARE, at));
            n->compare.first = *out;
            *out = n;
        }
        TRY(parse_room(p, n->compare.rest, n->compare.count));
        comparison *rest = &n->compare.rest[n->compare.count++];
        rest->op = op;
        TRY(parse_math1(p, &rest->right));
    }
    return LORAC_OK;
}

static int parse_not(parser *p, node **out)
{
    const token *at = p->at;
    if (!parse_skip(p, "not"))
        return parse_compare(p, out);
    TRY(parse_enter(p));
    TRY(node_new(p, out, NODE_NOT, at));
    TRY(parse_not(p, &(*out)->unary.operand));
    p->nesting--;
    return LORAC_OK;
}

static int parse_and(parser *p, node **out)
{
    static const infix operators[] = { { .text = "and" } };
    return parse_infix(p, out, NODE_AND, operators, 1, parse_not);
}

static int parse_or(parser *p, node **out)
{
    static const infix operators[] = { { .text = "or" } };
    return parse_infix(p, out, NODE_OR, operators, 1, parse_and);
}

/* A if test else B: everything in it counts as a branch. */
int parse_expression(parser *p, node **out)
{
    bool soft = p->soft;
    const token *at = p->at, *unknown = p->unknown;
    TRY(parse_enter(p));
    TRY(parse_or(p, out));
    while (parse_skip(p, "if")) {
        node *n;
        p->unknown = unknown;
        TRY(node_new(p, &n, NODE_CONDITION, at));
        n->condition.yes = *out;
        p->soft = true;
        TRY(parse_or(p, &n->condition.test));
        if (parse_skip(p, "else"))
            TRY(parse_expression(p, &n->condition.no));
        p->soft = soft;
        *out = n;
    }
    p->nesting--;
    return LORAC_OK;
}

/* ---- Behind a value: attributes, items, calls, filters, tests ----------------------------------------- */

/* [index] or one of [start:stop:step], behind the bracket. */
static int parse_subscribed(parser *p, node **out)
{
    const token *at = p->at;
    node *start = NULL;
    if (!token_is(p->at, ":")) {
        TRY(parse_expression(p, &start));
        if (!token_is(p->at, ":")) {
            *out = start;
            return LORAC_OK;
        }
    }
    p->at++;
    node *n;
    TRY(node_new(p, &n, NODE_SLICE, at));
    n->slice.start = start;
    if (!token_is(p->at, ":") && !token_is(p->at, "]") && !token_is(p->at, ","))
        TRY(parse_expression(p, &n->slice.stop));
    if (parse_skip(p, ":") && !token_is(p->at, "]") && !token_is(p->at, ","))
        TRY(parse_expression(p, &n->slice.step));
    *out = n;
    return LORAC_OK;
}

static int parse_attribute(parser *p, node **out)
{
    const token *dot = p->at++, *word = p->at++;
    node *n;
    if (word->kind == TOKEN_INTEGER) {
        node *index;
        TRY(node_new(p, &n, NODE_ITEM, dot));
        TRY(node_new(p, &index, NODE_CONSTANT, word));
        index->constant = word->number;
        n->item.object = *out;
        n->item.index = index;
        *out = n;
        return LORAC_OK;
    }
    if (word->kind != TOKEN_WORD) {
        char room[80];
        p->at--;
        return parse_fail(p, word, "expected a name or number after '.', found %s",
                          token_describe(word, room, sizeof room));
    }
    TRY(node_new(p, &n, NODE_ATTRIBUTE, word));
    n->attribute.object = *out;
    n->attribute.name = word->text;
    n->attribute.kinds = method_kinds(word->text);
    *out = n;
    return LORAC_OK;
}

static int parse_item(parser *p, node **out)
{
    const token *at = p->at++;
    node *n, *index = NULL;
    node_list several = { 0 };
    TRY(node_new(p, &n, NODE_ITEM, at));
    do {
        TRY(parse_subscribed(p, &index));
        TRY(node_list_add(p, &several, index));
    } while (parse_skip(p, ",") && !token_is(p->at, "]"));
    TRY(parse_expect(p, "]"));
    if (several.count > 1) {
        TRY(node_new(p, &index, NODE_TUPLE, at));
        index->list = several;
    }
    n->item.object = *out;
    n->item.index = index;
    *out = n;
    return LORAC_OK;
}

static int parse_keyword(parser *p, node_arguments *out)
{
    TRY(parse_room(p, out->keywords, out->keyword_count));
    node_keyword *named = &out->keywords[out->keyword_count++];
    named->name = p->at->text;
    p->at += 2;
    return parse_expression(p, &named->value);
}

static int parse_argument(parser *p, node_arguments *out)
{
    node *item;
    if (out->double_star || (out->star && !token_is(p->at, "**") && !token_is(p->at + 1, "=")))
        return parse_fail(p, p->at, "arguments in an order that a call does not allow");
    if (parse_skip(p, "*"))
        return parse_expression(p, &out->star);
    if (parse_skip(p, "**"))
        return parse_expression(p, &out->double_star);
    if (p->at->kind == TOKEN_WORD && token_is(p->at + 1, "="))
        return parse_keyword(p, out);
    if (out->keyword_count)
        return parse_fail(p, p->at, "an argument without name follows named ones");
    TRY(parse_expression(p, &item));
    return node_list_add(p, &out->items, item);
}

static int parse_arguments(parser *p, node_arguments *out)
{
    TRY(parse_expect(p, "("));
    for (bool first = true; !token_is(p->at, ")"); first = false) {
        if (!first) {
            TRY(parse_expect(p, ","));
            if (token_is(p->at, ")"))
                break;
        }
        TRY(parse_argument(p, out));
    }
    return parse_expect(p, ")");
}

static int parse_call(parser *p, node **out)
{
    node *n;
    TRY(node_new(p, &n, NODE_CALL, p->at));
    n->call.callee = *out;
    TRY(parse_arguments(p, &n->call.arguments));
    *out = n;
    return LORAC_OK;
}

static int parse_postfix(parser *p, node **out)
{
    for (;;) {
        if (token_is(p->at, "."))
            TRY(parse_attribute(p, out));
        else if (token_is(p->at, "["))
            TRY(parse_item(p, out));
        else if (token_is(p->at, "("))
            TRY(parse_call(p, out));
        else
            return LORAC_OK;
    }
}

/* A filter's or test's name, which may have dots. */
static int parse_dotted(parser *p, slice *out)
{
    char room[80];
    for (const char *begin = p->at->text.p;; p->at++) {
        if (p->at->kind != TOKEN_WORD)
            return parse_fail(p, p->at, "expected the name of a filter or test, found %s",
                              token_describe(p->at, room, sizeof room));
        *out = (slice){ begin, (size_t)(p->at->text.p + p->at->text.n - begin) };
        p->at++;
        if (!token_is(p->at, "."))
            return LORAC_OK;
    }
}

int parse_filters(parser *p, node **out, node *input, bool inline_first)
{
    *out = input;
    while (inline_first || parse_skip(p, "|")) {
        node *n;
        const token *at = p->at;
        TRY(node_new(p, &n, NODE_FILTER, at));
        TRY(parse_dotted(p, &n->filter.name));
        n->filter.filter = filter_find(n->filter.name);
        if (!n->filter.filter && !p->soft && !p->unknown)
            p->unknown = at;
        if (token_is(p->at, "("))
            TRY(parse_arguments(p, &n->filter.arguments));
        n->filter.input = *out;
        *out = n;
        inline_first = false;
    }
    return LORAC_OK;
}

static bool begins_test_argument(const token *t)
{
    if (t->kind == TOKEN_STRING || t->kind == TOKEN_INTEGER || t->kind == TOKEN_FLOAT)
        return true;
    if (t->kind == TOKEN_WORD)
        return !token_is(t, "else") && !token_is(t, "or") && !token_is(t, "and");
    return token_is(t, "[") || token_is(t, "{");
}

/* value is [not] name argument, at `is`. */
static int parse_test(parser *p, node **out)
{
    node *n, *argument;
    const token *at = p->at++;
    bool negated = parse_skip(p, "not");
    const token *word = p->at;
    TRY(node_new(p, &n, NODE_TEST, word));
    TRY(parse_dotted(p, &n->test.name));
    n->test.input = *out;
    n->test.test = test_find(n->test.name);
    if (!n->test.test && !p->soft && !p->unknown)
        p->unknown = word;
    if (token_is(p->at, "(")) {
        TRY(parse_arguments(p, &n->test.arguments));
    } else if (begins_test_argument(p->at)) {
        if (token_is(p->at, "is"))
            return parse_fail(p, p->at, "tests cannot be chained with 'is'");
        TRY(parse_primary(p, &argument, false));
        TRY(parse_postfix(p, &argument));
        TRY(node_list_add(p, &n->test.arguments.items, argument));
    }
    *out = n;
    if (!negated)
        return LORAC_OK;
    TRY(node_new(p, out, NODE_NOT, at));
    (*out)->unary.operand = n;
    return LORAC_OK;
}

static int parse_filter_expression(parser *p, node **out)
{
    for (;;) {
        if (token_is(p->at, "|"))
            TRY(parse_filters(p, out, *out, false));
        else if (token_is(p->at, "is"))
            TRY(parse_test(p, out));
        else if (token_is(p->at, "("))
            TRY(parse_call(p, out));
        else
            return LORAC_OK;
    }
}

static int parse_unary(parser *p, node **out, bool with_filters)
{
    const token *at = p->at;
    TRY(parse_enter(p));
    if (parse_skip(p, "-") || parse_skip(p, "+")) {
        TRY(node_new(p, out, token_is(at, "-") ? NODE_NEGATIVE : NODE_POSITIVE, at));
        TRY(parse_unary(p, &(*out)->unary.operand, false));
    } else {
        TRY(parse_primary(p, out, false));
    }
    TRY(parse_postfix(p, out));
    if (with_filters)
        TRY(parse_filter_expression(p, out));
    p->nesting--;
    return LORAC_OK;
}

/* ---- Values --------------------------------------------------------------------------------------------- */

static int parse_name(parser *p, node **out, bool with_namespace)
{
    const token *word = p->at++;
    bool yes = slice_is(word->text, "true") || slice_is(word->text, "True");
    if (yes || slice_is(word->text, "false") || slice_is(word->text, "False")) {
        TRY(node_new(p, out, NODE_CONSTANT, word));
        (*out)->constant = value_of_bool(yes);
        return LORAC_OK;
    }
    if (slice_is(word->text, "none") || slice_is(word->text, "None")) {
        TRY(node_new(p, out, NODE_CONSTANT, word));
        (*out)->constant = value_none();
        return LORAC_OK;
    }
    if (with_namespace && token_is(p->at, ".") && p->at[1].kind == TOKEN_WORD) {
        TRY(node_new(p, out, NODE_NAMESPACE_ATTRIBUTE, word));
        (*out)->namespace.name = word->text;
        (*out)->namespace.attribute = p->at[1].text;
        p->at += 2;
        return name_intern(p->t, word->text, &(*out)->namespace.id);
    }
    parse_note_name(p, word->text);
    TRY(node_new(p, out, NODE_NAME, word));
    (*out)->name.text = word->text;
    return name_intern(p->t, word->text, &(*out)->name.id);
}

/* Strings that stand side by side are one. */
static int parse_strings(parser *p, node **out)
{
    size_t n = 0, used = 0;
    const token *first = p->at;
    TRY(node_new(p, out, NODE_CONSTANT, first));
    for (; p->at->kind == TOKEN_STRING; p->at++)
        n += p->at->text.n;
    (*out)->constant = value_of_slice(first->text);
    if (p->at == first + 1)
        return LORAC_OK;
    char *text = arena_new(&p->t->arena, n + 1, 1);
    if (!text)
        return fail_memory();
    for (const token *t = first; t < p->at; used += t->text.n, t++)
        memcpy(text + used, t->text.p, t->text.n);
    (*out)->constant = value_of_slice((slice){ text, n });
    return LORAC_OK;
}

static int parse_list(parser *p, node **out)
{
    TRY(node_new(p, out, NODE_LIST, p->at++));
    while (!token_is(p->at, "]")) {
        node *item;
        TRY(parse_expression(p, &item));
        TRY(node_list_add(p, &(*out)->list, item));
        if (!token_is(p->at, "]"))
            TRY(parse_expect(p, ","));
    }
    return parse_expect(p, "]");
}

static int parse_dict(parser *p, node **out)
{
    node_list keys = { 0 }, values = { 0 };
    TRY(node_new(p, out, NODE_DICT, p->at++));
    while (!token_is(p->at, "}")) {
        node *key, *item;
        TRY(parse_expression(p, &key));
        TRY(parse_expect(p, ":"));
        TRY(parse_expression(p, &item));
        TRY(node_list_add(p, &keys, key));
        TRY(node_list_add(p, &values, item));
        if (!token_is(p->at, "}"))
            TRY(parse_expect(p, ","));
    }
    (*out)->dict.keys = keys.items;
    (*out)->dict.values = values.items;
    (*out)->dict.count = keys.count;
    return parse_expect(p, "}");
}

/* What stands between parentheses: one expression or a tuple, which may be empty. */
static int parse_parenthesis(parser *p, node **out)
{
    const token *at = p->at++;
    if (token_is(p->at, ")")) {
        p->at++;
        return node_new(p, out, NODE_TUPLE, at);
    }
    TRY(parse_tuple(p, out, TUPLE_OF_ANY, NULL));
    return parse_expect(p, ")");
}

static int parse_primary(parser *p, node **out, bool with_namespace)
{
    char room[80];
    switch ((token_kind)p->at->kind) {
    case TOKEN_WORD:
        return parse_name(p, out, with_namespace);
    case TOKEN_STRING:
        return parse_strings(p, out);
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
        TRY(node_new(p, out, NODE_CONSTANT, p->at));
        (*out)->constant = p->at++->number;
        return LORAC_OK;
    default:
        if (token_is(p->at, "("))
            return parse_parenthesis(p, out);
        if (token_is(p->at, "["))
            return parse_list(p, out);
        if (token_is(p->at, "{"))
            return parse_dict(p, out);
        return parse_fail(p, p->at, "expected an expression, found %s", token_describe(p->at, room, sizeof room));
    }
}

/* ---- Tuples and targets --------------------------------------------------------------------------------- */

static bool ends_tuple(const token *t, const char *end)
{
    return t->kind == TOKEN_VARIABLE_END || t->kind == TOKEN_BLOCK_END || token_is(t, ")") || (end && token_is(t, end));
}

int parse_tuple(parser *p, node **out, tuple_of what, const char *end)
{
    const token *at = p->at;
    node_list items = { 0 };
    bool tuple = false;
    while (!items.count || !ends_tuple(p->at, end)) {
        node *item;
        if (what == TUPLE_OF_ANY)
            TRY(parse_expression(p, &item));
        else if (what == TUPLE_OF_PLAIN)
            TRY(parse_or(p, &item));
        else
            TRY(parse_primary(p, &item, what == TUPLE_OF_TARGETS));
        TRY(node_list_add(p, &items, item));
        if (!parse_skip(p, ","))
            break;
        tuple = true;
    }
    *out = items.items[0];
    if (!tuple)
        return LORAC_OK;
    TRY(node_new(p, out, NODE_TUPLE, at));
    (*out)->list = items;
    return LORAC_OK;
}

static int check_target(parser *p, const node *n)
{
    if (n->kind == NODE_NAME || n->kind == NODE_NAMESPACE_ATTRIBUTE)
        return LORAC_OK;
    if (n->kind != NODE_TUPLE)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = p->t->file, .line = n->line, .column = n->column },
                       "this cannot be assigned to");
    for (size_t i = 0; i < n->list.count; i++)
        TRY(check_target(p, n->list.items[i]));
    return LORAC_OK;
}

int parse_target(parser *p, node **out, bool with_namespace, const char *end)
{
    TRY(parse_tuple(p, out, with_namespace ? TUPLE_OF_TARGETS : TUPLE_OF_NAMES, end));
    return check_target(p, *out);
}
