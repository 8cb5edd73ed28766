/* map.c: open addressing with linear probing, at most three quarters full. The hash is SipHash-1-3 keyed with the
 * process's random bytes, so that keys from a file cannot be chosen to collide (Aumasson & Bernstein 2012). */
#include "map.h"

#include "err.h"
#include "mem.h"

#include <string.h>
#include <sys/auxv.h>

typedef struct map_slot {
    slice key;
    uint64_t hash;
    int64_t stored; /* the value + 1; 0 marks a free slot */
} map_slot;

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t hash_of(slice key)
{
    uint64_t secret[2] = { 0, 0 };
    const void *random = (const void *)getauxval(AT_RANDOM); /* 16 bytes from the kernel, per process */
    uint64_t v[4], word;
    size_t at = 0;

    if (random)
        memcpy(secret, random, sizeof secret);
    v[0] = secret[0] ^ 0x736f6d6570736575u;
    v[1] = secret[1] ^ 0x646f72616e646f6du;
    v[2] = secret[0] ^ 0x6c7967656e657261u;
    v[3] = secret[1] ^ 0x7465646279746573u;
    for (; key.n - at >= 8; at += 8) {
        memcpy(&word, key.p + at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)key.n << 56;
    for (size_t i = 0; at + i < key.n; i++)
        word |= (uint64_t)(unsigned char)key.p[at + i] << 8 * i;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xFF;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot that holds the key, or the free one where it belongs. The table has a free slot. */
static map_slot *slot_of(map_slot *slots, size_t capacity, slice key, uint64_t hash)
{
    size_t at = hash & (capacity - 1);

    while (slots[at].stored != 0 && !(slots[at].hash == hash && slice_equal(slots[at].key, key)))
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static int grow(map *m)
{
    size_t capacity = m->capacity ? 2 * m->capacity : 16;
    map_slot *slots = mem_new(capacity, sizeof *slots);

    if (!slots)
        return fail_memory();
    for (size_t i = 0; i < m->capacity; i++) {
        if (m->slots[i].stored != 0)
            *slot_of(slots, capacity, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    }
    mem_free(m->slots);
    m->slots = slots;
    m->capacity = capacity;
    return LORAC_OK;
}

int map_add(map *m, slice key, int64_t value, bool *found)
{
    uint64_t hash = hash_of(key);
    map_slot *slot;

    assert(value >= 0 && value < INT64_MAX);
    if (m->count + 1 > m->capacity / 4 * 3)
        TRY(grow(m));
    slot = slot_of(m->slots, m->capacity, key, hash);
    if (found)
        *found = slot->stored != 0;
    if (slot->stored == 0) {
        *slot = (map_slot){ key, hash, value + 1 };
        m->count++;
    }
    return LORAC_OK;
}

int64_t map_find(const map *m, slice key)
{
    if (m->count == 0)
        return -1;
    return slot_of(m->slots, m->capacity, key, hash_of(key))->stored - 1;
}

void map_free(map *m)
{
    mem_free(m->slots);
    *m = (map){ 0 };
}
