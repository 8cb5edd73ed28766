/* export.h: a model, with adapters folded into its weights or without, as files: a Hugging Face folder or a GGUF file.
 */
#ifndef LORAC_EXPORT_H
#define LORAC_EXPORT_H

#include "adapt.h"

typedef struct folded {
    const adapter *adapter;
    double weight;
} folded;

typedef struct export_plan {
    const model *m;
    context *c; /* of f32: whose kernels and threads do the work */
    const folded *adapters;
    size_t adapter_count;
    dtype type;           /* of matrices: DT_F32, DT_F16, DT_BF16, or DT_Q8_0 (GGUF) */
    uint64_t shard_bytes; /* a Hugging Face folder's weights are cut into files of at most this; 0: 5 GB */
    bool changed_only;    /* only tensors that an adapter changes */
    buf *notes;           /* or NULL; gains a line for each thing that the output says in another way */
} export_plan;

/* How much of the adapters' change rounding to `type` lost: |round(W + D) - (W + D)| / |D|, over the adapted matrices.
 */
typedef struct export_loss {
    double error, delta;
} export_loss; /* sums of squares */

/* Weights, config.json and tokenizer files into an existing empty folder. */
int export_huggingface(const export_plan *plan, const char *folder, export_loss *loss);
/* One file, put in place when it is whole. */
int export_gguf(const export_plan *plan, const char *path, export_loss *loss);
/* One adapter for llama.cpp: factors in F32, q and k rows in its order, rank-stabilised and per-module scales folded
 * into B. */
int export_adapter_gguf(const model *m, const adapter *a, const char *path);

#endif
