/* prepare.c: from options to rows, adapter and context. Rows come before anything that costs memory, so that bad data
 * is reported as such. */
#include "run.h"

#include "cpu.h"
#include "err.h"
#include "mem.h"
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEQUENCE_STANDARD = 2048 };

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static row_reader make_reader(const run *r)
{
    int64_t most = r->options->max_seq_length, context_length = r->in->model->config.context;

    if (most == 0)
        most = context_length > 0 && context_length < SEQUENCE_STANDARD ? context_length : SEQUENCE_STANDARD;
    return (row_reader){ .tokenizer = r->in->words,
                         .labels = model_labels(r->in->model),
                         .pad = r->in->model->config.pad,
                         .vocabulary = (int32_t)r->in->model->config.vocabulary,
                         .templates = r->in->templates,
                         .loss_on = (lorac_loss_on)r->options->loss_on,
                         .max_seq_length = most };
}

/* Learned positions end, others do not. */
static int check_length(const run *r)
{
    const model *m = r->in->model;
    char found[32], expected[64];

    if (!m->positions.weight.t.data || r->options->max_seq_length <= m->config.context)
        return LORAC_OK;
    snprintf(found, sizeof found, "%lld", (long long)r->options->max_seq_length);
    snprintf(expected, sizeof expected, "at most %lld", (long long)m->config.context);
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "max_seq_length", .found = found, .expected = expected },
                   "the model has no positions for rows of this length");
}

static int read_split(run *r, examples *out, const char *split, bool optional)
{
    row_reader reader = make_reader(r);
    dataset *d;
    int status;

    TRY(check_length(r));
    TRY(dataset_open(&d, r->options->data, split, optional));
    status = examples_read(out, d, &reader, r->in->model, UNTRAINED_REFUSE, -1, r->options->threads, r->cancel);
    dataset_close(d);
    return status;
}

static int read_valid(run *r)
{
    const lorac_train_options *o = r->options;
    int64_t most;
    bool has;

    TRY(dataset_has_split(o->data, "valid", &has));
    if (!has || !o->steps_per_eval || !o->val_batches)
        return LORAC_OK;
    TRY(read_split(r, &r->valid, "valid", true));
    r->valid_count = r->valid.count;
    if (o->val_batches > 0 && !__builtin_mul_overflow(o->val_batches, o->batch_size, &most) && most < r->valid_count)
        r->valid_count = most;
    return LORAC_OK;
}

static int count_steps(run *r)
{
    const lorac_train_options *o = r->options;
    int64_t rows_per_step;

    if (__builtin_mul_overflow(o->batch_size, o->grad_accumulation_steps, &rows_per_step))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "batch-size" }, "a step of too many rows");
    TRY(sampler_init(&r->sampler, &r->train, rows_per_step, o->shuffle, (uint64_t)o->seed));
    r->steps = o->steps >= 0 ? o->steps : sampler_steps(&r->sampler, o->epochs);
    if (r->steps < 0)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "epochs" }, "a run of too many steps");
    r->rows =
        mem_new((size_t)(rows_per_step < r->sampler.per_epoch ? rows_per_step : r->sampler.per_epoch), sizeof *r->rows);
    return r->rows ? LORAC_OK : fail_memory();
}

static int read_rows(run *r)
{
    if (!r->options->data && r->options->steps == 0 && !r->in->resume)
        return LORAC_OK; /* only the initial adapter is asked for */
    if (!r->options->data)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "data", .hint = "Name a row file or a folder with train.jsonl." },
                       "no data is given");
    TRY(read_split(r, &r->train, "train", false));
    TRY(read_valid(r));
    if (r->in->resume && r->facts.fingerprint != r->train.fingerprint)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = r->options->data, .hint = "Start a new run in another folder." },
                       "the training rows are not those that the run began with");
    r->facts.fingerprint = r->train.fingerprint;
    r->facts.rows = r->train.count;
    r->facts.tokens = r->train.tokens;
    return count_steps(r);
}

/* ---- The adapter --------------------------------------------------------------------------------------------------
 */

static int config_from_options(peft_config *c, const lorac_train_options *o)
{
    c->r = o->rank;
    c->lora_alpha = isnan(o->alpha) ? 2 * (double)o->rank : o->alpha;
    c->lora_dropout = o->dropout;
    c->use_rslora = o->use_rslora;
    c->use_dora = o->use_dora;
    return peft_config_set_targets(c, o->target_modules ? o->target_modules : "all-linear");
}

static int create_adapter(run *r, bool first_values)
{
    const lorac_train_options *o = r->options;
    int64_t parameters;

    TRY(o->peft_config ? peft_config_read(&r->config, o->peft_config, &r->notes) : config_from_options(&r->config, o));
    if (o->init_lora_weights)
        TRY(peft_init_parse(&r->config.init, o->init_lora_weights, NULL));
    TRY(adapter_measure(&parameters, r->in->model, &r->config));
    TRY(run_plan_adapter(r, parameters));
    return run_begin_adapter(r, first_values);
}

/* A classifier's task_type is written for a classifier and for nothing else. */
static int settle_task_type(run *r)
{
    const lorac_task task = r->in->model->config.task;
    const bool expected = is_for_classifier(&r->config), is = task == LORAC_TASK_SEQ_CLS;

    if (expected && !is && r->options->task == LORAC_TASK_AUTO)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "task_type", .found = r->config.task_type, .hint = "Open it for this adapter." },
                       "the model was not opened as a classifier");
    if (expected != is || !r->config.task_type)
        r->config.task_type = task_type_name(task);
    return LORAC_OK;
}

static int make_adapter(run *r, bool first_values)
{
    const lorac_train_options *o = r->options;

    if (o->adapter && o->peft_config)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "peft-config", .hint = "Give one of the two." },
                       "--adapter brings its own configuration");
    if (o->adapter && o->init_lora_weights)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "init-lora-weights", .hint = "Give one of the two." },
                       "--adapter brings its own values");
    TRY(o->adapter ? adapter_load(&r->adapter, r->in->model, o->adapter, &r->config, &r->notes)
                   : create_adapter(r, first_values));
    r->config.base_model_name_or_path = o->model ? o->model : r->in->model->path;
    TRY(settle_task_type(r));
    TRY(adapters_bring_head(&(adapter_use){ .adapter = r->adapter }, 1, r->in->model));
    if (strcmp(o->optimizer, "lora-fa") == 0)
        adapter_freeze_a(r->adapter);
    TRY(adapter_make_trainable(r->adapter));
    return optimizer_init(&r->optimizer, r->adapter, o);
}

/* ---- The context
 * ----------------------------------------------------------------------------------------------------- */

static int make_context(run *r)
{
    context_options options = { .threads = (int)r->options->threads, .level = cpu_isa(), .act = r->facts.act };

    if (!r->in->resume) {
        bool bf16 = r->options->dtype == LORAC_DTYPE_BF16 ||
                    (r->options->dtype == LORAC_DTYPE_AUTO && cpu_isa() >= ISA_AVX512_BF16);

        options.act = r->facts.act = bf16 ? DT_BF16 : DT_F32;
    }
    TRY(context_new(&r->context, &options));
    if (r->in->watch && r->in->watch->profile)
        context_profile(r->context, &r->profile, model_outputs(r->in->model));
    r->use = (adapter_use){ r->adapter, 1, 0, -1 };
    r->context->adapters = &r->use;
    r->context->adapter_count = 1;
    r->context->recording = r->context->training = true;
    r->context->seed = (uint64_t)r->options->seed;
    return LORAC_OK;
}

static int check_task(const run *r)
{
    const lorac_task wanted = (lorac_task)r->options->task;

    if (wanted == LORAC_TASK_AUTO || wanted == r->in->model->config.task)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "task", .hint = "Open the model with the task of the run." },
                   "the model was opened for another task");
}

int run_prepare(run *r, const trainer_input *in, bool first_values)
{
    *r = (run){ .in = in, .options = in->options, .cancel = in->watch ? &in->watch->cancel : NULL, .metrics.fd = -1 };
    peft_config_init(&r->config);
    r->state.best_loss = NAN;
    TRY(train_options_check(in->options));
    TRY(check_task(r));
    if (in->resume)
        TRY(run_facts_read(in->options->output, &r->facts));
    TRY(read_rows(r));
    TRY(make_adapter(r, first_values));
    return make_context(r);
}

void run_close(run *r)
{
    metrics_close(&r->metrics);
    packer_free(&r->packer);
    context_free(r->context);
    optimizer_free(&r->optimizer);
    adapter_free(r->adapter);
    peft_config_free(&r->config);
    examples_free(&r->train);
    examples_free(&r->valid);
    mem_free(r->rows);
    buf_free(&r->notes);
}
