/* row_chat.c: the assistant's turns in a rendered conversation. A template with {% generation %} blocks says itself
 * where they stand. For any other, a turn is what rendering one message more adds: it begins where messages[:i] with
 * the generation prompt ends, and ends where messages[:i+1] ends. That holds only if both are prefixes of the whole,
 * which is checked. */
#include "row_chat.h"

#include "array.h"
#include "err.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGES_MOST = 4096 }; /* the time of finding turns by prefixes grows with their square */

#define MARK_IT "Mark the assistant's text in the template with {% generation %} (--chat-template), "
static const char mark_or_all[] = MARK_IT "or train on everything (--loss-on all)";
static const char mark_last_or_all[] =
    MARK_IT "train on the last turn alone (--loss-on last), or on everything (--loss-on all)";

static int choose(const chat *c, const template **out)
{
    fault where = { .file = c->place.file, .line = c->place.line };
    return chat_templates_choose(c->reader->templates, c->tools, where, out);
}

int chat_suit(chat *c, json_t *messages)
{
    const tokenizer *t = c->reader->tokenizer;
    const template *chosen;
    struct known_habits *known = &c->known[c->tools != NULL];
    TRY(choose(c, &chosen));
    if (known->of != chosen) {
        TRY(template_habits_find(chosen, t ? tokenizer_template_variables(t) : NULL, &known->habits));
        known->of = chosen;
    }
    return template_habits_suit(&known->habits, messages);
}

static int render(chat *c, const json_t *messages, bool add_generation_prompt, buf *out, text_region **regions,
                  size_t *count)
{
    const tokenizer *t = c->reader->tokenizer;
    const template *chosen;
    template_input input = { .messages = messages,
                             .tools = c->tools,
                             .model = t ? tokenizer_template_variables(t) : NULL,
                             .extra = c->extra,
                             .add_generation_prompt = add_generation_prompt };
    TRY(choose(c, &chosen));
    buf_clear(out);
    int status = template_render(chosen, &input, out, regions, count);
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
    TRY(array_room(list->items, list->capacity, list->count + 1));
    list->items[list->count++] = (text_region){ begin, end };
    return LORAC_OK;
}

static int count_marked(chat *c, const json_t *messages, size_t *count)
{
    text_region *regions = NULL;
    *count = 0;
    int status = json_array_size(messages) ? render(c, messages, false, &c->prefix, &regions, count) : LORAC_OK;
    mem_free(regions);
    return status;
}

static bool is_assistant(const json_t *message)
{
    return strcmp(json_string_value(json_object_get(message, "role")), "assistant") == 0;
}

/* The place of the assistant's last message, or the number of messages. */
static size_t last_turn(const chat *c)
{
    size_t count = json_array_size(c->messages), i = count;
    while (i > 0 && !is_assistant(json_array_get(c->messages, i - 1)))
        i--;
    return i ? i - 1 : count;
}

/* How many marked regions stand before the assistant's last message, which may have several. */
static int regions_before_last(chat *c, size_t *count)
{
    json_t *head = json_array(), *message;
    size_t i, last = last_turn(c);
    int status = head ? LORAC_OK : fail_memory();
    json_array_foreach(c->messages, i, message)
    {
        if (i < last && status == LORAC_OK && json_array_append(head, message) != 0)
            status = fail_memory();
    }
    if (status == LORAC_OK)
        status = count_marked(c, head, count);
    json_decref(head);
    return status;
}

static int marked_turns(chat *c, bool last_only)
{
    text_region *regions = NULL;
    size_t count = 0, first = 0;
    int status = render(c, c->messages, false, &c->text, &regions, &count);
    if (status == LORAC_OK && last_only && count > 1)
        status = regions_before_last(c, &first);
    for (size_t i = first < count ? first : 0; status == LORAC_OK && i < count; i++)
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

static int find_by_prefixes(chat *c, bool last_only);

/* What does work for this conversation. */
static const char *advice(chat *c)
{
    return c->last_only || find_by_prefixes(c, true) != LORAC_OK ? mark_or_all : mark_last_or_all;
}

/* c->prefix must begin c->text. */
static int check_prefix(chat *c, size_t messages, bool with_prompt)
{
    char found[128], expected[128];
    slice whole = buf_slice_of(&c->text), part = buf_slice_of(&c->prefix);
    size_t at = 0;
    if (!part.n || (part.n <= whole.n && memcmp(part.p, whole.p, part.n) == 0))
        return LORAC_OK;
    while (at < whole.n && part.p[at] == whole.p[at])
        at++;
    at = utf8_before(part, at + 1);
    fault where = { .file = c->place.file,
                    .line = c->place.line,
                    .found = excerpt(whole, at, found, sizeof found),
                    .expected = excerpt(part, at, expected, sizeof expected) };
    const size_t characters = utf8_count((slice){ part.p, at });
    where.hint = advice(c); /* which renders into c->prefix */
    return fail_at(
        LORAC_ERROR_DATA, where,
        "the chat template renders the first %zu message(s)%s otherwise alone than as part of the whole conversation, "
        "so the assistant's turns cannot be found; the first difference is at character %zu",
        messages, with_prompt ? " with the generation prompt" : "", characters + 1);
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

/* The turns from message `first` on. */
static int turns_by_prefixes(chat *c, size_t first, json_t *head)
{
    size_t i, begin, end;
    json_t *message;
    json_array_foreach(c->messages, i, message)
    {
        bool turn = i >= first && is_assistant(message);
        if (turn)
            TRY(prefix_length(c, head, true, &begin));
        if (json_array_append(head, message) != 0)
            return fail_memory();
        if (!turn)
            continue;
        TRY(prefix_length(c, head, false, &end));
        if (end > begin)
            TRY(add_region(&c->regions, begin, end));
    }
    return LORAC_OK;
}

/* c->text is the whole conversation. */
static int find_by_prefixes(chat *c, bool last_only)
{
    json_t *head = json_array();
    c->last_only = last_only;
    int status = head ? turns_by_prefixes(c, last_only ? last_turn(c) : 0, head) : fail_memory();
    json_decref(head);
    return status;
}

static int too_many(const chat *c)
{
    char found[48], expected[48];
    snprintf(found, sizeof found, "%zu", json_array_size(c->messages));
    snprintf(expected, sizeof expected, "at most %d", MESSAGES_MOST);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = c->place.file,
                            .line = c->place.line,
                            .found = found,
                            .expected = expected,
                            .hint = mark_last_or_all },
                   "the conversation has too many messages to render each of its beginnings");
}

int chat_find_turns(chat *c, bool last_only)
{
    const template *chosen;
    c->regions.count = 0;
    TRY(choose(c, &chosen));
    if (template_has_generation(chosen))
        return marked_turns(c, last_only);
    if (!last_only && json_array_size(c->messages) > MESSAGES_MOST)
        return too_many(c);
    TRY(chat_render(c, c->messages, false, &c->text));
    return find_by_prefixes(c, last_only);
}

const char *chat_template_file(const chat *c)
{
    const char *file = template_file(c->known[c->tools != NULL].of);
    return file ? file : "(no name)";
}

void chat_free(chat *c)
{
    json_decref(c->tools);
    buf_free(&c->text);
    buf_free(&c->prefix);
    mem_free(c->regions.items);
    *c = (chat){ 0 };
}
