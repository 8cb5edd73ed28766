/* decompose.c: LAPACK counts columns first, so what it gets is the transpose: the singular vectors of mT are those of m
 * with the sides exchanged, m = QR is mT = LQ, and nothing has to be turned round in memory. */
#include "decompose.h"

#include "err.h"
#include "mem.h"

#include <lapacke.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ---- What every routine needs */

static int check(const double *m, int64_t rows, int64_t cols)
{
    assert(rows > 0 && cols > 0);
    if (rows > INT32_MAX || cols > INT32_MAX)
        return fail(LORAC_ERROR_USAGE, "a matrix of %lld x %lld is too large to decompose", (long long)rows,
                    (long long)cols);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            if (!isfinite(m[i * cols + j]))
                return fail(LORAC_ERROR_DATA,
                            "a matrix of %lld x %lld that is to be decomposed holds %g at row %lld, column %lld",
                            (long long)rows, (long long)cols, m[i * cols + j], (long long)i, (long long)j);
    return LORAC_OK;
}

static double *copy_of(const double *m, int64_t rows, int64_t cols)
{
    double *copy = mem_new((size_t)rows * (size_t)cols, sizeof *copy);

    if (copy)
        memcpy(copy, m, (size_t)rows * (size_t)cols * sizeof *copy);
    return copy;
}

/* LAPACK's info: negative for an argument it does not take, which would be a bug of ours. */
static int status_of(const char *routine, lapack_int info, int64_t rows, int64_t cols)
{
    assert(info >= 0);
    if (info == 0)
        return LORAC_OK;
    return fail(LORAC_ERROR_RUNTIME, "LAPACK's %s did not converge on a matrix of %lld x %lld (info %d)", routine,
                (long long)rows, (long long)cols, (int)info);
}

/* Room as large as the routine asked for; it says so as a double, which may be beyond what it can be told. */
static int make_room(double **room, lapack_int *size, double wanted, int64_t rows, int64_t cols)
{
    if (!(wanted <= INT32_MAX))
        return fail(LORAC_ERROR_USAGE, "a matrix of %lld x %lld is too large to decompose", (long long)rows,
                    (long long)cols);
    *size = (lapack_int)wanted;
    *room = mem_new((size_t)*size, sizeof **room);
    return *room ? LORAC_OK : fail_memory();
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void negate(double *x, int64_t n, int64_t stride)
{
    for (int64_t i = 0; i < n; i++)
        x[i * stride] = -x[i * stride];
}

/* Is the entry that is largest by magnitude negative? */
static bool points_down(const double *x, int64_t n, int64_t stride)
{
    double largest = 0;

    for (int64_t i = 0; i < n; i++)
        if (fabs(x[i * stride]) > fabs(largest))
            largest = x[i * stride];
    return largest < 0;
}

/* ---- Singular values: dgesdd of mT = (v) s (uT) */

static int run_svd(double *turned, int64_t rows, int64_t cols, double *u, double *s, double *vt)
{
    const lapack_int m = (lapack_int)cols, n = (lapack_int)rows, k = (lapack_int)least(rows, cols);
    lapack_int *marks = mem_new((size_t)k, 8 * sizeof *marks), size = -1, info;
    double wanted = 0, *room = NULL;
    int status = marks ? LORAC_OK : fail_memory();

    TRY_GOTO(status);
    info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, turned, m, s, vt, m, u, k, &wanted, size, marks);
    TRY_GOTO(status_of("dgesdd", info, rows, cols));
    TRY_GOTO(make_room(&room, &size, wanted, rows, cols));
    info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, turned, m, s, vt, m, u, k, room, size, marks);
    status = status_of("dgesdd", info, rows, cols);

done:
    mem_free(room);
    mem_free(marks);
    return status;
}

int decompose_svd(const double *m, int64_t rows, int64_t cols, double *u, double *s, double *vt)
{
    const int64_t k = least(rows, cols);
    double *turned;
    int status;

    TRY(check(m, rows, cols));
    turned = copy_of(m, rows, cols);
    status = turned ? run_svd(turned, rows, cols, u, s, vt) : fail_memory();
    mem_free(turned);
    TRY(status);
    for (int64_t j = 0; j < k; j++)
        if (points_down(u + j, rows, k)) {
            negate(u + j, rows, k);
            negate(vt + j * cols, cols, 1);
        }
    return LORAC_OK;
}

/* ---- QR: dgelqf of mT = L Q. L [cols, k] and Q [k, rows], columns first, are r and q, rows first. */

static int run_lq(double *turned, int64_t rows, int64_t cols, double *tau)
{
    const lapack_int m = (lapack_int)cols, n = (lapack_int)rows;
    lapack_int size = -1;
    double wanted = 0, *room = NULL;

    TRY(status_of("dgelqf", LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, m, n, turned, m, tau, &wanted, size), rows, cols));
    TRY(make_room(&room, &size, wanted, rows, cols));
    lapack_int info = LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, m, n, turned, m, tau, room, size);
    mem_free(room);
    return status_of("dgelqf", info, rows, cols);
}

static int expand_q(double *q, int64_t rows, int64_t k, const double *tau)
{
    const lapack_int m = (lapack_int)k, n = (lapack_int)rows;
    lapack_int size = -1;
    double wanted = 0, *room = NULL;

    TRY(status_of("dorglq", LAPACKE_dorglq_work(LAPACK_COL_MAJOR, m, n, m, q, m, tau, &wanted, size), rows, k));
    TRY(make_room(&room, &size, wanted, rows, k));
    lapack_int info = LAPACKE_dorglq_work(LAPACK_COL_MAJOR, m, n, m, q, m, tau, room, size);
    mem_free(room);
    return status_of("dorglq", info, rows, k);
}

/* The triangle and, beyond it, the reflectors that make Q. */
static int take_factors(const double *turned, int64_t rows, int64_t cols, const double *tau, double *q, double *r)
{
    const int64_t k = least(rows, cols);

    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < cols; j++)
            r[i * cols + j] = j < i ? 0 : turned[i * cols + j];
    for (int64_t i = 0; i < rows; i++)
        memcpy(q + i * k, turned + i * cols, (size_t)k * sizeof *q);
    TRY(expand_q(q, rows, k, tau));
    for (int64_t i = 0; i < k; i++)
        if (r[i * cols + i] < 0) {
            negate(r + i * cols + i, cols - i, 1);
            negate(q + i, rows, k);
        }
    return LORAC_OK;
}

int decompose_qr(const double *m, int64_t rows, int64_t cols, double *q, double *r)
{
    double *turned, *tau;
    int status;

    TRY(check(m, rows, cols));
    turned = copy_of(m, rows, cols);
    tau = mem_new((size_t)least(rows, cols), sizeof *tau);
    status = turned && tau ? run_lq(turned, rows, cols, tau) : fail_memory();
    if (status == LORAC_OK)
        status = take_factors(turned, rows, cols, tau, q, r);
    mem_free(tau);
    mem_free(turned);
    return status;
}

/* ---- Eigenvalues: dsyevd, which gives them ascending and the vectors in its columns, which are our rows */

static int run_symmetric(double *vectors, int64_t n, double *values)
{
    const lapack_int order = (lapack_int)n;
    lapack_int size = -1, mark_size = -1, marks_wanted = 0, *marks = NULL, info;
    double wanted = 0, *room = NULL;
    int status;

    info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', order, vectors, order, values, &wanted, size, &marks_wanted,
                               mark_size);
    TRY(status_of("dsyevd", info, n, n));
    TRY(make_room(&room, &size, wanted, n, n));
    mark_size = marks_wanted;
    marks = mem_new((size_t)mark_size, sizeof *marks);
    status = marks ? LORAC_OK : fail_memory();
    TRY_GOTO(status);
    info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', order, vectors, order, values, room, size, marks, mark_size);
    status = status_of("dsyevd", info, n, n);

done:
    mem_free(marks);
    mem_free(room);
    return status;
}

static void swap(double *a, double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

int decompose_symmetric(const double *m, int64_t n, double *values, double *vectors)
{
    TRY(check(m, n, n));
    memcpy(vectors, m, (size_t)n * (size_t)n * sizeof *vectors);
    TRY(run_symmetric(vectors, n, values));
    for (int64_t i = 0; i < n / 2; i++) {
        swap(values + i, values + n - 1 - i, 1);
        swap(vectors + i * n, vectors + (n - 1 - i) * n, n);
    }
    for (int64_t i = 0; i < n; i++)
        if (points_down(vectors + i * n, n, 1))
            negate(vectors + i * n, n, 1);
    return LORAC_OK;
}
