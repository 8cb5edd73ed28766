/* sentencepiece_spacing.h: how the sentencepiece library itself prepares a text: its rules of normalising with the
 * longest one first, blanks squeezed and written as U+2581, and one more before or behind the text. */
#ifndef LORAC_SENTENCEPIECE_SPACING_H
#define LORAC_SENTENCEPIECE_SPACING_H

#include "passage.h"
#include "precompiled.h"
#include "trie.h"

typedef struct sentencepiece_spacing {
    const precompiled *rules;    /* or NULL */
    trie kept;                   /* strings that stay as they are; may be empty */
    bool add_prefix, add_suffix; /* a blank, unless the text is empty */
    bool squeeze;                /* none at the ends, and one where there are several */
    bool escape;                 /* as U+2581 */
    bool plain[256];             /* letters, all of ASCII, that nothing is made of, whatever letter follows */
} sentencepiece_spacing;

void sentencepiece_spacing_find_plain(sentencepiece_spacing *spacing); /* when the rest is complete */
int sentencepiece_spacing_run(const sentencepiece_spacing *spacing, const passage *p, const span *s, passage *next);

#endif
