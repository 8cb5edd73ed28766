/* model.h: a language model in memory: configuration, weights under Hugging Face's names, and its forward pass. A model
 * is immutable once open. Families are rows of arch.c; the shared loop is decoder.c. */
#ifndef LORAC_MODEL_H
#define LORAC_MODEL_H

#include "gguf.h"
#include "labels.h"
#include "map.h"
#include "module.h"
#include "safetensors.h"

/* How the rotary frequencies were changed for contexts longer than trained on. ROPE_DIVISORS: by factors that a GGUF
 * file lists. */
typedef enum rope_kind { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_DIVISORS } rope_kind;
typedef struct rope_scaling {
    rope_kind kind;
    double factor, low_frequency, high_frequency, original_context;
} rope_scaling;

typedef struct model_config {
    const char *model_type; /* "llama" */
    int64_t layers, hidden, heads, kv_heads, head_size, intermediate, vocabulary, context;
    double norm_epsilon;
    bool tied_head, attention_bias, mlp_bias;
    bool attention_scaled;   /* scores are divided by √head_size; true where no key says it */
    bool attention_by_layer; /* scores of layer i are divided by i + 1 */
    glu_kind activation;
    int64_t rotated; /* how many of head_size turn; 0: positions are learned */
    double rope_theta;
    rope_scaling rope_scaling;
    real *rope_frequency;  /* [rotated / 2], scaling applied */
    double rope_scale;     /* on cosine and sine */
    int32_t bos, eos, pad; /* -1: none */
    lorac_task task;
    lorac_task filed_task; /* what the files are for: another one means a new head */
    label_set labels;      /* of a classifier */
    double initializer_range;
} model_config;

typedef struct model {
    const char *path;
    bool is_gguf;
    const struct architecture *family;
    model_config config;
    nn_module embedding; /* [V, C] */
    nn_module positions; /* [context, C], added to the embedding; data NULL: none are learned */
    nn_module final_norm;
    linear head;         /* causal: lm_head, with the embedding's data when tied; a classifier's: score */
    bool head_is_new;    /* no file has it: its weight is zero, and an adapter must bring one */
    char *blocks;        /* config.layers structs of family->block_size bytes */
    nn_module **modules; /* by slot, in PEFT's module order; the head is the last */
    int module_count;
    dtype weight_type;  /* the type most weights are stored in */
    int64_t parameters; /* tied counted once */
    uint64_t bytes;
    struct model_source *source; /* the files */
    arena memory;
} model;

typedef struct model_options {
    bool expand;          /* quantised weights are decoded at opening */
    lorac_task task;      /* AUTO: as config.json's architectures say, */
    lorac_task otherwise; /* or, where those say no classifier, this */
    int64_t labels;       /* of a new classifier; 0: as config.json says */
} model_options;

/* `options` may be NULL. */
int model_open(model **out, const char *path, const model_options *options);
void model_close(model *m);
/* How many logits a position has: the vocabulary, or a classifier's labels. */
int64_t model_outputs(const model *m);
const label_set *model_labels(const model *m); /* of a classifier; else NULL */

/* ---- Running ---- */

/* Keys and values of past positions: one row per position, in every layer. Sequences own ranges of rows. */
typedef struct kv_cache {
    void **k, **v;
    int64_t layers, rows;
    size_t layer_bytes;
    dtype type;
} kv_cache;
int kv_cache_new(kv_cache **out, const model *m, int64_t rows, dtype type);
void kv_cache_free(kv_cache *cache);

/* The rows of one pass. Training: spans are the packed documents, with kv == q. Generation: `cache` is set, spans' kv
 * are cache rows, and row i's keys go to cache row cache_row[i]. */
typedef struct batch {
    int64_t count;
    const int32_t *ids, *positions;
    const attention_span *spans;
    int64_t n_spans;
    kv_cache *cache;
    const int32_t *cache_row;
    bool once; /* the model is not run again soon: after each layer the pages of its files are let go */
} batch;

/* Loss over a batch, added to *result; gradients (of c->recording contexts) are added to those of the adapters in use.
 * The context is reset first. c->adapters says what is applied. */
int model_loss(const model *m, context *c, const batch *b, const loss_targets *targets, loss_result *result);
/* Logits of the given rows, in ascending order (NULL: all), into [n_rows, V]. No gradients. */
int model_logits(const model *m, context *c, const batch *b, const int32_t *rows, int64_t n_rows, float *logits);
/* Step memory that model_loss (with backward) or model_logits needs for a batch of this shape; *counted, unless it is
 * NULL, gains what would be computed and moved. */
int model_measure_loss(const model *m, const context *like, const batch *b, const loss_targets *targets, size_t *bytes,
                       profile *counted);
int model_measure_logits(const model *m, const context *like, const batch *b, int64_t n_rows, size_t *bytes);

/* Checks ids against the vocabulary: LORAC_ERROR_DATA naming the first that is not in it. */
int model_check_ids(const model *m, const int32_t *ids, size_t count);

#endif
