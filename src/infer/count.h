/* count.h: PEFT's two counts of print_trainable_parameters for any model whose modules are known, whether lorac can run
 * it or not. */
#ifndef LORAC_COUNT_H
#define LORAC_COUNT_H

#include "modules.h"
#include "peft.h"

typedef struct parameter_totals {
    int64_t trainable, all;
} parameter_totals;

/* A target that matches no module is LORAC_ERROR_USAGE. */
int count_parameters(parameter_totals *out, const module_list *l, const peft_config *c);

#endif
