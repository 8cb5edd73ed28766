/* sample.c: repetition penalty, temperature, top-k, top-p, min-p: in the order of transformers, each over what the one
 * before left. */
#include "sample.h"

#include "err.h"
#include "mem.h"
#include "rng.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate {
    float logit;
    int32_t id;
    double probability;
} candidate;

int token_sampler_init(token_sampler *s, const lorac_sampling *options, int64_t vocabulary)
{
    *s = (token_sampler){ .options = *options, .vocabulary = vocabulary };
    const lorac_sampling *o = &s->options;
    fault where = { .key = "temperature", .expected = "0 or more" };
    if (!(o->temperature >= 0 && isfinite(o->temperature)))
        return fail_at(LORAC_ERROR_USAGE, where, "a sampling option is out of range");
    where = (fault){ .key = "top_p", .expected = "above 0, and at most 1" };
    if (!(o->top_p > 0 && o->top_p <= 1))
        return fail_at(LORAC_ERROR_USAGE, where, "a sampling option is out of range");
    where = (fault){ .key = "min_p", .expected = "between 0 and 1" };
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return fail_at(LORAC_ERROR_USAGE, where, "a sampling option is out of range");
    where = (fault){ .key = "repetition_penalty", .expected = "a positive number" };
    if (!(o->repetition_penalty > 0 && isfinite(o->repetition_penalty)))
        return fail_at(LORAC_ERROR_USAGE, where, "a sampling option is out of range");
    s->seen = mem_new((size_t)vocabulary, sizeof *s->seen);
    if (!s->seen)
        return fail_memory();
    if (o->temperature == 0)
        return LORAC_OK;
    s->candidates = mem_new((size_t)vocabulary, sizeof *s->candidates);
    return s->candidates ? LORAC_OK : fail_memory();
}

void token_sampler_free(token_sampler *s)
{
    mem_free(s->candidates);
    mem_free(s->seen);
    *s = (token_sampler){ 0 };
}

/* CTRL's rule (Keskar et al. 2019): once per id, however often it occurred. `seen` is all false before and after. */
static void penalise(float *logits, bool *seen, const int32_t *past, size_t n, double penalty)
{
    for (size_t i = 0; i < n; i++) {
        float *logit = &logits[past[i]];
        if (!seen[past[i]])
            *logit = (float)(*logit > 0 ? *logit / penalty : *logit * penalty);
        seen[past[i]] = true;
    }
    for (size_t i = 0; i < n; i++)
        seen[past[i]] = false;
}

static int32_t largest(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static int descending(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* The candidates that top_k leaves, best first, with their probabilities. */
static int64_t rank_candidates(token_sampler *s, const float *logits)
{
    const lorac_sampling *o = &s->options;
    int64_t n = s->vocabulary;
    for (int64_t i = 0; i < n; i++)
        s->candidates[i] = (candidate){ (float)(logits[i] / o->temperature), (int32_t)i, 0 };
    qsort(s->candidates, (size_t)n, sizeof *s->candidates, descending);
    if (o->top_k > 0 && o->top_k < n)
        n = o->top_k;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += s->candidates[i].probability = exp((double)s->candidates[i].logit - (double)s->candidates[0].logit);
    for (int64_t i = 0; i < n; i++)
        s->candidates[i].probability /= sum;
    return n;
}

int32_t token_sampler_next(token_sampler *s, float *logits, const int32_t *past, size_t n_past)
{
    const lorac_sampling *o = &s->options;
    if (o->repetition_penalty != 1)
        penalise(logits, s->seen, past, n_past, o->repetition_penalty);
    uint64_t draw = s->drawn++;
    if (o->temperature == 0)
        return largest(logits, s->vocabulary);
    int64_t n = rank_candidates(s, logits), kept = 0;
    double sum = 0, least = o->min_p * s->candidates[0].probability;
    while (kept < n && (kept == 0 || (sum < o->top_p && s->candidates[kept].probability >= least)))
        sum += s->candidates[kept++].probability;
    rng r = rng_new((uint64_t)o->seed, rng_stream("sample"));
    r.counter = draw;
    double u = rng_uniform(&r) * sum;
    int64_t chosen = 0;
    while (chosen + 1 < kept && (u -= s->candidates[chosen].probability) >= 0)
        chosen++;
    return s->candidates[chosen].id;
}
