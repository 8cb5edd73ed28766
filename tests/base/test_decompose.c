/* The decompositions: factors multiply back to the matrix, are orthonormal, ordered and signed as promised, for square,
 * tall, flat, single-row and rank-deficient matrices; what LAPACK must not see is refused. */
#include "test.h"

#include "decompose.h"
#include "err.h"
#include "mem.h"
#include "rng.h"

#include <math.h>

enum { MOST = 70 };
static const double near = 1e-13;

typedef struct shape {
    int64_t rows, cols, rank; /* rank 0: as it comes */
} shape;

static const shape shapes[] = {
    { 1, 1, 0 },   { 1, 7, 0 },   { 7, 1, 0 },   { 5, 5, 0 },   { 40, 12, 0 },
    { 12, 40, 0 }, { 70, 70, 0 }, { 30, 20, 3 }, { 20, 30, 1 },
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* out = a b, with a [rows, inner]. */
static void multiply(double *out, const double *a, const double *b, int64_t rows, int64_t inner, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            double sum = 0;
            for (int64_t l = 0; l < inner; l++)
                sum += a[i * inner + l] * b[l * cols + j];
            out[i * cols + j] = sum;
        }
}

static void random_matrix(double *m, int64_t rows, int64_t cols, const char *stream)
{
    rng r = rng_new(7, rng_stream(stream));

    for (int64_t i = 0; i < rows * cols; i++)
        m[i] = rng_normal(&r);
}

static void make_matrix(double *m, const shape *s)
{
    static double left[MOST * MOST], right[MOST * MOST];

    if (s->rank == 0) {
        random_matrix(m, s->rows, s->cols, "m");
        return;
    }
    random_matrix(left, s->rows, s->rank, "left");
    random_matrix(right, s->rank, s->cols, "right");
    multiply(m, left, right, s->rows, s->rank, s->cols);
}

static void assert_near(const double *a, const double *b, int64_t n)
{
    double largest = 1, difference = 0;

    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(b[i]));
        difference = fmax(difference, fabs(a[i] - b[i]));
    }
    if (!(difference <= near * (double)MOST * largest))
        fail_msg("differs by %g, largest %g", difference, largest);
}

/* The k vectors of x, whose entries lie `step` apart and which begin `next` apart. */
static void assert_orthonormal(const double *x, int64_t k, int64_t n, int64_t next, int64_t step)
{
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++) {
            double sum = 0;
            for (int64_t l = 0; l < n; l++)
                sum += x[i * next + l * step] * x[j * next + l * step];
            assert_true(fabs(sum - (i == j)) < near * (double)MOST);
        }
}

static void assert_points_up(const double *x, int64_t n, int64_t step)
{
    double largest = 0;

    for (int64_t i = 0; i < n; i++)
        if (fabs(x[i * step]) > fabs(largest))
            largest = x[i * step];
    assert_true(largest > 0);
}

static double m[MOST * MOST], back[MOST * MOST], u[MOST * MOST], s[MOST], vt[MOST * MOST], scaled[MOST * MOST];

static void singular_values_multiply_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t rows = shapes[i].rows, cols = shapes[i].cols, k = least(rows, cols);

        make_matrix(m, &shapes[i]);
        assert_ok(decompose_svd(m, rows, cols, u, s, vt));
        for (int64_t j = 0; j < k; j++) {
            assert_true(s[j] >= 0 && (j == 0 || s[j] <= s[j - 1]));
            assert_true(shapes[i].rank == 0 || j < shapes[i].rank || s[j] < 1e-12 * s[0]);
            assert_points_up(u + j, rows, k);
            for (int64_t l = 0; l < cols; l++)
                scaled[j * cols + l] = s[j] * vt[j * cols + l];
        }
        multiply(back, u, scaled, rows, k, cols);
        assert_near(back, m, rows * cols);
        assert_orthonormal(u, k, rows, 1, k);
        assert_orthonormal(vt, k, cols, cols, 1);
    }
}

static void qr_multiplies_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t rows = shapes[i].rows, cols = shapes[i].cols, k = least(rows, cols);

        make_matrix(m, &shapes[i]);
        assert_ok(decompose_qr(m, rows, cols, u, vt));
        multiply(back, u, vt, rows, k, cols);
        assert_near(back, m, rows * cols);
        assert_orthonormal(u, k, rows, 1, k);
        for (int64_t r = 0; r < k; r++) {
            assert_true(vt[r * cols + r] >= 0);
            for (int64_t c = 0; c < r; c++)
                assert_true(vt[r * cols + c] == 0);
        }
    }
}

static void eigenvectors_are_eigenvectors(void **state)
{
    static const int64_t sizes[] = { 1, 2, 9, MOST };
    static double symmetric[MOST * MOST], images[MOST * MOST];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t n = sizes[i];

        random_matrix(m, n, n, "symmetric");
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < n; c++)
                symmetric[r * n + c] = m[r * n + c] + m[c * n + r];
        assert_ok(decompose_symmetric(symmetric, n, s, vt));
        multiply(images, vt, symmetric, n, n, n);
        for (int64_t r = 0; r < n; r++) {
            assert_true(r == 0 || s[r] <= s[r - 1]);
            assert_points_up(vt + r * n, n, 1);
            for (int64_t c = 0; c < n; c++)
                scaled[r * n + c] = s[r] * vt[r * n + c];
        }
        assert_near(images, scaled, n * n);
        assert_orthonormal(vt, n, n, n, 1);
    }
}

static void a_zero_matrix_is_fine(void **state)
{
    (void)state;
    memset(m, 0, sizeof m);
    assert_ok(decompose_svd(m, 6, 4, u, s, vt));
    assert_true(s[0] == 0);
    assert_orthonormal(u, 4, 6, 1, 4);
    assert_ok(decompose_qr(m, 6, 4, u, vt));
    assert_orthonormal(u, 4, 6, 1, 4);
    assert_ok(decompose_symmetric(m, 5, s, vt));
    assert_orthonormal(vt, 5, 5, 5, 1);
}

static void the_input_is_only_read_and_results_repeat(void **state)
{
    static double kept[MOST * MOST], u2[MOST * MOST], s2[MOST], vt2[MOST * MOST];

    (void)state;
    random_matrix(m, 20, 13, "again");
    memcpy(kept, m, sizeof m);
    assert_ok(decompose_svd(m, 20, 13, u, s, vt));
    assert_ok(decompose_svd(m, 20, 13, u2, s2, vt2));
    assert_memory_equal(m, kept, sizeof m);
    assert_memory_equal(u, u2, 20 * 13 * sizeof *u);
    assert_memory_equal(vt, vt2, 13 * 13 * sizeof *vt);
    assert_ok(decompose_qr(m, 20, 13, u, vt));
    assert_memory_equal(m, kept, sizeof m);
}

static void numbers_that_are_none_are_refused(void **state)
{
    static const double bad[] = { NAN, INFINITY, -INFINITY };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        random_matrix(m, 6, 6, "bad");
        m[3 * 6 + 4] = bad[i];
        assert_int_equal(decompose_svd(m, 6, 6, u, s, vt), LORAC_ERROR_DATA);
        assert_contains(lorac_last_error()->message, "row 3, column 4");
        assert_int_equal(decompose_qr(m, 6, 6, u, vt), LORAC_ERROR_DATA);
        assert_int_equal(decompose_symmetric(m, 6, s, vt), LORAC_ERROR_DATA);
    }
}

static int all_three(void)
{
    TRY(decompose_svd(m, 9, 6, u, s, vt));
    TRY(decompose_qr(m, 9, 6, u, vt));
    return decompose_symmetric(m, 6, s, vt);
}

static void every_allocation_may_fail(void **state)
{
    int status = LORAC_ERROR_RUNTIME;

    (void)state;
    random_matrix(m, 9, 6, "memory");
    for (long n = 1; status != LORAC_OK; n++) {
        mem_fail_at(n);
        status = all_three();
        assert_int_equal(status, mem_count() >= n ? LORAC_ERROR_RUNTIME : LORAC_OK);
        assert_true(n < 30);
    }
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(singular_values_multiply_back),
        cmocka_unit_test(qr_multiplies_back),
        cmocka_unit_test(eigenvectors_are_eigenvectors),
        cmocka_unit_test(a_zero_matrix_is_fine),
        cmocka_unit_test(the_input_is_only_read_and_results_repeat),
        cmocka_unit_test(numbers_that_are_none_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
