/* decode.c: reads any stored type as real, and converts between plain types. The block formats (drawn in tensor/quant.c)
 * that models mostly come in are decoded here so that the loops vectorise, the others by tensor/quant.c. Scale times
 * quant is exact in float (11 + 8 bits), so it does not matter whether the offset is added with or without rounding between. */
#include "level.h"

#include "quant.h"

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

static void decode_q8_0(real *restrict out, const uint8_t *restrict block)
{
    const float d = half_at(block);
    const int8_t *q = (const int8_t *)block + 2;
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)q[i];
}

INLINE void decode_nibbles(real *restrict out, const uint8_t *restrict q, float d, float offset)
{
    for (int i = 0; i < 16; i++)
        out[i] = d * (float)(q[i] & 15) + offset;
    for (int i = 0; i < 16; i++)
        out[16 + i] = d * (float)(q[i] >> 4) + offset;
}

static void decode_q4_0(real *restrict out, const uint8_t *restrict block)
{
    const float d = half_at(block);
    decode_nibbles(out, block + 2, d, -8 * d);
}

static void decode_q4_1(real *restrict out, const uint8_t *restrict block)
{
    decode_nibbles(out, block + 4, half_at(block), half_at(block + 2));
}

/* The fifth bits stand in one 32-bit word before the nibbles. */
INLINE void decode_fives(real *restrict out, const uint8_t *restrict q, float d, float offset)
{
    const uint32_t high = q[0] | (uint32_t)q[1] << 8 | (uint32_t)q[2] << 16 | (uint32_t)q[3] << 24;
    q += 4;
    for (int i = 0; i < 16; i++)
        out[i] = d * (float)(int)((q[i] & 15u) | (high >> i & 1) << 4) + offset;
    for (int i = 0; i < 16; i++)
        out[16 + i] = d * (float)(int)(q[i] >> 4 | (high >> (16 + i) & 1) << 4) + offset;
}

static void decode_q5_0(real *restrict out, const uint8_t *restrict block)
{
    const float d = half_at(block);
    decode_fives(out, block + 2, d, -16 * d);
}

static void decode_q5_1(real *restrict out, const uint8_t *restrict block)
{
    decode_fives(out, block + 4, half_at(block), half_at(block + 2));
}

typedef void block_decoder(real *out, const uint8_t *block);

static block_decoder *decoder_of(dtype type)
{
    switch (type) {
    case DT_Q8_0:
        return decode_q8_0;
    case DT_Q4_0:
        return decode_q4_0;
    case DT_Q4_1:
        return decode_q4_1;
    case DT_Q5_0:
        return decode_q5_0;
    case DT_Q5_1:
        return decode_q5_1;
    default:
        return NULL;
    }
}

static void decode_slowly(real *out, const uint8_t *block, dtype type)
{
    float values[MOST_IN_BLOCK];
    const int64_t n = dtype_block(type);
    quant_decode(values, block, type, n);
    for (int64_t i = 0; i < n; i++)
        out[i] = (real)values[i];
}

/* Blocks are decoded whole; where a span begins or ends inside one, through a copy. */
static void decode_blocks(real *out, const uint8_t *row, dtype type, int64_t col, int64_t n)
{
    const int64_t width = dtype_block(type), bytes = dtype_block_bytes(type);
    block_decoder *quickly = decoder_of(type);
    real part[MOST_IN_BLOCK];
    for (int64_t done = 0; done < n;) {
        const int64_t skip = (col + done) % width, count = smaller(width - skip, n - done);
        const uint8_t *block = row + (col + done) / width * bytes;
        real *target = count == width ? out + done : part;
        if (quickly)
            quickly(target, block);
        else
            decode_slowly(target, block, type);
        if (target == part)
            memcpy(out + done, part + skip, (size_t)count * sizeof *out);
        done += count;
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
