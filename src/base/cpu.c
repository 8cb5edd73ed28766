/* cpu.c: the kernel level this machine allows, and its size. A level counts only when the processor has the
 * instructions and the operating system saves their registers (XGETBV; for AMX a permission per process). */
#include "cpu.h"

#include "cgroup.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[] = { "portable", "avx2", "avx512", "avx512-bf16", "amx" };

static isa found_isa;
static char found_name[128];
static pthread_once_t once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
#include <cpuid.h>

static bool has_bits(uint64_t value, uint64_t bits)
{
    return (value & bits) == bits;
}

#define BIT(n) (UINT64_C(1) << (n))

/* Which register sets the operating system saves. */
static uint64_t saved_registers(void)
{
    uint32_t low, high;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* AMX tiles must be asked for once per process (Linux 5.16: arch_prctl ARCH_REQ_XCOMP_PERM, XTILEDATA). */
static bool may_use_tiles(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };

    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

/* The highest level up to `wanted`. Bits from Intel's Software Developer's Manual, volume 2A, CPUID. */
static isa detect(isa wanted)
{
    uint32_t a, b, c, d, a1, b1, c1, d1;
    uint64_t saved;

    if (wanted < ISA_AVX2 || !__get_cpuid(1, &a, &b, &c, &d) || !has_bits(c, BIT(27))) /* OSXSAVE */
        return ISA_PORTABLE;
    saved = saved_registers();
    if (!has_bits(c, BIT(12) | BIT(28) | BIT(29)) || !has_bits(saved, 0x6)) /* FMA, AVX, F16C; XMM, YMM */
        return ISA_PORTABLE;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has_bits(b, BIT(5))) /* AVX2 */
        return ISA_PORTABLE;
    if (wanted < ISA_AVX512 || !has_bits(b, BIT(16) | BIT(17) | BIT(30) | BIT(31)) || !has_bits(saved, 0xE6))
        return ISA_AVX2; /* AVX512 F, DQ, BW, VL; masks and ZMM */
    if (wanted < ISA_AVX512_BF16 || a < 1 || !__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1) || !has_bits(a1, BIT(5)))
        return ISA_AVX512;
    if (wanted < ISA_AMX || !has_bits(d, BIT(22) | BIT(24)) || !has_bits(saved, BIT(17) | BIT(18)) || !may_use_tiles())
        return ISA_AVX512_BF16; /* AMX-BF16, AMX-TILE; tile configuration and data */
    return ISA_AMX;
}
#else
static isa detect(isa wanted)
{
    (void)wanted;
    return ISA_PORTABLE;
}
#endif

/* What LORAC_ISA asks for; an unknown word asks for nothing. */
static isa wanted_isa(void)
{
    const char *text = getenv("LORAC_ISA");

    for (isa level = ISA_PORTABLE; text && level <= ISA_AMX; level++) {
        if (strcmp(text, names[level]) == 0)
            return level;
    }
    return ISA_AMX;
}

static void find_name(void)
{
    char text[4096];
    const char *start = read_text(text, sizeof text, "/proc/cpuinfo") ? strstr(text, "model name") : NULL;

    start = start ? strchr(start, ':') : NULL;
    if (!start) {
        snprintf(found_name, sizeof found_name, "unknown processor");
        return;
    }
    start += 1 + strspn(start + 1, " \t");
    snprintf(found_name, sizeof found_name, "%.*s", (int)strcspn(start, "\n"), start);
}

static void find_out(void)
{
    found_isa = detect(wanted_isa());
    find_name();
}

isa cpu_isa(void)
{
    pthread_once(&once, find_out);
    return found_isa;
}

const char *isa_name(isa level)
{
    return names[level];
}

const char *cpu_name(void)
{
    pthread_once(&once, find_out);
    return found_name;
}

int cpu_threads(void)
{
    cpu_set_t set;
    int limit = cgroup_cpu_limit();
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);

    if (limit > 0 && limit < count)
        count = limit;
    return count > 0 ? count : 1;
}

static uint64_t meminfo(const char *name)
{
    char text[4096];

    return read_text(text, sizeof text, "/proc/meminfo") ? number_after(text, name) * 1024 : 0;
}

uint64_t memory_total(void)
{
    uint64_t total = meminfo("MemTotal:");
    cgroup_memory group = cgroup_memory_limit();

    return group.limit < total ? group.limit : total;
}

uint64_t memory_available(void)
{
    uint64_t available = meminfo("MemAvailable:");
    cgroup_memory group = cgroup_memory_limit();
    uint64_t left = group.limit > group.used ? group.limit - group.used : 0;

    return left < available ? left : available;
}

uint64_t memory_peak(void)
{
    char text[4096];
    uint64_t peak = read_text(text, sizeof text, "/proc/self/status") ? number_after(text, "VmHWM:") * 1024 : 0;
    struct rusage usage;

    if (peak == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        peak = (uint64_t)usage.ru_maxrss * 1024;
    return peak;
}
