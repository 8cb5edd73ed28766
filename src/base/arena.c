/* arena.c: blocks of doubling size, filled from the front. Blocks come zeroed and no byte is given out twice,
 * so what arena_new returns is zero. */
#include "arena.h"

#include "mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, FIRST_BLOCK = 4096, LARGEST_STEP = 1 << 20 };

typedef struct arena_block {
    struct arena_block *previous;
    size_t used, capacity; /* of bytes[] */
    char bytes[];
} arena_block;

/* The offset at or after block->used where an address is a multiple of `alignment` (a power of two). */
static size_t aligned_offset(const arena_block *block, size_t alignment)
{
    uintptr_t end = (uintptr_t)(block->bytes + block->used);

    return block->used + (size_t)(-end & (alignment - 1));
}

static arena_block *add_block(arena *a, size_t bytes)
{
    size_t capacity = a->last ? 2 * a->last->capacity : FIRST_BLOCK;
    arena_block *block;

    if (capacity > LARGEST_STEP)
        capacity = LARGEST_STEP;
    if (capacity < bytes)
        capacity = bytes;
    if (capacity > SIZE_MAX - sizeof *block)
        return NULL;
    block = mem_new(sizeof *block + capacity, 1);
    if (!block)
        return NULL;
    block->previous = a->last;
    block->capacity = capacity;
    a->last = block;
    a->bytes += capacity;
    return block;
}

static void *take(arena *a, size_t bytes, size_t alignment)
{
    arena_block *block = a->last;
    size_t at = block ? aligned_offset(block, alignment) : 0;

    if (!block || at > block->capacity || bytes > block->capacity - at) {
        if (bytes > SIZE_MAX - alignment)
            return NULL;
        block = add_block(a, bytes + alignment - 1);
        if (!block)
            return NULL;
        at = aligned_offset(block, alignment);
    }
    block->used = at + bytes;
    return block->bytes + at;
}

void *arena_new(arena *a, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return take(a, bytes ? bytes : 1, ALIGNMENT);
}

char *arena_text(arena *a, const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? take(a, length + 1, 1) : NULL;

    if (copy && length > 0)
        memcpy(copy, text, length);
    return copy;
}

char *arena_format(arena *a, const char *format, ...)
{
    va_list args;
    char *text;
    int length;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    text = length >= 0 ? take(a, (size_t)length + 1, 1) : NULL;
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void arena_free(arena *a)
{
    while (a->last) {
        arena_block *block = a->last;
        a->last = block->previous;
        mem_free(block);
    }
    a->bytes = 0;
}
