/* jinja.h: what the files of the template engine share: what can be called, the machine that walks the tree, and what
 * it does with values. Values are in jinja_value.h, the tree in jinja_tree.h.
 *
 * A template is parsed into a tree (jinja_parser.h) and rendered by walking it (jinja_exec.c, jinja_eval.c). The model
 * is Python's jinja2 3.1 as transformers sets it up; where this engine and jinja2 could differ, jinja2 is right.
 * Invariants: a tree never changes after parsing; everything made while rendering lies in the machine's workspace and
 * dies with it; all text is valid UTF-8. Nothing here knows tokenizers or rows. */
#ifndef LORAC_JINJA_H
#define LORAC_JINJA_H

#include "jinja_tree.h"
#include "template.h"

#include <time.h>

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

/* ---- What can be called ---------------------------------------------------------------------------- */

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

const filter *filter_find(slice name);
const filter *sequence_filters(size_t *count);
const test *test_find(slice name);
/* The kinds of values that have a method of this name, as bits. */
uint32_t method_kinds(slice name);
const method_entry *method_find(value_kind kind, slice name);
const method_entry *str_methods(size_t *count);
const function *function_list(size_t *count);
int date_read(const char *text, struct tm *out); /* YYYY-MM-DD; anything else: LORAC_ERROR_USAGE */

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

/* What a {% generation %} block wrote, and where it should stand. */
typedef struct marked_text {
    size_t begin;
    slice text;
} marked_text;

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
    marked_text *marked;
    size_t marked_count, marked_capacity;
    const struct tm *date; /* NULL: today */
};

int machine_fail(machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
int machine_spend(machine *m, size_t work);            /* counts work against the step limit */
int machine_enter(machine *m);                         /* one node deeper; m->depth-- on the way out */
void *work_new(machine *m, size_t count, size_t size); /* not zeroed; NULL after machine_fail */
/* Room for one more in an array of `count` items that lies there. */
#define work_room(m, items, count, capacity) \
    ((count) < (capacity) ? LORAC_OK : work_grow((m), &(items), (count), &(capacity), sizeof *(items)))
int work_grow(machine *m, void *items, size_t count, size_t *capacity, size_t size); /* for work_room */
int work_status(void);                                                               /* what a NULL of work_new means */
void machine_free(machine *m);

int builder_add(machine *m, builder *b, const char *p, size_t n);
int builder_slice(machine *m, builder *b, slice s);
int builder_text(machine *m, builder *b, const char *text);
int builder_format(machine *m, builder *b, const char *format, ...) __attribute__((format(printf, 3, 4)));
value builder_value(const builder *b);

/* As in err.h: what clang's analyser cannot see from outside. */
#ifdef __clang_analyzer__
#define machine_fail(...) ((void)(machine_fail)(__VA_ARGS__), (int)LORAC_ERROR_DATA)
#define work_status() ((void)(work_status)(), (int)LORAC_ERROR_RUNTIME)
#endif

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
size_t text_offset(slice s, size_t character); /* bytes before that character */
slice text_character(slice s, size_t offset);
slice text_strip(slice s, bool left, bool right); /* of white space */
int text_strip_of(machine *m, slice s, slice characters, bool left, bool right, slice *out);
const char *text_find(slice s, slice part); /* NULL when it is not there */
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

/* ---- jinja_eval.c, jinja_exec.c, jinja_operators.c, jinja_compare.c, jinja_items.c
 * ------------------------------------------------- */

int eval(machine *m, frame *f, const node *n, value *out);
int eval_arguments(machine *m, frame *f, const node_arguments *n, arguments *out, size_t spare);
/* The filters of {% filter %} and {% set x | filter %}, whose first input is `text`. */
int filter_text(machine *m, frame *f, const node *n, value text, value *out);
int exec(machine *m, frame *f, const node_list *body);
int call_value(machine *m, value callee, const arguments *a, value *out);
int call_macro(machine *m, const macro *c, const arguments *a, value *out);
int call_loop(machine *m, const loop *l, const arguments *a, value *out);
/* The variable as it is seen from the scope; VALUE_ABSENT where there is none. */
value *frame_find(machine *m, frame *f, uint32_t id);
int operate(machine *m, operator op, value a, value b, value *out);
int compare(machine *m, operator op, value a, value b, bool *out);
int get_attribute(machine *m, value object, slice name, value *out);
int get_item(machine *m, value object, value key, value *out);
int get_slice(machine *m, value object, value start, value stop, value step, value *out);

#endif
