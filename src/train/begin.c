/* begin.c: a new adapter of the run's configuration and its first values. Kinds that look at the layers' inputs run the
 * model over the first training rows; EVA also shares out the ranks anew, which changes the configuration. */
#include "run.h"

#include "adapt_first.h"
#include "err.h"
#include "eva.h"
#include "mem.h"

#include <string.h>

static calibration calibration_of(const run *r)
{
    return (calibration){
        .model = r->in->model, .rows = &r->train, .threads = (int)r->options->threads, .cancel = r->cancel
    };
}

static int check_rows(const run *r)
{
    char name[PEFT_INIT_NAME];

    if (r->train.count)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .key = "init_lora_weights",
                            .found = peft_init_name(&r->config.init, name),
                            .hint = "Name training rows with --data." },
                   "these first values depend on what the training rows make of the model");
}

/* ---- EVA --------------------------------------------------------------------------------------------------------- */

/* Whole module names as targets, for modules that were left out. */
static int name_targets(peft_config *c, const model *m, const eva_module *modules)
{
    bool all = true;

    for (int i = 0; i < m->module_count; i++)
        all &= !modules[i].asked || modules[i].rank;
    if (all)
        return LORAC_OK;
    c->targets = arena_new(&c->memory, (size_t)m->module_count, sizeof *c->targets);
    if (!c->targets)
        return fail_memory();
    c->target_count = c->exclude_count = c->layer_count = c->layers_pattern_count = 0;
    c->target_regex = c->exclude_regex = NULL;
    c->layers = NULL;
    for (int i = 0; i < m->module_count; i++)
        if (modules[i].rank)
            c->targets[c->target_count++] = m->modules[i]->name;
    return LORAC_OK;
}

/* rank_pattern and alpha_pattern by whole names. */
static int note_ranks(peft_config *c, const model *m, const eva_module *modules, const double *alphas)
{
    size_t most = (size_t)m->module_count;
    bool adjust = c->init.eva.adjust_scaling;

    c->rank_count = c->alpha_count = 0;
    c->rank_keys = arena_new(&c->memory, most, sizeof *c->rank_keys);
    c->rank_values = arena_new(&c->memory, most, sizeof *c->rank_values);
    c->alpha_keys = arena_new(&c->memory, most, sizeof *c->alpha_keys);
    c->alpha_values = arena_new(&c->memory, most, sizeof *c->alpha_values);
    if (!c->rank_keys || !c->rank_values || !c->alpha_keys || !c->alpha_values)
        return fail_memory();
    for (int i = 0; i < m->module_count; i++) {
        const eva_module *x = &modules[i];
        double alpha = alphas[i] * (adjust && x->asked ? (double)x->rank / (double)x->asked : 1);

        if (x->rank && x->rank != c->r) {
            c->rank_keys[c->rank_count] = m->modules[i]->name;
            c->rank_values[c->rank_count++] = x->rank;
        }
        if (x->rank && alpha != c->lora_alpha) {
            c->alpha_keys[c->alpha_count] = m->modules[i]->name;
            c->alpha_values[c->alpha_count++] = alpha;
        }
    }
    return LORAC_OK;
}

static int fill_eva(run *r, const eva_module *modules)
{
    const model *m = r->in->model;

    for (int i = 0; i < m->module_count; i++) {
        first_pair pair;

        if (!r->adapter->modules[i].a || r->adapter->modules[i].turned)
            continue;
        pair = adapter_first_pair(r->adapter, m, &r->config.init, i, (uint64_t)r->options->seed);
        pair.inputs = modules[modules[i].leader].directions;
        TRY(first_values(&pair));
    }
    return adapter_start(r->adapter, m, (uint64_t)r->options->seed);
}

static int begin_eva(run *r, eva_module *modules, int64_t *ranks, double *alphas)
{
    const model *m = r->in->model;
    const calibration what = calibration_of(r);

    TRY(adapter_ranks(ranks, alphas, m, &r->config));
    for (int i = 0; i < m->module_count; i++)
        modules[i].asked = ranks[i];
    TRY(eva_find(modules, &what, &r->config.init));
    TRY(note_ranks(&r->config, m, modules, alphas));
    TRY(name_targets(&r->config, m, modules));
    TRY(adapter_create(&r->adapter, m, &r->config, &r->notes));
    return fill_eva(r, modules);
}

static int create_with_eva(run *r)
{
    size_t count = (size_t)r->in->model->module_count;
    eva_module *modules = mem_new(count, sizeof *modules);
    int64_t *ranks = mem_new(count, sizeof *ranks);
    double *alphas = mem_new(count, sizeof *alphas);
    int status = modules && ranks && alphas ? check_rows(r) : fail_memory();

    if (status == LORAC_OK)
        status = begin_eva(r, modules, ranks, alphas);
    eva_free(modules, (int)count);
    mem_free(modules);
    mem_free(ranks);
    mem_free(alphas);
    return status;
}

/* ---- CorDA ------------------------------------------------------------------------------------------------------- */

typedef struct corda {
    run *run;
    const int *leader_of;
} corda;

/* The pairs of all modules with one input, which share its covariance. */
static int fill_corda_group(const corda *d, pool *team, const layer_inputs *in, first_pair *pairs, double *covariance)
{
    const run *r = d->run;
    int64_t count = 0;

    for (int64_t i = 0; i < in->width * in->width; i++)
        covariance[i] = (double)in->products[i] / (double)in->count;
    for (int i = 0; i < r->in->model->module_count; i++) {
        if (!r->adapter->modules[i].a_taken || d->leader_of[i] != in->leader)
            continue;
        pairs[count] = adapter_first_pair(r->adapter, r->in->model, &r->config.init, i, 0);
        pairs[count++].inputs = covariance;
    }
    return first_values_all(team, pairs, count);
}

static int fill_corda(void *arg, pool *team, const layer_inputs *inputs, int64_t count)
{
    const corda *d = arg;
    int status = LORAC_OK;

    for (int64_t i = 0; i < count && status == LORAC_OK; i++) {
        size_t width = (size_t)inputs[i].width;
        first_pair *pairs = mem_new((size_t)d->run->in->model->module_count, sizeof *pairs);
        double *covariance = mem_new(width, width * sizeof *covariance);

        status = pairs && covariance ? fill_corda_group(d, team, &inputs[i], pairs, covariance) : fail_memory();
        mem_free(pairs);
        mem_free(covariance);
    }
    return status;
}

/* They take nothing of what is theirs. */
static int fill_embeddings(const run *r)
{
    const model *m = r->in->model;

    for (int i = 0; i < m->module_count; i++) {
        first_pair pair;

        if (!r->adapter->modules[i].a || m->modules[i]->kind != MODULE_EMBEDDING)
            continue;
        pair = adapter_first_pair(r->adapter, m, &r->config.init, i, (uint64_t)r->options->seed);
        TRY(first_values(&pair));
    }
    return LORAC_OK;
}

static int calibrate_corda(run *r)
{
    size_t count = (size_t)r->in->model->module_count;
    calibration what = calibration_of(r);
    bool *wanted = mem_new(count, sizeof *wanted);
    int *leader_of = mem_new(count, sizeof *leader_of);
    corda d = { r, leader_of };
    int status = wanted && leader_of ? LORAC_OK : fail_memory();

    for (size_t i = 0; status == LORAC_OK && i < count; i++)
        wanted[i] = r->adapter->modules[i].a_taken != NULL;
    what.wanted = wanted;
    what.by_document = true;
    if (status == LORAC_OK)
        status = calibrate(&what, leader_of, fill_corda, &d);
    if (status == LORAC_OK)
        status = fill_embeddings(r);
    if (status == LORAC_OK)
        status = adapter_start(r->adapter, r->in->model, (uint64_t)r->options->seed);
    mem_free(wanted);
    mem_free(leader_of);
    return status;
}

/* ---- All kinds --------------------------------------------------------------------------------------------------- */

static int draw_or_decompose(run *r)
{
    pool *team;
    int status;

    TRY(pool_new(&team, (int)r->options->threads));
    status = adapter_first_values(r->adapter, r->in->model, &r->config.init, (uint64_t)r->options->seed, team);
    pool_free(team);
    return status;
}

int run_begin_adapter(run *r, bool values)
{
    peft_init_kind kind = r->config.init.kind;

    if (values && kind == INIT_EVA)
        return create_with_eva(r);
    TRY(adapter_create(&r->adapter, r->in->model, &r->config, &r->notes));
    if (!values)
        return LORAC_OK;
    if (kind != INIT_CORDA)
        return draw_or_decompose(r);
    TRY(check_rows(r));
    return calibrate_corda(r);
}
