/* schedule.h: the factor on the learning rate at each step: the formulas of transformers'
 * get_constant_schedule_with_warmup, get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup. */
#ifndef LORAC_SCHEDULE_H
#define LORAC_SCHEDULE_H

#include "lorac.h"

/* `step` counts from 0: with warm-up the first update has factor 0. */
double schedule_factor(lorac_schedule kind, int64_t step, int64_t warmup, int64_t steps);

#endif
