/* adapter.h: a set of low-rank factors, one pair per adapted module, and the list of named tensors that training
 * changes. An adapter lives beside the model, never in it. It knows no files; model/adapt.h builds, loads and saves it.
 */
#ifndef LORAC_ADAPTER_H
#define LORAC_ADAPTER_H

#include "arena.h"
#include "context.h"

typedef struct lora {
    var a, b; /* A [r, in], B [out, r], real; rank 0: this module is not adapted */
    var base; /* a weight that stands in for the model's own; data NULL: there is none */
    int64_t rank;
    real scale; /* alpha / r */
    real dropout;
} lora;

/* A tensor that training changes. Optimisers and checkpoints see only these. */
typedef struct trainable {
    const char *name; /* as in the adapter file: "base_model.model.….lora_A.weight" */
    var *value;       /* real; value->grad is its gradient */
    int64_t count;    /* elements */
} trainable;

typedef struct adapter {
    lora *modules; /* by slot of linear */
    int module_count;
    trainable *trainables; /* in order of slots */
    int trainable_count;
    int64_t parameters;
    arena memory;
} adapter;

/* Rows [first, first + count) of a pass get weight · delta of this adapter; count -1: all rows. */
typedef struct adapter_use {
    const adapter *adapter;
    real weight;
    int64_t first, count;
} adapter_use;

/* Gradient buffers for every trainable; after this their vars want gradients. */
int adapter_make_trainable(adapter *a);
void adapter_zero_grad(adapter *a);

#endif
