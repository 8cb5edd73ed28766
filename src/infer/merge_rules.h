/* merge_rules.h: several matrices of one shape become one, as PEFT's merge_utils do: each is pruned, signs may be
 * elected, the rest is summed with weights. A matrix may be given as a product of thin factors; of products, no more
 * than the result is ever in memory. Knows numbers alone, not adapters. */
#ifndef LORAC_MERGE_RULES_H
#define LORAC_MERGE_RULES_H

#include "rng.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum prune_kind { PRUNE_NONE, PRUNE_MAGNITUDE, PRUNE_RANDOM } prune_kind;

typedef struct merge_rule {
    prune_kind prune;
    bool elect;        /* entries that disagree with their place's majority sign are left out (TIES) */
    bool by_frequency; /* the majority of signs, not the sign of the sum */
    double density;    /* share of the entries that pruning keeps, 0 < density <= 1 */
} merge_rule;

/* scale · left right, with left [rows, inner] and right [inner, cols]; or scale · right where left is NULL. */
typedef struct merge_input {
    const double *left, *right;
    int64_t inner;
    double scale, weight;
    rng dice; /* of PRUNE_RANDOM: an entry is kept with probability density, and divided by it */
} merge_input;

/* out [rows, cols]. With election: the sum of weight · entry over the entries that agree, by their number. */
int merge_matrices(double *out, merge_input *inputs, size_t count, int64_t rows, int64_t cols, const merge_rule *rule);

#endif
