/* timed.h: kernels that keep account of where the time goes. A timed table calls another one and adds what the call
 * took to a profile, together with the numbers it had to compute and the bytes it had to move at the least. It changes
 * no result. The profile hangs on the pool that every kernel gets. */
#ifndef LORAC_TIMED_H
#define LORAC_TIMED_H

#include "kernels.h"

typedef enum profile_part {
    PROFILE_LAYERS,  /* products with the blocks' weights, the adapter's last factor included */
    PROFILE_FACTORS, /* the other products of the adapter's factors, and their gradients */
    PROFILE_HEAD,    /* products with the output embedding */
    PROFILE_ATTENTION,
    PROFILE_ELEMENTS, /* norms, rotation, GLU, additions */
    PROFILE_LOSS,     /* softmax and cross-entropy */
    PROFILE_OPTIMIZER,
    PROFILE_PARTS
} profile_part;

typedef struct profile_entry {
    double seconds, flops, bytes;
    int64_t calls;
} profile_entry;

typedef struct profile {
    profile_entry part[PROFILE_PARTS];
    const kernels *inner;
    int64_t vocabulary; /* a product with so many rows or columns is the head's */
} profile;

/* From now on the pool's timed kernels are those of `inner`, and add to what *p has counted. */
void profile_attach(profile *p, pool *team, const kernels *inner, int64_t vocabulary);
/* Forgets what was counted. */
void profile_clear(profile *p);
/* The timed table; only for pools that a profile is attached to. */
const kernels *kernels_timed(dtype act);

#endif
