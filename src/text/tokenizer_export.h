/* tokenizer_export.h: a tokenizer as files: what a converted model needs beside its weights. */
#ifndef LORAC_TOKENIZER_EXPORT_H
#define LORAC_TOKENIZER_EXPORT_H

#include "tokenizer.h"

/* Writes tokenizer.json, tokenizer_config.json, generation_config.json (end tokens) and, where there is a template, chat_template.jinja into a folder.
 * For tokenizers that came from GGUF metadata; those of folders are copied as files instead. */
int tokenizer_save(const tokenizer *t, const char *folder);
/* Puts the tokenizer.ggml.* keys and tokenizer.chat_template. For tokenizers that came from a folder; keys of a GGUF file are copied instead.
 * `vocabulary`: rows of the embedding; missing ids are filled up as "[PADn]", unused. A pre-tokeniser that llama.cpp has no name for
 * is LORAC_ERROR_USAGE. */
int tokenizer_put_gguf(const tokenizer *t, gguf_writer *w, int64_t vocabulary);

#endif
