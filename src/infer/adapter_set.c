/* adapter_set.c: adapters by name: coming, going, and which are active or merged. The rules are those of PEFT 0.21
 * (tuners/tuners_utils.py, utils/hotswap.py). */
#include "adapter_set.h"

#include "adapt_first.h"
#include "adapt_parts.h"
#include "err.h"
#include "mem.h"
#include "merged_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Lists ---- */

static bool list_has(const adapter_list *l, const named_adapter *x)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->of[i] == x)
            return true;
    return false;
}

static void list_remove(adapter_list *l, const named_adapter *x)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (l->of[i] != x)
            l->of[kept++] = l->of[i];
    l->count = kept;
}

static int list_add(adapter_list *l, named_adapter *x)
{
    /* One place is left for what is merged. */
    if (l->count == ADAPTERS_MAX - 1)
        return fail(LORAC_ERROR_USAGE, "at most %d adapters can be applied at once", ADAPTERS_MAX - 1);
    l->of[l->count++] = x;
    return LORAC_OK;
}

static int list_of_names(const adapter_set *s, const char *const *names, size_t count, adapter_list *out)
{
    for (size_t i = 0; i < count; i++) {
        named_adapter *x;
        TRY(adapter_set_find(s, names[i], &x));
        if (!list_has(out, x))
            TRY(list_add(out, x));
    }
    return LORAC_OK;
}

static bool same_rows(const adapted *x, const adapted *y, int64_t vocabulary)
{
    for (int64_t id = 0; x->rows && y->rows && id < vocabulary; id++)
        if (x->row_of[id] >= 0 && y->row_of[id] >= 0)
            return true;
    return false;
}

/* Two adapters cannot both stand in for the same numbers of the model. */
static int check_together(const adapter_set *s, const named_adapter *x, const named_adapter *y)
{
    for (int slot = 0; slot < s->m->module_count && x->a->replaces && y->a->replaces; slot++) {
        const adapted *one = &x->a->modules[slot], *other = &y->a->modules[slot];
        const bool weights = (one->weight && (other->weight || other->rows)) || (one->rows && other->weight);
        if (weights || (one->bias && other->bias) || same_rows(one, other, s->m->config.vocabulary))
            return fail_at(LORAC_ERROR_USAGE, (fault){ .key = s->m->modules[slot]->name },
                           "the adapters '%s' and '%s' both bring their own weights of a module: only one of them can "
                           "be active",
                           x->name, y->name);
    }
    return LORAC_OK;
}

static int check_list(const adapter_set *s, const adapter_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < i; k++)
            TRY(check_together(s, l->of[k], l->of[i]));
    return LORAC_OK;
}

/* ---- The set ---- */

int adapter_set_new(adapter_set **out, const model *m)
{
    adapter_set *s = *out = mem_new(1, sizeof *s);
    if (!s)
        return fail_memory();
    s->m = m;
    return LORAC_OK;
}

static void named_free(named_adapter *x)
{
    adapter_free(x->a);
    peft_config_free(&x->config);
    mem_free(x->parts);
    mem_free(x->name);
    mem_free(x);
}

static void forget_all(adapter_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        named_free(s->all[i]);
    adapter_free(s->merged_weights);
    s->merged_weights = NULL;
    s->count = s->active.count = s->merged.count = 0;
}

void adapter_set_free(adapter_set *s)
{
    if (!s)
        return;
    forget_all(s);
    mem_free(s->all);
    buf_free(&s->notes);
    mem_free(s);
}

int adapter_set_find(const adapter_set *s, const char *name, named_adapter **out)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->all[i]->name, name) == 0) {
            *out = s->all[i];
            return LORAC_OK;
        }
    buf known = { 0 };
    for (size_t i = 0; i < s->count; i++)
        buf_format(&known, "%s%s", i ? ", " : "", s->all[i]->name);
    int status = fail_at(LORAC_ERROR_USAGE, (fault){ .found = name, .expected = s->count ? known.p : NULL },
                         s->count ? "there is no adapter of that name" : "no adapter was added or loaded yet");
    buf_free(&known);
    return status;
}

/* ---- Coming ---- */

_Static_assert(PARTS <= 8, "a bit for each part");

static uint8_t parts_of(const adapted *x)
{
    uint8_t parts = 0;
    for (int kind = 0; kind < PARTS; kind++)
        if (*part_place(kind, (adapted *)x))
            parts |= (uint8_t)(1 << kind);
    return parts;
}

static int check_name(const adapter_set *s, const char *name)
{
    if (!*name || strcmp(name, NO_ADAPTER) == 0)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .found = name }, "an adapter cannot have that name");
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->all[i]->name, name) == 0)
            return fail_at(LORAC_ERROR_USAGE, (fault){ .found = name, .hint = "delete it, or hotswap it" },
                           "there is an adapter of that name already");
    return LORAC_OK;
}

static int named_new(named_adapter **out, const adapter_set *s, const char *name)
{
    named_adapter *x = *out = mem_new(1, sizeof *x);
    if (!x)
        return fail_memory();
    peft_config_init(&x->config);
    x->weight = 1;
    x->name = mem_text(name);
    x->parts = mem_new((size_t)s->m->module_count, sizeof *x->parts);
    return x->name && x->parts ? LORAC_OK : fail_memory();
}

/* Takes `x`, or frees it after a failure. */
static int join(adapter_set *s, named_adapter *x, int status)
{
    named_adapter **grown = status == LORAC_OK ? mem_grow(s->all, s->count + 1, sizeof *grown) : NULL;
    if (status == LORAC_OK && !grown)
        status = fail_memory();
    if (status != LORAC_OK) {
        if (x)
            named_free(x);
        return status;
    }
    for (int slot = 0; slot < s->m->module_count; slot++)
        x->parts[slot] = parts_of(&x->a->modules[slot]);
    s->all = grown;
    s->all[s->count++] = x;
    return LORAC_OK;
}

static int fill(named_adapter *x, const model *m, uint64_t seed)
{
    char name[PEFT_INIT_NAME];
    pool *team;
    if (peft_init_wants_inputs(&x->config.init))
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "init_lora_weights",
                                .found = peft_init_name(&x->config.init, name),
                                .hint = "let a training run make the adapter, and load it" },
                       "these first values depend on training rows");
    TRY(pool_new(&team, 0));
    int status = adapter_first_values(x->a, m, &x->config.init, seed, team);
    pool_free(team);
    return status;
}

int adapter_set_add(adapter_set *s, const char *name, const char *peft_config_path, uint64_t seed)
{
    named_adapter *x;
    buf_clear(&s->notes);
    TRY(check_name(s, name));
    int status = named_new(&x, s, name);
    if (status == LORAC_OK)
        status = peft_config_read(&x->config, peft_config_path, &s->notes);
    if (status == LORAC_OK)
        status = adapter_create(&x->a, s->m, &x->config, &s->notes);
    if (status == LORAC_OK)
        status = fill(x, s->m, seed);
    if (status == LORAC_OK)
        x->config.base_model_name_or_path = s->m->path;
    return join(s, x, status);
}

int adapter_set_load(adapter_set *s, const char *path, const char *name, bool trainable)
{
    named_adapter *x;
    buf_clear(&s->notes);
    TRY(check_name(s, name));
    int status = named_new(&x, s, name);
    if (status == LORAC_OK)
        status = adapter_load(&x->a, s->m, path, &x->config, &s->notes);
    if (x)
        x->requires_grad = trainable;
    return join(s, x, status);
}

int adapter_set_save(adapter_set *s, const char *name, const char *folder)
{
    named_adapter *x;
    buf_clear(&s->notes);
    TRY(adapter_set_find(s, name, &x));
    TRY(folder_make(folder));
    return adapter_save(x->a, s->m, &x->config, folder);
}

/* ---- Active ones ---- */

static void activate(adapter_set *s, const adapter_list *list)
{
    s->active = *list;
    for (size_t i = 0; i < s->count; i++)
        s->all[i]->requires_grad = list_has(list, s->all[i]);
    s->version++;
}

int adapter_set_activate(adapter_set *s, const char *const *names, size_t count)
{
    adapter_list list = { .count = 0 };
    buf_clear(&s->notes);
    TRY(list_of_names(s, names, count, &list));
    TRY(check_list(s, &list));
    if (s->merged.count) {
        adapter_set_unmerge(s);
        buf_format(&s->notes, "the merged adapters were unmerged first\n");
    }
    activate(s, &list);
    return LORAC_OK;
}

static int refuse_merged(const adapter_set *s, const named_adapter *x)
{
    if (list_has(&s->merged, x))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .found = x->name, .hint = "unmerge first" },
                       "a merged adapter cannot be changed or deleted");
    return LORAC_OK;
}

int adapter_set_scale(adapter_set *s, const char *name, double weight)
{
    named_adapter *x;
    buf_clear(&s->notes);
    TRY(adapter_set_find(s, name, &x));
    TRY(refuse_merged(s, x));
    if (!isfinite((real)weight))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .found = name, .expected = "a finite number" },
                       "that scale cannot be applied");
    x->weight = weight;
    s->version++;
    return LORAC_OK;
}

int adapter_set_require_grad(adapter_set *s, const char *name, bool on)
{
    named_adapter *x;
    buf_clear(&s->notes);
    TRY(adapter_set_find(s, name, &x));
    x->requires_grad = on;
    return LORAC_OK;
}

void adapter_set_disable(adapter_set *s, bool disable)
{
    buf_clear(&s->notes);
    if (disable && s->merged.count) {
        adapter_set_unmerge(s);
        buf_format(&s->notes, "the merged adapters were unmerged\n");
    }
    if (disable == s->disabled)
        return;
    s->disabled = disable;
    s->version++;
    for (size_t i = 0; i < s->count; i++)
        s->all[i]->requires_grad = !disable && list_has(&s->active, s->all[i]);
}

/* ---- Going ---- */

/* By name, as PEFT chooses. */
static named_adapter *first_of(const adapter_set *s)
{
    named_adapter *first = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (!first || strcmp(s->all[i]->name, first->name) < 0)
            first = s->all[i];
    return first;
}

static void drop(adapter_set *s, const named_adapter *x)
{
    size_t at = 0;
    while (s->all[at] != x)
        at++;
    s->count--;
    memmove(&s->all[at], &s->all[at + 1], (s->count - at) * sizeof(named_adapter *));
}

int adapter_set_delete(adapter_set *s, const char *name)
{
    named_adapter *x;
    buf_clear(&s->notes);
    TRY(adapter_set_find(s, name, &x));
    TRY(refuse_merged(s, x));
    const bool was_active = list_has(&s->active, x);
    drop(s, x);
    if (was_active) {
        adapter_list left = s->active;
        list_remove(&left, x);
        if (left.count == 0 && s->count) {
            left = (adapter_list){ { first_of(s) }, 1 };
            buf_format(&s->notes, "'%s' was active; now '%s' is\n", x->name, left.of[0]->name);
        }
        activate(s, &left);
    }
    named_free(x);
    s->version++;
    return LORAC_OK;
}

void adapter_set_unload(adapter_set *s)
{
    buf_clear(&s->notes);
    forget_all(s);
    s->disabled = false;
    s->version++;
}

/* ---- Hotswapping ---- */

static bool same_alphas(const peft_config *x, const peft_config *y)
{
    bool same = x->alpha_count == y->alpha_count;
    for (size_t i = 0; same && i < x->alpha_count; i++) {
        size_t k = 0;
        while (k < y->alpha_count && strcmp(x->alpha_keys[i], y->alpha_keys[k]) != 0)
            k++;
        same = k < y->alpha_count && x->alpha_values[i] == y->alpha_values[k];
    }
    return same;
}

static int check_configs(const char *path, const peft_config *old, const peft_config *new)
{
    const char *key = old->use_rslora != new->use_rslora       ? "use_rslora"
                      : old->lora_dropout != new->lora_dropout ? "lora_dropout"
                      : old->use_dora != new->use_dora         ? "use_dora"
                      : !same_alphas(old, new)                 ? "alpha_pattern"
                                                               : NULL;
    if (key)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .key = key, .hint = "load it under another name" },
                       "an adapter can only be swapped for one that has the same there");
    return LORAC_OK;
}

/* A module may come without its low-rank part: that is zero, then. */
static int check_parts(const adapter_set *s, const char *path, const named_adapter *x, const adapter *new)
{
    const uint8_t stay = 1 << PART_WEIGHT | 1 << PART_BIAS | 1 << PART_ROWS;
    for (int slot = 0; slot < s->m->module_count; slot++) {
        const uint8_t had = x->parts[slot], has = parts_of(&new->modules[slot]);
        if (has & ~had)
            return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .key = s->m->modules[slot]->name },
                           "the file has tensors for a module that the adapter '%s' does not have them for", x->name);
        if (had & ~has & stay)
            return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .key = s->m->modules[slot]->name },
                           "the file lacks weights of a module that the adapter '%s' brings", x->name);
    }
    return LORAC_OK;
}

int adapter_set_hotswap(adapter_set *s, const char *path, const char *name)
{
    named_adapter *x;
    adapter *new;
    peft_config config;
    buf_clear(&s->notes);
    TRY(adapter_set_find(s, name, &x));
    TRY(refuse_merged(s, x));
    int status = adapter_load(&new, s->m, path, &config, &s->notes);
    if (status == LORAC_OK)
        status = check_configs(path, &x->config, &config);
    if (status == LORAC_OK)
        status = check_parts(s, path, x, new);
    if (status != LORAC_OK) {
        adapter_free(new);
        peft_config_free(&config);
        return status;
    }
    adapter_free(x->a);
    peft_config_free(&x->config);
    x->a = new;
    x->config = config;
    x->weight = 1;
    s->version++;
    return LORAC_OK;
}

/* ---- Merging ---- */

int adapter_set_mergeable(const adapter_set *s, const char *const *names, size_t count, adapter_list *out)
{
    adapter_list wanted = s->active;
    if (names) {
        wanted.count = 0;
        TRY(list_of_names(s, names, count, &wanted));
    }
    *out = s->merged;
    for (size_t i = 0; i < wanted.count; i++)
        if (!list_has(out, wanted.of[i]))
            TRY(list_add(out, wanted.of[i]));
    return check_list(s, out);
}

/* Own weights of an adapter would stand where the merged ones do. */
static int check_left_out(const adapter_set *s, const adapter_list *merged)
{
    for (size_t i = 0; i < s->active.count; i++)
        if (s->active.of[i]->a->replaces && !list_has(merged, s->active.of[i]))
            return fail_at(LORAC_ERROR_USAGE, (fault){ .found = s->active.of[i]->name, .hint = "merge it too" },
                           "an active adapter that brings weights of its own cannot stay beside merged ones");
    return LORAC_OK;
}

/* All of them again, in order: what was merged one after the other has the numbers of what was merged at once. */
int adapter_set_merge(adapter_set *s, const char *const *names, size_t count, bool safe)
{
    adapter_list list;
    folded folds[ADAPTERS_MAX];
    adapter *weights;
    buf_clear(&s->notes);
    TRY(adapter_set_mergeable(s, names, count, &list));
    if (list.count == s->merged.count) {
        buf_format(&s->notes, "%s\n",
                   list.count ? "the adapters are merged already" : "no adapter is active: nothing was merged");
        return LORAC_OK;
    }
    TRY(check_left_out(s, &list));
    for (size_t i = 0; i < list.count; i++)
        folds[i] = (folded){ list.of[i]->a, list.of[i]->weight };
    TRY(merged_weights_new(&weights, s->m, folds, list.count, safe));
    adapter_free(s->merged_weights);
    s->merged_weights = weights;
    s->merged = list;
    s->version++;
    return LORAC_OK;
}

void adapter_set_unmerge(adapter_set *s)
{
    buf_clear(&s->notes);
    if (!s->merged.count)
        buf_format(&s->notes, "no adapter is merged\n");
    adapter_free(s->merged_weights);
    s->merged_weights = NULL;
    s->merged.count = 0;
    s->version++;
}

/* ---- In force ---- */

static adapter_use use_of(const adapter *a, double weight)
{
    return (adapter_use){ a, (real)weight, 0, -1 };
}

static int uses_of_name(const adapter_set *s, const char *name, adapter_use *uses, size_t *count)
{
    named_adapter *x;
    if (strcmp(name, NO_ADAPTER) == 0)
        return LORAC_OK;
    TRY(adapter_set_find(s, name, &x));
    if (s->disabled)
        return LORAC_OK;
    if (s->merged.count)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .found = name, .hint = "unmerge first" },
                       "a single adapter cannot be used while adapters are merged");
    uses[(*count)++] = use_of(x->a, x->weight);
    return LORAC_OK;
}

int adapter_set_uses(const adapter_set *s, const char *name, adapter_use uses[ADAPTERS_MAX], size_t *count)
{
    *count = 0;
    if (name)
        return uses_of_name(s, name, uses, count);
    if (s->disabled)
        return LORAC_OK;
    if (s->merged_weights)
        uses[(*count)++] = use_of(s->merged_weights, 1);
    for (size_t i = 0; i < s->active.count; i++)
        if (!list_has(&s->merged, s->active.of[i]))
            uses[(*count)++] = use_of(s->active.of[i]->a, s->active.of[i]->weight);
    return LORAC_OK;
}
