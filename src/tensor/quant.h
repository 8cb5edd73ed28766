/* quant.h: ggml's block-quantised formats. The layouts are drawn in quant.c. Plain C; the vector versions of
 * the hot ones are kernels (kernel/kernels.h: decode). */
#ifndef LORAC_QUANT_H
#define LORAC_QUANT_H

#include "dtype.h"

/* Decodes n elements (a multiple of the type's block) that start at a block. Exact: the float that ggml gives.
 * Works for F32, F16 and BF16 as well. */
void quant_decode(float *out, const void *blocks, dtype t, int64_t n);
/* Encodes; only Q8_0 and the plain float types. */
void quant_encode(void *blocks, dtype t, const float *x, int64_t n);

#endif
