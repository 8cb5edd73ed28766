/* speed.h: what this machine can do, measured: the yardstick that profiles and predictions are held against. */
#ifndef LORAC_SPEED_H
#define LORAC_SPEED_H

#include "kernels.h"

typedef struct machine_speed {
    double product_flops, bandwidth;
} machine_speed; /* operations, bytes; a second */

/* Takes about a second; the pool and table are those of the run in question. LORAC_ERROR_MEMORY without 100 MB to
 * spare. */
int measure_speed(pool *team, const kernels *k, machine_speed *out);

#endif
