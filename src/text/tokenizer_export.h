/* tokenizer_export.h: a tokenizer in the other file format: what a converted model needs beside its weights. */
#ifndef LORAC_TOKENIZER_EXPORT_H
#define LORAC_TOKENIZER_EXPORT_H

#include "tokenizer.h"

/* `notes` may be NULL; otherwise it gains a line for each thing that the other format says in another way, so that rare
 * texts get other ids. What would change those of ordinary texts is LORAC_ERROR_DATA, with the component's name. */

/* Writes tokenizer.json, tokenizer_config.json, generation_config.json (end tokens) and the chat
 * templates into a folder. `t` was opened from `g`. */
int tokenizer_save_folder(const tokenizer *t, const gguf *g, const char *folder, buf *notes);
/* Puts the tokenizer.ggml.* keys and the chat templates of a tokenizer that was opened from a folder. The file gets
 * as many tokens as the embedding has `rows` (0: as there are): more are "[PADn]", unused. */
int tokenizer_put_gguf(const tokenizer *t, gguf_writer *w, int64_t rows, buf *notes);
/* Copies what Hugging Face keeps of a tokenizer and its chat templates, as far as it is there, from one folder to
 * another. */
int tokenizer_copy_folder(const char *from, const char *to);
/* The templates for other occasions than the default; in a folder, to copy and to remove. */
int tokenizer_copy_templates(const char *from, const char *to);
int tokenizer_drop_templates(const char *folder);

#endif
