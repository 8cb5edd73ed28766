/* arch.h: what a model family must say about itself. A family is one file: a table of its configuration's keys, a table
 * of parameters and a block function. Readers and writers of both formats walk the tables; the loop around the blocks
 * is decoder.c. */
#ifndef LORAC_ARCH_H
#define LORAC_ARCH_H

#include "model.h"

/* A number of the configuration, and what it is called. */
typedef enum key_kind { KEY_SIZE, KEY_REAL, KEY_FLAG, KEY_ACTIVATION } key_kind;

enum {
    LAYERS_MOST = 1024,
    HEADS_MOST = 4096,
    SIZE_MOST = 1 << 20,
    VOCABULARY_MOST = 1 << 24,
    CONTEXT_MOST = 1 << 30,
    NEEDED = -1, /* as a fallback: there is none */
};

typedef struct config_key {
    key_kind kind;
    size_t field;     /* of model_config: int64_t, double, bool or glu_kind; 0 for a size: worked out of the others */
    const char *name; /* config.json's; NULL: not there */
    const char *gguf; /* below "llama."; of a flag: the tensor whose presence (after '!': absence) it is; NULL: GGUF
                         cannot say it */
    double fallback;  /* of a file that does not say it */
    int64_t most;     /* of a size */
} config_key;

/* Sizes a table can name; resolved from the configuration. */
typedef enum size_name { SIZE_NONE, SIZE_HIDDEN, SIZE_Q, SIZE_KV, SIZE_QKV, SIZE_INTERMEDIATE } size_name;

typedef enum param_kind { PARAM_NORM, PARAM_LINEAR } param_kind;

/* How files differ from [out, in]. PAIRED: rows of q and k stand in another order in a llama GGUF (pairs interleaved
 * for its rotary kernel); the loader brings them back. CONV1D: a Hugging Face file has [in, out]; it is used as it
 * lies. */
typedef enum weight_layout { LAYOUT_PLAIN, LAYOUT_PAIRED, LAYOUT_CONV1D } weight_layout;

typedef struct param {
    param_kind kind;
    size_t offset;    /* of the field in the block struct: a module */
    const char *name; /* Hugging Face's, below the layer: "self_attn.q_proj"; NULL ends the table */
    const char *gguf; /* llama.cpp's, below the block: "attn_q" */
    size_name out, in;
    bool (*has_bias)(const model_config *); /* NULL: never. A GGUF file speaks for itself */
    weight_layout layout;
} param;

/* One forward pass over the blocks. */
typedef struct pass {
    const model *m;
    context *c;
    const batch *b;
    rope_table rope;
} pass;

typedef struct architecture {
    const char *name; /* "llama": the family's name, GGUF's general.architecture and config.json's model_type */
    const char *class_name, *classifier_name; /* config.json's architectures[0], by task */
    const config_key *keys;                   /* name and gguf NULL end the table */
    /* Hugging Face's names; files of the model without its head lack the prefix. positions NULL: none are learned. */
    const char *prefix, *layers, *embedding, *positions, *final_norm;
    const param *layer;
    size_t block_size;
    segment_fn block;   /* env: pass, self: block struct */
    bool rotary;        /* else nothing turns */
    bool centred_norms; /* layer normalisation, else RMS */
    bool pads;          /* the embedding of the padding token has no gradient */
} architecture;

extern const architecture architecture_llama, architecture_gpt2;

/* NULL when no family has that name. */
const architecture *architecture_named(const char *name);
const char *class_name_of(const architecture *family, lorac_task task);
/* "llama (LlamaForCausalLM), ...": for messages. Returns text. */
enum { ARCHITECTURE_NAMES = 256 };
const char *architecture_names(char text[ARCHITECTURE_NAMES]);
int64_t config_size(const model_config *g, size_name s);
/* "model.layers.3.mlp.up_proj" or "blk.3.ffn_up"; NULL without memory. */
const char *param_stem(const architecture *family, const param *p, int64_t layer, bool for_gguf, arena *memory);
/* The row of a layer's module, and which layer it is in; NULL for what is in none. */
const param *param_of(const model *m, const nn_module *x, int64_t *layer);
/* The stems of what is not in a layer. */
typedef enum model_end { END_EMBEDDING, END_POSITIONS, END_NORM, END_HEAD } model_end;
const char *end_stem(const architecture *family, model_end end, bool for_gguf);
const char *head_name(lorac_task task); /* Hugging Face's */
/* What config.json calls an activation. */
const char *activation_name(glu_kind kind);
/* LAYOUT_PAIRED rows of a GGUF file, copied into Hugging Face's order. */
int reorder_rows(arena *memory, tensor *t, int64_t head_size);

/* Attention over the pass's documents, or over the cache after adding the new keys and values to it. */
var *attend(pass *p, const void *block, var *q, var *k, var *v);

/* config.c: from config.json or from GGUF keys. Absurd and contradictory numbers are LORAC_ERROR_DATA naming file and
 * key. The task is settled here. */
int config_read_folder(model_config *g, const architecture **family, const char *folder, const model_options *options,
                       arena *memory);
int config_read_gguf(model_config *g, const architecture **family, const gguf *file, const model_options *options,
                     arena *memory);

#endif
