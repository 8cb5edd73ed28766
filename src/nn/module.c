/* module.c: what the context's adapters make of a module.
 *
 * Several adapters on one module: what they add is summed. DoRA's factor is for all that stands before it, y = g ∘ (y +
 * s B A x), as PEFT applies them one after the other; so the factors are multiplied, and what a later adapter adds is
 * divided by those before it. */
#include "module.h"

#include "dora.h"

#include <assert.h>
#include <string.h>

typedef struct parts {
    lowrank *terms;
    magnitude *magnitudes;
    int n_terms, n_magnitudes;
} parts;

/* ---- What stands in for the model's own ---- */

static const var *weight_in_force(const context *c, const nn_module *m)
{
    for (int i = 0; i < c->adapter_count; i++)
        if (c->adapters[i].adapter->modules[m->slot].weight)
            return c->adapters[i].adapter->modules[m->slot].weight;
    return &m->weight;
}

static const var *bias_in_force(const context *c, const nn_module *m)
{
    for (int i = 0; i < c->adapter_count; i++)
        if (c->adapters[i].adapter->modules[m->slot].bias)
            return c->adapters[i].adapter->modules[m->slot].bias;
    return m->bias.t.data ? &m->bias : NULL;
}

/* ---- Terms and factors ---- */

/* The factors of the same rows so far, or NULL. */
static magnitude *magnitude_of(const parts *p, const adapter_use *use)
{
    for (int i = 0; i < p->n_magnitudes; i++)
        if (p->magnitudes[i].first == use->first && p->magnitudes[i].count == use->count)
            return &p->magnitudes[i];
    return NULL;
}

/* A var with every output's number or row divided by its factor. */
static const var *divided(context *c, const var *b, bool turned, const magnitude *by)
{
    if (!by)
        return b;
    var *copy = var_new(c, DT_REAL, b->t.ndim, b->t.dim);
    const int64_t count = tensor_count(&b->t), cols = tensor_cols(&b->t);
    for (int64_t i = 0; i < count && context_computes(c); i++)
        ((real *)copy->t.data)[i] = ((const real *)b->t.data)[i] / by->factor[turned ? i % cols : i / cols];
    return copy;
}

static void add_magnitude(context *c, parts *p, const adapter_use *use, const adapted *m, magnitude *before)
{
    const int64_t outputs = tensor_count(&m->magnitude->t);
    real *factor = context_push(c, (size_t)outputs * sizeof *factor);
    real *inverse = context_push(c, (size_t)outputs * sizeof *inverse);
    for (int64_t o = 0; o < outputs && context_computes(c); o++) {
        const real length = dora_length(m, outputs, o, use->weight * m->scale);
        inverse[o] = 1 / length;
        factor[o] = ((const real *)m->magnitude->t.data)[o] / length * (before ? before->factor[o] : 1);
    }
    magnitude *to = before ? before : &p->magnitudes[p->n_magnitudes++];
    assert(p->n_magnitudes <= ADAPTERS_MAX && !(before && m->magnitude->needs_grad));
    *to = (magnitude){ m->magnitude, inverse, factor, use->first, use->count };
}

static void add_lora(context *c, parts *p, const adapter_use *use, const adapted *m, int slot)
{
    magnitude *before = magnitude_of(p, use);
    lowrank term = {
        .a = m->a,
        .b = divided(c, m->b, m->turned, before),
        .turned = m->turned,
        .scale = use->weight * m->scale,
        .dropout = m->dropout,
        .site = (uint64_t)slot,
        .first = use->first,
        .count = use->count,
    };
    p->terms[p->n_terms++] = term;
    if (m->a_taken)
        p->terms[p->n_terms++] = (lowrank){
            .a = m->a_taken,
            .b = divided(c, m->b_taken, false, before),
            .scale = -term.scale,
            .first = use->first,
            .count = use->count,
        };
    if (m->b_bias) {
        term.a = NULL;
        term.b = divided(c, m->b_bias, true, before);
        term.turned = true; /* a vector is a matrix of one row */
        p->terms[p->n_terms++] = term;
    }
    if (m->magnitude)
        add_magnitude(c, p, use, m, before);
}

/* Some outputs of a head are products with other rows than its weight has. */
static void add_rows(parts *p, const adapted *m)
{
    p->terms[p->n_terms++] = (lowrank){ .a = m->rows, .b = m->chosen, .scale = 1, .count = -1 };
    p->terms[p->n_terms++] = (lowrank){ .a = m->old_rows, .b = m->chosen, .scale = -1, .count = -1 };
}

static void collect(context *c, const linear *l, parts *p)
{
    for (int i = 0; i < c->adapter_count; i++) {
        const adapter_use *use = &c->adapters[i];
        const adapted *m = &use->adapter->modules[l->slot];
        assert(p->n_terms + 4 <= LOWRANK_MAX);
        if (use->weight == 0)
            continue;
        if (m->a)
            add_lora(c, p, use, m, l->slot);
        if (m->rows)
            add_rows(p, m);
    }
}

/* ---- Forward ---- */

var *linear_fwd(context *c, const linear *l, var *x, var *onto)
{
    lowrank terms[LOWRANK_MAX];
    magnitude magnitudes[ADAPTERS_MAX];
    parts p = { .terms = terms, .magnitudes = magnitudes };
    const var *weight = weight_in_force(c, l), *bias = bias_in_force(c, l);
    collect(c, l, &p);
    if (c->observer)
        c->observer->see(c->observer, c, l, x);
    if (p.n_magnitudes == 0)
        return op_linear(c, onto, x, weight, bias, terms, p.n_terms);
    return op_magnitude(c, onto, op_linear(c, NULL, x, weight, NULL, terms, p.n_terms), bias, magnitudes,
                        p.n_magnitudes);
}

var *norm_fwd(context *c, const nn_module *n, var *x, real epsilon)
{
    const var *weight = weight_in_force(c, n), *bias = bias_in_force(c, n);
    return bias ? op_layernorm(c, x, weight, bias, epsilon) : op_rmsnorm(c, x, weight, epsilon);
}

/* The ids of the rows that `use` is for, as `row_of` (NULL: as they are) maps them. */
static lookup chosen_ids(context *c, const lookup *all, const int32_t *row_of, const adapter_use *use)
{
    lookup at = *all;
    const int64_t end = use->count < 0 ? at.count : use->first + use->count;
    int32_t *ids = context_push(c, (size_t)at.count * sizeof *ids);
    for (int64_t t = 0; t < at.count && context_computes(c); t++) {
        const bool inside = t >= use->first && t < end;
        ids[t] = !inside || all->ids[t] < 0 ? -1 : row_of ? row_of[all->ids[t]] : all->ids[t];
    }
    at.ids = ids;
    return at;
}

/* The ids whose rows nobody replaces. */
static lookup untouched_ids(context *c, const nn_module *e, const lookup *all)
{
    lookup at = *all;
    for (int i = 0; i < c->adapter_count; i++) {
        const adapted *m = &c->adapters[i].adapter->modules[e->slot];
        if (!m->rows)
            continue;
        int32_t *ids = context_push(c, (size_t)at.count * sizeof *ids);
        for (int64_t t = 0; t < at.count && context_computes(c); t++)
            ids[t] = at.ids[t] >= 0 && m->row_of[at.ids[t]] < 0 ? at.ids[t] : -1;
        at.ids = ids;
    }
    return at;
}

static var *embedding_lora(context *c, var *y, const adapted *m, const adapter_use *use, const lookup *all)
{
    lookup at = chosen_ids(c, all, NULL, use);
    at.scale = use->weight * m->scale;
    y = op_linear(c, y, op_embed(c, NULL, m->a, &at), m->b, NULL, NULL, 0);
    if (!m->magnitude)
        return y;
    magnitude own;
    parts p = { .magnitudes = &own };
    add_magnitude(c, &p, use, m, NULL);
    return op_magnitude(c, NULL, y, NULL, &own, 1);
}

var *embedding_fwd(context *c, const nn_module *e, const int32_t *ids, int64_t count, int32_t padding)
{
    const lookup all = { ids, count, padding, 1 };
    const lookup untouched = untouched_ids(c, e, &all);
    var *y = op_embed(c, NULL, weight_in_force(c, e), &untouched);
    for (int i = 0; i < c->adapter_count; i++) {
        const adapter_use *use = &c->adapters[i];
        const adapted *m = &use->adapter->modules[e->slot];
        if (m->rows) {
            lookup at = chosen_ids(c, &all, m->row_of, use);
            at.padding = padding < 0 ? -1 : m->row_of[padding];
            y = op_embed(c, y, m->rows, &at);
        }
        if (m->a && use->weight != 0)
            y = embedding_lora(c, y, m, use, &all);
    }
    return y;
}

/* Only some rows reach the head, so the rows that an adapter is for are counted among them. */
static void count_among(const int32_t *rows, int64_t n_rows, int64_t *first, int64_t *count)
{
    int64_t start = 0, n = 0;
    if (*count < 0)
        return;
    while (start < n_rows && rows[start] < *first)
        start++;
    while (start + n < n_rows && rows[start + n] < *first + *count)
        n++;
    *first = start;
    *count = n;
}

void head_collect(context *c, const linear *head, const int32_t *rows, int64_t n_rows, head_parts *out)
{
    parts p = { .terms = out->terms, .magnitudes = out->magnitudes };
    collect(c, head, &p);
    for (int i = 0; i < p.n_terms && rows; i++)
        count_among(rows, n_rows, &out->terms[i].first, &out->terms[i].count);
    for (int i = 0; i < p.n_magnitudes && rows; i++)
        count_among(rows, n_rows, &out->magnitudes[i].first, &out->magnitudes[i].count);
    out->weights = (head_weights){ weight_in_force(c, head), out->terms, p.n_terms, out->magnitudes, p.n_magnitudes };
}
