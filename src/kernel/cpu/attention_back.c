/* attention_back.c: the derivative of attention, probabilities recomputed from lse. With p the probabilities:
 *     dv = pᵀ dout     ds = p (dout vᵀ - delta)     delta = Σ_d dout out     dq = scale ds k     dk = scale dsᵀ q
 * (and ds once more by 1 - tanh² under a softcap). A piece is one head of one span: its dq is finished there, its dk
 * and dv go to buffers of their own, which a second job adds up over the heads of a group in order. The last two
 * products are made turned, dvᵀ = doutᵀ p and dkᵀ = qᵀ ds, so that p and ds are right operands as they are made. */
#include "attention.h"

enum { STRIP = 64 }; /* queries between two visits of dkᵀ and dvᵀ */

typedef struct back_job {
    pool *team;
    act *dq, *dk, *dv;
    const act *dout, *out, *q, *k, *v;
    const real *lse;
    const attention_span *spans;
    const attention_shape *shape;
    real *dk_heads, *dv_heads; /* [heads][kv rows of all spans, span after span][D] */
    int64_t kv_rows;
} back_job;

/* What one head of one span works with. `depth` and `rows` are D and n_q rounded up. */
typedef struct head_work {
    attention_span span;
    int64_t head, kv_head, D, depth, rows, first_kv;
    cell *q, *dout;                      /* [rows][depth] */
    cell *q_turned, *dout_turned;        /* [D up to MR][rows] */
    cell *k_turned, *v_turned, *k_plain; /* the block's panels */
    cell *p_panels, *ds_panels;          /* [STRIP] by BLOCK, panels */
    real *dq, *delta;                    /* [rows][D up to LANES], [rows] */
    real *dk_turned, *dv_turned;         /* [D up to MR][BLOCK] */
} head_work;

static void turn(cell *out, const cell *rows, int64_t n, int64_t stride, int64_t D, int64_t depth)
{
    memset(out, 0, (size_t)(round_up(D, MR) * stride) * sizeof(cell));
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < D; d++)
            out[d * stride + i] = rows[i * depth + d];
}

static bool find_room(head_work *w, pool *team, int thread)
{
    const int64_t high = round_up(w->D, MR), wide = round_up(w->D, LANES), panels = BLOCK * round_up(w->D, NR);
    cell *c = pool_scratch(team, thread, 2,
                           (size_t)(2 * w->rows * (w->depth + high) + 3 * panels + 2 * STRIP * BLOCK) * sizeof(cell));
    real *r = pool_scratch(team, thread, 3, (size_t)(w->rows * (wide + 1) + 2 * high * BLOCK) * sizeof(real));
    if (!c || !r)
        return false;
    w->q = c;
    w->dout = w->q + w->rows * w->depth;
    w->q_turned = w->dout + w->rows * w->depth;
    w->dout_turned = w->q_turned + w->rows * high;
    w->k_turned = w->dout_turned + w->rows * high;
    w->v_turned = w->k_turned + panels;
    w->k_plain = w->v_turned + panels;
    w->p_panels = w->k_plain + panels;
    w->ds_panels = w->p_panels + STRIP * BLOCK;
    w->dq = r;
    w->delta = w->dq + w->rows * wide;
    w->dk_turned = w->delta + w->rows;
    w->dv_turned = w->dk_turned + high * BLOCK;
    return true;
}

static void prepare(const back_job *j, head_work *w)
{
    const int64_t heads = j->shape->heads, n = w->span.n_q, D = w->D;
    const head_rows q = rows_of_head(j->q, w->span.q, heads, w->head, D);
    const head_rows dout = rows_of_head(j->dout, w->span.q, heads, w->head, D);
    const head_rows out = rows_of_head(j->out, w->span.q, heads, w->head, D);
    memset(w->q, 0, (size_t)(2 * w->rows * w->depth) * sizeof(cell));
    pack_rows(w->q, q, n);
    pack_rows(w->dout, dout, n);
    turn(w->q_turned, w->q, n, w->rows, D, w->depth);
    turn(w->dout_turned, w->dout, n, w->rows, D, w->depth);
    for (int64_t i = 0; i < n; i++) {
        real sum = 0;
        SIMD_SUM(sum)
        for (int64_t d = 0; d < D; d++)
            sum += widen(dout.p[i * dout.stride + d]) * widen(out.p[i * out.stride + d]);
        w->delta[i] = sum;
    }
    memset(w->dq, 0, (size_t)(w->rows * round_up(D, LANES)) * sizeof(real));
}

/* From scores (finished) and dout vᵀ of one query: its probabilities, and ds in place of dout vᵀ. */
INLINE void row_gradient(real *score, real *ds, int64_t n, real lse, real delta, const attention_shape *shape,
                         const real *bias, int64_t block)
{
    const real shift = finite_or_zero(lse), scale = shape->scale, cap = shape->softcap;
    if (cap != 0) {
        for (int64_t i = 0; i < n; i++) {
            const real p = exp_real(score[i] - shift);
            const real capped = p > 0 ? (score[i] - (bias ? bias[block + i] : 0)) / cap : 0;
            score[i] = p;
            ds[i] = p * (ds[i] - delta) * scale * (1 - capped * capped);
        }
        return;
    }
    SIMD
    for (int64_t i = 0; i < n; i++) {
        const real p = exp_real(score[i] - shift);
        score[i] = p;
        ds[i] = p * (ds[i] - delta) * scale;
    }
}

/* MR rows of n cells, BLOCK apart, into a strip's panels from row `row` on. */
INLINE void put_in_panels(cell *panels, int64_t row, const cell *x, int64_t n)
{
    for (int64_t c = 0; c < n; c += NR)
        for (int64_t r = 0; r < MR; r += KP) {
            cell *out = panels + c * STRIP + (row + r) * NR;
            for (int64_t i = 0; i < smaller(NR, n - c); i++)
                for (int j = 0; j < KP; j++)
                    out[i * KP + j] = x[(r + j) * BLOCK + c + i];
        }
}

/* Queries i..i+MR-1 of the span, rows of the strip that begins at `strip`, against a block of keys. Those that the last
 * of them does not see get zeros in the panels, and no work. */
static void visit(const back_job *j, const head_work *w, int64_t strip, int64_t i, int64_t block, int64_t keys)
{
    const attention_shape *shape = j->shape;
    const int64_t rows = smaller(MR, w->span.n_q - i), wide = round_up(w->D, LANES);
    const int64_t seen = keys_seen(w->span, shape, i + rows - 1).to - block;
    const int64_t whole = round_up(keys, LANES), n = seen > 0 ? round_up(smaller(keys, seen), LANES) : 0;
    real score[MR * BLOCK] __attribute__((aligned(64))), ds[MR * BLOCK] __attribute__((aligned(64)));
    real added[MR * NR] __attribute__((aligned(64)));
    cell p_rows[MR * BLOCK] __attribute__((aligned(64))), ds_rows[MR * BLOCK] __attribute__((aligned(64)));
    multiply_keys(score, w->q + i * w->depth, w->k_turned, w->D, n);
    multiply_keys(ds, w->dout + i * w->depth, w->v_turned, w->D, n);
    for (int64_t r = 0; r < MR; r++) {
        real *p = score + r * BLOCK, *d = ds + r * BLOCK;
        if (r < rows) {
            const real *bias = bias_row(shape, w->span, w->head, i + r);
            finish_scores(p, n, block, keys_seen(w->span, shape, i + r), shape, bias);
            row_gradient(p, d, n, j->lse[(w->span.q + i + r) * shape->heads + w->head], w->delta[i + r], shape, bias,
                         block);
        } else {
            memset(p, 0, (size_t)n * sizeof *p);
            memset(d, 0, (size_t)n * sizeof *d);
        }
        to_cells(p_rows + r * BLOCK, p, n);
        to_cells(ds_rows + r * BLOCK, d, n);
        memset(p_rows + r * BLOCK + n, 0, (size_t)(whole - n) * sizeof(cell));
        memset(ds_rows + r * BLOCK + n, 0, (size_t)(whole - n) * sizeof(cell));
    }
    put_in_panels(w->p_panels, i - strip, p_rows, whole);
    put_in_panels(w->ds_panels, i - strip, ds_rows, whole);
    const int64_t padded = smaller(n, round_up(keys, KP));
    for (int64_t d = 0; d < w->D; d += NR) {
        const int64_t columns = smaller(NR, wide - d);
        tile_columns(added, NR, &(tile_part){ { ds_rows, BLOCK, 1 }, padded }, 1, 0, w->k_plain + d * BLOCK, MR,
                     columns);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++)
                w->dq[(i + r) * wide + d + c] += added[r * NR + c];
    }
}

/* sums[D][BLOCK] += turned[D][rows from first] · panels[count rows]. */
static void add_turned(real *sums, const cell *turned, int64_t stride, const cell *panels, int64_t D, int64_t count,
                       int64_t n)
{
    real added[MR * NR] __attribute__((aligned(64)));
    for (int64_t c = 0; c < n; c += NR)
        for (int64_t d = 0; d < D; d += MR) {
            const int64_t columns = smaller(NR, n - c);
            tile_columns(added, NR, &(tile_part){ { turned + d * stride, stride, 1 }, count }, 1, 0, panels + c * STRIP,
                         MR, columns);
            for (int64_t r = 0; r < MR; r++)
                for (int64_t x = 0; x < columns; x++)
                    sums[(d + r) * BLOCK + c + x] += added[r * NR + x];
        }
}

static void write_block(const back_job *j, const head_work *w, int64_t block, int64_t keys)
{
    const int64_t at = (w->head * j->kv_rows + w->first_kv + block) * w->D;
    for (int64_t i = 0; i < keys; i++)
        for (int64_t d = 0; d < w->D; d++) {
            j->dk_heads[at + i * w->D + d] = w->dk_turned[d * BLOCK + i];
            j->dv_heads[at + i * w->D + d] = w->dv_turned[d * BLOCK + i];
        }
}

/* One strip of queries against one block of keys; nothing when no query of it sees any. */
static void visit_strip(const back_job *j, const head_work *w, int64_t strip, int64_t block, int64_t keys)
{
    const int64_t end = smaller(w->span.n_q, strip + STRIP);
    const int64_t seen = keys_seen(w->span, j->shape, end - 1).to - block;
    if (seen <= 0 || keys_seen(w->span, j->shape, strip).from >= block + keys)
        return;
    const int64_t n = smaller(keys, seen), count = round_up(end - strip, MR);
    for (int64_t i = strip; i < end; i += MR)
        visit(j, w, strip, i, block, n);
    add_turned(w->dv_turned, w->dout_turned + strip, w->rows, w->p_panels, w->D, count, round_up(n, LANES));
    add_turned(w->dk_turned, w->q_turned + strip, w->rows, w->ds_panels, w->D, count, round_up(n, LANES));
}

static void head_piece(void *arg, int64_t piece, int thread)
{
    const back_job *j = arg;
    const attention_shape *shape = j->shape;
    head_work w = { .span = j->spans[piece / shape->heads], .head = piece % shape->heads, .D = shape->head_size };
    w.kv_head = w.head / (shape->heads / shape->kv_heads);
    w.depth = round_up(w.D, KP);
    w.rows = round_up(w.span.n_q, MR);
    for (const attention_span *s = j->spans; s < j->spans + piece / shape->heads; s++)
        w.first_kv += s->n_kv;
    if (!find_room(&w, j->team, thread))
        return;
    prepare(j, &w);
    const size_t turned = (size_t)(round_up(w.D, MR) * BLOCK) * sizeof(real);
    for (int64_t block = 0; block < w.span.n_kv; block += BLOCK) {
        const int64_t keys = smaller(BLOCK, w.span.n_kv - block);
        const head_rows k = rows_of_head(j->k, w.span.kv + block, shape->kv_heads, w.kv_head, w.D);
        const head_rows v = rows_of_head(j->v, w.span.kv + block, shape->kv_heads, w.kv_head, w.D);
        pack_turned(w.k_turned, w.k_plain, k, keys);
        pack_turned(w.v_turned, w.k_plain, v, keys);
        pack_plain(w.k_plain, k, keys);
        memset(w.dk_turned, 0, turned);
        memset(w.dv_turned, 0, turned);
        for (int64_t strip = 0; strip < w.span.n_q; strip += STRIP)
            visit_strip(j, &w, strip, block, keys);
        write_block(j, &w, block, keys);
    }
    const int64_t wide = round_up(w.D, LANES);
    for (int64_t i = 0; i < w.span.n_q; i++)
        for (int64_t d = 0; d < w.D; d++)
            j->dq[((w.span.q + i) * shape->heads + w.head) * w.D + d] = narrow(w.dq[i * wide + d]);
}

/* Key heads take the sums of their groups. */
static void sum_span(void *arg, int64_t piece, int thread)
{
    const back_job *j = arg;
    const attention_shape *shape = j->shape;
    const attention_span span = j->spans[piece / shape->kv_heads];
    const int64_t kv_head = piece % shape->kv_heads, group = shape->heads / shape->kv_heads, D = shape->head_size;
    int64_t first_kv = 0;
    (void)thread;
    for (const attention_span *s = j->spans; s < j->spans + piece / shape->kv_heads; s++)
        first_kv += s->n_kv;
    for (int64_t i = 0; i < span.n_kv; i++)
        for (int64_t d = 0; d < D; d++) {
            real dk = 0, dv = 0;
            for (int64_t h = kv_head * group; h < (kv_head + 1) * group; h++) {
                const int64_t at = (h * j->kv_rows + first_kv + i) * D + d;
                dk += j->dk_heads[at];
                dv += j->dv_heads[at];
            }
            const int64_t at = ((span.kv + i) * shape->kv_heads + kv_head) * D + d;
            j->dk[at] = narrow(dk);
            j->dv[at] = narrow(dv);
        }
}

void NAME(attention_back)(pool *p, void *dq, void *dk, void *dv, const void *dout, const void *out, const real *lse,
                          const void *q, const void *k, const void *v, const attention_span *spans, int64_t n_spans,
                          const attention_shape *shape)
{
    back_job job = { p, dq, dk, dv, dout, out, q, k, v, lse, spans, shape, NULL, NULL, 0 };
    for (int64_t s = 0; s < n_spans; s++)
        job.kv_rows += spans[s].n_kv;
    const size_t bytes = (size_t)(shape->heads * job.kv_rows * shape->head_size) * sizeof(real);
    job.dk_heads = pool_scratch(p, 0, 0, bytes);
    job.dv_heads = pool_scratch(p, 0, 1, bytes);
    if (!job.dk_heads || !job.dv_heads)
        return;
    pool_run(p, n_spans * shape->heads, head_piece, &job);
    pool_run(p, n_spans * shape->kv_heads, sum_span, &job);
}
