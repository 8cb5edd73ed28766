/* quant.h: ggml's block-quantised formats. The layouts are drawn in quant.c. Plain C; the vector versions of
 * the hot ones are kernels (kernel/kernels.h: decode). */
#ifndef LORAC_QUANT_H
#define LORAC_QUANT_H

#include "tensor.h"

/* Decodes n elements (a multiple of the type's block) that start at a block. Exact: the float that ggml gives.
 * Works for F32, F16 and BF16 as well. */
void quant_decode(float *out, const void *blocks, dtype t, int64_t n);
/* One row of a matrix, or the whole of a vector. */
void quant_decode_row(float *out, const tensor *t, int64_t row);
/* n a multiple of 32. */
void quant_encode_q8_0(void *blocks, const float *x, int64_t n);

#endif
