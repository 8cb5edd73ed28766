/* test_kernels.c with real = double. */
#include "test_kernels.c"
