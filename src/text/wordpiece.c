#include "word_model.h"
int wordpiece_word(const word_model *m, buf *scratch, slice word, token_list *out)
{
    (void)m, (void)scratch, (void)word, (void)out;
    return fail(LORAC_ERROR_DATA, "WordPiece is not there yet");
}
