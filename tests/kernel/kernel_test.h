/* kernel_test.h: what the kernel tests share. Every kernel of every table this processor can run is compared with a
 * naive formula in double, on the operands as they are stored; with 1, 2 and 3 threads it must give the same bytes,
 * and it may not touch the guard zones around what it writes. LORAC_TEST_SEED=N repeats a run. */
#ifndef LORAC_KERNEL_TEST_H
#define LORAC_KERNEL_TEST_H

#include "test.h"

#include "kernels.h"
#include "quant.h"
#include "rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, THREADS = 3 };

static rng dice;
static pool *teams[THREADS + 1];

static int start(void **state)
{
    (void)state;
    const char *seed = getenv("LORAC_TEST_SEED");
    dice = rng_new(seed ? strtoull(seed, NULL, 10) : 20240607, rng_stream("kernel tests"));
    printf("seed %llu\n", (unsigned long long)dice.seed);
    for (int n = 1; n <= THREADS; n++)
        assert_int_equal(pool_new(&teams[n], n), 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (int n = 1; n <= THREADS; n++) {
        assert_false(pool_failed(teams[n]));
        pool_free(teams[n]);
    }
    return 0;
}

/* The table for AMX needs no AMX itself: its products are oneDNN's, which looks for itself what the processor has. */
extern const kernels kernels_amx_bf16 __attribute__((weak));

/* Runs a test with every table. */
static void with_all_tables(void (*test)(const kernels *k))
{
    if (DT_REAL == DT_F64) {
        test(kernels_for(ISA_PORTABLE, DT_F64));
        return;
    }
    if (&kernels_amx_bf16 && cpu_isa() >= ISA_AVX512_BF16)
        test(&kernels_amx_bf16);
    for (isa level = ISA_PORTABLE; level <= cpu_isa(); level++) {
        test(kernels_for(level, DT_F32));
        test(kernels_for(level, DT_BF16));
    }
}

static int64_t pick(int64_t from, int64_t to)
{
    return from + (int64_t)(rng_next(&dice) % (uint64_t)(to - from + 1));
}

/* ---- numbers of any type */

static size_t bytes_of(dtype type, int64_t n)
{
    return (size_t)(n / dtype_block(type) * dtype_block_bytes(type));
}

static double number(const void *p, dtype type, int64_t i)
{
    float block[256];
    const int64_t width = dtype_block(type);
    if (type == DT_F64) {
        double x;
        memcpy(&x, (const uint8_t *)p + 8 * i, sizeof x);
        return x;
    }
    quant_decode(block, (const uint8_t *)p + i / width * dtype_block_bytes(type), type, width);
    return (double)block[i % width];
}

static void put(void *p, dtype type, int64_t i, double x)
{
    if (type == DT_F64)
        ((double *)p)[i] = x;
    else if (type == DT_F32)
        ((float *)p)[i] = (float)x;
    else if (type == DT_BF16)
        ((uint16_t *)p)[i] = f32_to_bf16((float)x);
    else
        ((uint16_t *)p)[i] = f32_to_f16((float)x);
}

/* n random numbers: normal, or for block types random blocks with moderate scales. */
static void *random_numbers(dtype type, int64_t n)
{
    uint8_t *p = malloc(bytes_of(type, n) + 1);
    assert_non_null(p);
    if (!dtype_is_quantised(type)) {
        for (int64_t i = 0; i < n; i++)
            put(p, type, i, rng_normal(&dice));
        return p;
    }
    for (int64_t block = 0; block < n / dtype_block(type); block++) {
        uint8_t *b = p + block * dtype_block_bytes(type);
        for (int64_t i = 0; i < dtype_block_bytes(type); i++)
            b[i] = (uint8_t)rng_next(&dice);
        /* The half-precision scales stand at the front or the back: both get exponents near 2^-5. */
        for (int at = 0; at < 4; at += 2) {
            b[at + 1] = (uint8_t)(0x28 | (b[at + 1] & 0x83));
            b[dtype_block_bytes(type) - 1 - at] = (uint8_t)(0x28 | (b[dtype_block_bytes(type) - 1 - at] & 0x83));
        }
    }
    return p;
}

/* ---- outputs */

static const double EPS = sizeof(real) == 8 ? 0x1p-53 : 0x1p-24; /* half a unit of real */

/* A buffer between guard zones, with the content it starts from and what the first run left in it. */
typedef struct output {
    uint8_t *memory, *before, *first;
    size_t bytes;
    dtype type;
    int64_t n;
} output;

static output output_new(dtype type, int64_t n)
{
    output o = { NULL, NULL, NULL, bytes_of(type, n), type, n };
    o.memory = malloc(o.bytes + 2 * GUARD);
    o.first = malloc(o.bytes + 1);
    o.before = random_numbers(type, n);
    assert_non_null(o.memory);
    assert_non_null(o.first);
    return o;
}

static void *output_start(output *o)
{
    memset(o->memory, 0xa5, GUARD);
    memset(o->memory + GUARD + o->bytes, 0xa5, GUARD);
    memcpy(o->memory + GUARD, o->before, o->bytes);
    return o->memory + GUARD;
}

static void output_end(output *o, int threads)
{
    for (int i = 0; i < GUARD; i++) {
        assert_int_equal(o->memory[i], 0xa5);
        assert_int_equal(o->memory[GUARD + o->bytes + (size_t)i], 0xa5);
    }
    if (threads == 1)
        memcpy(o->first, o->memory + GUARD, o->bytes);
    else if (memcmp(o->first, o->memory + GUARD, o->bytes) != 0)
        fail_msg("%d threads give other bytes than one", threads);
}

static void output_free(output *o)
{
    free(o->memory);
    free(o->before);
    free(o->first);
}

/* |got - want| may be half a unit of the stored type, plus `error` (what the arithmetic may lose). */
static void output_near(const output *o, int64_t i, double want, double error, const char *what, const kernels *k)
{
    const double got = number(o->first, o->type, i);
    const double unit = o->type == DT_BF16 ? 0x1p-8 : o->type == DT_F16 ? 0x1p-11 : o->type == DT_F32 ? 0x1p-24 : EPS;
    const double denormal = o->type == DT_F16 ? 0x1p-25 : 1e-38;
    const double allowed = unit * (fabs(want) + error) * 1.001 + error + denormal;
    if (fabs(got - want) <= allowed || (isnan(got) && isnan(want)) || got == want)
        return;
    fail_msg("%s (%s, %s): element %lld is %.9g, expected %.9g, off by %.3g of %.3g allowed", what, k->name,
             dtype_name(k->act), (long long)i, got, want, fabs(got - want), allowed);
}

#endif
