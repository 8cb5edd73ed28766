/* attention.c: out = softmax(mask(q kᵀ scale)) v with a running softmax over blocks of keys (Milakov & Gimelshein 2018,
 * Dao et al. 2022): scores never leave the cache. A piece is QUERIES queries of a span for all heads of a key head, so
 * that each block of keys is packed once for them all. */
#include "one_query.h"

enum { QUERIES = 256 };

typedef struct forward_job {
    pool *team;
    act *out;
    real *lse;
    const act *q, *k, *v;
    const attention_span *spans;
    const attention_shape *shape;
} forward_job;

/* One piece: queries first..first+n-1 of a span. Queries and sums stand as [head of the group][rows]. */
typedef struct piece_of {
    attention_span span;
    int64_t first, n, kv_head, group;
    int64_t rows, width; /* of the sums: n and D rounded up */
    cell *queries, *keys, *values;
    real *sums, *largest, *total;
} piece_of;

static int64_t pieces_of(attention_span s, const attention_shape *shape)
{
    return divide_up(s.n_q, QUERIES) * shape->kv_heads;
}

static piece_of find_piece(const forward_job *j, int64_t piece)
{
    const attention_span *s = j->spans;
    while (piece >= pieces_of(*s, j->shape))
        piece -= pieces_of(*s++, j->shape);
    piece_of p = { .span = *s, .first = piece / j->shape->kv_heads * QUERIES, .kv_head = piece % j->shape->kv_heads };
    p.n = smaller(QUERIES, s->n_q - p.first);
    p.group = j->shape->heads / j->shape->kv_heads;
    p.rows = round_up(p.n, MR);
    p.width = round_up(j->shape->head_size, LANES);
    return p;
}

static bool find_room(piece_of *p, pool *team, int thread, int64_t D)
{
    const int64_t rows = p->group * p->rows;
    p->queries = pool_scratch(team, thread, 3, (size_t)(rows * round_up(D, KP)) * sizeof(cell));
    p->keys = pool_scratch(team, thread, 0, (size_t)(BLOCK * round_up(D, KP)) * sizeof(cell));
    p->values = pool_scratch(team, thread, 1, (size_t)(BLOCK * round_up(D, NR)) * sizeof(cell));
    p->sums = pool_scratch(team, thread, 2, (size_t)(rows * (p->width + 2)) * sizeof(real));
    if (!p->queries || !p->keys || !p->values || !p->sums)
        return false;
    p->largest = p->sums + rows * p->width;
    p->total = p->largest + rows;
    memset(p->sums, 0, (size_t)(rows * p->width) * sizeof(real));
    for (int64_t i = 0; i < rows; i++) {
        p->largest[i] = -(real)INFINITY;
        p->total[i] = 0;
    }
    return true;
}

/* Turns a row of scores into exp(score - largest) and brings the row's sums to the new largest score. */
static void soften(real *score, int64_t n, real *sums, int64_t width, real *largest, real *total)
{
    real most = *largest, sum = 0;
    SIMD_MAX(most)
    for (int64_t j = 0; j < n; j++)
        most = score[j] > most ? score[j] : most;
    const real shift = finite_or_zero(most), shrink = exp_real(*largest - shift);
    SIMD_SUM(sum)
    for (int64_t j = 0; j < n; j++) {
        const real e = exp_real(score[j] - shift);
        sum += e;
        score[j] = e;
    }
    *total = *total * shrink + sum;
    *largest = most;
    if (shrink != 1)
        for (int64_t d = 0; d < width; d++)
            sums[d] *= shrink;
}

/* Queries i..i+MR-1 of the piece (those there are) of one head of the group against the keys block..block+keys-1. */
static void visit(const forward_job *j, const piece_of *p, int64_t head, int64_t i, int64_t block, int64_t keys)
{
    const attention_shape *shape = j->shape;
    const int64_t D = shape->head_size, depth = round_up(D, KP), rows = smaller(MR, p->n - i);
    const int64_t seen = keys_seen(p->span, shape, p->first + i + rows - 1).to - block;
    if (seen <= 0 || keys_seen(p->span, shape, p->first + i).from >= block + keys)
        return;
    const int64_t n = round_up(smaller(keys, seen), LANES), at = head * p->rows + i;
    real score[MR * BLOCK] __attribute__((aligned(64))), added[MR * NR] __attribute__((aligned(64)));
    cell probability[MR * BLOCK] __attribute__((aligned(64)));
    multiply_keys(score, p->queries + at * depth, p->keys, D, n);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t query = p->first + i + r;
        finish_scores(score + r * BLOCK, n, block, keys_seen(p->span, shape, query), shape,
                      bias_row(shape, p->span, p->kv_head * p->group + head, query));
        soften(score + r * BLOCK, n, p->sums + (at + r) * p->width, p->width, p->largest + at + r, p->total + at + r);
        to_cells(probability + r * BLOCK, score + r * BLOCK, n);
    }
    memset(probability + rows * BLOCK, 0, (size_t)((MR - rows) * BLOCK) * sizeof(cell));
    const int64_t k = smaller(n, round_up(keys, KP));
    for (int64_t d = 0; d < D; d += NR) {
        const int64_t columns = smaller(NR, p->width - d);
        tile_columns(added, NR, &(tile_part){ { probability, BLOCK, 1 }, k }, 1, 0, p->values + d * BLOCK, MR, columns);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++)
                p->sums[(at + r) * p->width + d + c] += added[r * NR + c];
    }
}

static void pack_queries(const forward_job *j, const piece_of *p)
{
    const int64_t D = j->shape->head_size, depth = round_up(D, KP);
    for (int64_t h = 0; h < p->group; h++) {
        cell *out = p->queries + h * p->rows * depth;
        pack_rows(out, rows_of_head(j->q, p->span.q + p->first, j->shape->heads, p->kv_head * p->group + h, D), p->n);
        memset(out + p->n * depth, 0, (size_t)((p->rows - p->n) * depth) * sizeof(cell));
    }
}

static void write_out(const forward_job *j, const piece_of *p)
{
    const int64_t D = j->shape->head_size, heads = j->shape->heads;
    for (int64_t h = 0; h < p->group; h++)
        for (int64_t i = 0; i < p->n; i++) {
            const int64_t at = h * p->rows + i, row = (p->span.q + p->first + i) * heads + p->kv_head * p->group + h;
            const real total = p->total[at], factor = total > 0 ? 1 / total : 0;
            for (int64_t d = 0; d < D; d++)
                j->out[row * D + d] = narrow(p->sums[at * p->width + d] * factor);
            if (j->lse)
                j->lse[row] = p->largest[at] + (real)log((double)total);
        }
}

/* `heads` heads of the group from `head` on, for a piece with one query. */
INLINE void attend_alone(const forward_job *j, const piece_of *p, int64_t head, const int heads)
{
    const attention_shape *shape = j->shape;
    const int64_t D = shape->head_size, vectors = D / LANES;
    const key_range seen = keys_seen(p->span, shape, p->first);
    const act *query = rows_of_head(j->q, p->span.q + p->first, shape->heads, p->kv_head * p->group + head, D).p;
    real score[HEADS_MOST][BLOCK] __attribute__((aligned(64))), *queries = (real *)p->queries, *sums[HEADS_MOST];
    for (int64_t i = 0; i < heads * D; i++)
        queries[i] = widen(query[i]);
    for (int64_t block = seen.from; block < seen.to; block += BLOCK) {
        const int64_t n = smaller(BLOCK, seen.to - block);
        const head_rows values = rows_of_head(j->v, p->span.kv + block, shape->kv_heads, p->kv_head, D);
        score_keys(score, queries, rows_of_head(j->k, p->span.kv + block, shape->kv_heads, p->kv_head, D), n, heads);
        for (int h = 0; h < heads; h++) {
            const int64_t at = (head + h) * p->rows;
            sums[h] = p->sums + at * p->width;
            finish_scores(score[h], round_up(n, LANES), block, seen, shape,
                          bias_row(shape, p->span, p->kv_head * p->group + head + h, p->first));
            soften(score[h], round_up(n, LANES), sums[h], D, p->largest + at, p->total + at);
        }
        int64_t i = 0;
        for (; i + WIDE <= vectors; i += WIDE)
            add_values(sums, score, values, i * LANES, n, heads, WIDE);
        for (; i < vectors; i++)
            add_values(sums, score, values, i * LANES, n, heads, 1);
    }
}

static void attend_group_alone(const forward_job *j, const piece_of *p)
{
    int64_t head = 0;
    for (; head + HEADS_MOST <= p->group; head += HEADS_MOST)
        attend_alone(j, p, head, HEADS_MOST);
    if (p->group - head == 3)
        attend_alone(j, p, head, 3);
    else if (p->group - head == 2)
        attend_alone(j, p, head, 2);
    else if (p->group - head == 1)
        attend_alone(j, p, head, 1);
}

static void forward_piece(void *arg, int64_t piece, int thread)
{
    const forward_job *j = arg;
    const attention_shape *shape = j->shape;
    const int64_t D = shape->head_size;
    piece_of p = find_piece(j, piece);
    if (!find_room(&p, j->team, thread, D))
        return;
    if (p.n == 1 && D % LANES == 0) {
        attend_group_alone(j, &p);
        write_out(j, &p);
        return;
    }
    pack_queries(j, &p);
    const int64_t end = keys_seen(p.span, shape, p.first + p.n - 1).to;
    for (int64_t block = keys_seen(p.span, shape, p.first).from; block < end; block += BLOCK) {
        const int64_t keys = smaller(BLOCK, end - block);
        pack_turned(p.keys, p.values, rows_of_head(j->k, p.span.kv + block, shape->kv_heads, p.kv_head, D), keys);
        pack_plain(p.values, rows_of_head(j->v, p.span.kv + block, shape->kv_heads, p.kv_head, D), keys);
        for (int64_t head = 0; head < p.group; head++)
            for (int64_t i = 0; i < p.n; i += MR)
                visit(j, &p, head, i, block, keys);
    }
    write_out(j, &p);
}

void NAME(attention)(pool *p, void *out, real *lse, const void *q, const void *k, const void *v,
                     const attention_span *spans, int64_t n_spans, const attention_shape *shape)
{
    forward_job job = { p, out, lse, q, k, v, spans, shape };
    int64_t pieces = 0;
    for (int64_t s = 0; s < n_spans; s++)
        pieces += pieces_of(spans[s], shape);
    pool_run(p, pieces, forward_piece, &job);
}
