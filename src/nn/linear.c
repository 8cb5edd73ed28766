/* linear.c: the product and whatever the context's adapters add to it. */
#include "linear.h"

#include <assert.h>

int linear_terms(const context *c, const linear *l, lowrank terms[LOWRANK_MAX])
{
    int n = 0;
    for (int i = 0; i < c->adapter_count; i++) {
        const adapter_use *use = &c->adapters[i];
        const lora *module = &use->adapter->modules[l->slot];
        if (module->rank == 0 || use->weight == 0)
            continue;
        assert(n < LOWRANK_MAX);
        terms[n++] = (lowrank){
            .a = &module->a,
            .b = &module->b,
            .scale = use->weight * module->scale,
            .dropout = module->dropout,
            .site = (uint64_t)l->slot,
            .first = use->first,
            .count = use->count,
        };
    }
    return n;
}

const var *linear_weight(const context *c, const linear *l)
{
    for (int i = 0; i < c->adapter_count; i++) {
        const lora *module = &c->adapters[i].adapter->modules[l->slot];
        if (module->base.t.data && c->adapters[i].count < 0)
            return &module->base;
    }
    return &l->weight;
}

var *linear_fwd(context *c, const linear *l, var *x, var *onto)
{
    lowrank terms[LOWRANK_MAX];
    int n = linear_terms(c, l, terms);
    return op_linear(c, onto, x, linear_weight(c, l), l->bias.t.data ? &l->bias : NULL, terms, n);
}
