/* gemm.h: the parts of the matrix product: driver (gemm.c), packing (pack.c), oneDNN (library.c), few rows
 * (gemv.c, gemv_turned.c).
 *
 * The products of a sum lie one after the other along K. That axis is cut into slices of at most KB cells, and each is
 * taken in chunks of MB x NB. For a chunk, two jobs go to the pool: one packs B (and those A that cannot be read where
 * they lie), decoding or rounding to cells on the way; the other multiplies. So every operand element is decoded once
 * per chunk, into a buffer that stays in the second and third caches, whatever the number of threads. Sums run over k
 * in order within a slice, all terms of it in one; over slices they are collected in real, and rounded once. */
#ifndef LORAC_GEMM_H
#define LORAC_GEMM_H

#include "tile.h"

enum {
    MB = 1024,
    NB = 768,
    KB = 1792, /* whole blocks of every quantised type */
    A_ROW = KB + 32,
    PACK_ROWS = 32,
    GEMV_ROWS = 8,
    LIBRARY_ROWS = 256,
    SEGMENTS_MOST = 16
};
/* The library reads LIBRARY_ROWS at a time, past the end of a packed chunk of A. */
_Static_assert(MB % LIBRARY_ROWS == 0, "there is room for whole blocks of rows");

/* Part of one term within a slice: k0..k0+k-1 of its depth, which stand `at` cells after the start of the slice. */
typedef struct segment {
    const gemm_term *term;
    int64_t k0, k, at;
    bool pack_a;                /* else A is read where it lies */
    int64_t b_pieces, a_pieces; /* of the packing job */
} segment;

/* One chunk: m x n from m0, n0 of a slice. */
typedef struct chunk {
    mat c;
    int turned; /* c holds the transpose of the product */
    real beta;
    int64_t m0, n0, m, n;
    segment segments[SEGMENTS_MOST];
    tile_part parts[SEGMENTS_MOST]; /* the segments' A */
    int count;                      /* of both */
    int64_t depth;                  /* of all segments, in cells */
    bool first, last;               /* of the slices */
    cell *a_packed;                 /* [MB][A_ROW] */
    void *b_packed;                 /* panels (pack.c), or what the library wants */
    real *sums;                     /* [MB, NB] when there are several slices, else NULL */
    bool library;                   /* oneDNN multiplies the one segment (library.c) */
    int64_t rows_there;             /* then: rows of A, which may be more than its chunk's */
} chunk;

/* Whether a matrix is cells where it lies. Numbers in a file may stand at any address. */
INLINE bool is_cells(mat m)
{
    return m.type == CELL_TYPE && CELL_TYPE == ACT_TYPE && (uintptr_t)m.p % sizeof(cell) == 0;
}

/* Where a segment begins in a panel. */
INLINE cell *panel_at(const chunk *g, const segment *s, int64_t panel)
{
    return (cell *)g->b_packed + (panel * g->depth + s->at) * NR;
}

/* A segment's A for the chunk's rows, packed or not. */
INLINE rows_of rows_of_a(const chunk *g, const segment *s)
{
    if (s->pack_a)
        return (rows_of){ g->a_packed + s->at, A_ROW, 1 };
    const mat *a = &s->term->a;
    const cell *p = a->p;
    if (s->term->transpose_a)
        return (rows_of){ p + s->k0 * a->ld + g->m0, 1, a->ld };
    return (rows_of){ p + g->m0 * a->ld + s->k0, a->ld, 1 };
}

/* c[at..at+n-1] = sum + beta c, rounded once. */
INLINE void store_row(mat to, real beta, const real *sum, int64_t at, int64_t n)
{
    if (to.type == DT_REAL) {
        real *c = (real *)to.p + at;
        for (int64_t j = 0; j < n; j++)
            c[j] = beta == 0 ? sum[j] : sum[j] + beta * c[j];
    } else {
        act *c = (act *)to.p + at;
        for (int64_t j = 0; j < n; j++)
            c[j] = narrow(beta == 0 ? sum[j] : sum[j] + beta * widen(c[j]));
    }
}

/* alpha · a as real numbers, rows `stride` apart and filled up with zeros. Returns what follows the last. */
INLINE real *fill_reals(real *out, const gemm_term *t, int64_t stride)
{
    const mat a = t->a;
    for (int64_t m = 0; m < a.rows; m++, out += stride) {
        decode(out, a, m, 0, a.cols);
        for (int64_t k = 0; k < a.cols && t->alpha != 1; k++)
            out[k] *= t->alpha;
        memset(out + a.cols, 0, (size_t)(stride - a.cols) * sizeof *out);
    }
    return out;
}

/* Cells col..col+n-1 of a row: where they lie, if they are cells already, else made in `room`. n <= KB. */
const cell *NAME(cells_of)(mat m, int64_t row, int64_t col, int64_t n, cell *room);
#define cells_of NAME(cells_of)
/* Pieces of the packing job. */
void NAME(pack_a)(const chunk *g, const segment *s, int64_t piece);
void NAME(pack_b)(const chunk *g, const segment *s, int64_t piece);
/* Puts sums[rows][stride], rows m.. and columns n.. of the chunk, where they belong. */
void NAME(store_sums)(const chunk *g, real *sums, int64_t stride, int64_t m, int64_t n, int64_t rows, int64_t columns);
#define store_sums NAME(store_sums)

/* The same as gemm_sum for at most GEMV_ROWS rows, a never and b always transposed. */
void NAME(gemv)(pool *, mat c, const gemm_term *terms, int n_terms, real beta);
/* The same where the first b is not transposed, and those of the others are, and are real. */
bool NAME(gemv_turned_takes)(mat c, const gemm_term *terms, int n_terms);
void NAME(gemv_turned)(pool *, mat c, const gemm_term *terms, int n_terms, real beta);

#if defined(GEMM_LIBRARY)
#include "onednn.h"

/* Whether oneDNN takes one term of a product with M rows and N columns. */
bool NAME(library_takes)(int64_t M, int64_t N, const gemm_term *t, bool pack_a);
int64_t NAME(library_b_pieces)(const chunk *g);
int64_t NAME(library_c_pieces)(const chunk *g);
void NAME(library_pack)(const chunk *g, int64_t piece);
void NAME(library_multiply)(const chunk *g, int64_t piece, pool *team, int thread);
#endif

#endif
