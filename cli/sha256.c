/* sha256.c: SHA-256 (FIPS 180-4). Constants are the fractional parts of the cube and square roots of the first primes;
 * they are computed once with integers rather than listed. */
#include "sha256.h"

#include <string.h>

enum { BLOCK = 64, ROUNDS = 64 };

typedef unsigned __int128 wide;

/* floor(fraction of prime^(1/root) * 2^32) by bisection: x^root <= prime * 2^(32 * root). */
static uint32_t root_fraction(uint32_t prime, int root)
{
    uint64_t low = 0, high = UINT64_C(1) << 36; /* roots of primes below 312 are below 18 */

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        wide square = (wide)middle * middle;
        int below = root == 2 ? square <= (wide)prime << 64 : square <= ((wide)prime << 96) / middle;

        if (below)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

static void make_constants(uint32_t k[ROUNDS], uint32_t start[8])
{
    uint32_t prime = 2;

    for (int found = 0; found < ROUNDS; prime++) {
        uint32_t divisor = 2;

        while (divisor * divisor <= prime && prime % divisor)
            divisor++;
        if (divisor * divisor <= prime)
            continue;
        k[found] = root_fraction(prime, 3);
        if (found < 8)
            start[found] = root_fraction(prime, 2);
        found++;
    }
}

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void add_block(uint32_t state[8], const uint32_t k[ROUNDS], const uint8_t *p)
{
    uint32_t w[ROUNDS], v[8];

    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < ROUNDS; i++) {
        uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(v, state, sizeof v);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t e = v[4], a = v[0];
        uint32_t first =
            v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
        uint32_t second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

int sha256_file(FILE *file, char out[65])
{
    uint32_t k[ROUNDS], state[8];
    uint8_t tail[2 * BLOCK] = { 0 }, buffer[BLOCK * 1024];
    uint64_t bytes = 0;
    size_t n, padded;

    make_constants(k, state);
    while ((n = fread(buffer, 1, sizeof buffer, file)) == sizeof buffer) {
        for (size_t i = 0; i < n; i += BLOCK)
            add_block(state, k, buffer + i);
        bytes += n;
    }
    if (ferror(file))
        return 0;
    bytes += n;
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK)
        add_block(state, k, buffer + i);
    memcpy(tail, buffer + n / BLOCK * BLOCK, n % BLOCK);
    tail[n % BLOCK] = 0x80;
    padded = n % BLOCK < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    for (int i = 0; i < 8; i++)
        tail[padded - 1 - (size_t)i] = (uint8_t)(bytes * 8 >> (8 * i));
    for (size_t i = 0; i < padded; i += BLOCK)
        add_block(state, k, tail + i);
    for (size_t i = 0; i < 8; i++)
        snprintf(out + 8 * i, 9, "%08x", state[i]);
    return 1;
}
