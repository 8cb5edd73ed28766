/* pack.c: operands into the layouts that the products want: panels of B, rows of A, all of cells. */
#include "gemm.h"

enum { SHORT_STEP = 192, LONG_STEP = 256 };

const cell *cells_of(mat m, int64_t row, int64_t col, int64_t n, cell *room)
{
    real values[KB];
    if (is_cells(m))
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
    if (is_cells(g->b) && columns == NR && g->k % KP == 0 && g->b.ld % KP == 0) {
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

void NAME(pack_b)(const chunk *g, int64_t piece)
{
    if (g->transpose_b)
        pack_b_transposed(g, piece);
    else
        pack_b_plain(g, piece);
}

/* Rows of c that the product is not for get zeros. */
static void pack_a_plain(const chunk *g, int64_t from, int64_t to)
{
    for (int64_t m = from; m < to; m++) {
        const int64_t row = g->m0 + m - g->a_first;
        cell *out = g->a_packed + m * A_ROW;
        if (row < 0 || row >= g->a.rows) {
            memset(out, 0, (size_t)round_up(g->k, KP) * sizeof(cell));
            continue;
        }
        const cell *cells = cells_of(g->a, row, g->k0, g->k, out);
        if (cells != out)
            memcpy(out, cells, (size_t)g->k * sizeof(cell));
        if (g->k % KP != 0)
            out[g->k] = 0;
    }
}

static void pack_a_transposed(const chunk *g, int64_t from, int64_t to)
{
    real values[PACK_ROWS];
    assert(g->a_first == 0 && g->m0 + to <= g->a.cols);
    for (int64_t k = 0; k < g->k; k++) {
        decode(values, g->a, g->k0 + k, g->m0 + from, to - from);
        for (int64_t m = from; m < to; m++)
            g->a_packed[m * A_ROW + k] = to_cell(values[m - from]);
    }
    for (int64_t m = from; m < to; m++)
        memset(g->a_packed + m * A_ROW + g->k, 0, (size_t)(round_up(g->k, KP) - g->k) * sizeof(cell));
}

void NAME(pack_a)(const chunk *g, int64_t piece)
{
    const int64_t from = piece * PACK_ROWS, to = smaller(g->m, from + PACK_ROWS);
    if (g->transpose_a)
        pack_a_transposed(g, from, to);
    else
        pack_a_plain(g, from, to);
}
