/* verify.c: the held prompts and the comparison. */
#include "verify.h"

#include "err.h"
#include "mem.h"
#include "rng.h"

#include <math.h>

static const char *const prompts[] = {
    "The kettle in the small kitchen boils in four minutes, so there is time to lay the table.",
    "Question: A train leaves at 9:40 and arrives at 11:05. How long is the journey?\nAnswer:",
    "def area(width, height):\n    return width * height\n",
    "Please answer in one sentence: why is the sky blue?",
};

enum { PROMPTS = sizeof prompts / sizeof *prompts, RANDOM_IDS = 48 };

static double log_sum_exp(const float *x, int64_t n)
{
    double most = (double)x[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        most = fmax(most, (double)x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

static void compare_row(const float *want, const float *got, int64_t n, comparison *out)
{
    double want_lse = log_sum_exp(want, n), got_lse = log_sum_exp(got, n), kl = 0;
    int64_t want_best = 0, got_best = 0;
    for (int64_t i = 0; i < n; i++) {
        double p = (double)want[i] - want_lse, q = (double)got[i] - got_lse;
        double difference = fabs((double)want[i] - (double)got[i]);
        kl += exp(p) * (p - q);
        out->max_difference = isfinite(difference) ? fmax(out->max_difference, difference) : INFINITY;
        out->largest = fmax(out->largest, fabs((double)want[i]));
        want_best = want[i] > want[want_best] ? i : want_best;
        got_best = got[i] > got[got_best] ? i : got_best;
    }
    out->kl_divergence += kl;
    out->top1_agreement += want_best == got_best;
    out->tokens++;
}

static int compare_ids(session *reference, session *other, const int32_t *ids, size_t count, comparison *out)
{
    int64_t vocabulary = reference->m->config.vocabulary;
    float *want = mem_new(count, (size_t)vocabulary * sizeof *want), *got = mem_new(count, (size_t)vocabulary * sizeof *got);
    int status = want && got ? session_logits(reference, ids, count, want) : fail_memory();
    if (status == LORAC_OK)
        status = session_logits(other, ids, count, got);
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        compare_row(want + (int64_t)i * vocabulary, got + (int64_t)i * vocabulary, vocabulary, out);
    mem_free(want);
    mem_free(got);
    return status;
}

static int compare_random(session *reference, session *other, comparison *out)
{
    int32_t ids[RANDOM_IDS];
    int64_t count = reference->m->config.context < RANDOM_IDS ? reference->m->config.context : RANDOM_IDS;
    rng r = rng_new(0, rng_stream("verify"));
    for (int i = 0; i < RANDOM_IDS; i++)
        ids[i] = (int32_t)(rng_next(&r) % (uint64_t)reference->m->config.vocabulary);
    return compare_ids(reference, other, ids, (size_t)count, out);
}

static int compare_prompts(session *reference, session *other, const tokenizer *t, comparison *out)
{
    for (int i = 0; i < PROMPTS; i++) {
        encoding e = { 0 };
        int status = tokenizer_encode(t, slice_of(prompts[i]), -1, &e);
        size_t longest = (size_t)reference->m->config.context;
        if (status == LORAC_OK && e.count)
            status = compare_ids(reference, other, e.ids, e.count < longest ? e.count : longest, out);
        encoding_free(&e);
        TRY(status);
    }
    return LORAC_OK;
}

int compare_models(session *reference, session *other, const tokenizer *t, comparison *out)
{
    *out = (comparison){ 0 };
    if (reference->m->config.vocabulary != other->m->config.vocabulary)
        return fail(LORAC_ERROR_RUNTIME, "the two models have vocabularies of different sizes");
    TRY(t ? compare_prompts(reference, other, t, out) : compare_random(reference, other, out));
    if (out->tokens) {
        out->kl_divergence /= (double)out->tokens;
        out->top1_agreement /= (double)out->tokens;
    }
    return LORAC_OK;
}
