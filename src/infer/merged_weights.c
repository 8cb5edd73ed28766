/* merged_weights.c: the changed tensors of a merged model, kept instead of written. */
#include "merged_weights.h"

#include "err.h"
#include "mem.h"
#include "pieces.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct collecting {
    const pieces *p;
    var **tensors; /* by piece */
    size_t at;     /* the piece that the next bytes are of, and how many of its numbers are there */
    int64_t done;
    bool finite;
} collecting;

static int check_finite(const collecting *c, const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i])) {
            char found[32];
            snprintf(found, sizeof found, "%g", (double)values[i]);
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .key = c->p->list[c->at].name,
                                    .found = found,
                                    .expected = "finite numbers",
                                    .hint = "the adapter seems to be broken, or its scale is too large" },
                           "merging would make a weight that is not a number; nothing was changed");
        }
    return LORAC_OK;
}

static int take(void *to, const void *bytes, size_t size)
{
    collecting *c = to;
    int64_t count = (int64_t)(size / sizeof(float));
    for (const float *values = bytes; count > 0;) {
        const tensor *t = &c->tensors[c->at]->t;
        const int64_t left = tensor_count(t) - c->done, part = count < left ? count : left;
        if (c->finite)
            TRY(check_finite(c, values, part));
        memcpy((float *)t->data + c->done, values, (size_t)part * sizeof *values);
        values += part;
        count -= part;
        c->done = part < left ? c->done + part : 0;
        c->at += part == left;
    }
    return LORAC_OK;
}

static var *place_of(adapter *a, const piece *x)
{
    adapted *to = &a->modules[x->slot];
    var *v = arena_new(&a->memory, 1, sizeof *v);
    if (!v)
        return NULL;
    v->t = (tensor){ .type = DT_F32, .ndim = x->ndim, .dim = { x->dim[0], x->ndim == 2 ? x->dim[1] : 0 } };
    v->turned = x->turned;
    v->t.data = arena_new(&a->memory, (size_t)tensor_count(&v->t), sizeof(float));
    if (x->is_bias)
        to->bias = v;
    else
        to->weight = v;
    return v->t.data ? v : NULL;
}

/* A head that is still tied has the embedding's weight, which lies [V, C] as its own does. */
static int tie_head(adapter *a, const export_plan *plan)
{
    const var *in = a->modules[plan->m->embedding.slot].weight;
    if (!plan->m->config.tied_head || !in || head_is_untied(plan))
        return LORAC_OK;
    var *head = arena_new(&a->memory, 1, sizeof *head);
    if (!head)
        return fail_memory();
    *head = *in;
    head->turned = false;
    a->modules[plan->m->head.slot].weight = head;
    return LORAC_OK;
}

static int collect(adapter *a, const pieces *p, bool finite)
{
    collecting c = { .p = p, .finite = finite, .tensors = mem_new(p->count, sizeof *c.tensors) };
    export_loss unused = { 0 };
    int status = c.tensors ? LORAC_OK : fail_memory();
    for (size_t i = 0; i < p->count && status == LORAC_OK; i++) {
        c.tensors[i] = place_of(a, &p->list[i]);
        status = c.tensors[i] ? LORAC_OK : fail_memory();
    }
    if (status == LORAC_OK && p->count)
        status = pieces_write(p, take, &c, &unused);
    if (status == LORAC_OK)
        status = tie_head(a, p->plan);
    mem_free(c.tensors);
    return status;
}

static int fold_all(adapter *a, const export_plan *plan, bool finite)
{
    pieces p;
    a->replaces = true;
    a->module_count = plan->m->module_count;
    a->modules = arena_new(&a->memory, (size_t)a->module_count, sizeof *a->modules);
    if (!a->modules)
        return fail_memory();
    TRY(pieces_new(&p, plan, false));
    int status = collect(a, &p, finite);
    pieces_free(&p);
    return status;
}

int merged_weights_new(adapter **out, const model *m, const folded *adapters, size_t count, bool finite)
{
    const context_options options = { .act = DT_F32, .level = cpu_isa() };
    export_plan plan = { .m = m, .adapters = adapters, .adapter_count = count, .type = DT_F32, .changed_only = true };
    *out = NULL;
    adapter *a = mem_new(1, sizeof *a);
    if (!a)
        return fail_memory();
    int status = context_new(&plan.c, &options);
    if (status == LORAC_OK)
        status = fold_all(a, &plan, finite);
    context_free(plan.c);
    if (status == LORAC_OK)
        *out = a;
    else
        adapter_free(a);
    return status;
}
