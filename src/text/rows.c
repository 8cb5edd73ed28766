/* rows.c: the forms a row may have, and its ids and labels. What is trained is decided here and in row_chat.c;
 * everything between is text that is tokenised once, and regions of it that are mapped to tokens by their offsets. */
#include "rows.h"

#include "err.h"
#include "json.h"
#include "mem.h"
#include "row_chat.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct row_scratch {
    chat chat;
    buf text;
    encoding whole, prompt;
};

typedef struct reading {
    const row_reader *reader;
    const json_t *object;
    row_place place;
    row *out;
    struct row_scratch *scratch;
} reading;

static const char forms[] = "{\"text\"}, {\"prompt\",\"completion\"}, {\"messages\"} or {\"input_ids\",\"labels\"}";
static const char class_forms[] = "{\"text\",\"label\"} or {\"input_ids\",\"label\"}";

static int row_fail(const reading *r, const char *key, const char *found, const char *expected, const char *sentence)
{
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = r->place.file, .line = r->place.line, .key = key, .found = found, .expected = expected }, "%s",
        sentence);
}

static int wrong_kind(const reading *r, const char *key, const json_t *found, const char *expected)
{
    return row_fail(r, key, found ? json_kind(found) : "nothing", expected, "the row has a value of the wrong kind");
}

static bool has(const reading *r, const char *key)
{
    return json_object_get(r->object, key) != NULL;
}

/* ---- Buffers ------------------------------------------------------------------------------------------ */

static int reserve(row *out, size_t count)
{
    if (count <= out->capacity)
        return LORAC_OK;
    size_t capacity = count < 256 ? 256 : count + count / 2;
    int32_t *ids = mem_grow(out->ids, capacity, sizeof *ids);
    if (!ids)
        return fail_memory();
    out->ids = ids;
    int32_t *labels = mem_grow(out->labels, capacity, sizeof *labels);
    if (!labels)
        return fail_memory();
    out->labels = labels;
    out->capacity = capacity;
    return LORAC_OK;
}

/* Takes the ids over, with no label yet. */
static int take_ids(row *out, const encoding *e)
{
    TRY(reserve(out, e->count));
    out->count = e->count;
    for (size_t i = 0; i < e->count; i++) {
        out->ids[i] = e->ids[i];
        out->labels[i] = LABEL_NONE;
    }
    return LORAC_OK;
}

static void train_from(row *out, size_t first)
{
    for (size_t i = first; i < out->count; i++)
        out->labels[i] = out->ids[i];
}

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

static int need_tokenizer(const reading *r)
{
    if (r->reader->tokenizer)
        return LORAC_OK;
    return row_fail(r, NULL, NULL, NULL, "the row is text, and the model has no tokenizer");
}

/* Appends EOS unless the text ends with it; a model without one has none to append. */
static void append_eos(const reading *r, buf *text)
{
    int32_t id = tokenizer_role(r->reader->tokenizer, TOKEN_EOS);
    slice eos = id >= 0 ? tokenizer_token(r->reader->tokenizer, id) : (slice){ NULL, 0 };
    if (!eos.n || (text->n >= eos.n && memcmp(text->p + text->n - eos.n, eos.p, eos.n) == 0))
        return;
    buf_slice(text, eos);
}

/* Encodes a text that ends with EOS. Where the tokenizer adds one of its own, one is enough. */
static int encode_ended(const reading *r, const buf *text, encoding *e)
{
    encoding_clear(e);
    TRY(buf_status(text));
    TRY(tokenizer_encode(r->reader->tokenizer, buf_slice_of(text), -1, e));
    int32_t eos = tokenizer_role(r->reader->tokenizer, TOKEN_EOS);
    size_t n = e->count;
    if (n > 1 && eos >= 0 && e->special[n - 1] && e->ids[n - 1] == eos && e->ids[n - 2] == eos)
        e->count--;
    return LORAC_OK;
}

static int take_string(const reading *r, const char *key, buf *out)
{
    const json_t *value = json_object_get(r->object, key);
    if (!json_is_string(value))
        return wrong_kind(r, key, value, "a string");
    buf_add(out, json_string_value(value), json_string_length(value));
    return buf_status(out);
}

static int no_part(const reading *r, const char *form, const char *wanted)
{
    char sentence[160];
    snprintf(sentence, sizeof sentence, "a %s row has no %s to train on", form, wanted);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = r->place.file, .line = r->place.line, .hint = "Use --loss-on auto or all" }, "%s",
                   sentence);
}

static int read_text(const reading *r)
{
    struct row_scratch *s = r->scratch;
    lorac_loss_on on = r->reader->loss_on;
    r->out->kind = ROW_TEXT;
    TRY(need_tokenizer(r));
    if (on != LORAC_LOSS_AUTO && on != LORAC_LOSS_ALL)
        return no_part(r, "text", on == LORAC_LOSS_COMPLETION ? "completion" : "assistant's turn");
    buf_clear(&s->text);
    TRY(take_string(r, "text", &s->text));
    append_eos(r, &s->text);
    TRY(encode_ended(r, &s->text, &s->whole));
    TRY(take_ids(r->out, &s->whole));
    train_from(r->out, 0);
    return LORAC_OK;
}

/* ---- Prompt and completion ----------------------------------------------------------------------------- */

/* The completion begins where the ids of the prompt alone and of the whole part. */
static void train_completion(const reading *r)
{
    const encoding *whole = &r->scratch->whole, *prompt = &r->scratch->prompt;
    size_t common = 0;
    while (common < prompt->count && common < whole->count && prompt->ids[common] == whole->ids[common])
        common++;
    train_from(r->out, r->reader->loss_on == LORAC_LOSS_ALL ? 0 : common);
}

static int read_strings(const reading *r)
{
    struct row_scratch *s = r->scratch;
    buf_clear(&s->text);
    TRY(take_string(r, "prompt", &s->text));
    encoding_clear(&s->prompt);
    TRY(tokenizer_encode(r->reader->tokenizer, buf_slice_of(&s->text), -1, &s->prompt));
    TRY(take_string(r, "completion", &s->text));
    append_eos(r, &s->text);
    TRY(encode_ended(r, &s->text, &s->whole));
    TRY(take_ids(r->out, &s->whole));
    train_completion(r);
    return LORAC_OK;
}

static int begin_chat(const reading *r, const json_t *messages)
{
    chat *c = &r->scratch->chat;
    c->reader = r->reader;
    c->place = r->place;
    c->messages = messages;
    c->tools = json_object_get(r->object, "tools");
    c->extra = json_object_get(r->object, "chat_template_kwargs");
    if (json_is_null(c->tools))
        c->tools = NULL;
    if (json_is_null(c->extra))
        c->extra = NULL;
    if (c->tools && !json_is_array(c->tools))
        return wrong_kind(r, "tools", c->tools, "an array");
    if (c->extra && !json_is_object(c->extra))
        return wrong_kind(r, "chat_template_kwargs", c->extra, "an object");
    return LORAC_OK;
}

/* The template writes its special tokens itself, BOS included. */
static int encode_rendered(const reading *r, const buf *text, encoding *e)
{
    encoding_clear(e);
    return tokenizer_encode(r->reader->tokenizer, buf_slice_of(text), 0, e);
}

static int train_turns(const reading *r)
{
    struct row_scratch *s = r->scratch;
    bool last_only = r->reader->loss_on == LORAC_LOSS_LAST || r->reader->loss_on == LORAC_LOSS_COMPLETION;
    size_t first = last_only && s->chat.regions.count ? s->chat.regions.count - 1 : 0;
    TRY(encode_rendered(r, &s->chat.text, &s->whole));
    TRY(take_ids(r->out, &s->whole));
    if (first < s->chat.regions.count)
        train_regions(r->out, &s->whole, s->chat.regions.items + first, s->chat.regions.count - first);
    return LORAC_OK;
}

static int read_joined(const reading *r, const json_t *prompt, json_t *joined)
{
    struct row_scratch *s = r->scratch;
    const json_t *last = json_array_get(prompt, json_array_size(prompt) - 1);
    bool answer = strcmp(json_string_value(json_object_get(last, "role")), "assistant") != 0;
    TRY(begin_chat(r, joined));
    if (r->reader->loss_on == LORAC_LOSS_ASSISTANT || r->reader->loss_on == LORAC_LOSS_LAST) {
        TRY(chat_find_turns(&s->chat));
        return train_turns(r);
    }
    TRY(chat_render(&s->chat, prompt, answer, &s->chat.text));
    TRY(encode_rendered(r, &s->chat.text, &s->prompt));
    TRY(chat_render(&s->chat, joined, false, &s->chat.text));
    TRY(encode_rendered(r, &s->chat.text, &s->whole));
    TRY(take_ids(r->out, &s->whole));
    train_completion(r);
    return LORAC_OK;
}

static int read_message_lists(const reading *r, json_t *prompt, json_t *completion)
{
    TRY(chat_check(&r->place, prompt, "prompt"));
    TRY(chat_check(&r->place, completion, "completion"));
    json_t *joined = json_copy(prompt);
    int status = joined && json_array_extend(joined, completion) == 0 ? read_joined(r, prompt, joined) : fail_memory();
    json_decref(joined);
    return status;
}

static int read_completion(const reading *r)
{
    json_t *prompt = json_object_get(r->object, "prompt"), *completion = json_object_get(r->object, "completion");
    r->out->kind = ROW_COMPLETION;
    TRY(need_tokenizer(r));
    if (json_is_array(prompt) && json_is_array(completion))
        return read_message_lists(r, prompt, completion);
    if (json_is_array(prompt) != json_is_array(completion))
        return wrong_kind(r, "completion", completion,
                          json_is_array(prompt) ? "an array of messages, as prompt is" : "a string, as prompt is");
    return read_strings(r);
}

/* ---- Conversations -------------------------------------------------------------------------------------- */

static int read_messages(const reading *r)
{
    struct row_scratch *s = r->scratch;
    json_t *messages = json_object_get(r->object, "messages");
    r->out->kind = ROW_MESSAGES;
    TRY(need_tokenizer(r));
    TRY(chat_check(&r->place, messages, "messages"));
    TRY(begin_chat(r, messages));
    if (r->reader->loss_on != LORAC_LOSS_ALL) {
        TRY(chat_find_turns(&s->chat));
        return train_turns(r);
    }
    TRY(chat_render(&s->chat, messages, false, &s->chat.text));
    TRY(encode_rendered(r, &s->chat.text, &s->whole));
    TRY(take_ids(r->out, &s->whole));
    train_from(r->out, 0);
    return LORAC_OK;
}

/* ---- Ids ------------------------------------------------------------------------------------------------ */

static int take_id(const reading *r, const char *key, size_t index, bool label, int32_t *out)
{
    char name[64], found[48], expected[64];
    const json_t *value = json_array_get(json_object_get(r->object, key), index);
    const row_reader *reader = r->reader;
    int32_t of_tokenizer = reader->tokenizer ? tokenizer_vocabulary(reader->tokenizer) : INT32_MAX;
    int32_t vocabulary = reader->vocabulary ? reader->vocabulary : of_tokenizer;
    json_int_t id = json_integer_value(value);
    if (json_is_integer(value) && ((id >= 0 && id < vocabulary) || (label && id == LABEL_NONE))) {
        *out = (int32_t)id;
        return LORAC_OK;
    }
    snprintf(name, sizeof name, "%s[%zu]", key, index);
    snprintf(found, sizeof found, "%lld", (long long)id);
    snprintf(expected, sizeof expected, "%san id below %d", label ? "-100 or " : "", vocabulary);
    return row_fail(r, name, json_is_integer(value) ? found : json_kind(value), expected,
                    "the row has an id that is not right");
}

/* Takes input_ids over, with no label yet. */
static int take_input_ids(const reading *r)
{
    const json_t *ids = json_object_get(r->object, "input_ids");
    row *out = r->out;
    if (!json_is_array(ids))
        return wrong_kind(r, "input_ids", ids, "an array of integers");
    size_t count = json_array_size(ids);
    TRY(reserve(out, count));
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        TRY(take_id(r, "input_ids", i, false, &out->ids[i]));
        out->labels[i] = LABEL_NONE;
    }
    return LORAC_OK;
}

static int read_ids(const reading *r)
{
    char found[48], expected[48];
    const json_t *labels = json_object_get(r->object, "labels");
    row *out = r->out;
    out->kind = ROW_IDS;
    TRY(take_input_ids(r));
    if (!labels) {
        train_from(out, 0);
        return LORAC_OK;
    }
    if (!json_is_array(labels))
        return wrong_kind(r, "labels", labels, "an array of integers");
    snprintf(found, sizeof found, "%zu labels", json_array_size(labels));
    snprintf(expected, sizeof expected, "%zu, one for each id", out->count);
    if (json_array_size(labels) != out->count)
        return row_fail(r, "labels", found, expected, "the row has labels and input_ids of different lengths");
    for (size_t i = 0; i < out->count; i++)
        TRY(take_id(r, "labels", i, true, &out->labels[i]));
    return LORAC_OK;
}

/* ---- Classes --------------------------------------------------------------------------------------------- */

/* A name is said to be unknown beside some that are not. */
static int unknown_label(const reading *r, const char *found)
{
    const label_set *l = r->reader->labels;
    char expected[160];
    snprintf(expected, sizeof expected, "0 to %lld, or a name such as %s", (long long)l->count - 1, l->names[0]);
    return row_fail(r, "label", found, expected, "the model has no such label");
}

static int take_class(const reading *r)
{
    const label_set *l = r->reader->labels;
    const json_t *value = json_object_get(r->object, "label");
    char found[48];
    int64_t number = -1;
    if (!json_is_integer(value) && !json_is_string(value))
        return wrong_kind(r, "label", value, "a label's number or name");
    if (json_is_string(value)) {
        slice name = { json_string_value(value), json_string_length(value) };
        number = map_find(&l->numbers, name);
        slice_put(name, found, sizeof found);
    } else {
        number = json_integer_value(value);
        snprintf(found, sizeof found, "%lld", (long long)number);
    }
    if (number < 0 || number >= l->count)
        return unknown_label(r, found);
    r->out->class_label = (int32_t)number;
    return LORAC_OK;
}

/* Keeps the start, and behind it what the tokenizer adds at the end. */
static void truncate_text(const row_reader *reader, const encoding *e, row *out)
{
    const size_t most = (size_t)reader->max_seq_length;
    size_t added = 0;
    if (!most || out->count <= most)
        return;
    while (added < most && e->special[e->count - 1 - added])
        added++;
    memmove(out->ids + most - added, out->ids + out->count - added, added * sizeof *out->ids);
    out->count = most;
    out->truncated = true;
}

static int read_class_text(const reading *r)
{
    struct row_scratch *s = r->scratch;
    TRY(need_tokenizer(r));
    buf_clear(&s->text);
    TRY(take_string(r, "text", &s->text));
    encoding_clear(&s->whole);
    TRY(tokenizer_encode(r->reader->tokenizer, buf_slice_of(&s->text), -1, &s->whole));
    TRY(take_ids(r->out, &s->whole));
    truncate_text(r->reader, &s->whole, r->out);
    return LORAC_OK;
}

static int read_class(const reading *r)
{
    const label_set *l = r->reader->labels;
    r->out->kind = ROW_CLASS;
    if (l->problem)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "problem_type",
                                .found = l->problem,
                                .expected = "single_label_classification, with two labels or more" },
                       "rows of this kind of classifier cannot be read");
    TRY(take_class(r));
    TRY(has(r, "text") ? read_class_text(r) : take_input_ids(r));
    return r->out->count ? LORAC_OK : row_fail(r, NULL, NULL, NULL, "the row has no token");
}

/* ---- Any row --------------------------------------------------------------------------------------------- */

static const char *known_forms(const reading *r)
{
    return r->reader->labels ? class_forms : forms;
}

static int unknown_form(const reading *r, const char *sentence)
{
    buf keys = { 0 };
    const char *key;
    json_t *value;
    size_t count = 0;
    json_object_foreach((json_t *)r->object, key, value)
    {
        buf_text(&keys, count ? ", " : "");
        buf_text(&keys, count == 12 ? "..." : key);
        if (count++ == 12)
            break;
    }
    int status = row_fail(r, NULL, keys.n ? keys.p : "no keys", known_forms(r), sentence);
    buf_free(&keys);
    return status;
}

static int read_form(const reading *r)
{
    static const char no_form[] = "the row has no form that is known";
    bool completion = has(r, "prompt") && has(r, "completion");
    int count = has(r, "input_ids") + completion + has(r, "messages") + has(r, "text");
    if (count > 1)
        return unknown_form(r, "the row has more than one form");
    if (r->reader->labels)
        return has(r, "text") || has(r, "input_ids") ? read_class(r) : unknown_form(r, no_form);
    if (has(r, "input_ids"))
        return read_ids(r);
    if (completion)
        return read_completion(r);
    if (has(r, "messages"))
        return read_messages(r);
    if (has(r, "text"))
        return read_text(r);
    return unknown_form(r, no_form);
}

static int read_weight(const reading *r)
{
    const json_t *weight = json_object_get(r->object, "weight");
    r->out->weight = 1;
    if (!weight)
        return LORAC_OK;
    double value = json_number_value(weight);
    if (!json_is_number(weight) || !isfinite(value) || value < 0)
        return wrong_kind(r, "weight", weight, "a number that is not negative");
    r->out->weight = value;
    return LORAC_OK;
}

static void truncate_row(const row_reader *reader, row *out)
{
    if (reader->max_seq_length > 0 && out->count > (uint64_t)reader->max_seq_length) {
        out->count = (size_t)reader->max_seq_length;
        out->truncated = true;
    }
    if (out->kind == ROW_CLASS)
        out->labels[class_position(out->ids, out->count, reader->pad)] = out->class_label;
    for (size_t i = 0; i < out->count; i++)
        out->trained += out->labels[i] != LABEL_NONE;
}

int row_read(const row_reader *reader, const json_t *object, const char *file, long line, row *out)
{
    reading r = { .reader = reader, .object = object, .place = { file, line }, .out = out };
    if (!out->scratch)
        out->scratch = mem_new(1, sizeof *out->scratch);
    if (!out->scratch)
        return fail_memory();
    r.scratch = out->scratch;
    out->count = out->trained = 0;
    out->truncated = false;
    if (!json_is_object(object))
        return row_fail(&r, NULL, json_kind(object), known_forms(&r), "the row is no object");
    TRY(read_weight(&r));
    TRY(read_form(&r));
    truncate_row(reader, out);
    return LORAC_OK;
}

void row_free(row *r)
{
    if (r->scratch) {
        chat_free(&r->scratch->chat);
        buf_free(&r->scratch->text);
        encoding_free(&r->scratch->whole);
        encoding_free(&r->scratch->prompt);
        mem_free(r->scratch);
    }
    mem_free(r->ids);
    mem_free(r->labels);
    *r = (row){ 0 };
}
