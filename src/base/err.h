/* err.h: how failures travel. A function that can fail because of the outside world returns an int that is
 * a lorac_status; the sentence about it stays in a buffer of the calling thread until the next failure.
 * Bugs of ours are asserts. Nothing here prints. */
#ifndef LORAC_ERR_H
#define LORAC_ERR_H

#include "lorac.h"

#include <assert.h>

/* Where and what, all optional. The strings are copied. */
typedef struct fault {
    const char *file;
    long line, column;
    const char *key, *found, *expected, *hint;
} fault;

/* Records a failure and returns `status`. The message is built as
 *     file:line:column: SENTENCE (key K; found F, expected E). Hint.
 * with the parts that are set. The format gives SENTENCE alone. */
int fail_at(int status, fault where, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For failures without a place: fail(LORAC_ERROR_USAGE, "rank must be positive"). */
#define fail(status, ...) fail_at((status), (fault){ 0 }, __VA_ARGS__)

/* Out of memory: LORAC_ERROR_RUNTIME. */
int fail_memory(void);
/* A system call failed on `path`: the sentence is "cannot WHAT: strerror(errno)". */
int fail_errno(const char *path, const char *what);

/* Adds a column to the last error of this thread, which has a file and a line. */
void error_set_column(long column);

/* Forgets the last error of this thread. */
void error_clear(void);

/* What clang's analyser cannot see from outside err.c: none of these returns LORAC_OK. */
#ifdef __clang_analyzer__
#define fail_at(status, ...) ((void)(fail_at)((status), __VA_ARGS__), (int)(status))
#define fail_memory() ((void)(fail_memory)(), (int)LORAC_ERROR_RUNTIME)
#define fail_errno(path, what) ((void)(fail_errno)((path), (what)), (int)LORAC_ERROR_RUNTIME)
#endif

#define TRY(expression)                    \
    do {                                   \
        int status_of_try_ = (expression); \
        if (status_of_try_ != LORAC_OK)    \
            return status_of_try_;         \
    } while (0)

/* TRY for functions that clean up at the label `done` and return the variable `status`. */
#define TRY_GOTO(expression)    \
    do {                        \
        status = (expression);  \
        if (status != LORAC_OK) \
            goto done;          \
    } while (0)

#endif
