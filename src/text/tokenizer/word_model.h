/* word_model.h: what makes tokens of a word: one of four models and what they do with characters that their vocabulary
 * lacks. A word is any stretch of normalised text that the pre-tokenizers left whole. Knows nothing of how words are
 * found. A model is immutable; what a run needs besides stands in a model_run. */
#ifndef LORAC_WORD_MODEL_H
#define LORAC_WORD_MODEL_H

#include "err.h"
#include "mem.h"
#include "vocabulary.h"

/* ---- What comes out */

typedef struct word_token {
    int32_t id;
    uint32_t begin, end; /* bytes of the word */
} word_token;

typedef struct token_list {
    word_token *items;
    size_t count, capacity;
} token_list;

int token_list_add(token_list *list, int32_t id, size_t begin, size_t end);

/* ---- Characters without a token */

typedef struct unknown_rule {
    int32_t id;         /* or -1: they vanish, */
    bool missed;        /* or are an error: there should be one */
    bool fuse;          /* neighbours become one token */
    bool by_bytes;      /* their bytes' tokens, if there are all of them */
    int32_t bytes[256]; /* the tokens "<0x00>" .. "<0xFF>", or -1 */
} unknown_rule;

void unknown_rule_open(unknown_rule *u, const vocabulary *v);
bool unknown_has_bytes(const unknown_rule *u, slice character);
/* What it is to have no token for a text: the error, or LORAC_OK where it vanishes. */
int unknown_miss(const unknown_rule *u);
/* Appends what stands for word[begin, end), one character: its bytes' tokens, the unknown token, or nothing. */
int unknown_add(const unknown_rule *u, token_list *out, slice word, size_t begin, size_t end);

/* ---- Byte-pair encoding */

typedef struct bpe_merge {
    uint64_t pair; /* the left token's id above the right one's */
    uint32_t rank_plus_one;
    int32_t id;
} bpe_merge; /* 0: an empty slot */

typedef struct bpe {
    bpe_merge *merges;
    size_t capacity;        /* a power of two */
    const float *scores;    /* by id, or NULL: neighbours merge when they are a token together, the highest score first
                               (SentencePiece); NaN: never. Not the bpe's own */
    int32_t letters[0x200]; /* the ids of U+0000 .. U+01FF alone, or -1 */
    slice prefix, suffix;   /* in the tokens of characters that do not begin a word, that end it */
    bool ignore_merges;     /* a word that is a token is that token */
    bool newlines_whole;    /* the same for a word of newlines alone (llama.cpp, for Gemma) */
    bool splits;            /* tokens flagged TOKEN_UNUSED are split again */
    bool unknown_stay;      /* characters without a token stand between others until all is merged (llama.cpp) */
} bpe;

/* With no merges yet and room for `merge_count`. */
int bpe_open(bpe *b, const vocabulary *v, size_t merge_count);
void bpe_free(bpe *b);
/* Adds "left right" of this rank. When the pair is there already it stays or gives way. */
int bpe_add_merge(bpe *b, const vocabulary *v, buf *scratch, slice left, slice right, uint32_t rank, bool last_wins,
                  const fault *where);

/* The merges by rank; the two tokens of one are the halves of its pair. The caller frees the list. */
int bpe_list_merges(const bpe *b, bpe_merge **out, size_t *count);

/* ---- WordPiece: the longest token that begins the rest of the word, again and again */

typedef struct wordpiece {
    slice prefix;           /* of tokens that do not begin a word: "##" */
    size_t characters_most; /* longer words are unknown */
    size_t longest;         /* bytes of the longest token */
} wordpiece;

void wordpiece_open(wordpiece *w, const vocabulary *v); /* the rest is set by the caller */

/* ---- The whole */

typedef enum model_kind { MODEL_BPE, MODEL_UNIGRAM, MODEL_WORDPIECE, MODEL_WORDLEVEL } model_kind;

typedef struct word_model {
    model_kind kind;
    const vocabulary *vocabulary;
    unknown_rule unknown;
    bpe bpe;
    struct unigram *unigram; /* unigram.h */
    wordpiece wordpiece;
    bool at_blanks; /* WORDLEVEL: every U+2581 begins a word, as in SentencePiece */
    bool cuts;
} word_model;

void word_model_free(word_model *m);
/* Or -1. Tokens that are flagged TOKEN_FOREIGN are none of the model's, though the vocabulary has them. */
int32_t word_token_id(const vocabulary *v, slice token);

/* Where no token but those that begin with U+2581 (a blank, in SentencePiece's terms) holds one, words can be cut
 * before it: what comes out is the same, but short words are met again and remembered. To be called when the model is
 * complete. */
void word_model_find_cuts(word_model *m);
/* The end of the part of the word that begins at `from`. */
size_t word_model_cut(const word_model *m, slice word, size_t from);

typedef struct model_run model_run;
/* The scratch of one encode, with the words met so far. */
int model_run_open(model_run **out, const word_model *m, size_t text_length);
void model_run_free(model_run *r);
/* The tokens of one word, valid until the next call. */
int model_word(model_run *r, slice word, const word_token **tokens, size_t *count);

/* Do the merges make one token of every run of newlines that is one? *whole is true then. */
int word_model_merges_newlines(const word_model *m, bool *whole);

/* Each appends the tokens of one word; its scratch starts as {0} and is freed with its own function. */
struct bpe_scratch;
int bpe_word(const word_model *m, struct bpe_scratch **scratch, slice word, token_list *out);
void bpe_scratch_free(struct bpe_scratch *s);
int wordpiece_word(const word_model *m, buf *scratch, slice word, token_list *out);

#endif
