/* api_model.c: lorac_model_*, the machine, and what every handle needs: compute type, adapters, contexts. */
#include "api.h"

#include <stdio.h>

static int take_task(model_options *wanted, const lorac_model_options *options)
{
    if (options->task < LORAC_TASK_AUTO || options->task > LORAC_TASK_SEQ_CLS)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "task", .expected = "auto, causal or seq_cls" },
                       "there is no such task");
    wanted->task = (lorac_task)options->task;
    if (options->adapter)
        TRY(adapter_expects(options->adapter, wanted));
    if (options->peft_config)
        TRY(peft_config_expects(options->peft_config, wanted));
    if (options->labels)
        wanted->labels = options->labels;
    return LORAC_OK;
}

/* A number of labels that was asked for is that of the classifier. */
static int check_labels(const model *m, int64_t wanted)
{
    char found[32], expected[80] = "none: it is no classifier, but with --task seq_cls";
    if (!wanted || wanted == m->config.labels.count)
        return LORAC_OK;
    snprintf(found, sizeof found, "%lld", (long long)wanted);
    if (model_labels(m))
        snprintf(expected, sizeof expected, "%lld", (long long)m->config.labels.count);
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = m->path, .key = "num-labels", .found = found, .expected = expected },
                   "the model has another number of labels");
}

lorac_status lorac_model_open(lorac_model **out, const char *path, const lorac_model_options *options)
{
    *out = NULL;
    lorac_model *handle = mem_new(1, sizeof *handle);
    if (!handle)
        return fail_memory();
    model_options wanted = { .expand = options && options->expand };
    int status = options ? take_task(&wanted, options) : LORAC_OK;
    if (status == LORAC_OK)
        status = model_open(&handle->m, path, &wanted);
    if (status == LORAC_OK && options)
        status = check_labels(handle->m, options->labels);
    if (status != LORAC_OK) {
        lorac_model_close(handle);
        return status;
    }
    *out = handle;
    return LORAC_OK;
}

void lorac_model_close(lorac_model *handle)
{
    if (!handle)
        return;
    model_close(handle->m);
    mem_free(handle);
}

void lorac_model_describe(const lorac_model *handle, lorac_model_info *out)
{
    const model_config *g = &handle->m->config;
    *out = (lorac_model_info){
        .path = handle->m->path,
        .family = g->model_type,
        .format = handle->m->is_gguf ? "gguf" : "huggingface",
        .weights = dtype_name(handle->m->weight_type),
        .parameters = handle->m->parameters,
        .layers = g->layers,
        .hidden = g->hidden,
        .heads = g->heads,
        .kv_heads = g->kv_heads,
        .vocabulary = g->vocabulary,
        .context = g->context,
        .task = g->task,
        .labels = g->labels.count,
        .bytes = handle->m->bytes,
    };
}

const char *lorac_version(void)
{
    return LORAC_VERSION;
}

void lorac_system_info(lorac_system *out)
{
    *out = (lorac_system){
        .cpu = cpu_name(),
        .isa = isa_name(cpu_isa()),
        .gemm = kernels_gemm_name(),
        .threads = cpu_threads(),
        .has_fast_bf16 = cpu_isa() >= ISA_AVX512_BF16,
        .memory_total = memory_total(),
        .memory_available = memory_available(),
    };
}

int compute_dtype(int wanted, dtype *out)
{
    switch (wanted) {
    case LORAC_DTYPE_AUTO:
        *out = cpu_isa() >= ISA_AVX512_BF16 ? DT_BF16 : DT_F32;
        return LORAC_OK;
    case LORAC_DTYPE_F32:
        *out = DT_F32;
        return LORAC_OK;
    case LORAC_DTYPE_BF16:
        *out = DT_BF16;
        return LORAC_OK;
    default:
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "dtype", .expected = "auto, f32 or bf16" },
                       "this type cannot be computed in");
    }
}

static int open_adapters(runner *r, const model *m, const lorac_run_options *options)
{
    size_t n = options->adapter_count;
    r->adapters = mem_new(n, sizeof *r->adapters);
    r->uses = mem_new(n, sizeof *r->uses);
    if (!r->adapters || !r->uses)
        return fail_memory();
    if (n > ADAPTERS_MAX)
        return fail(LORAC_ERROR_USAGE, "at most %d adapters can be applied at once", ADAPTERS_MAX);
    for (; r->count < n; r->count++) {
        const lorac_adapter_ref *ref = &options->adapters[r->count];
        TRY(adapter_load(&r->adapters[r->count], m, ref->path, NULL, NULL));
        r->uses[r->count] = (adapter_use){ r->adapters[r->count], (real)ref->weight, 0, -1 };
    }
    return LORAC_OK;
}

int runner_open(runner *r, const model *m, const lorac_run_options *options)
{
    static const lorac_run_options standard;
    *r = (runner){ 0 };
    if (!options)
        options = &standard;
    context_options co = { .threads = (int)options->threads, .level = cpu_isa() };
    int status = compute_dtype(options->dtype, &co.act);
    if (status == LORAC_OK)
        status = open_adapters(r, m, options);
    if (status == LORAC_OK)
        status = context_new(&r->c, &co);
    if (status != LORAC_OK) {
        runner_close(r);
        return status;
    }
    r->c->adapters = r->uses;
    r->c->adapter_count = (int)r->count;
    return LORAC_OK;
}

void runner_close(runner *r)
{
    context_free(r->c);
    for (size_t i = 0; i < r->count; i++)
        adapter_free(r->adapters[i]);
    mem_free(r->adapters);
    mem_free(r->uses);
    *r = (runner){ 0 };
}
