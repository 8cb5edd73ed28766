/* op_magnitude.h: factors of columns on plain matrices, shared by op_magnitude and the loss head. */
#ifndef LORAC_OP_MAGNITUDE_H
#define LORAC_OP_MAGNITUDE_H

#include "op_linear.h"

#include <assert.h>

/* One magnitude, for all rows: the only case that can be differentiated. */
bool magnitudes_cover_all(const magnitude *list, int count);
/* y (+)= factor ∘ z where a magnitude is for all rows; for some rows y, which has z, becomes factor ∘ z there. y may be
 * z. */
void magnitude_forward(context *c, mat y, mat z, const magnitude *list, int count, bool add);
/* dm += scale · Σ dy ∘ z / norm, and dz (+)= factor ∘ dy unless dz.p is NULL. dz may be dy. */
void magnitude_backward(context *c, const magnitude *m, mat dz, mat dy, mat z, bool add, real scale);

#endif
