/* character_range.h: sorted tables of ranges of characters. */
#ifndef LORAC_CHARACTER_RANGE_H
#define LORAC_CHARACTER_RANGE_H

#include <stdint.h>
#include <stdlib.h>

typedef struct character_range {
    uint32_t first, last;
} character_range;

static inline int character_to_range(const void *character, const void *item)
{
    const uint32_t c = *(const uint32_t *)character, *bounds = item;
    return c < bounds[0] ? -1 : c > bounds[1];
}

/* The item whose range holds c, or NULL, of a sorted table of items that begin with the bounds of a range. Most
 * characters stand before all of them. */
static inline const void *character_range_of(uint32_t c, const void *table, size_t count, size_t size)
{
    return c < *(const uint32_t *)table ? NULL : bsearch(&c, table, count, size, character_to_range);
}

#endif
