/* table.c: the kernel table of one instruction set and activation type. */
#include "level.h"

const kernels NAME(kernels) = {
    .name = LEVEL_NAME,
    .act = ACT_TYPE,
    .gemm = NAME(gemm),
    .bias = NAME(bias),
    .bias_back = NAME(bias_back),
    .embed = NAME(embed),
    .rmsnorm = NAME(rmsnorm),
    .rmsnorm_back = NAME(rmsnorm_back),
    .rope_angles = NAME(rope_angles),
    .rope = NAME(rope),
    .rope_back = NAME(rope_back),
    .glu = NAME(glu),
    .glu_back = NAME(glu_back),
    .add = NAME(add),
    .accumulate = NAME(accumulate),
    .dropout = NAME(dropout),
    .attention = NAME(attention),
    .attention_back = NAME(attention_back),
    .cross_entropy = NAME(cross_entropy),
    .gather_rows = NAME(gather_rows),
    .scatter_rows = NAME(scatter_rows),
    .convert = NAME(convert),
    .sum_squares = NAME(sum_squares),
    .adamw = NAME(adamw),
};
