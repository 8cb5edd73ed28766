/* gemv_turned.c: a few rows of a times b as it lies, [K, N], for weights that are filed as [in, out]: every weight is
 * read once, a range of columns of a few rows at a time. Nothing is rounded to the compute type, and what a row of the
 * result gets does not depend on the rows beside it. */
#include "gemm.h"

enum { COLUMNS = 128, TOGETHER = 4, FETCH_AHEAD = 8 };

typedef struct turned_job {
    mat c;
    const gemm_term *terms;
    int n_terms;
    const real *numbers; /* alpha · a of all terms, rows filled up with zeros to whole TOGETHERs */
    real beta;
} turned_job;

static int64_t stride_of(const gemm_term *t)
{
    return round_up(t->a.cols, TOGETHER);
}

static bool is_real(mat m)
{
    return m.type == DT_REAL && (uintptr_t)m.p % sizeof(real) == 0;
}

static const real *columns_of(mat b, int64_t k, int64_t n, int64_t count, real *room)
{
    if (k >= b.rows)
        return memset(room, 0, (size_t)count * sizeof *room);
    if (is_real(b))
        return (const real *)b.p + k * b.ld + n;
    decode(room, b, k, n, count);
    return room;
}

/* The rows of b that come next are far from each other. */
static void fetch_columns(mat b, int64_t k, int64_t n, int64_t count)
{
    const int64_t bytes = dtype_block_bytes(b.type);
    const char *p = (const char *)b.p + (k * b.ld + n) * bytes;
    for (int64_t i = 0; i < count * bytes && k < b.rows; i += 64)
        __builtin_prefetch(p + i, 0, 2);
}

static void add_columns(const gemm_term *t, const real *numbers, int64_t n, int64_t count, real sums[][COLUMNS])
{
    const int64_t stride = stride_of(t);
    real room[TOGETHER][COLUMNS];
    const real *b[TOGETHER];
    for (int64_t k = 0; k < t->a.cols; k += TOGETHER) {
        for (int i = 0; i < TOGETHER; i++) {
            b[i] = columns_of(t->b, k + i, n, count, room[i]);
            if (dtype_block(t->b.type) == 1)
                fetch_columns(t->b, k + i + FETCH_AHEAD, n, count);
        }
        for (int64_t m = 0; m < t->a.rows; m++) {
            const real *a = numbers + m * stride + k;
            real *sum = sums[t->first + m];
            SIMD
            for (int64_t j = 0; j < count; j++)
                sum[j] += a[0] * b[0][j] + a[1] * b[1][j] + a[2] * b[2][j] + a[3] * b[3][j];
        }
    }
}

/* A term whose b is transposed: an adapter's B, which is thin. */
static void add_rows(const gemm_term *t, const real *numbers, int64_t n, int64_t count, real sums[][COLUMNS])
{
    const int64_t K = t->a.cols, stride = stride_of(t);
    for (int64_t j = 0; j < count; j++) {
        const real *b = (const real *)t->b.p + (n + j) * t->b.ld;
        for (int64_t m = 0; m < t->a.rows; m++) {
            const real *a = numbers + m * stride;
            real sum = 0;
            SIMD_SUM(sum)
            for (int64_t k = 0; k < K; k++)
                sum += a[k] * b[k];
            sums[t->first + m][j] += sum;
        }
    }
}

static void turned_groups(const void *arg, int64_t from, int64_t to, int thread)
{
    const turned_job *j = arg;
    (void)thread;
    for (int64_t n = from * COLUMNS; n < smaller(to * COLUMNS, j->c.cols); n += COLUMNS) {
        const int64_t count = smaller(COLUMNS, j->c.cols - n);
        const real *numbers = j->numbers;
        real sums[GEMV_ROWS][COLUMNS];
        memset(sums, 0, (size_t)j->c.rows * sizeof *sums);
        for (const gemm_term *t = j->terms; t < j->terms + j->n_terms; t++) {
            (t->transpose_b ? add_rows : add_columns)(t, numbers, n, count, sums);
            numbers += t->a.rows * stride_of(t);
        }
        for (int64_t m = 0; m < j->c.rows; m++)
            store_row(j->c, j->beta, sums[m], m * j->c.ld + n, count);
    }
}

bool NAME(gemv_turned_takes)(mat c, const gemm_term *terms, int n_terms)
{
    bool takes = c.rows <= GEMV_ROWS && !terms->transpose_b;
    for (int i = 0; i < n_terms; i++)
        takes &= !terms[i].transpose_a && (i == 0 || (terms[i].transpose_b && is_real(terms[i].b)));
    return takes;
}

void NAME(gemv_turned)(pool *team, mat c, const gemm_term *terms, int n_terms, real beta)
{
    int64_t count = 0;
    for (int i = 0; i < n_terms; i++)
        count += terms[i].a.rows * stride_of(&terms[i]);
    real *numbers = pool_scratch(team, 0, 0, (size_t)(count + 1) * sizeof *numbers);
    if (!numbers)
        return;
    turned_job job = { c, terms, n_terms, numbers, beta };
    for (int i = 0; i < n_terms; i++)
        numbers = fill_reals(numbers, &terms[i], stride_of(&terms[i]));
    split_rows(team, divide_up(c.cols, COLUMNS), COLUMNS * terms->a.cols, turned_groups, &job);
}
