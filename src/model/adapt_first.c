/* adapt_first.c */
#include "adapt_first.h"

#include "dora.h"
#include "err.h"
#include "mem.h"
#include "rng.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- First values ---- */

first_pair adapter_first_pair(const adapter *a, const model *m, const peft_init *init, int slot, uint64_t seed)
{
    const adapted *to = &a->modules[slot];
    return (first_pair){
        .module = m->modules[slot]->name,
        .weight = &m->modules[slot]->weight,
        .init = init,
        .rank = to->rank,
        .scale = (double)to->scale,
        .seed = seed,
        .a = to->a->t.data,
        .b = to->b->t.data,
        .b_bias = to->b_bias ? to->b_bias->t.data : NULL,
        .is_embedding = m->modules[slot]->kind == MODULE_EMBEDDING,
    };
}

static void copy(const var *to, const var *from)
{
    memcpy(to->t.data, from->t.data, (size_t)tensor_bytes(&from->t));
}

/* As transformers makes one. */
static void new_head(const var *weight, const char *name, double deviation, uint64_t seed)
{
    real *values = weight->t.data;
    rng r = rng_new(seed, rng_stream(name));
    for (int64_t i = 0; i < tensor_count(&weight->t); i++)
        values[i] = (real)(rng_normal(&r) * deviation);
}

int adapter_start(const adapter *a, const model *m, uint64_t seed)
{
    const var *score = a->modules[m->head.slot].weight;
    if (m->head_is_new && score)
        new_head(score, m->head.name, m->config.initializer_range, seed);
    TRY(adapter_measure_lengths(a, m));
    for (int slot = 0; slot < a->module_count; slot++) {
        const adapted *to = &a->modules[slot];
        const int64_t outputs = to->magnitude ? tensor_count(&to->magnitude->t) : 0;
        for (int64_t o = 0; o < outputs; o++)
            ((real *)to->magnitude->t.data)[o] = dora_length(to, outputs, o, to->scale);
        if (!to->a_taken)
            continue;
        assert(to->b_taken && to->a && to->b);
        copy(to->a_taken, to->a);
        copy(to->b_taken, to->b);
    }
    return LORAC_OK;
}

int adapter_first_values(const adapter *a, const model *m, const peft_init *init, uint64_t seed, pool *team)
{
    first_pair *pairs = mem_new((size_t)a->module_count, sizeof *pairs);
    int64_t count = 0;
    if (!pairs)
        return fail_memory();
    for (int slot = 0; slot < a->module_count; slot++)
        if (a->modules[slot].a && !a->modules[slot].turned)
            pairs[count++] = adapter_first_pair(a, m, init, slot, seed);
    int status = first_values_all(team, pairs, count);
    mem_free(pairs);
    return status == LORAC_OK ? adapter_start(a, m, seed) : status;
}

/* ---- Joined factors ---- */

/* [A; A0], and [B, -B0] row by row. */
static void join(real *a, real *b, const adapted *from)
{
    const real *b_trained = from->b->t.data, *b_taken = from->b_taken->t.data;
    const int64_t rank = from->rank, out = from->b->t.dim[0], count = tensor_count(&from->a->t);
    memcpy(a, from->a->t.data, (size_t)count * sizeof *a);
    memcpy(a + count, from->a_taken->t.data, (size_t)count * sizeof *a);
    for (int64_t i = 0; i < out; i++)
        for (int64_t k = 0; k < rank; k++) {
            b[i * 2 * rank + k] = b_trained[i * rank + k];
            b[i * 2 * rank + rank + k] = -b_taken[i * rank + k];
        }
}

static void take_apart(const adapted *to, const real *a, const real *b)
{
    real *b_trained = to->b->t.data, *b_taken = to->b_taken->t.data;
    const int64_t rank = to->rank, out = to->b->t.dim[0], count = tensor_count(&to->a->t);
    memcpy(to->a->t.data, a, (size_t)count * sizeof *a);
    memcpy(to->a_taken->t.data, a + count, (size_t)count * sizeof *a);
    for (int64_t i = 0; i < out; i++)
        for (int64_t k = 0; k < rank; k++) {
            b_trained[i * rank + k] = b[i * 2 * rank + k];
            b_taken[i * rank + k] = -b[i * 2 * rank + rank + k];
        }
}

static int make_joined(tensor *a, tensor *b, const adapted *from, arena *memory)
{
    *a = from->a->t;
    *b = from->b->t;
    a->dim[0] *= 2;
    b->dim[1] *= 2;
    a->data = arena_new(memory, (size_t)tensor_count(a), sizeof(real));
    b->data = arena_new(memory, (size_t)tensor_count(b), sizeof(real));
    if (!a->data || !b->data)
        return fail_memory();
    join(a->data, b->data, from);
    return LORAC_OK;
}

/* The entries of a module's factors stand side by side. */
static const adapted *taking_from(const adapter *a, int entry)
{
    const var *value = a->trainables[entry].value;
    for (int slot = 0; slot < a->module_count; slot++)
        if (a->modules[slot].a == value && a->modules[slot].a_taken)
            return &a->modules[slot];
    return NULL;
}

int adapter_filed(filed_tensor *out, const adapter *a, arena *memory)
{
    const int trained = a->trainable_count;
    for (int i = 0; i < trained + a->kept_count; i++) {
        const named_var *v = i < trained ? &a->trainables[i] : &a->kept[i - trained];
        out[i] = (filed_tensor){ v->name, v->value->t };
    }
    for (int i = 0; i < trained && a->takes; i++) {
        const adapted *from = taking_from(a, i);
        if (from)
            TRY(make_joined(&out[i].t, &out[i + 1].t, from, memory));
    }
    return LORAC_OK;
}

void adapter_unfile(const adapter *a, const filed_tensor *filed)
{
    for (int i = 0; i < a->trainable_count && a->takes; i++) {
        const adapted *to = taking_from(a, i);
        if (to)
            take_apart(to, filed[i].t.data, filed[i + 1].t.data);
    }
}

/* alpha / 2r is to be what alpha / r was; under rslora alpha / √2r. */
int adapter_filed_config(peft_config *config, arena *memory)
{
    const double factor = config->use_rslora ? sqrt(2) : 2;
    int64_t *ranks = arena_new(memory, config->rank_count, sizeof *ranks);
    double *alphas = arena_new(memory, config->alpha_count, sizeof *alphas);
    if (!ranks || !alphas)
        return fail_memory();
    for (size_t i = 0; i < config->rank_count; i++)
        ranks[i] = 2 * config->rank_values[i];
    for (size_t i = 0; i < config->alpha_count; i++)
        alphas[i] = factor * config->alpha_values[i];
    config->rank_values = ranks;
    config->alpha_values = alphas;
    config->r *= 2;
    config->lora_alpha *= factor;
    peft_init_start(&config->init);
    return LORAC_OK;
}

/* ---- Loading ---- */

/* The factors as they were at the start, from the base once more; the trained ones stay. */
static int take_again(const adapter *a, const model *m, const peft_init *init)
{
    first_pair *pairs = mem_new((size_t)a->module_count, sizeof *pairs);
    pool *team = NULL;
    int64_t count = 0;
    int status = pairs ? pool_new(&team, 0) : fail_memory();
    for (int slot = 0; status == LORAC_OK && slot < a->module_count; slot++) {
        if (!a->modules[slot].a_taken)
            continue;
        pairs[count] = adapter_first_pair(a, m, init, slot, 0);
        pairs[count].a = a->modules[slot].a_taken->t.data;
        pairs[count++].b = a->modules[slot].b_taken->t.data;
    }
    if (status == LORAC_OK)
        status = first_values_all(team, pairs, count);
    pool_free(team);
    mem_free(pairs);
    return status;
}

static int join_in_place(adapter *a)
{
    for (int i = 0; i < a->trainable_count; i++) {
        adapted *to = (adapted *)(uintptr_t)taking_from(a, i);
        tensor joined_a, joined_b;
        if (!to)
            continue;
        TRY(make_joined(&joined_a, &joined_b, to, &a->memory));
        to->a->t = joined_a;
        to->b->t = joined_b;
        to->a_taken = to->b_taken = NULL;
        to->rank *= 2;
        a->parameters += a->trainables[i].count + a->trainables[i + 1].count;
        a->added += a->trainables[i].count + a->trainables[i + 1].count;
        a->trainables[i].count *= 2;
        a->trainables[i + 1].count *= 2;
    }
    a->takes = false;
    return LORAC_OK;
}

int adapter_convert(adapter *a, const model *m, peft_config *config, const char *path)
{
    char name[PEFT_INIT_NAME];
    if (config->init.kind != INIT_PISSA && config->init.kind != INIT_OLORA)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = path,
                                .key = "init_lora_weights",
                                .found = peft_init_name(&config->init, name),
                                .hint = "Save it with PEFT's path_initial_model_for_weight_conversion." },
                       "the adapter is for a base that was changed in a way that cannot be made again");
    TRY(take_again(a, m, &config->init));
    TRY(join_in_place(a));
    return adapter_filed_config(config, &config->memory);
}
