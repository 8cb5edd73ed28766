/* trie.h: a set of byte strings, each with a number, that answers which of them begin a text, shortest first: a double
 * array (Aoe 1989), one unit a step. Nothing is changed after building. */
#ifndef LORAC_TRIE_H
#define LORAC_TRIE_H

#include "str.h"

typedef struct trie_unit {
    uint32_t base;   /* the unit reached by a byte is base ^ byte, if it names this one as its parent */
    uint32_t parent; /* UINT32_MAX: a free unit */
    int32_t value;   /* of the string that ends here, or -1 */
} trie_unit;

typedef struct trie {
    trie_unit *units; /* the first is the root */
    size_t count;
} trie; /* {0} is an empty one */

typedef struct trie_entry {
    slice string;
    int32_t value;
} trie_entry;

/* Of strings none of which is empty; of equal ones the last given stays. Sorts the entries. */
int trie_build(trie *t, trie_entry *entries, size_t count);
void trie_free(trie *t);

/* The unit that `byte` leads to, or 0. Units begin at 0, the root. */
static inline uint32_t trie_step(const trie *t, uint32_t unit, uint8_t byte)
{
    uint32_t next = t->units[unit].base ^ byte;
    return t->units[next].parent == unit ? next : 0;
}

#endif
