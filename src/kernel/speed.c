/* speed.c: the best of several tries, as other programs can only make one slower. */
#include "speed.h"

#include "clock.h"
#include "err.h"
#include "mem.h"

enum { SIDE = 1024, DEPTH = 1536, STREAM = 8 << 20 };
static const double TRY_SECONDS = 0.4;

/* Numbers whose products neither vanish nor overflow: a few are as good as random ones here. */
static void fill(const kernels *k, pool *team, void *p, int64_t n, float *room)
{
    for (int64_t i = 0; i < n; i++)
        room[i] = (float)(i % 29 - 14) / 16;
    k->convert(team, p, k->act, room, DT_F32, n);
}

static double best_product(pool *team, const kernels *k, char *memory)
{
    const int64_t bytes = dtype_block_bytes(k->act);
    mat a = { memory, k->act, SIDE, DEPTH, DEPTH }, b = a, c = { NULL, k->act, SIDE, SIDE, SIDE };
    b.p = memory + SIDE * DEPTH * bytes;
    c.p = memory + 2 * SIDE * DEPTH * bytes;
    float *room = (void *)(memory + 4 * SIDE * DEPTH * bytes);
    double best = 0, end = clock_seconds() + TRY_SECONDS;
    fill(k, team, a.p, SIDE * DEPTH, room);
    fill(k, team, b.p, SIDE * DEPTH, room);
    do {
        const double began = clock_seconds();
        k->gemm(team, c, a, 0, b, 1, 1, 0);
        const double rate = 2.0 * SIDE * SIDE * DEPTH / (clock_seconds() - began);
        best = rate > best ? rate : best;
    } while (clock_seconds() < end);
    return best;
}

static double best_stream(pool *team, const kernels *k, char *memory)
{
    const int64_t bytes = dtype_block_bytes(k->act), n = STREAM / bytes * (int64_t)sizeof(float);
    double best = 0, end = clock_seconds() + TRY_SECONDS;
    do {
        const double began = clock_seconds();
        k->accumulate(team, (grad){ memory, 1 }, memory + n * bytes, n);
        const double rate = 3.0 * (double)(n * bytes) / (clock_seconds() - began);
        best = rate > best ? rate : best;
    } while (clock_seconds() < end);
    return best;
}

int measure_speed(pool *team, const kernels *k, machine_speed *out)
{
    const size_t bytes = 3 * (size_t)STREAM * sizeof(float);
    char *memory = mem_pages(bytes);
    if (!memory)
        return fail(LORAC_ERROR_MEMORY, "measuring this machine needs %zu MiB of memory", bytes >> 20);
    out->bandwidth = best_stream(team, k, memory);
    out->product_flops = best_product(team, k, memory);
    mem_pages_free(memory, bytes);
    return pool_failed(team) ? fail_memory() : LORAC_OK;
}
