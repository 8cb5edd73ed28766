/* combine.h: several adapters become one, as PEFT's add_weighted_adapter makes it. Works on files, module by module; at
 * most one module's delta is formed, and only where pruning needs it. */
#ifndef LORAC_COMBINE_H
#define LORAC_COMBINE_H

#include "factors.h"

/* `m` may be NULL; see factor_source_open. Fills `out`, whose texts live as long as it. The weight of a reference may
 * be negative. */
int combine(factor_set *out, const model *m, const lorac_adapter_ref *adapters, size_t count,
            const lorac_combine_options *options);

/* PEFT's name of a lorac_combination: "ties_svd". */
const char *combination_name(int number);

#endif
