/* arena.h: memory that dies together. Allocation is a pointer bump; there is no free but arena_free.
 * Used for everything whose lifetime is that of one object (a model's tables, a parsed config). */
#ifndef LORAC_ARENA_H
#define LORAC_ARENA_H

#include <stddef.h>

typedef struct arena {
    struct arena_block *last;
    size_t bytes;
} arena; /* {0} is an empty one */

void *arena_new(arena *a, size_t count, size_t size);        /* zeroed, 64-byte aligned; NULL when out of memory */
char *arena_text(arena *a, const char *text, size_t length); /* a NUL-terminated copy */
char *arena_format(arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_free(arena *a);

#endif
