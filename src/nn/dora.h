/* dora.h: the lengths of W + s B A, one for each output, that DoRA's magnitudes are divided by (Liu et al. 2024).
 *
 *     |W + s B A|²  =  |W|²  +  2 s W·(B A)  +  s² |B A|²        per output
 *
 * is kept as its three sums, for any s: W·(B A) is the diagonal of (W Aᵀ) Bᵀ, and |B A|² that of B (A Aᵀ) Bᵀ, so
 * nothing of the size of W is ever made. */
#ifndef LORAC_DORA_H
#define LORAC_DORA_H

#include "adapter.h"

/* The first sum: the lengths of the frozen weight. */
int dora_measure_weight(adapted *m, const var *w);
/* The other two, after A or B changed. */
int dora_refresh(context *c, adapted *m, const var *w);
/* |W + s B A|. */
real dora_length(const adapted *m, int64_t outputs, int64_t output, real scale);

#endif
