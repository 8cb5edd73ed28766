/* decode.c: reads any stored type as real, and converts between plain types. */
#include "level.h"

#include "quant.h"

enum { MOST_IN_BLOCK = 256 };

/* Blocks are decoded whole; where a span begins or ends inside one, through a copy. */
static void decode_blocks(real *out, const uint8_t *row, dtype type, int64_t col, int64_t n)
{
    const int64_t block = dtype_block(type), bytes = dtype_block_bytes(type);
    float values[MOST_IN_BLOCK];
    for (int64_t done = 0; done < n;) {
        const int64_t at = col + done, skip = at % block, count = smaller(block - skip, n - done);
        quant_decode(values, row + at / block * bytes, type, block);
        for (int64_t i = 0; i < count; i++)
            out[done + i] = (real)values[skip + i];
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
            out[i] = (real)f16_to_f32(((const uint16_t *)m.p)[at + i]);
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
