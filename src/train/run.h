/* run.h: one training run: what was read, what is trained, where it stands. Built by prepare.c, measured by plan.c,
 * driven by trainer.c. */
#ifndef LORAC_RUN_H
#define LORAC_RUN_H

#include "checkpoint.h"
#include "metrics.h"
#include "packing.h"
#include "run_folder.h"
#include "sampler.h"
#include "trainer.h"

/* What is told about the run as it goes; nothing that computes depends on it. */
typedef struct progress {
    double start, report_start; /* seconds; time spent on validation and saving is taken out by moving report_start */
    int64_t first_step;         /* where this process began */
    double learning_rate, grad_norm; /* of the last step */
} progress;

typedef struct run {
    const trainer_input *in;
    const lorac_train_options *options;
    const volatile int *cancel; /* or NULL */

    examples train, valid;
    int64_t valid_count; /* how many of them a validation takes; 0: there is none */
    sampler sampler;
    int64_t steps; /* of the whole run */

    peft_config config;
    adapter *adapter;
    adapter_use use;
    optimizer optimizer;

    context *context;
    profile profile; /* counts when the watch wants one */
    packer packer;
    int64_t tokens_per_pass;
    int64_t *rows; /* of one step */

    lorac_plan plan;
    run_facts facts;
    run_state state;
    metrics metrics;
    progress progress;
    buf notes; /* lines that the user should see */
} run;

/* Reads the rows and makes the adapter and the context. Writes nothing. After a failure run_close is still due. Only a
 * run needs the adapter's first values, which can take long; a plan does not. */
int run_prepare(run *r, const trainer_input *in, bool first_values);
/* Its part for a new adapter: makes it from r->config. */
int run_begin_adapter(run *r, bool first_values);
void run_close(run *r);

/* A first look before the adapter is made: LORAC_ERROR_MEMORY when one of so many parameters cannot fit, whatever the
 * weights need, which are mapped and not taken. */
int run_plan_adapter(run *r, int64_t parameters);
/* Chooses tokens per pass and recomputation, and fills r->plan. */
int run_plan(run *r);
/* LORAC_ERROR_MEMORY when what was planned does not fit. */
int run_check_fits(const run *r);
/* Fills in what a step will cost; takes about a second. */
int run_predict(run *r);
/* Sets aside the memory that the plan found. */
int run_reserve(run *r);

#endif
