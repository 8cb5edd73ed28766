/* run_folder.h: the files of a run around its adapter: who may write into the folder, what says how the run was made,
 * and what makes the folder complete for others. adapter_model.safetensors  adapter_config.json  README.md  tokenizer
 * files  run.yaml  run.json  metrics.jsonl best/  checkpoints/ */
#ifndef LORAC_RUN_FOLDER_H
#define LORAC_RUN_FOLDER_H

#include "lorac.h"
#include "model.h"
#include "tokenizer.h"

/* What a resumed run has to find again, beyond run.yaml. In run.json, with what is nice to know. */
typedef struct run_facts {
    dtype act;               /* as resolved from auto */
    int64_t tokens_per_pass; /* likewise: dropout's masks follow it */
    uint64_t fingerprint;    /* of the training rows */
    int64_t rows, tokens;
    bool finished;
} run_facts;

/* LORAC_ERROR_USAGE when the output folder has something in it and may not be overwritten, or when overwriting it would
 * take away what the run starts from. Writes nothing. */
int run_folder_check(const lorac_train_options *options);
/* Makes the folder if need be and locks it against other processes; the lock falls with *lock or the process. */
int run_folder_lock(const char *output, int *lock);
/* Removes what an earlier run wrote; other files stay. run.yaml goes first: without it there is nothing to resume. */
int run_folder_clear(const char *output);

int run_facts_write(const char *output, const run_facts *facts, const model *m, const lorac_train_options *options);
int run_facts_read(const char *output, run_facts *facts);

/* The card and the tokenizer's files: copies of a model folder's, or what a GGUF file's metadata say. `words` and
 * `vocabulary` may be NULL; `chat_template` replaces the model's own unless its p is NULL. */
int run_folder_complete(const char *output, const model *m, const tokenizer *words, const gguf *vocabulary,
                        const lorac_train_options *options, const run_facts *facts, slice chat_template, int64_t steps);

#endif
