/* test_gemm.c with real = double. */
#include "test_gemm.c"
