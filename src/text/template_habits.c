/* template_habits.c: two conversations that say the same, one with texts and one with parts; and a call in both forms.
 * A form is taken when its words come out, and come out as words: not as the list or the object that held them. */
#include "template_habits.h"

#include "err.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[HABIT_ROLES] = { "lanterns", "kettles", "orchards" };
static const char *const roles[HABIT_ROLES] = { "system", "user", "assistant" };

/* ---- Finding ----------------------------------------------------------------------------------------------- */

/* What the template makes of the messages; it may refuse them. `messages` is taken over. */
static int try_render(const template *t, const json_t *model, json_t *messages, buf *out)
{
    const template_input input = { .messages = messages, .model = model };
    buf_clear(out);
    int status = messages ? template_render(t, &input, out, NULL, NULL) : fail_memory();
    json_decref(messages);
    if (status == LORAC_ERROR_DATA) {
        error_clear();
        buf_clear(out);
        return LORAC_OK;
    }
    return status;
}

static bool has_word(const buf *text, const char *word)
{
    return text->n && memmem(text->p, text->n, word, strlen(word));
}

/* Is the word there, and not inside a printed part? */
static bool has_clean_word(const buf *text, const char *word)
{
    static const char *const printed[] = { "'text': '", "\"text\": \"", "\"text\":\"" };
    bool clean = has_word(text, word);
    buf part = { 0 };
    for (size_t i = 0; i < sizeof printed / sizeof *printed && clean; i++) {
        buf_clear(&part);
        buf_format(&part, "%s%s", printed[i], word);
        clean = part.p && !has_word(text, part.p);
    }
    buf_free(&part);
    return clean;
}

static json_t *message_of(habit_role role, bool parts)
{
    return parts
               ? json_pack("{s:s, s:[{s:s, s:s}]}", "role", roles[role], "content", "type", "text", "text", words[role])
               : json_pack("{s:s, s:s}", "role", roles[role], "content", words[role]);
}

static json_t *conversation(bool system, bool parts)
{
    json_t *list = json_array();
    for (habit_role role = system ? HABIT_SYSTEM : HABIT_USER; role < HABIT_ROLES; role++)
        json_array_append_new(list, message_of(role, parts));
    json_array_append_new(list, message_of(HABIT_USER, parts));
    return list;
}

/* A template that refuses system messages is asked without one. */
static int find_content(const template *t, const json_t *model, bool parts, buf *text, template_habits *out)
{
    TRY(try_render(t, model, conversation(true, parts), text));
    if (!text->n)
        TRY(try_render(t, model, conversation(false, parts), text));
    for (size_t i = 0; i < HABIT_ROLES; i++)
        *(parts ? &out->content[i].parts : &out->content[i].text) = has_clean_word(text, words[i]);
    return LORAC_OK;
}

static int find_arguments(const template *t, const json_t *model, bool object, bool parts, buf *text, bool *takes)
{
    json_t *arguments = object ? json_pack("{s:s}", "city", "harbours") : json_string("{\"city\": \"harbours\"}");
    json_t *list = json_array();
    json_array_append_new(list, message_of(HABIT_USER, parts));
    json_array_append_new(list, json_pack("{s:s, s:s, s:[{s:s, s:s, s:{s:s, s:o}}]}", "role", "assistant", "content",
                                          "", "tool_calls", "id", "call00001", "type", "function", "function", "name",
                                          "weather", "arguments", arguments));
    TRY(try_render(t, model, list, text));
    *takes = has_word(text, "harbours");
    return LORAC_OK;
}

int template_habits_find(const template *t, const json_t *model, template_habits *out)
{
    buf text = { 0 };
    int status;
    *out = (template_habits){ 0 };
    TRY_GOTO(find_content(t, model, false, &text, out));
    TRY_GOTO(find_content(t, model, true, &text, out));
    const bool parts = !out->content[HABIT_USER].text;
    TRY_GOTO(find_arguments(t, model, true, parts, &text, &out->argument_object));
    TRY_GOTO(find_arguments(t, model, false, parts, &text, &out->argument_text));
done:
    buf_free(&text);
    return status;
}

/* ---- Suiting ----------------------------------------------------------------------------------------------- */

/* The texts of the parts, each on a line of its own. */
static json_t *joined_parts(const json_t *parts)
{
    buf text = { 0 };
    size_t i;
    json_t *part;
    json_array_foreach((json_t *)parts, i, part)
    {
        const json_t *piece = json_object_get(part, "text");
        buf_text(&text, i ? "\n" : "");
        buf_add(&text, json_string_value(piece), json_string_length(piece));
    }
    json_t *joined = buf_status(&text) == LORAC_OK ? json_stringn(text.p ? text.p : "", text.n) : NULL;
    buf_free(&text);
    return joined;
}

/* The content in the form that is taken, a new reference; NULL: as it is. */
static json_t *suited_content(const template_habits *habits, const json_t *message)
{
    json_t *content = json_object_get(message, "content");
    const char *role = json_string_value(json_object_get(message, "role"));
    habit_role as = HABIT_USER;
    for (size_t i = 0; i < HABIT_ROLES; i++)
        as = strcmp(role, roles[i]) == 0 ? (habit_role)i : as;
    if (json_is_array(content) && habits->content[as].text && !habits->content[as].parts)
        return joined_parts(content);
    if (json_is_string(content) && habits->content[as].parts && !habits->content[as].text)
        return json_pack("[{s:s, s:O}]", "type", "text", "text", content);
    return NULL;
}

/* The arguments in the form that is taken, a new reference; NULL: as they are. */
static json_t *suited_arguments(const template_habits *habits, const json_t *arguments)
{
    json_t *suited = NULL;
    if (json_is_string(arguments) && habits->argument_object && !habits->argument_text) {
        const slice text = { json_string_value(arguments), json_string_length(arguments) };
        if (json_parse(&suited, text, NULL, 1, JSON_TAKE_DUPLICATES) != LORAC_OK)
            error_clear();
    } else if (json_is_object(arguments) && habits->argument_text && !habits->argument_object) {
        char *text = json_dumps(arguments, 0); /* spaced as Python does */
        suited = text ? json_string(text) : NULL;
        free(text);
    }
    return suited;
}

/* `calls` is the message's own. */
static int suit_calls(const template_habits *habits, json_t *calls)
{
    size_t i;
    json_t *call;
    json_array_foreach(calls, i, call)
    {
        json_t *function = json_object_get(call, "function");
        json_t *holder = function ? function : call;
        json_t *arguments = suited_arguments(habits, json_object_get(holder, "arguments"));
        if (arguments && json_object_set_new(holder, "arguments", arguments) != 0)
            return fail_memory();
    }
    return LORAC_OK;
}

static int suit_message(const template_habits *habits, json_t *messages, size_t index)
{
    json_t *message = json_array_get(messages, index), *own = NULL;
    json_t *content = suited_content(habits, message);
    const bool calls = json_object_get(message, "tool_calls") && habits->argument_text != habits->argument_object;
    int status = LORAC_OK;
    if (!content && !calls)
        return LORAC_OK;
    own = calls ? json_deep_copy(message) : json_copy(message);
    if (!own || (content && json_object_set(own, "content", content) != 0))
        TRY_GOTO(fail_memory());
    if (calls)
        TRY_GOTO(suit_calls(habits, json_object_get(own, "tool_calls")));
    if (json_array_set(messages, index, own) != 0)
        status = fail_memory();
done:
    json_decref(content);
    json_decref(own);
    return status;
}

int template_habits_suit(const template_habits *habits, json_t *messages)
{
    for (size_t i = 0; i < json_array_size(messages); i++)
        TRY(suit_message(habits, messages, i));
    return LORAC_OK;
}
