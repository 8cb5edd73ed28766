/* rope.c: rotary positions (Su et al. 2021), half-split pairs as in transformers: (x_i, x_{i+R/2}) turns by the angle
 * of its frequency. Turning back is the transpose, which is the derivative. */
#include "level.h"

#include <tgmath.h>

typedef struct angle_job {
    real *cosine, *sine;
    const int32_t *position;
    const real *frequency;
    int64_t half;
    real scale;
} angle_job;

static void angle_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const angle_job *j = arg;
    (void)thread;
    for (int64_t t = from; t < to; t++)
        for (int64_t i = 0; i < j->half; i++) {
            const real angle = (real)j->position[t] * j->frequency[i];
            j->cosine[t * j->half + i] = cos(angle) * j->scale;
            j->sine[t * j->half + i] = sin(angle) * j->scale;
        }
}

void NAME(rope_angles)(pool *p, real *cosine, real *sine, const int32_t *position, const real *frequency, int64_t T,
                       int64_t half, real scale)
{
    angle_job job = { cosine, sine, position, frequency, half, scale };
    split_rows(p, T, half * 32, angle_rows, &job);
}

typedef struct turn_job {
    grad y;
    const act *x;
    const real *cosine, *sine;
    int64_t H, D, R;
    real sign;
} turn_job;

INLINE void turn_head(grad y, int64_t at, const act *x, const real *cosine, const real *sine, int64_t half, real sign)
{
    SIMD
    for (int64_t i = 0; i < half; i++) {
        const real a = widen(x[at + i]), b = widen(x[at + half + i]), s = sign * sine[i];
        add_to(y, at + i, a * cosine[i] - b * s);
        add_to(y, at + half + i, b * cosine[i] + a * s);
    }
}

static void turn_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const turn_job *j = arg;
    (void)thread;
    const int64_t half = j->R / 2;
    const grad write = { j->y.p, 0 }, add = { j->y.p, 1 };
    for (int64_t t = from; t < to; t++)
        for (int64_t h = 0; h < j->H; h++) {
            const int64_t at = (t * j->H + h) * j->D;
            const real *cosine = j->cosine + t * half, *sine = j->sine + t * half;
            if (j->y.add)
                turn_head(add, at, j->x, cosine, sine, half, j->sign);
            else
                turn_head(write, at, j->x, cosine, sine, half, j->sign);
            for (int64_t i = 2 * half; i < j->D; i++)
                add_to(j->y, at + i, widen(j->x[at + i]));
        }
}

void NAME(rope)(pool *p, void *y, const void *x, const real *cosine, const real *sine, int64_t T, int64_t H, int64_t D,
                int64_t R, int back)
{
    turn_job job = { { y, 0 }, x, cosine, sine, H, D, R, back ? -1 : 1 };
    split_rows(p, T, H * D, turn_rows, &job);
}

void NAME(rope_back)(pool *p, grad dx, const void *dy, const real *cosine, const real *sine, int64_t T, int64_t H,
                     int64_t D, int64_t R)
{
    if (!dx.p)
        return;
    turn_job job = { dx, dy, cosine, sine, H, D, R, -1 };
    split_rows(p, T, H * D, turn_rows, &job);
}
