/* pickle.h: what a Python pickle describes, as a tree of plain values. Nothing is ever called: a call in the pickle
 * becomes a value that names what would be called and its arguments, and only names that the reader expects may stand
 * in the pickle at all. Knows no tensors. Values may share parts, and a hostile pickle may make one contain itself:
 * walk to a depth that you know. */
#ifndef LORAC_PICKLE_H
#define LORAC_PICKLE_H

#include "arena.h"
#include "str.h"

typedef enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_REAL,
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,       /* key, value, key, value ...; collections.OrderedDict as well */
    PICKLE_GLOBAL,     /* text: "module.name" */
    PICKLE_CALL,       /* the global, then the tuple of arguments */
    PICKLE_PERSISTENT, /* a thing outside the pickle, by the id that is its only item */
    PICKLE_MARK        /* never in a result */
} pickle_kind;

typedef struct pickle_value {
    pickle_kind kind;
    union {
        int64_t integer; /* also BOOL */
        double real;
        slice text; /* in the pickle, or NUL-terminated (GLOBAL) */
        struct {
            struct pickle_value **items;
            size_t count, capacity;
        };
    };
} pickle_value;

/* Reads one pickle from the front of *bytes and moves *bytes behind it. `allowed` says which names it may
 * use besides collections.OrderedDict; another is LORAC_ERROR_DATA by its name. Values live in `memory`, texts in the
 * bytes. */
int pickle_read(pickle_value **out, slice *bytes, bool (*allowed)(slice name), const char *path, arena *memory);
/* "a tuple", "a number" ...: for messages. */
const char *pickle_kind_name(const pickle_value *v);

#endif
