/* linear.h: a weight matrix with a name and a slot for adapters. The context says which adapters apply to which rows;
 * linear_fwd is the only place that looks. No architecture file mentions LoRA. */
#ifndef LORAC_LINEAR_H
#define LORAC_LINEAR_H

#include "adapter.h"
#include "ops.h"

typedef struct linear {
    const char *name; /* Hugging Face's module path: "model.layers.0.self_attn.q_proj" */
    var weight;       /* [out, in], or turned */
    var bias;         /* [out]; data NULL when there is none */
    bool conv1d;      /* Hugging Face's module is a Conv1D, which files its weight as [in, out] */
    int slot;         /* index into an adapter's modules */
} linear;

/* x [T, in] -> [T, out], adapters included; added to `onto` unless that is NULL. */
var *linear_fwd(context *c, const linear *l, var *x, var *onto);
/* The weight in force: the model's own, or the one an adapter for all rows brings. */
const var *linear_weight(const context *c, const linear *l);
/* The adapter terms of this linear under the context's adapters; returns their number. */
int linear_terms(const context *c, const linear *l, lowrank terms[LOWRANK_MAX]);

#endif
