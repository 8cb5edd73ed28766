/* attention.h: what the two passes of attention share: the key block, packing, masks and scores.
 *
 * A head's keys are taken BLOCK at a time. Scores of MR queries against a block stay in the first cache; products are
 * tile.h's, so with bf16 activations the probabilities are rounded to bf16 before they meet the values, as usual. */
#ifndef LORAC_ATTENTION_H
#define LORAC_ATTENTION_H

#include "functions.h"
#include "tile.h"

enum { BLOCK = 192, PANELS = BLOCK / NR };
_Static_assert(BLOCK % NR == 0 && BLOCK % LANES == 0, "a block of keys is whole panels");

/* Rows of one head in a [rows, heads, D] buffer. */
typedef struct head_rows {
    const act *p;
    int64_t stride, D;
} head_rows;

INLINE head_rows rows_of_head(const void *p, int64_t first_row, int64_t heads, int64_t head, int64_t D)
{
    return (head_rows){ (const act *)p + (first_row * heads + head) * D, heads * D, D };
}

/* n rows of x as cells, row-major with round_up(D, KP) cells a row. */
INLINE void pack_rows(cell *out, head_rows x, int64_t n)
{
    const int64_t depth = round_up(x.D, KP);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t d = 0; d < x.D; d++)
            out[i * depth + d] = act_cell(x.p[i * x.stride + d]);
        if (depth > x.D)
            out[i * depth + x.D] = 0;
    }
}

/* Panels whose columns are n rows of x, for x's transpose as the right operand: k runs along D. `room`
 * holds NR rows. */
INLINE void pack_turned(cell *panels, cell *room, head_rows x, int64_t n)
{
    const int64_t depth = round_up(x.D, KP);
    for (int64_t j = 0; j < n; j += NR, panels += NR * depth) {
        const int64_t columns = smaller(NR, n - j);
        if (columns < NR)
            memset(room, 0, (size_t)(NR * depth) * sizeof(cell));
        pack_rows(room, (head_rows){ x.p + j * x.stride, x.stride, x.D }, columns);
        turn_into_panel(panels, room, depth, NR, depth);
    }
}

/* Panels whose columns are the D columns of x: k runs along its n rows, of BLOCK that there is room for. */
INLINE void pack_plain(cell *panels, head_rows x, int64_t n)
{
    for (int64_t i = 0; i < round_up(n, KP); i++)
        for (int64_t d = 0; d < x.D; d += NR) {
            cell *out = panels + d * BLOCK + i / KP * NR * KP + i % KP;
            const int64_t columns = i < n ? smaller(NR, x.D - d) : 0;
            for (int64_t c = 0; c < columns; c++)
                out[c * KP] = act_cell(x.p[i * x.stride + d + c]);
            for (int64_t c = columns; c < NR; c++)
                out[c * KP] = 0;
        }
}

/* The keys from..to-1 that query i of a span sees. */
typedef struct key_range {
    int64_t from, to;
} key_range;

INLINE key_range keys_seen(attention_span s, const attention_shape *shape, int64_t i)
{
    const int64_t position = s.n_kv - s.n_q + i, first = position + 1 - shape->window;
    return (key_range){ shape->window > 0 && first > 0 ? first : 0, shape->causal ? position + 1 : s.n_kv };
}

/* Scores of one query, from products: scaled, capped, biased, -infinity where masked. n is a multiple of LANES;
 * key j of the row is key `block + j` of the span. */
INLINE void finish_scores(real *score, int64_t n, int64_t block, key_range seen, const attention_shape *shape,
                          const real *bias)
{
    const int64_t from = seen.from - block, to = seen.to - block;
    const real scale = shape->scale, cap = shape->softcap;
    if (cap != 0) {
        for (int64_t j = 0; j < n; j++)
            score[j] = cap * tanh_real(score[j] * scale / cap);
    } else {
        for (int64_t j = 0; j < n; j++)
            score[j] *= scale;
    }
    if (bias)
        for (int64_t j = from > 0 ? from : 0; j < smaller(n, to); j++)
            score[j] += bias[block + j];
    for (int64_t j = 0; j < smaller(n, from); j++)
        score[j] = -(real)INFINITY;
    for (int64_t j = to > 0 ? to : 0; j < n; j++)
        score[j] = -(real)INFINITY;
}

/* products[MR][BLOCK] = rows · turned panels of n keys. */
INLINE void multiply_keys(real *products, const cell *rows, const cell *panels, int64_t D, int64_t n)
{
    const int64_t depth = round_up(D, KP);
    for (int64_t j = 0; j < n; j += NR)
        tile_columns(products + j, BLOCK, &(tile_part){ { rows, depth, 1 }, depth }, 1, 0, panels + j * depth, MR,
                     n - j);
}

INLINE const real *bias_row(const attention_shape *shape, attention_span s, int64_t head, int64_t i)
{
    return shape->bias ? shape->bias + (head * s.n_q + i) * s.n_kv : NULL;
}

/* What a row with nothing but masked keys takes for its largest score, so that its probabilities come out as 0. */
INLINE real finite_or_zero(real x)
{
    return x == -(real)INFINITY ? 0 : x;
}

#endif
