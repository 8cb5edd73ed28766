/* merged_weights.h: adapters folded into the weights they change, as an adapter that brings those weights in the place
 * of the model's. The model stays as it is, so that taking the merged weights away gives back its very bits. */
#ifndef LORAC_MERGED_WEIGHTS_H
#define LORAC_MERGED_WEIGHTS_H

#include "export.h"

/* In f32, by the code that writes merged models (infer/pieces_write.c): the two give the same numbers. `finite`: a
 * result that is not is refused with its name. */
int merged_weights_new(adapter **out, const model *m, const folded *adapters, size_t count, bool finite);

#endif
