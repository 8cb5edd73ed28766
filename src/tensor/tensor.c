/* tensor.c: sizes of tensors. */
#include "tensor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

int64_t tensor_count(const tensor *t)
{
    int64_t count = 1;

    for (int i = 0; i < t->ndim; i++)
        count *= t->dim[i];
    return count;
}

int64_t tensor_bytes(const tensor *t)
{
    return tensor_count(t) / dtype_block(t->type) * dtype_block_bytes(t->type);
}

int64_t tensor_cols(const tensor *t)
{
    return t->ndim > 0 ? t->dim[t->ndim - 1] : 1;
}

int64_t tensor_rows(const tensor *t)
{
    int64_t rows = 1;

    for (int i = 0; i + 1 < t->ndim; i++)
        rows *= t->dim[i];
    return rows;
}

const char *tensor_shape(const tensor *t, char text[64])
{
    size_t n = 1;

    text[0] = '[';
    text[1] = '\0';
    for (int i = 0; i < t->ndim && n < 64; i++)
        n += (size_t)snprintf(text + n, 64 - n, "%s%" PRId64, i ? ", " : "", t->dim[i]);
    if (n < 64)
        n += (size_t)snprintf(text + n, 64 - n, "]");
    if (n >= 64) /* more digits than fit: say so rather than show a wrong number */
        snprintf(text + 58, 6, "...]");
    return text;
}

int64_t tensor_bytes_checked(dtype type, int ndim, const int64_t *dim)
{
    int64_t bytes, count = 1;

    assert(ndim >= 0 && ndim <= TENSOR_DIMS);
    for (int i = 0; i < ndim; i++) {
        /* A zero must not hide a product that overflows before it is reached. */
        if (dim[i] < 0 || __builtin_mul_overflow(count, dim[i] > 0 ? dim[i] : 1, &count))
            return -1;
    }
    bytes = dtype_row_bytes(type, ndim > 0 ? dim[ndim - 1] : 1);
    for (int i = 0; i + 1 < ndim && bytes >= 0; i++) {
        if (__builtin_mul_overflow(bytes, dim[i], &bytes))
            return -1;
    }
    return bytes;
}
