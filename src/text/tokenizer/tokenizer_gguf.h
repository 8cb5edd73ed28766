/* tokenizer_gguf.h: what the parts of the reader of GGUF's tokenizers share: the file, the tokenizer that is made, and
 * what is known of it so far. */
#ifndef LORAC_TOKENIZER_GGUF_H
#define LORAC_TOKENIZER_GGUF_H

#include "recipe.h"
#include "tokenizer_parts.h"

/* The file's token types. */
enum { TYPE_UNDEFINED, TYPE_NORMAL, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

typedef struct gguf_reader {
    tokenizer *t;
    const gguf *g;
    const recipe *recipe; /* of byte-pair encoding; otherwise NULL */
    uint8_t *types;       /* by id */
    bool add_bos, add_eos;
    bool space_prefix; /* of what is decoded, the first blank is ours */
    bool lowercase, merge_spaces;
} gguf_reader;

extern const char *const gguf_role_keys[ROLE_COUNT];

/* Fails unless `type` is an array of what is wanted; *out is NULL when the file has no such key. */
typedef enum array_kind { ARRAY_STRINGS, ARRAY_INTEGERS, ARRAY_SCORES, ARRAY_BYTES } array_kind;
int gguf_reader_array(const gguf_reader *r, const char *key, array_kind kind, const gguf_value **out);
int gguf_reader_fail(const gguf_reader *r, const char *key, const char *sentence);
/* An id below the vocabulary's size, or -1 where the file says "none"; *id stays when the file says nothing. */
int gguf_reader_id(const gguf_reader *r, const char *key, int64_t *id);

/* The steps before and after the model, and the model, once the tokens are read. */
int gguf_read_bpe(gguf_reader *r, slice model);
int gguf_read_spm(gguf_reader *r);
int gguf_read_bert(gguf_reader *r);
int gguf_read_unigram(gguf_reader *r);

/* Tokens that llama.cpp knows by their text: changes their types, and adds those that end a generation. The roles are
 * read. */
int gguf_read_known_tokens(gguf_reader *r);
/* Whether llama.cpp takes a token of this text for the end of a generation, whatever the file says. */
bool gguf_ends_by_text(slice token);
/* Every token that a text may name, with the white space that it takes. */
int gguf_add_special_tokens(gguf_reader *r);

#endif
