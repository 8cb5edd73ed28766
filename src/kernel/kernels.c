/* kernels.c: picks the table of a level and an activation type. The tables are compiled from cpu/. */
#include "kernels.h"

#include "onednn.h"

#include <assert.h>

extern const kernels kernels_portable_f32, kernels_portable_bf16, kernels_portable_f64;
extern const kernels kernels_avx2_f32, kernels_avx2_bf16;
extern const kernels kernels_avx512_f32, kernels_avx512_bf16;
extern const kernels kernels_avx512bf16_f32, kernels_avx512bf16_bf16;
extern const kernels kernels_amx_bf16;

const char *kernels_gemm_name(void)
{
#if defined(KERNELS_ONEDNN)
    if (cpu_isa() == ISA_AMX)
        return onednn_name();
#endif
    return "built-in";
}

const kernels *kernels_for(isa level, dtype act)
{
    assert(level <= cpu_isa());
#if defined(KERNELS_F64)
    assert(act == DT_F64);
    (void)level, (void)act;
    return &kernels_portable_f64;
#else
    assert(act == DT_F32 || act == DT_BF16);
    switch (level) {
#if defined(KERNELS_X86)
    case ISA_AMX:
#if defined(KERNELS_ONEDNN)
        if (act == DT_BF16)
            return &kernels_amx_bf16;
#endif
    /* fall through */
    case ISA_AVX512_BF16:
        return act == DT_BF16 ? &kernels_avx512bf16_bf16 : &kernels_avx512bf16_f32;
    case ISA_AVX512:
        return act == DT_BF16 ? &kernels_avx512_bf16 : &kernels_avx512_f32;
    case ISA_AVX2:
        return act == DT_BF16 ? &kernels_avx2_bf16 : &kernels_avx2_f32;
#endif
    default:
        return act == DT_BF16 ? &kernels_portable_bf16 : &kernels_portable_f32;
    }
#endif
}
