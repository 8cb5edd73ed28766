/* adapter.h: what an adapter has for each module of a model, and the list of named tensors that training changes. An
 * adapter lives beside the model, never in it. It knows no files; model/adapt.h builds, loads and saves it.
 */
#ifndef LORAC_ADAPTER_H
#define LORAC_ADAPTER_H

#include "arena.h"
#include "context.h"

/* For one module; everything may be missing. A linear's W is [out, in]; an embedding is the linear of one-hot rows, in
 * being the vocabulary. */
typedef struct adapted {
    var *a, *b;             /* LoRA: A [r, in], B [out, r], real */
    var *a_taken, *b_taken; /* scale B A of these is what the trained pair took from the weight, and stays; or NULL */
    bool turned;            /* they are another module's factors, used the other way round: A is its Bᵀ, B its Aᵀ */
    var *b_bias;            /* PEFT's lora_bias: [out] */
    var *magnitude;         /* DoRA: m [out] */
    real *norms;            /* DoRA: [3][out], see nn/dora.h */
    var *weight;            /* stands in for the module's own, and so does the bias */
    var *bias;
    var *rows;              /* rows [n, C] that stand in for n rows of an embedding, or of the head tied to it */
    const int32_t *row_of;  /* of every id, or -1 */
    var *old_rows, *chosen; /* of a head: the n rows of its weight, and [V, n] with a 1 where an id is the n-th */
    int64_t rank;
    real scale; /* alpha / r */
    real dropout;
} adapted;

/* What optimisers make a difference between: the factors of linears, those of embeddings, and the rest. */
typedef enum var_role { ROLE_A, ROLE_B, ROLE_EMBEDDING, ROLE_OTHER } var_role;

/* A tensor with its name in the adapter file, "base_model.model.….lora_A.weight". */
typedef struct named_var {
    const char *name;
    var *value;
    int64_t count; /* elements */
    var_role role;
    const adapted *of; /* what it is part of */
} named_var;

typedef struct adapter {
    adapted *modules; /* by slot */
    int module_count;
    named_var *trainables; /* what training changes, in order of slots: optimisers and checkpoints see only these. Real;
                              value->grad is the gradient */
    int trainable_count;
    named_var *kept; /* what is saved beside them and never changes */
    int kept_count;
    struct alias {
        var *is;
        const var *of;
        bool transposed; /* a copy for the file; else a view, which has the gradient too */
    } aliases[2];        /* of trainables, for what is tied to their module */
    int alias_count;
    bool replaces; /* has weights, biases or rows in the place of the model's: nothing that a part of a pass can have */
    bool takes;    /* has an a_taken somewhere: it is filed converted, see model/adapt_first.h */
    bool has_norms;            /* is DoRA somewhere */
    int64_t parameters, added; /* trained numbers, and those that the model does not have */
    arena memory;
} adapter;

/* Rows [first, first + count) of a pass get weight · delta of this adapter; count -1: all rows. */
typedef struct adapter_use {
    const adapter *adapter;
    real weight;
    int64_t first, count;
} adapter_use;

enum { ADAPTERS_MAX = 64 }; /* in one pass */

/* The first factors of linears are kept as they are from now on (LoRA-FA). Before the next. */
void adapter_freeze_a(adapter *a);
/* Gradient buffers for every trainable; after this their vars want gradients. */
int adapter_make_trainable(adapter *a);
void adapter_zero_grad(adapter *a);

#endif
