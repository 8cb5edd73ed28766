/* tokenizer.h: text to ids and back, equal to what the model file's own tool gives (Hugging Face tokenizers for
 * tokenizer.json, llama.cpp for GGUF metadata). Keeps the texts of chat templates for others, but knows nothing of
 * them, nor of rows or models. A tokenizer is immutable and may be shared by threads. */
#ifndef LORAC_TOKENIZER_H
#define LORAC_TOKENIZER_H

#include "gguf.h"
#include "str.h"

#include <jansson.h>

typedef struct tokenizer tokenizer;

/* The ids of a text. begin and end are byte offsets into it (0,0 for added specials); special marks ids the
 * post-processor added. */
typedef struct encoding {
    int32_t *ids;
    uint32_t *begin, *end;
    uint8_t *types, *special;
    size_t count, capacity;
} encoding;

/* A folder with tokenizer.json or a SentencePiece model (and tokenizer_config.json, chat_template.jinja,
 * special_tokens_map.json, added_tokens.json, generation_config.json, if there). */
int tokenizer_open_folder(tokenizer **out, const char *folder);
/* Has the folder any file of a tokenizer, whether it can be opened or not? */
bool tokenizer_is_in_folder(const char *folder);
int tokenizer_open_gguf(tokenizer **out, const gguf *g);
void tokenizer_free(tokenizer *t);

/* Appends to `out`, which starts as {0}. add_special: -1 the file's own default, 0 no, 1 yes.
 * Invalid UTF-8 is replaced by U+FFFD. */
int tokenizer_encode(const tokenizer *t, slice text, int add_special, encoding *out);
void encoding_clear(encoding *e);
void encoding_free(encoding *e);

/* The ids of two texts, as an encoder takes them; begin and end are offsets into each one's own text. */
int tokenizer_encode_pair(const tokenizer *t, slice first, slice second, int add_special, encoding *out);

int tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, buf *out);
/* The same without what is done to a whole text only (llama.cpp drops blanks before punctuation). */
int tokenizer_decode_part(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, buf *out);

/* Streaming decode: feed ids one by one, take what is certain (whole characters). */
typedef struct detokenizer {
    const tokenizer *t;
    int32_t *ids; /* the last ones */
    size_t count, capacity, said;
    bool skip_special;
} detokenizer;
void detokenizer_init(detokenizer *d, const tokenizer *t, bool skip_special);
int detokenizer_feed(detokenizer *d, int32_t id, buf *out); /* appends */
int detokenizer_end(detokenizer *d, buf *out);              /* appends what was held back; frees */

/* NULL, or lines on what of the file is left out on purpose. */
const char *tokenizer_notes(const tokenizer *t);
int32_t tokenizer_vocabulary(const tokenizer *t);      /* ids are below this */
slice tokenizer_token(const tokenizer *t, int32_t id); /* the vocabulary's own string; empty when there is none */
int32_t tokenizer_id(const tokenizer *t, slice token); /* or -1 */
bool tokenizer_is_special(const tokenizer *t, int32_t id);
/* Never made of text by the model itself: special, added, or one that ends a generation. */
bool tokenizer_is_added(const tokenizer *t, int32_t id);

/* -1 where the model has none. */
typedef enum token_role { TOKEN_BOS, TOKEN_EOS, TOKEN_UNK, TOKEN_PAD, TOKEN_SEP, TOKEN_MASK } token_role;
int32_t tokenizer_role(const tokenizer *t, token_role role);
/* Every id that ends a generation: eos, eot and generation_config.json's. */
size_t tokenizer_ends(const tokenizer *t, const int32_t **ids);
/* Chat templates by name ("default", "tool_use", ...), with the file each stands in; p NULL when there is none. */
slice tokenizer_chat_template(const tokenizer *t, const char *name, const char **file);
const char *tokenizer_chat_template_name(const tokenizer *t, size_t i); /* NULL after the last */
/* What templates find under "bos_token", "eos_token" and so on: an object of texts, or NULL. */
const json_t *tokenizer_template_variables(const tokenizer *t);

#endif
