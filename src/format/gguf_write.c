/* gguf_write.c: making a GGUF v3 file. Keys and declarations are collected in memory; the first data writes them out,
 * after which only bytes are counted and padded. The file appears under its name when it is whole. */
#include "gguf.h"

#include "err.h"
#include "mem.h"

#include <string.h>

enum { VERSION = 3, ALIGNMENT = 32, NAME_LIMIT = 63, DIMS_LIMIT = 4 };

struct gguf_writer {
    writer file;
    buf values, tensors; /* as they will stand in the file */
    uint64_t value_count, tensor_count;
    uint64_t declared; /* bytes of data up to the last declared tensor's end */
    uint64_t *sizes;   /* of the tensors, unpadded */
    size_t current;    /* the tensor whose data comes next */
    uint64_t given;    /* bytes of it so far */
    bool header_written;
};

int gguf_begin(gguf_writer **out, const char *path)
{
    gguf_writer *w = mem_new(1, sizeof *w);
    int status;

    *out = NULL;
    if (!w)
        return fail_memory();
    status = writer_open(&w->file, path);
    if (status != LORAC_OK) {
        mem_free(w);
        return status;
    }
    *out = w;
    return LORAC_OK;
}

/* ---- Keys. Running out of memory sticks to the buffers and comes out with the first data. */

static void put_u32(buf *b, uint32_t v)
{
    buf_add(b, (const char *)&v, sizeof v);
}

static void put_u64(buf *b, uint64_t v)
{
    buf_add(b, (const char *)&v, sizeof v);
}

static void put_text(buf *b, slice text)
{
    put_u64(b, text.n);
    buf_slice(b, text);
}

static void put_key(gguf_writer *w, const char *key, gguf_type type)
{
    assert(!w->header_written);
    w->value_count++;
    put_text(&w->values, slice_of(key));
    put_u32(&w->values, type);
}

static void put_array(gguf_writer *w, const char *key, gguf_type element, size_t n)
{
    put_key(w, key, GGUF_ARRAY);
    put_u32(&w->values, element);
    put_u64(&w->values, n);
}

void gguf_put_u32(gguf_writer *w, const char *key, uint32_t v)
{
    put_key(w, key, GGUF_U32);
    put_u32(&w->values, v);
}

void gguf_put_f32(gguf_writer *w, const char *key, float v)
{
    put_key(w, key, GGUF_F32);
    buf_add(&w->values, (const char *)&v, sizeof v);
}

void gguf_put_bool(gguf_writer *w, const char *key, bool v)
{
    put_key(w, key, GGUF_BOOL);
    buf_char(&w->values, v ? 1 : 0);
}

void gguf_put_text(gguf_writer *w, const char *key, slice v)
{
    put_key(w, key, GGUF_STRING);
    put_text(&w->values, v);
}

void gguf_put_text_array(gguf_writer *w, const char *key, const slice *v, size_t n)
{
    put_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_text(&w->values, v[i]);
}

void gguf_put_i32_array(gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    put_array(w, key, GGUF_I32, n);
    buf_add(&w->values, (const char *)v, n * sizeof *v);
}

void gguf_put_f32_array(gguf_writer *w, const char *key, const float *v, size_t n)
{
    put_array(w, key, GGUF_F32, n);
    buf_add(&w->values, (const char *)v, n * sizeof *v);
}

void gguf_put_bytes(gguf_writer *w, const char *key, slice v)
{
    put_array(w, key, GGUF_U8, v.n);
    buf_slice(&w->values, v);
}

void gguf_put_copy(gguf_writer *w, const gguf_value *v)
{
    if (strcmp(v->key, "general.alignment") == 0) /* ours is the default, whatever the other file's was */
        return;
    if (v->type == GGUF_ARRAY)
        put_array(w, v->key, v->element, (size_t)v->count);
    else
        put_key(w, v->key, v->type);
    buf_add(&w->values, (const char *)v->p, gguf_value_bytes(v));
}

/* ---- Tensors */

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

int gguf_declare(gguf_writer *w, const char *name, dtype type, int ndim, const int64_t *dim)
{
    int64_t bytes = tensor_bytes_checked(type, ndim, dim);
    int number = gguf_type_number(type);
    uint64_t *sizes;

    assert(!w->header_written);
    if (strlen(name) > NAME_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = w->file.path, .key = name, .expected = "at most 63 bytes" },
                       "the tensor's name is too long for a GGUF file");
    if (ndim > DIMS_LIMIT || number < 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = w->file.path, .key = name },
                       "GGUF files cannot hold %s tensors of %d dimensions", dtype_name(type), ndim);
    if (bytes <= 0 || (uint64_t)bytes > INT64_MAX - ALIGNMENT - padded(w->declared))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = w->file.path, .key = name },
                       "the tensor is empty, too large, or not made of whole %s blocks", dtype_name(type));
    sizes = mem_grow(w->sizes, (size_t)w->tensor_count + 1, sizeof *sizes);
    if (!sizes)
        return fail_memory();
    w->sizes = sizes;
    sizes[w->tensor_count++] = (uint64_t)bytes;
    put_text(&w->tensors, slice_of(name));
    put_u32(&w->tensors, (uint32_t)ndim);
    for (int i = ndim; i-- > 0;)
        put_u64(&w->tensors, (uint64_t)dim[i]);
    put_u32(&w->tensors, (uint32_t)number);
    put_u64(&w->tensors, padded(w->declared));
    w->declared = padded(w->declared) + (uint64_t)bytes;
    return buf_status(&w->tensors);
}

static void pad_file(gguf_writer *w)
{
    static const char zeros[ALIGNMENT];

    writer_add(&w->file, zeros, (size_t)(padded(w->file.bytes) - w->file.bytes));
}

static int write_header(gguf_writer *w)
{
    uint32_t version = VERSION;

    if (w->header_written)
        return LORAC_OK;
    w->header_written = true;
    TRY(buf_status(&w->values));
    TRY(buf_status(&w->tensors));
    writer_add(&w->file, "GGUF", 4);
    writer_add(&w->file, &version, sizeof version);
    writer_add(&w->file, &w->tensor_count, sizeof w->tensor_count);
    writer_add(&w->file, &w->value_count, sizeof w->value_count);
    writer_add(&w->file, w->values.p, w->values.n);
    writer_add(&w->file, w->tensors.p, w->tensors.n);
    pad_file(w);
    writer_reserve(&w->file, w->file.bytes + w->declared);
    return w->file.status;
}

int gguf_data(gguf_writer *w, const void *p, size_t bytes)
{
    TRY(write_header(w));
    while (bytes > 0) {
        uint64_t left;
        size_t piece;

        assert(w->current < w->tensor_count);
        left = w->sizes[w->current] - w->given;
        piece = bytes < left ? bytes : (size_t)left;
        writer_add(&w->file, p, piece);
        p = (const char *)p + piece;
        bytes -= piece;
        w->given += piece;
        if (piece == left) {
            pad_file(w);
            w->current++;
            w->given = 0;
        }
    }
    return w->file.status;
}

static void free_writer(gguf_writer *w)
{
    buf_free(&w->values);
    buf_free(&w->tensors);
    mem_free(w->sizes);
    mem_free(w);
}

int gguf_finish(gguf_writer *w)
{
    int status = write_header(w);

    if (status != LORAC_OK) {
        gguf_abandon(w);
        return status;
    }
    assert(w->current == w->tensor_count);
    status = writer_close(&w->file);
    free_writer(w);
    return status;
}

void gguf_abandon(gguf_writer *w)
{
    if (!w)
        return;
    writer_drop(&w->file);
    free_writer(w);
}
