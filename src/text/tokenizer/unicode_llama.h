/* unicode_llama.h: characters as llama.cpp sees them: its tables are Unicode 15.1's, and its expressions know a
 * character outside of ASCII by its general category's first letter alone. */
#ifndef LORAC_UNICODE_LLAMA_H
#define LORAC_UNICODE_LLAMA_H

#include <stdbool.h>
#include <stdint.h>

typedef enum llama_group {
    LLAMA_LETTER,
    LLAMA_NUMBER,
    LLAMA_MARK,
    LLAMA_PUNCTUATION,
    LLAMA_SYMBOL,
    LLAMA_CONTROL,
    LLAMA_UNASSIGNED,
    LLAMA_BLANK
} llama_group;

llama_group llama_group_of(uint32_t c);
/* ASCII as it is; for another character one of the same number of bytes that expressions take for the same: all letters
 * are of category Lo, and ideographs apart from the others. */
uint32_t llama_stand_in(uint32_t c);

bool llama_stands_alone(uint32_t c); /* a BERT word of its own: punctuation, ideographs */
uint32_t llama_base(uint32_t c);     /* the first character of its canonical decomposition: llama.cpp's NFD */
uint32_t llama_lower(uint32_t c);    /* one character for one */

#endif
