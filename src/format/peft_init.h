/* peft_init.h: PEFT's init_lora_weights: how the factors of a new adapter begin, with the settings of the kinds that
 * have some (eva_config, corda_config). Knows names, defaults and limits, no mathematics. Source: PEFT 0.21. */
#ifndef LORAC_PEFT_INIT_H
#define LORAC_PEFT_INIT_H

#include "json.h"

#include <stdbool.h>
#include <stdint.h>

enum { PEFT_RANK_MOST = 4096 };

typedef enum peft_init_kind {
    INIT_DEFAULT,    /* true: A Kaiming-uniform, B zero */
    INIT_CARELESS,   /* false: both as torch makes a Linear */
    INIT_GAUSSIAN,   /* A normal, B zero */
    INIT_ORTHOGONAL, /* both random with B A = 0 */
    INIT_OLORA,      /* the leading part of QR */
    INIT_PISSA,      /* the leading singular vectors */
    INIT_PISSA_FAST, /* the same, found by `iterations` rounds of subspace iteration from a random start */
    INIT_EVA,        /* A: the leading directions of the layer's inputs; ranks follow the variance they explain */
    INIT_CORDA,      /* singular vectors of the weight times the covariance of the layer's inputs */
} peft_init_kind;

typedef struct peft_init {
    peft_init_kind kind;
    int64_t iterations; /* INIT_PISSA_FAST */
    struct {
        double rho;           /* 2: no module gets more than rho times its rank */
        bool labelled_only;   /* true: only positions whose label is trained count */
        int64_t masked_label; /* -100 */
        bool whiten;          /* directions are divided by the fourth root of what they carry */
        bool adjust_scaling;  /* true: alpha grows and shrinks with the rank */
    } eva;
    bool corda_keeps; /* "kpm": the last singular vectors are trained, so that what the inputs use is kept */
} peft_init;

/* "true", PEFT's default. */
void peft_init_start(peft_init *init);
/* Takes the kind out of a name: "true", "false", "gaussian", "orthogonal", "olora", "pissa", "pissa_niter_16", "eva",
 * "corda". Another one is LORAC_ERROR_USAGE at `path` (or NULL). */
int peft_init_parse(peft_init *init, const char *name, const char *path);
/* Reads init_lora_weights, eva_config and corda_config of an adapter_config.json. */
int peft_init_read(peft_init *init, const json_t *object, const char *path);
/* The name of an init without its settings: "pissa_niter_16" in text; returns text. */
enum { PEFT_INIT_NAME = 48 };
const char *peft_init_name(const peft_init *init, char text[PEFT_INIT_NAME]);

/* Does training go on from W - s B A instead of W? Such adapters are filed converted. */
bool peft_init_changes_weight(const peft_init *init);
/* Does it look at what the layers get as inputs over the training rows? */
bool peft_init_wants_inputs(const peft_init *init);

#endif
