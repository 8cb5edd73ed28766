/* row_ids.c: rows that are ids already, and a classifier's rows. */
#include "row_reading.h"

#include "err.h"
#include "json.h"

#include <stdio.h>
#include <string.h>

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
    return row_failed(r, name, json_is_integer(value) ? found : json_kind(value), expected,
                      "the row has an id that is not right");
}

/* Takes input_ids over, with no label yet. */
static int take_input_ids(const reading *r)
{
    const json_t *ids = json_object_get(r->object, "input_ids");
    row *out = r->out;
    if (!json_is_array(ids))
        return row_wrong_kind(r, "input_ids", ids, "an array of integers");
    size_t count = json_array_size(ids);
    TRY(row_reserve(out, count));
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        TRY(take_id(r, "input_ids", i, false, &out->ids[i]));
        out->labels[i] = LABEL_NONE;
    }
    return LORAC_OK;
}

int row_read_ids(const reading *r)
{
    char found[48], expected[48];
    const json_t *labels = json_object_get(r->object, "labels");
    row *out = r->out;
    out->kind = ROW_IDS;
    TRY(take_input_ids(r));
    if (!labels) {
        row_train_from(out, 0);
        return LORAC_OK;
    }
    if (!json_is_array(labels))
        return row_wrong_kind(r, "labels", labels, "an array of integers");
    snprintf(found, sizeof found, "%zu labels", json_array_size(labels));
    snprintf(expected, sizeof expected, "%zu, one for each id", out->count);
    if (json_array_size(labels) != out->count)
        return row_failed(r, "labels", found, expected, "the row has labels and input_ids of different lengths");
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
    return row_failed(r, "label", found, expected, "the model has no such label");
}

static int take_class(const reading *r)
{
    const label_set *l = r->reader->labels;
    const json_t *value = json_object_get(r->object, "label");
    char found[48];
    int64_t number = -1;
    if (!json_is_integer(value) && !json_is_string(value))
        return row_wrong_kind(r, "label", value, "a label's number or name");
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
    out->whole_count = out->count;
    out->count = most;
    out->truncated = true;
}

static int read_class_text(const reading *r)
{
    struct row_scratch *s = r->scratch;
    TRY(row_need_tokenizer(r));
    buf_clear(&s->text);
    TRY(row_take_string(r, "text", &s->text));
    encoding_clear(&s->whole);
    TRY(tokenizer_encode(r->reader->tokenizer, buf_slice_of(&s->text), -1, &s->whole));
    TRY(row_take_ids(r->out, &s->whole));
    truncate_text(r->reader, &s->whole, r->out);
    return LORAC_OK;
}

int row_read_class(const reading *r)
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
    TRY(row_has(r, "input_ids") ? take_input_ids(r) : read_class_text(r));
    return r->out->count ? LORAC_OK : row_failed(r, NULL, NULL, NULL, "the row has no token");
}
