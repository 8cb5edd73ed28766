/* dtype.c: the table of types, and half precision. */
#include "dtype.h"

#include <string.h>

typedef struct row {
    const char *name;
    int64_t elements, bytes; /* of one block */
} row;

static const row table[DT_COUNT] = {
    [DT_F32] = { "F32", 1, 4 },       [DT_F16] = { "F16", 1, 2 },       [DT_BF16] = { "BF16", 1, 2 },
    [DT_F64] = { "F64", 1, 8 },       [DT_I32] = { "I32", 1, 4 },       [DT_I64] = { "I64", 1, 8 },
    [DT_I16] = { "I16", 1, 2 },       [DT_I8] = { "I8", 1, 1 },         [DT_U8] = { "U8", 1, 1 },
    [DT_BOOL] = { "BOOL", 1, 1 },     [DT_Q8_0] = { "Q8_0", 32, 34 },   [DT_Q4_0] = { "Q4_0", 32, 18 },
    [DT_Q4_1] = { "Q4_1", 32, 20 },   [DT_Q5_0] = { "Q5_0", 32, 22 },   [DT_Q5_1] = { "Q5_1", 32, 24 },
    [DT_Q2_K] = { "Q2_K", 256, 84 },  [DT_Q3_K] = { "Q3_K", 256, 110 }, [DT_Q4_K] = { "Q4_K", 256, 144 },
    [DT_Q5_K] = { "Q5_K", 256, 176 }, [DT_Q6_K] = { "Q6_K", 256, 210 },
};

const char *dtype_name(dtype t)
{
    return table[t].name;
}

int64_t dtype_block(dtype t)
{
    return table[t].elements;
}

int64_t dtype_block_bytes(dtype t)
{
    return table[t].bytes;
}

bool dtype_is_quantised(dtype t)
{
    return table[t].elements > 1;
}

bool dtype_is_float(dtype t)
{
    return t == DT_F32 || t == DT_F16 || t == DT_BF16 || t == DT_F64;
}

int64_t dtype_row_bytes(dtype t, int64_t cols)
{
    int64_t bytes;

    if (cols < 0 || cols % table[t].elements != 0 ||
        __builtin_mul_overflow(cols / table[t].elements, table[t].bytes, &bytes))
        return -1;
    return bytes;
}

/* Half precision: sign 1, exponent 5 (bias 15), mantissa 10. A single has 1, 8 (bias 127), 23. */

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 0x1F, mantissa = h & 0x3FF;
    uint32_t bits;
    float f;

    if (exponent == 0) {
        f = (float)mantissa * 0x1p-24f; /* subnormal or zero: exact */
        return sign ? -f : f;
    }
    bits = sign | (exponent == 31 ? 0xFFu : exponent - 15 + 127) << 23 | mantissa << 13;
    memcpy(&f, &bits, 4);
    return f;
}

/* Drops the last `shift` bits, rounding to nearest, ties to even. */
static uint32_t round_off(uint32_t value, uint32_t shift)
{
    uint32_t half = 1u << (shift - 1), rest = value & ((1u << shift) - 1);

    value >>= shift;
    return value + (rest > half || (rest == half && (value & 1)));
}

uint16_t f32_to_f16(float f)
{
    uint32_t bits, magnitude;
    uint16_t sign;

    memcpy(&bits, &f, 4);
    sign = (uint16_t)(bits >> 16 & 0x8000);
    magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) /* NaN, made quiet */
        return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x47800000) /* 2^16 and above; what rounds up to it is carried by the case below */
        return sign | 0x7C00;
    if (magnitude >= 0x38800000) /* normal: 2^-14 and above */
        return (uint16_t)(sign | round_off(magnitude - ((127 - 15) << 23), 13));
    if (magnitude < 0x33000000) /* below half of the smallest */
        return sign;
    /* subnormal: mantissa with its hidden bit, in units of 2^-24 */
    return (uint16_t)(sign | round_off((magnitude & 0x7FFFFF) | 0x800000, 126 - (magnitude >> 23)));
}
