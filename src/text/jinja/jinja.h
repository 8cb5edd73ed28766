/* jinja.h: what the files of the template engine share: values, the syntax tree, and the machine that walks it.
 *
 * A template is lexed (jinja_lex.c), parsed into a tree (jinja_parse.c, jinja_expression.c) and rendered by walking the
 * tree (jinja_exec.c, jinja_eval.c). The model is Python's jinja2 3.1 as transformers sets it up; where this engine and
 * jinja2 could differ, jinja2 is right. Invariants: a tree never changes after parsing; everything made while rendering
 * lies in the machine's workspace and dies with it; all text is valid UTF-8. Nothing here knows tokenizers or rows. */
#ifndef LORAC_JINJA_H
#define LORAC_JINJA_H

#include "arena.h"
#include "err.h"
#include "map.h"
#include "template.h"

enum {
    JINJA_SOURCE_LIMIT = 4 << 20,  /* bytes of a template */
    JINJA_NESTING_LIMIT = 200,     /* of expressions and statements in the source */
    JINJA_DEPTH_LIMIT = 1200,      /* of nodes being evaluated, macros included */
    JINJA_VALUE_DEPTH_LIMIT = 200, /* of lists in lists, when printed or compared */
    JINJA_RANGE_LIMIT = 100000     /* as jinja2's sandbox */
};
#define JINJA_STEP_LIMIT 10000000LL
#define JINJA_TEXT_LIMIT (64UL << 20)    /* bytes of any one text, the output included */
#define JINJA_MEMORY_LIMIT (512UL << 20) /* bytes of one rendering */

/* ---- Values ------------------------------------------------------------------------------------- */

typedef enum value_kind {
    VALUE_ABSENT, /* no value at all: an argument not given */
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_VIEW,     /* dict.items(), keys(), values() */
    VALUE_ITERATOR, /* Python's generators: read once, no length, always true */
    VALUE_RANGE,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_METHOD, /* bound to its object */
    VALUE_FUNCTION,
    VALUE_CYCLER,
    VALUE_JOINER,
    VALUE_SELF /* jinja2's reference to the template's blocks, of which chat templates have none */
} value_kind;

/* What the text of an undefined value is. */
enum { UNDEFINED_VARIABLE, UNDEFINED_ATTRIBUTE, UNDEFINED_HINT };

typedef struct value {
    uint8_t kind;
    bool foreign;             /* LIST, DICT: a jansson object, wrapped and not copied */
    bool markup;              /* TEXT: went through |safe or |escape */
    bool group;               /* TUPLE: of groupby, with the names grouper and list */
    uint8_t undefined, owner; /* UNDEFINED: what `text` is, and the kind of the object that lacks it */
    size_t n;                 /* TEXT, UNDEFINED: bytes */
    union {
        bool truth;
        int64_t integer;
        double real;
        const char *text;
        json_t *json;
        struct sequence *sequence; /* LIST, TUPLE */
        struct dict *dict;         /* DICT, NAMESPACE */
        struct series *series;     /* VIEW, ITERATOR */
        struct range *range;
        struct loop *loop;
        struct macro *macro;
        struct method *method;
        const struct function *function;
        struct cycler *cycler;
        struct joiner *joiner;
        const void *identity;
    };
} value;

typedef struct sequence {
    value *items;
    size_t count;
} sequence;
typedef struct dict {
    value *keys, *values;
    size_t count, capacity;
} dict;
/* fault: what reading it will fail with, or NULL: generators find out late what they were made of. */
typedef struct series {
    const char *type;
    value *items;
    size_t count, next;
    const char *fault;
} series;
typedef struct range {
    int64_t start, stop, step;
    size_t count;
} range;
typedef struct cycler {
    value *items;
    size_t count, at;
} cycler;
typedef struct joiner {
    value separator;
    bool used;
} joiner;

typedef struct keyword {
    slice name;
    value value;
} keyword;
typedef struct arguments {
    value *items;
    size_t count;
    keyword *keywords;
    size_t keyword_count;
} arguments;

typedef struct machine machine;

typedef struct filter {
    const char *name;
    int (*run)(machine *m, value input, const arguments *a, value *out);
} filter;
typedef struct test {
    const char *name;
    int (*run)(machine *m, value input, const arguments *a, bool *out);
} test;
typedef struct function {
    const char *name;
    int (*run)(machine *m, const arguments *a, value *out);
} function;
/* `run` NULL: Python has it, this engine does not. `unsafe`: the sandbox forbids it. */
typedef struct method_entry {
    const char *name;
    uint8_t kind;
    bool unsafe;
    int (*run)(machine *m, value self, const arguments *a, value *out);
} method_entry;
typedef struct method {
    value self;
    const method_entry *entry;
} method;

/* ---- The tree ------------------------------------------------------------------------------------ */

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
            const filter *filter;
            node_arguments arguments;
        } filter; /* filter NULL: unknown */
        struct {
            node *input;
            slice name;
            const test *test;
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
    slice *name_texts;
    uint32_t name_count, name_capacity;
    node_list body;
    name_list hidden;
    bool generation;
};

/* ---- Lexing and parsing -------------------------------------------------------------------------- */

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
void *parse_grow(parser *p, void *items, size_t count, size_t size); /* room for one more; NULL: out of memory */
int name_intern(template *t, slice name, uint32_t *id);
int parse_expression(parser *p, node **out);
int parse_expression_plain(parser *p, node **out); /* without inline if */
int parse_tuple(parser *p, node **out, bool plain, const char *end);
int parse_target(parser *p, node **out, bool with_namespace, const char *end);
int parse_arguments(parser *p, node_arguments *out);
int parse_filters(parser *p, node **out, node *input, bool inline_first);

void parse_note_name(parser *p, slice name); /* a variable is read: macros that speak of caller, kwargs, varargs */

const filter *filter_find(slice name);
const filter *sequence_filters(size_t *count);
const test *test_find(slice name);
/* The kinds of values that have a method of this name, as bits. */
uint32_t method_kinds(slice name);
const method_entry *method_find(value_kind kind, slice name);
const method_entry *str_methods(size_t *count);
const function *function_list(size_t *count);

/* ---- The machine --------------------------------------------------------------------------------- */

typedef struct binding {
    uint32_t id;
    value value;
} binding; /* VALUE_ABSENT: hidden */

/* One scope. The outermost has none: its variables stand in machine.globals. */
typedef struct frame {
    struct frame *parent;
    binding *bindings;
    size_t count, capacity;
} frame;

typedef struct loop {
    sequence items;
    size_t at;
    int64_t depth;
    const for_node *recurse; /* NULL unless marked recursive */
    frame *outside;          /* the scope the loop stands in */
    value changed;
} loop;

typedef struct macro {
    const macro_node *node;
    frame *scope;
} macro;

/* Text that grows in the workspace. */
typedef struct builder {
    char *p;
    size_t n, capacity;
} builder;

struct machine {
    const template *t;
    value *globals; /* by name id */
    const node *at; /* what is being evaluated: the place of errors */
    long long steps;
    int depth;
    struct workspace_block *blocks;
    char *free, *end;
    size_t bytes;
    builder whole, *out; /* the rendered text; where output goes now: there, or into a text being captured */
    text_region *regions;
    slice *region_texts; /* what stood in each when it was written */
    size_t region_count, region_capacity;
    const char *date;
};

int machine_fail(machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
int machine_spend(machine *m, size_t work);            /* counts work against the step limit */
void *work_new(machine *m, size_t count, size_t size); /* not zeroed; NULL after machine_fail */
int work_status(void);                                 /* what a NULL of work_new means */
void machine_free(machine *m);

int builder_add(machine *m, builder *b, const char *p, size_t n);
int builder_slice(machine *m, builder *b, slice s);
int builder_text(machine *m, builder *b, const char *text);
int builder_format(machine *m, builder *b, const char *format, ...) __attribute__((format(printf, 3, 4)));
value builder_value(const builder *b);

/* As in err.h: what clang's analyser cannot see from outside. */
#ifdef __clang_analyzer__
#define parse_fail(...) ((void)(parse_fail)(__VA_ARGS__), (int)LORAC_ERROR_DATA)
#define machine_fail(...) ((void)(machine_fail)(__VA_ARGS__), (int)LORAC_ERROR_DATA)
#define work_status() ((void)(work_status)(), (int)LORAC_ERROR_RUNTIME)
#define value_fail_undefined(m, v) ((void)(value_fail_undefined)((m), (v)), (int)LORAC_ERROR_DATA)
#endif

/* ---- jinja_value.c ------------------------------------------------------------------------------- */

value value_of_bool(bool truth);
value value_of_int(int64_t integer);
value value_of_float(double real);
value value_of_slice(slice text);
value value_of_text(const char *text);
value value_of_json(const json_t *json);
value value_none(void);
value value_undefined_name(slice name);
value value_undefined_attribute(value object, slice name);
value value_undefined_hint(const char *hint);
int value_new_sequence(machine *m, value_kind kind, size_t count, value *out); /* items to be filled in */
int value_new_series(machine *m, value_kind kind, const char *type, value *items, size_t count, value *out);
int value_new_dict(machine *m, value *out);
slice value_slice(value text);
bool value_is_number(value v); /* bools too */
double value_as_real(value number);
int64_t value_as_int(value number); /* INT and BOOL */
const char *value_type(value v);    /* Python's name of its type */
bool value_true(value v);
int value_length(machine *m, value v, size_t *out); /* fails where Python's len does */
bool value_has_length(value v);
bool value_iterable(value v);
bool value_hashable(value v);                        /* may be a key of a dict */
int value_items(machine *m, value v, sequence *out); /* everything it iterates over; empties iterators */
int(value_fail_undefined)(machine *m, value v);
int value_equal(machine *m, value a, value b, bool *out);
int value_order(machine *m, value a, value b, const char *op, int *out); /* <0, 0, >0; 2 for NaN */
int value_contains(machine *m, value container, value v, bool *out);
/* Sorts n pairs by key, keeping the order of equals; `room` has n places. */
typedef struct pair {
    value key, item;
} pair;
int value_sort(machine *m, pair *pairs, pair *room, size_t n, bool reverse);
/* Element i of a list or tuple. */
value sequence_at(value v, size_t i);
size_t sequence_count(value v);
size_t dict_count(value v);
bool dict_step(value v, void **state, size_t *i, value *key, value *item); /* start with *state NULL, *i 0 */
int dict_get(machine *m, value v, value key, bool *found, value *out);
int dict_set(machine *m, value v, value key, value item);
bool dict_get_text(value v, slice key, value *out);

/* ---- jinja_print.c: values as text ----------------------------------------------------------------- */

int value_print(machine *m, builder *b, value v);      /* str(v) */
int value_repr(machine *m, builder *b, value v);       /* repr(v) */
int value_string(machine *m, value v, value *out);     /* str(v) as a text; texts pass */
int builder_real(machine *m, builder *b, double real); /* repr of a float */
typedef struct json_style {
    bool ascii, sort, pretty;
    slice indent, item_separator, key_separator;
} json_style;
int value_json(machine *m, builder *b, value v, const json_style *style);

/* ---- jinja_text.c: Python's operations on text, by characters ------------------------------------- */

bool codepoint_is_space(uint32_t c);
bool codepoint_is_printable(uint32_t c);
bool codepoint_is_alphanumeric(uint32_t c);
size_t text_length(slice s);                   /* in characters */
size_t text_offset(slice s, size_t character); /* bytes before that character */
slice text_character(slice s, size_t offset);
slice text_strip(slice s, const slice *characters, bool left, bool right); /* NULL: white space */
const char *text_find(slice s, slice part);                                /* NULL when it is not there */
typedef enum text_case { CASE_UPPER, CASE_LOWER, CASE_CAPITALIZE, CASE_TITLE, CASE_SWAP } text_case;
int text_recase(machine *m, slice s, text_case how, value *out);
/* The text is as that case makes it, and has letters that another case would change. */
int text_has_case(machine *m, slice s, text_case how, bool *out);
int text_replace(machine *m, slice s, slice old, slice new, int64_t count, value *out);
typedef enum text_padding { PAD_LEFT, PAD_RIGHT, PAD_BOTH } text_padding;
int text_pad(machine *m, slice s, int64_t width, uint32_t fill, text_padding where, value *out);
int text_lines(machine *m, slice s, bool keep_ends, sequence *out);
int text_escape(machine *m, value v, value *out); /* for HTML; markup passes */

/* ---- jinja_format.c --------------------------------------------------------------------------------- */

int text_percent(machine *m, value format, value operand, value *out);     /* format % operand */
int text_format(machine *m, value format, const arguments *a, value *out); /* format.format(...) */

/* ---- jinja_eval.c, jinja_exec.c, jinja_operators.c ------------------------------------------------- */

int eval(machine *m, frame *f, const node *n, value *out);
int eval_arguments(machine *m, frame *f, const node_arguments *n, arguments *out, size_t spare);
/* The filters of {% filter %} and {% set x | filter %}, whose first input is `text`. */
int filter_text(machine *m, frame *f, const node *n, value text, value *out);
int exec(machine *m, frame *f, const node_list *body);
int call_value(machine *m, value callee, const arguments *a, value *out);
int call_macro(machine *m, const macro *c, const arguments *a, value *out);
int call_loop(machine *m, const loop *l, const arguments *a, value *out);
int frame_set(machine *m, frame *f, uint32_t id, value v);
int operate(machine *m, operator op, value a, value b, value *out);
int compare(machine *m, operator op, value a, value b, bool *out);
int get_attribute(machine *m, value object, slice name, value *out);
int get_item(machine *m, value object, value key, value *out);
int get_slice(machine *m, value object, value start, value stop, value step, value *out);
int loop_attribute(machine *m, const loop *l, slice name, value *out); /* VALUE_ABSENT: no such */

#endif
