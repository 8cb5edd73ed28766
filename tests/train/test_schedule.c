/* test_schedule.c: the numbers of transformers' schedules, worked out from their formulas by hand. */
#include "test.h"

#include "schedule.h"

#include <math.h>

static void near(double found, double expected)
{
    if (!(fabs(found - expected) < 1e-15))
        fail_msg("%.17g instead of %.17g", found, expected);
}

static void test_constant(void **state)
{
    (void)state;
    near(schedule_factor(LORAC_SCHEDULE_CONSTANT, 0, 0, 10), 1);
    near(schedule_factor(LORAC_SCHEDULE_CONSTANT, 9, 0, 10), 1);
    near(schedule_factor(LORAC_SCHEDULE_CONSTANT, 0, 4, 10), 0);
    near(schedule_factor(LORAC_SCHEDULE_CONSTANT, 1, 4, 10), 0.25);
    near(schedule_factor(LORAC_SCHEDULE_CONSTANT, 4, 4, 10), 1);
}

static void test_linear(void **state)
{
    (void)state;
    near(schedule_factor(LORAC_SCHEDULE_LINEAR, 0, 0, 10), 1);
    near(schedule_factor(LORAC_SCHEDULE_LINEAR, 9, 0, 10), 0.1);
    near(schedule_factor(LORAC_SCHEDULE_LINEAR, 0, 2, 10), 0);
    near(schedule_factor(LORAC_SCHEDULE_LINEAR, 1, 2, 10), 0.5);
    near(schedule_factor(LORAC_SCHEDULE_LINEAR, 2, 2, 10), 1);
    near(schedule_factor(LORAC_SCHEDULE_LINEAR, 6, 2, 10), 0.5);
    near(schedule_factor(LORAC_SCHEDULE_LINEAR, 12, 2, 10), 0);
}

static void test_cosine(void **state)
{
    (void)state;
    near(schedule_factor(LORAC_SCHEDULE_COSINE, 0, 0, 8), 1);
    near(schedule_factor(LORAC_SCHEDULE_COSINE, 2, 0, 8), 0.5 + 0.25 * sqrt(2));
    near(schedule_factor(LORAC_SCHEDULE_COSINE, 4, 0, 8), 0.5);
    near(schedule_factor(LORAC_SCHEDULE_COSINE, 3, 2, 6), 0.5 + 0.25 * sqrt(2));
    near(schedule_factor(LORAC_SCHEDULE_COSINE, 6, 2, 6), 0);
}

/* More warm-up than steps: the learning rate rises to the end and never falls. */
static void test_long_warmup(void **state)
{
    (void)state;
    for (int kind = LORAC_SCHEDULE_CONSTANT; kind <= LORAC_SCHEDULE_COSINE; kind++)
        near(schedule_factor((lorac_schedule)kind, 3, 8, 4), 0.375);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_long_warmup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
