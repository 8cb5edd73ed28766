/* api_convert.c: lorac_merge: write aside, open again, compare, and only then put in place. */
#include "api.h"
#include "export.h"
#include "verify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The worst that rounding to a type may do to a logit, as a share of the largest. Beyond it something is wrong, not
 * rounded. */
static double logit_limit(dtype type)
{
    switch (type) {
    case DT_F32:
        return 1e-4;
    case DT_F16:
        return 0.02;
    default:
        return 0.15;
    }
}

static int output_type(const model *m, int wanted, bool is_gguf, dtype *out)
{
    static const dtype types[] = { [LORAC_DTYPE_F32] = DT_F32,
                                   [LORAC_DTYPE_BF16] = DT_BF16,
                                   [LORAC_DTYPE_F16] = DT_F16,
                                   [LORAC_DTYPE_Q8_0] = DT_Q8_0 };
    if (wanted == LORAC_DTYPE_AUTO)
        *out = m->weight_type == DT_F32 || m->weight_type == DT_BF16 ? m->weight_type : DT_F16;
    else if (wanted > 0 && wanted < (int)(sizeof types / sizeof *types))
        *out = types[wanted];
    else
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "dtype", .expected = "f32, f16, bf16 or q8_0" },
                       "this type cannot be written");
    if (*out == DT_Q8_0 && !is_gguf)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "dtype", .found = "q8_0", .expected = "f32, f16 or bf16" },
                       "only GGUF files hold quantised weights");
    return LORAC_OK;
}

/* llama.cpp has no place for a classifier's head on these models. */
static int check_task(const model *m, bool is_gguf)
{
    if (!is_gguf || m->config.task == LORAC_TASK_CAUSAL)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE, (fault){ .file = m->path, .hint = "Write a folder instead: -o OUT." },
                   "a GGUF file cannot hold a classifier");
}

int check_output_free(const char *output, bool is_file, bool overwrite)
{
    bool taken = is_file ? path_exists(output) : path_exists(output) && !path_is_empty_folder(output);
    if (taken && !overwrite)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = output, .hint = "give another path, or --overwrite" },
                       "the output is there already");
    return LORAC_OK;
}

typedef struct merge_job {
    export_plan plan;
    bool is_gguf;
    const char *output;
    export_loss loss;
    buf notes;
    reference expected; /* of base and adapters */
    comparison result;
} merge_job;

static int expect(merge_job *job)
{
    lorac_text *text = NULL;
    TRY(text_open_if_any(&text, job->plan.m->path, NULL));
    int status = reference_new(&job->expected, job->plan.m, job->plan.c, text ? text->tokenizer : NULL);
    lorac_text_close(text);
    return status;
}

static int compare(merge_job *job, const char *written)
{
    context *c = job->plan.c;
    model *merged;
    TRY(model_open(&merged, written, NULL));
    c->adapters = NULL;
    c->adapter_count = 0;
    int status = reference_compare(&job->expected, merged, c, &job->result);
    model_close(merged);
    return status;
}

static int verify(merge_job *job, const char *written)
{
    TRY(compare(job, written));
    double limit = logit_limit(job->plan.type) * job->result.largest;
    if (job->result.max_difference <= limit)
        return LORAC_OK;
    char found[32], expected[48];
    snprintf(found, sizeof found, "%.4g", job->result.max_difference);
    snprintf(expected, sizeof expected, "at most %.4g", limit);
    return fail_at(LORAC_ERROR_RUNTIME,
                   (fault){ .file = job->output, .found = found, .expected = expected, .hint = "try --dtype f32" },
                   "the merged model's logits differ from base and adapters; nothing was written");
}

/* A GGUF file is written and compared under a name beside the target. */
static int write_gguf(merge_job *job)
{
    buf aside = { 0 };
    buf_format(&aside, "%s.verifying.gguf", job->output);
    int status = buf_status(&aside);
    if (status == LORAC_OK)
        status = export_gguf(&job->plan, aside.p, &job->loss);
    if (status == LORAC_OK) {
        status = verify(job, aside.p);
        if (status == LORAC_OK && rename(aside.p, job->output) != 0)
            status = fail_errno(job->output, "put the file in place");
        if (status != LORAC_OK)
            unlink(aside.p);
    }
    buf_free(&aside);
    return status;
}

static int write_folder(merge_job *job)
{
    char *aside;
    TRY(folder_begin(&aside, job->output));
    int status = export_huggingface(&job->plan, aside, &job->loss);
    if (status == LORAC_OK)
        status = verify(job, aside);
    return folder_end(aside, job->output, status);
}

/* With the adapters of the context. */
static int merge(merge_job *job, context *c)
{
    const size_t count = (size_t)c->adapter_count;
    TRY(adapters_bring_head(c->adapters, count, job->plan.m));
    folded *adapters = mem_new(count, sizeof *adapters);
    if (!adapters)
        return fail_memory();
    for (size_t i = 0; i < count; i++)
        adapters[i] = (folded){ c->adapters[i].adapter, (double)c->adapters[i].weight };
    job->plan.c = c;
    job->plan.notes = &job->notes;
    job->plan.adapters = adapters;
    job->plan.adapter_count = count;
    int status = expect(job);
    if (status == LORAC_OK)
        status = job->is_gguf ? write_gguf(job) : write_folder(job);
    reference_free(&job->expected);
    mem_free(adapters);
    return status;
}

static int prepare(merge_job *job, const model *m, const char *output, const lorac_merge_options *options)
{
    *job = (merge_job){ .plan.m = m,
                        .plan.shard_bytes = options->max_shard_size,
                        .output = output,
                        .is_gguf = slice_ends(slice_of(output), ".gguf") };
    if (job->is_gguf && options->max_shard_size)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "max_shard_size", .file = output },
                       "a GGUF file is not cut into shards");
    TRY(check_task(m, job->is_gguf));
    TRY(output_type(m, options->dtype, job->is_gguf, &job->plan.type));
    return check_output_free(output, job->is_gguf, options->overwrite);
}

/* The notes of a merge that is done are the report's own from now on. */
static void finish(merge_job *job, int status, lorac_merge_report *report)
{
    if (!report || status != LORAC_OK)
        buf_free(&job->notes);
    if (!report)
        return;
    *report = (lorac_merge_report){
        .max_logit_difference = job->result.max_difference,
        .kl_divergence = job->result.kl_divergence,
        .top1_agreement = job->result.top1_agreement,
        .delta_lost = job->loss.delta > 0 ? sqrt(job->loss.error / job->loss.delta) : 0,
        .tokens = job->result.tokens,
        .notes = job->notes.p,
    };
}

static const lorac_merge_options standard;

lorac_status lorac_merge(const lorac_model *handle, const lorac_adapter_ref *adapters, size_t count, const char *output,
                         const lorac_merge_options *options, lorac_merge_report *report)
{
    merge_job job;
    runner r;
    options = options ? options : &standard;
    const lorac_run_options run = {
        .dtype = LORAC_DTYPE_F32, .threads = options->threads, .adapters = adapters, .adapter_count = count
    };
    TRY(prepare(&job, handle->m, output, options));
    TRY(runner_open(&r, handle->m, &run));
    int status = merge(&job, r.c);
    runner_close(&r);
    finish(&job, status, report);
    return status;
}

int merge_to_file(const model *m, const adapter_use *uses, size_t count, const char *output,
                  const lorac_merge_options *options, lorac_merge_report *report)
{
    merge_job job;
    context *c;
    options = options ? options : &standard;
    const context_options co = { .threads = (int)options->threads, .act = DT_F32, .level = cpu_isa() };
    TRY(prepare(&job, m, output, options));
    TRY(context_new(&c, &co));
    c->adapters = uses;
    c->adapter_count = (int)count;
    int status = merge(&job, c);
    context_free(c);
    finish(&job, status, report);
    return status;
}
