/* library.c: the matrix product by oneDNN, where it has instructions that we have not (AMX tiles). A chunk's B is
 * decoded to bf16, unless it is that already, and each piece is a product of MOST_ROWS or LEAST_ROWS rows and
 * PANEL_COLUMNS columns, so that few primitives serve any number of rows. */
#include "gemm.h"

#if defined(GEMM_LIBRARY)

enum { PANEL_COLUMNS = 192, MOST_ROWS = LIBRARY_ROWS, LEAST_ROWS = LIBRARY_ROWS / 2 };

/* The shape of a piece: n columns and k terms of b; A's rows are a_stride apart. */
static onednn_shape shape_of(const gemm_term *t, int64_t rows, int64_t n, int64_t k, int64_t a_stride,
                             int64_t b_columns)
{
    return (onednn_shape){ .rows = rows,
                           .n = n,
                           .k = k,
                           .a_stride = a_stride,
                           .b_stride = is_cells(t->b)   ? t->b.ld
                                       : t->transpose_b ? k
                                                        : b_columns,
                           .b_turned = t->transpose_b };
}

static bool takes_columns(const gemm_term *t, int64_t columns, int64_t k, int64_t a_stride)
{
    for (int64_t at = 0; at < columns; at += PANEL_COLUMNS) {
        const int64_t n = smaller(PANEL_COLUMNS, columns - at);
        if (!onednn_takes(shape_of(t, MOST_ROWS, n, k, a_stride, columns)) ||
            !onednn_takes(shape_of(t, LEAST_ROWS, n, k, a_stride, columns)))
            return false;
    }
    return true;
}

/* Products of few rows, or thin ones, stay with us. */
bool NAME(library_takes)(int64_t M, int64_t N, const gemm_term *t, bool pack_a)
{
    const int64_t K = t->transpose_a ? t->a.rows : t->a.cols, a_stride = pack_a ? A_ROW : t->a.ld;
    if (M < LEAST_ROWS || N < 64 || K < 64 || (t->transpose_a && !pack_a))
        return false;
    for (int64_t n = smaller(N, NB); n > 0; n = n == N % NB ? 0 : N % NB)
        for (int64_t k = smaller(K, KB); k > 0; k = k == K % KB ? 0 : K % KB)
            if (!takes_columns(t, n, k, a_stride))
                return false;
    return true;
}

static onednn_shape shape_of_panel(const chunk *g, int64_t rows, int64_t panel)
{
    const segment *s = g->segments;
    return shape_of(s->term, rows, smaller(PANEL_COLUMNS, g->n - panel * PANEL_COLUMNS), s->k, rows_of_a(g, s).row,
                    g->n);
}

int64_t NAME(library_b_pieces)(const chunk *g)
{
    const segment *s = g->segments;
    return is_cells(s->term->b) ? 0 : divide_up(s->term->transpose_b ? g->n : s->k, PACK_ROWS);
}

int64_t NAME(library_c_pieces)(const chunk *g)
{
    return divide_up(g->m, MOST_ROWS) * divide_up(g->n, PANEL_COLUMNS);
}

void NAME(library_pack)(const chunk *g, int64_t piece)
{
    const segment *s = g->segments;
    const int turned = s->term->transpose_b;
    const int64_t rows = turned ? g->n : s->k, columns = turned ? s->k : g->n;
    const int64_t row = turned ? g->n0 : s->k0, column = turned ? s->k0 : g->n0;
    for (int64_t i = piece * PACK_ROWS; i < smaller(rows, (piece + 1) * PACK_ROWS); i++)
        cells_of(s->term->b, row + i, column, columns, (cell *)g->b_packed + i * columns);
}

static const cell *panel_of(const chunk *g, int64_t panel, int64_t stride)
{
    const segment *s = g->segments;
    const int64_t at = panel * PANEL_COLUMNS * (s->term->transpose_b ? stride : 1);
    if (!is_cells(s->term->b))
        return (const cell *)g->b_packed + at;
    return (const cell *)s->term->b.p + at + (s->term->transpose_b ? g->n0 * stride + s->k0 : s->k0 * stride + g->n0);
}

/* The last rows of an A that is read where it lies are taken together with rows before them, whose sums are not used;
 * after the last rows of a packed A there is room, and what stands there is not used either. */
void NAME(library_multiply)(const chunk *g, int64_t piece, pool *team, int thread)
{
    const int64_t panels = divide_up(g->n, PANEL_COLUMNS), panel = piece % panels, m = piece / panels * MOST_ROWS;
    const int64_t wanted = smaller(MOST_ROWS, g->m - m),
                  rows = wanted > LEAST_ROWS && g->rows_there >= MOST_ROWS ? MOST_ROWS : LEAST_ROWS;
    const onednn_shape shape = shape_of_panel(g, rows, panel);
    const rows_of a = rows_of_a(g, g->segments);
    real *sums = pool_scratch(team, thread, 3, (size_t)(rows * shape.n) * sizeof(real));
    if (!sums)
        return;
    for (int64_t done = 0; done < wanted; done += rows) {
        const int64_t last = g->rows_there - g->m0 - rows,
                      from = g->segments->pack_a || m + done < last ? m + done : last;
        onednn_multiply(sums, a.p + from * a.row, panel_of(g, panel, shape.b_stride), shape);
        store_sums(g, sums + (m + done - from) * shape.n, shape.n, m + done, panel * PANEL_COLUMNS,
                   smaller(rows, wanted - done), shape.n);
    }
}

#endif
