/* llama_tidy.h: the blanks that llama_detokenize leaves out of a whole text. */
#ifndef LORAC_LLAMA_TIDY_H
#define LORAC_LLAMA_TIDY_H

#include "str.h"

/* Three passes over the bytes from `begin` on: no blank before one of "?!.,"; none around an apostrophe between blanks;
 * none before 's, 'm, 're, 've. */
void llama_tidy(buf *text, size_t begin);

#endif
