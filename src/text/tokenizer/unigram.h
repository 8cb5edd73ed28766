/* unigram.h: the model of SentencePiece's unigram language model (Kudo 2018): of all ways to cut a word into tokens the
 * one with the highest sum of scores (Viterbi). Linear in the word for a given longest token. */
#ifndef LORAC_UNIGRAM_H
#define LORAC_UNIGRAM_H

#include "word_model.h"

typedef struct unigram unigram;

/* `scores` by id; NaN: a token no text may be cut into (control, unused, bytes). The array may go after the call. A
 * character without a token scores 10 less than the lowest. */
int unigram_open(unigram **out, const vocabulary *v, const double *scores);
void unigram_free(unigram *u);
/* From now on as the sentencepiece library itself has it: sums are kept in single precision, and `lowest` is the lowest
 * score. */
void unigram_be_single(unigram *u, float lowest);

const double *unigram_scores(const unigram *u); /* by id, as they were given */

struct unigram_scratch;
int unigram_word(const word_model *m, struct unigram_scratch **scratch, slice word, token_list *out);
void unigram_scratch_free(struct unigram_scratch *s);

#endif
