/* quant.c: ggml's block formats, decoded exactly: the same operations on the same floats in the same order.
 * Scales are half precision; numbers stand little-endian. Quants of a byte: "low" are its bits 0-3, "high" 4-7.
 *
 * Blocks of 32 (bytes)                                                             x[i] =
 *   Q8_0  | d 2 | q[32] int8 |                                            34       d q[i]
 *   Q4_0  | d 2 | q[16] |                                                 18       d (q4[i] - 8)
 *   Q4_1  | d 2 | m 2 | q[16] |                                           20       d q4[i] + m
 *   Q5_0  | d 2 | h[4] | q[16] |                                          22       d (q5[i] - 16)
 *   Q5_1  | d 2 | m 2 | h[4] | q[16] |                                    24       d q5[i] + m
 *         q4[i] is the low half of q[i], q4[16 + i] the high half; bit i of h is the fifth bit of q5[i].
 *
 * Blocks of 256, in groups of 16 or 32 with a scale each
 *   Q2_K  | scale[16]: low s, high m | q[64] | d 2 | dmin 2 |             84       (d s) q2 - (dmin m)
 *   Q3_K  | h[32] | q[64] | scale[12]: 16 of 6 bits | d 2 |              110       (d (s - 32)) (q2 - (h ? 0 : 4))
 *   Q4_K  | d 2 | dmin 2 | scale[12]: 8 s, 8 m of 6 bits | q[128] |      144       (d s) q4 - (dmin m)
 *   Q5_K  | d 2 | dmin 2 | scale[12]: as Q4_K | h[32] | q[128] |         176       (d s) q5 - (dmin m)
 *   Q6_K  | ql[128] | qh[64] | scale[16] int8 | d 2 |                    210       (d s) (q6 - 32)
 */
#include "quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static float half_at(const uint8_t *p)
{
    return f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

static uint32_t word_at(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- Blocks of 32 */

static void decode_q8_0(float *out, const uint8_t *block)
{
    float d = half_at(block);

    for (int i = 0; i < 32; i++)
        out[i] = d * (float)(int8_t)block[2 + i];
}

static void decode_q4_0(float *out, const uint8_t *block)
{
    const uint8_t *q = block + 2;
    float d = half_at(block);

    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((q[i] & 15) - 8);
        out[16 + i] = d * (float)((q[i] >> 4) - 8);
    }
}

static void decode_q4_1(float *out, const uint8_t *block)
{
    const uint8_t *q = block + 4;
    float d = half_at(block), m = half_at(block + 2);

    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(q[i] & 15) + m;
        out[16 + i] = d * (float)(q[i] >> 4) + m;
    }
}

static void decode_q5_0(float *out, const uint8_t *block)
{
    const uint8_t *q = block + 6;
    float d = half_at(block);
    uint32_t h = word_at(block + 2);

    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((int)((q[i] & 15) | (h >> i & 1) << 4) - 16);
        out[16 + i] = d * (float)((int)(q[i] >> 4 | (h >> (16 + i) & 1) << 4) - 16);
    }
}

static void decode_q5_1(float *out, const uint8_t *block)
{
    const uint8_t *q = block + 8;
    float d = half_at(block), m = half_at(block + 2);
    uint32_t h = word_at(block + 4);

    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((q[i] & 15) | (h >> i & 1) << 4) + m;
        out[16 + i] = d * (float)(q[i] >> 4 | (h >> (16 + i) & 1) << 4) + m;
    }
}

/* ---- Blocks of 256 */

/* Two halves of 128; in each, 32 bytes hold four runs of 32 two-bit quants, the first in the lowest bits. */
static void decode_q2_k(float *out, const uint8_t *block)
{
    const uint8_t *scale = block, *q = block + 16;
    float d = half_at(block + 80), dmin = half_at(block + 82);

    for (int i = 0; i < 256; i++) {
        int group = i / 16, half = i / 128, shift = i / 32 % 4 * 2;
        float s = d * (float)(scale[group] & 15), m = dmin * (float)(scale[group] >> 4);
        out[i] = s * (float)(q[32 * half + i % 32] >> shift & 3) - m;
    }
}

/* Quants as in Q2_K; h[i % 32] holds the third bit of run i / 32 in bit i / 32. Scale k has its low four bits in
 * byte k % 8 (low half for k < 8, else high) and its high two in byte 8 + k % 4 at bit 2 (k / 4). */
static void decode_q3_k(float *out, const uint8_t *block)
{
    const uint8_t *h = block, *q = block + 32, *packed = block + 96;
    float d = half_at(block + 108);
    float s[16];

    for (int k = 0; k < 16; k++) {
        int low = packed[k % 8] >> (k / 8 * 4) & 15, high = packed[8 + k % 4] >> (k / 4 * 2) & 3;
        s[k] = d * (float)((low | high << 4) - 32);
    }
    for (int i = 0; i < 256; i++) {
        int two = q[32 * (i / 128) + i % 32] >> (i / 32 % 4 * 2) & 3;
        out[i] = s[i / 16] * (float)(two - (h[i % 32] >> (i / 32) & 1 ? 0 : 4));
    }
}

/* Eight scales and eight minima of six bits in twelve bytes:
 *   byte k      (k < 4)  s[4+k] bits 4-5 | s[k] 6 bits
 *   byte 4 + k           m[4+k] bits 4-5 | m[k] 6 bits
 *   byte 8 + k           m[4+k] bits 0-3 | s[4+k] bits 0-3 */
static void scale_and_minimum(const uint8_t packed[12], int group, float d, float dmin, float *s, float *m)
{
    int k = group % 4;
    int scale = packed[k] & 63, minimum = packed[4 + k] & 63;

    if (group >= 4) {
        scale = (packed[8 + k] & 15) | (packed[k] >> 6) << 4;
        minimum = packed[8 + k] >> 4 | (packed[4 + k] >> 6) << 4;
    }
    *s = d * (float)scale;
    *m = dmin * (float)minimum;
}

/* Groups of 32: group g is the low halves of 32 bytes at 32 (g / 2) when g is even, the high halves when odd. */
static void decode_q4_k(float *out, const uint8_t *block)
{
    float d = half_at(block), dmin = half_at(block + 2);

    for (int g = 0; g < 8; g++) {
        const uint8_t *q = block + 16 + 32 * (g / 2);
        float s, m;
        scale_and_minimum(block + 4, g, d, dmin, &s, &m);
        for (int i = 0; i < 32; i++)
            out[32 * g + i] = s * (float)(q[i] >> (g % 2 * 4) & 15) - m;
    }
}

/* As Q4_K; bit g of h[i] is the fifth bit of quant i of group g. */
static void decode_q5_k(float *out, const uint8_t *block)
{
    const uint8_t *h = block + 16;
    float d = half_at(block), dmin = half_at(block + 2);

    for (int g = 0; g < 8; g++) {
        const uint8_t *q = block + 48 + 32 * (g / 2);
        float s, m;
        scale_and_minimum(block + 4, g, d, dmin, &s, &m);
        for (int i = 0; i < 32; i++)
            out[32 * g + i] = s * (float)((q[i] >> (g % 2 * 4) & 15) | (h[i] >> g & 1) << 4) - m;
    }
}

/* Two halves of 128, each of four runs of 32: run r has its low four bits in 64 bytes of ql (runs 0, 1 low halves,
 * runs 2, 3 high halves) and its high two at bit 2 r of 32 bytes of qh. */
static void decode_q6_k(float *out, const uint8_t *block)
{
    const uint8_t *ql = block, *qh = block + 128, *scale = block + 192;
    float d = half_at(block + 208);

    for (int i = 0; i < 256; i++) {
        int half = i / 128, run = i / 32 % 4;
        int low = ql[64 * half + i % 64] >> (run / 2 * 4) & 15, high = qh[32 * half + i % 32] >> (2 * run) & 3;
        out[i] = d * (float)(int8_t)scale[i / 16] * (float)((low | high << 4) - 32);
    }
}

static void (*const decoders[DT_COUNT])(float *out, const uint8_t *block) = {
    [DT_Q8_0] = decode_q8_0, [DT_Q4_0] = decode_q4_0, [DT_Q4_1] = decode_q4_1, [DT_Q5_0] = decode_q5_0,
    [DT_Q5_1] = decode_q5_1, [DT_Q2_K] = decode_q2_k, [DT_Q3_K] = decode_q3_k, [DT_Q4_K] = decode_q4_k,
    [DT_Q5_K] = decode_q5_k, [DT_Q6_K] = decode_q6_k,
};

/* ---- Whole rows. Plain numbers may stand at any address in a file, hence memcpy. */

static void decode_plain(float *out, const uint8_t *p, dtype t, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        double wide;
        if (t == DT_F64) {
            memcpy(&wide, p + 8 * i, 8);
            out[i] = (float)wide;
            continue;
        }
        memcpy(&half, p + 2 * i, 2);
        out[i] = t == DT_F16 ? f16_to_f32(half) : bf16_to_f32(half);
    }
}

void quant_decode(float *out, const void *blocks, dtype t, int64_t n)
{
    const uint8_t *p = blocks;
    int64_t step = dtype_block(t);

    assert(n % step == 0 && (decoders[t] || dtype_is_float(t)));
    if (t == DT_F32)
        memcpy(out, blocks, (size_t)n * sizeof *out);
    else if (!decoders[t])
        decode_plain(out, p, t, n);
    else
        for (int64_t i = 0; i < n; i += step, p += dtype_block_bytes(t))
            decoders[t](out + i, p);
}

/* Half away from zero. Plain arithmetic, which unlike roundf becomes vectors everywhere: x + the float before 1/2 is
 * never rounded past a whole number that x + 1/2 does not reach. */
static int32_t round_away(float x)
{
    return (int32_t)(x + copysignf(0x1.fffffep-2f, x));
}

/* d = max |x| / 127, q = round half away (x / d), d itself then rounded to half precision: as ggml's reference. */
static void encode_q8_0(uint8_t *block, const float *x)
{
    float most = 0, d, inverse;
    uint16_t half;

    for (int i = 0; i < 32; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    d = most / 127;
    inverse = d != 0 ? 1 / d : 0;
    half = f32_to_f16(d);
    block[0] = (uint8_t)half;
    block[1] = (uint8_t)(half >> 8);
    for (int i = 0; i < 32; i++) {
        float q = x[i] * inverse;
        block[2 + i] = (uint8_t)(int8_t)round_away(fabsf(q) < 127.5f ? q : 0); /* NaN and infinity have no code */
    }
}

void quant_decode_row(float *out, const tensor *t, int64_t row)
{
    const int64_t cols = tensor_cols(t);

    quant_decode(out, (const char *)t->data + row * dtype_row_bytes(t->type, cols), t->type, cols);
}

void quant_encode_q8_0(void *blocks, const float *x, int64_t n)
{
    uint8_t *p = blocks;

    assert(n % 32 == 0);
    for (int64_t i = 0; i < n; i += 32, p += 34)
        encode_q8_0(p, x + i);
}
