/* safetensors_shards.h: the weights of a model in a folder as transformers files them: one model.safetensors, or, where
 * they are larger than a limit, model-00001-of-0000N.safetensors ... with model.safetensors.index.json, which says what
 * lies where. Declared and given like one safetensors file. Knows files, never models. */
#ifndef LORAC_SAFETENSORS_SHARDS_H
#define LORAC_SAFETENSORS_SHARDS_H

#include "safetensors.h"

typedef struct shards_writer shards_writer;
/* A file holds at most `limit` bytes of tensors; one tensor that is larger has a file of its own. */
int shards_begin(shards_writer **out, const char *folder, uint64_t limit);
int shards_declare(shards_writer *w, const char *name, dtype type, int ndim, const int64_t *dim);
/* Bytes of the declared tensors, in order; pieces of any size that do not reach beyond a tensor. */
int shards_data(shards_writer *w, const void *p, size_t bytes);
int shards_finish(shards_writer *w); /* frees w in any case */
void shards_abandon(shards_writer *w);

#endif
