/* combine.c: see combine.h. The rules of merge_rules.h are applied either to the factors, A and B apart, which is cheap
 * and has cross terms (A1 meets B2), or to the deltas, whose result then gets a truncated decomposition. cat and svd
 * are the exact ones. Every result has scale 1. Source: PEFT 0.21, tuners/lora/model.py. */
#include "combine.h"

#include "err.h"
#include "mem.h"
#include "merge_rules.h"
#include "truncate.h"

#include <math.h>
#include <string.h>

/* What a method does with the adapters' matrices. */
typedef enum method_kind { KIND_FACTORS, KIND_STACKED, KIND_PRODUCT, KIND_DELTAS } method_kind;

typedef struct method {
    const char *name;
    method_kind kind;
    prune_kind prune;
    bool elect;
} method;

static const method methods[] = {
    [LORAC_COMBINE_LINEAR] = { "linear", KIND_FACTORS, PRUNE_NONE, false },
    [LORAC_COMBINE_CAT] = { "cat", KIND_STACKED, PRUNE_NONE, false },
    [LORAC_COMBINE_SVD] = { "svd", KIND_PRODUCT, PRUNE_NONE, false },
    [LORAC_COMBINE_TIES] = { "ties", KIND_FACTORS, PRUNE_MAGNITUDE, true },
    [LORAC_COMBINE_TIES_SVD] = { "ties_svd", KIND_DELTAS, PRUNE_MAGNITUDE, true },
    [LORAC_COMBINE_DARE_LINEAR] = { "dare_linear", KIND_FACTORS, PRUNE_RANDOM, false },
    [LORAC_COMBINE_DARE_TIES] = { "dare_ties", KIND_FACTORS, PRUNE_RANDOM, true },
    [LORAC_COMBINE_DARE_LINEAR_SVD] = { "dare_linear_svd", KIND_DELTAS, PRUNE_RANDOM, false },
    [LORAC_COMBINE_DARE_TIES_SVD] = { "dare_ties_svd", KIND_DELTAS, PRUNE_RANDOM, true },
    [LORAC_COMBINE_MAGNITUDE_PRUNE] = { "magnitude_prune", KIND_FACTORS, PRUNE_MAGNITUDE, false },
    [LORAC_COMBINE_MAGNITUDE_PRUNE_SVD] = { "magnitude_prune_svd", KIND_DELTAS, PRUNE_MAGNITUDE, false },
};
enum { METHODS = sizeof methods / sizeof *methods };

const char *combination_name(int number)
{
    return methods[number].name;
}

typedef struct job {
    const lorac_adapter_ref *refs;
    const lorac_combine_options *options;
    const method *method;
    factor_source *sources;
    size_t count;
    int64_t svd_rank; /* asked for, or the largest of the sources */
    factor_set *out;
} job;

/* What one adapter has for the module at hand. */
typedef struct part {
    size_t source;
    const filed_pair *pair;
    double *a, *b; /* as filed, without scale */
    int64_t rank;
    double weight, scale;
} part;

typedef struct parts {
    const char *module;
    int64_t in, out;
    part *list;
    size_t count;
} parts;

/* ---- Options */

static int refuse_option(const method *m, const char *key)
{
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = key }, "the method %s does not use this option", m->name);
}

static int check_density(const method *m, double density)
{
    if (m->prune == PRUNE_NONE)
        return isnan(density) ? LORAC_OK : refuse_option(m, "density");
    if (isnan(density))
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "density", .expected = "the share of entries to keep, such as 0.5" },
                       "the method %s needs a density", m->name);
    if (!(density > 0 && density <= 1))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "density", .expected = "more than 0, at most 1" },
                       "a density of %g cannot be used", density);
    return LORAC_OK;
}

static int check_options(const lorac_combine_options *o)
{
    if (o->method < 0 || o->method >= METHODS)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "method" }, "there is no method %d", o->method);
    const method *m = &methods[o->method];
    const bool decomposes = m->kind == KIND_PRODUCT || m->kind == KIND_DELTAS;

    TRY(check_density(m, o->density));
    if (!decomposes && o->svd_rank != 0)
        return refuse_option(m, "svd-rank");
    if (!decomposes && !isnan(o->svd_clamp))
        return refuse_option(m, "svd-clamp");
    if (!m->elect && o->majority_sign != LORAC_MAJORITY_TOTAL)
        return refuse_option(m, "majority-sign");
    if (o->svd_rank < 0 || o->svd_rank > PEFT_RANK_MOST)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "svd-rank" }, "a rank of %lld cannot be used",
                       (long long)o->svd_rank);
    if (!isnan(o->svd_clamp) && !(o->svd_clamp > 0.5 && o->svd_clamp <= 1))
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "svd-clamp", .expected = "a quantile of more than 0.5, at most 1" },
                       "a clamp of %g cannot be used", o->svd_clamp);
    return LORAC_OK;
}

/* ---- Parts */

static void free_parts(parts *p)
{
    for (size_t i = 0; i < p->count; i++) {
        mem_free(p->list[i].a);
        mem_free(p->list[i].b);
    }
    p->count = 0;
}

static int check_shape(const job *j, const parts *p, size_t source, const filed_pair *pair)
{
    if (p->count == 0 || (pair->a->dim[1] == p->in && pair->b->dim[0] == p->out))
        return LORAC_OK;
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = j->sources[source].file.path,
                            .key = pair->module,
                            .hint = "the adapters were made for different base models" },
                   "the update is [%lld, %lld] here and [%lld, %lld] in %s", (long long)pair->b->dim[0],
                   (long long)pair->a->dim[1], (long long)p->out, (long long)p->in,
                   j->sources[p->list[0].source].file.path);
}

/* The adapters that have this module. p->list has room for all. */
static int read_parts(const job *j, const char *module, parts *p)
{
    p->module = module;
    for (size_t i = 0; i < j->count; i++) {
        const factor_source *source = &j->sources[i];
        const filed_pair *pair = factor_source_find(source, module);

        if (!pair)
            continue;
        TRY(check_shape(j, p, i, pair));
        p->in = pair->a->dim[1];
        p->out = pair->b->dim[0];
        part *one = &p->list[p->count++];
        *one = (part){
            .source = i, .pair = pair, .rank = pair->a->dim[0], .weight = j->refs[i].weight, .scale = pair->scale
        };
        TRY(filed_values(source, pair, pair->a, &one->a));
        TRY(filed_values(source, pair, pair->b, &one->b));
    }
    return LORAC_OK;
}

static int64_t stacked_rank(const parts *p)
{
    int64_t rank = 0;

    for (size_t i = 0; i < p->count; i++)
        rank += p->list[i].rank;
    return rank;
}

/* ---- On factors */

static merge_rule rule_of(const job *j)
{
    return (merge_rule){ .prune = j->method->prune,
                         .elect = j->method->elect,
                         .by_frequency = j->options->majority_sign == LORAC_MAJORITY_FREQUENCY,
                         .density = j->options->density };
}

/* Random numbers are told apart by the tensor and the adapter they are for. */
static rng dice_of(const job *j, const parts *p, size_t i, const char *what)
{
    rng r = rng_new((uint64_t)j->options->seed, rng_stream(p->module) ^ rng_stream(what));

    r.stream += p->list[i].source;
    return r;
}

static int check_ranks(const job *j, const parts *p)
{
    for (size_t i = 1; i < p->count; i++)
        if (p->list[i].rank != p->list[0].rank)
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .key = p->module,
                                    .hint = "use --method cat or svd, or reduce one with lorac extract --adapter" },
                           "the method %s needs equal ranks, but the adapters have %lld and %lld", j->method->name,
                           (long long)p->list[0].rank, (long long)p->list[i].rank);
    return LORAC_OK;
}

/* Merges one side of all parts: A with the sign of weight · scale, B without, so that a product has it once. */
static int merge_side(const job *j, const parts *p, bool is_a, double *out)
{
    const merge_rule rule = rule_of(j);
    const int64_t rank = p->list[0].rank;
    merge_input *inputs = mem_new(p->count, sizeof *inputs);
    int status = inputs ? LORAC_OK : fail_memory();

    for (size_t i = 0; i < p->count && inputs; i++) {
        const part *x = &p->list[i];
        const double weight = x->weight * x->scale;

        inputs[i] = (merge_input){ .right = is_a ? x->a : x->b,
                                   .scale = 1,
                                   .weight = (is_a && weight < 0 ? -1 : 1) * sqrt(fabs(weight)),
                                   .dice = dice_of(j, p, i, is_a ? "A" : "B") };
    }
    if (status == LORAC_OK)
        status = merge_matrices(out, inputs, p->count, is_a ? rank : p->out, is_a ? p->in : rank, &rule);
    mem_free(inputs);
    return status;
}

static int combine_factors(const job *j, const parts *p)
{
    const int64_t rank = p->list[0].rank, most = p->in > p->out ? p->in : p->out;
    factor_pair *pair;
    double *values;
    int status;

    TRY(check_ranks(j, p));
    TRY(factor_set_add(j->out, p->module, rank, p->in, p->out, &pair));
    values = mem_new((size_t)rank * (size_t)most, sizeof *values);
    status = values ? merge_side(j, p, true, values) : fail_memory();
    if (status == LORAC_OK)
        status = factors_store(pair->a, values, rank * p->in, p->module);
    if (status == LORAC_OK)
        status = merge_side(j, p, false, values);
    if (status == LORAC_OK)
        status = factors_store(pair->b, values, p->out * rank, p->module);
    mem_free(values);
    return status;
}

/* ---- Side by side */

/* b [out, rank] = [B1 B2 ...], a [rank, in] = the weight · scale · Ai, one below the other: b a is the weighted sum. */
static void stack(const parts *p, int64_t rank, double *a, double *b)
{
    int64_t at = 0;

    for (size_t i = 0; i < p->count; i++) {
        const part *x = &p->list[i];

        for (int64_t k = 0; k < x->rank * p->in; k++)
            a[at * p->in + k] = x->weight * x->scale * x->a[k];
        for (int64_t o = 0; o < p->out; o++)
            memcpy(b + o * rank + at, x->b + o * x->rank, (size_t)x->rank * sizeof *b);
        at += x->rank;
    }
}

static int combine_stacked(const job *j, const parts *p, int64_t rank, const double *a, const double *b)
{
    factor_pair *pair;

    TRY(factor_set_add(j->out, p->module, rank, p->in, p->out, &pair));
    TRY(factors_store(pair->a, a, rank * p->in, p->module));
    return factors_store(pair->b, b, p->out * rank, p->module);
}

/* ---- Decomposed */

static int keep_rank(const job *j, const parts *p, svd *t)
{
    const int64_t most = p->in < p->out ? p->in : p->out, rank = j->svd_rank < most ? j->svd_rank : most;

    return svd_store(t, j->out, p->module, rank, j->options->svd_clamp);
}

static int combine_product(const job *j, const parts *p, int64_t inner, const double *a, const double *b)
{
    svd t;
    int status = svd_of_product(&t, b, a, p->out, inner, p->in);

    if (status == LORAC_OK)
        status = keep_rank(j, p, &t);
    svd_free(&t);
    return status;
}

/* The two that need the stacked factors. */
static int combine_exactly(const job *j, const parts *p)
{
    const int64_t rank = stacked_rank(p);
    double *a = mem_new((size_t)rank * (size_t)p->in, sizeof *a);
    double *b = mem_new((size_t)p->out * (size_t)rank, sizeof *b);
    int status = a && b ? LORAC_OK : fail_memory();

    if (status == LORAC_OK) {
        stack(p, rank, a, b);
        status =
            j->method->kind == KIND_STACKED ? combine_stacked(j, p, rank, a, b) : combine_product(j, p, rank, a, b);
    }
    mem_free(a);
    mem_free(b);
    return status;
}

static int merge_deltas(const job *j, const parts *p, double *delta)
{
    const merge_rule rule = rule_of(j);
    merge_input *inputs = mem_new(p->count, sizeof *inputs);
    int status = inputs ? LORAC_OK : fail_memory();

    for (size_t i = 0; i < p->count && inputs; i++) {
        const part *x = &p->list[i];

        inputs[i] = (merge_input){ .left = x->b,
                                   .right = x->a,
                                   .inner = x->rank,
                                   .scale = x->scale,
                                   .weight = x->weight,
                                   .dice = dice_of(j, p, i, "BA") };
    }
    if (status == LORAC_OK)
        status = merge_matrices(delta, inputs, p->count, p->out, p->in, &rule);
    mem_free(inputs);
    return status;
}

static int combine_deltas(const job *j, const parts *p)
{
    double *delta = mem_new((size_t)p->out * (size_t)p->in, sizeof *delta);
    svd t = { 0 };
    int status = delta ? merge_deltas(j, p, delta) : fail_memory();

    if (status == LORAC_OK)
        status = svd_of_matrix(&t, delta, p->out, p->in);
    mem_free(delta);
    if (status == LORAC_OK)
        status = keep_rank(j, p, &t);
    svd_free(&t);
    return status;
}

/* ---- All modules */

static int combine_module(const job *j, const char *module, part *room)
{
    parts p = { .list = room };
    int status = read_parts(j, module, &p);

    if (status == LORAC_OK)
        switch (j->method->kind) {
        case KIND_FACTORS:
            status = combine_factors(j, &p);
            break;
        case KIND_STACKED:
        case KIND_PRODUCT:
            status = combine_exactly(j, &p);
            break;
        case KIND_DELTAS:
            status = combine_deltas(j, &p);
            break;
        }
    free_parts(&p);
    return status;
}

/* A module is listed with the first adapter that has it. */
static bool is_first(const job *j, size_t source, const char *module)
{
    for (size_t i = 0; i < source; i++)
        if (factor_source_find(&j->sources[i], module))
            return false;
    return true;
}

static int combine_modules(const job *j)
{
    part *room = mem_new(j->count, sizeof *room);
    size_t most = 0;
    int status = room ? LORAC_OK : fail_memory();

    for (size_t i = 0; i < j->count; i++)
        most += j->sources[i].count;
    if (status == LORAC_OK)
        status = factor_set_reserve(j->out, most);
    for (size_t i = 0; i < j->count && status == LORAC_OK; i++)
        for (size_t k = 0; k < j->sources[i].count && status == LORAC_OK; k++) {
            const char *module = j->sources[i].pairs[k].module;
            if (!is_first(j, i, module))
                continue;
            module = arena_text(&j->out->memory, module, strlen(module));
            status = module ? combine_module(j, module, room) : fail_memory();
        }
    mem_free(room);
    return status;
}

/* ---- Sources */

static int64_t largest_rank(const job *j)
{
    int64_t rank = 0;

    for (size_t i = 0; i < j->count; i++)
        for (size_t k = 0; k < j->sources[i].count; k++) {
            const int64_t one = j->sources[i].pairs[k].a->dim[0];
            rank = one > rank ? one : rank;
        }
    return rank;
}

static int open_sources(job *j, const model *m, size_t count)
{
    j->sources = mem_new(count, sizeof *j->sources);
    if (!j->sources)
        return fail_memory();
    for (size_t i = 0; i < count; i++)
        if (!isfinite(j->refs[i].weight))
            return fail_at(LORAC_ERROR_USAGE, (fault){ .file = j->refs[i].path, .key = "weight" },
                           "an adapter's weight must be a finite number");
    for (; j->count < count; j->count++)
        TRY(factor_source_open(&j->sources[j->count], j->refs[j->count].path, m));
    j->svd_rank = j->options->svd_rank ? j->options->svd_rank : largest_rank(j);
    return LORAC_OK;
}

int combine(factor_set *out, const model *m, const lorac_adapter_ref *adapters, size_t count,
            const lorac_combine_options *options)
{
    job j = { .refs = adapters, .options = options, .out = out };
    int status;

    *out = (factor_set){ 0 };
    TRY(check_options(options));
    if (count == 0)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "adapter" }, "there is no adapter to combine");
    /* Of one adapter PEFT makes the linear sum, whatever the method: nothing is pruned, no rank is lost. */
    j.method = &methods[count == 1 ? LORAC_COMBINE_LINEAR : options->method];
    status = open_sources(&j, m, count);
    if (status == LORAC_OK)
        status = factor_set_describe(out, j.sources, j.count, m);
    if (status == LORAC_OK)
        status = combine_modules(&j);
    for (size_t i = 0; i < j.count; i++)
        factor_source_close(&j.sources[i]);
    mem_free(j.sources);
    if (status != LORAC_OK)
        factor_set_free(out);
    return status;
}
