/* vectors.h: vectors of what stands in memory, and sums of them. Compilers have no good code of their own for these. */
#ifndef LORAC_VECTORS_H
#define LORAC_VECTORS_H

#include "level.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(ACT_F64)
typedef int64_t int_vec __attribute__((vector_size(VECTOR_BYTES)));
#else
typedef int32_t int_vec __attribute__((vector_size(VECTOR_BYTES)));
#endif

/* LANES bytes as integers as wide as real. */
INLINE int_vec unsigned_bytes(const uint8_t *p)
{
#if defined(__AVX512F__)
    return (int_vec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__AVX2__)
    return (int_vec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    int_vec out;
    for (int i = 0; i < LANES; i++)
        out[i] = p[i];
    return out;
#endif
}

INLINE int_vec signed_bytes(const uint8_t *p)
{
#if defined(__AVX512F__)
    return (int_vec)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__AVX2__)
    return (int_vec)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    const int bits = 8 * (int)(sizeof(real) - 1);
    return unsigned_bytes(p) << bits >> bits;
#endif
}

/* LANES 16-bit words as integers as wide as real. */
INLINE int_vec unsigned_words(const uint8_t *p)
{
#if defined(__AVX512F__)
    return (int_vec)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
#elif defined(__AVX2__)
    return (int_vec)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
#else
    int_vec out;
    for (int i = 0; i < LANES; i++)
        out[i] = p[2 * i] | p[2 * i + 1] << 8;
    return out;
#endif
}

/* LANES activations. */
INLINE vec widen_vector(const act *p)
{
#if defined(ACT_BF16)
    return (vec)(unsigned_words((const uint8_t *)p) << 16);
#else
    return *(const vec *)p;
#endif
}

/* n real numbers from anywhere, or LANES if there are more; then zeros. */
INLINE vec read_some(const uint8_t *p, int64_t n)
{
#if defined(__AVX512F__)
    return (vec)_mm512_maskz_loadu_ps((__mmask16)(n < LANES ? (1u << n) - 1 : 0xffff), p);
#else
    vec out = { 0 };
    memcpy(&out, p, (size_t)(n < LANES ? n : LANES) * sizeof(real));
    return out;
#endif
}

/* out[i] = the sum of v[i]: the halves of each are added until one number is left. */
INLINE void add_up(real out[4], vec a, vec b, vec c, vec d)
{
#if defined(__AVX512F__)
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps((__m512)a, (__m512)b), _mm512_unpackhi_ps((__m512)a, (__m512)b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps((__m512)c, (__m512)d), _mm512_unpackhi_ps((__m512)c, (__m512)d));
    const __m512 fours = _mm512_add_ps((__m512)_mm512_unpacklo_pd((__m512d)ab, (__m512d)cd),
                                       (__m512)_mm512_unpackhi_pd((__m512d)ab, (__m512d)cd));
    const __m256 eights = _mm256_add_ps(_mm512_castps512_ps256(fours), _mm512_extractf32x8_ps(fours, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(eights), _mm256_extractf128_ps(eights, 1)));
#else
    vec v[4] = { a, b, c, d };
    for (int k = 0; k < 4; k++) {
        for (int half = LANES / 2; half > 0; half /= 2)
            for (int i = 0; i < half; i++)
                v[k][i] += v[k][i + half];
        out[k] = v[k][0];
    }
#endif
}

#endif
