/* jinja_tree.h: the syntax tree of a template. It never changes after parsing, and its texts lie in the template's
 * source and arena. */
#ifndef LORAC_JINJA_TREE_H
#define LORAC_JINJA_TREE_H

#include "arena.h"
#include "jinja_value.h"
#include "map.h"

typedef enum node_kind {
    NODE_CONSTANT,
    NODE_NAME,
    NODE_LIST,
    NODE_TUPLE,
    NODE_DICT,
    NODE_ATTRIBUTE,
    NODE_ITEM,
    NODE_SLICE,
    NODE_CALL,
    NODE_FILTER,
    NODE_TEST,
    NODE_NOT,
    NODE_NEGATIVE,
    NODE_POSITIVE,
    NODE_AND,
    NODE_OR,
    NODE_COMPARE,
    NODE_BINARY,
    NODE_CONCAT,
    NODE_CONDITION,
    NODE_NAMESPACE_ATTRIBUTE, /* only as a target of set */
    NODE_TEXT,
    NODE_PRINT,
    NODE_IF,
    NODE_FOR,
    NODE_SET,
    NODE_SET_BLOCK,
    NODE_MACRO,
    NODE_CALL_BLOCK,
    NODE_FILTER_BLOCK,
    NODE_WITH,
    NODE_BREAK,
    NODE_CONTINUE,
    NODE_GENERATION
} node_kind;

typedef enum operator{
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
}
operator;

typedef struct node node;
typedef struct node_list {
    node **items;
    size_t count;
} node_list;
typedef struct node_keyword {
    slice name;
    node *value;
} node_keyword;
typedef struct node_arguments {
    node_list items;
    node_keyword *keywords;
    size_t keyword_count;
    node *star, *double_star; /* *args and **kwargs, or NULL */
} node_arguments;

/* Names that a scope hides until it sets them: jinja_scopes.c. */
typedef struct name_list {
    uint32_t *ids;
    size_t count;
} name_list;

typedef struct comparison {
    operator op;
    node *right;
} comparison;
typedef struct branch {
    node *test;
    node_list body;
} branch; /* else: test NULL */

typedef struct for_node {
    node *target, *iterable, *test;
    node_list body, otherwise;
    name_list hidden, hidden_otherwise;
    bool recursive;
} for_node;

/* Also the body of a call block, which is a macro named "caller". */
typedef struct macro_node {
    uint32_t id;
    slice name;
    struct parameter {
        uint32_t id;
        slice name;
        node *fallback;
    } * parameters;
    size_t count;
    node_list body;
    name_list hidden;
    bool takes_caller, takes_keywords, takes_rest; /* the body speaks of caller, kwargs, varargs */
    bool names_caller;                             /* a parameter is called so */
    struct macro_node *outer;                      /* around this one; for the parser */
} macro_node;

struct node {
    uint8_t kind;
    uint32_t line, column;
    union {
        value constant; /* CONSTANT, TEXT */
        struct {
            uint32_t id;
            slice text;
        } name;
        node_list list; /* LIST, TUPLE, CONCAT */
        struct {
            node **keys, **values;
            size_t count;
        } dict;
        struct {
            node *object;
            slice name;
            uint32_t kinds;
        } attribute; /* kinds: those that have such a method, as bits */
        struct {
            node *object, *index;
        } item;
        struct {
            node *start, *stop, *step;
        } slice;
        struct {
            node *callee;
            node_arguments arguments;
        } call;
        struct {
            node *input;
            slice name;
            const struct filter *filter;
            node_arguments arguments;
        } filter; /* filter NULL: unknown */
        struct {
            node *input;
            slice name;
            const struct test *test;
            node_arguments arguments;
        } test;
        struct {
            node *operand;
        } unary; /* NOT, NEGATIVE, POSITIVE, PRINT */
        struct {
            node *left, *right;
            operator op;
        } binary; /* AND, OR too */
        struct {
            node *first;
            comparison *rest;
            size_t count;
        } compare;
        struct {
            node *test, *yes, *no;
        } condition;
        struct {
            uint32_t id;
            slice name, attribute;
        } namespace;
        struct {
            branch *branches;
            size_t count;
        } branches; /* IF */
        for_node *loop;
        struct {
            node *target, *value;
        } set;
        struct {
            node *target, *filter;
            node_list body;
            name_list hidden;
        } block; /* SET_BLOCK, FILTER_BLOCK, GENERATION */
        macro_node *macro;
        struct {
            node *call;
            macro_node *body;
        } call_block;
        struct {
            node **targets, **values;
            size_t count;
            node_list body;
            name_list hidden;
        } with;
    };
};

struct template
{
    arena arena;
    const char *file;
    slice source; /* newlines made \n, the last one dropped */
    map names;    /* variable names to ids */
    node_list body;
    name_list hidden;
    bool generation;
};

#endif
