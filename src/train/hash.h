/* hash.h: a fast 64-bit checksum to notice damaged files and changed data. Not for adversaries. FNV-1a's step on
 * eight bytes at a time, with a fold so that high bits reach low ones. */
#ifndef LORAC_HASH_H
#define LORAC_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_word(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

/* The length goes in as well, so that pieces cannot trade bytes. */
static inline uint64_t hash_add(uint64_t h, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    uint64_t word;

    for (size_t i = 0; i < n; i += sizeof word) {
        word = 0;
        memcpy(&word, bytes + i, n - i < sizeof word ? n - i : sizeof word);
        h = hash_word(h, word);
    }
    return hash_word(h, n);
}

#endif
