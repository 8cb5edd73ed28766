/* tokenize.c: lorac tokenize and lorac template. Weights are not looked at. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- tokenize -------------------------------------------------------------------------------- */

static void print_columns(const lorac_text *text, const lorac_tokens *tokens, bool types)
{
    for (size_t i = 0; i < tokens->count; i++) {
        const char *token = lorac_text_token(text, tokens->ids[i]);

        printf("%8d  ", (int)tokens->ids[i]);
        if (types)
            printf("%d  ", tokens->types[i]);
        print_text(stdout, token ? token : "?", token ? strlen(token) : 1);
        putchar('\n');
    }
}

static void print_object(const lorac_text *text, const lorac_tokens *tokens, bool types)
{
    json_t *o = json_object(), *strings = json_array(), *numbers = json_array();

    for (size_t i = 0; i < tokens->count; i++) {
        const char *token = lorac_text_token(text, tokens->ids[i]);

        json_array_append_new(strings, token ? json_text(token, strlen(token)) : json_null());
        json_array_append_new(numbers, json_integer(tokens->types[i]));
    }
    json_object_set_new(o, "ids", json_ids(tokens->ids, tokens->count));
    json_object_set_new(o, "tokens", strings);
    if (types)
        json_object_set(o, "type_ids", numbers);
    json_decref(numbers);
    print_json(o);
}

static int tokenize_text(const arguments *a, const lorac_text *text, const char *utf8, size_t length)
{
    lorac_tokens tokens;
    int status = lorac_text_tokens(text, utf8, length, a->pair, a->pair ? strlen(a->pair) : 0, a->add_special, &tokens);

    if (status != LORAC_OK)
        return report(a, status);
    if (a->json)
        print_object(text, &tokens, a->pair);
    else
        print_columns(text, &tokens, a->pair);
    lorac_tokens_free(&tokens);
    return LORAC_OK;
}

static int tokenize_file(const arguments *a, const lorac_text *text, const char *path)
{
    char *utf8;
    size_t length;
    int status = read_file(a, path, &utf8, &length);

    if (status != LORAC_OK)
        return status;
    status = tokenize_text(a, text, utf8, length);
    free(utf8);
    return status;
}

static int detokenize(const arguments *a, const lorac_text *text)
{
    int32_t *ids;
    size_t count, length;
    char *utf8;
    int status = parse_ids(a, "detokenize", a->detokenize, &ids, &count);

    for (size_t i = 0; status == LORAC_OK && i < count; i++)
        if (!lorac_text_token(text, ids[i]))
            status = usage(a, "detokenize", NULL, "the vocabulary has no token %d", (int)ids[i]);
    if (status != LORAC_OK) {
        free(ids);
        return status;
    }
    status = lorac_text_decode(text, ids, count, 0, &utf8, &length);
    free(ids);
    if (status != LORAC_OK)
        return report(a, status);
    if (a->json) {
        print_json(json_pack("{s:o}", "text", json_text(utf8, length)));
    } else {
        print_text(stdout, utf8, length); /* a pipe gets the bytes, no newline added */
        if (isatty(STDOUT_FILENO))
            putchar('\n');
    }
    lorac_free(utf8);
    return LORAC_OK;
}

/* ---- tokenize --jsonl ------------------------------------------------------------------------ */

static int bad_row(const arguments *a, long line, long column, const char *found)
{
    char *message = format_text("%s:%ld:%ld: %s (expected a row {\"text\": ...})", a->jsonl, line, column, found);
    int status = report_error(a, &(lorac_error){ .status = LORAC_ERROR_DATA,
                                                 .message = message,
                                                 .file = a->jsonl,
                                                 .line = line,
                                                 .column = column,
                                                 .found = found,
                                                 .expected = "a row {\"text\": ...}" });

    free(message);
    return status;
}

static int tokenize_row(const arguments *a, const lorac_text *text, const char *line, size_t length, long number)
{
    json_error_t error;
    json_t *row = json_loadb(line, length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    json_t *value = row ? json_object_get(row, "text") : NULL;
    int32_t *ids;
    size_t count;
    int status;

    if (!json_is_string(value)) {
        status = bad_row(a, number,
                         row                ? 1
                         : error.column > 0 ? error.column
                                            : 1,
                         !row    ? error.text
                         : value ? "text is not a string"
                                 : "no text in this row");
        json_decref(row);
        return status;
    }
    status = lorac_text_encode(text, json_string_value(value), json_string_length(value), a->add_special, &ids, &count);
    json_decref(row);
    if (status != LORAC_OK)
        return report(a, status);
    row = json_object();
    json_object_set_new(row, "ids", json_ids(ids, count));
    json_dumpf(row, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(row);
    lorac_free(ids);
    return LORAC_OK;
}

static int tokenize_rows(const arguments *a, const lorac_text *text)
{
    FILE *file = strcmp(a->jsonl, "-") ? fopen(a->jsonl, "r") : stdin;
    char *line = NULL;
    size_t capacity = 0, rows = 0;
    ssize_t length;
    int status = LORAC_OK;

    if (!file)
        return problem(a, LORAC_ERROR_DATA, a->jsonl, NULL, "cannot read this file: %s", strerror(errno));
    for (long number = 1; status == LORAC_OK && (length = getline(&line, &capacity, file)) >= 0; number++) {
        if (strspn(line, " \t\r\n") == (size_t)length)
            continue;
        rows++;
        length -= line[length - 1] == '\n';
        status = tokenize_row(a, text, line, (size_t)length, number);
    }
    if (status == LORAC_OK && ferror(file))
        status = problem(a, LORAC_ERROR_DATA, a->jsonl, NULL, "cannot read this file: %s", strerror(errno));
    else if (status == LORAC_OK && !rows)
        status = problem(a, LORAC_ERROR_DATA, a->jsonl, NULL, "the file has no row");
    free(line);
    if (file != stdin)
        fclose(file);
    return status;
}

int command_tokenize(arguments *a)
{
    int inputs = !!a->prompt + !!a->file + !!a->jsonl + !!a->detokenize;
    lorac_text *text;
    int status;

    if (inputs != 1)
        return usage(a, NULL, NULL, "tokenize needs one of -p TEXT, --file F, --jsonl F and --detokenize 1,2,3");
    if (a->pair && (a->jsonl || a->detokenize))
        return usage(a, "pair", NULL, "--pair is the second text beside -p TEXT or --file F");
    status = open_text(a, &text);
    if (status != LORAC_OK)
        return status;
    if (a->detokenize)
        status = detokenize(a, text);
    else if (a->jsonl)
        status = tokenize_rows(a, text);
    else if (a->file || !strcmp(a->prompt, "-"))
        status = tokenize_file(a, text, a->file ? a->file : "-");
    else
        status = tokenize_text(a, text, a->prompt, strlen(a->prompt));
    lorac_text_close(text);
    return status;
}

/* ---- template -------------------------------------------------------------------------------- */

int command_template(arguments *a)
{
    lorac_template_options options = { a->add_generation_prompt, a->bos, a->eos, a->date, a->messages };
    lorac_text *text = NULL;
    char *messages = NULL, *rendered = NULL;
    size_t length;
    int status;

    if (!a->messages)
        return usage(a, "messages", NULL, "template needs --messages FILE");
    status = open_text(a, &text);
    if (status == LORAC_OK)
        status = read_file(a, a->messages, &messages, &length);
    if (status == LORAC_OK && strlen(messages) != length)
        status = problem(a, LORAC_ERROR_DATA, a->messages, NULL, "a NUL byte in a JSON file");
    else if (status == LORAC_OK && lorac_text_render(text, messages, &options, &rendered, &length) != LORAC_OK)
        status = report(a, lorac_last_error()->status);
    if (status == LORAC_OK && a->json)
        print_json(json_pack("{s:o}", "text", json_text(rendered, length)));
    else if (status == LORAC_OK)
        print_text(stdout, rendered, length);
    lorac_free(rendered);
    free(messages);
    lorac_text_close(text);
    return status;
}
