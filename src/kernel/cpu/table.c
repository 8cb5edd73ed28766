/* table.c: the kernel table of one instruction set and activation type. */
#include "level.h"

const kernels NAME(kernels) = {
    .name = LEVEL_NAME,
    .act = ACT_TYPE,
#define ENTRY(entry) .entry = NAME(entry),
#include "entries.def"
};
