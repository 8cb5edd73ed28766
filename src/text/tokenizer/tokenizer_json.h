/* tokenizer_json.h: reading the components of a tokenizer.json, with their place in it for messages. */
#ifndef LORAC_TOKENIZER_JSON_H
#define LORAC_TOKENIZER_JSON_H

#include "folder_tokens.h"
#include "tokenizer_parts.h"

/* A component: its JSON, NULL where there is none, and where it stands ("pre_tokenizer.pretokenizers[1]"). */
typedef struct part {
    const json_t *json;
    const char *place;
} part;

int part_fail(const tokenizer *t, part p, const char *sentence);
int part_refuse(const tokenizer *t, part p, const char *type); /* a component we do not have */
int part_member(tokenizer *t, part p, const char *key, part *out);
int part_element(tokenizer *t, part p, size_t i, part *out);
int part_text(tokenizer *t, part p, slice *out); /* a copy that lives as long as the tokenizer */
/* These leave *out as it is when the field is missing or null. */
int part_bool(tokenizer *t, part p, const char *key, bool *out);
int part_int(tokenizer *t, part p, const char *key, int64_t least, int64_t most, int64_t *out);
int part_name(tokenizer *t, part p, const char *key, const char **out); /* a text; lives as long as the JSON */
/* Calls `build` for every element of the array under `key`. */
int part_each(tokenizer *t, part p, const char *key, int (*build)(tokenizer *, part));

int part_type(tokenizer *t, part p, const char **type);
int part_pattern(tokenizer *t, part p, pattern *out); /* its "pattern": a string or an expression */

/* The model and its vocabulary, with room for the added tokens that it lacks. */
int read_model(tokenizer *t, part model, const json_t *added);
int read_unigram(tokenizer *t, part model, const json_t *added); /* of the type "Unigram" */

/* Each adds the steps of one component. */
int build_normaliser(tokenizer *t, part p);
int build_split(tokenizer *t, part p);
int build_post(tokenizer *t, part p);
int build_decoder(tokenizer *t, part p);

/* All but the model, whose vocabulary must be there, with room for the added tokens. */
int tokenizer_read_steps(tokenizer *t, const json_t *json);

/* The whole, from the words of a tokenizer.json, for a folder of older files, with the roles of its special tokens;
 * `path` is for messages. */
int tokenizer_from_folder(tokenizer **out, const json_t *json, const char *path, const folder_tokens *f,
                          bool keeps_templates);

/* The roles, by the names of special tokens. */
void tokenizer_take_specials(tokenizer *t, const folder_tokens *f);

#endif
