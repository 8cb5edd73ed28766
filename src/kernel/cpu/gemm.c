/* gemm.c: c = alpha op(a) op(b) + beta c for operands of any type: cuts the product into chunks, and multiplies a
 * packed chunk tile by tile. See gemm.h. */
#include "gemm.h"

enum { ROW_BLOCK = 64, GROUP = 2 };

/* c[at..at+n-1] from sums. */
INLINE void store_row(const chunk *g, const real *sum, int64_t at, int64_t n)
{
    const real alpha = g->alpha, beta = g->beta;
    if (g->c.type == DT_REAL) {
        real *c = (real *)g->c.p + at;
        if (beta == 0)
            for (int64_t j = 0; j < n; j++)
                c[j] = alpha * sum[j];
        else
            for (int64_t j = 0; j < n; j++)
                c[j] = alpha * sum[j] + beta * c[j];
    } else {
        act *c = (act *)g->c.p + at;
        if (beta == 0)
            for (int64_t j = 0; j < n; j++)
                c[j] = narrow(alpha * sum[j]);
        else
            for (int64_t j = 0; j < n; j++)
                c[j] = narrow(alpha * sum[j] + beta * widen(c[j]));
    }
}

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
        if (g->turned) {
            for (int64_t j = 0; j < columns; j++)
                store_row(g, sum + j, (g->n0 + n + j) * g->c.ld + g->m0 + m + i, 1);
            continue;
        }
        store_row(g, sum, (g->m0 + m + i) * g->c.ld + g->n0 + n, columns);
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

/* How many pieces the two jobs of a chunk have. */
static void plan_chunk(chunk *g, int64_t M, int64_t K, int64_t *c_pieces)
{
    const int b_stands = g->m0 > 0 && K <= KB, a_stands = g->n0 > 0 && K <= KB && M <= MB;
    g->b_pieces = divide_up(g->transpose_b ? g->n : g->k, g->transpose_b ? NR : PACK_ROWS);
    *c_pieces = divide_up(g->m, ROW_BLOCK) * divide_up(divide_up(g->n, NR), GROUP);
#if defined(GEMM_LIBRARY)
    if (g->library) {
        g->b_pieces = NAME(library_b_pieces)(g);
        *c_pieces = NAME(library_c_pieces)(g);
    }
#endif
    g->b_pieces = b_stands ? 0 : g->b_pieces;
    g->a_pieces = !g->pack_a || a_stands ? 0 : divide_up(g->m, PACK_ROWS);
}

static void run_chunks(gemm_job *j, int64_t M, int64_t N, int64_t K)
{
    chunk *g = &j->g;
    for (g->n0 = 0; g->n0 < N; g->n0 += NB)
        for (g->m0 = 0; g->m0 < M; g->m0 += MB) {
            g->n = smaller(NB, N - g->n0);
            g->m = smaller(MB, M - g->m0);
            g->k0 = 0;
            do {
                int64_t c_pieces;
                g->k = smaller(KB, K - g->k0);
                g->first = g->k0 == 0;
                g->last = g->k0 + g->k == K;
                plan_chunk(g, M, K, &c_pieces);
                if (g->b_pieces + g->a_pieces > 0)
                    pool_run(j->team, g->b_pieces + g->a_pieces, pack, j);
                pool_run(j->team, c_pieces, multiply, j);
                g->k0 += g->k;
            } while (g->k0 < K);
        }
}

/* Buffers for the chunks; false when there is no memory, which the pool remembers. */
static bool find_room(chunk *g, pool *team, int64_t M, int64_t N, int64_t K)
{
    const int64_t k_most = smaller(round_up(K, KP), KB);
#if defined(GEMM_LIBRARY)
    g->rows_there = M;
    g->library = NAME(library_takes)(g, M, N, K);
#endif
    g->b_packed = pool_scratch(team, 0, 0, (size_t)(round_up(smaller(N, NB), NR) * k_most + 1) * sizeof(cell));
    if (g->pack_a)
        g->a_packed = pool_scratch(team, 0, 1, (size_t)(round_up(smaller(M, MB), LIBRARY_ROWS) * A_ROW) * sizeof(cell));
    if (K > KB)
        g->sums = pool_scratch(team, 0, 2, (size_t)(smaller(M, MB) * NB) * sizeof(real));
    return g->b_packed && (!g->pack_a || g->a_packed) && (K <= KB || g->sums);
}

void NAME(gemm)(pool *p, mat c, mat a, int transpose_a, mat b, int transpose_b, real alpha, real beta)
{
    int64_t M = c.rows, N = c.cols;
    const int64_t K = transpose_a ? a.rows : a.cols;
    assert((transpose_a ? a.cols : a.rows) == M);
    assert((transpose_b ? b.cols : b.rows) == K && (transpose_b ? b.rows : b.cols) == N);
    assert(c.type == ACT_TYPE || c.type == DT_REAL);
    if (M == 0 || N == 0)
        return;
    if (M <= GEMV_ROWS && !transpose_a && transpose_b) {
        NAME(gemv)(p, c, a, b, alpha, beta);
        return;
    }
    gemm_job j = { { .c = c, .a = a, .b = b, .transpose_a = transpose_a, .transpose_b = transpose_b }, p };
    /* A tall transposed a is dear to pack as rows; turned around, cᵀ = op(b)ᵀ op(a)ᵀ, it is packed as panels. */
    if (transpose_a && M > N) {
        j.g = (chunk){ .c = c, .a = b, .b = a, .transpose_a = !transpose_b, .transpose_b = 0, .turned = 1 };
        M = c.cols;
        N = c.rows;
    }
    chunk *g = &j.g;
    g->alpha = alpha;
    g->beta = beta;
    /* A is read where it lies if that is what its cells would be; a pair may not reach past the end of a row. */
    g->pack_a = !is_cells(g->a) || (KP > 1 && (g->transpose_a || K % KP != 0));
    if (find_room(g, p, M, N, K))
        run_chunks(&j, M, N, K);
}
