/* count.c: what PEFT adds to each module, and what of the model's own it trains. Source: PEFT's
 * get_nb_trainable_parameters, _set_trainable and _mark_only_adapters_as_trainable. */
#include "count.h"

#include "err.h"

#include <string.h>

typedef struct counting {
    const module_list *l;
    const peft_config *config;
    peft_matcher *matcher;
    const module_shape *input, *head; /* or NULL */
    bool any;
    bool ties; /* PEFT's ensure_weight_tying has something to do */
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

/* No target is looked for in a module that is trained whole, which here must be named by whole components. */
static bool is_out_of_reach(const peft_config *c, const char *name)
{
    for (size_t i = 0; i < c->saved_count; i++) {
        const size_t length = strlen(c->saved[i]);
        for (const char *at = name; at; at = strchr(at, '.'), at = at ? at + 1 : NULL)
            if (strncmp(at, c->saved[i], length) == 0 && (at[length] == '.' || at[length] == '\0'))
                return true;
    }
    return false;
}

/* ---- Modules ---- */

/* A and B, of a linear as of an embedding; with lora_bias a bias of B, with DoRA a magnitude for every output. */
static int count_pair(counting *c, const module_shape *s, bool *is_target)
{
    const peft_config *config = c->config;
    const bool is_linear = s->kind == MODULE_LINEAR || s->kind == MODULE_CONV1D;
    int64_t rank;
    double alpha;
    *is_target = false;
    if (s->kind == MODULE_NORM || (peft_is_all_linear(config) && !is_linear) || is_out_of_reach(config, s->name))
        return LORAC_OK;
    TRY(peft_matches(c->matcher, s->name, s->is_head, is_target, &rank, &alpha));
    if (!*is_target)
        return LORAC_OK;
    c->any = true;
    if (config->lora_bias && !is_linear)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "lora_bias", .found = s->name },
                       "an embedding cannot have lora_bias");
    TRY(add_new(c, rank, s->in + s->out));
    return add_new(c, config->lora_bias + config->use_dora, s->out);
}

/* Rows of an embedding or of the head, beside the frozen ones. A tied head with the embedding's tokens has its rows. */
static int count_rows(counting *c, const module_shape *s)
{
    const peft_tokens *tokens = peft_tokens_of(c->config, s->name, s->is_input), *in = NULL;
    if (!tokens)
        return LORAC_OK;
    if (s->is_head && s->shared && c->input)
        in = peft_tokens_of(c->config, c->input->name, true);
    if (in && peft_same_tokens(in, tokens))
        return LORAC_OK;
    return add_new(c, (int64_t)tokens->count, s->kind == MODULE_EMBEDDING ? s->out : s->in);
}

/* ---- ensure_weight_tying ---- */

static void find_ends(counting *c)
{
    for (size_t i = 0; i < c->l->count; i++) {
        c->input = c->l->list[i].is_input ? &c->l->list[i] : c->input;
        c->head = c->l->list[i].is_head ? &c->l->list[i] : c->head;
    }
    c->ties = c->input && c->head && c->head->shared && peft_ties_ends(c->config);
}

/* Where PEFT keeps embedding and head tied, one copy serves both, but factors are there for each. */
static int count_tied(counting *c, const module_shape *s)
{
    if (peft_names_an_end(c->config->saved, c->config->saved_count))
        return add_new(c, s->is_input ? s->weight : 0, 1);
    c->any = true;
    return add_new(c, c->config->r, s->in + s->out);
}

static int count_module(counting *c, const module_shape *s)
{
    const char *bias = c->config->bias;
    bool is_target;
    if (c->ties && (s == c->input || s == c->head))
        return count_tied(c, s);
    TRY(count_rows(c, s));
    TRY(count_pair(c, s, &is_target));
    if (peft_saves(c->config, s->name)) /* a copy of it, beside the frozen original */
        return add_new(c, s->weight + s->bias, 1);
    if (strcmp(bias, "all") == 0 || (is_target && strcmp(bias, "lora_only") == 0))
        return add(&c->totals.trainable, s->bias, 1);
    return LORAC_OK;
}

static const char *name_of(const void *of, size_t i)
{
    return ((const module_list *)of)->list[i].name;
}

static int count_modules(counting *c)
{
    find_ends(c);
    c->totals.all = c->l->parameters;
    for (size_t i = 0; i < c->l->count; i++)
        TRY(count_module(c, &c->l->list[i]));
    return c->any ? LORAC_OK : peft_no_target(c->config, name_of, c->l, c->l->count);
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
