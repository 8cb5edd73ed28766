/* row_text.c: texts, prompts with their completions, and conversations: text that is tokenised once, and regions of it
 * that are mapped to tokens by their offsets. */
#include "row_reading.h"

#include "err.h"
#include "json.h"

#include <stdio.h>
#include <string.h>

/* Every token that shares a byte with a region. Tokens and regions stand in the order of the text. */
static void train_regions(row *out, const encoding *e, const text_region *regions, size_t count)
{
    size_t k = 0;
    for (size_t i = 0; i < e->count; i++) {
        while (k < count && regions[k].end <= e->begin[i])
            k++;
        if (k < count && e->end[i] > regions[k].begin)
            out->labels[i] = out->ids[i];
    }
}

/* ---- Text --------------------------------------------------------------------------------------------- */

/* Appends EOS unless the text ends with it; a model without one has none to append. */
static void append_eos(const reading *r, buf *text)
{
    int32_t id = tokenizer_role(r->reader->tokenizer, TOKEN_EOS);
    slice eos = id >= 0 ? tokenizer_token(r->reader->tokenizer, id) : (slice){ NULL, 0 };
    if (!slice_ends_with(buf_slice_of(text), eos))
        buf_slice(text, eos);
}

static void drop_first(encoding *e)
{
    const size_t n = --e->count;
    memmove(e->ids, e->ids + 1, n * sizeof *e->ids);
    memmove(e->begin, e->begin + 1, n * sizeof *e->begin);
    memmove(e->end, e->end + 1, n * sizeof *e->end);
    memmove(e->special, e->special + 1, n * sizeof *e->special);
}

/* Encodes a text as the tokenizer does by itself. Where it adds a BOS or an EOS to a text that has it already, one is
 * enough. */
static int encode_text(const reading *r, const buf *text, encoding *e)
{
    const tokenizer *t = r->reader->tokenizer;
    const int32_t bos = tokenizer_role(t, TOKEN_BOS), eos = tokenizer_role(t, TOKEN_EOS);
    encoding_clear(e);
    TRY(buf_status(text));
    TRY(tokenizer_encode(t, buf_slice_of(text), -1, e));
    const size_t n = e->count;
    if (n > 1 && eos >= 0 && e->special[n - 1] && e->ids[n - 1] == eos && e->ids[n - 2] == eos)
        e->count--;
    if (e->count > 1 && bos >= 0 && e->special[0] && e->ids[0] == bos && e->ids[1] == bos)
        drop_first(e);
    return LORAC_OK;
}

static int no_part(const reading *r, const char *form, const char *wanted)
{
    char sentence[160];
    snprintf(sentence, sizeof sentence, "a %s row has no %s to train on", form, wanted);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = r->place.file, .line = r->place.line, .hint = "Use --loss-on auto or all" }, "%s",
                   sentence);
}

int row_read_text(const reading *r)
{
    struct row_scratch *s = r->scratch;
    lorac_loss_on on = r->reader->loss_on;
    r->out->kind = ROW_TEXT;
    TRY(row_need_tokenizer(r));
    if (on != LORAC_LOSS_AUTO && on != LORAC_LOSS_ALL)
        return no_part(r, "text", on == LORAC_LOSS_COMPLETION ? "completion" : "assistant's turn");
    buf_clear(&s->text);
    TRY(row_take_string(r, "text", &s->text));
    append_eos(r, &s->text);
    TRY(encode_text(r, &s->text, &s->whole));
    TRY(row_take_ids(r->out, &s->whole));
    row_train_from(r->out, 0);
    return LORAC_OK;
}

/* ---- Prompt and completion ----------------------------------------------------------------------------- */

/* The completion begins where the ids of the prompt alone and of the whole part. An EOS that the tokenizer puts behind
 * the prompt is not the prompt's. */
static void train_completion(const reading *r)
{
    const encoding *whole = &r->scratch->whole, *prompt = &r->scratch->prompt;
    const int32_t eos = tokenizer_role(r->reader->tokenizer, TOKEN_EOS);
    size_t common = 0, count = prompt->count;
    while (count > 0 && prompt->special[count - 1] && prompt->ids[count - 1] == eos)
        count--;
    while (common < count && common < whole->count && prompt->ids[common] == whole->ids[common])
        common++;
    row_train_from(r->out, r->reader->loss_on == LORAC_LOSS_ALL ? 0 : common);
}

/* scratch->prompt holds the prompt's ids, scratch->text prompt and completion. */
static int finish_strings(const reading *r)
{
    struct row_scratch *s = r->scratch;
    append_eos(r, &s->text);
    TRY(encode_text(r, &s->text, &s->whole));
    TRY(row_take_ids(r->out, &s->whole));
    train_completion(r);
    return LORAC_OK;
}

static int read_strings(const reading *r)
{
    struct row_scratch *s = r->scratch;
    buf_clear(&s->text);
    TRY(row_take_string(r, "prompt", &s->text));
    TRY(encode_text(r, &s->text, &s->prompt));
    TRY(row_take_string(r, "completion", &s->text));
    return finish_strings(r);
}

/* Where there is no template, Alpaca's own text stands around the instruction. */
static int read_alpaca_strings(const reading *r)
{
    struct row_scratch *s = r->scratch;
    buf completion = { 0 };
    int status;
    r->out->kind = ROW_COMPLETION;
    buf_clear(&s->text);
    TRY_GOTO(alpaca_text(&r->place, r->object, &s->text, &completion));
    TRY_GOTO(encode_text(r, &s->text, &s->prompt));
    buf_slice(&s->text, buf_slice_of(&completion));
    status = finish_strings(r);
done:
    buf_free(&completion);
    return status;
}

/* Makes the messages ready to be rendered. */
static int begin_chat(const reading *r, json_t *messages)
{
    chat *c = &r->scratch->chat;
    c->reader = r->reader;
    c->place = r->place;
    c->messages = messages;
    json_decref(c->tools);
    TRY(row_tools(&r->place, r->object, &c->tools));
    c->extra = json_object_get(r->object, "chat_template_kwargs");
    if (json_is_null(c->extra))
        c->extra = NULL;
    if (c->extra && !json_is_object(c->extra))
        return row_wrong_kind(r, "chat_template_kwargs", c->extra, "an object");
    return chat_suit(c, messages);
}

/* The template writes its special tokens itself, BOS included. */
static int encode_rendered(const reading *r, const buf *text, encoding *e)
{
    encoding_clear(e);
    return tokenizer_encode(r->reader->tokenizer, buf_slice_of(text), 0, e);
}

static bool is_blank(slice text)
{
    return slice_trim(text).n == 0;
}

/* The last trained token, white space apart, must be one that the model never writes by itself: that is how it learns
 * to stop. Some templates leave it to the turn that follows. */
static void look_for_end(const reading *r)
{
    const encoding *e = &r->scratch->whole;
    const char *text = r->scratch->chat.text.p;
    size_t i = e->count;
    while (i > 0 && (r->out->labels[i - 1] == LABEL_NONE ||
                     is_blank((slice){ text + e->begin[i - 1], e->end[i - 1] - e->begin[i - 1] })))
        i--;
    if (i > 0 && !tokenizer_is_added(r->reader->tokenizer, e->ids[i - 1]))
        r->out->endless = chat_template_file(&r->scratch->chat);
}

static int train_turns(const reading *r)
{
    struct row_scratch *s = r->scratch;
    const lorac_loss_on on = r->reader->loss_on;
    TRY(chat_find_turns(&s->chat, on == LORAC_LOSS_LAST || on == LORAC_LOSS_COMPLETION));
    TRY(encode_rendered(r, &s->chat.text, &s->whole));
    TRY(row_take_ids(r->out, &s->whole));
    train_regions(r->out, &s->whole, s->chat.regions.items, s->chat.regions.count);
    look_for_end(r);
    return LORAC_OK;
}

/* `joined` is prompt and completion. */
static int read_joined(const reading *r, size_t prompt_count, json_t *joined)
{
    struct row_scratch *s = r->scratch;
    TRY(begin_chat(r, joined));
    if (r->reader->loss_on == LORAC_LOSS_ASSISTANT || r->reader->loss_on == LORAC_LOSS_LAST)
        return train_turns(r);
    json_t *prompt = json_copy(joined);
    int status = prompt ? LORAC_OK : fail_memory();
    while (status == LORAC_OK && json_array_size(prompt) > prompt_count)
        json_array_remove(prompt, json_array_size(prompt) - 1);
    if (status == LORAC_OK)
        status = chat_render(&s->chat, prompt, true, &s->chat.text);
    json_decref(prompt);
    TRY(status);
    TRY(encode_rendered(r, &s->chat.text, &s->prompt));
    TRY(chat_render(&s->chat, joined, false, &s->chat.text));
    TRY(encode_rendered(r, &s->chat.text, &s->whole));
    TRY(row_take_ids(r->out, &s->whole));
    train_completion(r);
    if (r->reader->loss_on != LORAC_LOSS_ALL)
        look_for_end(r);
    return LORAC_OK;
}

static int read_message_lists(const reading *r, const json_t *prompt, const json_t *completion)
{
    json_t *first = NULL, *second = NULL;
    int status;
    TRY_GOTO(row_message_list(&r->place, prompt, "prompt", &first));
    TRY_GOTO(row_message_list(&r->place, completion, "completion", &second));
    const size_t count = json_array_size(first);
    status = json_array_extend(first, second) == 0 ? read_joined(r, count, first) : fail_memory();
done:
    json_decref(first);
    json_decref(second);
    return status;
}

int row_read_completion(const reading *r)
{
    json_t *prompt = json_object_get(r->object, "prompt"), *completion = json_object_get(r->object, "completion");
    r->out->kind = ROW_COMPLETION;
    TRY(row_need_tokenizer(r));
    if (json_is_array(prompt) && json_is_array(completion))
        return read_message_lists(r, prompt, completion);
    if (json_is_array(prompt) != json_is_array(completion))
        return row_wrong_kind(r, "completion", completion,
                              json_is_array(prompt) ? "an array of messages, as prompt is" : "a string, as prompt is");
    return read_strings(r);
}

/* ---- Conversations -------------------------------------------------------------------------------------- */

/* `messages` is taken over. */
static int read_chat(const reading *r, json_t *messages)
{
    struct row_scratch *s = r->scratch;
    int status;
    r->out->kind = ROW_MESSAGES;
    TRY_GOTO(begin_chat(r, messages));
    if (r->reader->loss_on != LORAC_LOSS_ALL) {
        status = train_turns(r);
        goto done;
    }
    TRY_GOTO(chat_render(&s->chat, messages, false, &s->chat.text));
    TRY_GOTO(encode_rendered(r, &s->chat.text, &s->whole));
    TRY_GOTO(row_take_ids(r->out, &s->whole));
    row_train_from(r->out, 0);
done:
    json_decref(messages);
    return status;
}

/* "messages", or ShareGPT's "conversations", beside which a system message may stand. */
int row_read_messages(const reading *r, const char *key)
{
    json_t *messages;
    TRY(row_need_tokenizer(r));
    TRY(row_message_list(&r->place, json_object_get(r->object, key), key, &messages));
    int status = strcmp(key, "conversations") == 0 ? row_prepend_system(&r->place, r->object, messages) : LORAC_OK;
    if (status == LORAC_OK)
        return read_chat(r, messages);
    json_decref(messages);
    return status;
}

int row_read_alpaca(const reading *r)
{
    json_t *messages;
    TRY(row_need_tokenizer(r));
    if (!chat_templates_any(r->reader->templates))
        return read_alpaca_strings(r);
    TRY(alpaca_messages(&r->place, r->object, &messages));
    return read_chat(r, messages);
}
