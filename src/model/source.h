/* source.h: where a model's tensors come from: a Hugging Face folder (one file, or shards with an index) or a GGUF
 * file. Answers by the name the file uses; knows no architecture. */
#ifndef LORAC_SOURCE_H
#define LORAC_SOURCE_H

#include "gguf.h"
#include "safetensors.h"

typedef struct model_source {
    const char *path;
    bool is_gguf;
    gguf gguf;
    safetensors *shards;
    size_t shard_count;
    arena memory;
} model_source;

/* Fills `out` in place; source_close also ends a half-open one. A folder without weights is LORAC_ERROR_DATA. */
int source_open(model_source *out, const char *path);
void source_close(model_source *s);
/* See file_let_go. */
void source_let_go(const model_source *s);
const tensor *source_find(const model_source *s, const char *name);
/* Every tensor in turn, for listing: NULL after the last. */
const tensor *source_at(const model_source *s, size_t i, const char **name);

#endif
