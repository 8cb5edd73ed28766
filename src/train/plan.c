/* plan.c: what a run will do and need. Memory for activations is measured, not estimated: the same pass runs through a
 * context that only counts.
 *
 * How many tokens a pass takes is a matter of speed and memory. By default it is PASS_STANDARD, enough for the products
 * to run at full speed; when that does not fit, blocks are recomputed, and then passes shrink to the longest row. */
#include "run.h"

#include "cpu.h"
#include "err.h"

#include <inttypes.h>

enum { PASS_STANDARD = 1024 };
/* Scratch of the matrix products, code and the heap's odds and ends. */
static const uint64_t other_bytes = UINT64_C(64) << 20;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static uint64_t row_bytes(const examples *e)
{
    return e->token_capacity * 2 * sizeof(int32_t) + e->row_capacity * sizeof(example);
}

/* Tokens of the largest pass that can come up. */
static int64_t largest_pass(const examples *e, int64_t tokens_per_pass, int64_t rows)
{
    int64_t all;

    if (__builtin_mul_overflow(e->longest, rows, &all))
        all = INT64_MAX;
    return least(most(tokens_per_pass, e->longest), all);
}

/* Step memory for the largest training pass and the largest validation pass. */
static int measure(run *r, int64_t tokens_per_pass, bool recompute, uint64_t *bytes)
{
    context *c = r->context;
    packed_pass pass;
    size_t train = 0, valid = 0;
    int status;

    *bytes = 0;
    if (!r->train.count)
        return LORAC_OK;
    c->recompute = recompute;
    TRY(packer_worst(&r->packer, largest_pass(&r->train, tokens_per_pass, r->sampler.per_step), &pass));
    TRY(model_measure_loss(r->in->model, c, &pass.rows, &pass.targets, &train, NULL));
    if (r->valid_count) {
        TRY(packer_worst(&r->packer, largest_pass(&r->valid, tokens_per_pass, r->valid_count), &pass));
        c->recording = c->training = false;
        status = model_measure_loss(r->in->model, c, &pass.rows, &pass.targets, &valid, NULL);
        c->recording = c->training = true;
        TRY(status);
    }
    *bytes = train > valid ? train : valid;
    return LORAC_OK;
}

static void count_rows(run *r)
{
    lorac_plan *p = &r->plan;
    parameter_counts counts = adapter_counts(r->adapter, r->in->model);

    p->trainable_parameters = counts.trainable;
    p->all_parameters = counts.all;
    p->rows = r->train.count;
    p->steps = r->steps;
    p->steps_per_epoch = r->sampler.steps_per_epoch;
    if (r->train.count)
        p->tokens_per_epoch =
            (int64_t)((double)r->train.tokens * (double)r->sampler.per_epoch / (double)r->train.count);
    p->longest_row = r->train.longest;
    p->truncated_rows = r->train.truncated;
    p->cut_turn_rows = r->train.end_cut;
    p->dropped_rows = r->train.dropped;
    p->endless_rows = r->train.endless;
    if (r->train.endless)
        snprintf(p->endless_template, sizeof p->endless_template, "%s", r->train.endless_template);
}

static void count_bytes(run *r, int64_t parameters)
{
    lorac_plan *p = &r->plan;

    p->adapter = (uint64_t)parameters * 2 * sizeof(real); /* values and gradients */
    if (peft_init_changes_weight(&r->config.init))
        p->adapter += (uint64_t)parameters * sizeof(real);  /* what was taken of the base */
    p->optimizer = (uint64_t)parameters * 2 * sizeof(real); /* two moments */
    p->other = row_bytes(&r->train) + row_bytes(&r->valid) + other_bytes;
    p->available = memory_available();
    p->dtype = r->facts.act == DT_BF16 ? "bf16" : "f32";
    p->isa = isa_name(cpu_isa());
}

static bool fits(const lorac_plan *p)
{
    return p->peak <= p->available;
}

static void add_up(run *r, uint64_t activations)
{
    lorac_plan *p = &r->plan;

    p->activations = activations;
    p->peak = p->weights + p->adapter + p->optimizer + p->other + activations;
}

/* Tries one way to run; *done when it fits. */
static int try_pass(run *r, int64_t tokens_per_pass, bool recompute, bool *done)
{
    uint64_t bytes;

    if (*done)
        return LORAC_OK;
    TRY(measure(r, tokens_per_pass, recompute, &bytes));
    r->tokens_per_pass = r->plan.tokens_per_pass = tokens_per_pass;
    add_up(r, bytes);
    *done = fits(&r->plan);
    return LORAC_OK;
}

int run_check_fits(const run *r)
{
    char found[64], expected[64];

    if (fits(&r->plan))
        return LORAC_OK;
    snprintf(found, sizeof found, "%" PRIu64 " MiB needed", r->plan.peak >> 20);
    snprintf(expected, sizeof expected, "at most %" PRIu64 " MiB", r->plan.available >> 20);
    return fail_at(LORAC_ERROR_MEMORY,
                   (fault){ .found = found,
                            .expected = expected,
                            .hint = "Lower --max-seq-length, --tokens-per-pass or --rank, or take a smaller model." },
                   "the run does not fit into memory");
}

int run_plan_adapter(run *r, int64_t parameters)
{
    r->plan.trainable_parameters = parameters;
    r->plan.all_parameters = r->in->model->parameters + parameters;
    if (parameters > INT64_MAX / 64)
        parameters = INT64_MAX / 64;
    count_bytes(r, parameters);
    add_up(r, 0);
    return run_check_fits(r);
}

int run_plan(run *r)
{
    int64_t wanted = r->in->resume ? r->facts.tokens_per_pass : r->options->tokens_per_pass;
    int64_t first = wanted ? wanted : most(PASS_STANDARD, r->train.longest);
    bool done = false;

    count_rows(r);
    count_bytes(r, r->adapter->parameters);
    r->plan.weights = r->in->model->bytes;
    TRY(try_pass(r, first, false, &done));
    TRY(try_pass(r, first, true, &done));
    if (!wanted)
        TRY(try_pass(r, r->train.longest, true, &done));
    r->facts.tokens_per_pass = r->tokens_per_pass;
    return LORAC_OK;
}

int run_reserve(run *r)
{
    return r->steps == 0 ? LORAC_OK : context_reserve(r->context, r->plan.activations);
}
