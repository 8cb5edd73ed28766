/* adapter_write.h: an adapter, told in PEFT's terms, into the files of PEFT and of mlx-lm. Numbers are written as they
 * are, unless the format cannot say something that has to go into them. Knows no models. */
#ifndef LORAC_ADAPTER_WRITE_H
#define LORAC_ADAPTER_WRITE_H

#include "adapter_file.h"

/* Refuses half pairs, pairs that do not fit each other, and numbers that are not finite. */
int adapter_file_check(const adapter_file *f);
/* adapter_config.json and adapter_model.safetensors into an existing folder. What came block-quantised is f32 then. */
int adapter_write_peft(const adapter_file *f, const char *folder);

/* What mlx-lm calls a model's modules, which it finds by their place: its "model." stands for `prefix`. */
typedef struct mlx_names {
    const char *prefix, *layers; /* Hugging Face's: "transformer.", "transformer.h" */
    int64_t layer_count;
} mlx_names;

/* adapters.safetensors and adapter_config.json into an existing folder. mlx-lm has one scale and one rank for
 * all modules: what a module's own scale differs by goes into its lora_b, and thinner pairs get zeros. Weights of the
 * base are left out: the caller has seen to it that they are the model's own. */
int adapter_write_mlx(const adapter_file *f, const mlx_names *names, const char *folder);

#endif
