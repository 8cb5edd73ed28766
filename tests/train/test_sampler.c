/* test_sampler.c: every row once an epoch, in another order each time, and nothing to remember. */
#include "test.h"

#include "sampler.h"

enum { ROWS_MOST = 1000 };

static sampler make(example_part *parts, int64_t count, int64_t per_step, bool shuffle, uint64_t seed)
{
    examples e = { .parts = parts, .part_count = count };
    sampler s;

    for (int64_t i = 0, first = 0; i < count; first += parts[i].count, i++)
        parts[i].first = first;
    assert_ok(sampler_init(&s, &e, per_step, shuffle, seed));
    return s;
}

/* How often each row comes up in one epoch. */
static void count_epoch(const sampler *s, int64_t epoch, int *seen)
{
    int64_t rows[ROWS_MOST], total = 0;

    memset(seen, 0, ROWS_MOST * sizeof *seen);
    for (int64_t step = 0; step < s->steps_per_epoch; step++) {
        int64_t count = sampler_rows(s, epoch * s->steps_per_epoch + step, rows);

        assert_true(count >= 1 && count <= s->per_step);
        if (step + 1 < s->steps_per_epoch)
            assert_int_equal(count, s->per_step);
        for (int64_t i = 0; i < count; i++)
            seen[rows[i]]++;
        total += count;
    }
    assert_int_equal(total, s->per_epoch);
}

static void test_coverage(void **state)
{
    int seen[ROWS_MOST];

    (void)state;
    for (int64_t n = 1; n < 70; n += 3) {
        example_part part = { .count = n, .weight = 1 };
        sampler s = make(&part, 1, 8, true, 7);

        assert_int_equal(s.steps_per_epoch, (n + 7) / 8);
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            count_epoch(&s, epoch, seen);
            for (int64_t i = 0; i < n; i++)
                assert_int_equal(seen[i], 1);
        }
    }
}

static void test_order(void **state)
{
    example_part part = { .count = 64, .weight = 1 };
    sampler shuffled = make(&part, 1, 64, true, 1), other = make(&part, 1, 64, true, 2);
    sampler plain = make(&part, 1, 64, false, 1);
    int64_t a[64], b[64];
    int same = 0, same_seed = 0;

    (void)state;
    sampler_rows(&shuffled, 0, a);
    sampler_rows(&shuffled, 1, b);
    for (int i = 0; i < 64; i++)
        same += a[i] == b[i];
    sampler_rows(&other, 0, b);
    for (int i = 0; i < 64; i++)
        same_seed += a[i] == b[i];
    assert_true(same < 16 && same_seed < 16);
    sampler_rows(&plain, 3, b);
    for (int i = 0; i < 64; i++)
        assert_int_equal(b[i], i);
}

static void test_weights(void **state)
{
    example_part parts[] = { { .count = 10, .weight = 2 }, { .count = 8, .weight = 0.5 }, { .count = 0, .weight = 1 } };
    sampler s = make(parts, 3, 7, true, 3);
    int seen[ROWS_MOST], second[8] = { 0 };

    (void)state;
    assert_int_equal(s.per_epoch, 24);
    for (int64_t epoch = 0; epoch < 2; epoch++) {
        count_epoch(&s, epoch, seen);
        for (int i = 0; i < 10; i++)
            assert_int_equal(seen[i], 2);
        for (int i = 0; i < 8; i++)
            second[i] += seen[10 + i];
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(second[i], 1); /* half of them in each epoch */
}

static void test_steps(void **state)
{
    example_part part = { .count = 10, .weight = 1 };
    sampler s = make(&part, 1, 4, false, 0);

    (void)state;
    assert_int_equal(sampler_steps(&s, 1), 3);
    assert_int_equal(sampler_steps(&s, 2), 6);
    assert_int_equal(sampler_steps(&s, 0.5), 2);
    assert_int_equal(sampler_steps(&s, 1e16), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
