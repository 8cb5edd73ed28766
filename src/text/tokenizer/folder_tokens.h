/* folder_tokens.h: the tokens that the JSON files of a Hugging Face folder add to a vocabulary which stands in a file
 * of another kind: with the ids and flags, and in the order, that transformers (5.23) gives them. Of the vocabulary it
 * knows only which tokens it has. */
#ifndef LORAC_FOLDER_TOKENS_H
#define LORAC_FOLDER_TOKENS_H

#include "json.h"

typedef enum special_name {
    SPECIAL_BOS,
    SPECIAL_EOS,
    SPECIAL_UNK,
    SPECIAL_SEP,
    SPECIAL_PAD,
    SPECIAL_CLS,
    SPECIAL_MASK,
    SPECIAL_COUNT
} special_name;

/* A special token of one class, the key that it has in the files, and what it is where they do not say. */
typedef struct special_default {
    const char *key, *text;
} special_default;

typedef struct folder_tokens {
    /* tokenizer_config.json, special_tokens_map.json, added_tokens.json, config.json; NULL: not there. The second and
     * third count only where the first has no added_tokens_decoder, and are NULL otherwise. */
    json_t *config, *map, *numbers, *model;
    buf path;                        /* of tokenizer_config.json, for messages */
    const char *class_name;          /* of the tokenizer, as the folder says; else NULL ... */
    const char *model_type;          /* ... and this, if config.json says it, stands in for it */
    const char *const *defaults;     /* SPECIAL_COUNT, of the class; NULL: it has none */
    const special_default *own;      /* of the class, up to one without a key; NULL: it has none */
    bool mask_left, mask_normalised; /* the class's mask token, where it has no flags */
    /* The id of a token of the vocabulary, -1: it has no such token. */
    int64_t (*id_of)(const void *vocabulary, const char *text);
    const void *vocabulary;
    int64_t next;          /* the id of the next token that the vocabulary does not have */
    json_t *list;          /* as tokenizer.json has it under "added_tokens" */
    json_t *places;        /* the tokens of the list, to their places in it */
    json_t *named, *extra; /* what the files and the class call special: by name, and without */
} folder_tokens;

/* Reads the files. What is the class's, id_of, vocabulary and next are set by the caller, before what follows. */
int folder_tokens_open(folder_tokens *f, const char *folder);
/* Sets the last three for a vocabulary {"token": id, ...}. */
void folder_tokens_beside(folder_tokens *f, const json_t *vocabulary);
void folder_tokens_free(folder_tokens *f);

/* An object in the folder's file of this name, *path that file's; *out is NULL where there is no such file. */
int folder_read(json_t **out, buf *path, const char *folder, const char *name);

/* Whether the folder's class is one of these names, or, where it names none, its model type one of these types. */
bool folder_is_class(const folder_tokens *f, const char *names, const char *types);
/* What the files say under this key: its string, or that of a token; or NULL. */
const char *folder_text(const folder_tokens *f, const char *key);
bool folder_lists_extra(const folder_tokens *f);
/* The string of a special token, or NULL: none. */
const char *folder_special(const folder_tokens *f, special_name which);
int64_t folder_special_id(const folder_tokens *f, special_name which); /* once it is in the vocabulary or the list */
/* A post_processor in tokenizer.json's words: both around a text, as in RoBERTa. */
json_t *folder_surroundings(const folder_tokens *f, special_name cls, special_name sep, bool trims, bool prefixed);

/* Puts one token on the list: special or not, and found as it stands. */
int folder_add(folder_tokens *f, const char *text, bool special);
/* Puts there all that the files and the class add. */
int folder_add_all(folder_tokens *f);
/* The class adds its special tokens once more, without their flags. */
int folder_add_plainly(folder_tokens *f);
size_t folder_tokens_most(const folder_tokens *f); /* that folder_add_all adds */

#endif
