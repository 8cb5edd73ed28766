/* vocabulary.h: the tokens of a tokenizer, by id and by their bytes. Nothing is changed after opening. */
#ifndef LORAC_VOCABULARY_H
#define LORAC_VOCABULARY_H

#include "map.h"
#include "str.h"

/* How a token is decoded, and whether a text may name it. */
enum {
    TOKEN_ADDED = 1,    /* found in text before anything else */
    TOKEN_SPECIAL = 2,  /* left out by skip_special */
    TOKEN_VERBATIM = 4, /* decoded as it stands */
    TOKEN_BYTE = 8,     /* "<0xHH>": decoded as that byte */
    TOKEN_SILENT = 16,  /* decoded as nothing */
    TOKEN_FOREIGN = 32, /* no part of a word: an added token that the model lacks, or a piece for other ends */
    TOKEN_UNUSED = 64   /* others are merged from it, but what is left of it is split again */
};

enum { VOCABULARY_MOST = 1 << 24, ADDED_TOKEN_LONGEST = 1024 };

typedef struct vocabulary {
    slice *token;    /* by id; p NULL: no such id */
    slice *spelling; /* NULL, or by id what decoding takes for the token where that is another string */
    uint8_t *flags;
    int32_t count;
    map ids;
} vocabulary;

#endif
