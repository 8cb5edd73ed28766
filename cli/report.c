/* report.c: errors and notes, for people on stderr or as the one JSON object of --json on stdout. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_or_null(const char *text)
{
    return text ? json_text(text, strlen(text)) : json_null();
}

static json_t *place_or_null(long place)
{
    return place > 0 ? json_integer(place) : json_null();
}

json_t *error_json(const lorac_error *e)
{
    json_t *object = json_object();

    json_object_set_new(object, "code", json_integer(e->status));
    json_object_set_new(object, "file", text_or_null(e->file));
    json_object_set_new(object, "line", place_or_null(e->line));
    json_object_set_new(object, "column", place_or_null(e->column));
    json_object_set_new(object, "key", text_or_null(e->key));
    json_object_set_new(object, "found", text_or_null(e->found));
    json_object_set_new(object, "expected", text_or_null(e->expected));
    json_object_set_new(object, "hint", text_or_null(e->hint));
    json_object_set_new(object, "message", text_or_null(e->message));
    return object;
}

int report_error(const arguments *a, const lorac_error *e)
{
    const char *message = e->message ? e->message : "something went wrong";

    if (a->json) {
        json_t *object = json_object();

        json_object_set_new(object, "error", error_json(e));
        print_json(object);
        return e->status;
    }
    fprintf(stderr, "%serror:%s ", has_colour(stderr) ? "\033[1;31m" : "", has_colour(stderr) ? "\033[0m" : "");
    print_text(stderr, message, strlen(message));
    fputc('\n', stderr);
    return e->status;
}

int report(const arguments *a, int status)
{
    lorac_error e = *lorac_last_error();

    e.status = status;
    return report_error(a, &e);
}

static int report_found_here(const arguments *a, lorac_error e, const char *format, va_list values)
{
    char *sentence, *message;

    if (vasprintf(&sentence, format, values) < 0)
        sentence = NULL;
    message = format_text("%s%s%s%s%s", e.file ? e.file : "", e.file ? ": " : "", sentence ? sentence : "",
                          e.hint ? ". " : "", e.hint ? e.hint : "");
    e.message = message;
    report_error(a, &e);
    free(message);
    free(sentence);
    return e.status;
}

int usage(const arguments *a, const char *key, const char *hint, const char *format, ...)
{
    va_list values;
    int status;

    va_start(values, format);
    status =
        report_found_here(a, (lorac_error){ .status = LORAC_ERROR_USAGE, .key = key, .hint = hint }, format, values);
    va_end(values);
    return status;
}

int problem(const arguments *a, int status, const char *file, const char *hint, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    report_found_here(a, (lorac_error){ .status = status, .file = file, .hint = hint }, format, values);
    va_end(values);
    return status;
}

void note(const char *format, ...)
{
    va_list values;
    char *text;

    va_start(values, format);
    if (vasprintf(&text, format, values) < 0)
        text = NULL;
    va_end(values);
    if (!text)
        return;
    print_text(stderr, text, strlen(text));
    fputc('\n', stderr);
    free(text);
}

void note_lines(const char *lines)
{
    while (lines && *lines) {
        int length = (int)strcspn(lines, "\n");

        note("note: %.*s", length, lines);
        lines += length + (lines[length] == '\n');
    }
}
