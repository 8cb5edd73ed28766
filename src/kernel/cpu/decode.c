/* decode.c: reads any stored type as real, and converts between plain types. Numbers in a file may stand at any
 * address. */
#include "blocks.h"

typedef float float_anywhere __attribute__((aligned(1), may_alias));
typedef double double_anywhere __attribute__((aligned(1), may_alias));
typedef uint16_t half_anywhere __attribute__((aligned(1), may_alias));

enum { MOST_IN_BLOCK = 256 };

#define DECODE_ALL(width, block_bytes, decode_one)                 \
    for (int64_t i = 0; i < count; i++)                            \
        decode_one(out + i * (width), blocks + i * (block_bytes)); \
    break

/* `count` whole blocks. */
static void decode_whole(real *out, const uint8_t *blocks, dtype type, int64_t count)
{
    switch (type) {
    case DT_Q8_0:
        DECODE_ALL(32, 34, decode_q8_0);
    case DT_Q4_0:
        DECODE_ALL(32, 18, decode_q4_0);
    case DT_Q4_1:
        DECODE_ALL(32, 20, decode_q4_1);
    case DT_Q5_0:
        DECODE_ALL(32, 22, decode_q5_0);
    case DT_Q5_1:
        DECODE_ALL(32, 24, decode_q5_1);
    case DT_Q2_K:
        DECODE_ALL(256, 84, decode_q2_k);
    case DT_Q3_K:
        DECODE_ALL(256, 110, decode_q3_k);
    case DT_Q4_K:
        DECODE_ALL(256, 144, decode_q4_k);
    case DT_Q5_K:
        DECODE_ALL(256, 176, decode_q5_k);
    case DT_Q6_K:
        DECODE_ALL(256, 210, decode_q6_k);
    default:
        assert(!"a type that can be read");
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
            out[i] = (real)((const float_anywhere *)m.p)[at + i];
        break;
    case DT_F64:
        for (int64_t i = 0; i < n; i++)
            out[i] = (real)((const double_anywhere *)m.p)[at + i];
        break;
    case DT_BF16:
        for (int64_t i = 0; i < n; i++)
            out[i] = (real)bf16_to_f32(((const half_anywhere *)m.p)[at + i]);
        break;
    case DT_F16:
        for (int64_t i = 0; i < n; i++)
            out[i] = (real)half_value(((const half_anywhere *)m.p)[at + i]);
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

static void store_halves(uint16_t *y, const real *values, int64_t n)
{
    int64_t i = 0;
#if defined(__F16C__) && !defined(ACT_F64)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++)
        y[i] = f32_to_f16((float)values[i]);
}

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
        store_halves((uint16_t *)y + at, values, n);
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
