/* mem.c: the one door to the heap. Every allocation passes `allowed`, which counts and, under test, refuses. */
#include "mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Test state of the process; with nothing set it only counts. */
static atomic_long allocations, failing;

void mem_fail_at(long n)
{
    atomic_store(&allocations, 0);
    atomic_store(&failing, n);
}

long mem_count(void)
{
    return atomic_load(&allocations);
}

static bool allowed(void)
{
    long n = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;

    return n != atomic_load_explicit(&failing, memory_order_relaxed);
}

/* False when count * size does not fit; zero bytes become one, so that NULL always means failure. */
static bool byte_count(size_t *bytes, size_t count, size_t size)
{
    if (__builtin_mul_overflow(count, size, bytes) || *bytes > PTRDIFF_MAX)
        return false;
    if (*bytes == 0)
        *bytes = 1;
    return true;
}

void *mem_new(size_t count, size_t size)
{
    size_t bytes;

    return allowed() && byte_count(&bytes, count, size) ? calloc(1, bytes) : NULL;
}

void *mem_grow(void *p, size_t count, size_t size)
{
    size_t bytes;

    return allowed() && byte_count(&bytes, count, size) ? realloc(p, bytes) : NULL;
}

void mem_free(void *p)
{
    free(p);
}

char *mem_text(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = mem_new(n, 1);

    return copy ? memcpy(copy, text, n) : NULL;
}

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#ifdef ADDRESS_SANITIZER
/* Under AddressSanitizer these come from the heap, so that a stray write is caught and a leak seen. */
void *mem_pages(size_t bytes)
{
    void *p = NULL;

    if (!allowed() || bytes > PTRDIFF_MAX || posix_memalign(&p, 64, bytes ? bytes : 1) != 0)
        return NULL;
    return memset(p, 0, bytes);
}

void mem_pages_free(void *p, size_t bytes)
{
    (void)bytes;
    free(p);
}
#else
/* From this size on, huge pages are worth asking for. */
enum { HUGE_BYTES = 4 << 20 };

void *mem_pages(size_t bytes)
{
    void *p;

    if (!allowed() || bytes > PTRDIFF_MAX)
        return NULL;
    p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE_BYTES)
        madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

void mem_pages_free(void *p, size_t bytes)
{
    if (p)
        munmap(p, bytes ? bytes : 1);
}
#endif
