/* tokenizer_to_gguf.h: what the parts of the writer of GGUF's tokenizers share: the tokenizer, and its vocabulary as
 * the file will have it. What llama.cpp cannot do is refused, with the component's name, when it would change the ids
 * of ordinary texts, and told in a note when it touches rare ones. */
#ifndef LORAC_TOKENIZER_TO_GGUF_H
#define LORAC_TOKENIZER_TO_GGUF_H

#include "tokenizer_gguf.h"

typedef struct gguf_export {
    const tokenizer *t;
    gguf_writer *w;
    size_t count; /* tokens, with those that fill up the embedding */
    slice *tokens;
    int32_t *types;
    float *scores;
    bool scored;           /* the scores are written */
    int32_t before, after; /* ids around a text; -1: none */
    buf *notes;            /* lines; or NULL */
    arena memory;
} gguf_export;

/* `component` names it as tokenizer.json does; `found` may be NULL. */
int gguf_refuse(const gguf_export *e, const char *component, const char *found, const char *sentence);
void gguf_note(const gguf_export *e, const char *sentence);
/* A normaliser that has no place in the file: NFC is noted, the others are refused. */
int gguf_leave_normaliser(const gguf_export *e, const normalise_step *step);
int gguf_leave_split(const gguf_export *e, const split_step *step);
/* Whether the steps do nothing but write blanks as U+2581. *prefix: with one in front. */
bool gguf_escapes_blanks(const normalise_step *step);
bool gguf_adds_blank(const normalise_step *step);

/* Fails where words are cut apart that a token reaches over; elsewhere a text as a whole gives the same. */
int gguf_check_words(const gguf_export *e);

/* Puts what only files of this model have, and sets what of the tokens is its own. */
int gguf_put_letters(gguf_export *e); /* byte-pair encoding of the byte alphabet: gpt2 */
int gguf_put_blanks(gguf_export *e);  /* and of SentencePiece's: llama */
int gguf_put_unigram(gguf_export *e); /* t5 */
int gguf_put_bert(gguf_export *e);

/* Shared by the last three. A token of this id becomes one that no text can be cut into. */
int gguf_hide_token(gguf_export *e, size_t id);
bool gguf_is_character(slice token); /* a single one */
/* The scores by id. A token without one (NaN) that is of no other type is hidden. */
int gguf_type_scored(gguf_export *e, const double *scores);
/* User-defined symbols of the sentencepiece library: with blanks as they are in a text. */
int gguf_unescape_user_defined(gguf_export *e, bool prefixed);

#endif
