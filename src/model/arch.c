/* arch.c: the families this library knows. A new one is its file and a row here. */
#include "arch.h"

#include <string.h>

static const architecture *const families[] = { &architecture_llama };

enum { FAMILIES = sizeof families / sizeof *families };

const architecture *architecture_named(const char *name)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i]->name, name) == 0 || strcmp(families[i]->class_name, name) == 0)
            return families[i];
    return NULL;
}

const char *architecture_names(void)
{
    return "llama (LlamaForCausalLM)";
}

int64_t config_size(const model_config *g, size_name s)
{
    switch (s) {
    case SIZE_HIDDEN: return g->hidden;
    case SIZE_Q: return g->heads * g->head_size;
    case SIZE_KV: return g->kv_heads * g->head_size;
    case SIZE_HEAD: return g->head_size;
    case SIZE_INTERMEDIATE: return g->intermediate;
    case SIZE_VOCABULARY: return g->vocabulary;
    case SIZE_NONE: break;
    }
    return 1;
}
