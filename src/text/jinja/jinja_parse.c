/* jinja_parse.c: tokens to statements. Follows jinja2's parser.py rule by rule. Expressions are in jinja_expression.c.
 */
#include "array.h"
#include "jinja_parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int parse_statements(parser *p, const char *const *ends, node_list *body);

int(parse_fail)(const parser *p, const token *at, const char *format, ...)
{
    char message[400];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = p->t->file, .line = at->line, .column = at->column }, "%s",
                   message);
}

int parse_enter(parser *p)
{
    if (++p->nesting > JINJA_NESTING_LIMIT)
        return parse_fail(p, p->at, "template nested too deeply");
    return LORAC_OK;
}

bool token_is(const token *t, const char *text)
{
    return (t->kind == TOKEN_WORD || t->kind == TOKEN_OPERATOR) && slice_is(t->text, text);
}

bool parse_skip(parser *p, const char *text)
{
    if (!token_is(p->at, text))
        return false;
    p->at++;
    return true;
}

int parse_expect(parser *p, const char *text)
{
    char room[80];
    if (!parse_skip(p, text))
        return parse_fail(p, p->at, "expected '%s', found %s", text, token_describe(p->at, room, sizeof room));
    return LORAC_OK;
}

const char *token_describe(const token *t, char *room, size_t size)
{
    switch ((token_kind)t->kind) {
    case TOKEN_END:
        return "the end of the template";
    case TOKEN_DATA:
        return "text";
    case TOKEN_STRING:
        return "a string";
    default:
        snprintf(room, size, "'%.*s'", (int)(t->text.n > 60 ? 60 : t->text.n), t->text.p);
        return room;
    }
}

int node_new(parser *p, node **out, node_kind kind, const token *at)
{
    node *n = arena_new(&p->t->arena, 1, sizeof *n);
    if (!n)
        return fail_memory();
    n->kind = (uint8_t)kind;
    n->line = at->line;
    n->column = at->column;
    *out = n;
    return LORAC_OK;
}

int parse_grow(parser *p, void *items, size_t count, size_t size)
{
    if (count & (count - 1)) /* room is made when count is 0 or a power of two */
        return LORAC_OK;
    void *grown = arena_new(&p->t->arena, count ? 2 * count : 1, size);
    if (!grown)
        return fail_memory();
    array_replace(items, grown, count * size);
    return LORAC_OK;
}

int node_list_add(parser *p, node_list *list, node *item)
{
    TRY(parse_room(p, list->items, list->count));
    list->items[list->count++] = item;
    return LORAC_OK;
}

int name_intern(template *t, slice name, uint32_t *id)
{
    int64_t at = map_find(&t->names, name);
    if (at < 0) {
        at = (int64_t)t->names.count;
        TRY(map_add(&t->names, name, at, NULL));
    }
    *id = (uint32_t)at;
    return LORAC_OK;
}

static int expect_word(parser *p, const token **out)
{
    char room[80];
    if (p->at->kind != TOKEN_WORD)
        return parse_fail(p, p->at, "expected a name, found %s", token_describe(p->at, room, sizeof room));
    *out = p->at++;
    return LORAC_OK;
}

static int expect_block_end(parser *p)
{
    char room[80];
    if (p->at->kind != TOKEN_BLOCK_END)
        return parse_fail(p, p->at, "expected the end of the tag %%}, found %s",
                          token_describe(p->at, room, sizeof room));
    p->at++;
    return LORAC_OK;
}

/* A body up to one of `ends`, which it leaves as the current token. */
static int parse_body(parser *p, const char *const *ends, node_list *body)
{
    parse_skip(p, ":");
    TRY(expect_block_end(p));
    return parse_statements(p, ends, body);
}

/* The same with a single end, which it passes over. */
static int parse_body_to(parser *p, const char *end, node_list *body)
{
    const char *const ends[] = { end, NULL };
    TRY(parse_body(p, ends, body));
    p->at++;
    return LORAC_OK;
}

static int parse_if(parser *p, node *n)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    bool soft = p->soft, last = false;
    p->soft = true;
    while (!last) {
        TRY(parse_room(p, n->branches.branches, n->branches.count));
        branch *b = &n->branches.branches[n->branches.count++];
        TRY(parse_tuple(p, &b->test, TUPLE_OF_PLAIN, NULL));
        TRY(parse_body(p, ends, &b->body));
        last = !token_is(p->at, "elif");
        p->at++;
    }
    if (token_is(p->at - 1, "else")) {
        TRY(parse_room(p, n->branches.branches, n->branches.count));
        TRY(parse_body_to(p, "endif", &n->branches.branches[n->branches.count++].body));
    }
    p->soft = soft;
    return LORAC_OK;
}

static int parse_for(parser *p, node *n)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    bool soft = p->soft;
    for_node *l = n->loop = arena_new(&p->t->arena, 1, sizeof *l);
    if (!l)
        return fail_memory();
    TRY(parse_target(p, &l->target, false, "in"));
    TRY(parse_expect(p, "in"));
    TRY(parse_tuple(p, &l->iterable, TUPLE_OF_PLAIN, "recursive"));
    p->soft = false;
    if (parse_skip(p, "if"))
        TRY(parse_expression(p, &l->test));
    l->recursive = parse_skip(p, "recursive");
    p->loops++;
    TRY(parse_body(p, ends, &l->body));
    p->loops--;
    p->at++;
    if (token_is(p->at - 1, "else"))
        TRY(parse_body_to(p, "endfor", &l->otherwise));
    p->soft = soft;
    return LORAC_OK;
}

static int parse_set(parser *p, node *n)
{
    node *target;
    TRY(parse_target(p, &target, true, NULL));
    if (parse_skip(p, "=")) {
        n->set.target = target;
        return parse_tuple(p, &n->set.value, TUPLE_OF_ANY, NULL);
    }
    n->kind = NODE_SET_BLOCK;
    n->block.target = target;
    TRY(parse_filters(p, &n->block.filter, NULL, false));
    bool soft = p->soft;
    p->soft = false;
    TRY(parse_body_to(p, "endset", &n->block.body));
    p->soft = soft;
    return LORAC_OK;
}

static int parse_signature(parser *p, macro_node *m)
{
    TRY(parse_expect(p, "("));
    while (!token_is(p->at, ")")) {
        const token *word = NULL;
        if (m->count)
            TRY(parse_expect(p, ","));
        TRY(expect_word(p, &word));
        TRY(parse_room(p, m->parameters, m->count));
        struct parameter *parameter = &m->parameters[m->count++];
        parameter->name = word->text;
        m->names_caller = m->names_caller || slice_is(word->text, "caller");
        TRY(name_intern(p->t, word->text, &parameter->id));
        if (parse_skip(p, "="))
            TRY(parse_expression(p, &parameter->fallback));
        else if (m->count > 1 && parameter[-1].fallback)
            return parse_fail(p, word, "a parameter without default follows one with a default");
    }
    return parse_expect(p, ")");
}

/* The body of a macro, and of what jinja2 makes one of: call and generation blocks. */
static int parse_macro_body(parser *p, macro_node *m, const char *end)
{
    bool soft = p->soft;
    int loops = p->loops;
    m->outer = p->macro;
    p->macro = m;
    p->soft = false;
    p->loops = 0;
    TRY(parse_body_to(p, end, &m->body));
    p->macro = m->outer;
    p->soft = soft;
    p->loops = loops;
    return LORAC_OK;
}

void parse_note_name(parser *p, slice name)
{
    for (macro_node *m = p->macro; m; m = m->outer) {
        m->takes_caller = m->takes_caller || slice_is(name, "caller");
        m->takes_keywords = m->takes_keywords || slice_is(name, "kwargs");
        m->takes_rest = m->takes_rest || slice_is(name, "varargs");
    }
}

static int new_macro(parser *p, macro_node **out, slice name)
{
    *out = arena_new(&p->t->arena, 1, sizeof **out);
    if (!*out)
        return fail_memory();
    (*out)->name = name;
    return name_intern(p->t, name, &(*out)->id);
}

static int parse_macro(parser *p, node *n)
{
    const token *word = NULL;
    TRY(expect_word(p, &word));
    TRY(new_macro(p, &n->macro, word->text));
    TRY(parse_signature(p, n->macro));
    return parse_macro_body(p, n->macro, "endmacro");
}

static int parse_call_block(parser *p, node *n)
{
    TRY(new_macro(p, &n->call_block.body, slice_of("caller")));
    if (token_is(p->at, "("))
        TRY(parse_signature(p, n->call_block.body));
    const token *at = p->at;
    TRY(parse_expression(p, &n->call_block.call));
    if (n->call_block.call->kind != NODE_CALL)
        return parse_fail(p, at, "{%% call %%} expects a call");
    return parse_macro_body(p, n->call_block.body, "endcall");
}

static int parse_filter_block(parser *p, node *n)
{
    bool soft = p->soft;
    TRY(parse_filters(p, &n->block.filter, NULL, true));
    p->soft = false;
    TRY(parse_body_to(p, "endfilter", &n->block.body));
    p->soft = soft;
    return LORAC_OK;
}

static int parse_with(parser *p, node *n)
{
    bool soft = p->soft;
    while (p->at->kind != TOKEN_BLOCK_END) {
        size_t i = n->with.count;
        if (i)
            TRY(parse_expect(p, ","));
        TRY(parse_room(p, n->with.targets, i));
        TRY(parse_room(p, n->with.values, i));
        n->with.count++;
        TRY(parse_target(p, &n->with.targets[i], false, NULL));
        TRY(parse_expect(p, "="));
        TRY(parse_expression(p, &n->with.values[i]));
    }
    p->soft = false;
    TRY(parse_body_to(p, "endwith", &n->with.body));
    p->soft = soft;
    return LORAC_OK;
}

static int parse_print(parser *p, node *n)
{
    n->kind = NODE_PRINT;
    TRY(parse_expression(p, &n->unary.operand));
    return LORAC_OK;
}

static int parse_loop_control(parser *p, node *n)
{
    const token *word = p->at - 1;
    if (!p->loops)
        return parse_fail(p, word, "{%% %.*s %%} outside a loop", (int)word->text.n, word->text.p);
    n->kind = token_is(word, "break") ? NODE_BREAK : NODE_CONTINUE;
    return LORAC_OK;
}

static int parse_generation(parser *p, node *n)
{
    macro_node *body;
    p->t->generation = true;
    TRY(new_macro(p, &body, slice_of("generation")));
    TRY(parse_macro_body(p, body, "endgeneration"));
    n->block.body = body->body;
    return LORAC_OK;
}

static const struct statement {
    const char *word;
    node_kind kind;
    int (*parse)(parser *p, node *n); /* NULL: jinja2 has it, chat templates cannot use it */
} statements[] = {
    { "if", NODE_IF, parse_if },
    { "for", NODE_FOR, parse_for },
    { "set", NODE_SET, parse_set },
    { "macro", NODE_MACRO, parse_macro },
    { "call", NODE_CALL_BLOCK, parse_call_block },
    { "filter", NODE_FILTER_BLOCK, parse_filter_block },
    { "with", NODE_WITH, parse_with },
    { "print", NODE_PRINT, parse_print },
    { "break", NODE_BREAK, parse_loop_control },
    { "continue", NODE_CONTINUE, parse_loop_control },
    { "generation", NODE_GENERATION, parse_generation },
    { "block", NODE_TEXT, NULL },
    { "extends", NODE_TEXT, NULL },
    { "include", NODE_TEXT, NULL },
    { "import", NODE_TEXT, NULL },
    { "from", NODE_TEXT, NULL },
    { "autoescape", NODE_TEXT, NULL },
};

static int unknown_statement(parser *p, const token *word, const char *const *ends)
{
    char expected[80] = "";
    for (size_t i = 0; ends && ends[i]; i++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%s", i ? " or " : "", ends[i]);
    if (*expected)
        return parse_fail(p, word, "unknown statement '%.*s'; the open {%% %.*s %%} awaits %s", (int)word->text.n,
                          word->text.p, (int)p->innermost.n, p->innermost.p, expected);
    return parse_fail(p, word, "unknown statement '%.*s'", (int)word->text.n, word->text.p);
}

static int parse_statement(parser *p, const char *const *ends, node **out)
{
    const token *word = NULL;
    slice outer = p->innermost;
    TRY(expect_word(p, &word));
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        const struct statement *s = &statements[i];
        if (!slice_is(word->text, s->word))
            continue;
        if (!s->parse)
            return parse_fail(p, word, "the statement '%s' has no place in a chat template", s->word);
        p->innermost = word->text;
        TRY(parse_enter(p));
        TRY(node_new(p, out, s->kind, word));
        TRY(s->parse(p, *out));
        p->nesting--;
        p->innermost = outer;
        return LORAC_OK;
    }
    return unknown_statement(p, word, ends);
}

static bool token_is_any(const token *t, const char *const *words)
{
    for (size_t i = 0; words && words[i]; i++)
        if (token_is(t, words[i]))
            return true;
    return false;
}

/* Statements up to {% one of ends, or to the end of the template when `ends` is NULL. */
static int parse_statements(parser *p, const char *const *ends, node_list *body)
{
    for (;;) {
        const token *at = p->at++;
        node *n = NULL;
        if (at->kind == TOKEN_END) {
            p->at = at;
            return ends
                       ? parse_fail(p, at, "the template ends inside {%% %.*s %%}", (int)p->innermost.n, p->innermost.p)
                       : LORAC_OK;
        }
        if (at->kind == TOKEN_DATA) {
            TRY(node_new(p, &n, NODE_TEXT, at));
            n->constant = value_of_slice(at->text);
        } else if (at->kind == TOKEN_VARIABLE_BEGIN) {
            TRY(node_new(p, &n, NODE_PRINT, at));
            TRY(parse_tuple(p, &n->unary.operand, TUPLE_OF_ANY, NULL));
            if (p->at->kind != TOKEN_VARIABLE_END) {
                char room[80];
                return parse_fail(p, p->at, "expected the end of the expression }}, found %s",
                                  token_describe(p->at, room, sizeof room));
            }
            p->at++;
        } else {
            if (token_is_any(p->at, ends))
                return LORAC_OK;
            TRY(parse_statement(p, ends, &n));
            TRY(expect_block_end(p));
        }
        TRY(node_list_add(p, body, n));
    }
}

int jinja_parse(template *t, const token_list *tokens)
{
    parser p = { .t = t, .at = tokens->items };
    TRY(parse_statements(&p, NULL, &t->body));
    if (p.unknown)
        return parse_fail(&p, p.unknown, "unknown filter or test '%.*s'", (int)p.unknown->text.n, p.unknown->text.p);
    return LORAC_OK;
}
