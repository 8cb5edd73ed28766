/* predict.c: how long a step will take. The first step's own rows go through kernels that only count what they would
 * compute and move; the sums are divided by what this machine has just been measured to do, times the part of it that
 * each kind of work reaches. */
#include "run.h"

#include "err.h"
#include "speed.h"

/* Of the rate of large products, or of the stream through memory, as `lorac bench --profile` shows them for
 * models of 135 million to 3 billion parameters. */
static const double reached[PROFILE_PARTS] = {
    [PROFILE_LAYERS] = 0.85,   [PROFILE_FACTORS] = 0.25, [PROFILE_HEAD] = 0.7,      [PROFILE_ATTENTION] = 0.32,
    [PROFILE_ELEMENTS] = 0.35, [PROFILE_LOSS] = 0.5,     [PROFILE_OPTIMIZER] = 0.3,
};

static double seconds_of(const profile *counted, const machine_speed *speed)
{
    double sum = 0;

    for (int i = 0; i < PROFILE_PARTS; i++) {
        const profile_entry *e = &counted->part[i];
        sum += (e->flops > 0 ? e->flops / speed->product_flops : e->bytes / speed->bandwidth) / reached[i];
    }
    return sum;
}

static int count_step(run *r, profile *counted)
{
    int64_t rows = sampler_rows(&r->sampler, 0, r->rows);
    packed_pass pass;
    size_t bytes;

    for (int64_t at = 0; at < rows;) {
        at = packer_next(&r->packer, &r->train, r->rows, rows, at, r->tokens_per_pass, &pass);
        if (at < 0)
            return fail_memory();
        TRY(model_measure_loss(r->in->model, r->context, &pass.rows, &pass.targets, &bytes, counted));
        r->plan.step_tokens += pass.rows.count;
    }
    counted->part[PROFILE_OPTIMIZER].bytes = (double)r->adapter->parameters * 8 * sizeof(real);
    return LORAC_OK;
}

int run_predict(run *r)
{
    profile counted = { 0 };
    machine_speed speed;

    if (!r->steps)
        return LORAC_OK;
    TRY(count_step(r, &counted));
    TRY(measure_speed(r->context->pool, r->context->k, &speed));
    for (int i = 0; i < PROFILE_PARTS; i++)
        r->plan.step_flops += counted.part[i].flops;
    r->plan.step_seconds = seconds_of(&counted, &speed);
    return LORAC_OK;
}
