/* Arrays that grow: few moves, nothing lost, and the old array where memory fails. */
#include "test.h"

#include "array.h"
#include "mem.h"

static void room_doubles_and_keeps_the_items(void **state)
{
    int *items = NULL;
    size_t capacity = 0, moves = 0;
    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        const size_t before = capacity;
        assert_ok(array_room(items, capacity, i + 1));
        assert_true(capacity > i);
        moves += capacity != before;
        items[i] = (int)i;
    }
    for (int i = 0; i < 10000; i++)
        assert_int_equal(items[i], i);
    assert_true(moves < 20);
    assert_ok(array_room(items, capacity, 1000000)); /* many at once */
    assert_true(capacity >= 1000000);
    assert_int_equal(items[9999], 9999);
    mem_free(items);
}

static void the_array_stands_after_a_failure(void **state)
{
    double *items = NULL;
    size_t capacity = 0;
    (void)state;
    assert_ok(array_room(items, capacity, 3));
    items[2] = 0.5;
    const size_t before = capacity;
    mem_fail_at(1);
    assert_int_equal(array_room(items, capacity, before + 1), LORAC_ERROR_RUNTIME);
    mem_fail_at(1);
    assert_int_equal(array_resize(items, before + 1), LORAC_ERROR_RUNTIME);
    mem_fail_at(0);
    assert_int_equal(array_room(items, capacity, SIZE_MAX / 2), LORAC_ERROR_RUNTIME); /* more bytes than there are */
    assert_int_equal(capacity, before);
    assert_true(items[2] == 0.5);
    mem_free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_doubles_and_keeps_the_items),
        cmocka_unit_test(the_array_stands_after_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
