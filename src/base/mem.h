/* mem.h: the one door to the heap, so that tests can make the n-th allocation fail. All sizes are checked
 * for overflow here: pass count and size apart, never a product. */
#ifndef LORAC_MEM_H
#define LORAC_MEM_H

#include <stddef.h>

void *mem_new(size_t count, size_t size);           /* zeroed; NULL when out of memory; never NULL for 0 bytes */
void *mem_grow(void *p, size_t count, size_t size); /* realloc; on NULL the old block still stands */
void mem_free(void *p);
char *mem_text(const char *text); /* strdup */
/* Cache-line aligned, zeroed by the system, for large numeric buffers. Freed with mem_pages_free. */
void *mem_pages(size_t bytes);
void mem_pages_free(void *p, size_t bytes);

/* Tests: the n-th allocation from now fails (0: none ever), and how many there were since. */
void mem_fail_at(long n);
long mem_count(void);

#endif
