#include "unigram.h"
int unigram_word(const word_model *m, struct unigram_scratch **scratch, slice word, token_list *out)
{
    (void)m, (void)scratch, (void)word, (void)out;
    return fail(LORAC_ERROR_DATA, "Unigram is not there yet");
}
void unigram_scratch_free(struct unigram_scratch *s)
{
    (void)s;
}
void unigram_free(unigram *u)
{
    (void)u;
}
