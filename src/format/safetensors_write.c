/* safetensors_write.c: making a .safetensors file. The header is written when the first data comes, so every tensor is
 * declared before; the offsets follow from the declarations and the data is only counted. The file appears under its
 * name when it is whole. */
#include "safetensors.h"

#include "err.h"
#include "mem.h"

#include <string.h>

enum { HEADER_ALIGNMENT = 8 };

struct safetensors_writer {
    writer file;
    buf header;               /* the JSON so far, without its closing brace */
    uint64_t declared, given; /* bytes of data */
    bool header_written;
};

int safetensors_begin(safetensors_writer **out, const char *path)
{
    safetensors_writer *w = mem_new(1, sizeof *w);
    int status;

    *out = NULL;
    if (!w)
        return fail_memory();
    status = writer_open(&w->file, path);
    if (status != LORAC_OK) {
        mem_free(w);
        return status;
    }
    buf_text(&w->header, "{\"__metadata__\":{\"format\":\"pt\"}");
    *out = w;
    return LORAC_OK;
}

/* NULL for the types that the format has no name for. */
static const char *type_name(dtype type)
{
    return dtype_is_quantised(type) ? NULL : dtype_name(type);
}

int safetensors_declare(safetensors_writer *w, const char *name, dtype type, int ndim, const int64_t *dim)
{
    int64_t bytes = tensor_bytes_checked(type, ndim, dim);

    assert(!w->header_written);
    if (!type_name(type))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = w->file.path, .key = name },
                       "safetensors files cannot hold %s tensors", dtype_name(type));
    if (bytes < 0 || __builtin_add_overflow(w->declared, (uint64_t)bytes, &w->declared))
        return fail_at(LORAC_ERROR_RUNTIME, (fault){ .file = w->file.path, .key = name },
                       "the tensor's shape is too large");
    buf_char(&w->header, ',');
    buf_json(&w->header, slice_of(name));
    buf_format(&w->header, ":{\"dtype\":\"%s\",\"shape\":[", type_name(type));
    for (int i = 0; i < ndim; i++)
        buf_format(&w->header, i ? ",%lld" : "%lld", (long long)dim[i]);
    buf_format(&w->header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)(w->declared - (uint64_t)bytes),
               (unsigned long long)w->declared);
    return buf_status(&w->header);
}

static int write_header(safetensors_writer *w)
{
    uint64_t length;

    if (w->header_written)
        return LORAC_OK;
    w->header_written = true;
    buf_char(&w->header, '}');
    while (w->header.n % HEADER_ALIGNMENT != 0 && !w->header.failed)
        buf_char(&w->header, ' ');
    TRY(buf_status(&w->header));
    length = w->header.n;
    writer_reserve(&w->file, sizeof length + length + w->declared);
    writer_add(&w->file, &length, sizeof length);
    writer_add(&w->file, w->header.p, w->header.n);
    return w->file.status;
}

int safetensors_data(safetensors_writer *w, const void *p, size_t bytes)
{
    TRY(write_header(w));
    assert(bytes <= w->declared - w->given);
    w->given += bytes;
    writer_add(&w->file, p, bytes);
    return w->file.status;
}

int safetensors_finish(safetensors_writer *w)
{
    int status = write_header(w);

    if (status != LORAC_OK) {
        safetensors_abandon(w);
        return status;
    }
    assert(w->given == w->declared);
    status = writer_close(&w->file);
    buf_free(&w->header);
    mem_free(w);
    return status;
}

void safetensors_abandon(safetensors_writer *w)
{
    if (!w)
        return;
    writer_drop(&w->file);
    buf_free(&w->header);
    mem_free(w);
}

static int save_all(safetensors_writer *w, const char *const *names, const tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(safetensors_declare(w, names[i], tensors[i].type, tensors[i].ndim, tensors[i].dim));
    for (size_t i = 0; i < count; i++)
        TRY(safetensors_data(w, tensors[i].data, (size_t)tensor_bytes(&tensors[i])));
    return LORAC_OK;
}

int safetensors_save(const char *path, const char *const *names, const tensor *tensors, size_t count)
{
    safetensors_writer *w;
    int status;

    TRY(safetensors_begin(&w, path));
    status = save_all(w, names, tensors, count);
    if (status == LORAC_OK)
        return safetensors_finish(w);
    safetensors_abandon(w);
    return status;
}
