/* gguf.h: llama.cpp's model file, versions 2 and 3, read by mapping and written aside. Names and values are as in the
 * file; what they mean is for the model layer. Dimensions come out slowest first (the file has them fastest first). */
#ifndef LORAC_GGUF_H
#define LORAC_GGUF_H

#include "arena.h"
#include "file.h"
#include "map.h"
#include "tensor.h"

typedef enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
} gguf_type;

typedef struct gguf_value {
    const char *key;
    gguf_type type; /* GGUF_ARRAY: of `element` */
    gguf_type element;
    uint64_t count;         /* array elements; 1 otherwise */
    const uint8_t *p;       /* the value's bytes in the map; strings: u64 length + bytes, back to back in arrays */
    const uint64_t *starts; /* string arrays: offset of each element from p */
} gguf_value;

typedef struct gguf {
    const char *path;
    mapped file;
    uint32_t version;
    size_t value_count, tensor_count;
    gguf_value *values;
    const char **names; /* of tensors */
    tensor *tensors;
    map keys, index;
    arena memory;
} gguf;

int gguf_open(gguf *out, const char *path);
void gguf_close(gguf *g);
const tensor *gguf_tensor(const gguf *g, const char *name);  /* or NULL */
const gguf_value *gguf_find(const gguf *g, const char *key); /* or NULL */

/* Typed getters. A missing key leaves *out as it is and is fine; a wrong type or range is LORAC_ERROR_DATA naming file
 * and key. */
int gguf_take_int(const gguf *g, const char *key, int64_t least, int64_t most, int64_t *out); /* any integer type */
int gguf_take_real(const gguf *g, const char *key, double *out);                              /* F32, F64; finite */
int gguf_take_bool(const gguf *g, const char *key, bool *out);
int gguf_take_text(const gguf *g, const char *key, slice *out);
/* Element i of a string array, or of an integer array. */
slice gguf_string(const gguf_value *v, uint64_t i);
int64_t gguf_int(const gguf_value *v, uint64_t i);
double gguf_real(const gguf_value *v, uint64_t i);
size_t gguf_value_bytes(const gguf_value *v); /* from p, as in the file */
size_t gguf_scalar_bytes(gguf_type type);     /* 0 for strings and arrays */
int gguf_type_number(dtype type);             /* ggml's number of a tensor's type, or -1 */

/* Writing: all keys, then all declarations, then the data in order (alignment 32 is kept for you). */
typedef struct gguf_writer gguf_writer;
int gguf_begin(gguf_writer **out, const char *path);
void gguf_put_u32(gguf_writer *w, const char *key, uint32_t v);
void gguf_put_f32(gguf_writer *w, const char *key, float v);
void gguf_put_bool(gguf_writer *w, const char *key, bool v);
void gguf_put_text(gguf_writer *w, const char *key, slice v);
void gguf_put_text_array(gguf_writer *w, const char *key, const slice *v, size_t n);
void gguf_put_bytes(gguf_writer *w, const char *key, slice v);
void gguf_put_i32_array(gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_put_f32_array(gguf_writer *w, const char *key, const float *v, size_t n);
/* A key as another file has it, byte for byte. */
void gguf_put_copy(gguf_writer *w, const gguf_value *v);
int gguf_declare(gguf_writer *w, const char *name, dtype type, int ndim, const int64_t *dim);
int gguf_data(gguf_writer *w, const void *p, size_t bytes);
int gguf_finish(gguf_writer *w); /* frees w in any case */
void gguf_abandon(gguf_writer *w);

#endif
