/* tokenizer_to_folder.h: what the parts of the writer of tokenizer.json share. */
#ifndef LORAC_TOKENIZER_TO_FOLDER_H
#define LORAC_TOKENIZER_TO_FOLDER_H

#include "json.h"
#include "recipe.h"
#include "tokenizer_parts.h"

/* What stands in for llama.cpp's care for blanks with a unigram model: they go at both ends; and the one in front of a
 * text goes where there is nothing but blanks. */
#define BLANKS_AT_ENDS "\\A +| +\\z"
#define BLANK_BEFORE_BLANKS "\\A\u2581(?=\u2581*\\z)"

json_t *json_of_slice(slice s);
/* "single" of a TemplateProcessing: the added ids around the text. Null where there are none. */
json_t *json_of_surroundings(const tokenizer *t);

/* The model of a tokenizer that was opened from `g`, which names the recipe (or NULL), and the steps around it, as
 * members of a tokenizer.json. *refused is true where that has no words for them; NULL otherwise: without memory. What
 * it says in other words than llama.cpp, with the same ids for ordinary texts, is told in `notes` (or NULL), a line
 * each. */
json_t *json_of_model(const tokenizer *t, const gguf *g, slice model, const recipe *r, buf *notes, bool *refused);

#endif
