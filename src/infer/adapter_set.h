/* adapter_set.h: adapters with names on one model, and which of them are in force: PEFT's adapter management. The model
 * never changes; what is merged lives here. Invariant: `version` grows with everything that a pass could notice, so
 * that who made something with the set (a cache) can tell that it no longer holds. */
#ifndef LORAC_ADAPTER_SET_H
#define LORAC_ADAPTER_SET_H

#include "adapt.h"
#include "json.h"

#define NO_ADAPTER "__base__" /* PEFT's name for it */

typedef struct named_adapter {
    char *name;
    adapter *a;
    peft_config config;
    uint8_t *parts; /* by slot: a bit for each part_kind that the name has had since it was loaded */
    double weight;
    bool requires_grad;
} named_adapter;

/* Some of the set's adapters, in order. */
typedef struct adapter_list {
    named_adapter *of[ADAPTERS_MAX];
    size_t count;
} adapter_list;

typedef struct adapter_set {
    const model *m;
    named_adapter **all; /* in the order they came */
    size_t count;
    adapter_list active, merged;
    adapter *merged_weights; /* NULL: nothing is merged */
    bool disabled;
    uint64_t version;
    buf notes; /* what the last change should say, a sentence each */
} adapter_set;

int adapter_set_new(adapter_set **out, const model *m);
void adapter_set_free(adapter_set *s);

/* Every function below that can fail changes nothing when it does. */
int adapter_set_add(adapter_set *s, const char *name, const char *peft_config_path, uint64_t seed);
int adapter_set_load(adapter_set *s, const char *path, const char *name, bool trainable);
int adapter_set_save(adapter_set *s, const char *name, const char *folder);
int adapter_set_delete(adapter_set *s, const char *name);
int adapter_set_hotswap(adapter_set *s, const char *path, const char *name);
int adapter_set_activate(adapter_set *s, const char *const *names, size_t count);
int adapter_set_scale(adapter_set *s, const char *name, double weight);
int adapter_set_require_grad(adapter_set *s, const char *name, bool on);
void adapter_set_disable(adapter_set *s, bool disable);
void adapter_set_unload(adapter_set *s);

/* names NULL: the active ones. */
int adapter_set_merge(adapter_set *s, const char *const *names, size_t count, bool safe);
void adapter_set_unmerge(adapter_set *s);
/* What is merged, and then those of `names` (NULL: the active ones) that are not. */
int adapter_set_mergeable(const adapter_set *s, const char *const *names, size_t count, adapter_list *out);

/* LORAC_ERROR_USAGE naming the nearest one when there is none of that name. */
int adapter_set_find(const adapter_set *s, const char *name, named_adapter **out);
/* What a pass applies to all its rows: nothing while disabled; `name` NULL: what is merged, and the active ones that
 * are not; else that adapter alone. */
int adapter_set_uses(const adapter_set *s, const char *name, adapter_use uses[ADAPTERS_MAX], size_t *count);
/* PEFT's counts: trainable are those that require gradients, all includes the model. */
parameter_counts adapter_set_counts(const adapter_set *s);
/* PEFT's get_model_status and get_layer_status. The caller owns *out. */
int adapter_set_status(const adapter_set *s, json_t **out);

#endif
