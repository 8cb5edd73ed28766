/* first_values.h: what the factors of a new pair hold before the first step, for every kind of PEFT's
 * init_lora_weights. Knows a weight, two factors and random numbers keyed by the module's name; no configuration files,
 * no adapters, and no training rows: what those say about a layer's inputs is brought by the caller.
 *
 * With s the pair's scale, a kind that changes the weight fills A and B so that W - s B A is what training goes on
 * from; W itself is never touched. */
#ifndef LORAC_FIRST_VALUES_H
#define LORAC_FIRST_VALUES_H

#include "context.h"
#include "peft_init.h"

typedef struct first_pair {
    const char *module; /* its name keys the random numbers and stands in messages */
    const var *weight;  /* of any type; [out, in], or turned */
    const peft_init *init;
    int64_t rank;
    double scale;
    uint64_t seed;
    /* What is known of the layer's inputs, or NULL. INIT_CORDA: their covariance [in, in]; INIT_EVA: the `rank`
     * directions that A becomes, [rank, in]. */
    const double *inputs;
    real *a, *b;       /* [rank, in], [out, rank]: zero, to be filled */
    real *b_bias;      /* [out], or NULL */
    bool is_embedding; /* for which every kind but INIT_CARELESS is the same: A zero, B normal */
} first_pair;

/* Can this kind begin a pair of this rank at this module? LORAC_ERROR_USAGE in a sentence if not. */
int first_values_check(const first_pair *pair);
int first_values(const first_pair *pair);
/* All of them, shared out over the pool; the same bits for any number of threads. */
int first_values_all(pool *team, first_pair *pairs, int64_t count);

#endif
