/* modules.h: the modules of a model as PyTorch would have them, by name, kind and size, and nothing else: of an open
 * model, or of a Hugging Face folder whose family lorac cannot run, from config.json and the shapes of its tensors. The
 * tensors' data is not looked at. */
#ifndef LORAC_MODULES_H
#define LORAC_MODULES_H

#include "model.h"

typedef struct module_shape {
    const char *name; /* "model.layers.0.self_attn.q_proj" */
    module_kind kind; /* MODULE_NORM: also whatever else there is */
    int64_t out, in;  /* of a linear; an embedding: D, V */
    int64_t weight;   /* how many numbers */
    int64_t bias;     /* likewise; 0: none */
    bool is_input, is_head;
    bool shared; /* the weight is another module's too, which counts it */
} module_shape;

typedef struct module_list {
    module_shape *list;
    size_t count;
    int64_t parameters; /* each counted once */
    const char *model_type;
    arena memory;
} module_list;

int modules_of_model(module_list *out, const model *m);
/* A folder with config.json and safetensors. */
int modules_of_folder(module_list *out, const char *folder);
void modules_free(module_list *l);
/* Is there a family in this folder that lorac can run? Also true where config.json says nothing about it: whoever opens
 * the model then says what is wrong. */
bool modules_family_known(const char *folder);

#endif
