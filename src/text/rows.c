/* rows.c: which form a row has, and what all forms share. What is trained is decided in row_text.c and row_chat.c. */
#include "rows.h"

#include "array.h"
#include "err.h"
#include "json.h"
#include "mem.h"
#include "row_reading.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char forms[] = "{\"text\"}, {\"prompt\",\"completion\"}, {\"messages\"}, {\"conversations\"}, "
                            "{\"instruction\",\"output\"} or {\"input_ids\",\"labels\"}";
static const char class_forms[] = "{\"text\",\"label\"} or {\"input_ids\",\"label\"}";

int row_failed(const reading *r, const char *key, const char *found, const char *expected, const char *sentence)
{
    return row_fail_at(&r->place, key, found, expected, sentence);
}

int row_wrong_kind(const reading *r, const char *key, const json_t *found, const char *expected)
{
    return row_fail_kind(&r->place, key, found, expected);
}

bool row_has(const reading *r, const char *key)
{
    return json_object_get(r->object, key) != NULL;
}

int row_need_tokenizer(const reading *r)
{
    if (r->reader->tokenizer)
        return LORAC_OK;
    return row_failed(r, NULL, NULL, NULL, "the row is text, and the model has no tokenizer");
}

int row_take_string(const reading *r, const char *key, buf *out)
{
    const json_t *value = json_object_get(r->object, key);
    if (!json_is_string(value))
        return row_wrong_kind(r, key, value, "a string");
    buf_add(out, json_string_value(value), json_string_length(value));
    return buf_status(out);
}

/* ---- Buffers ------------------------------------------------------------------------------------------ */

int row_reserve(row *out, size_t count)
{
    if (count <= out->capacity)
        return LORAC_OK;
    size_t capacity = count < 256 ? 256 : count + count / 2;
    TRY(array_resize(out->ids, capacity));
    TRY(array_resize(out->labels, capacity));
    out->capacity = capacity;
    return LORAC_OK;
}

int row_take_ids(row *out, const encoding *e)
{
    TRY(row_reserve(out, e->count));
    out->count = e->count;
    for (size_t i = 0; i < e->count; i++) {
        out->ids[i] = e->ids[i];
        out->labels[i] = LABEL_NONE;
    }
    return LORAC_OK;
}

void row_train_from(row *out, size_t first)
{
    for (size_t i = first; i < out->count; i++)
        out->labels[i] = out->ids[i];
}

/* ---- Any row --------------------------------------------------------------------------------------------- */

static const char *known_forms(const reading *r)
{
    return r->reader->labels ? class_forms : forms;
}

static int unknown_form(const reading *r)
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
    int status = row_failed(r, NULL, keys.n ? keys.p : "no keys", known_forms(r), "the row has no form that is known");
    buf_free(&keys);
    return status;
}

static int read_language(const reading *r)
{
    if (row_has(r, "input_ids"))
        return row_read_ids(r);
    if (row_has(r, "prompt") && row_has(r, "completion"))
        return row_read_completion(r);
    if (row_has(r, "messages"))
        return row_read_messages(r, "messages");
    if (row_has(r, "conversations"))
        return row_read_messages(r, "conversations");
    if (row_has(r, "text"))
        return row_read_text(r);
    if (row_has(r, "instruction") && row_has(r, "output"))
        return row_read_alpaca(r);
    return unknown_form(r);
}

static int read_form(const reading *r)
{
    if (r->reader->labels)
        return row_has(r, "text") || row_has(r, "input_ids") ? row_read_class(r) : unknown_form(r);
    return read_language(r);
}

static int read_weight(const reading *r)
{
    const json_t *weight = json_object_get(r->object, "weight");
    r->out->weight = 1;
    if (!weight)
        return LORAC_OK;
    double value = json_number_value(weight);
    if (!json_is_number(weight) || !isfinite(value) || value < 0)
        return row_wrong_kind(r, "weight", weight, "a number that is not negative");
    r->out->weight = value;
    return LORAC_OK;
}

/* What is beyond the limit goes; how much that was stays known. */
static void truncate_row(const row_reader *reader, row *out)
{
    const size_t most = (size_t)reader->max_seq_length;
    if (!out->truncated)
        out->whole_count = out->count;
    for (size_t i = (size_t)label_shift(reader); i < out->count; i++)
        out->whole_trained += out->labels[i] != LABEL_NONE;
    if (most && out->count > most) {
        out->end_cut = out->labels[most - 1] != LABEL_NONE && out->labels[most] != LABEL_NONE;
        out->count = most;
        out->truncated = true;
    }
    if (out->kind == ROW_CLASS) {
        out->labels[class_position(out->ids, out->count, reader->pad)] = out->class_label;
        out->whole_trained = 1;
    }
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
    out->count = out->trained = out->whole_count = out->whole_trained = 0;
    out->truncated = out->end_cut = false;
    out->endless = NULL;
    if (!json_is_object(object))
        return row_failed(&r, NULL, json_kind(object), known_forms(&r), "the row is no object");
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
