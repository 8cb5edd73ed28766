/* Types and sizes; above all, that sizes from a file cannot overflow. */
#include "test.h"

#include "tensor.h"

static void the_table_of_types_is_whole(void **state)
{
    (void)state;
    for (dtype t = 0; t < DT_COUNT; t++) {
        assert_non_null(dtype_name(t));
        assert_true(dtype_block(t) >= 1 && dtype_block_bytes(t) >= 1);
        assert_int_equal(dtype_is_quantised(t), t >= DT_Q8_0);
    }
    assert_string_equal(dtype_name(DT_Q4_1), "Q4_1");
    assert_true(dtype_is_float(DT_BF16) && dtype_is_float(DT_F64) && !dtype_is_float(DT_I32) &&
                !dtype_is_float(DT_Q8_0));
}

static void rows_have_bytes(void **state)
{
    (void)state;
    assert_int_equal(dtype_row_bytes(DT_F32, 10), 40);
    assert_int_equal(dtype_row_bytes(DT_Q4_1, 576), 360);
    assert_int_equal(dtype_row_bytes(DT_Q6_K, 512), 420);
    assert_int_equal(dtype_row_bytes(DT_Q4_1, 33), -1);
    assert_int_equal(dtype_row_bytes(DT_F32, -1), -1);
    assert_int_equal(dtype_row_bytes(DT_F64, INT64_MAX), -1);
    assert_int_equal(dtype_row_bytes(DT_F32, 0), 0);
}

static void a_tensor_has_rows_and_columns(void **state)
{
    tensor t = { .type = DT_Q8_0, .ndim = 3, .dim = { 2, 3, 64 } }, scalar = { .type = DT_F32 };
    char text[64];

    (void)state;
    assert_int_equal(tensor_count(&t), 384);
    assert_int_equal(tensor_bytes(&t), 408);
    assert_int_equal(tensor_rows(&t), 6);
    assert_int_equal(tensor_cols(&t), 64);
    assert_string_equal(tensor_shape(&t, text), "[2, 3, 64]");
    assert_int_equal(tensor_count(&scalar), 1);
    assert_int_equal(tensor_bytes(&scalar), 4);
    assert_int_equal(tensor_rows(&scalar), 1);
    assert_int_equal(tensor_cols(&scalar), 1);
    assert_string_equal(tensor_shape(&scalar, text), "[]");
}

static void a_long_shape_is_cut_visibly(void **state)
{
    tensor t = { .type = DT_U8, .ndim = 8 };
    char text[64];

    (void)state;
    for (int i = 0; i < 8; i++)
        t.dim[i] = INT64_MAX;
    tensor_shape(&t, text);
    assert_true(strlen(text) < 64);
    assert_contains(text, "[9223372036854775807, ");
    assert_contains(text, "...]");
    t.dim[0] = t.dim[1] = t.dim[2] = INT64_MAX;
    for (int ndim = 1; ndim <= 8; ndim++) {
        t.ndim = ndim;
        tensor_shape(&t, text);
        assert_int_equal(text[strlen(text) - 1], ']');
    }
}

static void sizes_from_files_are_checked(void **state)
{
    static const struct {
        dtype type;
        int ndim;
        int64_t dim[TENSOR_DIMS], bytes;
    } cases[] = {
        { DT_F32, 0, { 0 }, 4 },
        { DT_F32, 2, { 3, 5 }, 60 },
        { DT_Q4_1, 2, { 3, 64 }, 120 },
        { DT_Q4_1, 2, { 64, 3 }, -1 },
        { DT_F32, 2, { 0, 5 }, 0 },
        { DT_F32, 2, { -1, 5 }, -1 },
        { DT_F32, 2, { 5, -1 }, -1 },
        { DT_F32, 3, { 0, -1, 5 }, -1 },
        { DT_F32, 1, { INT64_MAX }, -1 },
        { DT_U8, 2, { INT64_MAX, 2 }, -1 },
        { DT_U8, 1, { INT64_MAX }, INT64_MAX },
        { DT_F32, 4, { 1 << 16, 1 << 16, 1 << 16, 1 << 16 }, -1 },
        { DT_U8, 8, { 256, 256, 256, 256, 256, 256, 256, 256 }, -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(tensor_bytes_checked(cases[i].type, cases[i].ndim, cases[i].dim) == cases[i].bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_types_is_whole),   cmocka_unit_test(rows_have_bytes),
        cmocka_unit_test(a_tensor_has_rows_and_columns), cmocka_unit_test(a_long_shape_is_cut_visibly),
        cmocka_unit_test(sizes_from_files_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
