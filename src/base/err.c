/* err.c: the last error of each thread, in buffers of fixed size so that reporting a failure cannot fail.
 * Texts come from hostile files: they are cut at a character's edge, and control characters are replaced, so that
 * printing a message cannot drive a terminal. */
#include "err.h"

#include "mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 2048, PART_SIZE = 512 };

typedef struct record {
    lorac_error error;
    char message[MESSAGE_SIZE];
    char file[PART_SIZE], key[PART_SIZE], found[PART_SIZE], expected[PART_SIZE], hint[PART_SIZE];
} record;

static _Thread_local record last = { .error = { .message = "" } };

const lorac_error *lorac_last_error(void)
{
    return &last.error;
}

void lorac_free(void *p)
{
    mem_free(p);
}

void error_clear(void)
{
    last.error = (lorac_error){ .message = "" };
}

/* Cuts a truncated text before an unfinished UTF-8 character and replaces control characters. */
static void make_printable(char *text, size_t size)
{
    size_t n = strlen(text);

    if (n + 1 == size) {
        size_t start = n;
        while (start > 0 && n - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
            start--;
        if (start > 0 && (unsigned char)text[start - 1] >= 0xC0)
            text[start - 1] = '\0';
    }
    for (char *c = text; *c; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7F)
            *c = '?';
    }
}

static const char *keep(char to[PART_SIZE], const char *from)
{
    if (!from)
        return NULL;
    snprintf(to, PART_SIZE, "%s", from);
    make_printable(to, PART_SIZE);
    return to;
}

__attribute__((format(printf, 2, 3))) static void append(char message[MESSAGE_SIZE], const char *format, ...)
{
    size_t n = strlen(message);
    va_list args;

    va_start(args, format);
    vsnprintf(message + n, MESSAGE_SIZE - n, format, args);
    va_end(args);
}

static void append_full_stop(char message[MESSAGE_SIZE])
{
    size_t n = strlen(message);

    if (n > 0 && !strchr(".!?", message[n - 1]))
        append(message, ".");
}

static void append_place(char message[MESSAGE_SIZE], const lorac_error *e)
{
    if (!e->file)
        return;
    append(message, "%s:", e->file);
    if (e->line > 0)
        append(message, "%ld:", e->line);
    if (e->line > 0 && e->column > 0)
        append(message, "%ld:", e->column);
    append(message, " ");
}

static void append_details(char message[MESSAGE_SIZE], const lorac_error *e)
{
    const char *before = " (";

    if (e->key) {
        append(message, "%skey %s", before, e->key);
        before = "; ";
    }
    if (e->found) {
        append(message, "%sfound %s", before, e->found);
        before = ", ";
    }
    if (e->expected) {
        append(message, "%sexpected %s", before, e->expected);
        before = ", ";
    }
    if (before[0] != ' ')
        append(message, ")");
}

void error_set_column(long column)
{
    char message[MESSAGE_SIZE], place[MESSAGE_SIZE] = "";
    size_t n;

    append_place(place, &last.error);
    n = strlen(place);
    if (!last.error.line || strncmp(last.message, place, n) != 0)
        return;
    snprintf(message, sizeof message, "%s", last.message + n);
    last.error.column = column;
    last.message[0] = '\0';
    append_place(last.message, &last.error);
    append(last.message, "%s", message);
}

int(fail_at)(int status, fault where, const char *format, ...)
{
    char sentence[MESSAGE_SIZE];
    record new = { .error = { .status = (lorac_status)status, .line = where.line, .column = where.column } };
    lorac_error *e = &new.error;
    va_list args;

    assert(status != LORAC_OK);
    /* Everything is copied before `last` is touched: the arguments may point into it. */
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    e->file = keep(new.file, where.file);
    e->key = keep(new.key, where.key);
    e->found = keep(new.found, where.found);
    e->expected = keep(new.expected, where.expected);
    e->hint = keep(new.hint, where.hint);

    append_place(new.message, e);
    append(new.message, "%s", sentence);
    append_details(new.message, e);
    append_full_stop(new.message);
    if (e->hint) {
        append(new.message, " %s", e->hint);
        append_full_stop(new.message);
    }
    make_printable(new.message, sizeof new.message);

    last = new;
    last.error.message = last.message;
    last.error.file = e->file ? last.file : NULL;
    last.error.key = e->key ? last.key : NULL;
    last.error.found = e->found ? last.found : NULL;
    last.error.expected = e->expected ? last.expected : NULL;
    last.error.hint = e->hint ? last.hint : NULL;
    return status;
}

int(fail_memory)(void)
{
    return fail(LORAC_ERROR_RUNTIME, "out of memory");
}

int(fail_errno)(const char *path, const char *what)
{
    char reason[128];
    const char *text = strerror_r(errno, reason, sizeof reason);

    return fail_at(LORAC_ERROR_RUNTIME, (fault){ .file = path }, "cannot %s: %s", what, text);
}
