/* library.c: the matrix product by oneDNN, where it has instructions that we have not (AMX tiles). A chunk's B is
 * decoded to bf16, unless it is that already, and each piece is a product of MOST_ROWS or LEAST_ROWS rows and
 * PANEL_COLUMNS columns, so that few primitives serve any number of rows. */
#include "gemm.h"

#if defined(GEMM_LIBRARY)

enum { PANEL_COLUMNS = 192, MOST_ROWS = LIBRARY_ROWS, LEAST_ROWS = LIBRARY_ROWS / 2 };

static onednn_shape shape_of(const chunk *g, int64_t rows, int64_t panel)
{
    const int64_t packed = g->transpose_b ? g->k : g->n;
    return (onednn_shape){ .rows = rows,
                           .n = smaller(PANEL_COLUMNS, g->n - panel * PANEL_COLUMNS),
                           .k = g->k,
                           .a_stride = rows_of_a(g).row,
                           .b_stride = is_cells(g->b) ? g->b.ld : packed,
                           .b_turned = g->transpose_b };
}

static bool takes_chunk(chunk g, int64_t n, int64_t k)
{
    g.n = n;
    g.k = k;
    for (int64_t panel = 0; panel < divide_up(n, PANEL_COLUMNS) && k > 0; panel++)
        if (!onednn_takes(shape_of(&g, MOST_ROWS, panel)) || !onednn_takes(shape_of(&g, LEAST_ROWS, panel)))
            return false;
    return true;
}

/* Products of few rows, or thin ones, stay with us. */
bool NAME(library_takes)(const chunk *g, int64_t M, int64_t N, int64_t K)
{
    const int64_t n = smaller(N, NB), k = smaller(K, KB);
    return M >= LEAST_ROWS && N >= 64 && K >= 64 && takes_chunk(*g, n, k) && takes_chunk(*g, n, K % k) &&
           takes_chunk(*g, N % n, k) && takes_chunk(*g, N % n, K % k);
}

int64_t NAME(library_b_pieces)(const chunk *g)
{
    return is_cells(g->b) ? 0 : divide_up(g->transpose_b ? g->n : g->k, PACK_ROWS);
}

int64_t NAME(library_c_pieces)(const chunk *g)
{
    return divide_up(g->m, MOST_ROWS) * divide_up(g->n, PANEL_COLUMNS);
}

void NAME(library_pack)(const chunk *g, int64_t piece)
{
    const int64_t rows = g->transpose_b ? g->n : g->k, columns = g->transpose_b ? g->k : g->n;
    const int64_t row = g->transpose_b ? g->n0 : g->k0, column = g->transpose_b ? g->k0 : g->n0;
    for (int64_t i = piece * PACK_ROWS; i < smaller(rows, (piece + 1) * PACK_ROWS); i++)
        cells_of(g->b, row + i, column, columns, (cell *)g->b_packed + i * columns);
}

static const cell *panel_of(const chunk *g, int64_t panel, int64_t stride)
{
    const int64_t at = panel * PANEL_COLUMNS * (g->transpose_b ? stride : 1);
    if (!is_cells(g->b))
        return (const cell *)g->b_packed + at;
    return (const cell *)g->b.p + at + (g->transpose_b ? g->n0 * stride + g->k0 : g->k0 * stride + g->n0);
}

/* The last rows of an A that is read where it lies are taken together with rows before them, whose sums are not used;
 * after the last rows of a packed A there is room, and what stands there is not used either. */
void NAME(library_multiply)(const chunk *g, int64_t piece, pool *team, int thread)
{
    const int64_t panels = divide_up(g->n, PANEL_COLUMNS), panel = piece % panels, m = piece / panels * MOST_ROWS;
    const int64_t wanted = smaller(MOST_ROWS, g->m - m),
                  rows = wanted > LEAST_ROWS && g->rows_there >= MOST_ROWS ? MOST_ROWS : LEAST_ROWS;
    const onednn_shape shape = shape_of(g, rows, panel);
    const rows_of a = rows_of_a(g);
    real *sums = pool_scratch(team, thread, 3, (size_t)(rows * shape.n) * sizeof(real));
    if (!sums)
        return;
    for (int64_t done = 0; done < wanted; done += rows) {
        const int64_t last = g->rows_there - g->m0 - rows, from = g->pack_a || m + done < last ? m + done : last;
        onednn_multiply(sums, a.p + from * a.row, panel_of(g, panel, shape.b_stride), shape);
        store_sums(g, sums + (m + done - from) * shape.n, shape.n, m + done, panel * PANEL_COLUMNS,
                   smaller(rows, wanted - done), shape.n);
    }
}

#endif
