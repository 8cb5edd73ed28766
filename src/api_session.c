/* api_session.c: lorac_session_*, lorac_sequence_*, generation and logits. */
#include "api.h"
#include "generate.h"
#include "safetensors.h"

#include <string.h>

struct lorac_session {
    session *s;
    runner run;
    const model *m;
    int32_t *ends;
    size_t end_count;
};

/* A lorac_sequence is a sequence under its public name. */
static sequence *sequence_of(const lorac_sequence *handle)
{
    return (sequence *)handle;
}

/* The ids that end a generation: the model's own say, and the tokenizer's files' where there are any. */
static int find_ends(lorac_session *handle)
{
    lorac_text *text = NULL;
    const int32_t *ids = NULL;
    size_t count = 0;
    if (text_open_if_any(&text, handle->m->path, NULL) == LORAC_OK && text)
        count = tokenizer_ends(text->tokenizer, &ids);
    handle->ends = mem_new(count + 1, sizeof *handle->ends);
    if (handle->ends) {
        if (count)
            memcpy(handle->ends, ids, count * sizeof *ids);
        if (handle->m->config.eos >= 0)
            handle->ends[count++] = handle->m->config.eos;
        handle->end_count = count;
    }
    lorac_text_close(text);
    error_clear(); /* a model without a readable tokenizer still generates ids */
    return handle->ends ? LORAC_OK : fail_memory();
}

lorac_status lorac_session_new(lorac_session **out, const lorac_model *base, const lorac_run_options *options)
{
    *out = NULL;
    lorac_session *handle = mem_new(1, sizeof *handle);
    if (!handle)
        return fail_memory();
    handle->m = base->m;
    int status = runner_open(&handle->run, base->m, options);
    if (status == LORAC_OK)
        status = session_new(&handle->s, base->m, handle->run.c);
    if (status == LORAC_OK)
        status = find_ends(handle);
    if (status != LORAC_OK) {
        lorac_session_free(handle);
        return status;
    }
    *out = handle;
    return LORAC_OK;
}

void lorac_session_free(lorac_session *handle)
{
    if (!handle)
        return;
    session_free(handle->s);
    runner_close(&handle->run);
    mem_free(handle->ends);
    mem_free(handle);
}

void lorac_sampling_init(lorac_sampling *sampling)
{
    *sampling = (lorac_sampling){ .top_p = 1, .repetition_penalty = 1 };
}

lorac_status lorac_sequence_new(lorac_sequence **out, lorac_session *handle, const lorac_sampling *sampling)
{
    lorac_sampling greedy;
    *out = NULL;
    lorac_sampling_init(&greedy);
    sequence *q;
    TRY(sequence_new(&q, handle->s, sampling ? sampling : &greedy));
    q->ends = handle->ends;
    q->end_count = handle->end_count;
    *out = (lorac_sequence *)q;
    return LORAC_OK;
}

void lorac_sequence_free(lorac_sequence *handle)
{
    sequence_free(sequence_of(handle));
}

lorac_status lorac_sequence_adapters(lorac_sequence *handle, const lorac_adapter_ref *adapters, size_t count)
{
    return sequence_set_adapters(sequence_of(handle), adapters, count);
}

/* Adapters know the modules of one model by their places. */
static int check_same_model(const model *m, const adapter_set *set)
{
    if (set && set->m != m)
        return fail(LORAC_ERROR_USAGE, "the adapters were loaded for another model than the session runs");
    return LORAC_OK;
}

lorac_status lorac_session_use(lorac_session *handle, const lorac_adapters *adapters)
{
    TRY(check_same_model(handle->m, set_of(adapters)));
    session_use(handle->s, set_of(adapters));
    return LORAC_OK;
}

lorac_status lorac_sequence_use(lorac_sequence *handle, const lorac_adapters *adapters, const char *name)
{
    TRY(check_same_model(sequence_of(handle)->session->m, set_of(adapters)));
    return sequence_use(sequence_of(handle), set_of(adapters), name);
}

lorac_status lorac_sequence_append(lorac_sequence *handle, const int32_t *ids, size_t count)
{
    return sequence_append(sequence_of(handle), ids, count);
}

lorac_status lorac_session_step(lorac_session *handle)
{
    return session_step(handle->s);
}

int32_t lorac_sequence_last(const lorac_sequence *handle)
{
    return sequence_of(handle)->last;
}

lorac_status lorac_generate(lorac_sequence *handle, const lorac_text *text, const int32_t *ids, size_t count,
                            int64_t limit, lorac_on_text on_text, void *user, lorac_watch *watch, lorac_generation *out)
{
    sequence *q = sequence_of(handle);
    generation g;
    *out = (lorac_generation){ 0 };
    if (limit < 0)
        return fail(LORAC_ERROR_USAGE, "the number of tokens to generate must not be negative");
    TRY(sequence_append(q, ids, count));
    int64_t room = q->session->m->config.context - (int64_t)q->count + 1;
    limit = limit < room ? limit : room;
    out->ids = mem_new((size_t)limit, sizeof *out->ids);
    if (!out->ids)
        return fail_memory();
    size_t prompt = q->count - q->run;
    int status =
        generate(q, text ? text->tokenizer : NULL, limit, out->ids, on_text, user, watch ? &watch->cancel : NULL, &g);
    out->count = g.count;
    out->finish_reason = g.stopped ? "stop" : "length";
    out->prompt_tokens_per_second = g.prompt_seconds > 0 ? (double)prompt / g.prompt_seconds : 0;
    out->generation_tokens_per_second =
        g.generation_seconds > 0 && g.count > 1 ? (double)(g.count - 1) / g.generation_seconds : 0;
    if (text && text->tokenizer && status == LORAC_OK) {
        out->utf8 = g.text.p ? g.text.p : mem_text("");
        status = out->utf8 ? LORAC_OK : fail_memory();
        if (out->utf8)
            out->utf8[g.text.n] = 0;
    } else {
        buf_free(&g.text);
    }
    if (status != LORAC_OK) {
        mem_free(out->ids);
        mem_free(out->utf8);
        *out = (lorac_generation){ 0 };
    }
    return status;
}

lorac_status lorac_logits(lorac_session *handle, const int32_t *ids, size_t count, float *out)
{
    return session_logits(handle->s, ids, count, out);
}

lorac_status lorac_logits_save(lorac_session *handle, const int32_t *ids, size_t count, const char *path)
{
    const int64_t outputs = model_outputs(handle->m);
    tensor t = { .type = DT_F32, .ndim = 2, .dim = { (int64_t)count, outputs } };
    if (model_labels(handle->m))
        t = (tensor){ .type = DT_F32, .ndim = 1, .dim = { outputs } };
    float *logits = mem_new((size_t)tensor_count(&t), sizeof *logits);
    if (!logits)
        return fail_memory();
    t.data = logits;
    int status = session_logits(handle->s, ids, count, logits);
    if (status == LORAC_OK)
        status = safetensors_save(path, (const char *const[]){ "logits" }, &t, 1);
    mem_free(logits);
    return status;
}
