/* module.h: a weight with a name and a slot for adapters: linears, embeddings, norms. The context says which adapters
 * apply to which rows; the functions here are the only place that looks. No architecture file mentions LoRA. */
#ifndef LORAC_MODULE_H
#define LORAC_MODULE_H

#include "adapter.h"
#include "ops.h"

typedef enum module_kind {
    MODULE_LINEAR,
    MODULE_CONV1D, /* a linear whose weight Hugging Face files as [in, out] */
    MODULE_EMBEDDING,
    MODULE_NORM
} module_kind;

typedef struct nn_module {
    const char *name; /* Hugging Face's module path: "model.layers.0.self_attn.q_proj" */
    module_kind kind;
    var weight; /* of a linear [out, in], or turned; of an embedding [V, C], turned; of a norm [C] */
    var bias;   /* [out]; data NULL: there is none, and a norm without one is an RMS norm */
    int slot;   /* index into an adapter's modules */
} nn_module;
typedef nn_module linear;

/* Looks at what goes into the linears of a pass, x [T, in]. In a measuring context there are no numbers to look at. */
typedef struct linear_observer {
    void (*see)(struct linear_observer *self, context *c, const linear *l, const var *x);
} linear_observer;

/* x [T, in] -> [T, out], adapters included; added to `onto` unless that is NULL. */
var *linear_fwd(context *c, const linear *l, var *x, var *onto);
var *norm_fwd(context *c, const nn_module *n, var *x, real epsilon);
/* Rows of the table, [count, C]. Ids that are `padding` have no gradient; -1: all have. */
var *embedding_fwd(context *c, const nn_module *e, const int32_t *ids, int64_t count, int32_t padding);

/* The output embedding with its adapters. `rows`, ascending, are those that reach it; NULL: all. */
typedef struct head_parts {
    head_weights weights;
    lowrank terms[LOWRANK_MAX];
    magnitude magnitudes[ADAPTERS_MAX];
} head_parts;
void head_collect(context *c, const linear *head, const int32_t *rows, int64_t n_rows, head_parts *out);

#endif
