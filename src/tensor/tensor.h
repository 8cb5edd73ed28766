/* tensor.h: a view of numbers: type, shape, address. It owns nothing and knows no files.
 * Dimensions are written slowest first, as in PyTorch; memory is dense and row-major. */
#ifndef LORAC_TENSOR_H
#define LORAC_TENSOR_H

#include "dtype.h"

enum { TENSOR_DIMS = 8 };

typedef struct tensor {
    dtype type;
    int ndim; /* 0: a scalar */
    int64_t dim[TENSOR_DIMS];
    void *data; /* base weights point into read-only maps: treat as const */
} tensor;

int64_t tensor_count(const tensor *t); /* elements */
int64_t tensor_bytes(const tensor *t);
int64_t tensor_cols(const tensor *t); /* the last dimension; 1 for a scalar */
int64_t tensor_rows(const tensor *t); /* all the others multiplied */
/* "[576, 1536]" into text[64]; returns text. */
const char *tensor_shape(const tensor *t, char text[64]);
/* Bytes of a tensor with this type and shape, or -1 when a dimension is negative, a product overflows, or the
 * last dimension is not a multiple of the block. The only place where sizes from files are multiplied. */
int64_t tensor_bytes_checked(dtype type, int ndim, const int64_t *dim);

#endif
