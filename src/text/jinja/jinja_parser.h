/* jinja_parser.h: what lexer and parser share: tokens, and the parser's functions that both its files need. A template
 * is lexed (jinja_lex.c), parsed into a tree (jinja_parse.c, jinja_expression.c), and its scopes are settled
 * (jinja_scopes.c). Only these files and template.c, which runs them, include this. */
#ifndef LORAC_JINJA_PARSER_H
#define LORAC_JINJA_PARSER_H

#include "jinja.h"

typedef enum token_kind {
    TOKEN_END,
    TOKEN_DATA,
    TOKEN_VARIABLE_BEGIN,
    TOKEN_VARIABLE_END,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_OPERATOR
} token_kind;

typedef struct token {
    uint8_t kind;
    uint32_t line, column;
    slice text; /* DATA, WORD, OPERATOR as they stand; STRING unescaped */
    value number;
} token;

typedef struct token_list {
    token *items;
    size_t count, capacity;
} token_list;

/* Tokens of t->source; the list's items are the caller's (mem_free), their texts live as long as the template. */
int jinja_lex(template *t, token_list *out);

typedef struct parser {
    template *t;
    const token *at;
    int nesting;
    bool soft;                /* in a branch: an unknown filter is an error only when it runs, as in jinja2 */
    const token *unknown;     /* the first unknown filter or test outside branches */
    int loops;                /* enclosing for loops of this function body */
    struct macro_node *macro; /* the innermost around, or NULL */
    slice innermost;          /* statement being parsed, for messages */
} parser;

int jinja_parse(template *t, const token_list *tokens);
int jinja_find_hidden(template *t);

/* Shared by the two parser files. Every one of them: LORAC_OK or a failure with its place. */
int parse_fail(const parser *p, const token *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
int parse_enter(parser *p);
bool token_is(const token *t, const char *text); /* a word or operator */
bool parse_skip(parser *p, const char *text);
int parse_expect(parser *p, const char *text);
const char *token_describe(const token *t, char *room, size_t size);
int node_new(parser *p, node **out, node_kind kind, const token *at);
int node_list_add(parser *p, node_list *list, node *item);
/* Room for one more in an array of `count` items in the arena. */
#define parse_room(p, items, count) parse_grow((p), &(items), (count), sizeof *(items))
int parse_grow(parser *p, void *items, size_t count, size_t size); /* for parse_room; `items`: a pointer's address */
int name_intern(template *t, slice name, uint32_t *id);
int parse_expression(parser *p, node **out);
/* One of these, or several with commas between them: a tuple. `end` is a word that may stand behind it, or NULL. */
typedef enum tuple_of {
    TUPLE_OF_ANY,
    TUPLE_OF_PLAIN, /* expressions without an inline if */
    TUPLE_OF_NAMES,
    TUPLE_OF_TARGETS /* names, and attributes of namespaces */
} tuple_of;
int parse_tuple(parser *p, node **out, tuple_of what, const char *end);
int parse_target(parser *p, node **out, bool with_namespace, const char *end);
int parse_filters(parser *p, node **out, node *input, bool inline_first);

void parse_note_name(parser *p, slice name); /* a variable is read: macros that speak of caller, kwargs, varargs */

/* As in err.h: what clang's analyser cannot see from outside. */
#ifdef __clang_analyzer__
#define parse_fail(...) ((void)(parse_fail)(__VA_ARGS__), (int)LORAC_ERROR_DATA)
#endif

#endif
