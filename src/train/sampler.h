/* sampler.h: which rows each optimiser step takes. A pure function of (seed, step): there is no state to save and a
 * resume at any step costs nothing. An epoch takes every row of a file weight times; its last step may be smaller
 * (drop_last=False). */
#ifndef LORAC_SAMPLER_H
#define LORAC_SAMPLER_H

#include "examples.h"

typedef struct sampler {
    const example_part *parts;
    int64_t part_count;
    int64_t per_epoch; /* rows taken in an epoch */
    int64_t per_step, steps_per_epoch;
    uint64_t seed;
    bool shuffle;
} sampler;

int sampler_init(sampler *s, const examples *e, int64_t rows_per_step, bool shuffle, uint64_t seed);
/* The rows of a step (from 0), into rows[per_step]; returns how many. */
int64_t sampler_rows(const sampler *s, int64_t step, int64_t *rows);
/* Optimiser steps of so many epochs, as transformers counts them; -1 when that is beyond all bounds. */
int64_t sampler_steps(const sampler *s, double epochs);

#endif
