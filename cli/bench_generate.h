/* bench_generate.h: the part of lorac bench that measures generation. */
#ifndef LORAC_BENCH_GENERATE_H
#define LORAC_BENCH_GENERATE_H

#include "cli.h"

int bench_generate(const arguments *a, const lorac_model *model);

#endif
