/* The matrix product: all operand types, transposes, strides, factors, tails, and shapes that span several chunks. */
#include "kernel_test.h"

static double rounded(const kernels *k, double x)
{
    return k->act == DT_BF16 ? (double)bf16_to_f32(f32_to_bf16((float)x)) : x;
}

typedef struct product_case {
    int64_t M, N, K;
    dtype a, b, c;
    int transpose_a, transpose_b, strided;
    real alpha, beta;
    int shift; /* bytes that the operands stand off their natural address, as in a file */
} product_case;

static mat random_matrix(dtype type, int64_t rows, int64_t cols, int strided, int shift)
{
    const int64_t block = dtype_block(type);
    const int64_t ld = (cols + block - 1) / block * block + (strided ? block * pick(0, 3) : 0);
    uint8_t *numbers = random_numbers(type, rows * ld), *shifted = malloc(bytes_of(type, rows * ld) + 8);
    assert_non_null(shifted);
    memcpy(shifted + shift, numbers, bytes_of(type, rows * ld));
    free(numbers);
    return (mat){ shifted + shift, type, rows, cols, ld };
}

/* Elements of a matrix, times alpha, as the kernel may see them: exact, or rounded to the compute type. */
static double *values(const kernels *k, mat m, real alpha, int transposed, int round)
{
    double *out = malloc((size_t)(m.rows * m.cols + 1) * sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < m.rows; i++)
        for (int64_t j = 0; j < m.cols; j++) {
            const double x = (double)alpha * number(m.p, m.type, i * m.ld + j);
            out[transposed ? j * m.rows + i : i * m.cols + j] = round ? rounded(k, x) : x;
        }
    return out;
}

enum { FEW_ROWS = 8 };

/* A few rows are multiplied without rounding to the compute type, except for transposed weights that meet activations
 * in bf16 where the processor multiplies pairs of those. */
static int rounds(const kernels *k, int64_t rows, int transpose_a, int transpose_b, dtype a, dtype b, real alpha)
{
    if (rows > FEW_ROWS || transpose_a)
        return 1;
    if (!transpose_b)
        return 0;
    const int pairs = strcmp(k->name, "avx512-bf16") == 0 || strcmp(k->name, "amx") == 0;
    return k->act == DT_BF16 && pairs && a == DT_BF16 && b != DT_F32 && alpha == 1;
}

static void check_product(const kernels *k, product_case t)
{
    mat a = random_matrix(t.a, t.transpose_a ? t.K : t.M, t.transpose_a ? t.M : t.K, t.strided, t.shift);
    mat b = random_matrix(t.b, t.transpose_b ? t.N : t.K, t.transpose_b ? t.K : t.N, t.strided, t.shift);
    const int64_t ld = t.N + (t.strided ? pick(0, 5) : 0);
    output c = output_new(t.c, t.M * ld);
    for (int threads = 1; threads <= THREADS; threads++) {
        mat target = { output_start(&c), t.c, t.M, t.N, ld };
        k->gemm(teams[threads], target, a, t.transpose_a, b, t.transpose_b, t.alpha, t.beta);
        output_end(&c, threads);
    }
    const int round = rounds(k, t.M, t.transpose_a, t.transpose_b, t.a, t.b, t.alpha);
    double *x = values(k, a, 1, t.transpose_a, round), *y = values(k, b, 1, !t.transpose_b, round);
    char what[200];
    snprintf(what, sizeof what, "%lldx%lldx%lld %s%s %s%s -> %s alpha %g beta %g", (long long)t.M, (long long)t.N,
             (long long)t.K, dtype_name(t.a), t.transpose_a ? "'" : "", dtype_name(t.b), t.transpose_b ? "'" : "",
             dtype_name(t.c), (double)t.alpha, (double)t.beta);
    for (int64_t m = 0; m < t.M; m++)
        for (int64_t n = 0; n < ld; n++) {
            const double before = number(c.before, t.c, m * ld + n);
            double sum = 0, size = 0;
            for (int64_t i = 0; i < t.K && n < t.N; i++) {
                const double term = x[m * t.K + i] * y[n * t.K + i];
                sum += term;
                size += fabs(term);
            }
            const double want = n < t.N ? t.alpha * sum + (t.beta != 0 ? t.beta * before : 0) : before;
            const double error =
                n < t.N ? (fabs(t.alpha) * size * sqrt((double)t.K + 16) + fabs(t.beta * before)) * EPS : 0;
            output_near(&c, m * ld + n, want, error, what, k);
        }
    free(x);
    free(y);
    free((uint8_t *)a.p - t.shift);
    free((uint8_t *)b.p - t.shift);
    output_free(&c);
}

/* A product and low-rank terms for some of its rows, rounded once. */
static void check_sum(const kernels *k, int64_t M, int64_t N, int64_t K, int transpose_b, real beta)
{
    enum { TERMS = 3 };
    const int64_t first[TERMS] = { 0, M / 3, 0 }, rows[TERMS] = { M, M - M / 3, M / 2 }, depth[TERMS] = { K, 7, 16 };
    gemm_term terms[TERMS];
    double *x[TERMS], *y[TERMS];
    for (int i = 0; i < TERMS; i++) {
        const dtype type = i == 0 ? DT_Q8_0 : DT_F32;
        const int turned = i == 0 ? transpose_b : 1;
        terms[i] = (gemm_term){ random_matrix(i == 0 ? k->act : DT_REAL, rows[i], depth[i], 0, 0),
                                random_matrix(type, turned ? N : depth[i], turned ? depth[i] : N, 0, 0),
                                0,
                                turned,
                                i == 0 ? 1 : 0.01f,
                                first[i] };
        const int round = rounds(k, M, 0, transpose_b, terms[i].a.type, type, terms[i].alpha);
        x[i] = values(k, terms[i].a, terms[i].alpha, 0, round);
        y[i] = values(k, terms[i].b, 1, !turned, round);
    }
    output c = output_new(k->act, M * N);
    for (int threads = 1; threads <= THREADS; threads++) {
        k->gemm_sum(teams[threads], (mat){ output_start(&c), k->act, M, N, N }, terms, TERMS, beta);
        output_end(&c, threads);
    }
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            const double before = beta * number(c.before, k->act, m * N + n);
            double sum = before, size = fabs(before);
            for (int i = 0; i < TERMS; i++)
                for (int64_t d = 0; d < depth[i] && m >= first[i] && m < first[i] + rows[i]; d++) {
                    const double term = x[i][(m - first[i]) * depth[i] + d] * y[i][n * depth[i] + d];
                    sum += term;
                    size += fabs(term);
                }
            output_near(&c, m * N + n, sum, size * sqrt((double)K + 16) * EPS, "gemm_sum", k);
        }
    for (int i = 0; i < TERMS; i++) {
        free(terms[i].a.p);
        free(terms[i].b.p);
        free(x[i]);
        free(y[i]);
    }
    output_free(&c);
}

static void sums(const kernels *k)
{
    check_sum(k, 1, 37, 64, 1, 0);
    check_sum(k, 6, 37, 64, 1, 1);
    check_sum(k, 6, 64, 40, 0, 0.5f);
    check_sum(k, 1, 160, 33, 0, 1);
    check_sum(k, 40, 70, 96, 1, 0);
    check_sum(k, 270, 96, 80, 0, 1);
    check_sum(k, 1040, 30, 1600, 1, 0);
    check_sum(k, 12, 832, 1600, 0, 1);
}

/* 1 + 2^-8 is a tie that bf16 rounds down to 1; with 2^-10 more it must become 1 + 2^-7. */
static void small_term(const kernels *k)
{
    enum { M = 12, N = 24 };
    real x[M][2], w[N][2], h[M], b[N];
    for (int i = 0; i < N; i++) {
        if (i < M) {
            x[i][0] = x[i][1] = 1;
            h[i] = 1;
        }
        w[i][0] = 1;
        w[i][1] = (real)0x1p-8;
        b[i] = 1;
    }
    real y[M * N];
    const double wanted = k->act == DT_BF16 ? 1 + 0x1p-7 : 1 + 0x1p-8 + 0x1p-10;
    for (int64_t rows = 4; rows <= M; rows += 8) { /* few rows and many go different ways */
        const gemm_term terms[] = { { { x, DT_REAL, rows, 2, 2 }, { w, DT_REAL, N, 2, 2 }, 0, 1, 1, 0 },
                                    { { h, DT_REAL, rows, 1, 1 }, { b, DT_REAL, N, 1, 1 }, 0, 1, (real)0x1p-10, 0 } };
        k->gemm_sum(teams[1], (mat){ y, k->act, rows, N, N }, terms, 2, 0);
        for (int64_t i = 0; i < rows * N; i++)
            assert_true(number(y, k->act, i) == wanted);
    }
}

static dtype c_type(const kernels *k)
{
    return pick(0, 1) ? k->act : DT_REAL;
}

static const real alphas[] = { 1, 1, 0.5f, -2 }, betas[] = { 0, 1, 0.25f };

static void random_shapes(const kernels *k)
{
    static const int64_t sizes[] = { 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 47, 48, 49, 65, 97, 130 };
    for (int round = 0; round < 60; round++) {
        product_case t = { sizes[pick(0, 15)],
                           sizes[pick(0, 15)],
                           sizes[pick(0, 15)],
                           pick(0, 1) ? k->act : DT_F32,
                           pick(0, 1) ? k->act : DT_F32,
                           c_type(k),
                           (int)pick(0, 1),
                           (int)pick(0, 1),
                           (int)pick(0, 1),
                           alphas[pick(0, 3)],
                           betas[pick(0, 2)],
                           0 };
        check_product(k, t);
    }
}

static const dtype types[] = { DT_F32,  DT_F16,  DT_BF16, DT_Q8_0, DT_Q4_0, DT_Q4_1, DT_Q5_0,
                               DT_Q5_1, DT_Q2_K, DT_Q3_K, DT_Q4_K, DT_Q5_K, DT_Q6_K };

static void all_operand_types(const kernels *k)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        check_product(k, (product_case){ 21, 256, 70, k->act, types[i], c_type(k), 0, 0, 1, 1, 0, 0 });
        check_product(k, (product_case){ 21, 37, 512, k->act, types[i], c_type(k), 0, 1, 1, 1, 0, 0 });
        check_product(k, (product_case){ 3, 37, 512, k->act, types[i], c_type(k), 0, 1, 1, 0.5f, 1, 0 });
        check_product(k, (product_case){ 9, 20, 256, types[i], k->act, c_type(k), 0, 0, 1, 1, 1, 0 });
        check_product(k, (product_case){ 256, 20, 33, types[i], k->act, c_type(k), 1, 0, 1, 1, 0, 0 });
    }
}

/* As in generation: every number of rows, at any address, with ends that fill no group of rows and no block. */
static void few_rows(const kernels *k)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int64_t M = 1; M <= FEW_ROWS; M++) {
            const int shift = (int)(M % 4);
            check_product(
                k, (product_case){ M, 2 * M + 3, 256 * (M % 3 + 1), k->act, types[i], DT_REAL, 0, 1, 0, 1, 0, shift });
            check_product(k, (product_case){ M, 13, 40 + 3 * M, k->act, types[i], k->act, 0, 1, 1, 0.5f, 1, shift });
            check_product(k, (product_case){ M, 9, 96, DT_REAL, types[i], DT_REAL, 0, 1, 1, 1, 0, shift });
            check_product(k,
                          (product_case){ M, 256 + 3 * M, 37 + M, k->act, types[i], k->act, 0, 0, 1, 0.5f, 1, shift });
        }
}

/* What a row of the result is may not depend on the rows beside it. */
static void rows_are_alone_with(const kernels *k, int transpose_b)
{
    enum { N = 32, K = 320 };
    static const dtype plain_and_blocks[] = { DT_F32, DT_BF16, DT_Q8_0, DT_Q4_0, DT_Q4_1, DT_Q5_1 };
    for (size_t i = 0; i < sizeof plain_and_blocks / sizeof *plain_and_blocks; i++) {
        const mat a = random_matrix(k->act, FEW_ROWS, K, 0, 0),
                  b = random_matrix(plain_and_blocks[i], transpose_b ? N : K, transpose_b ? K : N, 0, 0);
        real all[FEW_ROWS][N], some[FEW_ROWS][N];
        k->gemm(teams[1], (mat){ all, DT_REAL, FEW_ROWS, N, N }, a, 0, b, transpose_b, 1, 0);
        for (int64_t M = 1; M < FEW_ROWS; M++)
            for (int64_t first = 0; first + M <= FEW_ROWS; first++) {
                const mat rows = { (char *)a.p + bytes_of(k->act, first * K), k->act, M, K, K };
                k->gemm(teams[2], (mat){ some, DT_REAL, M, N, N }, rows, 0, b, transpose_b, 1, 0);
                assert_memory_equal(some, all[first], (size_t)(M * N) * sizeof(real));
            }
        free(a.p);
        free(b.p);
    }
}

static void rows_are_alone(const kernels *k)
{
    rows_are_alone_with(k, 0);
    rows_are_alone_with(k, 1);
}

/* Larger than a chunk along each dimension in turn. */
static void several_chunks(const kernels *k)
{
    check_product(k, (product_case){ 1027, 10, 33, k->act, DT_Q8_0, k->act, 0, 0, 1, 1, 0.5f, 0 });
    check_product(k, (product_case){ 1030, 10, 1540, DT_F32, k->act, k->act, 0, 1, 0, 1, 0, 0 });
    check_product(k, (product_case){ 11, 1600, 34, DT_F32, DT_Q4_1, k->act, 0, 0, 1, 1, 0, 0 });
    check_product(k, (product_case){ 13, 50, 4700, k->act, k->act, k->act, 0, 0, 1, 2, 1, 0 });
    check_product(k, (product_case){ 13, 50, 4701, DT_F32, DT_F32, DT_REAL, 1, 1, 1, 2, 1, 0 });
    check_product(k, (product_case){ 2, 50, 4701, k->act, DT_F32, DT_REAL, 0, 1, 1, 2, 1, 0 });
    check_product(k, (product_case){ 20, 900, 1600, k->act, DT_Q4_0, k->act, 0, 1, 1, 1, 0, 0 });
}

static void any_address(const kernels *k)
{
    for (int shift = 1; shift < 4; shift++) {
        check_product(k, (product_case){ 17, 96, 64, k->act, k->act, k->act, 0, 0, 0, 1, 0, shift });
        check_product(k, (product_case){ 17, 96, 64, k->act, DT_BF16, k->act, 0, 1, 0, 1, 0, shift });
        check_product(k, (product_case){ 3, 96, 64, k->act, DT_F32, k->act, 0, 1, 0, 1, 0, shift });
        check_product(k, (product_case){ 260, 96, 64, DT_F16, DT_BF16, k->act, 0, 0, 0, 1, 0, shift });
    }
}

/* Large enough for a library to take them; remainders along each dimension, and a last block of rows read from before
 * it. */
static void large(const kernels *k)
{
    check_product(k, (product_case){ 150, 400, 96, k->act, DT_Q4_0, k->act, 0, 1, 1, 1, 0, 0 });
    check_product(k, (product_case){ 1030, 64, 70, k->act, DT_F32, DT_REAL, 0, 0, 1, 2, 1, 0 });
    check_product(k, (product_case){ 129, 800, 65, k->act, k->act, k->act, 0, 0, 0, 1, 1, 0 });
    check_product(k, (product_case){ 128, 70, 1610, DT_F32, k->act, k->act, 0, 1, 1, 1, 0, 0 });
    check_product(k, (product_case){ 140, 150, 70, k->act, k->act, k->act, 1, 1, 1, 1, 0.5f, 0 });
    check_product(k, (product_case){ 160, 96, 130, k->act, k->act, DT_REAL, 1, 0, 0, 1, 0, 0 });
}

static void no_terms_at_all(const kernels *k)
{
    check_product(k, (product_case){ 20, 20, 0, k->act, k->act, k->act, 0, 0, 0, 1, 0.5f, 0 });
    check_product(k, (product_case){ 2, 20, 0, k->act, k->act, DT_REAL, 0, 1, 0, 1, 0, 0 });
    check_product(k, (product_case){ 0, 20, 5, k->act, k->act, k->act, 0, 0, 0, 1, 0, 0 });
    check_product(k, (product_case){ 20, 0, 5, k->act, k->act, k->act, 0, 0, 0, 1, 0, 0 });
}

static void test_random_shapes(void **state)
{
    (void)state;
    with_all_tables(random_shapes);
}

static void test_all_operand_types(void **state)
{
    (void)state;
    with_all_tables(all_operand_types);
}

static void test_few_rows(void **state)
{
    (void)state;
    with_all_tables(few_rows);
}

static void test_rows_are_alone(void **state)
{
    (void)state;
    with_all_tables(rows_are_alone);
}

static void test_several_chunks(void **state)
{
    (void)state;
    with_all_tables(several_chunks);
}

static void test_any_address(void **state)
{
    (void)state;
    with_all_tables(any_address);
}

static void test_sums(void **state)
{
    (void)state;
    with_all_tables(sums);
}

static void test_small_term(void **state)
{
    (void)state;
    with_all_tables(small_term);
}

static void test_large(void **state)
{
    (void)state;
    with_all_tables(large);
}

static void test_no_terms_at_all(void **state)
{
    (void)state;
    with_all_tables(no_terms_at_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_shapes),  cmocka_unit_test(test_all_operand_types),
        cmocka_unit_test(test_few_rows),       cmocka_unit_test(test_rows_are_alone),
        cmocka_unit_test(test_several_chunks), cmocka_unit_test(test_any_address),
        cmocka_unit_test(test_sums),           cmocka_unit_test(test_small_term),
        cmocka_unit_test(test_large),          cmocka_unit_test(test_no_terms_at_all),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
