/* evaluate.h: the loss of a model, with whatever adapters the context carries, over examples. No gradients. */
#ifndef LORAC_EVALUATE_H
#define LORAC_EVALUATE_H

#include "packing.h"

/* The first `count` examples. Each labelled token weighs the same. context->recording and training are set back
 * afterwards. `cancel` (may be NULL) is looked at between passes: LORAC_INTERRUPTED. */
int evaluate(loss_result *out, const model *m, context *c, packer *p, const examples *e, int64_t count,
             int64_t tokens_per_pass, const volatile int *cancel);

#endif
