/* tile.h: the innermost product, a few rows of A times a panel of B with all sums in registers.
 *
 * B comes packed in panels NR columns wide, column index fastest, K after K; A is read where it lies, at any two
 * strides. What A and B are made of is a `cell`: real, or, where the processor multiplies pairs of bf16 (DOT_BF16),
 * bf16 with the KP = 2 cells of a pair side by side:  panel[k / KP][column][k % KP]. */
#ifndef LORAC_TILE_H
#define LORAC_TILE_H

#include "level.h"

#if defined(ACT_BF16) && defined(__AVX512BF16__)
#include <immintrin.h>
#define DOT_BF16 1
typedef uint16_t cell;
#define CELL_TYPE DT_BF16
enum { KP = 2 };
#else
typedef real cell;
#define CELL_TYPE DT_REAL
enum { KP = 1 };
#endif

/* MR · NV sums, NV vectors of B and one of A fit the registers: 32 with AVX-512, 16 before it. */
enum { MR = VECTOR_BYTES == 64 ? 8 : 4, NV = 3, NR = NV * LANES };

/* An activation as a cell. */
INLINE cell act_cell(act a)
{
#if defined(DOT_BF16)
    return a;
#else
    return widen(a);
#endif
}

/* A cell holds what the compute type can: bf16 operands are rounded even where they are multiplied as f32. */
INLINE cell to_cell(real x)
{
#if defined(DOT_BF16)
    return narrow(x);
#else
    return widen(narrow(x));
#endif
}

INLINE void to_cells(cell *out, const real *x, int64_t n)
{
    int64_t i = 0;
#if defined(DOT_BF16)
    for (; i + LANES <= n; i += LANES) /* one instruction; denormals, which no product of ours can feel, become 0 */
        _mm256_storeu_si256((__m256i *)(out + i), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
#endif
    for (; i < n; i++)
        out[i] = to_cell(x[i]);
}

/* Pairs of cells, or single cells, move as one `unit`. */
#if defined(ACT_F64)
typedef uint64_t unit_bits;
#else
typedef uint32_t unit_bits;
#endif
typedef unit_bits unit __attribute__((may_alias, aligned(sizeof(cell))));
typedef unit_bits quad __attribute__((vector_size(4 * sizeof(unit_bits)), may_alias, aligned(sizeof(cell))));
_Static_assert(sizeof(unit) == KP * sizeof(cell), "a unit is what lies side by side in a panel");

/* out[j][i] = in[i][j] for a square of 4 by 4; strides in units. */
INLINE void turn_square(unit *out, int64_t out_stride, const unit *in, int64_t in_stride)
{
    const quad a = *(const quad *)in, b = *(const quad *)(in + in_stride);
    const quad c = *(const quad *)(in + 2 * in_stride), d = *(const quad *)(in + 3 * in_stride);
    const quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quad *)out = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    *(quad *)(out + out_stride) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    *(quad *)(out + 2 * out_stride) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    *(quad *)(out + 3 * out_stride) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

/* Packs `columns` rows of k cells each (stride apart) as the columns of a panel that are NR units apart along k; k is a
 * multiple of KP, stride too. */
INLINE void turn_into_panel(cell *panel, const cell *rows, int64_t stride, int64_t columns, int64_t k)
{
    unit *out = (unit *)panel;
    const unit *in = (const unit *)rows;
    const int64_t units = k / KP, apart = stride / KP, whole_columns = columns & ~3, whole_units = units & ~3;
    for (int64_t c = 0; c < whole_columns; c += 4)
        for (int64_t u = 0; u < whole_units; u += 4)
            turn_square(out + u * NR + c, NR, in + c * apart + u, apart);
    for (int64_t c = 0; c < columns; c++)
        for (int64_t u = c < whole_columns ? whole_units : 0; u < units; u++)
            out[u * NR + c] = in[c * apart + u];
}

typedef struct rows_of {
    const cell *p;
    int64_t row, column; /* strides in cells; column is 1 with DOT_BF16 */
} rows_of;

/* A piece of a tile's K axis: what A is there. k is a multiple of KP. */
typedef struct tile_part {
    rows_of a;
    int64_t k;
} tile_part;

/* sums[rows][stride] = A[m.., K] · panel[K, vectors · LANES], where A is `count` parts side by side. */
INLINE void tile(real *sums, int64_t stride, const tile_part *parts, int count, int64_t m, const cell *panel,
                 const int rows, const int vectors)
{
    vec sum[MR][NV];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            sum[i][j] = (vec){ 0 };
    }
    for (const tile_part *part = parts; part < parts + count; part++) {
        const cell *a = part->a.p + m * part->a.row;
        const int64_t row = part->a.row, k = part->k;
#if !defined(DOT_BF16)
        const int64_t column = part->a.column;
#endif
        for (int64_t at = 0; at < k; at += KP, panel += NR * KP) {
            UNROLL
            for (int i = 0; i < rows; i++) {
#if defined(DOT_BF16)
                int32_t pair;
                memcpy(&pair, a + i * row + at, sizeof pair);
                const __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
                UNROLL
                for (int j = 0; j < vectors; j++)
                    sum[i][j] = (vec)_mm512_dpbf16_ps((__m512)sum[i][j], x,
                                                      (__m512bh)_mm512_loadu_si512(panel + j * LANES * KP));
#else
                const real x = a[i * row + at * column];
                UNROLL
                for (int j = 0; j < vectors; j++)
                    sum[i][j] += x * *(const vec *)(panel + j * LANES);
#endif
            }
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            *(vec *)(sums + i * stride + j * LANES) = sum[i][j];
    }
}

/* The same for `columns` of a panel, whatever is left of it; sums beyond them may be written up to the next vector. */
INLINE void tile_columns(real *sums, int64_t stride, const tile_part *parts, int count, int64_t m, const cell *panel,
                         const int rows, int64_t columns)
{
    if (columns > 2 * LANES)
        tile(sums, stride, parts, count, m, panel, rows, 3);
    else if (columns > LANES)
        tile(sums, stride, parts, count, m, panel, rows, 2);
    else
        tile(sums, stride, parts, count, m, panel, rows, 1);
}

#endif
