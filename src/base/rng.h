/* rng.h: counter-based random numbers (Philox 4x32-10; Salmon et al. 2011). The n-th number of a stream is a
 * function of (seed, stream, n) alone: nothing to save for a resume, nothing to share between threads. */
#ifndef LORAC_RNG_H
#define LORAC_RNG_H

#include <stdint.h>

typedef struct rng {
    uint64_t seed, stream, counter;
} rng; /* counter is the next 128-bit block */

void philox(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t counter);
rng rng_new(uint64_t seed, uint64_t stream);
uint64_t rng_next(rng *r);
double rng_uniform(rng *r); /* [0, 1), 53 bits */
double rng_normal(rng *r);  /* mean 0, variance 1 (Box-Muller, one of the pair) */
/* The stream number of a name: FNV-1a. So streams are told apart by what they are for. */
uint64_t rng_stream(const char *name);
/* The image of `i` under a keyed permutation of 0..n-1 (Feistel with cycle walking): shuffling without a table. */
uint64_t rng_permute(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n);

#endif
