/* row_chat.c: the assistant's turns in a rendered conversation. A template with {% generation %} blocks says itself
 * where they stand. For any other, a turn is what rendering one message more adds: it begins where messages[:i] with
 * the generation prompt ends, and ends where messages[:i+1] ends. That holds only if both are prefixes of the whole,
 * which is checked. */
#include "row_chat.h"

#include "err.h"
#include "json.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

static int chat_fail(const row_place *place, const char *key, const char *found, const char *expected,
                     const char *sentence)
{
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = place->file, .line = place->line, .key = key, .found = found, .expected = expected }, "%s",
        sentence);
}

int chat_check(const row_place *place, const json_t *messages, const char *key)
{
    char name[64];
    if (!json_is_array(messages))
        return chat_fail(place, key, json_kind(messages), "an array of messages",
                         "the row has a value of the wrong kind");
    if (!json_array_size(messages))
        return chat_fail(place, key, "an empty array", "at least one message", "the row has no messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i), *role = json_object_get(message, "role");
        snprintf(name, sizeof name, "%s[%zu]", key, i);
        if (!json_is_object(message))
            return chat_fail(place, name, json_kind(message), "an object with role and content",
                             "a message is no object");
        snprintf(name, sizeof name, "%s[%zu].role", key, i);
        if (!json_is_string(role))
            return chat_fail(place, name, role ? json_kind(role) : "nothing", "a string", "a message has no role");
    }
    return LORAC_OK;
}

static slice role_token(const tokenizer *t, token_role role)
{
    int32_t id = t ? tokenizer_role(t, role) : -1;
    return id >= 0 ? tokenizer_token(t, id) : (slice){ NULL, 0 };
}

static int render(chat *c, const json_t *messages, bool add_generation_prompt, buf *out, text_region **regions,
                  size_t *count)
{
    const tokenizer *t = c->reader->tokenizer;
    template_input input = { .messages = messages,
                             .tools = c->tools,
                             .extra = c->extra,
                             .add_generation_prompt = add_generation_prompt,
                             .bos = role_token(t, TOKEN_BOS),
                             .eos = role_token(t, TOKEN_EOS) };
    if (!c->reader->template)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = c->place.file, .line = c->place.line, .hint = "Give one with --chat-template" },
                       "the row is a conversation, and the model has no chat template");
    buf_clear(out);
    int status = template_render(c->reader->template, &input, out, regions, count);
    if (status != LORAC_ERROR_DATA)
        return status;
    char reason[1024];
    snprintf(reason, sizeof reason, "%s", lorac_last_error()->message);
    return fail_at(status, (fault){ .file = c->place.file, .line = c->place.line },
                   "the chat template refuses the row: %s", reason);
}

int chat_render(chat *c, const json_t *messages, bool add_generation_prompt, buf *out)
{
    return render(c, messages, add_generation_prompt, out, NULL, NULL);
}

static int add_region(region_list *list, size_t begin, size_t end)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 8;
        text_region *items = mem_grow(list->items, capacity, sizeof *items);
        if (!items)
            return fail_memory();
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (text_region){ begin, end };
    return LORAC_OK;
}

static int marked_turns(chat *c)
{
    text_region *regions = NULL;
    size_t count = 0;
    int status = render(c, c->messages, false, &c->text, &regions, &count);
    for (size_t i = 0; status == LORAC_OK && i < count; i++)
        status = add_region(&c->regions, regions[i].begin, regions[i].end);
    mem_free(regions);
    return status;
}

/* Some bytes of `s` around `at`, with control characters visible, for a message. */
static const char *excerpt(slice s, size_t at, char *room, size_t size)
{
    buf shown = { 0 };
    size_t end = at;
    if (at >= s.n)
        return "the end";
    for (int i = 0; i < 12 && end < s.n; i++)
        utf8_next(s, &end);
    buf_json(&shown, (slice){ s.p + at, end - at });
    snprintf(room, size, "%s", shown.p ? shown.p : "");
    buf_free(&shown);
    return room;
}

/* c->prefix must begin c->text. */
static int check_prefix(chat *c, size_t messages, bool with_prompt)
{
    char found[128], expected[128];
    slice whole = buf_slice_of(&c->text), part = buf_slice_of(&c->prefix);
    size_t at = 0, character = 0;
    while (at < part.n && at < whole.n && part.p[at] == whole.p[at])
        at++;
    if (at == part.n)
        return LORAC_OK;
    while (at > 0 && ((unsigned char)part.p[at] & 0xC0) == 0x80)
        at--;
    for (size_t i = 0; i < at; i++)
        character += ((unsigned char)part.p[i] & 0xC0) != 0x80;
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = c->place.file,
                 .line = c->place.line,
                 .found = excerpt(whole, at, found, sizeof found),
                 .expected = excerpt(part, at, expected, sizeof expected),
                 .hint = "Mark the assistant's text in the template with {% generation %}, or train on --loss-on all" },
        "the chat template renders the first %zu message(s)%s otherwise alone than as part of the whole conversation, "
        "so the assistant's turns cannot be found; the first difference is at character %zu",
        messages, with_prompt ? " with the generation prompt" : "", character + 1);
}

/* The length of the first `count` messages, rendered; `head` holds them. */
static int prefix_length(chat *c, const json_t *head, bool with_prompt, size_t *out)
{
    size_t count = json_array_size(head);
    if (!with_prompt && count == json_array_size(c->messages)) {
        *out = c->text.n;
        return LORAC_OK;
    }
    TRY(chat_render(c, head, with_prompt, &c->prefix));
    TRY(check_prefix(c, count, with_prompt));
    *out = c->prefix.n;
    return LORAC_OK;
}

static int turns_by_prefixes(chat *c, json_t *head)
{
    size_t i, begin, end;
    json_t *message;
    json_array_foreach(c->messages, i, message)
    {
        bool assistant = strcmp(json_string_value(json_object_get(message, "role")), "assistant") == 0;
        if (assistant)
            TRY(prefix_length(c, head, true, &begin));
        if (json_array_append(head, message) != 0)
            return fail_memory();
        if (!assistant)
            continue;
        TRY(prefix_length(c, head, false, &end));
        if (end > begin)
            TRY(add_region(&c->regions, begin, end));
    }
    return LORAC_OK;
}

int chat_find_turns(chat *c)
{
    c->regions.count = 0;
    if (c->reader->template && template_has_generation(c->reader->template))
        return marked_turns(c);
    TRY(chat_render(c, c->messages, false, &c->text));
    json_t *head = json_array();
    int status = head ? turns_by_prefixes(c, head) : fail_memory();
    json_decref(head);
    return status;
}

void chat_free(chat *c)
{
    buf_free(&c->text);
    buf_free(&c->prefix);
    mem_free(c->regions.items);
    *c = (chat){ 0 };
}
