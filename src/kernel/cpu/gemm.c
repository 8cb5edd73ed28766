/* gemm.c: sums of products for operands of any type: cuts them into chunks, and multiplies a packed chunk tile by tile.
 * See gemm.h. */
#include "gemm.h"

enum { ROW_BLOCK = 64, GROUP = 2 };

void store_sums(const chunk *g, real *sums, int64_t stride, int64_t m, int64_t n, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        real *sum = sums + i * stride;
        if (g->sums) {
            real *before = g->sums + (m + i) * NB + n;
            for (int64_t j = 0; j < columns && !g->first; j++)
                sum[j] += before[j];
            if (!g->last) {
                memcpy(before, sum, (size_t)columns * sizeof *sum);
                continue;
            }
        }
        if (!g->turned) {
            store_row(g->c, g->beta, sum, (g->m0 + m + i) * g->c.ld + g->n0 + n, columns);
            continue;
        }
        for (int64_t j = 0; j < columns; j++)
            store_row(g->c, g->beta, sum + j, (g->n0 + n + j) * g->c.ld + g->m0 + m + i, 1);
    }
}

/* Rows left over from MR are taken 4, 2 and 1 at a time. Returns how many were. */
static int64_t multiply_tile(const chunk *g, int64_t panel, int64_t m, int64_t rows)
{
    real sums[MR * NR] __attribute__((aligned(64)));
    const int64_t columns = smaller(NR, g->n - panel * NR);
    const cell *b = panel_at(g, g->segments, panel);
    int64_t taken;
    if (rows >= MR)
        tile_columns(sums, NR, g->parts, g->count, m, b, taken = MR, columns);
    else if (rows >= 4)
        tile_columns(sums, NR, g->parts, g->count, m, b, taken = 4, columns);
    else if (rows >= 2)
        tile_columns(sums, NR, g->parts, g->count, m, b, taken = 2, columns);
    else
        tile_columns(sums, NR, g->parts, g->count, m, b, taken = 1, columns);
    store_sums(g, sums, NR, m, panel * NR, taken, columns);
    return taken;
}

/* ROW_BLOCK rows by GROUP panels. */
static void multiply_tiles(const chunk *g, int64_t piece)
{
    const int64_t panels = divide_up(g->n, NR), groups = divide_up(panels, GROUP);
    const int64_t from = piece / groups * ROW_BLOCK, to = smaller(g->m, from + ROW_BLOCK);
    const int64_t first = piece % groups * GROUP, last = smaller(panels, first + GROUP);
    for (int64_t panel = first; panel < last; panel++)
        for (int64_t m = from; m < to;)
            m += multiply_tile(g, panel, m, to - m);
}

typedef struct gemm_job {
    chunk g;
    pool *team;
    const gemm_term *terms;
    int n_terms;
    int64_t M, N;
} gemm_job;

static void pack_b_piece(const chunk *g, const segment *s, int64_t piece)
{
#if defined(GEMM_LIBRARY)
    if (g->library) {
        NAME(library_pack)(g, piece);
        return;
    }
#endif
    NAME(pack_b)(g, s, piece);
}

static void pack(void *arg, int64_t piece, int thread)
{
    const chunk *g = arg;
    const segment *s = g->segments;
    (void)thread;
    for (; piece >= s->b_pieces + s->a_pieces; s++)
        piece -= s->b_pieces + s->a_pieces;
    if (piece < s->b_pieces)
        pack_b_piece(g, s, piece);
    else
        NAME(pack_a)(g, s, piece - s->b_pieces);
}

static void multiply(void *arg, int64_t piece, int thread)
{
    const gemm_job *j = arg;
    (void)thread;
#if defined(GEMM_LIBRARY)
    if (j->g.library) {
        NAME(library_multiply)(&j->g, piece, j->team, thread);
        return;
    }
#endif
    multiply_tiles(&j->g, piece);
}

/* With one slice, what was packed for the chunk before may still stand. */
static int64_t count_pieces(const gemm_job *j, segment *s)
{
    const chunk *g = &j->g;
    const bool b_stands = g->m0 > 0 && !g->sums, a_stands = g->n0 > 0 && !g->sums && j->M <= MB;
    s->b_pieces = s->term->transpose_b ? divide_up(g->n, NR) : divide_up(s->k, PACK_ROWS);
#if defined(GEMM_LIBRARY)
    if (g->library)
        s->b_pieces = NAME(library_b_pieces)(g);
#endif
    s->b_pieces = b_stands ? 0 : s->b_pieces;
    s->a_pieces = !s->pack_a || a_stands ? 0 : divide_up(g->m, PACK_ROWS);
    return s->b_pieces + s->a_pieces;
}

/* Packs and multiplies the chunk that g describes. */
static void run_chunk(gemm_job *j)
{
    chunk *g = &j->g;
    int64_t packing = 0, pieces = divide_up(g->m, ROW_BLOCK) * divide_up(divide_up(g->n, NR), GROUP);
    for (int i = 0; i < g->count; i++) {
        segment *s = &g->segments[i];
        packing += count_pieces(j, s);
        g->parts[i] = (tile_part){ rows_of_a(g, s), round_up(s->k, KP) };
    }
#if defined(GEMM_LIBRARY)
    if (g->library)
        pieces = NAME(library_c_pieces)(g);
#endif
    if (packing > 0)
        pool_run(j->team, packing, pack, g);
    pool_run(j->team, pieces, multiply, j);
}

static int64_t depth_of(const gemm_term *t)
{
    return t->transpose_a ? t->a.rows : t->a.cols;
}

/* A is read where it lies if that is what its cells would be; a pair may not reach past the end of a row. */
static bool must_pack_a(const gemm_term *t, int64_t M)
{
    const int64_t rows = t->transpose_a ? t->a.cols : t->a.rows;
    return !is_cells(t->a) || rows != M || t->alpha != 1 || (KP > 1 && (t->transpose_a || depth_of(t) % KP != 0));
}

/* How far the slices have come along the K axis. */
typedef struct cursor {
    int term;
    int64_t k0;
} cursor;

/* Puts the next slice into g and moves on: terms until the slice is full; what oneDNN takes stands alone. */
static void next_slice(gemm_job *j, cursor *at)
{
    chunk *g = &j->g;
    g->first = at->term == 0 && at->k0 == 0;
    g->count = 0;
    g->depth = 0;
    do {
        const gemm_term *t = &j->terms[at->term];
        const int64_t rest = depth_of(t) - at->k0, room = KB - g->depth;
        if (g->count > 0 && round_up(rest, KP) > room)
            break;
        segment *s = &g->segments[g->count];
        *s = (segment){ .term = t, .k0 = at->k0, .k = smaller(rest, room), .at = g->depth };
        s->pack_a = must_pack_a(t, j->M);
#if defined(GEMM_LIBRARY)
        if (NAME(library_takes)(j->M, j->N, t, s->pack_a)) {
            if (g->count > 0)
                break;
            g->library = true;
        } else {
            g->library = false;
        }
#endif
        g->count++;
        g->depth += round_up(s->k, KP);
        at->k0 += s->k;
        if (at->k0 == depth_of(t))
            *at = (cursor){ at->term + 1, 0 };
    } while (at->term < j->n_terms && at->k0 == 0 && g->count < SEGMENTS_MOST && !g->library);
    g->last = at->term == j->n_terms;
}

/* Buffers for the chunks; false when there is no memory, which the pool remembers. */
static bool find_room(gemm_job *j)
{
    chunk *g = &j->g;
    int64_t deepest = 1, rows = smaller(j->M, MB);
    bool pack_a = false;
    cursor at = { 0, 0 };
    do {
        next_slice(j, &at);
        deepest = deepest < g->depth ? g->depth : deepest;
        for (int i = 0; i < g->count; i++)
            pack_a |= g->segments[i].pack_a;
    } while (!g->last);
    g->b_packed = pool_scratch(j->team, 0, 0, (size_t)(round_up(smaller(j->N, NB), NR) * deepest) * sizeof(cell));
    if (pack_a)
        g->a_packed = pool_scratch(j->team, 0, 1, (size_t)(round_up(rows, LIBRARY_ROWS) * A_ROW) * sizeof(cell));
    if (!g->first)
        g->sums = pool_scratch(j->team, 0, 2, (size_t)(rows * NB) * sizeof(real));
    return g->b_packed && (!pack_a || g->a_packed) && (g->first || g->sums);
}

static void run_terms(gemm_job *j)
{
    chunk *g = &j->g;
    g->rows_there = j->M;
    if (!find_room(j))
        return;
    for (g->n0 = 0; g->n0 < j->N; g->n0 += NB)
        for (g->m0 = 0; g->m0 < j->M; g->m0 += MB) {
            cursor at = { 0, 0 };
            g->n = smaller(NB, j->N - g->n0);
            g->m = smaller(MB, j->M - g->m0);
            do {
                next_slice(j, &at);
                run_chunk(j);
            } while (!g->last);
        }
}

void NAME(gemm_sum)(pool *p, mat c, const gemm_term *terms, int n_terms, real beta)
{
    assert(c.type == ACT_TYPE || c.type == DT_REAL);
    if (c.rows == 0 || c.cols == 0)
        return;
    bool few_rows = c.rows <= GEMV_ROWS;
    for (int i = 0; i < n_terms; i++) {
        const gemm_term *t = &terms[i];
        assert(t->first + (t->transpose_a ? t->a.cols : t->a.rows) <= c.rows);
        assert((t->transpose_b ? t->b.cols : t->b.rows) == depth_of(t));
        assert((t->transpose_b ? t->b.rows : t->b.cols) == c.cols);
        few_rows &= !t->transpose_a && t->transpose_b;
    }
    if (few_rows) {
        NAME(gemv)(p, c, terms, n_terms, beta);
        return;
    }
    if (NAME(gemv_turned_takes)(c, terms, n_terms)) {
        NAME(gemv_turned)(p, c, terms, n_terms, beta);
        return;
    }
    gemm_job j = { { .c = c, .beta = beta }, p, terms, n_terms, c.rows, c.cols };
    /* A tall transposed a is dear to pack as rows; turned around, cᵀ = op(b)ᵀ op(a)ᵀ, it is packed as panels. */
    const gemm_term turned = { terms->b, terms->a, !terms->transpose_b, 0, terms->alpha, 0 };
    if (n_terms == 1 && terms->transpose_a && c.rows > c.cols) {
        j.g.turned = 1;
        j.terms = &turned;
        j.M = c.cols;
        j.N = c.rows;
    }
    run_terms(&j);
}

void NAME(gemm)(pool *p, mat c, mat a, int transpose_a, mat b, int transpose_b, real alpha, real beta)
{
    NAME(gemm_sum)(p, c, &(gemm_term){ a, b, transpose_a, transpose_b, alpha, 0 }, 1, beta);
}
