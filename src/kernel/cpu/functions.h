/* functions.h: exp, tanh and erf as straight-line code, so that loops over them vectorise: about 2 units in the last
 * place in float; libm's in double. The coefficients are our own minimax fits (reweighted least squares at
 * Chebyshev points; the interval and the error stand beside each). */
#ifndef LORAC_FUNCTIONS_H
#define LORAC_FUNCTIONS_H

#include "level.h"

#include <math.h>

#if defined(ACT_F64)

#define exp_real exp
#define tanh_real tanh
#define erf_real erf

#else

INLINE uint32_t bits_of(float x)
{
    union {
        float f;
        uint32_t u;
    } v = { x };
    return v.u;
}

INLINE float float_of(uint32_t bits)
{
    union {
        uint32_t u;
        float f;
    } v = { bits };
    return v.f;
}

/* e^x = 2^n e^r with |r| <= ln 2 / 2. Adding 1.5·2^23 rounds to the nearest integer, which then stands in the low bits.
 * 2^n is applied in two factors, so that results go down through the denormals to 0 and up to infinity. */
INLINE float exp_real(float x)
{
    const float shift = 12582912.0f;
    x = x < -105.0f ? -105.0f : x;
    x = x > 89.0f ? 89.0f : x;
    const float shifted = x * 1.44269504f + shift;
    const float n = shifted - shift;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    /* (e^r - 1 - r) / r² on [-0.347, 0.347]: relative error of e^r 3e-9 */
    const float p = (((1.38144661e-3f * r + 8.36878084e-3f) * r + 4.16683927e-2f) * r + 0.166665196f) * r + 0.49999994f;
    const float e = 1.0f + (r + r * r * p);
    const int32_t power = (int32_t)(bits_of(shifted) - bits_of(shift));
    const int32_t low = power >> 1, high = power - low;
    return e * float_of((uint32_t)(low + 127) << 23) * float_of((uint32_t)(high + 127) << 23);
}

INLINE float tanh_real(float x)
{
    const float size = x < 0 ? -x : x, square = x * x;
    /* (tanh x - x) / x³ in x² for |x| < 0.625: relative error 4e-9 */
    const float p =
        (((-5.71704237e-3f * square + 2.06505843e-2f) * square - 5.37434965e-2f) * square + 0.133314908f) * square -
        0.333332837f;
    const float near = x + x * square * p;
    const float e = exp_real(-2 * size);
    const float far = (1 - e) / (1 + e);
    return size < 0.625f ? near : x < 0 ? -far : far;
}

INLINE float erf_real(float x)
{
    const float size = x < 0 ? -x : x, square = x * x;
    /* erf x / x in x² for |x| < 1: error 3e-11 before rounding */
    const float p =
        ((((((-9.68013956e-6f * square + 1.12705457e-4f) * square - 8.48471187e-4f) * square + 5.22107491e-3f) *
               square -
           2.68654451e-2f) *
              square +
          0.112837829f) *
             square -
         0.376126379f) *
            square +
        1.12837923f;
    /* e^{x²} erfc x in t = 1 / (1 + x/2) for 1 <= x <= 4.2, beyond which erf is 1: error 4e-11 before rounding */
    const float t = 1 / (1 + 0.5f * size);
    const float q =
        (((((((1.72885153e-2f * t + 5.08520305e-2f) * t - 0.35348618f) * t + 0.448670447f) * t - 3.44875939e-2f) * t +
           0.321348429f) *
              t +
          0.265961349f) *
             t +
         0.284069479f) *
            t -
        1.05027982e-4f;
    const float far = 1 - exp_real(-square) * q;
    return size < 1 ? x * p : x < 0 ? -far : far;
}

#endif

#endif
