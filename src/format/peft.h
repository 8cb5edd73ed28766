/* peft.h: PEFT's adapter folder: adapter_config.json and adapter_model.safetensors. Knows PEFT's keys, defaults and
 * rules for names; does not know which modules a model has, nor what an adapter computes. Source: PEFT 0.21 LoraConfig.
 */
#ifndef LORAC_PEFT_H
#define LORAC_PEFT_H

#include "arena.h"
#include "peft_init.h"
#include "safetensors.h"

/* Rows of one embedding, or of the head, that are trained themselves (trainable_token_indices). */
typedef struct peft_tokens {
    const char *module; /* the end of its path; NULL: the input embedding */
    int32_t *ids;
    size_t count;
} peft_tokens;

typedef struct peft_config {
    int64_t r;         /* 8 */
    double lora_alpha; /* 8 */
    double lora_dropout;
    bool use_rslora; /* scale = alpha / sqrt(r) */
    bool use_dora, lora_bias, ensure_weight_tying;
    const char *bias;                    /* "none", "all", "lora_only" */
    bool fan_in_fan_out;                 /* for who writes the file: the kind of a layer says it */
    peft_init init;                      /* init_lora_weights */
    const char *base_model_name_or_path; /* or NULL */
    const char *task_type;               /* or NULL */
    /* exactly one of the two, or neither (PEFT's default for the model type) */
    const char **targets;
    size_t target_count;
    const char *target_regex; /* also "all-linear" */
    const char **excludes;
    size_t exclude_count;
    const char *exclude_regex;
    int64_t *layers;
    size_t layer_count;
    const char **layers_pattern;
    size_t layers_pattern_count;
    const char **rank_keys;
    int64_t *rank_values;
    size_t rank_count; /* rank_pattern, in file order */
    const char **alpha_keys;
    double *alpha_values;
    size_t alpha_count; /* alpha_pattern */
    const char **saved;
    size_t saved_count; /* modules_to_save */
    peft_tokens *tokens;
    size_t token_lists; /* trainable_token_indices */
    arena memory;
} peft_config;

void peft_config_init(peft_config *c); /* PEFT's defaults */
/* Reads an adapter_config.json. Keys PEFT does not know are told in *notes, a line each (may be NULL); keys of PEFT
 * that lorac lacks are LORAC_ERROR_USAGE by name when they are not at their default. */
int peft_config_read(peft_config *c, const char *path, buf *notes);
int peft_config_write(const peft_config *c, const char *path);
void peft_config_free(peft_config *c);
/* Targets as a command line says them: a comma-separated list of names, or a regular expression (names have no
 * characters that mean something in one), or all-linear. */
int peft_config_set_targets(peft_config *c, const char *text);

/* PEFT's default target modules of a model type ("llama": q_proj, v_proj), comma-separated; NULL when it has none. */
const char *peft_default_targets(const char *model_type);
/* A config that names no targets means these. The copy shares the original's memory; what is new lies in `memory`. */
int peft_with_default_targets(peft_config *copy, const peft_config *config, const char *model_type, arena *memory);

/* Is a module of this name an embedding, in all models we know of? For those who have no model to ask. */
bool peft_is_embedding(slice module);

/* Which modules a config names. A compiled matcher, because regular expressions are; the config must outlive it. */
typedef struct peft_matcher peft_matcher;
int peft_matcher_new(peft_matcher **out, const peft_config *c);
void peft_matcher_free(peft_matcher *m);
/* Does the config target this module path ("model.layers.0.self_attn.q_proj")? `is_head`: it is the output embedding,
 * which all-linear leaves out. *rank and *alpha follow the patterns. A regex over its match limit is an error. */
int peft_matches(peft_matcher *m, const char *module, bool is_head, bool *matches, int64_t *rank, double *alpha);
/* alpha / rank, or alpha / √rank with use_rslora. */
double peft_scale(const peft_config *c, int64_t rank, double alpha);
bool peft_is_all_linear(const peft_config *c);
/* Is the module, or one that it is in, among modules_to_save? By the ends of their paths, wherever those begin. */
bool peft_saves(const peft_config *c, const char *module);
/* The rows of this module that are trained; NULL: none. */
const peft_tokens *peft_tokens_of(const peft_config *c, const char *module, bool is_input_embedding);
/* The first target or pattern that matched nothing so far, or NULL. */
const char *peft_matcher_unused(const peft_matcher *m);

bool peft_same_tokens(const peft_tokens *x, const peft_tokens *y);
/* Is the input embedding or the head among these, by the only names that PEFT knows them by here? */
bool peft_names_an_end(const char *const *names, size_t count);
/* ensure_weight_tying: where either end is named, a tied head and its embedding are trained as one. */
bool peft_ties_ends(const peft_config *c);
/* The failure of a configuration whose targets fit none of the modules; names those that are near. */
int peft_no_target(const peft_config *c, const char *(*module)(const void *of, size_t i), const void *of, size_t count);

#endif
