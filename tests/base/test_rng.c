/* Random numbers: Philox against its authors' answers, streams that do not meet, a permutation that is one. */
#include "test.h"

#include "rng.h"

#include <math.h>

/* Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, answer. */
static void philox_gives_the_known_answers(void **state)
{
    static const struct {
        uint64_t counter, stream, seed;
        uint32_t answer[4];
    } known[] = {
        { 0, 0, 0, { 0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8 } },
        { UINT64_MAX, UINT64_MAX, UINT64_MAX, { 0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD } },
        { 0x85A308D3243F6A88,
          0x0370734413198A2E,
          0x299F31D0A4093822,
          { 0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1 } },
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        philox(out, known[i].seed, known[i].stream, known[i].counter);
        assert_memory_equal(out, known[i].answer, sizeof out);
    }
}

static void a_stream_is_a_function_of_its_place(void **state)
{
    rng a = rng_new(1, 2), b = rng_new(1, 2);
    uint64_t tenth = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        tenth = rng_next(&a);
    b.counter = 9;
    assert_true(rng_next(&b) == tenth);
    b = rng_new(1, 3);
    b.counter = 9;
    assert_true(rng_next(&b) != tenth);
    b = rng_new(2, 2);
    b.counter = 9;
    assert_true(rng_next(&b) != tenth);
}

/* n numbers have a mean within 5 standard errors of the right one; the seed is fixed, so this never flickers. */
static void numbers_have_their_moments(void **state)
{
    enum { N = 200000 };
    rng r = rng_new(42, rng_stream("moments"));
    double sum = 0, normal = 0, square = 0, fourth = 0, least = 1, most = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        double u = rng_uniform(&r), z = rng_normal(&r);
        sum += u;
        least = fmin(least, u);
        most = fmax(most, u);
        normal += z;
        square += z * z;
        fourth += z * z * z * z;
    }
    assert_true(least >= 0 && least < 1e-4 && most < 1 && most > 1 - 1e-4);
    assert_true(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(normal / N) < 5 * sqrt(1.0 / N));
    assert_true(fabs(square / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(fourth / N - 3) < 5 * sqrt(96.0 / N));
}

/* FNV-1a's published answers. */
static void stream_names_are_fnv(void **state)
{
    (void)state;
    assert_true(rng_stream("") == 0xCBF29CE484222325);
    assert_true(rng_stream("a") == 0xAF63DC4C8601EC8C);
    assert_true(rng_stream("foobar") == 0x85944171F73967E8);
}

static void a_permutation_hits_everything_once(void **state)
{
    static unsigned char hit[5000];

    (void)state;
    for (uint64_t n = 1; n <= 5000; n += n < 70 ? 1 : 613) {
        memset(hit, 0, sizeof hit);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t image = rng_permute(7, n, i, n);
            assert_true(image < n);
            assert_int_equal(hit[image]++, 0);
        }
    }
}

static void permutations_differ_and_mix(void **state)
{
    enum { N = 1000 };
    int fixed = 0, same = 0, ascending = 0;

    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        uint64_t image = rng_permute(1, 1, i, N);
        fixed += image == i;
        same += image == rng_permute(1, 2, i, N);
        ascending += i > 0 && image > rng_permute(1, 1, i - 1, N);
    }
    assert_true(fixed < 8);
    assert_true(same < 8);
    assert_true(ascending > 430 && ascending < 570);
    assert_true(rng_permute(1, 1, UINT64_C(1) << 40, UINT64_C(1) << 60) < UINT64_C(1) << 60);
    assert_true(rng_permute(1, 1, 5, UINT64_MAX) < UINT64_MAX);
}

/* Every order of three comes up about equally often: 600 keys, expected 100 each, standard deviation 9. */
static void orders_are_equally_likely(void **state)
{
    int count[27] = { 0 };

    (void)state;
    for (uint64_t key = 0; key < 600; key++) {
        uint64_t a = rng_permute(key, 0, 0, 3), b = rng_permute(key, 0, 1, 3), c = rng_permute(key, 0, 2, 3);
        count[9 * a + 3 * b + c]++;
    }
    for (int i = 0; i < 27; i++)
        assert_true(count[i] == 0 || (count[i] > 55 && count[i] < 145));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),     cmocka_unit_test(a_stream_is_a_function_of_its_place),
        cmocka_unit_test(numbers_have_their_moments),         cmocka_unit_test(stream_names_are_fnv),
        cmocka_unit_test(a_permutation_hits_everything_once), cmocka_unit_test(permutations_differ_and_mix),
        cmocka_unit_test(orders_are_equally_likely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
