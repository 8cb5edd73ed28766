/* adapt_parts.h: what an adapter can have for a module, as a table: names in PEFT's files, shapes, places in `adapted`.
 * Making, reading and writing adapters walk it; a new kind of part is a row here and what nn/module.c does with it. */
#ifndef LORAC_ADAPT_PARTS_H
#define LORAC_ADAPT_PARTS_H

#include "adapt.h"

typedef enum part_kind {
    PART_A,
    PART_B,
    PART_B_BIAS,
    PART_MAGNITUDE,
    PART_WEIGHT, /* stands in for the module's own */
    PART_BIAS,
    PART_ROWS, /* of a weight, for some tokens */
    PARTS
} part_kind;

/* What is wanted for one module. */
typedef struct wish {
    bool has[PARTS], frozen[PARTS];
    int64_t rank;
    double alpha;
    const peft_tokens *tokens;
} wish;

typedef struct maker {
    const model *m;
    const peft_config *config;
    peft_matcher *matcher;
    adapter *a;
    bool ties; /* a tied head has the embedding's change too */
} maker;

int maker_open(maker *b, const model *m, const peft_config *config);
/* Ends a build: hands the adapter out, or frees it after a failure. */
int maker_close(maker *b, int status, adapter **out);
/* What the configuration wants for a module. */
int maker_wish(maker *b, const nn_module *x, wish *out);
/* What concerns no single module: every list of tokens is for an end of the model, and those of tied ends agree. */
int maker_check(const maker *b);
/* Makes the wanted parts, all zero, with their names. */
int maker_add(maker *b, const nn_module *x, const wish *w);
/* Once the parts have their values: tied modules, lookups of rows, lengths. */
int maker_finish(maker *b);

tensor part_shape(part_kind kind, const nn_module *x, const wish *w);
var **part_place(part_kind kind, adapted *to);
/* ".lora_A.weight". `is_adapted`: the module has a LoRA, so that its own weight is below it. NULL: it has no such part.
 */
const char *part_suffix(part_kind kind, const nn_module *x, bool is_adapted);
/* Takes "MODULE" and the part out of "base_model.model.MODULE.lora_A.weight". */
bool part_parse(slice name, const model *m, const nn_module **x, part_kind *kind);
/* The model's own numbers for a part that stands in for them. */
int part_copy_own(part_kind kind, const nn_module *x, const peft_tokens *tokens, real *out);

#endif
