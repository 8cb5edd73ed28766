/* examples.h: rows as ids and labels, ready to be trained on: read once, kept side by side in two long arrays.
 *
 * Invariant: every id is within the model's vocabulary, every label among what its head gives, and (with
 * REFUSE_UNTRAINED) every example has a label that something predicts. Where the next token is the label, position 0 is
 * predicted by nothing, so a label there never counts. */
#ifndef LORAC_EXAMPLES_H
#define LORAC_EXAMPLES_H

#include "dataset.h"
#include "model.h"
#include "rows.h"

typedef struct example {
    uint64_t begin;         /* its place in ids and labels */
    int32_t count, trained; /* tokens; labels that something predicts */
    int32_t run;            /* tokens up to the one that predicts the last of them; 0: there is none */
    int32_t part;
    int64_t line;
} example;

typedef struct example_part {
    int64_t first, count; /* examples of one file */
    double weight;
    const char *file; /* lives in `memory` */
} example_part;

typedef struct examples {
    example *rows;
    int64_t count;
    int32_t *ids, *labels; /* labels unshifted, LABEL_NONE = not trained */
    int32_t shift;         /* label t is predicted by token t - shift (label_shift) */
    example_part *parts;
    int64_t part_count;
    int64_t tokens, trained, longest;
    int64_t truncated, end_cut, dropped; /* cut; of these: in the middle of what is trained; to nothing trained */
    int64_t endless;                     /* rows whose last trained token ends no turn */
    const char *endless_template;        /* of the last of them; the reader's */
    uint64_t fingerprint;                /* of all ids and labels in order: a resumed run must see the same */
    size_t row_capacity;
    uint64_t token_capacity;
    arena memory;
} examples;

/* REFUSE: a row that has no trained token by itself is LORAC_ERROR_DATA, one that lost them to truncation is dropped.
 * KEEP: both stay; one that lost them is counted as dropped all the same. */
typedef enum untrained_rows { UNTRAINED_REFUSE, UNTRAINED_KEEP } untrained_rows;

/* Reads every row, or the first `limit` (-1: all), with so many threads (0: all), which changes nothing but the time it
 * takes. `cancel` may be NULL; when it becomes non-zero: LORAC_INTERRUPTED.
 * Two examples_read into the same struct do not add up: start with {0}. */
int examples_read(examples *out, const dataset *d, const row_reader *reader, const model *m, untrained_rows untrained,
                  int64_t limit, int64_t threads, const volatile int *cancel);
void examples_free(examples *e);

/* How many labels something predicts: those from position `shift` on. *run is an example's. */
int32_t labels_predicted(const int32_t *labels, size_t count, int32_t shift, int32_t *run);

#endif
