/* optimizer.h: AdamW over the named tensors of an adapter (Loshchilov & Hutter 2019, as torch.optim.AdamW computes it),
 * LoRA+ and LoRA-FA, and the global gradient norm. Its state is two named tensors for each of theirs, and the number of
 * updates. */
#ifndef LORAC_OPTIMIZER_H
#define LORAC_OPTIMIZER_H

#include "adapter.h"
#include "lorac.h"

typedef struct moments {
    real *first, *second;
    double rate; /* what the learning rate is multiplied by (LoRA+, Hayou et al. 2024) */
    bool decays;
    real *inverse; /* LoRA-FA (Zhang et al. 2023): of B, (A Aᵀ)⁻¹ / s² [r, r]; NULL: none */
} moments;

typedef struct optimizer {
    const adapter *adapter;
    moments *state; /* beside adapter->trainables */
    int64_t updates;
    double beta1, beta2, epsilon, weight_decay, max_grad_norm;
    bool is_fa;
    real *turned; /* LoRA-FA: room for a gradient of B times `inverse` */
    arena memory;
} optimizer;

int optimizer_init(optimizer *o, const adapter *a, const lorac_train_options *options);
void optimizer_free(optimizer *o);
/* The 2-norm over all gradients. */
double optimizer_grad_norm(const optimizer *o, const kernels *k, pool *p);
/* One update. Gradients are scaled to max_grad_norm first, as torch.nn.utils.clip_grad_norm_ does; `grad_norm` is their
 * norm. */
void optimizer_step(optimizer *o, const kernels *k, pool *p, double learning_rate, double grad_norm);

/* The state as a safetensors file: NAME.first and NAME.second. Loading wants exactly the tensors that saving wrote. */
int optimizer_save(const optimizer *o, const char *path);
int optimizer_load(optimizer *o, const char *path, int64_t updates);

#endif
