/* array.h: arrays that grow. What is given is the pointer to the items itself, which moves with them; it is freed with
 * mem_free. LORAC_ERROR_RUNTIME when out of memory: the old array still stands. */
#ifndef LORAC_ARRAY_H
#define LORAC_ARRAY_H

#include "err.h"

#include <stddef.h>

/* Makes room for `count` items in all. `capacity` is a size_t, which at least doubles where it lacks. */
#define array_room(items, capacity, count) \
    ((count) <= (capacity) ? LORAC_OK : array_grow(&(items), &(capacity), (count), sizeof *(items)))
/* Makes room for just `count` items: for arrays that share a capacity, or that grow seldom. */
#define array_resize(items, count) array_move(&(items), (count), sizeof *(items))

/* `grown`, into which the first `bytes` of the items are copied, takes their place: for arrays of other allocators.
 * `items` is the address of the pointer. */
void array_replace(void *items, void *grown, size_t bytes);

/* For these macros alone. `items` is the address of a pointer. */
int array_grow(void *items, size_t *capacity, size_t count, size_t size);
int array_move(void *items, size_t count, size_t size);

#endif
