/* sentencepiece_tokenizer.h: the parts of a tokenizer that behaves as the sentencepiece library does. */
#ifndef LORAC_SENTENCEPIECE_TOKENIZER_H
#define LORAC_SENTENCEPIECE_TOKENIZER_H

#include "sentencepiece.h"
#include "tokenizer_parts.h"

/* The pieces as vocabulary, with room for `more` tokens. With `find`, texts are searched for control pieces. */
int sentencepiece_put_pieces(tokenizer *t, const sentencepiece *s, size_t more, bool find);
/* The rest but the cuts of words (word_model_find_cuts); the vocabulary is complete. */
int sentencepiece_build(tokenizer *t, const sentencepiece *s);

#endif
