/* generate.h: a sequence's text as it comes: token by token, whole characters only, up to a stop string, an end token
 * or a limit. */
#ifndef LORAC_GENERATE_H
#define LORAC_GENERATE_H

#include "session.h"
#include "tokenizer.h"

typedef struct generation {
    size_t count; /* ids generated; they are the last of the sequence but for an end token */
    bool stopped; /* by an end token or a stop string, not by the limit */
    double prompt_seconds, generation_seconds;
    buf text;
} generation;

/* Generates up to `limit` tokens after what was appended. tokenizer and on_text may be NULL; *cancel (may be NULL) ends
 * it early. ids (room for `limit`) receives them. The caller frees out->text. */
int generate(sequence *q, const tokenizer *t, int64_t limit, int32_t *ids, lorac_on_text on_text, void *user,
             const volatile int *cancel, generation *out);

#endif
