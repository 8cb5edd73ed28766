/* dtype.h: what a number in memory or in a file can be, and conversion between the kinds.
 * `real` is what the mathematics is done in: float, except in the derivative tests, which compile the ops and
 * kernels a second time with -DLORAC_REAL=double. */
#ifndef LORAC_DTYPE_H
#define LORAC_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef LORAC_REAL
#define LORAC_REAL float
#endif
typedef LORAC_REAL real;

/* Block formats (ggml's): DT_Q8_0 and after. Their blocks run along the last (fastest) dimension. */
typedef enum dtype {
    DT_F32,
    DT_F16,
    DT_BF16,
    DT_F64,
    DT_I32,
    DT_I64,
    DT_I16,
    DT_I8,
    DT_U8,
    DT_BOOL,
    DT_Q8_0,
    DT_Q4_0,
    DT_Q4_1,
    DT_Q5_0,
    DT_Q5_1,
    DT_Q2_K,
    DT_Q3_K,
    DT_Q4_K,
    DT_Q5_K,
    DT_Q6_K,
    DT_COUNT
} dtype;

#define DT_REAL (sizeof(real) == 8 ? DT_F64 : DT_F32)

const char *dtype_name(dtype t); /* "F32", "Q4_1" */
/* Elements per block (1 for plain types) and bytes per block. */
int64_t dtype_block(dtype t);
int64_t dtype_block_bytes(dtype t);
bool dtype_is_quantised(dtype t);
bool dtype_is_float(dtype t); /* F32, F16, BF16, F64 */
/* Bytes of one row of `cols` elements; -1 when cols is not a multiple of the block. */
int64_t dtype_row_bytes(dtype t, int64_t cols);

static inline float bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = { (uint32_t)h << 16 };
    return v.f;
}
/* Rounds to nearest even; NaN stays NaN. */
static inline uint16_t f32_to_bf16(float f)
{
    union {
        float f;
        uint32_t u;
    } v = { f };
    if ((v.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(v.u >> 16 | 0x40);
    return (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1)) >> 16);
}
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);

#endif
