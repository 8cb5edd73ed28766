/* adapter_write.c: what every adapter must be before it is written, and PEFT's folder. */
#include "adapter_write.h"

#include "adapter_parts.h"
#include "err.h"
#include "mem.h"
#include "quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Checks */

/* Marks both halves of the pair that tensor i begins. */
static int check_pair(const adapter_file *f, size_t i, bool *paired)
{
    slice module;
    const tensor *b = adapter_file_partner(f, i, &module);
    size_t at;

    if (!b)
        return LORAC_OK;
    at = (size_t)(b - f->tensors);
    TRY(adapter_pair_check(f, f->names[i], &f->tensors[i], 0, f->names[at], b, 1));
    paired[i] = paired[at] = true;
    return LORAC_OK;
}

static int check_finite(const adapter_file *f, size_t i)
{
    const tensor *t = &f->tensors[i];
    int64_t count = tensor_count(t), at = 0;
    float *values;

    if (!dtype_is_float(t->type) && !dtype_is_quantised(t->type))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = f->path,
                                .key = f->names[i],
                                .found = dtype_name(t->type),
                                .expected = "a floating-point type" },
                       "an adapter tensor has a type that cannot be used");
    values = mem_new((size_t)count, sizeof *values);
    if (!values)
        return fail_memory();
    quant_decode(values, t->data, t->type, count);
    while (at < count && isfinite(values[at]))
        at++;
    mem_free(values);
    return at == count ? LORAC_OK
                       : fail_at(LORAC_ERROR_DATA,
                                 (fault){ .file = f->path,
                                          .key = f->names[i],
                                          .expected = "finite numbers",
                                          .hint = "the training that made this adapter went wrong" },
                                 "an adapter tensor holds a value that is not a number");
}

static int check_all(const adapter_file *f, bool *paired)
{
    for (size_t i = 0; i < f->count; i++) {
        TRY(check_pair(f, i, paired));
        TRY(check_finite(f, i));
    }
    for (size_t i = 0; i < f->count; i++)
        if (!paired[i] && adapter_is_half(slice_of(f->names[i])))
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = f->names[i] },
                           "half of a LoRA pair is missing");
    return LORAC_OK;
}

int adapter_file_check(const adapter_file *f)
{
    bool *paired;
    int status;

    if (f->count == 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path }, "the adapter has no tensors");
    paired = mem_new(f->count, sizeof *paired);
    if (!paired)
        return fail_memory();
    status = check_all(f, paired);
    mem_free(paired);
    return status;
}

/* ---- PEFT's folder */

typedef struct entry {
    const char *name;
    tensor t;
} entry;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static int decoded(arena *memory, tensor *t)
{
    int64_t count = tensor_count(t);
    float *values = arena_new(memory, (size_t)count, sizeof *values);

    if (!values)
        return fail_memory();
    quant_decode(values, t->data, t->type, count);
    t->type = DT_F32;
    t->data = values;
    return LORAC_OK;
}

static int save_tensors(const adapter_file *f, const char *path, arena *memory)
{
    entry *list = arena_new(memory, f->count, sizeof *list);
    const char **names = arena_new(memory, f->count, sizeof *names);
    tensor *tensors = arena_new(memory, f->count, sizeof *tensors);

    if (!list || !names || !tensors)
        return fail_memory();
    for (size_t i = 0; i < f->count; i++)
        list[i] = (entry){ f->names[i], f->tensors[i] };
    qsort(list, f->count, sizeof *list, by_name);
    for (size_t i = 0; i < f->count; i++) {
        names[i] = list[i].name;
        tensors[i] = list[i].t;
        if (dtype_is_quantised(tensors[i].type))
            TRY(decoded(memory, &tensors[i]));
    }
    return safetensors_save(path, names, tensors, f->count);
}

int adapter_write_peft(const adapter_file *f, const char *folder)
{
    arena memory = { 0 };
    buf path = { 0 };
    int status =
        path_join(&path, folder, "adapter_model.safetensors") ? save_tensors(f, path.p, &memory) : fail_memory();

    if (status == LORAC_OK)
        status =
            path_join(&path, folder, "adapter_config.json") ? peft_config_write(&f->config, path.p) : fail_memory();
    arena_free(&memory);
    buf_free(&path);
    return status;
}
