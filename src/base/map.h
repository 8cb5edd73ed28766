/* map.h: byte strings to non-negative integers (an index into the caller's array). Open addressing; keys
 * are not copied and must outlive the map. */
#ifndef LORAC_MAP_H
#define LORAC_MAP_H

#include "str.h"

typedef struct map {
    struct map_slot *slots;
    size_t capacity, count;
} map; /* {0} is an empty one */

/* Adds the key; one that is there already keeps its value (*found, which may be NULL, tells).
 * LORAC_ERROR_RUNTIME when out of memory. */
int map_add(map *m, slice key, int64_t value, bool *found);
/* The value, or -1. */
int64_t map_find(const map *m, slice key);
void map_free(map *m);

#endif
