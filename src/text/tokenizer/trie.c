/* trie.c: building the double array. The entries are sorted, so that the strings below a node are a range of them; each
 * node's children are put at the first place, among the last blocks of 256 units, where all of them find theirs free.
 */
#include "trie.h"

#include "array.h"
#include "err.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* A file may hold few tokens of any length. */
enum { UNITS_MOST = 1 << 26, BLOCK = 256, BLOCKS_TRIED = 16 };

static const uint32_t no_parent = UINT32_MAX;

/* ---- Order */

/* Eight bytes at once, for most comparisons; then the rest of the strings. */
typedef struct keyed {
    uint64_t first;
    trie_entry entry;
    size_t place;
} keyed;

static uint64_t first_bytes(slice s)
{
    uint64_t key = 0;
    for (size_t i = 0; i < 8; i++)
        key = key << 8 | (i < s.n ? (uint8_t)s.p[i] : 0);
    return key;
}

static int by_string(const void *left, const void *right)
{
    const keyed *a = left, *b = right;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    size_t m = a->entry.string.n, n = b->entry.string.n;
    int order = memcmp(a->entry.string.p, b->entry.string.p, m < n ? m : n);
    if (order || m != n)
        return order ? order : m < n ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

static int sort_entries(trie_entry *entries, size_t count)
{
    keyed *all = mem_new(count, sizeof *all);
    if (!all)
        return fail_memory();
    for (size_t i = 0; i < count; i++)
        all[i] = (keyed){ first_bytes(entries[i].string), entries[i], i };
    qsort(all, count, sizeof *all, by_string);
    for (size_t i = 0; i < count; i++)
        entries[i] = all[i].entry;
    mem_free(all);
    return LORAC_OK;
}

/* ---- Places */

/* The entries from `first` up to `end` begin with the `depth` bytes that lead to `unit`. */
typedef struct node {
    size_t first, end, depth;
    uint32_t unit;
} node;

typedef struct builder {
    trie *t;
    const trie_entry *entries;
    node *nodes; /* still to be given children */
    size_t node_count, node_capacity, unit_capacity;
    size_t open; /* no unit before it is free, or tried any more */
} builder;

static int add_block(builder *b)
{
    trie *t = b->t;
    if (t->count >= UNITS_MOST)
        return fail(LORAC_ERROR_DATA, "the vocabulary's tokens are too long to be searched for");
    TRY(array_room(t->units, b->unit_capacity, t->count + BLOCK));
    for (size_t i = 0; i < BLOCK; i++)
        t->units[t->count++] = (trie_unit){ .parent = no_parent, .value = -1 };
    return LORAC_OK;
}

static bool fits(const trie *t, uint32_t base, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (t->units[base ^ bytes[i]].parent != no_parent)
            return false;
    return true;
}

/* A base for children of these bytes. */
static int find_base(builder *b, const uint8_t *bytes, size_t count, uint32_t *base)
{
    const trie *t = b->t;
    if (b->open + BLOCKS_TRIED * BLOCK < t->count)
        b->open = t->count - BLOCKS_TRIED * BLOCK;
    while (b->open < t->count && t->units[b->open].parent != no_parent)
        b->open++;
    for (size_t unit = b->open; unit < t->count; unit++) {
        *base = (uint32_t)unit ^ bytes[0];
        if (fits(t, *base, bytes, count))
            return LORAC_OK;
    }
    *base = (uint32_t)t->count ^ bytes[0];
    return add_block(b);
}

static int push(builder *b, node n)
{
    TRY(array_room(b->nodes, b->node_capacity, b->node_count + 1));
    b->nodes[b->node_count++] = n;
    return LORAC_OK;
}

static uint8_t byte_at(const builder *b, size_t entry, size_t depth)
{
    return (uint8_t)b->entries[entry].string.p[depth];
}

static int add_children(builder *b, node n)
{
    uint8_t bytes[BLOCK];
    size_t starts[BLOCK + 1], count = 0;
    while (n.first < n.end && b->entries[n.first].string.n == n.depth)
        b->t->units[n.unit].value = b->entries[n.first++].value;
    for (size_t i = n.first; i < n.end; i++) {
        uint8_t byte = byte_at(b, i, n.depth);
        if (count && bytes[count - 1] == byte)
            continue;
        starts[count] = i;
        bytes[count++] = byte;
    }
    if (!count)
        return LORAC_OK;
    starts[count] = n.end;
    uint32_t base;
    TRY(find_base(b, bytes, count, &base));
    b->t->units[n.unit].base = base;
    for (size_t i = 0; i < count; i++)
        b->t->units[base ^ bytes[i]].parent = n.unit;
    for (size_t i = count; i-- > 0;)
        TRY(push(b, (node){ starts[i], starts[i + 1], n.depth + 1, base ^ bytes[i] }));
    return LORAC_OK;
}

int trie_build(trie *t, trie_entry *entries, size_t count)
{
    builder b = { .t = t, .entries = entries };
    int status = sort_entries(entries, count);
    if (status == LORAC_OK)
        status = add_block(&b);
    if (status == LORAC_OK) {
        t->units[0].parent = 0; /* taken, and no step leads there */
        status = push(&b, (node){ 0, count, 0, 0 });
    }
    while (status == LORAC_OK && b.node_count)
        status = add_children(&b, b.nodes[--b.node_count]);
    mem_free(b.nodes);
    return status;
}

void trie_free(trie *t)
{
    mem_free(t->units);
    *t = (trie){ 0 };
}
