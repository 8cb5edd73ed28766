/* gemm.c: sums of products for operands of any type: cuts them into chunks, and multiplies a packed chunk tile by tile.
 * See gemm.h. */
#include "gemm.h"

enum { ROW_BLOCK = 64, GROUP = 2 };

/* c[at..at+n-1] from sums. */
INLINE void store_row(const chunk *g, const real *sum, int64_t at, int64_t n)
{
    const real beta = g->beta;
    if (g->c.type == DT_REAL) {
        real *c = (real *)g->c.p + at;
        for (int64_t j = 0; j < n; j++)
            c[j] = beta == 0 ? sum[j] : sum[j] + beta * c[j];
    } else {
        act *c = (act *)g->c.p + at;
        for (int64_t j = 0; j < n; j++)
            c[j] = narrow(beta == 0 ? sum[j] : sum[j] + beta * widen(c[j]));
    }
}

void store_sums(const chunk *g, real *sums, int64_t stride, int64_t m, int64_t n, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        real *sum = sums + i * stride;
        for (int64_t j = 0; j < columns && g->alpha != 1; j++)
            sum[j] *= g->alpha;
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
            store_row(g, sum, (g->m0 + m + i) * g->c.ld + g->n0 + n, columns);
            continue;
        }
        for (int64_t j = 0; j < columns; j++)
            store_row(g, sum + j, (g->n0 + n + j) * g->c.ld + g->m0 + m + i, 1);
    }
}

/* Rows left over from MR are taken 4, 2 and 1 at a time. Returns how many were. */
static int64_t multiply_tile(const chunk *g, rows_of a, int64_t panel, int64_t m, int64_t rows)
{
    real sums[MR * NR] __attribute__((aligned(64)));
    const int64_t k = round_up(g->k, KP), columns = smaller(NR, g->n - panel * NR);
    const cell *b = panel_at(g, panel);
    int64_t taken;
    a.p += m * a.row;
    if (rows >= MR)
        tile_columns(sums, NR, k, a, b, taken = MR, columns);
    else if (rows >= 4)
        tile_columns(sums, NR, k, a, b, taken = 4, columns);
    else if (rows >= 2)
        tile_columns(sums, NR, k, a, b, taken = 2, columns);
    else
        tile_columns(sums, NR, k, a, b, taken = 1, columns);
    store_sums(g, sums, NR, m, panel * NR, taken, columns);
    return taken;
}

/* ROW_BLOCK rows by GROUP panels. */
static void multiply_tiles(const chunk *g, int64_t piece)
{
    const int64_t panels = divide_up(g->n, NR), groups = divide_up(panels, GROUP);
    const int64_t from = piece / groups * ROW_BLOCK, to = smaller(g->m, from + ROW_BLOCK);
    const int64_t first = piece % groups * GROUP, last = smaller(panels, first + GROUP);
    const rows_of a = rows_of_a(g);
    for (int64_t panel = first; panel < last; panel++)
        for (int64_t m = from; m < to;)
            m += multiply_tile(g, a, panel, m, to - m);
}

typedef struct gemm_job {
    chunk g;
    pool *team;
    const gemm_term *terms;
    int n_terms;
    int64_t M, N;
} gemm_job;

static void pack(void *arg, int64_t piece, int thread)
{
    const gemm_job *j = arg;
    (void)thread;
    if (piece >= j->g.b_pieces)
        NAME(pack_a)(&j->g, piece - j->g.b_pieces);
#if defined(GEMM_LIBRARY)
    else if (j->g.library)
        NAME(library_pack)(&j->g, piece);
#endif
    else
        NAME(pack_b)(&j->g, piece);
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

/* Packs and multiplies the chunk that g describes. */
static void run_chunk(gemm_job *j)
{
    chunk *g = &j->g;
    /* With one chunk along K, what was packed for the chunk before may still stand. */
    const bool b_stands = g->m0 > 0 && !g->sums, a_stands = g->n0 > 0 && !g->sums && j->M <= MB;
    int64_t b_pieces = divide_up(g->transpose_b ? g->n : g->k, g->transpose_b ? NR : PACK_ROWS);
    int64_t c_pieces = divide_up(g->m, ROW_BLOCK) * divide_up(divide_up(g->n, NR), GROUP);
#if defined(GEMM_LIBRARY)
    if (g->library) {
        b_pieces = NAME(library_b_pieces)(g);
        c_pieces = NAME(library_c_pieces)(g);
    }
#endif
    g->b_pieces = b_stands ? 0 : b_pieces;
    g->a_pieces = !g->pack_a || a_stands ? 0 : divide_up(g->m, PACK_ROWS);
    if (g->b_pieces + g->a_pieces > 0)
        pool_run(j->team, g->b_pieces + g->a_pieces, pack, j);
    pool_run(j->team, c_pieces, multiply, j);
}

static int64_t depth_of(const gemm_term *t)
{
    return t->transpose_a ? t->a.rows : t->a.cols;
}

/* A is read where it lies if that is what its cells would be; a pair may not reach past the end of a row. */
static bool must_pack_a(const gemm_term *t, int64_t M)
{
    const int64_t rows = t->transpose_a ? t->a.cols : t->a.rows;
    return !is_cells(t->a) || rows != M || (KP > 1 && (t->transpose_a || depth_of(t) % KP != 0));
}

/* All chunks along K of one term, for the rows and columns that g has. */
static void run_term(gemm_job *j, int index)
{
    const gemm_term *t = &j->terms[index];
    const int64_t K = depth_of(t);
    chunk *g = &j->g;
    g->a = t->a;
    g->b = t->b;
    g->transpose_a = t->transpose_a;
    g->transpose_b = t->transpose_b;
    g->alpha = t->alpha;
    g->a_first = t->first;
    g->pack_a = must_pack_a(t, j->M);
#if defined(GEMM_LIBRARY)
    g->rows_there = j->M;
    g->library = NAME(library_takes)(g, j->M, j->N, K);
#endif
    g->k0 = 0;
    do {
        g->k = smaller(KB, K - g->k0);
        g->first = index == 0 && g->k0 == 0;
        g->last = index == j->n_terms - 1 && g->k0 + g->k == K;
        run_chunk(j);
        g->k0 += g->k;
    } while (g->k0 < K);
}

/* Buffers for the chunks; false when there is no memory, which the pool remembers. */
static bool find_room(gemm_job *j)
{
    int64_t deepest = 1;
    bool pack_a = false, several = j->n_terms > 1;
    for (const gemm_term *t = j->terms; t < j->terms + j->n_terms; t++) {
        const int64_t K = depth_of(t), k = smaller(round_up(K, KP), KB);
        deepest = deepest < k ? k : deepest;
        pack_a |= must_pack_a(t, j->M);
        several |= K > KB;
    }
    chunk *g = &j->g;
    const int64_t rows = smaller(j->M, MB);
    g->b_packed = pool_scratch(j->team, 0, 0, (size_t)(round_up(smaller(j->N, NB), NR) * deepest) * sizeof(cell));
    if (pack_a)
        g->a_packed = pool_scratch(j->team, 0, 1, (size_t)(round_up(rows, LIBRARY_ROWS) * A_ROW) * sizeof(cell));
    if (several)
        g->sums = pool_scratch(j->team, 0, 2, (size_t)(rows * NB) * sizeof(real));
    return g->b_packed && (!pack_a || g->a_packed) && (!several || g->sums);
}

static void run_terms(gemm_job *j)
{
    chunk *g = &j->g;
    if (!find_room(j))
        return;
    for (g->n0 = 0; g->n0 < j->N; g->n0 += NB)
        for (g->m0 = 0; g->m0 < j->M; g->m0 += MB) {
            g->n = smaller(NB, j->N - g->n0);
            g->m = smaller(MB, j->M - g->m0);
            for (int i = 0; i < j->n_terms; i++)
                run_term(j, i);
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
