/* packing.h: rows laid end to end into passes, without padding. A document is never split and sees only itself (a span
 * of its own, positions from 0), so how rows are packed changes speed and memory, never what is computed.
 *
 * A pass ends before the row that would exceed `tokens_per_pass`; a longer row has a pass of its own. Token t
 * predicts label t + shift. What stands behind the token that predicts the last label is not run. */
#ifndef LORAC_PACKING_H
#define LORAC_PACKING_H

#include "examples.h"

typedef struct packer {
    int32_t *ids, *positions, *target_rows, *target_labels;
    attention_span *spans;
    int64_t token_capacity, span_capacity;
} packer;

typedef struct packed_pass {
    batch rows; /* points into the packer */
    loss_targets targets;
} packed_pass;

/* Packs rows[at..count) into the next pass; returns the index of the first row that is left, or -1 when out of memory.
 * The pass is valid until the next call. An empty pass (rows.count 0) means that no row left predicts anything. */
int64_t packer_next(packer *p, const examples *e, const int64_t *rows, int64_t count, int64_t at,
                    int64_t tokens_per_pass, packed_pass *out);
void packer_free(packer *p);

/* A pass of one document of `tokens` tokens, all of them labelled: the most memory that a pass of so many tokens can
 * need. */
int packer_worst(packer *p, int64_t tokens, packed_pass *out);

#endif
