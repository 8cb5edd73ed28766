/* schedule.c: with w warm-up steps of N, step k has
 *     k / max(1, w)                                   for k < w, and then
 *     1                                               constant
 *     max(0, (N - k) / max(1, N - w))                 linear
 *     max(0, (1 + cos(pi (k - w) / max(1, N - w))) / 2)   cosine, half a period */
#include "schedule.h"

#include <math.h>

double schedule_factor(lorac_schedule kind, int64_t step, int64_t warmup, int64_t steps)
{
    double left = steps - warmup > 1 ? (double)(steps - warmup) : 1;

    if (step < warmup)
        return (double)step / (double)warmup;
    switch (kind) {
    case LORAC_SCHEDULE_LINEAR:
        return fmax(0, (double)(steps - step) / left);
    case LORAC_SCHEDULE_COSINE:
        return fmax(0, 0.5 * (1 + cos(M_PI * (double)(step - warmup) / left)));
    case LORAC_SCHEDULE_CONSTANT:
        break;
    }
    return 1;
}
