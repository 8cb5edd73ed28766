/* blocks.h: decoders of single blocks of the quantised formats, in vectors. tensor/quant.c draws the layouts and is
 * what these are tested against. A scale times a quant is exact in float (at most 11 + 6 + 6 bits), so it does not
 * matter whether the offset is added with or without rounding between, nor in which order factors are multiplied. */
#ifndef LORAC_BLOCKS_H
#define LORAC_BLOCKS_H

#include "vectors.h"

/* ---- Blocks of 32 */

/* A half's bits moved into a float's place are 2^-112 of its value, denormals too; only infinity and NaN need their
 * exponent filled up. */
INLINE float half_value(uint16_t half)
{
    union {
        uint32_t u;
        float f;
    } v = { (uint32_t)(half & 0x7fffu) << 13 };
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, special = v.u >= 0x0f800000u ? 0x7f800000u : 0;
    v.f *= 0x1p112f;
    v.u |= sign | special;
    return v.f;
}

INLINE float half_at(const uint8_t *p)
{
    const uint16_t half = (uint16_t)(p[0] | p[1] << 8);
#if defined(__F16C__)
    return _cvtsh_ss(half);
#else
    return half_value(half);
#endif
}

INLINE void put_scaled(real *out, int_vec q, real d, real offset)
{
    *(vec *)out = __builtin_convertvector(q, vec) * d + offset;
}

/* The half at p in every lane. */
INLINE vec half_everywhere(const uint8_t *p)
{
#if defined(__AVX2__)
    int16_t half;
    memcpy(&half, p, sizeof half);
#endif
#if defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps(_mm256_set1_epi16(half));
#elif defined(__AVX2__)
    return (vec)_mm256_cvtph_ps(_mm_set1_epi16(half));
#else
    return (vec){ 0 } + half_at(p);
#endif
}

INLINE void decode_q8_0(real *out, const uint8_t *block)
{
    const vec d = half_everywhere(block);
    for (int i = 0; i < 32; i += LANES)
        *(vec *)(out + i) = __builtin_convertvector(signed_bytes(block + 2 + i), vec) * d;
}

#if defined(__AVX512F__)
/* The sixteen values of a nibble, to be looked up. */
INLINE __m512 nibble_values(vec d, vec offset)
{
    const vec quant = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    return (__m512)(quant * d + offset);
}
#endif

INLINE void decode_nibbles(real *out, const uint8_t *q, vec d, vec offset)
{
    for (int i = 0; i < 16; i += LANES) {
        const int_vec both = unsigned_bytes(q + i);
#if defined(__AVX512F__) /* a look-up sees the low four bits only */
        const __m512 values = nibble_values(d, offset);
        *(vec *)out = (vec)_mm512_permutexvar_ps((__m512i)both, values);
        *(vec *)(out + 16) = (vec)_mm512_permutexvar_ps((__m512i)(both >> 4), values);
#else
        *(vec *)(out + i) = __builtin_convertvector(both & 15, vec) * d + offset;
        *(vec *)(out + 16 + i) = __builtin_convertvector(both >> 4, vec) * d + offset;
#endif
    }
}

INLINE void decode_q4_0(real *out, const uint8_t *block)
{
    const vec d = half_everywhere(block);
    decode_nibbles(out, block + 2, d, -8 * d);
}

/* The halves at p and p + 2. */
INLINE void two_halves(vec *d, vec *offset, const uint8_t *p)
{
#if defined(__AVX512F__)
    int32_t halves;
    memcpy(&halves, p, sizeof halves);
    const __m512 both = _mm512_cvtph_ps(_mm256_set1_epi32(halves));
    *d = (vec)_mm512_moveldup_ps(both);
    *offset = (vec)_mm512_movehdup_ps(both);
#else
    *d = half_everywhere(p);
    *offset = half_everywhere(p + 2);
#endif
}

INLINE void decode_q4_1(real *out, const uint8_t *block)
{
    vec d, offset;
    two_halves(&d, &offset, block);
    decode_nibbles(out, block + 4, d, offset);
}

/* The fifth bits stand in one 32-bit word before the nibbles; bit i belongs to quant i. */
INLINE void decode_fives(real *out, const uint8_t *q, float d, float offset)
{
    const uint32_t high = q[0] | (uint32_t)q[1] << 8 | (uint32_t)q[2] << 16 | (uint32_t)q[3] << 24;
    int_vec lane;
    for (int i = 0; i < LANES; i++)
        lane[i] = i;
    for (int i = 0; i < 16; i += LANES) {
        const int_vec both = unsigned_bytes(q + 4 + i);
        const int_vec low = ((int_vec){ 0 } + (int32_t)(high >> i & 0xffff)) >> lane & 1;
        const int_vec upper = ((int_vec){ 0 } + (int32_t)(high >> (16 + i))) >> lane & 1;
        put_scaled(out + i, (both & 15) | low << 4, d, offset);
        put_scaled(out + 16 + i, both >> 4 | upper << 4, d, offset);
    }
}

INLINE void decode_q5_0(real *out, const uint8_t *block)
{
    const float d = half_at(block);
    decode_fives(out, block + 2, d, -16 * d);
}

INLINE void decode_q5_1(real *out, const uint8_t *block)
{
    decode_fives(out, block + 4, half_at(block), half_at(block + 2));
}

/* ---- Blocks of 256, in runs of 16 or 32 */

/* out[0..16) = quant scale - offset, quant being `bits` bits of q[i] from `shift`. */
INLINE void put_run(real *out, const uint8_t *q, int shift, int bits, real scale, real offset)
{
    for (int i = 0; i < 16; i += LANES)
        put_scaled(out + i, unsigned_bytes(q + i) >> shift & ((1 << bits) - 1), scale, -offset);
}

INLINE void decode_q2_k(real *out, const uint8_t *block)
{
    const float d = half_at(block + 80), least = half_at(block + 82);
    for (int run = 0; run < 16; run++) {
        const uint8_t *q = block + 16 + run / 8 * 32 + run % 2 * 16;
        put_run(out + 16 * run, q, run % 8 / 2 * 2, 2, d * (float)(block[run] & 15), least * (float)(block[run] >> 4));
    }
}

INLINE void decode_q3_k(real *out, const uint8_t *block)
{
    const uint8_t *packed = block + 96;
    const float d = half_at(block + 108);
    for (int run = 0; run < 16; run++) {
        const int low = packed[run % 8] >> (run / 8 * 4) & 15, high = packed[8 + run % 4] >> (run / 4 * 2) & 3;
        const float scale = d * (float)((low | high << 4) - 32);
        const uint8_t *q = block + 32 + run / 8 * 32 + run % 2 * 16, *h = block + run % 2 * 16;
        for (int i = 0; i < 16; i += LANES) {
            const int_vec two = unsigned_bytes(q + i) >> (run % 8 / 2 * 2) & 3,
                          third = unsigned_bytes(h + i) >> (run / 2) & 1;
            put_scaled(out + 16 * run + i, two + third * 4 - 4, scale, 0);
        }
    }
}

/* Scale and minimum of one of eight groups, six bits each in twelve bytes. */
INLINE void six_bits(const uint8_t *packed, int group, int *scale, int *least)
{
    const int k = group % 4;
    *scale = group < 4 ? packed[k] & 63 : (packed[8 + k] & 15) | packed[k] >> 6 << 4;
    *least = group < 4 ? packed[4 + k] & 63 : packed[8 + k] >> 4 | packed[4 + k] >> 6 << 4;
}

INLINE void decode_q4_k(real *out, const uint8_t *block)
{
    const float d = half_at(block), least = half_at(block + 2);
    for (int group = 0; group < 8; group++) {
        int s, m;
        six_bits(block + 4, group, &s, &m);
        for (int half = 0; half < 2; half++)
            put_run(out + 32 * group + 16 * half, block + 16 + group / 2 * 32 + 16 * half, group % 2 * 4, 4,
                    d * (float)s, least * (float)m);
    }
}

INLINE void decode_q5_k(real *out, const uint8_t *block)
{
    const float d = half_at(block), least = half_at(block + 2);
    for (int group = 0; group < 8; group++) {
        const uint8_t *q = block + 48 + group / 2 * 32, *h = block + 16;
        int s, m;
        six_bits(block + 4, group, &s, &m);
        for (int i = 0; i < 32; i += LANES) {
            const int_vec low = unsigned_bytes(q + i) >> (group % 2 * 4) & 15,
                          fifth = unsigned_bytes(h + i) >> group & 1;
            put_scaled(out + 32 * group + i, low + fifth * 16, d * (float)s, -least * (float)m);
        }
    }
}

INLINE void decode_q6_k(real *out, const uint8_t *block)
{
    const float d = half_at(block + 208);
    for (int run = 0; run < 16; run++) {
        const int half = run / 8, quarter = run % 8 / 2, side = run % 2 * 16;
        const uint8_t *low = block + half * 64 + quarter % 2 * 32 + side, *high = block + 128 + half * 32 + side;
        const float scale = d * (float)(int8_t)block[192 + run];
        for (int i = 0; i < 16; i += LANES) {
            const int_vec four = unsigned_bytes(low + i) >> (quarter / 2 * 4) & 15,
                          two = unsigned_bytes(high + i) >> (2 * quarter) & 3;
            put_scaled(out + 16 * run + i, four + two * 16 - 32, scale, 0);
        }
    }
}

#endif
