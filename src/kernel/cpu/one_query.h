/* one_query.h: the products of a single query, as in generation, for several heads of a key head. Keys and values are
 * used where they lie and all is real: packing them would cost more than it saves. D is a multiple of LANES. */
#ifndef LORAC_ONE_QUERY_H
#define LORAC_ONE_QUERY_H

#include "attention.h"
#include "vectors.h"

/* Heads and vectors of columns at a time; rows that are fetched ahead, as no processor follows so few bytes of each. */
enum { HEADS_MOST = 4, WIDE = 4, AHEAD = 32 };
_Static_assert(MR * sizeof(cell) >= sizeof(real), "where MR rows of queries stand as cells, one can as real");

/* score[h][j] = query h · key j for n keys; 4 may be written at a time. */
INLINE void score_keys(real (*score)[BLOCK], const real *queries, head_rows keys, int64_t n, const int heads)
{
    for (int64_t j = 0; j < n; j += 4) {
        vec sum[HEADS_MOST][4];
        UNROLL
        for (int h = 0; h < heads; h++) {
            UNROLL
            for (int i = 0; i < 4; i++)
                sum[h][i] = (vec){ 0 };
        }
        for (int64_t d = 0; d < keys.D; d += LANES) {
            UNROLL
            for (int i = 0; i < 4; i++) {
                const act *at = keys.p + smaller(j + i, n - 1) * keys.stride + d;
                const vec key = widen_vector(at);
                __builtin_prefetch(at + AHEAD * keys.stride);
                UNROLL
                for (int h = 0; h < heads; h++)
                    sum[h][i] += key * *(const vec *)(queries + h * keys.D + d);
            }
        }
        UNROLL
        for (int h = 0; h < heads; h++)
            add_up(score[h] + j, sum[h][0], sum[h][1], sum[h][2], sum[h][3]);
    }
}

/* sums[h] += score[h][j] times value j, for `wide` vectors of columns from d on. */
INLINE void add_values(real *const *sums, real (*score)[BLOCK], head_rows values, int64_t d, int64_t n, const int heads,
                       const int wide)
{
    vec sum[HEADS_MOST][WIDE];
    UNROLL
    for (int h = 0; h < heads; h++) {
        UNROLL
        for (int i = 0; i < wide; i++)
            sum[h][i] = *(const vec *)(sums[h] + d + i * LANES);
    }
    for (int64_t j = 0; j < n; j++) {
        UNROLL
        for (int i = 0; i < wide; i++) {
            const act *at = values.p + j * values.stride + d + i * LANES;
            const vec value = widen_vector(at);
            __builtin_prefetch(at + AHEAD * values.stride);
            UNROLL
            for (int h = 0; h < heads; h++)
                sum[h][i] += score[h][j] * value;
        }
    }
    UNROLL
    for (int h = 0; h < heads; h++) {
        UNROLL
        for (int i = 0; i < wide; i++)
            *(vec *)(sums[h] + d + i * LANES) = sum[h][i];
    }
}

#endif
