/* adapter_set_status.c: a set described as PEFT's get_model_status and get_layer_status describe a model. Devices and
 * quantisation back ends are left out; modules have Hugging Face's names. */
#include "adapter_set.h"
#include "arch.h"
#include "err.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- Lists of names ---- */

static int by_text(const void *x, const void *y)
{
    return strcmp(json_string_value(*(json_t *const *)x), json_string_value(*(json_t *const *)y));
}

/* jansson cannot sort; texts of one array are put in order by moving the references. Takes `names`. */
static json_t *sorted(json_t *names)
{
    const size_t n = json_array_size(names);
    json_t **texts = mem_new(n, sizeof *texts), *out = json_array();
    for (size_t i = 0; i < n && texts; i++)
        texts[i] = json_array_get(names, i);
    if (texts)
        qsort(texts, n, sizeof *texts, by_text);
    for (size_t i = 0; i < n && texts; i++)
        json_array_append(out, texts[i]);
    mem_free(texts);
    json_decref(names);
    return out;
}

/* Does the adapter have something of its own at the module? */
static bool is_at(const named_adapter *x, int slot)
{
    const adapted *to = &x->a->modules[slot];
    return to->a || to->weight || to->rows;
}

enum { EVERYWHERE = -1 };

static json_t *names_of(named_adapter *const *list, size_t count, int slot)
{
    json_t *names = json_array();
    for (size_t i = 0; i < count; i++)
        if (slot == EVERYWHERE || is_at(list[i], slot))
            json_array_append_new(names, json_string(list[i]->name));
    return names;
}

/* What the model and each of its layers say in the same words. */
static void describe(const adapter_set *s, int slot, json_t *out)
{
    json_t *grads = json_object(), *merged = names_of(s->merged.of, s->merged.count, slot);
    for (size_t i = 0; i < s->count; i++)
        if (slot == EVERYWHERE || is_at(s->all[i], slot))
            json_object_set_new(grads, s->all[i]->name, json_boolean(s->all[i]->requires_grad));
    json_object_set_new(out, "enabled", json_boolean(!s->disabled));
    json_object_set_new(out, "active_adapters", names_of(s->active.of, s->active.count, EVERYWHERE));
    json_object_set_new(out, "merged_adapters", slot == EVERYWHERE ? sorted(merged) : merged);
    json_object_set_new(out, "requires_grad", grads);
    json_object_set_new(out, "available_adapters", sorted(names_of(s->all, s->count, slot)));
}

/* ---- Layers ---- */

/* PEFT's class for a module with an adapter; NULL: none has anything there. */
static const char *type_of(const adapter_set *s, int slot)
{
    const bool is_embedding = s->m->modules[slot]->kind == MODULE_EMBEDDING;
    for (size_t i = 0; i < s->count; i++) {
        const adapted *to = &s->all[i]->a->modules[slot];
        if (to->a)
            return is_embedding ? "lora.Embedding" : "lora.Linear";
        if (to->weight)
            return "ModulesToSaveWrapper";
        if (to->rows)
            return "TrainableTokensLayer";
    }
    return NULL;
}

static json_t *layers_of(const adapter_set *s)
{
    json_t *layers = json_array();
    for (int slot = 0; slot < s->m->module_count; slot++) {
        const char *type = type_of(s, slot);
        if (!type)
            continue;
        json_t *layer = json_object();
        json_object_set_new(layer, "name", json_string(s->m->modules[slot]->name));
        json_object_set_new(layer, "module_type", json_string(type));
        describe(s, slot, layer);
        json_array_append_new(layers, layer);
    }
    return layers;
}

/* ---- The model ---- */

parameter_counts adapter_set_counts(const adapter_set *s)
{
    parameter_counts sum = { 0, s->m->parameters };
    for (size_t i = 0; i < s->count; i++) {
        const parameter_counts one = adapter_counts(s->all[i]->a, s->m);
        sum.trainable += s->all[i]->requires_grad ? one.trainable : 0;
        sum.all += one.all - s->m->parameters;
    }
    return sum;
}

int adapter_set_status(const adapter_set *s, json_t **out)
{
    const parameter_counts counts = adapter_set_counts(s);
    json_t *root = *out = json_object(), *types = json_object(), *layers = layers_of(s);
    for (size_t i = 0; i < s->count; i++)
        json_object_set_new(types, s->all[i]->name, json_string("LORA"));
    json_object_set_new(root, "base_model_type", json_string(class_name_of(s->m->family, s->m->config.task)));
    json_object_set_new(root, "adapter_model_type", json_string("LoraModel"));
    json_object_set_new(root, "peft_types", types);
    json_object_set_new(root, "trainable_params", json_integer(counts.trainable));
    json_object_set_new(root, "total_params", json_integer(counts.all));
    json_object_set_new(root, "num_adapter_layers", json_integer((json_int_t)json_array_size(layers)));
    describe(s, EVERYWHERE, root);
    json_object_set_new(root, "layers", layers);
    return root ? LORAC_OK : fail_memory();
}
