/* dropout.c: y = x mask / (1 - p). Element i is kept when word i mod 4 of Philox 4x32-10 (base/rng.h) at block i / 4 of
 * the stream `site` is at least p 2^32: the mask depends on nothing else. Blocks are made many at a time. */
#include "level.h"

#include "rng.h"

enum { BLOCKS = 16 };

typedef struct dropout_job {
    act *y;
    const act *x;
    int64_t N;
    real scale;
    uint32_t threshold;
    uint64_t seed, site;
} dropout_job;

/* Philox at counters first..first+BLOCKS-1, the four words of a block side by side. */
static void philox_blocks(uint32_t words[4 * BLOCKS], uint64_t seed, uint64_t stream, uint64_t first)
{
    uint32_t a[BLOCKS], b[BLOCKS], c[BLOCKS], d[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        const uint64_t counter = first + (uint64_t)i;
        a[i] = (uint32_t)counter;
        b[i] = (uint32_t)(counter >> 32);
        c[i] = (uint32_t)stream;
        d[i] = (uint32_t)(stream >> 32);
    }
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        SIMD
        for (int i = 0; i < BLOCKS; i++) {
            const uint64_t p = (uint64_t)0xD2511F53u * a[i], q = (uint64_t)0xCD9E8D57u * c[i];
            a[i] = (uint32_t)(q >> 32) ^ b[i] ^ key0;
            b[i] = (uint32_t)q;
            c[i] = (uint32_t)(p >> 32) ^ d[i] ^ key1;
            d[i] = (uint32_t)p;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int i = 0; i < BLOCKS; i++) {
        words[4 * i] = a[i];
        words[4 * i + 1] = b[i];
        words[4 * i + 2] = c[i];
        words[4 * i + 3] = d[i];
    }
}

static void dropout_groups(const void *arg, int64_t from, int64_t to, int thread)
{
    const dropout_job *j = arg;
    (void)thread;
    for (int64_t group = from; group < to; group++) {
        uint32_t words[4 * BLOCKS];
        philox_blocks(words, j->seed, j->site, (uint64_t)group * BLOCKS);
        const int64_t first = group * 4 * BLOCKS, n = smaller(j->N - first, 4 * BLOCKS);
        const act *x = j->x + first;
        act *y = j->y + first;
        SIMD
        for (int64_t i = 0; i < n; i++) {
            const real scaled = widen(x[i]) * j->scale;
            y[i] = narrow(words[i] >= j->threshold ? scaled : 0);
        }
    }
}

void NAME(dropout)(pool *p, void *y, const void *x, int64_t N, real probability, uint64_t seed, uint64_t site)
{
    dropout_job job = {
        y, x, N, 1 / (1 - probability), (uint32_t)((double)probability * 4294967296.0), seed, site,
    };
    split_rows(p, divide_up(N, 4 * BLOCKS), 4 * BLOCKS, dropout_groups, &job);
}
