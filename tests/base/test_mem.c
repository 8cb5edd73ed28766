/* The heap and the arena: zeroed, aligned, checked for overflow, and able to fail on command. */
#include "test.h"

#include "arena.h"
#include "mem.h"

static void new_memory_is_zero_and_never_null(void **state)
{
    unsigned char *p = mem_new(1000, 3);
    void *nothing = mem_new(0, 8);

    (void)state;
    for (int i = 0; i < 3000; i++)
        assert_int_equal(p[i], 0);
    assert_non_null(nothing);
    mem_free(p);
    mem_free(nothing);
    mem_free(NULL);
}

static void sizes_that_overflow_fail(void **state)
{
    char *p = mem_new(4, 1);

    (void)state;
    memcpy(p, "abc", 4);
    assert_null(mem_new(SIZE_MAX / 2, 3));
    assert_null(mem_new(SIZE_MAX, 1));
    assert_null(mem_grow(p, SIZE_MAX / 2, 3));
    assert_string_equal(p, "abc"); /* still there */
    assert_null(mem_pages(SIZE_MAX));
    mem_free(p);
}

static void text_is_copied(void **state)
{
    char text[] = "text";
    char *copy = mem_text(text);

    (void)state;
    text[0] = 'n';
    assert_string_equal(copy, "text");
    mem_free(copy);
}

static void pages_are_zero_and_aligned(void **state)
{
    static const size_t sizes[] = { 0, 1, 4096, (4 << 20) + 5 };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        unsigned char *p = mem_pages(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t j = 0; j < sizes[i]; j += 511)
            assert_int_equal(p[j], 0);
        if (sizes[i])
            p[sizes[i] - 1] = 1;
        mem_pages_free(p, sizes[i]);
    }
    mem_pages_free(NULL, 0);
}

static void the_nth_allocation_fails(void **state)
{
    void *first, *third;

    (void)state;
    mem_fail_at(2);
    first = mem_new(1, 1);
    assert_non_null(first);
    assert_null(mem_grow(NULL, 1, 1));
    third = mem_pages(1);
    assert_non_null(third);
    assert_int_equal(mem_count(), 3);
    mem_fail_at(0);
    assert_int_equal(mem_count(), 0);
    mem_free(first);
    mem_pages_free(third, 1);
}

static void an_arena_gives_aligned_zeroed_memory(void **state)
{
    arena a = { 0 };

    (void)state;
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *p = arena_new(&a, size, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xFF, size); /* seen by a later piece if two overlap */
    }
    assert_non_null(arena_new(&a, 3, 1 << 20)); /* larger than any block */
    assert_true(a.bytes > 3u << 20);
    arena_free(&a);
    assert_null(a.last);
    assert_int_equal(a.bytes, 0);
    arena_free(&a);
}

static void an_arena_keeps_texts(void **state)
{
    arena a = { 0 };
    char *cut = arena_text(&a, "abcdef", 3), *empty = arena_text(&a, NULL, 0);
    char *number = arena_format(&a, "%s-%05d", "layer", 42);

    (void)state;
    assert_string_equal(cut, "abc");
    assert_string_equal(empty, "");
    assert_string_equal(number, "layer-00042");
    arena_free(&a);
}

static void an_arena_refuses_what_overflows(void **state)
{
    arena a = { 0 };

    (void)state;
    assert_null(arena_new(&a, SIZE_MAX / 2, 3));
    assert_null(arena_new(&a, SIZE_MAX, 1));
    assert_null(arena_new(&a, SIZE_MAX - 64, 1));
    assert_null(arena_text(&a, "", SIZE_MAX));
    arena_free(&a);
}

static int fill(arena *a)
{
    for (int i = 0; i < 300; i++) {
        if (!arena_new(a, 1, 1000) || !arena_text(a, "text", 4) || !arena_format(a, "%d", i))
            return 0;
    }
    return 1;
}

static void an_arena_survives_every_failure(void **state)
{
    int done = 0;

    (void)state;
    for (long n = 1; !done; n++) {
        arena a = { 0 };
        mem_fail_at(n);
        done = fill(&a);
        assert_true(done || mem_count() == n);
        assert_true(n < 100);
        arena_free(&a);
    }
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zero_and_never_null),
        cmocka_unit_test(sizes_that_overflow_fail),
        cmocka_unit_test(text_is_copied),
        cmocka_unit_test(pages_are_zero_and_aligned),
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(an_arena_gives_aligned_zeroed_memory),
        cmocka_unit_test(an_arena_keeps_texts),
        cmocka_unit_test(an_arena_refuses_what_overflows),
        cmocka_unit_test(an_arena_survives_every_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
