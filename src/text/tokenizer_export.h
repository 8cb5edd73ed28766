/* tokenizer_export.h: a tokenizer in the other file format: what a converted model needs beside its weights. */
#ifndef LORAC_TOKENIZER_EXPORT_H
#define LORAC_TOKENIZER_EXPORT_H

#include "tokenizer.h"

/* Writes tokenizer.json, tokenizer_config.json, generation_config.json (end tokens) and the chat
 * templates into a folder. `t` was opened from `g`. */
int tokenizer_save_folder(const tokenizer *t, const gguf *g, const char *folder);
/* Copies what Hugging Face keeps of a tokenizer and its chat templates, as far as it is there, from one folder to
 * another. */
int tokenizer_copy_folder(const char *from, const char *to);
/* The templates for other occasions than the default; in a folder, to copy and to remove. */
int tokenizer_copy_templates(const char *from, const char *to);
int tokenizer_drop_templates(const char *folder);
/* Puts the tokenizer.ggml.* keys and the chat templates. `t` was opened from `folder`. `rows` of the embedding that
 * have no token are filled up as
 * "[PADn]", unused. A pre-tokeniser that llama.cpp has no name for is LORAC_ERROR_USAGE. */
int tokenizer_put_gguf(const tokenizer *t, const char *folder, gguf_writer *w, int64_t rows);

#endif
