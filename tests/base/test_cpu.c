/* The machine: figures that make sense, and LORAC_ISA, which only lowers the level. */
#include "test.h"

#include "cgroup.h"
#include "cpu.h"

#include <sys/wait.h>

/* The level is found once per process, so each word gets a process of its own. */
static isa level_with(const char *word)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        setenv("LORAC_ISA", word, 1);
        _exit((int)cpu_isa());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (isa)WEXITSTATUS(status);
}

static void the_environment_lowers_the_level(void **state)
{
    isa highest = level_with("anything");

    (void)state;
    assert_true(highest <= ISA_AMX);
    for (isa level = ISA_PORTABLE; level <= ISA_AMX; level++)
        assert_int_equal(level_with(isa_name(level)), level < highest ? level : highest);
}

/* GCC's own detection knows the same features. */
static void the_level_agrees_with_the_compiler(void **state)
{
    isa highest = level_with("");

    (void)state;
#if defined(__x86_64__)
    assert_int_equal(highest >= ISA_AVX2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal(highest >= ISA_AVX512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                                __builtin_cpu_supports("avx512dq") &&
                                                __builtin_cpu_supports("avx512vl"));
#else
    assert_int_equal(highest, ISA_PORTABLE);
#endif
}

static void figures_make_sense(void **state)
{
    (void)state;
    assert_true(cpu_threads() >= 1 && cpu_threads() <= 4096);
    assert_true(cpu_name()[0] != '\0' && !strchr(cpu_name(), '\n'));
    assert_true(memory_total() > 64u << 20);
    assert_true(memory_available() <= memory_total());
    assert_true(memory_available() > 1u << 20);
    assert_true(memory_peak() > 100000 && memory_peak() < memory_total());
}

static void the_peak_follows_use(void **state)
{
    enum { BYTES = 64 << 20 };
    uint64_t before = memory_peak();
    volatile char *p = malloc(BYTES);

    (void)state;
    for (int i = 0; i < BYTES; i += 4096)
        p[i] = 1;
    assert_true(memory_peak() >= before + BYTES / 2);
    free((void *)p);
}

static void numbers_are_found_in_kernel_texts(void **state)
{
    static const char text[] = "MemTotal:       16 kB\nactive_file 5\ntotal_active_file 7\n";

    (void)state;
    assert_int_equal(number_after(text, "MemTotal:"), 16);
    assert_int_equal(number_after(text, "active_file "), 5);
    assert_int_equal(number_after(text, "total_active_file "), 7);
    assert_int_equal(number_after(text, "file "), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_lowers_the_level),
        cmocka_unit_test(the_level_agrees_with_the_compiler),
        cmocka_unit_test(figures_make_sense),
        cmocka_unit_test(the_peak_follows_use),
        cmocka_unit_test(numbers_are_found_in_kernel_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
