/* onednn.h: products of bf16 matrices by oneDNN, on the calling thread alone. Knows nothing of quantised types or
 * pools. A program has few shapes, so what is made for one is kept (per thread, a bounded number). */
#ifndef LORAC_ONEDNN_H
#define LORAC_ONEDNN_H

#include <stdbool.h>
#include <stdint.h>

/* c[rows, n] = a[rows, k] b[k, n], strides in elements from row to row; b may be given as [n, k]. */
typedef struct onednn_shape {
    int64_t rows, n, k, a_stride, b_stride;
    int64_t b_turned;
} onednn_shape;

/* False when it declines the shape. */
bool onednn_takes(onednn_shape shape);
/* c is dense and f32. A failure inside oneDNN leaves NaN. */
void onednn_multiply(float *c, const uint16_t *a, const uint16_t *b, onednn_shape shape);
/* "oneDNN 2.6.3" */
const char *onednn_name(void);

#endif
