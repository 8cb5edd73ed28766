/* checkpoint.h: everything a run needs to go on as if it had never stopped, one folder a checkpoint:
 *     checkpoints/step-0000100/{adapter_model.safetensors, adapter_config.json, optimizer.safetensors, state.json}
 * A checkpoint is written aside and renamed, so it is there whole or not at all; state.json lists size and checksum of
 * the other files, so that damage is noticed. Random numbers and the order of rows are functions of (seed, step): no
 * state of theirs is kept. */
#ifndef LORAC_CHECKPOINT_H
#define LORAC_CHECKPOINT_H

#include "adapt.h"
#include "optimizer.h"

/* Where a run stands between two optimiser steps. */
typedef struct run_state {
    int64_t step; /* updates done */
    int64_t tokens, trained_tokens;
    int64_t metrics_bytes;                               /* length of metrics.jsonl */
    int64_t report_steps, report_tokens, report_trained; /* since the last report */
    double report_loss;                                  /* sum over those trained tokens */
    double best_loss;                                    /* NAN: none yet */
    int64_t best_step, evals_since_best;
    bool eval_due; /* the validation of this step is still to come */
    bool stopped;  /* early; nothing is left to do */
} run_state;

/* What is saved and restored. */
typedef struct run_parts {
    const model *model;
    const peft_config *config;
    adapter *adapter;
    optimizer *optimizer;
} run_parts;

/* Writes the checkpoint of state->step under `output` and removes all but the `keep` newest. *path (or NULL) receives
 * its folder. */
int checkpoint_save(const char *output, const run_parts *parts, const run_state *state, int64_t keep, buf *path);
/* Restores the newest whole checkpoint under `output`, removing damaged ones and what an interrupted save left behind,
 * with a line in *notes for each of the former. *found is false, and nothing changed, when there is none. */
int checkpoint_load(const char *output, const run_parts *parts, run_state *state, bool *found, buf *notes);
/* The folder of the newest checkpoint, or an empty text. */
int checkpoint_newest(const char *output, buf *path);

#endif
