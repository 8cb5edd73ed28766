/* decode.c: reads any stored type as real, and converts between plain types. The block formats (drawn in tensor/quant.c)
 * that models mostly come in are decoded here so that the loops vectorise, the others by tensor/quant.c. Scale times
 * quant is exact in float (11 + 8 bits), so it does not matter whether the offset is added with or without rounding between. */
#include "level.h"

#include "quant.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

enum { MOST_IN_BLOCK = 256 };

/* A half's bits moved into a float's place are 2^-112 of its value, denormals too; only infinity and NaN need their exponent
 * filled up. */
INLINE float half_value(uint16_t half)
{
    union {
        uint32_t u;
        float f;
    } v = { (uint32_t)(half & 0x7fffu) << 13 };
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, special = v.u >= 0x0f800000u ? 0x7f800000u : 0;
    v.f *= 0x1p112f;
    v.u |= sign | special;
    return v.f;
}

INLINE float half_at(const uint8_t *p)
{
    return half_value((uint16_t)(p[0] | p[1] << 8));
}

#if defined(ACT_F64)
typedef int64_t int_vec __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int32_t int_vec __attribute__((vector_size(VECTOR_BYTES)));
#endif

/* LANES bytes as integers as wide as real; gcc has no good code of its own for it. */
INLINE int_vec unsigned_bytes(const uint8_t *p)
{
#if defined(__AVX512F__)
    return (int_vec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__AVX2__)
    return (int_vec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    int_vec out;
    for (int i = 0; i < LANES; i++)
        out[i] = p[i];
    return out;
#endif
}

INLINE int_vec signed_bytes(const uint8_t *p)
{
    const int bits = 8 * (int)(sizeof(real) - 1);
    return unsigned_bytes(p) << bits >> bits;
}

INLINE void put_scaled(real *out, int_vec q, real d, real offset)
{
    *(vec *)out = __builtin_convertvector(q, vec) * d + offset;
}

INLINE void decode_q8_0(real *out, const uint8_t *block)
{
    const float d = half_at(block);
    for (int i = 0; i < 32; i += LANES)
        put_scaled(out + i, signed_bytes(block + 2 + i), d, 0);
}

INLINE void decode_nibbles(real *out, const uint8_t *q, float d, float offset)
{
    for (int i = 0; i < 16; i += LANES) {
        const int_vec both = unsigned_bytes(q + i);
        put_scaled(out + i, both & 15, d, offset);
        put_scaled(out + 16 + i, both >> 4, d, offset);
    }
}

INLINE void decode_q4_0(real *out, const uint8_t *block)
{
    const float d = half_at(block);
    decode_nibbles(out, block + 2, d, -8 * d);
}

INLINE void decode_q4_1(real *out, const uint8_t *block)
{
    decode_nibbles(out, block + 4, half_at(block), half_at(block + 2));
}

/* The fifth bits stand in one 32-bit word before the nibbles; bit i belongs to quant i. */
INLINE void decode_fives(real *out, const uint8_t *q, float d, float offset)
{
    const uint32_t high = q[0] | (uint32_t)q[1] << 8 | (uint32_t)q[2] << 16 | (uint32_t)q[3] << 24;
    int_vec lane;
    for (int i = 0; i < LANES; i++)
        lane[i] = i;
    for (int i = 0; i < 16; i += LANES) {
        const int_vec both = unsigned_bytes(q + 4 + i);
        const int_vec low = ((int_vec){ 0 } + (int32_t)(high >> i & 0xffff)) >> lane & 1;
        const int_vec upper = ((int_vec){ 0 } + (int32_t)(high >> (16 + i))) >> lane & 1;
        put_scaled(out + i, (both & 15) | low << 4, d, offset);
        put_scaled(out + 16 + i, both >> 4 | upper << 4, d, offset);
    }
}

INLINE void decode_q5_0(real *out, const uint8_t *block)
{
    const float d = half_at(block);
    decode_fives(out, block + 2, d, -16 * d);
}

INLINE void decode_q5_1(real *out, const uint8_t *block)
{
    decode_fives(out, block + 4, half_at(block), half_at(block + 2));
}

static void decode_slowly(real *out, const uint8_t *block, dtype type)
{
    float values[MOST_IN_BLOCK];
    const int64_t n = dtype_block(type);
    quant_decode(values, block, type, n);
    for (int64_t i = 0; i < n; i++)
        out[i] = (real)values[i];
}

#define DECODE_ALL(block_bytes, decode_one)                      \
    for (int64_t i = 0; i < count; i++)                          \
        decode_one(out + i * 32, blocks + i * (block_bytes));    \
    break

/* `count` whole blocks. */
static void decode_whole(real *out, const uint8_t *blocks, dtype type, int64_t count)
{
    switch (type) {
    case DT_Q8_0:
        DECODE_ALL(34, decode_q8_0);
    case DT_Q4_0:
        DECODE_ALL(18, decode_q4_0);
    case DT_Q4_1:
        DECODE_ALL(20, decode_q4_1);
    case DT_Q5_0:
        DECODE_ALL(22, decode_q5_0);
    case DT_Q5_1:
        DECODE_ALL(24, decode_q5_1);
    default:
        for (int64_t i = 0; i < count; i++)
            decode_slowly(out + i * dtype_block(type), blocks + i * dtype_block_bytes(type), type);
    }
}

/* Where a span begins or ends inside a block, that block is decoded aside. */
static void decode_blocks(real *out, const uint8_t *row, dtype type, int64_t col, int64_t n)
{
    const int64_t width = dtype_block(type), bytes = dtype_block_bytes(type), skip = col % width;
    real part[MOST_IN_BLOCK];
    row += col / width * bytes;
    if (skip > 0 && n > 0) {
        const int64_t head = smaller(width - skip, n);
        decode_whole(part, row, type, 1);
        memcpy(out, part + skip, (size_t)head * sizeof *out);
        row += bytes;
        out += head;
        n -= head;
    }
    decode_whole(out, row, type, n / width);
    if (n % width > 0) {
        decode_whole(part, row + n / width * bytes, type, 1);
        memcpy(out + n / width * width, part, (size_t)(n % width) * sizeof *out);
    }
}

void decode(real *out, mat m, int64_t row, int64_t col, int64_t n)
{
    const int64_t at = row * m.ld + col;
    switch (m.type) {
    case DT_F32:
        for (int64_t i = 0; i < n; i++)
            out[i] = (real)((const float *)m.p)[at + i];
        break;
    case DT_F64:
        for (int64_t i = 0; i < n; i++)
            out[i] = (real)((const double *)m.p)[at + i];
        break;
    case DT_BF16:
        for (int64_t i = 0; i < n; i++)
            out[i] = (real)bf16_to_f32(((const uint16_t *)m.p)[at + i]);
        break;
    case DT_F16:
        for (int64_t i = 0; i < n; i++)
            out[i] = (real)half_value(((const uint16_t *)m.p)[at + i]);
        break;
    default:
        decode_blocks(out, (const uint8_t *)m.p + row * dtype_row_bytes(m.type, m.ld), m.type, col, n);
    }
}

typedef struct convert_job {
    void *y;
    const void *x;
    dtype to, from;
    int64_t N;
} convert_job;

static void store(void *y, dtype to, int64_t at, const real *values, int64_t n)
{
    switch (to) {
    case DT_F32:
        for (int64_t i = 0; i < n; i++)
            ((float *)y)[at + i] = (float)values[i];
        break;
    case DT_F64:
        for (int64_t i = 0; i < n; i++)
            ((double *)y)[at + i] = (double)values[i];
        break;
    case DT_BF16:
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)y)[at + i] = f32_to_bf16((float)values[i]);
        break;
    default:
        assert(to == DT_F16);
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)y)[at + i] = f32_to_f16((float)values[i]);
    }
}

static void convert_chunks(const void *arg, int64_t from, int64_t to, int thread)
{
    const convert_job *j = arg;
    (void)thread;
    const mat x = { (void *)(uintptr_t)j->x, j->from, 1, j->N, j->N };
    for (int64_t chunk = from; chunk < to; chunk++) {
        real values[MOST_IN_BLOCK];
        const int64_t at = chunk * MOST_IN_BLOCK, n = smaller(j->N - at, MOST_IN_BLOCK);
        decode(values, x, 0, at, n);
        store(j->y, j->to, at, values, n);
    }
}

void NAME(convert)(pool *p, void *y, dtype to, const void *x, dtype from, int64_t N)
{
    convert_job job = { y, x, to, from, N };
    split_rows(p, divide_up(N, MOST_IN_BLOCK), MOST_IN_BLOCK, convert_chunks, &job);
}
