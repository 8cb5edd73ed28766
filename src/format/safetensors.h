/* safetensors.h: Hugging Face's tensor file: u64le N, N bytes of JSON, then the bytes. The reader is strict where the
 * format's own README is (no holes, no overlaps, no trailing bytes, no duplicate names). Knows files, never models. */
#ifndef LORAC_SAFETENSORS_H
#define LORAC_SAFETENSORS_H

#include "arena.h"
#include "file.h"
#include "map.h"
#include "tensor.h"

typedef struct safetensors {
    const char *path;
    mapped file;
    size_t count;
    const char **names; /* in file order */
    tensor *tensors;    /* data points into the map; a file may be so laid out that it is unaligned: copy then */
    map index;          /* name -> position */
    slice metadata;     /* the __metadata__ object's JSON text, or empty */
    arena memory;
} safetensors;

int safetensors_open(safetensors *out, const char *path);
void safetensors_close(safetensors *s);
const tensor *safetensors_find(const safetensors *s, const char *name); /* or NULL */

/* Writing: declare every tensor, then give the bytes in the order declared. Written aside, put in place by finish. */
typedef struct safetensors_writer safetensors_writer;
int safetensors_begin(safetensors_writer **out, const char *path);
int safetensors_declare(safetensors_writer *w, const char *name, dtype type, int ndim, const int64_t *dim);
/* `bytes` of the declared tensors, in order; pieces of any size. */
int safetensors_data(safetensors_writer *w, const void *p, size_t bytes);
int safetensors_finish(safetensors_writer *w); /* frees w in any case */
void safetensors_abandon(safetensors_writer *w);
/* All at once, from memory. */
int safetensors_save(const char *path, const char *const *names, const tensor *tensors, size_t count);

#endif
