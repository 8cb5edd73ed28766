/* eva.c: PEFT 0.21 (tuners/lora/eva.py) without its search: the covariance is decomposed once. */
#include "eva.h"

#include "decompose.h"
#include "err.h"
#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Directions -------------------------------------------------------------------------------------------------- */

/* Python's round: halves go to the even neighbour. */
static int64_t most_of(int64_t asked, double rho)
{
    return (int64_t)nearbyint((double)asked * rho);
}

/* The scatter of x about its mean: sum x xT - (sum x) (sum x)T / n. Returns its trace. */
static double centre(double *scatter, const layer_inputs *in)
{
    int64_t n = in->width;
    double trace = 0;

    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            scatter[i * n + j] =
                (double)in->products[i * n + j] - (double)in->sums[i] * (double)in->sums[j] / (double)in->count;
        trace += scatter[i * n + i];
    }
    return trace;
}

/* A variance is the square of the singular value of PEFT's search. */
static void keep(eva_module *m, const double *values, const double *vectors, double trace, bool whiten)
{
    for (int64_t i = 0; i < m->count; i++) {
        double value = fmax(values[i], 0);
        double divisor = whiten && value > 0 ? sqrt(sqrt(value)) : 1;

        m->explained[i] = trace > 0 ? value / trace : 0;
        for (int64_t j = 0; j < m->width; j++)
            m->directions[i * m->width + j] = vectors[i * m->width + j] / divisor;
    }
}

typedef struct search {
    eva_module *modules;
    const peft_init *init;
    const layer_inputs *inputs;
} search;

static int decompose_one(void *arg, int64_t piece)
{
    const search *s = arg;
    const layer_inputs *in = &s->inputs[piece];
    eva_module *m = &s->modules[in->leader];
    size_t n = (size_t)in->width;
    double *scatter = mem_new(n, n * sizeof *scatter), *vectors = mem_new(n, n * sizeof *vectors);
    double *values = mem_new(n, sizeof *values), trace;
    int status = scatter && vectors && values ? LORAC_OK : fail_memory();

    TRY_GOTO(status);
    trace = centre(scatter, in);
    TRY_GOTO(decompose_symmetric(scatter, in->width, values, vectors));
    keep(m, values, vectors, trace, s->init->eva.whiten);
done:
    mem_free(scatter);
    mem_free(vectors);
    mem_free(values);
    return status;
}

/* Room for as many directions as the module that asks for most may get. */
static int make_room(eva_module *modules, int count, const layer_inputs *in, const peft_init *init)
{
    eva_module *leader = &modules[in->leader];
    int64_t most = 0;

    for (int i = 0; i < count; i++)
        if (modules[i].asked && modules[i].leader == in->leader && most_of(modules[i].asked, init->eva.rho) > most)
            most = most_of(modules[i].asked, init->eva.rho);
    leader->width = in->width;
    leader->count = most < in->width ? most : in->width;
    leader->directions = mem_new((size_t)leader->count, (size_t)in->width * sizeof *leader->directions);
    leader->explained = mem_new((size_t)leader->count, sizeof *leader->explained);
    return leader->directions && leader->explained ? LORAC_OK : fail_memory();
}

typedef struct whole_search {
    search search;
    int count;
    const int *leader_of;
} whole_search;

static int use_inputs(void *arg, pool *team, const layer_inputs *inputs, int64_t count)
{
    whole_search *w = arg;

    for (int i = 0; i < w->count; i++)
        w->search.modules[i].leader = w->leader_of[i];
    for (int64_t i = 0; i < count; i++) {
        if (inputs[i].count < 2)
            return fail_at(LORAC_ERROR_DATA, (fault){ .key = "init_lora_weights", .found = "eva" },
                           "the training rows have too few positions to look at");
        TRY(make_room(w->search.modules, w->count, &inputs[i], w->search.init));
    }
    w->search.inputs = inputs;
    return pool_try(team, count, decompose_one, &w->search);
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

typedef struct share {
    double explained;
    int64_t order; /* leaders before those that follow them */
    int slot;
} share;

static int by_explained(const void *a, const void *b)
{
    const share *x = a, *y = b;

    if (x->explained != y->explained)
        return x->explained < y->explained ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

/* All directions of one module, those of its leader. */
static int64_t add_shares(share *shares, int64_t n, const eva_module *modules, int slot)
{
    const eva_module *leader = &modules[modules[slot].leader];

    for (int64_t i = 0; i < leader->count; i++, n++)
        shares[n] = (share){ leader->explained[i], n, slot };
    return n;
}

/* The ranks alone: as many directions as are asked for in all, those that explain most. Of modules with one input the
 * leader gets the most. */
static int share_out(eva_module *modules, int count)
{
    int64_t budget = 0, n = 0, room = 0;
    share *shares;

    for (int i = 0; i < count; i++) {
        budget += modules[i].asked;
        room += modules[i].asked ? modules[modules[i].leader].count : 0;
        modules[i].rank = 0;
    }
    shares = mem_new((size_t)room, sizeof *shares);
    if (!shares)
        return fail_memory();
    for (int follows = 0; follows < 2; follows++)
        for (int i = 0; i < count; i++)
            if (modules[i].asked && (modules[i].leader != i) == follows)
                n = add_shares(shares, n, modules, i);
    qsort(shares, (size_t)n, sizeof *shares, by_explained);
    for (int64_t i = 0; i < budget && i < n; i++)
        modules[shares[i].slot].rank++;
    mem_free(shares);
    return LORAC_OK;
}

/* ---- Together ---------------------------------------------------------------------------------------------------- */

int eva_find(eva_module *modules, const calibration *what, const peft_init *init)
{
    int count = what->model->module_count;
    calibration eva = *what;
    bool *wanted = mem_new((size_t)count, sizeof *wanted);
    int *leader_of = mem_new((size_t)count, sizeof *leader_of);
    whole_search w = { { modules, init, NULL }, count, leader_of };
    int status = wanted && leader_of ? LORAC_OK : fail_memory();

    for (int i = 0; status == LORAC_OK && i < count; i++)
        wanted[i] = modules[i].asked > 0;
    eva.wanted = wanted;
    eva.by_document = false;
    eva.some_labels = init->eva.labelled_only;
    eva.masked_label = init->eva.masked_label;
    if (status == LORAC_OK)
        status = calibrate(&eva, leader_of, use_inputs, &w);
    if (status == LORAC_OK)
        status = share_out(modules, count);
    mem_free(wanted);
    mem_free(leader_of);
    return status;
}

void eva_free(eva_module *modules, int count)
{
    for (int i = 0; modules && i < count; i++) {
        mem_free(modules[i].directions);
        mem_free(modules[i].explained);
    }
}
