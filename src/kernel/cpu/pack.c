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
INLINE void put_rows(const chunk *g, const segment *s, int64_t k, const cell *const rows[KP])
{
    for (int64_t n = 0; n < g->n; n += NR) {
        cell *out = panel_at(g, s, n / NR) + k * NR;
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
static void pack_b_plain(const chunk *g, const segment *s, int64_t piece)
{
    const int64_t from = piece * PACK_ROWS, to = smaller(round_up(s->k, KP), from + PACK_ROWS);
    static const cell zeros[NB];
    cell room[KP][NB];
    for (int64_t k = from; k < to; k += KP) {
        const cell *rows[KP];
        for (int i = 0; i < KP; i++)
            rows[i] = k + i < s->k ? cells_of(s->term->b, s->k0 + k + i, g->n0, g->n, room[i]) : zeros;
        put_rows(g, s, k, rows);
    }
}

/* b[n, k], read along k and turned: a piece is one panel, taken in steps along k so that what is turned stays near. */
static void pack_b_transposed(const chunk *g, const segment *s, int64_t piece)
{
    const mat b = s->term->b;
    const int64_t step = dtype_block(b.type) > SHORT_STEP ? LONG_STEP : SHORT_STEP;
    const int64_t first = g->n0 + piece * NR, columns = smaller(NR, g->n - piece * NR);
    cell room[NR][LONG_STEP];
    if (is_cells(b) && columns == NR && s->k % KP == 0 && b.ld % KP == 0) {
        turn_into_panel(panel_at(g, s, piece), (const cell *)b.p + first * b.ld + s->k0, b.ld, NR, s->k);
        return;
    }
    memset(room, 0, sizeof room);
    for (int64_t from = 0; from < s->k; from += step) {
        const int64_t k = smaller(step, s->k - from);
        for (int64_t n = 0; n < columns; n++) {
            const cell *cells = cells_of(b, first + n, s->k0 + from, k, room[n]);
            if (cells != room[n])
                memcpy(room[n], cells, (size_t)k * sizeof(cell));
            if (k % KP != 0)
                room[n][k] = 0;
        }
        turn_into_panel(panel_at(g, s, piece) + from * NR, room[0], LONG_STEP, NR, round_up(k, KP));
    }
}

void NAME(pack_b)(const chunk *g, const segment *s, int64_t piece)
{
    if (s->term->transpose_b)
        pack_b_transposed(g, s, piece);
    else
        pack_b_plain(g, s, piece);
}

/* alpha · n elements as cells, rounded once. */
static void scaled_cells(cell *out, mat m, int64_t row, int64_t col, int64_t n, real alpha)
{
    real values[KB];
    decode(values, m, row, col, n);
    for (int64_t i = 0; i < n && alpha != 1; i++)
        values[i] *= alpha;
    to_cells(out, values, n);
}

/* Rows of c that the product is not for get zeros. */
static void pack_a_plain(const chunk *g, const segment *s, int64_t from, int64_t to)
{
    const mat a = s->term->a;
    for (int64_t m = from; m < to; m++) {
        const int64_t row = g->m0 + m - s->term->first;
        cell *out = g->a_packed + m * A_ROW + s->at;
        if (row < 0 || row >= a.rows) {
            memset(out, 0, (size_t)round_up(s->k, KP) * sizeof(cell));
            continue;
        }
        if (is_cells(a) && s->term->alpha == 1)
            memcpy(out, (const cell *)a.p + row * a.ld + s->k0, (size_t)s->k * sizeof(cell));
        else
            scaled_cells(out, a, row, s->k0, s->k, s->term->alpha);
        if (s->k % KP != 0)
            out[s->k] = 0;
    }
}

static void pack_a_transposed(const chunk *g, const segment *s, int64_t from, int64_t to)
{
    real values[PACK_ROWS];
    cell *const out = g->a_packed + s->at;
    assert(s->term->first == 0 && g->m0 + to <= s->term->a.cols);
    for (int64_t k = 0; k < s->k; k++) {
        decode(values, s->term->a, s->k0 + k, g->m0 + from, to - from);
        for (int64_t m = from; m < to; m++)
            out[m * A_ROW + k] = to_cell(s->term->alpha * values[m - from]);
    }
    for (int64_t m = from; m < to; m++)
        memset(out + m * A_ROW + s->k, 0, (size_t)(round_up(s->k, KP) - s->k) * sizeof(cell));
}

void NAME(pack_a)(const chunk *g, const segment *s, int64_t piece)
{
    const int64_t from = piece * PACK_ROWS, to = smaller(g->m, from + PACK_ROWS);
    if (s->term->transpose_a)
        pack_a_transposed(g, s, from, to);
    else
        pack_a_plain(g, s, from, to);
}
