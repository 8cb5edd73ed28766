/* examples.c: one pass over a dataset. */
#include "examples.h"

#include "err.h"
#include "hash.h"
#include "mem.h"

#include <limits.h>
#include <string.h>

int32_t labels_predicted(const int32_t *labels, size_t count, int32_t shift, int32_t *run)
{
    int32_t predicted = 0;

    *run = 0;
    for (size_t i = (size_t)shift; i < count; i++) {
        if (labels[i] != LABEL_NONE) {
            *run = (int32_t)i + 1 - shift;
            predicted++;
        }
    }
    return predicted;
}

/* ---- Growing ------------------------------------------------------------------------------------------------- */

static int grow_tokens(examples *e, uint64_t wanted)
{
    uint64_t capacity = e->token_capacity ? e->token_capacity : 4096;
    int32_t *grown;

    if (wanted <= e->token_capacity)
        return LORAC_OK;
    while (capacity < wanted)
        capacity += capacity / 2;
    grown = mem_grow(e->ids, capacity, sizeof *grown);
    if (!grown)
        return fail_memory();
    e->ids = grown;
    grown = mem_grow(e->labels, capacity, sizeof *grown);
    if (!grown)
        return fail_memory();
    e->labels = grown;
    e->token_capacity = capacity;
    return LORAC_OK;
}

static int grow_rows(examples *e)
{
    size_t capacity = e->row_capacity ? e->row_capacity * 2 : 256;
    example *grown;

    if ((size_t)e->count < e->row_capacity)
        return LORAC_OK;
    grown = mem_grow(e->rows, capacity, sizeof *grown);
    if (!grown)
        return fail_memory();
    e->rows = grown;
    e->row_capacity = capacity;
    return LORAC_OK;
}

static int add_example(examples *e, const row *r, int32_t part, long line)
{
    example *x;

    if (r->count > INT32_MAX)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = e->parts[part].file, .line = line }, "a row of %zu tokens",
                       r->count);
    TRY(grow_rows(e));
    TRY(grow_tokens(e, (uint64_t)e->tokens + r->count));
    x = &e->rows[e->count++];
    *x = (example){ .begin = (uint64_t)e->tokens, .count = (int32_t)r->count, .part = part, .line = line };
    x->trained = labels_predicted(r->labels, r->count, e->shift, &x->run);
    if (r->count) {
        memcpy(e->ids + x->begin, r->ids, r->count * sizeof *r->ids);
        memcpy(e->labels + x->begin, r->labels, r->count * sizeof *r->labels);
        e->fingerprint = hash_add(e->fingerprint, r->ids, r->count * sizeof *r->ids);
        e->fingerprint = hash_add(e->fingerprint, r->labels, r->count * sizeof *r->labels);
    }
    e->tokens += (int64_t)r->count;
    e->trained += x->trained;
    e->parts[part].count++;
    if (x->count > e->longest)
        e->longest = x->count;
    return LORAC_OK;
}

/* ---- Checking -------------------------------------------------------------------------------------------------- */

/* `bound`: of the vocabulary, or of the labels. */
static int check_range(int64_t bound, const int32_t *ids, size_t count, bool labels, const char *file, long line)
{
    for (size_t i = 0; i < count; i++) {
        char found[64], expected[64];

        if ((ids[i] >= 0 && ids[i] < bound) || (labels && ids[i] == LABEL_NONE))
            continue;
        snprintf(found, sizeof found, "%d at position %zu", ids[i], i);
        snprintf(expected, sizeof expected, "0 to %lld%s", (long long)bound - 1, labels ? ", or -100" : "");
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = file,
                                .line = line,
                                .key = labels ? "labels" : "input_ids",
                                .found = found,
                                .expected = expected },
                       "a token id that the model does not have");
    }
    return LORAC_OK;
}

static int fail_untrained(const char *file, long line)
{
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = file, .line = line, .hint = "Remove the row, or change what is trained with --loss-on." },
        "the row has no token to train on");
}

/* Was it the truncation that took the labels of this row? Reads it again without a limit. */
static int whole_row_is_trained(const row_reader *reader, const json_t *object, const char *file, long line,
                                bool *trained)
{
    row_reader unlimited = *reader;
    row whole = { 0 };
    int32_t run;
    int status;

    unlimited.max_seq_length = 0;
    status = row_read(&unlimited, object, file, line, &whole);
    *trained = status == LORAC_OK && labels_predicted(whole.labels, whole.count, label_shift(reader), &run) > 0;
    row_free(&whole);
    return status;
}

/* Decides on a row without a trained token: kept, dropped or refused. */
static int judge_untrained(examples *e, const row_reader *reader, const json_t *object, const row *r, const char *file,
                           long line, bool *dropped)
{
    bool trained = false;

    if (r->truncated)
        TRY(whole_row_is_trained(reader, object, file, line, &trained));
    if (!trained)
        return fail_untrained(file, line);
    e->dropped++;
    *dropped = true;
    return LORAC_OK;
}

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static int take_row(examples *e, const row_reader *reader, const model *m, const json_t *object, int32_t part,
                    long line, untrained_rows untrained, row *r)
{
    const char *file = e->parts[part].file;
    bool dropped = false;
    int32_t run;

    TRY(row_read(reader, object, file, line, r));
    if (r->weight != 1)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = file, .line = line, .key = "weight", .expected = "1, or none" },
                       "rows cannot be weighted");
    TRY(check_range(m->config.vocabulary, r->ids, r->count, false, file, line));
    TRY(check_range(model_outputs(m), r->labels, r->count, true, file, line));
    e->truncated += r->truncated;
    if (untrained == UNTRAINED_REFUSE && !labels_predicted(r->labels, r->count, e->shift, &run))
        TRY(judge_untrained(e, reader, object, r, file, line, &dropped));
    return dropped ? LORAC_OK : add_example(e, r, part, line);
}

static int copy_parts(examples *e, const dataset *d)
{
    size_t count;
    const dataset_part *parts = dataset_parts(d, &count);

    e->parts = arena_new(&e->memory, count, sizeof *e->parts);
    if (!e->parts)
        return fail_memory();
    e->part_count = (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        e->parts[i].weight = parts[i].weight;
        e->parts[i].file = arena_text(&e->memory, parts[i].file, strlen(parts[i].file));
        if (!e->parts[i].file)
            return fail_memory();
    }
    return LORAC_OK;
}

static int read_part(examples *e, const dataset *d, int32_t part, const row_reader *reader, const model *m,
                     untrained_rows untrained, int64_t limit, const volatile int *cancel)
{
    size_t count;
    const dataset_part *from = &dataset_parts(d, &count)[part];
    row r = { 0 };
    json_t *object = NULL;
    int status = LORAC_OK;

    e->parts[part].first = e->count;
    for (size_t i = from->first; i < from->first + from->count && (limit < 0 || (int64_t)i < limit); i++) {
        const char *file;
        long line;

        if (cancel && *cancel)
            TRY_GOTO(fail(LORAC_INTERRUPTED, "cancelled while reading rows; nothing was written"));
        dataset_place(d, i, &file, &line);
        TRY_GOTO(dataset_row(d, i, &object));
        TRY_GOTO(take_row(e, reader, m, object, part, line, untrained, &r));
        json_decref(object);
        object = NULL;
    }
done:
    json_decref(object);
    row_free(&r);
    return status;
}

int examples_read(examples *out, const dataset *d, const row_reader *reader, const model *m, untrained_rows untrained,
                  int64_t limit, const volatile int *cancel)
{
    int status = LORAC_OK;

    *out = (examples){ .fingerprint = HASH_START, .shift = label_shift(reader) };
    TRY_GOTO(copy_parts(out, d));
    for (int32_t part = 0; part < out->part_count; part++)
        TRY_GOTO(read_part(out, d, part, reader, m, untrained, limit, cancel));
    if (untrained == UNTRAINED_REFUSE && out->dropped && !out->count)
        status = fail_at(LORAC_ERROR_DATA, (fault){ .key = "max_seq_length", .hint = "Raise --max-seq-length." },
                         "truncation left no row with a token to train on");
done:
    if (status != LORAC_OK)
        examples_free(out);
    return status;
}

void examples_free(examples *e)
{
    mem_free(e->rows);
    mem_free(e->ids);
    mem_free(e->labels);
    arena_free(&e->memory);
    *e = (examples){ 0 };
}
