/* verify.h: are two models the same function? Logits of both on held prompts, in f32. */
#ifndef LORAC_VERIFY_H
#define LORAC_VERIFY_H

#include "session.h"
#include "tokenizer.h"

typedef struct comparison {
    double max_difference, largest; /* over all logits; the largest reference logit by magnitude */
    double kl_divergence;         /* mean over positions of KL(reference || other) */
    double top1_agreement;        /* share of positions whose likeliest token is the same */
    int64_t tokens;
} comparison;

/* Compares on built-in sentences, or on random ids where there is no tokenizer (NULL). Sessions bring their adapters. */
int compare_models(session *reference, session *other, const tokenizer *t, comparison *out);

#endif
