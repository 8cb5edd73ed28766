/* examples.c: one pass over a dataset. */
#include "examples.h"

#include "array.h"
#include "err.h"
#include "hash.h"
#include "mem.h"
#include "row_window.h"

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

    if (wanted <= e->token_capacity)
        return LORAC_OK;
    while (capacity < wanted)
        capacity += capacity / 2;
    TRY(array_resize(e->ids, capacity));
    TRY(array_resize(e->labels, capacity));
    e->token_capacity = capacity;
    return LORAC_OK;
}

static int add_example(examples *e, const row *r, int32_t part, long line)
{
    example *x;

    if (r->count > INT32_MAX)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = e->parts[part].file, .line = line }, "a row of %zu tokens",
                       r->count);
    TRY(array_room(e->rows, e->row_capacity, (size_t)e->count + 1));
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

/* Rows without a trained token: those that lost them to the limit are counted, others are refused. */
static int judge_untrained(examples *e, const row *r, const char *file, long line, untrained_rows untrained)
{
    if (untrained == UNTRAINED_REFUSE && !r->whole_trained)
        return fail_untrained(file, line);
    e->dropped += r->whole_trained > 0;
    return LORAC_OK;
}

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static int take_row(examples *e, const row *r, const model *m, int32_t part, long line, untrained_rows untrained)
{
    const char *file = e->parts[part].file;
    int32_t run;
    bool trained = labels_predicted(r->labels, r->count, e->shift, &run) > 0;

    if (r->weight != 1)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = file, .line = line, .key = "weight", .expected = "1, or none" },
                       "rows cannot be weighted");
    TRY(check_range(m->config.vocabulary, r->ids, r->count, false, file, line));
    TRY(check_range(model_outputs(m), r->labels, r->count, true, file, line));
    e->truncated += r->truncated;
    e->end_cut += r->end_cut;
    e->endless += r->endless != NULL;
    if (r->endless)
        e->endless_template = r->endless;
    if (!trained)
        TRY(judge_untrained(e, r, file, line, untrained));
    return trained || untrained == UNTRAINED_KEEP ? add_example(e, r, part, line) : LORAC_OK;
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

static int read_part(examples *e, row_window *rows, const dataset *d, int32_t part, const model *m,
                     untrained_rows untrained, int64_t limit, const volatile int *cancel)
{
    size_t count;
    const dataset_part *from = &dataset_parts(d, &count)[part];

    e->parts[part].first = e->count;
    for (size_t i = from->first; i < from->first + from->count && (limit < 0 || (int64_t)i < limit); i++) {
        const char *file;
        const row *r;
        long line;

        if (cancel && *cancel)
            return fail(LORAC_INTERRUPTED, "cancelled while reading rows; nothing was written");
        dataset_place(d, i, &file, &line);
        TRY(row_window_get(rows, i, &r));
        TRY(take_row(e, r, m, part, line, untrained));
    }
    return LORAC_OK;
}

int examples_read(examples *out, const dataset *d, const row_reader *reader, const model *m, untrained_rows untrained,
                  int64_t limit, int64_t threads, const volatile int *cancel)
{
    row_window *rows = NULL;
    int status = LORAC_OK;

    *out = (examples){ .fingerprint = HASH_START, .shift = label_shift(reader) };
    TRY_GOTO(copy_parts(out, d));
    TRY_GOTO(row_window_open(&rows, d, reader, threads));
    for (int32_t part = 0; part < out->part_count; part++)
        TRY_GOTO(read_part(out, rows, d, part, m, untrained, limit, cancel));
    if (untrained == UNTRAINED_REFUSE && out->dropped && !out->count)
        status = fail_at(LORAC_ERROR_DATA, (fault){ .key = "max_seq_length", .hint = "Raise --max-seq-length." },
                         "truncation left no row with a token to train on");
done:
    row_window_close(rows);
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
