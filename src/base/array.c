/* array.c: growing by doubling, so that adding n items one by one copies O(n) of them. */
#include "array.h"

#include "mem.h"

#include <string.h>

enum { FIRST_CAPACITY = 16 };

int array_move(void *items, size_t count, size_t size)
{
    void *array;
    memcpy(&array, items, sizeof array); /* the pointer may be of any type */
    array = mem_grow(array, count, size);
    if (!array)
        return fail_memory();
    memcpy(items, &array, sizeof array);
    return LORAC_OK;
}

void array_replace(void *items, void *grown, size_t bytes)
{
    void *array;
    memcpy(&array, items, sizeof array);
    if (bytes)
        memcpy(grown, array, bytes);
    memcpy(items, &grown, sizeof grown);
}

int array_grow(void *items, size_t *capacity, size_t count, size_t size)
{
    size_t larger = *capacity ? 2 * *capacity : FIRST_CAPACITY; /* cannot wrap: so many items have been allocated */
    if (larger < count)
        larger = count;
    TRY(array_move(items, larger, size));
    *capacity = larger;
    return LORAC_OK;
}
