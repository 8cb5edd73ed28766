/* tensor_name.h: what a tensor may be called in a file. Names end up in messages and on terminals. */
#ifndef LORAC_TENSOR_NAME_H
#define LORAC_TENSOR_NAME_H

#include "str.h"

/* At most 4096 bytes without control characters; otherwise LORAC_ERROR_DATA with the path. */
int tensor_name_check(const char *path, slice name);

#endif
