/* sample.h: choosing the next token from logits. The n-th choice of a sequence depends on (seed, n) and the logits
 * alone, so never on what else is in the batch. */
#ifndef LORAC_SAMPLE_H
#define LORAC_SAMPLE_H

#include "lorac.h"

#include <stdbool.h>

typedef struct token_sampler {
    lorac_sampling options;
    struct candidate *candidates; /* scratch, one per id of the vocabulary */
    bool *seen;                   /* scratch likewise */
    int64_t vocabulary;
    uint64_t drawn; /* tokens sampled so far */
} token_sampler;

int token_sampler_init(token_sampler *s, const lorac_sampling *options, int64_t vocabulary);
void token_sampler_free(token_sampler *s);
/* `past` are the ids so far (all of the vocabulary), for the repetition penalty. Changes the logits. */
int32_t token_sampler_next(token_sampler *s, float *logits, const int32_t *past, size_t n_past);

#endif
