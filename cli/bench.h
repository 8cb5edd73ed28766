/* bench.h: what the two halves of lorac bench, training (bench.c) and generation (bench_generate.c), share. */
#ifndef LORAC_BENCH_H
#define LORAC_BENCH_H

#include "cli.h"

/* The next of a row of random ids. The upper half of the vocabulary is left out: a tokenizer may know fewer ids than
 * the model has rows for. */
int32_t made_up_id(uint32_t *state, int64_t vocabulary);
int bench_generate(const arguments *a, const lorac_model *model);

#endif
