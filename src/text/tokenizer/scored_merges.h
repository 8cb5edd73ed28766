/* scored_merges.h: byte-pair encoding by scores, as SentencePiece and llama.cpp have it, and by a list of merges, as
 * tokenizer.json has it: what each says, in the other's words. */
#ifndef LORAC_SCORED_MERGES_H
#define LORAC_SCORED_MERGES_H

#include "json.h"
#include "word_model.h"

/* The next way, behind *at (0 at first), to cut a token in two others; false: there is none left. */
bool next_halves(const vocabulary *v, slice token, size_t *at, slice *left, slice *right);

/* Every way to put a token together from two others, best score first, as an array of "left right"; NULL without
 * memory.
 */
json_t *merges_of_scores(const vocabulary *v, const float *scores);

/* The scores that merge as this list, by rank, does: 0, -1, -2 ... in the order of the merged tokens. *exact is false
 * where there are none: a token without all of its merges, or with merges of others between them. */
int scores_of_merges(const vocabulary *v, const bpe_merge *merges, size_t count, float *scores, bool *exact);

#endif
