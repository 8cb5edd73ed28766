/* sentencepiece.h: what the file of a SentencePiece model says (".model", a protobuf message): its pieces and how texts
 * are prepared. Knows nothing of tokenizers. */
#ifndef LORAC_SENTENCEPIECE_H
#define LORAC_SENTENCEPIECE_H

#include "arena.h"
#include "str.h"

typedef enum piece_type {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN,
    PIECE_CONTROL,
    PIECE_USER_DEFINED,
    PIECE_UNUSED,
    PIECE_BYTE
} piece_type;

typedef struct piece {
    slice text;
    float score;
    piece_type type;
} piece;

typedef enum sentencepiece_kind {
    SENTENCEPIECE_UNIGRAM = 1,
    SENTENCEPIECE_BPE,
    SENTENCEPIECE_WORD,
    SENTENCEPIECE_CHAR
} sentencepiece_kind;

typedef struct sentencepiece {
    const char *path; /* for messages */
    piece *pieces;
    size_t count;
    sentencepiece_kind kind;
    int64_t unknown, begin, end, pad; /* ids the trainer was told; -1: none */
    slice begin_text, end_text, pad_text;
    slice unknown_surface; /* what the unknown piece is decoded as */
    bool byte_fallback, blank_behind;
    slice rules; /* precompiled; empty: none */
    bool add_blank, squeeze, escape;
    bool restores; /* has rules for what is decoded, too */
} sentencepiece;

/* Reads the message. Strings are copied into the arena, as is the path; those of pieces end with a zero byte. */
int sentencepiece_parse(sentencepiece *out, slice bytes, arena *a, const char *path);

#endif
