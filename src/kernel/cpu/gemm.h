/* gemm.h: the parts of the matrix product: driver (gemm.c), packing (pack.c), oneDNN (library.c), few rows (gemv.c).
 *
 * A product is cut into chunks of MB x NB x KB. For each, two jobs go to the pool: one packs the chunk of B (and that
 * of A, unless it can be read where it lies), decoding or rounding to cells on the way; the other multiplies. So every
 * operand element is decoded once per chunk, into a buffer that stays in the second and third caches, whatever
 * the number of threads. Sums run over k in order within a chunk; over chunks
 * along K, and over the products of a sum, they are collected in real and rounded once. */
#ifndef LORAC_GEMM_H
#define LORAC_GEMM_H

#include "tile.h"

enum { MB = 1024, NB = 768, KB = 1536, A_ROW = KB + 32, PACK_ROWS = 32, GEMV_ROWS = 8, LIBRARY_ROWS = 256 };
/* The library reads LIBRARY_ROWS at a time, past the end of a packed chunk of A. */
_Static_assert(MB % LIBRARY_ROWS == 0, "there is room for whole blocks of rows");

/* One chunk: m x n x k from m0, n0, k0 of one product of a sum. */
typedef struct chunk {
    mat c, a, b;
    int transpose_a, transpose_b;
    int turned;      /* c holds the transpose of the product */
    int64_t a_first; /* the row of c that a's first row is for */
    real alpha, beta;
    int64_t m0, n0, k0, m, n, k;
    int first, last;            /* of the chunks along K, of all products */
    int pack_a;                 /* else a is read where it lies */
    cell *a_packed;             /* [MB][A_ROW] */
    void *b_packed;             /* panels (pack.c), or what the library wants */
    real *sums;                 /* [MB, NB] when there are more chunks than one along K, else NULL */
    int64_t b_pieces, a_pieces; /* of the packing job, b's first */
    bool library;               /* oneDNN multiplies it (library.c) */
    int64_t rows_there;         /* then: rows of A, which may be more than its chunk's */
} chunk;

/* Whether a matrix is cells where it lies. Numbers in a file may stand at any address. */
INLINE bool is_cells(mat m)
{
    return m.type == CELL_TYPE && CELL_TYPE == ACT_TYPE && (uintptr_t)m.p % sizeof(cell) == 0;
}

INLINE cell *panel_at(const chunk *g, int64_t panel)
{
    return (cell *)g->b_packed + panel * round_up(g->k, KP) * NR;
}

/* The chunk of A as rows of cells, packed or not. */
INLINE rows_of rows_of_a(const chunk *g)
{
    if (g->pack_a)
        return (rows_of){ g->a_packed, A_ROW, 1 };
    const cell *p = g->a.p;
    if (g->transpose_a)
        return (rows_of){ p + g->k0 * g->a.ld + g->m0, 1, g->a.ld };
    return (rows_of){ p + g->m0 * g->a.ld + g->k0, g->a.ld, 1 };
}

/* Cells col..col+n-1 of a row: where they lie, if they are cells already, else made in `room`. n <= KB. */
const cell *NAME(cells_of)(mat m, int64_t row, int64_t col, int64_t n, cell *room);
#define cells_of NAME(cells_of)
/* Pieces of the packing job. */
void NAME(pack_a)(const chunk *g, int64_t piece);
void NAME(pack_b)(const chunk *g, int64_t piece);
/* Puts sums[rows][stride], rows m.. and columns n.. of the chunk, where they belong. */
void NAME(store_sums)(const chunk *g, real *sums, int64_t stride, int64_t m, int64_t n, int64_t rows, int64_t columns);
#define store_sums NAME(store_sums)

/* The same as gemm_sum for at most GEMV_ROWS rows, a never and b always transposed. */
void NAME(gemv)(pool *, mat c, const gemm_term *terms, int n_terms, real beta);

#if defined(GEMM_LIBRARY)
#include "onednn.h"

/* Whether oneDNN takes the product. */
bool NAME(library_takes)(const chunk *g, int64_t M, int64_t N, int64_t K);
int64_t NAME(library_b_pieces)(const chunk *g);
int64_t NAME(library_c_pieces)(const chunk *g);
void NAME(library_pack)(const chunk *g, int64_t piece);
void NAME(library_multiply)(const chunk *g, int64_t piece, pool *team, int thread);
#endif

#endif
