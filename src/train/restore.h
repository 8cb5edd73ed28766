/* restore.h: numbers back from a safetensors file into tensors that are there already: a checkpoint's adapter and
 * moments. Exact names, types and shapes, nothing more and nothing less. */
#ifndef LORAC_RESTORE_H
#define LORAC_RESTORE_H

#include "safetensors.h"

int restore_tensors(const char *path, const char *const *names, const tensor *tensors, size_t count);

#endif
