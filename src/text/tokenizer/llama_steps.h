/* llama_steps.h: what llama.cpp does to a text in code of its own, between finding special tokens and the model. */
#ifndef LORAC_LLAMA_STEPS_H
#define LORAC_LLAMA_STEPS_H

#include "passage.h"

/* Cuts the span in front of every group of three digits, counted from a number's end. With `ascii` the digits are 0 to
 * 9; otherwise they are all numbers, the first group goes with what is before the number, and there is a cut behind it.
 */
int llama_groups_of_three(bool ascii, const passage *p, const span *s, passage *next);

/* Appends the span's words, each behind U+2581 and a span of its own: cut at blanks and around punctuation and
 * ideographs, without controls; in lower case, without accents, if so asked. */
int llama_bert_words(bool lowercase, bool strip_accents, const passage *p, const span *s, passage *next);

/* Appends the span with U+2581 for every blank, or (squeeze) one before every word and no others; with `prefix` there
 * is one before the first word in any case. */
int llama_unigram_blanks(bool prefix, bool squeeze, const passage *p, const span *s, passage *next);

#endif
