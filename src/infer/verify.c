/* verify.c: the held prompts, one pass of a model over all of them, and the comparison. */
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

/* Every weight has a part in every position's logits (q and k in all but a text's first), so a few positions miss none.
 */
enum { PROMPTS = sizeof prompts / sizeof *prompts, RANDOM_IDS = 16 };

/* ---- Texts ---- */

static int add_text(reference *r, const int32_t *ids, int64_t count)
{
    int64_t total = r->count + count;
    int32_t *grown = mem_grow(r->ids, (size_t)total, sizeof *grown);
    r->ids = grown ? grown : r->ids;
    int32_t *positions = mem_grow(r->positions, (size_t)total, sizeof *positions);
    r->positions = positions ? positions : r->positions;
    attention_span *spans = mem_grow(r->spans, (size_t)r->n_spans + 1, sizeof *spans);
    r->spans = spans ? spans : r->spans;
    if (!grown || !positions || !spans)
        return fail_memory();
    spans[r->n_spans++] = (attention_span){ r->count, count, r->count, count };
    for (int64_t i = 0; i < count; i++) {
        grown[r->count + i] = ids[i];
        positions[r->count + i] = (int32_t)i;
    }
    r->count = total;
    return LORAC_OK;
}

static int add_random(reference *r, const model *m)
{
    int32_t ids[RANDOM_IDS];
    rng random = rng_new(0, rng_stream("verify"));
    for (int i = 0; i < RANDOM_IDS; i++)
        ids[i] = (int32_t)(rng_next(&random) % (uint64_t)m->config.vocabulary);
    return add_text(r, ids, m->config.context < RANDOM_IDS ? m->config.context : RANDOM_IDS);
}

static int add_prompts(reference *r, const model *m, const tokenizer *t)
{
    for (int i = 0; i < PROMPTS; i++) {
        encoding e = { 0 };
        int status = tokenizer_encode(t, slice_of(prompts[i]), -1, &e);
        int64_t count = (int64_t)e.count, longest = m->config.context;
        if (status == LORAC_OK)
            status = model_check_ids(m, e.ids, e.count);
        if (status == LORAC_OK && count)
            status = add_text(r, e.ids, count < longest ? count : longest);
        encoding_free(&e);
        TRY(status);
    }
    return LORAC_OK;
}

/* ---- Logits ---- */

static int run_texts(const reference *r, const model *m, context *c, float *logits)
{
    batch b = { .count = r->count,
                .ids = r->ids,
                .positions = r->positions,
                .spans = r->spans,
                .n_spans = r->n_spans,
                .once = true };
    size_t bytes;
    TRY(model_measure_logits(m, c, &b, b.count, &bytes));
    TRY(context_reserve(c, bytes));
    return model_logits(m, c, &b, NULL, b.count, logits);
}

static float *new_logits(const reference *r)
{
    return mem_new((size_t)r->count, (size_t)r->outputs * sizeof(float));
}

int reference_new(reference *r, const model *m, context *c, const tokenizer *t)
{
    *r = (reference){ .outputs = model_outputs(m) };
    int status = t ? add_prompts(r, m, t) : add_random(r, m);
    if (status == LORAC_OK) {
        r->logits = new_logits(r);
        status = r->logits ? run_texts(r, m, c, r->logits) : fail_memory();
    }
    if (status != LORAC_OK)
        reference_free(r);
    return status;
}

void reference_free(reference *r)
{
    mem_free(r->ids);
    mem_free(r->positions);
    mem_free(r->spans);
    mem_free(r->logits);
    *r = (reference){ 0 };
}

/* ---- Comparison ---- */

/* With p and q the softmax of want and got:  KL = sum p (want - got) - lse(want) + lse(got). */
static comparison compare_row(const float *want, const float *got, int64_t n)
{
    comparison out = { .tokens = 1 };
    int64_t want_best = 0, got_best = 0;
    double want_sum = 0, got_sum = 0, apart = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)want[i] - (double)got[i]);
        out.max_difference = isfinite(difference) ? fmax(out.max_difference, difference) : INFINITY;
        out.largest = fmax(out.largest, fabs((double)want[i]));
        want_best = want[i] > want[want_best] ? i : want_best;
        got_best = got[i] > got[got_best] ? i : got_best;
    }
    for (int64_t i = 0; i < n; i++) {
        double p = exp((double)want[i] - (double)want[want_best]);
        want_sum += p;
        got_sum += exp((double)got[i] - (double)got[got_best]);
        apart += p * ((double)want[i] - (double)got[i]);
    }
    out.kl_divergence =
        apart / want_sum - (double)want[want_best] - log(want_sum) + (double)got[got_best] + log(got_sum);
    out.top1_agreement = want_best == got_best;
    return out;
}

typedef struct compare_job {
    const reference *r;
    const float *got;
    comparison *rows;
} compare_job;

static void compare_piece(void *arg, int64_t row, int thread)
{
    const compare_job *j = arg;
    int64_t at = row * j->r->outputs;
    (void)thread;
    j->rows[row] = compare_row(j->r->logits + at, j->got + at, j->r->outputs);
}

static comparison sum_up(const comparison *rows, int64_t count)
{
    comparison all = { .tokens = count };
    for (int64_t i = 0; i < count; i++) {
        all.max_difference = fmax(all.max_difference, rows[i].max_difference);
        all.largest = fmax(all.largest, rows[i].largest);
        all.kl_divergence += rows[i].kl_divergence / (double)count;
        all.top1_agreement += rows[i].top1_agreement / (double)count;
    }
    return all;
}

int reference_compare(const reference *r, const model *other, context *c, comparison *out)
{
    *out = (comparison){ 0 };
    if (r->outputs != model_outputs(other))
        return fail(LORAC_ERROR_RUNTIME, "the two models have logits of different sizes");
    float *got = new_logits(r);
    comparison *rows = mem_new((size_t)r->count, sizeof *rows);
    int status = got && rows ? run_texts(r, other, c, got) : fail_memory();
    if (status == LORAC_OK) {
        compare_job job = { r, got, rows };
        pool_run(c->pool, r->count, compare_piece, &job);
        *out = sum_up(rows, r->count);
    }
    mem_free(got);
    mem_free(rows);
    return status;
}
