/* rng.c: Philox 4x32-10 as in Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
 * The key is the seed; the 128-bit counter is the block number below and the stream above it. */
#include "rng.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

void philox(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);

    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

rng rng_new(uint64_t seed, uint64_t stream)
{
    return (rng){ seed, stream, 0 };
}

/* The two 64-bit halves of the stream's next block. */
static void next_block(rng *r, uint64_t half[2])
{
    uint32_t word[4];

    philox(word, r->seed, r->stream, r->counter++);
    half[0] = word[0] | (uint64_t)word[1] << 32;
    half[1] = word[2] | (uint64_t)word[3] << 32;
}

uint64_t rng_next(rng *r)
{
    uint64_t half[2];

    next_block(r, half);
    return half[0];
}

double rng_uniform(rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

double rng_normal(rng *r)
{
    uint64_t half[2];
    double radius, angle;

    next_block(r, half);
    radius = sqrt(-2 * log((double)((half[0] >> 11) + 1) * 0x1p-53)); /* of (0, 1] */
    angle = 2 * M_PI * ((double)(half[1] >> 11) * 0x1p-53);
    return radius * cos(angle);
}

uint64_t rng_stream(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
    return hash;
}

/* One pass of a balanced Feistel network over 2 * bits bits (Luby & Rackoff 1988); Philox is the round function. */
static uint64_t feistel(uint64_t seed, uint64_t stream, uint64_t i, int bits)
{
    enum { ROUNDS = 8 };
    uint64_t mask = (UINT64_C(1) << bits) - 1;
    uint64_t left = i >> bits, right = i & mask;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint32_t word[4];
        uint64_t next;
        philox(word, seed, stream, round << 32 | right);
        next = left ^ (word[0] & mask);
        left = right;
        right = next;
    }
    return left << bits | right;
}

uint64_t rng_permute(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n)
{
    int bits = 1;

    assert(i < n);
    while (bits < 32 && (n - 1) >> 2 * bits != 0)
        bits++;
    /* The network permutes 0..4^bits-1; following the cycle until it is back below n permutes 0..n-1. */
    do
        i = feistel(seed, stream, i, bits);
    while (i >= n);
    return i;
}
