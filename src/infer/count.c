/* count.c: what PEFT adds to each module, and what of the model's own it trains. Source: PEFT's
 * get_nb_trainable_parameters, _set_trainable and _mark_only_adapters_as_trainable. */
#include "count.h"

#include "err.h"

#include <string.h>

typedef struct counting {
    const module_list *l;
    const peft_config *config;
    peft_matcher *matcher;
    bool any;
    parameter_totals totals;
} counting;

static int add(int64_t *sum, int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) || __builtin_add_overflow(*sum, product, sum)
               ? fail_at(LORAC_ERROR_USAGE, (fault){ .key = "r" }, "the rank makes an adapter beyond all bounds")
               : LORAC_OK;
}

/* New parameters: trained, and part of the whole. */
static int add_new(counting *c, int64_t a, int64_t b)
{
    TRY(add(&c->totals.trainable, a, b));
    return add(&c->totals.all, a, b);
}

/* ---- modules_to_save ---- */

static bool ends_with_any(const peft_config *c, slice path)
{
    for (size_t i = 0; i < c->save_count; i++)
        if (slice_ends(path, c->modules_to_save[i]))
            return true;
    return false;
}

/* Is the module, or one that it is in, trained as a whole? PEFT asks only how the path ends. */
static bool is_saved(const peft_config *c, const char *name)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
        if (ends_with_any(c, (slice){ name, (size_t)(dot - name) }))
            return true;
    return ends_with_any(c, slice_of(name));
}

/* No target is looked for in it: here the name of a setting must be whole components of the path. */
static bool is_out_of_reach(const peft_config *c, const char *name)
{
    for (size_t i = 0; i < c->save_count; i++) {
        const size_t length = strlen(c->modules_to_save[i]);
        for (const char *at = name; at; at = strchr(at, '.'), at = at ? at + 1 : NULL)
            if (strncmp(at, c->modules_to_save[i], length) == 0 && (at[length] == '.' || at[length] == '\0'))
                return true;
    }
    return false;
}

/* ---- Modules ---- */

/* A and B, of a linear as of an embedding. */
static int count_pair(counting *c, const module_shape *s, bool *adapted)
{
    const char *all = c->config->target_regex;
    bool all_linear = all && strcasecmp(all, "all-linear") == 0;
    int64_t rank;
    double alpha;
    *adapted = false;
    if (s->kind == MODULE_OTHER || (all_linear && s->kind != MODULE_LINEAR) || is_out_of_reach(c->config, s->name))
        return LORAC_OK;
    TRY(peft_matches(c->matcher, s->name, s->is_head, adapted, &rank, &alpha));
    if (!*adapted)
        return LORAC_OK;
    c->any = true;
    return add_new(c, rank, s->in + s->out);
}

static int count_module(counting *c, const module_shape *s)
{
    const char *bias = c->config->bias;
    bool adapted, saved = is_saved(c->config, s->name);
    TRY(count_pair(c, s, &adapted));
    if (saved) /* a copy of it, beside the frozen original */
        return add_new(c, s->weight + s->bias, 1);
    if (strcmp(bias, "all") == 0 || (adapted && strcmp(bias, "lora_only") == 0))
        return add(&c->totals.trainable, s->bias, 1);
    return LORAC_OK;
}

static int no_target(const counting *c)
{
    const peft_config *config = c->config;
    const char *first = config->target_regex ? config->target_regex : config->target_count ? config->targets[0] : NULL;
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .key = "target_modules",
                            .found = first,
                            .expected = "for instance q_proj,v_proj, all-linear or a regular expression over whole module "
                                        "paths",
                            .hint = "`lorac inspect MODEL` lists the modules" },
                   "the targets match no module of the model");
}

static int count_modules(counting *c)
{
    c->totals.all = c->l->parameters;
    for (size_t i = 0; i < c->l->count; i++)
        TRY(count_module(c, &c->l->list[i]));
    return c->any ? LORAC_OK : no_target(c);
}

int count_parameters(parameter_totals *out, const module_list *l, const peft_config *config)
{
    peft_config resolved;
    arena names = { 0 };
    counting c = { .l = l, .config = &resolved };
    int status = peft_with_default_targets(&resolved, config, l->model_type, &names);
    if (status == LORAC_OK)
        status = peft_matcher_new(&c.matcher, &resolved);
    if (status == LORAC_OK)
        status = count_modules(&c);
    peft_matcher_free(c.matcher);
    arena_free(&names);
    *out = c.totals;
    return status;
}
