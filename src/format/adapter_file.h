/* adapter_file.h: an adapter as somebody filed it, told in PEFT's terms: settings as a PEFT configuration, tensors
 * under PEFT's names ("base_model.model.MODULE.lora_A.weight") and in PEFT's shapes, A [r, in] and B [out, r]. One
 * reader per format; a new one is a file like adapter_mlx.c and a line in adapter_file.c. Knows files and their
 * conventions, not which modules a model has. */
#ifndef LORAC_ADAPTER_FILE_H
#define LORAC_ADAPTER_FILE_H

#include "gguf.h"
#include "peft.h"
#include "torch_file.h"

#define PEFT_PREFIX "base_model.model."
#define PEFT_A ".lora_A.weight"
#define PEFT_B ".lora_B.weight"
/* Of an embedding: A [r, V], B [D, r]. */
#define PEFT_EMBEDDING_A ".lora_embedding_A"
#define PEFT_EMBEDDING_B ".lora_embedding_B"
#define PEFT_MAGNITUDE ".lora_magnitude_vector"
/* The adapted layer's own weight: PEFT files that of a head or an embedding. */
#define PEFT_BASE ".base_layer.weight"

typedef struct adapter_file {
    const char *format; /* "peft", "mlx", "gguf", "loralib" */
    const char *path;   /* of the file with the tensors */
    peft_config config;
    size_t count;
    const char **names;
    tensor *tensors; /* may be unaligned */
    map index;
    /* Of the formats without a PEFT configuration: B A is multiplied by `factor`, or by alpha / rank where that is 0.
     * NaN: not in the file. */
    double alpha, factor;
    const char *base;        /* of the same: the model's name, or NULL */
    int64_t *parts;          /* of a tensor A: how many parts, each with a rank of its own, share it; or NULL: one */
    safetensors safetensors; /* of these three, the one that is open holds the bytes */
    torch_file torch;
    gguf gguf;
    arena memory;
} adapter_file;

/* A folder of PEFT's (safetensors or .bin) or mlx-lm's, a llama.cpp adapter in a GGUF file, or a loralib state dict in
 * a file of torch.save. The modules of the last have llama.cpp's names and row order: only who has the model can change
 * them (adapter_file_renamed). `notes` as in peft_config_read. */
int adapter_file_open(adapter_file *out, const char *path, buf *notes);
void adapter_file_close(adapter_file *f);
const tensor *adapter_file_find(const adapter_file *f, const char *name); /* or NULL */
/* To be called after names[] was changed: tensors are found by the new names, and the configuration that was made up
 * names them. */
int adapter_file_renamed(adapter_file *f);
/* Says what the adapter of a file without alpha is multiplied with: alpha / r. */
int adapter_file_set_alpha(adapter_file *f, double alpha);
/* A configuration that leaves the targets to PEFT's table names the modules that have tensors. */
int adapter_file_name_targets(adapter_file *f);
/* Makes what PEFT would write of a loralib file, after its alpha was set. `enabled` says which of a MergedLinear's
 * parts have an adapter, as its enable_lora does, or is empty: then query and value of a fused query, key and value
 * where there are two, and else all. Heads become modules_to_save, biases are kept, and other tensors left out; *notes
 * (may be NULL) tells. */
int adapter_file_settle(adapter_file *f, const bool *enabled, size_t enabled_count, buf *notes);
/* PEFT's suffix of a pair's half. */
const char *adapter_suffix(bool is_a, bool embedding);
/* The other half of the pair that tensor i, a lora_A of a linear or an embedding, begins: NULL when it begins none or
 * there is no such tensor. *module is its path without PEFT_PREFIX. */
const tensor *adapter_file_partner(const adapter_file *f, size_t i, slice *module);
/* LORAC_ERROR_USAGE for an adapter that does not say by what it is multiplied, as those of loralib. */
int adapter_file_check_scale(const adapter_file *f);
/* How many numbers the file holds. */
int64_t adapter_file_parameters(const adapter_file *f);
bool is_adapter_file(const char *path);

#endif
