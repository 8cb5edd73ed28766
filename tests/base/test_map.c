/* The map: every key finds its value, growth keeps them, and every allocation may fail. */
#include "test.h"

#include "err.h"
#include "map.h"
#include "mem.h"

enum { KEYS = 5000 };

static char keys[KEYS][16];

static slice key(int i)
{
    snprintf(keys[i], sizeof keys[i], "key %d", i * 7);
    return slice_of(keys[i]);
}

static void keys_are_found(void **state)
{
    map m = { 0 };
    bool found;

    (void)state;
    assert_int_equal(map_find(&m, slice_of("nothing")), -1);
    for (int i = 0; i < KEYS; i++) {
        assert_ok(map_add(&m, key(i), i, &found));
        assert_false(found);
    }
    assert_int_equal(m.count, KEYS);
    for (int i = 0; i < KEYS; i++) {
        char copy[16]; /* equal bytes at another address */
        memcpy(copy, keys[i], sizeof copy);
        assert_int_equal(map_find(&m, slice_of(copy)), i);
        assert_ok(map_add(&m, slice_of(copy), 1, &found));
        assert_true(found);
    }
    assert_int_equal(m.count, KEYS);
    assert_int_equal(map_find(&m, slice_of("key 3")), -1);
    assert_int_equal(map_find(&m, key(10)), 10);
    map_free(&m);
    assert_int_equal(m.capacity, 0);
}

/* Keys of every length around the hash's word size, one a prefix of the next, with NUL bytes and the empty one. */
static void keys_are_bytes(void **state)
{
    static const char zeros[40];
    map m = { 0 };

    (void)state;
    for (size_t n = 0; n < sizeof zeros; n++)
        assert_ok(map_add(&m, (slice){ zeros, n }, (int64_t)n, NULL));
    assert_int_equal(m.count, sizeof zeros);
    for (size_t n = 0; n < sizeof zeros; n++)
        assert_int_equal(map_find(&m, (slice){ zeros, n }), n);
    assert_int_equal(map_find(&m, slice_of(NULL)), 0);
    map_free(&m);
}

static int add_all(map *m)
{
    for (int i = 0; i < 200; i++)
        TRY(map_add(m, key(i), i, NULL));
    return LORAC_OK;
}

static void a_failure_leaves_what_was_there(void **state)
{
    int status = LORAC_ERROR_RUNTIME;

    (void)state;
    for (long n = 1; status != LORAC_OK; n++) {
        map m = { 0 };
        mem_fail_at(n);
        status = add_all(&m);
        assert_int_equal(status, mem_count() >= n ? LORAC_ERROR_RUNTIME : LORAC_OK);
        for (int i = 0; i < (int)m.count; i++)
            assert_int_equal(map_find(&m, key(i)), i);
        assert_true(n < 20);
        map_free(&m);
    }
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(a_failure_leaves_what_was_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
