/* test_attention.c with real = double. */
#include "test_attention.c"
