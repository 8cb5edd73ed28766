/* array.h: arrays that grow item by item. */
#ifndef LORAC_ARRAY_H
#define LORAC_ARRAY_H

#include "err.h"

#include <stddef.h>

/* Makes room for `count` items in all in the array that the pointer `items` holds and `capacity`, a size_t, measures;
 * where it lacks, the array moves and at least doubles. LORAC_ERROR_RUNTIME when out of memory: the old array still
 * stands. Freed with mem_free. */
#define array_room(items, capacity, count) \
    ((count) <= (capacity) ? LORAC_OK : array_grow(&(items), &(capacity), (count), sizeof *(items)))

/* For array_room alone. `items` is the address of a pointer. */
int array_grow(void *items, size_t *capacity, size_t count, size_t size);

#endif
