/* arch.h: what a model family must say about itself. A family is one file: a table of parameters and a block function. The loader walks the
 * table; the loop around the blocks is decoder.c. */
#ifndef LORAC_ARCH_H
#define LORAC_ARCH_H

#include "model.h"

/* Sizes a table can name; resolved from the configuration. */
typedef enum size_name { SIZE_NONE, SIZE_HIDDEN, SIZE_Q, SIZE_KV, SIZE_HEAD, SIZE_INTERMEDIATE, SIZE_VOCABULARY } size_name;

typedef enum param_kind { PARAM_NORM, PARAM_LINEAR } param_kind;

/* Rows of q and k stand in another order in a llama GGUF (pairs interleaved for its rotary kernel); the loader brings them back. */
typedef enum row_order { ROWS_AS_FILED, ROWS_Q_ROPE, ROWS_K_ROPE } row_order;

typedef struct param {
    param_kind kind;
    size_t offset;                /* of the field in the block struct: a var (NORM) or a linear (LINEAR) */
    const char *name;             /* Hugging Face's, below the layer: "self_attn.q_proj"; NULL ends the table */
    const char *gguf;             /* llama.cpp's, below the block: "attn_q" */
    size_name out, in;
    bool (*has_bias)(const model_config *); /* NULL: never. A GGUF file speaks for itself */
    row_order order;
} param;

/* One forward pass over the blocks. */
typedef struct pass {
    const model *m;
    context *c;
    const batch *b;
    rope_table rope;
} pass;

typedef struct architecture {
    const char *name;             /* "llama": the family's name, GGUF's general.architecture and config.json's model_type */
    const char *class_name;       /* config.json's architectures[0] */
    const param *layer;
    size_t block_size;
    segment_fn block;             /* env: pass, self: block struct */
} architecture;

extern const architecture architecture_llama;

/* NULL when no family has that name. */
const architecture *architecture_named(const char *name);
/* "llama, gpt2": for messages. */
const char *architecture_names(void);
int64_t config_size(const model_config *g, size_name s);

/* Attention over the pass's documents, or over the cache after adding the new keys and values to it. */
var *attend(pass *p, const void *block, var *q, var *k, var *v);

/* config.c: from config.json or from GGUF keys. Absurd and contradictory numbers are LORAC_ERROR_DATA naming file and key. */
int config_read_folder(model_config *g, const architecture **family, const char *folder, arena *memory);
int config_read_gguf(model_config *g, const architecture **family, const gguf *file, arena *memory);

#endif
