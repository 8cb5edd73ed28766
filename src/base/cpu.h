/* cpu.h: what the processor, and the operating system, allow. LORAC_ISA=portable|avx2|avx512|avx512-bf16|amx
 * in the environment lowers the level (it never raises it). */
#ifndef LORAC_CPU_H
#define LORAC_CPU_H

#include <stdbool.h>
#include <stdint.h>

typedef enum isa { ISA_PORTABLE, ISA_AVX2, ISA_AVX512, ISA_AVX512_BF16, ISA_AMX } isa;

isa cpu_isa(void); /* found once, then remembered */
const char *isa_name(isa level);
const char *cpu_name(void);  /* the model name the system gives */
int cpu_threads(void);       /* processors this process may run on */
uint64_t memory_total(void); /* bytes; the cgroup's limit where it is lower */
uint64_t memory_available(void);
uint64_t memory_peak(void); /* peak resident bytes of this process */

#endif
