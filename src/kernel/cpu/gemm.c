/* gemm.c: c = alpha op(a) op(b) + beta c for operands of any type.
 *
 * The product is cut into chunks of MB x NB x KB. For each, two jobs go to the pool: one packs the chunk of B (and that
 * of A, unless it can be read where it lies), decoding or rounding to cells on the way; the other multiplies row blocks
 * by groups of panels. So every operand element is decoded once per chunk, into a buffer that stays in the
 * second and third caches, whatever the number of threads. Sums run over k in order within a chunk of K; over chunks
 * they are collected in real.
 *
 * Few rows times a transposed b (generation) go to gemv.c instead. */
#include "gemm.h"

enum { MB = 1024, NB = 768, KB = 1536, A_ROW = KB + 32, ROW_BLOCK = 64, GROUP = 2, PACK_ROWS = 32, SHORT_STEP = 192, LONG_STEP = 256 };

/* One chunk of a product. */
typedef struct chunk {
    mat c, a, b;
    int transpose_a, transpose_b;
    real alpha, beta;
    int64_t m0, n0, k0, m, n, k;
    int pack_a, pack_b;
    cell *a_packed, *b_packed;
    real *sums;      /* [MB, NB] when K has more than one chunk, else NULL */
    int first, last; /* of the chunks along K */
    int turned;      /* c holds the transpose of the product */
    int64_t b_pieces, a_pieces;
} chunk;

static cell *panel_at(const chunk *g, int64_t panel)
{
    return g->b_packed + panel * round_up(g->k, KP) * NR;
}

/* Cells col..col+n-1 of a row: where they lie, if they are cells already, else made in `room`. */
INLINE const cell *cells_of(mat m, int64_t row, int64_t col, int64_t n, cell *room)
{
    real values[KB];
    if (m.type == CELL_TYPE && CELL_TYPE == ACT_TYPE)
        return (const cell *)m.p + row * m.ld + col;
    decode(values, m, row, col, n);
    to_cells(room, values, n);
    return room;
}

/* KP rows of n cells as one row of units of every panel. */
INLINE void put_rows(const chunk *g, int64_t k, const cell *const rows[KP])
{
    for (int64_t n = 0; n < g->n; n += NR) {
        cell *out = panel_at(g, n / NR) + k * NR;
        const int64_t columns = smaller(NR, g->n - n);
        if (columns == NR) {
            for (int j = 0; j < NR; j++)
                for (int i = 0; i < KP; i++)
                    out[j * KP + i] = rows[i][n + j];
            continue;
        }
        for (int64_t j = 0; j < NR * KP; j++)
            out[j] = j < columns * KP ? rows[j % KP][n + j / KP] : 0;
    }
}

/* b[k, n] row by row: a piece is PACK_ROWS values of k, for all panels. */
static void pack_b_plain(const chunk *g, int64_t piece)
{
    const int64_t from = piece * PACK_ROWS, to = smaller(round_up(g->k, KP), from + PACK_ROWS);
    static const cell zeros[NB];
    cell room[KP][NB];
    for (int64_t k = from; k < to; k += KP) {
        const cell *rows[KP];
        for (int i = 0; i < KP; i++)
            rows[i] = k + i < g->k ? cells_of(g->b, g->k0 + k + i, g->n0, g->n, room[i]) : zeros;
        put_rows(g, k, rows);
    }
}

/* b[n, k], read along k and turned: a piece is one panel, taken in steps along k so that what is turned stays near. */
static void pack_b_transposed(const chunk *g, int64_t piece)
{
    const int64_t step = dtype_block(g->b.type) > SHORT_STEP ? LONG_STEP : SHORT_STEP;
    const int64_t columns = smaller(NR, g->n - piece * NR);
    cell room[NR][LONG_STEP];
    if (g->b.type == CELL_TYPE && CELL_TYPE == ACT_TYPE && columns == NR && g->k % KP == 0 && g->b.ld % KP == 0) {
        const cell *rows = (const cell *)g->b.p + (g->n0 + piece * NR) * g->b.ld + g->k0;
        turn_into_panel(panel_at(g, piece), rows, g->b.ld, NR, g->k);
        return;
    }
    memset(room, 0, sizeof room);
    for (int64_t from = 0; from < g->k; from += step) {
        const int64_t k = smaller(step, g->k - from);
        for (int64_t n = 0; n < columns; n++) {
            const cell *cells = cells_of(g->b, g->n0 + piece * NR + n, g->k0 + from, k, room[n]);
            if (cells != room[n])
                memcpy(room[n], cells, (size_t)k * sizeof(cell));
            if (k % KP != 0)
                room[n][k] = 0;
        }
        turn_into_panel(panel_at(g, piece) + from * NR, room[0], LONG_STEP, NR, round_up(k, KP));
    }
}

static void pack_a_plain(const chunk *g, int64_t from, int64_t to)
{
    for (int64_t m = from; m < to; m++) {
        cell *out = g->a_packed + m * A_ROW;
        const cell *cells = cells_of(g->a, g->m0 + m, g->k0, g->k, out);
        if (cells != out)
            memcpy(out, cells, (size_t)g->k * sizeof(cell));
        if (g->k % KP != 0)
            out[g->k] = 0;
    }
}

static void pack_a_transposed(const chunk *g, int64_t from, int64_t to)
{
    real values[PACK_ROWS];
    for (int64_t k = 0; k < g->k; k++) {
        decode(values, g->a, g->k0 + k, g->m0 + from, to - from);
        for (int64_t m = from; m < to; m++)
            g->a_packed[m * A_ROW + k] = to_cell(values[m - from]);
    }
    for (int64_t m = from; m < to; m++)
        memset(g->a_packed + m * A_ROW + g->k, 0, (size_t)(round_up(g->k, KP) - g->k) * sizeof(cell));
}

static void pack(void *arg, int64_t piece, int thread)
{
    const chunk *g = arg;
    (void)thread;
    if (piece < g->b_pieces) {
        if (g->transpose_b)
            pack_b_transposed(g, piece);
        else
            pack_b_plain(g, piece);
        return;
    }
    const int64_t from = (piece - g->b_pieces) * PACK_ROWS, to = smaller(g->m, from + PACK_ROWS);
    if (g->transpose_a)
        pack_a_transposed(g, from, to);
    else
        pack_a_plain(g, from, to);
}

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

/* Puts the sums of rows m.. and columns n.. of the chunk where they belong. */
static void store(const chunk *g, real *sums, int64_t m, int64_t n, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        real *sum = sums + i * NR;
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
    store(g, sums, m, panel * NR, taken, columns);
    return taken;
}

static rows_of rows_of_a(const chunk *g)
{
    if (g->pack_a)
        return (rows_of){ g->a_packed, A_ROW, 1 };
    const cell *p = g->a.p;
    if (g->transpose_a)
        return (rows_of){ p + g->k0 * g->a.ld + g->m0, 1, g->a.ld };
    return (rows_of){ p + g->m0 * g->a.ld + g->k0, g->a.ld, 1 };
}

static void multiply(void *arg, int64_t piece, int thread)
{
    const chunk *g = arg;
    (void)thread;
    const int64_t panels = divide_up(g->n, NR), groups = divide_up(panels, GROUP);
    const int64_t from = piece / groups * ROW_BLOCK, to = smaller(g->m, from + ROW_BLOCK);
    const int64_t first = piece % groups * GROUP, last = smaller(panels, first + GROUP);
    const rows_of a = rows_of_a(g);
    for (int64_t panel = first; panel < last; panel++)
        for (int64_t m = from; m < to;)
            m += multiply_tile(g, a, panel, m, to - m);
}

/* The chunks of one product, whose operands and factors stand in g. */
static void run_chunks(pool *p, chunk *g, int64_t M, int64_t N, int64_t K)
{
    for (g->n0 = 0; g->n0 < N; g->n0 += NB)
        for (g->m0 = 0; g->m0 < M; g->m0 += MB) {
            g->n = smaller(NB, N - g->n0);
            g->m = smaller(MB, M - g->m0);
            g->k0 = 0;
            do {
                g->k = smaller(KB, K - g->k0);
                g->first = g->k0 == 0;
                g->last = g->k0 + g->k == K;
                const int b_stands = g->m0 > 0 && K <= KB, a_stands = g->n0 > 0 && K <= KB && M <= MB;
                g->b_pieces = b_stands ? 0 : divide_up(g->transpose_b ? g->n : g->k, g->transpose_b ? NR : PACK_ROWS);
                g->a_pieces = !g->pack_a || a_stands ? 0 : divide_up(g->m, PACK_ROWS);
                if (g->b_pieces + g->a_pieces > 0)
                    pool_run(p, g->b_pieces + g->a_pieces, pack, g);
                pool_run(p, divide_up(g->m, ROW_BLOCK) * divide_up(divide_up(g->n, NR), GROUP), multiply, g);
                g->k0 += g->k;
            } while (g->k0 < K);
        }
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
    if (gemv_fits(M, transpose_a, transpose_b)) {
        NAME(gemv)(p, c, a, b, alpha, beta);
        return;
    }
    chunk g = { .c = c, .a = a, .b = b, .transpose_a = transpose_a, .transpose_b = transpose_b, .alpha = alpha, .beta = beta };
    /* A tall transposed a is the dear one to pack as rows; turned around, cᵀ = op(b)ᵀ op(a)ᵀ, it is packed as panels. */
    if (transpose_a && M > N) {
        g = (chunk){ .c = c, .a = b, .b = a, .transpose_a = !transpose_b, .transpose_b = 0, .alpha = alpha, .beta = beta, .turned = 1 };
        M = c.cols;
        N = c.rows;
    }
    /* A is read where it lies if that is what its cells would be; a pair may not reach past the end of a row. */
    g.pack_a = g.a.type != CELL_TYPE || ACT_TYPE != CELL_TYPE || (KP > 1 && (g.transpose_a || K % KP != 0));
    const int64_t k_most = smaller(round_up(K, KP), KB);
    g.b_packed = pool_scratch(p, 0, 0, (size_t)(round_up(smaller(N, NB), NR) * k_most + 1) * sizeof(cell));
    if (g.pack_a)
        g.a_packed = pool_scratch(p, 0, 1, (size_t)(smaller(M, MB) * A_ROW) * sizeof(cell));
    if (K > KB)
        g.sums = pool_scratch(p, 0, 2, (size_t)(smaller(M, MB) * NB) * sizeof(real));
    if (g.b_packed && (!g.pack_a || g.a_packed) && (K <= KB || g.sums))
        run_chunks(p, &g, M, N, K);
}
