/* changes.h: the characters that take the place of a text's own, in the terms of Hugging Face's tokenizers: each says
 * how many of the old ones it stands for. */
#ifndef LORAC_CHANGES_H
#define LORAC_CHANGES_H

#include "str.h"

/* A character of the new text: 0 takes the place of one old character, 1 is new, -n takes the place of n + 1. */
typedef struct change {
    uint32_t c;
    int32_t change;
    uint8_t class;
} change;

typedef struct changes {
    change *p;
    size_t n, capacity;
} changes;

int changes_add(changes *list, change c);

#endif
