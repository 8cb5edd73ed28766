/* The team: every piece once, by every size of team, over and over; scratch; failure. Run under TSan too. */
#include "test.h"

#include "err.h"
#include "mem.h"
#include "pool.h"

#include <stdatomic.h>
#include <time.h>

enum { MOST = 3000 };

typedef struct tally {
    int size;
    atomic_int count[MOST];
    double value[MOST];
} tally;

static void count_piece(void *arg, int64_t piece, int thread)
{
    tally *t = arg;

    assert_true(thread >= 0 && thread < t->size);
    atomic_fetch_add(&t->count[piece], 1);
    t->value[piece] = 1.0 / (double)(piece + 1);
}

static void every_piece_is_done_once(void **state)
{
    static tally t;

    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        pool *p;
        assert_ok(pool_new(&p, threads));
        assert_int_equal(pool_size(p), threads);
        t.size = threads;
        for (int pieces = 0; pieces <= MOST; pieces += pieces < 20 ? 1 : 997) {
            memset(t.count, 0, sizeof t.count);
            pool_run(p, pieces, count_piece, &t);
            for (int i = 0; i < MOST; i++)
                assert_int_equal(t.count[i], i < pieces);
        }
        pool_free(p);
    }
}

static void add_one(void *arg, int64_t piece, int thread)
{
    (void)thread;
    ((int *)arg)[piece]++;
}

/* Many short jobs, some with a pause between them in which the team falls asleep. What a job wrote without atomics
 * must be seen by the next one and by the caller. */
static void short_jobs_follow_each_other(void **state)
{
    int count[7] = { 0 };
    pool *p;

    (void)state;
    assert_ok(pool_new(&p, 2));
    for (int i = 0; i < 20000; i++) {
        pool_run(p, 7, add_one, count);
        if (i % 1000 == 0)
            nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    for (int i = 0; i < 7; i++)
        assert_int_equal(count[i], 20000);
    pool_free(p);
}

static void results_do_not_depend_on_the_team(void **state)
{
    static tally a, b;
    double sum[2] = { 0, 0 };
    pool *one, *four;

    (void)state;
    assert_ok(pool_new(&one, 1));
    assert_ok(pool_new(&four, 4));
    a.size = 1;
    b.size = 4;
    pool_run(one, MOST, count_piece, &a);
    pool_run(four, MOST, count_piece, &b);
    for (int i = 0; i < MOST; i++) {
        sum[0] += a.value[i];
        sum[1] += b.value[i];
    }
    assert_memory_equal(&sum[0], &sum[1], sizeof sum[0]);
    pool_free(one);
    pool_free(four);
}

static void use_scratch(void *arg, int64_t piece, int thread)
{
    pool *p = arg;
    size_t bytes = (size_t)(piece % 5 + 1) * 10000;

    for (int slot = 0; slot < 4; slot++) {
        unsigned char *s = pool_scratch(p, thread, slot, bytes);
        assert_non_null(s);
        assert_int_equal((uintptr_t)s % 64, 0);
        memset(s, slot + 1, bytes);
    }
    for (int slot = 0; slot < 4; slot++)
        assert_int_equal(*(unsigned char *)pool_scratch(p, thread, slot, bytes), slot + 1);
}

static void scratch_is_per_thread_and_slot(void **state)
{
    pool *p;
    void *before;

    (void)state;
    assert_ok(pool_new(&p, 3));
    pool_run(p, 100, use_scratch, p);
    assert_false(pool_failed(p));
    before = pool_scratch(p, 0, 1, 100000);
    assert_ptr_equal(pool_scratch(p, 0, 1, 10), before); /* kept */
    pool_free(p);
}

static void failed_scratch_is_remembered(void **state)
{
    pool *p;

    (void)state;
    assert_ok(pool_new(&p, 1));
    mem_fail_at(1);
    assert_null(pool_scratch(p, 0, 0, 100));
    mem_fail_at(0);
    assert_non_null(pool_scratch(p, 0, 0, 100));
    assert_true(pool_failed(p));
    pool_free(p);
}

static void sizes_are_checked(void **state)
{
    pool *p;

    (void)state;
    assert_int_equal(pool_new(&p, -1), LORAC_ERROR_USAGE);
    assert_int_equal(pool_new(&p, 100000), LORAC_ERROR_USAGE);
    assert_null(p);
    mem_fail_at(1);
    assert_int_equal(pool_new(&p, 2), LORAC_ERROR_RUNTIME);
    mem_fail_at(0);
    assert_ok(pool_new(&p, 0));
    assert_true(pool_size(p) >= 1);
    pool_free(p);
    pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_is_done_once),          cmocka_unit_test(short_jobs_follow_each_other),
        cmocka_unit_test(results_do_not_depend_on_the_team), cmocka_unit_test(scratch_is_per_thread_and_slot),
        cmocka_unit_test(failed_scratch_is_remembered),      cmocka_unit_test(sizes_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
