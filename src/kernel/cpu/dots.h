/* dots.h: a few rows of weights times a few rows of numbers. Weights are decoded in registers, block by block, and used
 * for all rows of numbers at once. The sum for one row of each has an order of its own, whatever else is taken with it.
 * Numbers are real, or cells where pairs of bf16 are multiplied (DOT_BF16); weights are rounded to cells then too. */
#ifndef LORAC_DOTS_H
#define LORAC_DOTS_H

#include "blocks.h"
#include "tile.h"

/* Most rows of weights and of numbers at a time, and sums that fit the registers. */
enum { ROWS_MOST = 4, TOGETHER_MOST = 8, SUMS_MOST = VECTOR_BYTES == 64 ? 16 : 8 };

/* 32 weights of a type: their size in memory, and how they become what numbers are. */
typedef struct block_form {
    int bytes;
    void (*decode)(real *out, const uint8_t *block);
#if defined(DOT_BF16)
    __m512bh (*cells)(const uint8_t *block); /* NULL: numbers are real */
#endif
} block_form;

/* Sums stay vectors until all terms are in. */
typedef vec sums_of_row[TOGETHER_MOST];

typedef struct dots_job {
    const uint8_t *weights[ROWS_MOST];
    int64_t blocks;
    const void *numbers; /* rows `stride` apart, 0 beyond their end */
    int64_t stride;
    sums_of_row *sums;    /* of each row of weights; added to, for `count` rows of numbers, */
    int64_t first, count; /* of which the first counts as number `first` */
} dots_job;

/* sum[r][m] += w[r] times the 32 numbers from `at` of row m. */
INLINE void multiply_reals(sums_of_row *sum, real (*w)[32], const dots_job *j, int64_t at, const int rows,
                           const int together)
{
    const real *x = (const real *)j->numbers + at;
    UNROLL
    for (int i = 0; i < 32; i += LANES) {
        UNROLL
        for (int m = 0; m < together; m++) {
            const vec number = *(const vec *)(x + m * j->stride + i);
            UNROLL
            for (int r = 0; r < rows; r++)
                sum[r][m] += *(const vec *)(w[r] + i) * number;
        }
    }
}

/* The same for one block of every row of weights. */
INLINE void multiply_blocks(sums_of_row *sum, const dots_job *j, int64_t block, const int rows, const int together,
                            const block_form form)
{
#if defined(DOT_BF16)
    if (form.cells) {
        const cell *x = (const cell *)j->numbers + block * 32;
        __m512bh w[ROWS_MOST];
        UNROLL
        for (int r = 0; r < rows; r++)
            w[r] = form.cells(j->weights[r] + block * form.bytes);
        UNROLL
        for (int m = 0; m < together; m++) {
            const __m512bh number = (__m512bh)_mm512_loadu_si512(x + m * j->stride);
            UNROLL
            for (int r = 0; r < rows; r++)
                sum[r][m] = (vec)_mm512_dpbf16_ps((__m512)sum[r][m], w[r], number);
        }
        return;
    }
#endif
    real w[ROWS_MOST][32] __attribute__((aligned(64)));
    UNROLL
    for (int r = 0; r < rows; r++)
        form.decode(w[r], j->weights[r] + block * form.bytes);
    multiply_reals(sum, w, j, block * 32, rows, together);
}

INLINE void dots(const dots_job *j, const int rows, const int together, const block_form form)
{
    sums_of_row sum[ROWS_MOST];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int m = 0; m < together; m++)
            sum[r][m] = (vec){ 0 };
    }
    /* Several short rows side by side are no pattern that processors see: what the rows after the next will need is
     * fetched by hand. Into the second cache, which waits for more lines at a time than the first: three times as fast
     * as without, from memory, for 8 bits a weight. */
    const int64_t ahead = 2 * rows * j->blocks * form.bytes;
    for (int64_t block = 0; block < j->blocks; block++) {
        UNROLL
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(j->weights[r] + ahead + block * form.bytes, 0, 2);
        multiply_blocks(sum, j, block, rows, together, form);
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int m = 0; m < together; m++)
            if (m < j->count)
                j->sums[r][j->first + m] += sum[r][m];
    }
}

/* Rows of weights that are taken with so many of numbers (1, 2, 4 or 8). */
INLINE int rows_with(int together)
{
    return SUMS_MOST / together < ROWS_MOST ? SUMS_MOST / together : ROWS_MOST;
}

INLINE void dots_together(const dots_job *j, int together, const block_form form)
{
    switch (together) {
    case 1:
        dots(j, rows_with(1), 1, form);
        break;
    case 2:
        dots(j, rows_with(2), 2, form);
        break;
    case 4:
        dots(j, rows_with(4), 4, form);
        break;
    default:
        dots(j, rows_with(8), 8, form);
    }
}

/* ---- Plain types as blocks of 32 */

typedef vec vec_anywhere __attribute__((aligned(1)));

INLINE void decode_reals(real *out, const uint8_t *block)
{
    for (int i = 0; i < 32; i += LANES)
        *(vec *)(out + i) = *(const vec_anywhere *)(block + (size_t)i * sizeof(real));
}

#if !defined(ACT_F64)
INLINE void decode_bf16(real *out, const uint8_t *block)
{
    for (int i = 0; i < 32; i += LANES)
        *(vec *)(out + i) = (vec)(unsigned_words(block + 2 * i) << 16);
}
#endif

/* ---- 32 weights as cells. Nibbles come in the order that costs least, and numbers are brought into it (pair_order).
 */

#if defined(DOT_BF16)
INLINE __m512bh round_reals(const real *x)
{
    return _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x));
}

INLINE __m512bh cells_of_reals(const uint8_t *block)
{
    return _mm512_cvtne2ps_pbh(_mm512_loadu_ps(block + 64), _mm512_loadu_ps(block));
}

INLINE __m512bh cells_of_bf16(const uint8_t *block)
{
    return (__m512bh)_mm512_loadu_si512(block);
}

INLINE __m512bh cells_of_q8_0(const uint8_t *block)
{
    real x[32] __attribute__((aligned(64)));
    decode_q8_0(x, block);
    return round_reals(x);
}

/* The 16-bit words of q, shifted by 0, 8, 4 and 12, hold the nibbles of the even and the odd bytes, low and high, in
 * their low bits; a look-up sees five of them, so the values stand there twice. */
INLINE __m512bh cells_of_nibbles(const uint8_t *q, vec d, vec offset)
{
    const __m512 values = nibble_values(d, offset);
    const __m512i shift = _mm512_set_epi64(0x000c000c000c000c, 0x000c000c000c000c, 0x0004000400040004,
                                           0x0004000400040004, 0x0008000800080008, 0x0008000800080008, 0, 0);
    const __m512i nibbles = _mm512_srlv_epi16(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)q)), shift);
    return (__m512bh)_mm512_permutexvar_epi16(nibbles, (__m512i)_mm512_cvtne2ps_pbh(values, values));
}

INLINE __m512bh cells_of_q4_0(const uint8_t *block)
{
    const vec d = half_everywhere(block);
    return cells_of_nibbles(block + 2, d, -8 * d);
}

INLINE __m512bh cells_of_q4_1(const uint8_t *block)
{
    vec d, offset;
    two_halves(&d, &offset, block);
    return cells_of_nibbles(block + 4, d, offset);
}

/* Brings cells, 32 by 32, into the order of cells_of_nibbles. */
INLINE void pair_order(cell *x, int64_t n)
{
    cell from[32];
    for (cell to = 0; to < 32; to++)
        from[to] = to / 16 * 16 + to % 8 * 2 + to / 8 % 2;
    const __m512i order = _mm512_loadu_si512(from);
    for (int64_t i = 0; i < n; i += 32)
        _mm512_storeu_si512(x + i, _mm512_permutexvar_epi16(order, _mm512_loadu_si512(x + i)));
}
#endif

#endif
