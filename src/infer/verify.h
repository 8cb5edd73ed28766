/* verify.h: are two models the same function? Logits of both on held prompts, in f32. The first model's are kept, so
 * that the two need not be in memory together. */
#ifndef LORAC_VERIFY_H
#define LORAC_VERIFY_H

#include "model.h"
#include "tokenizer.h"

/* Texts, and what a model with the adapters of its context makes of them. */
typedef struct reference {
    int32_t *ids, *positions;
    attention_span *spans;           /* one per text */
    int64_t count, n_spans, outputs; /* texts' tokens; spans; logits of a token */
    float *logits;
} reference;

typedef struct comparison {
    double max_difference, largest; /* over all logits; the largest reference logit by magnitude */
    double kl_divergence;           /* mean over positions of KL(reference || other) */
    double top1_agreement;          /* share of positions whose likeliest token is the same */
    int64_t tokens;
} comparison;

/* On built-in sentences, or on random ids where there is no tokenizer (NULL). */
int reference_new(reference *out, const model *m, context *c, const tokenizer *t);
void reference_free(reference *r);
/* Another model, with the adapters of its context, on the same texts. */
int reference_compare(const reference *r, const model *other, context *c, comparison *out);

#endif
