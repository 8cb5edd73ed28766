/* adapt.h: adapters for a model: which modules a PEFT config means, first values, and PEFT's files. */
#ifndef LORAC_ADAPT_H
#define LORAC_ADAPT_H

#include "adapter_file.h"
#include "model.h"

/* Makes an adapter whose factors are all zero; adapt_first.h fills them. A config without targets takes PEFT's default
 * of the model type. A target that matches nothing is LORAC_ERROR_USAGE. notes (may be NULL) collects what the user
 * should know. */
int adapter_create(adapter **out, const model *m, const peft_config *config, buf *notes);
/* The rank (0: no target) and alpha of every linear, by slot. */
int adapter_ranks(int64_t *ranks, double *alphas, const model *m, const peft_config *config);
/* How many parameters adapter_create would make. */
int adapter_measure(int64_t *parameters, const model *m, const peft_config *config);
/* Reads an adapter of any format that adapter_file_open knows. *config (may be NULL) receives its config. Tensors for
 * modules that do not exist are refused. An adapter that took a part of its base comes converted, *config too. */
int adapter_load(adapter **out, const model *m, const char *path, peft_config *config, buf *notes);
/* A copy of the configuration with what PEFT adds for a model: default targets where it names none, and a classifier's
 * head among the saved modules. It shares the original's memory and `memory`. */
int adapter_complete(peft_config *copy, const peft_config *config, const model *m, arena *memory);
/* DoRA's lengths after the factors changed, by a context's kernels and threads; nothing for an adapter without. */
int adapter_refresh(const adapter *a, const model *m, context *c);
/* The same, and those of the frozen weights, once the factors have their first values. */
int adapter_measure_lengths(const adapter *a, const model *m);
/* Fills in what an adapter, or an adapter_config.json alone, says of the model that it is for: `otherwise` is SEQ_CLS
 * where that is its task_type, `labels` how many its classifier has. */
int peft_config_expects(const char *path, model_options *options);
int adapter_expects(const char *path, model_options *options);
/* LORAC_ERROR_USAGE when the model's files lack its head and no adapter brings one. */
int adapters_bring_head(const adapter_use *uses, size_t count, const model *m);
/* PEFT's word for a task, and whether a configuration has the classifier's. */
const char *task_type_name(lorac_task task);
bool is_for_classifier(const peft_config *config);
/* Gives the tensors of a llama.cpp or an mlx-lm adapter the model's names and row order; others have them. */
int adapter_file_translate(adapter_file *f, const model *m);
/* Writes adapter_model.safetensors and adapter_config.json into an existing folder; each file atomically. The config's
 * target list names what was really adapted. An adapter that took a part of its base is written converted. */
int adapter_save(const adapter *a, const model *m, const peft_config *config, const char *folder);
void adapter_free(adapter *a);

/* PEFT's two counts of print_trainable_parameters. */
typedef struct parameter_counts {
    int64_t trainable, all;
} parameter_counts;
parameter_counts adapter_counts(const adapter *a, const model *m);

#endif
