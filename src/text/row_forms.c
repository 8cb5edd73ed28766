/* row_forms.c: OpenAI's, ShareGPT's and Alpaca's conversations. */
#include "row_forms.h"

#include "err.h"
#include "json.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 96 };

int row_fail_at(const row_place *place, const char *key, const char *found, const char *expected, const char *sentence)
{
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = place->file, .line = place->line, .key = key, .found = found, .expected = expected }, "%s",
        sentence);
}

int row_fail_kind(const row_place *place, const char *key, const json_t *found, const char *expected)
{
    return row_fail_at(place, key, found ? json_kind(found) : "nothing", expected,
                       "the row has a value of the wrong kind");
}

static slice text_of(const json_t *string)
{
    return (slice){ json_string_value(string), json_string_length(string) };
}

/* Where a part of a message stands: its name is only written when it is needed. */
typedef struct message_place {
    const row_place *row;
    const char *key;
    size_t index;
} message_place;

static int fail_message(const message_place *at, const char *part, const char *found, const char *expected,
                        const char *sentence)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%s[%zu]%s", at->key, at->index, part);
    return row_fail_at(at->row, name, found, expected, sentence);
}

/* ---- Messages --------------------------------------------------------------------------------------------- */

/* Content is a text or a list of parts; of these only text can be trained on. What else it may be, the template
 * judges. */
static int check_parts(const message_place *at, const json_t *content)
{
    char part[64];
    size_t i;
    json_t *item;
    if (!json_is_array(content))
        return LORAC_OK;
    json_array_foreach(content, i, item)
    {
        const json_t *type = json_object_get(item, "type"), *text = json_object_get(item, "text");
        snprintf(part, sizeof part, ".content[%zu]", i);
        if (!json_is_object(item))
            return fail_message(at, part, json_kind(item), "{\"type\": \"text\", \"text\": ...}",
                                "a part of a message is no object");
        snprintf(part, sizeof part, ".content[%zu].type", i);
        if (!json_is_string(type))
            return fail_message(at, part, type ? json_kind(type) : "nothing", "\"text\"",
                                "a part of a message has no type");
        if (strcmp(json_string_value(type), "text") != 0)
            return fail_message(at, part, json_string_value(type), "text",
                                "a part of a message is not text, and only text can be trained on");
        snprintf(part, sizeof part, ".content[%zu].text", i);
        if (!json_is_string(text))
            return fail_message(at, part, text ? json_kind(text) : "nothing", "a string",
                                "a part of a message has no text");
    }
    return LORAC_OK;
}

static bool is_from_value(const json_t *message)
{
    return !json_object_get(message, "role") && json_object_get(message, "from");
}

static bool has_null(const json_t *message)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)message, key, value)
    {
        if (json_is_null(value))
            return true;
    }
    return false;
}

static const char *role_of(const char *from)
{
    static const char *const roles[][2] = {
        { "human", "user" },       { "gpt", "assistant" },   { "chatgpt", "assistant" },
        { "bot", "assistant" },    { "model", "assistant" }, { "function_call", "assistant" },
        { "observation", "tool" }, { "function", "tool" },   { "function_response", "tool" }
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(from, roles[i][0]) == 0)
            return roles[i][1];
    return from;
}

/* ShareGPT's turn of a function call holds {"name", "arguments"}, or several of them, as JSON text. */
static int read_function_call(const message_place *at, slice text, json_t *message)
{
    json_t *calls, *list = json_array(), *call;
    size_t i;
    int status = list ? LORAC_OK : fail_memory();
    if (status != LORAC_OK || json_parse(&calls, text, NULL, 1, JSON_TAKE_DUPLICATES) != LORAC_OK)
        calls = NULL;
    if (json_is_object(calls)) {
        json_t *one = json_array();
        json_array_append_new(one, calls);
        calls = one;
    }
    if (!json_is_array(calls) || !json_array_size(calls))
        TRY_GOTO(fail_message(at, ".value", "something else", "{\"name\", \"arguments\"} as JSON",
                              "a function call cannot be read"));
    json_array_foreach(calls, i, call)
    {
        if (!json_is_string(json_object_get(call, "name")))
            TRY_GOTO(fail_message(at, ".value", "no name", "{\"name\", \"arguments\"} as JSON",
                                  "a function call cannot be read"));
        if (json_array_append_new(list, json_pack("{s:s, s:O}", "type", "function", "function", call)) != 0)
            TRY_GOTO(fail_memory());
    }
    if (json_object_set_new(message, "content", json_string("")) != 0 ||
        json_object_set(message, "tool_calls", list) != 0)
        status = fail_memory();
done:
    json_decref(calls);
    json_decref(list);
    return status;
}

/* {"from", "value"} as {"role", "content"}, into a message that has the other keys already. */
static int convert_turn(const message_place *at, const json_t *given, json_t *message)
{
    const json_t *from = json_object_get(given, "from");
    json_t *value = json_object_get(given, "value");
    if (!json_is_string(from))
        return fail_message(at, ".from", json_kind(from), "a string", "a message does not say whose it is");
    if (!value)
        return fail_message(at, ".value", "nothing", "a string", "a message has no value");
    const char *name = json_string_value(from);
    if (json_object_set_new(message, "role", json_string(role_of(name))) != 0)
        return fail_memory();
    if (strcmp(name, "function_call") == 0 && json_is_string(value))
        return read_function_call(at, text_of(value), message);
    return json_is_null(value) || json_object_set(message, "content", value) == 0 ? LORAC_OK : fail_memory();
}

static int copy_message(const message_place *at, const json_t *given, json_t *message)
{
    const bool turn = is_from_value(given);
    const char *key;
    json_t *value;
    if (turn)
        TRY(convert_turn(at, given, message));
    json_object_foreach((json_t *)given, key, value)
    {
        if (json_is_null(value) || (turn && (strcmp(key, "from") == 0 || strcmp(key, "value") == 0)))
            continue;
        if (json_object_set(message, key, value) != 0)
            return fail_memory();
    }
    return LORAC_OK;
}

static int read_message(const message_place *at, json_t *given, json_t **out)
{
    int status;
    *out = NULL;
    if (!json_is_object(given))
        return fail_message(at, "", json_kind(given), "an object with role and content", "a message is no object");
    if (is_from_value(given) || has_null(given)) {
        *out = json_object();
        TRY_GOTO(*out ? copy_message(at, given, *out) : fail_memory());
    } else {
        *out = json_incref(given);
    }
    const json_t *role = json_object_get(*out, "role");
    if (!json_is_string(role))
        TRY_GOTO(fail_message(at, ".role", role ? json_kind(role) : "nothing", "a string", "a message has no role"));
    TRY_GOTO(check_parts(at, json_object_get(*out, "content")));
    return LORAC_OK;
done:
    json_decref(*out);
    *out = NULL;
    return status;
}

int row_message_list(const row_place *place, const json_t *list, const char *key, json_t **out)
{
    size_t i;
    json_t *given, *message;
    *out = NULL;
    if (!json_is_array(list))
        return row_fail_kind(place, key, list, "an array of messages");
    if (!json_array_size(list))
        return row_fail_at(place, key, "an empty array", "at least one message", "the row has no messages");
    json_t *messages = json_array();
    int status = messages ? LORAC_OK : fail_memory();
    json_array_foreach(list, i, given)
    {
        if (status == LORAC_OK)
            status = read_message(&(message_place){ place, key, i }, given, &message);
        if (status == LORAC_OK && json_array_append_new(messages, message) != 0)
            status = fail_memory();
    }
    if (status != LORAC_OK) {
        json_decref(messages);
        return status;
    }
    *out = messages;
    return LORAC_OK;
}

/* ---- Beside the messages ---------------------------------------------------------------------------------- */

int row_tools(const row_place *place, const json_t *row, json_t **out)
{
    json_t *given = json_object_get(row, "tools");
    *out = NULL;
    if (!given || json_is_null(given) || (json_is_string(given) && !json_string_length(given)))
        return LORAC_OK;
    json_t *tools = json_incref(given);
    if (json_is_string(given)) {
        json_decref(given);
        if (json_parse(&tools, text_of(given), NULL, 1, JSON_TAKE_DUPLICATES) != LORAC_OK)
            return row_fail_at(place, "tools", "text that is not JSON", "an array, or that array as JSON text",
                               "the tools of the row cannot be read");
    }
    if (json_is_array(tools)) {
        *out = tools;
        return LORAC_OK;
    }
    int status = row_fail_kind(place, "tools", json_is_null(tools) ? NULL : tools, "an array");
    if (json_is_null(tools)) { /* "null" */
        error_clear();
        status = LORAC_OK;
    }
    json_decref(tools);
    return status;
}

static json_t *message_of(const char *role, const json_t *content)
{
    return json_pack("{s:s, s:O}", "role", role, "content", content);
}

/* A string that may be missing, null or empty: NULL then. */
static int take_optional(const row_place *place, const json_t *row, const char *key, const json_t **out)
{
    const json_t *value = json_object_get(row, key);
    *out = NULL;
    if (!value || json_is_null(value))
        return LORAC_OK;
    if (!json_is_string(value))
        return row_fail_kind(place, key, value, "a string");
    if (json_string_length(value))
        *out = value;
    return LORAC_OK;
}

int row_prepend_system(const row_place *place, const json_t *row, json_t *messages)
{
    const json_t *system;
    TRY(take_optional(place, row, "system", &system));
    return !system || json_array_insert_new(messages, 0, message_of("system", system)) == 0 ? LORAC_OK : fail_memory();
}

/* ---- Alpaca ------------------------------------------------------------------------------------------------ */

typedef struct alpaca {
    const json_t *instruction, *input, *output, *system; /* input and system may be NULL */
    const json_t *history;                               /* pairs, checked; or NULL */
} alpaca;

static int check_history(const row_place *place, const json_t *history)
{
    char name[NAME_SIZE];
    size_t i;
    json_t *pair;
    if (!json_is_array(history))
        return row_fail_kind(place, "history", history, "an array of [instruction, answer]");
    json_array_foreach(history, i, pair)
    {
        if (json_array_size(pair) == 2 && json_is_string(json_array_get(pair, 0)) &&
            json_is_string(json_array_get(pair, 1)))
            continue;
        snprintf(name, sizeof name, "history[%zu]", i);
        return row_fail_at(place, name, json_is_array(pair) ? "another array" : json_kind(pair),
                           "[instruction, answer], both strings", "a turn of the history is no pair");
    }
    return LORAC_OK;
}

static int read_alpaca(const row_place *place, const json_t *row, alpaca *a)
{
    *a = (alpaca){ .instruction = json_object_get(row, "instruction"), .output = json_object_get(row, "output") };
    if (!json_is_string(a->instruction))
        return row_fail_kind(place, "instruction", a->instruction, "a string");
    if (!json_is_string(a->output))
        return row_fail_kind(place, "output", a->output, "a string");
    TRY(take_optional(place, row, "input", &a->input));
    TRY(take_optional(place, row, "system", &a->system));
    const json_t *history = json_object_get(row, "history");
    if (!history || json_is_null(history))
        return LORAC_OK;
    a->history = history;
    return check_history(place, history);
}

/* What the user says: the instruction, and under it what it is about. */
static json_t *question_of(const alpaca *a)
{
    if (!a->input)
        return json_incref((json_t *)a->instruction);
    buf text = { 0 };
    buf_slice(&text, text_of(a->instruction));
    buf_char(&text, '\n');
    buf_slice(&text, text_of(a->input));
    json_t *question = buf_status(&text) == LORAC_OK ? json_stringn(text.p, text.n) : NULL;
    buf_free(&text);
    return question;
}

static int append_message(json_t *messages, const char *role, const json_t *content)
{
    return content && json_array_append_new(messages, message_of(role, content)) == 0 ? LORAC_OK : fail_memory();
}

static int add_alpaca(const alpaca *a, json_t *messages)
{
    size_t i;
    json_t *pair;
    if (a->system)
        TRY(append_message(messages, "system", a->system));
    json_array_foreach(a->history, i, pair)
    {
        TRY(append_message(messages, "user", json_array_get(pair, 0)));
        TRY(append_message(messages, "assistant", json_array_get(pair, 1)));
    }
    json_t *question = question_of(a);
    int status = append_message(messages, "user", question);
    json_decref(question);
    return status == LORAC_OK ? append_message(messages, "assistant", a->output) : status;
}

int alpaca_messages(const row_place *place, const json_t *row, json_t **out)
{
    alpaca a;
    *out = NULL;
    TRY(read_alpaca(place, row, &a));
    json_t *messages = json_array();
    int status = messages ? add_alpaca(&a, messages) : fail_memory();
    if (status != LORAC_OK) {
        json_decref(messages);
        return status;
    }
    *out = messages;
    return LORAC_OK;
}

static void add_section(buf *text, const char *title, const json_t *content)
{
    buf_format(text, "### %s:\n", title);
    buf_slice(text, text_of(content));
    buf_text(text, "\n\n");
}

int alpaca_text(const row_place *place, const json_t *row, buf *prompt, buf *completion)
{
    alpaca a;
    size_t i;
    json_t *pair;
    TRY(read_alpaca(place, row, &a));
    if (a.system)
        buf_slice(prompt, text_of(a.system));
    else
        buf_text(prompt, a.input ? "Below is an instruction that describes a task, paired with an input that provides "
                                   "further context. Write a response that appropriately completes the request."
                                 : "Below is an instruction that describes a task. Write a response that appropriately "
                                   "completes the request.");
    buf_text(prompt, "\n\n");
    json_array_foreach(a.history, i, pair)
    {
        add_section(prompt, "Instruction", json_array_get(pair, 0));
        add_section(prompt, "Response", json_array_get(pair, 1));
    }
    add_section(prompt, "Instruction", a.instruction);
    if (a.input)
        add_section(prompt, "Input", a.input);
    buf_text(prompt, "### Response:\n");
    buf_slice(completion, text_of(a.output));
    TRY(buf_status(prompt));
    return buf_status(completion);
}
