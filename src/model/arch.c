/* arch.c: the families this library knows, and the names that follow from their tables. A new family is its file and a
 * row here. */
#include "arch.h"

#include <stdio.h>
#include <string.h>

static const architecture *const families[] = { &architecture_llama, &architecture_gpt2 };

enum { FAMILIES = sizeof families / sizeof *families };

const architecture *architecture_named(const char *name)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i]->name, name) == 0 || strcmp(families[i]->class_name, name) == 0 ||
            strcmp(families[i]->classifier_name, name) == 0)
            return families[i];
    return NULL;
}

const char *class_name_of(const architecture *family, lorac_task task)
{
    return task == LORAC_TASK_SEQ_CLS ? family->classifier_name : family->class_name;
}

const char *architecture_names(char text[ARCHITECTURE_NAMES])
{
    size_t n = 0;
    for (int i = 0; i < FAMILIES && n < ARCHITECTURE_NAMES; i++)
        n += (size_t)snprintf(text + n, ARCHITECTURE_NAMES - n, "%s%s (%s)", i ? ", " : "", families[i]->name,
                              families[i]->class_name);
    return text;
}

int64_t config_size(const model_config *g, size_name s)
{
    switch (s) {
    case SIZE_HIDDEN:
        return g->hidden;
    case SIZE_Q:
        return g->heads * g->head_size;
    case SIZE_KV:
        return g->kv_heads * g->head_size;
    case SIZE_QKV:
        return (g->heads + 2 * g->kv_heads) * g->head_size;
    case SIZE_INTERMEDIATE:
        return g->intermediate;
    case SIZE_NONE:
        break;
    }
    return 1;
}

const char *param_stem(const architecture *family, const param *p, int64_t layer, bool for_gguf, arena *memory)
{
    return arena_format(memory, "%s.%lld.%s", for_gguf ? "blk" : family->layers, (long long)layer,
                        for_gguf ? p->gguf : p->name);
}

const param *param_of(const model *m, const nn_module *x, int64_t *layer)
{
    const char *start = m->blocks, *at = (const char *)x;
    const size_t size = m->family->block_size;
    if (at < start || at >= start + size * (size_t)m->config.layers)
        return NULL;
    *layer = (int64_t)((size_t)(at - start) / size);
    for (const param *p = m->family->layer; p->name; p++)
        if (p->offset == (size_t)(at - start) % size)
            return p;
    return NULL;
}

const char *end_stem(const architecture *family, model_end end, bool for_gguf)
{
    switch (end) {
    case END_EMBEDDING:
        return for_gguf ? "token_embd" : family->embedding;
    case END_POSITIONS:
        return for_gguf ? "position_embd" : family->positions;
    case END_NORM:
        return for_gguf ? "output_norm" : family->final_norm;
    case END_HEAD:
        break;
    }
    return for_gguf ? "output" : head_name(LORAC_TASK_CAUSAL);
}

const char *head_name(lorac_task task)
{
    return task == LORAC_TASK_SEQ_CLS ? "score" : "lm_head";
}
