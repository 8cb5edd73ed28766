/* calibrate.h: what goes into a model's linears over its first training rows, as sums of products. Linears that share
 * an input (q, k and v) share its sums. Sums take much room, so when they would take more than a gigabyte the rows run
 * several times, each time for some of the linears. Knows nothing of what the sums are for. */
#ifndef LORAC_CALIBRATE_H
#define LORAC_CALIBRATE_H

#include "examples.h"

typedef struct calibration {
    const model *model;
    const examples *rows;
    const bool *wanted; /* by slot of linear */
    bool by_document;   /* a document's inputs are divided by the largest of them first, and documents are counted */
    bool some_labels;   /* only positions count whose own label is not `masked_label` */
    int64_t masked_label;
    int threads;
    const volatile int *cancel; /* or NULL */
} calibration;

/* The input of one linear and of those that share it. */
typedef struct layer_inputs {
    int leader; /* slot of the first of these linears */
    int64_t width;
    real *products; /* [width, width], sum of x xT */
    real *sums;     /* [width], sum of x; only positions' */
    int64_t count;  /* positions or documents */
} layer_inputs;

/* Called once for every run over the rows, with what that run was for; ends the calibration when it fails. */
typedef int (*inputs_use)(void *arg, pool *team, const layer_inputs *inputs, int64_t count);

/* leader_of[slot] receives the slot of the first wanted linear with the same input, for every wanted slot. */
int calibrate(const calibration *what, int *leader_of, inputs_use use, void *arg);

#endif
