/* adapter_loralib.c: a state dict of microsoft/LoRA's loralib in a file of torch.save: MODULE.lora_A [k·r, in] and
 * MODULE.lora_B [out, r], beside whatever else was trained. k > 1 is a MergedLinear of k enabled parts: part j uses
 * rows j·r on of A and its own block of B's rows, which here becomes one pair of rank k·r with a block-diagonal B.
 * Alpha is not in the file. Source: loralib/layers.py. */
#include "adapter_parts.h"

#include "err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PART_LIMIT = 64 }; /* fused layers have three; the spread B grows with them */

static const char a_suffix[] = ".lora_A", b_suffix[] = ".lora_B";

static const tensor *find_tensor(const adapter_file *f, const char *name)
{
    int64_t i = map_find(&f->index, slice_of(name));

    return i < 0 ? NULL : &f->torch.tensors[i];
}

/* k of MergedLinear: how often B's columns go into A's rows. */
static int count_parts(const adapter_file *f, const char *name, const tensor *a, const tensor *b, int64_t *parts)
{
    char a_shape[64], b_shape[64], expected[160];
    bool matrices = a->ndim == 2 && b->ndim == 2 && a->dim[0] > 0 && b->dim[1] > 0;

    *parts = matrices && a->dim[0] % b->dim[1] == 0 ? a->dim[0] / b->dim[1] : 0;
    if (*parts > 0 && *parts <= PART_LIMIT && b->dim[0] % *parts == 0)
        return LORAC_OK;
    snprintf(expected, sizeof expected, "[k·r, in] beside the [out, r] of lora_B, which is %s",
             tensor_shape(b, b_shape));
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->path, .key = name, .found = tensor_shape(a, a_shape), .expected = expected },
                   "the two matrices of an adapter do not fit each other");
}

/* B of the parts, [k·d, r], as [k·d, k·r]: part j's block stands in its own columns. */
static int spread(adapter_file *f, const tensor *b, int64_t parts, tensor *out)
{
    int64_t rows = b->dim[0], rank = b->dim[1];
    size_t bytes = (size_t)dtype_block_bytes(b->type), row_bytes = (size_t)rank * bytes;
    char *copy;

    *out = (tensor){ .type = b->type, .ndim = 2, .dim = { rows, rank * parts } };
    copy = arena_new(&f->memory, (size_t)rows * (size_t)parts, row_bytes);
    if (!copy)
        return fail_memory();
    for (int64_t r = 0; r < rows; r++)
        memcpy(copy + ((size_t)(r * parts) + (size_t)(r / (rows / parts))) * row_bytes,
               (const char *)b->data + (size_t)r * row_bytes, row_bytes);
    out->data = copy;
    return LORAC_OK;
}

static int add_pair(adapter_file *f, size_t i)
{
    const char *name = f->torch.names[i], *other;
    slice module = { name, strlen(name) - strlen(a_suffix) };
    const tensor *a = &f->torch.tensors[i], *b;
    tensor wide;
    int64_t parts = 1;

    other = arena_format(&f->memory, "%.*s%s", (int)module.n, module.p, b_suffix);
    if (!other)
        return fail_memory();
    b = find_tensor(f, other);
    if (!b)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = other }, "half of a LoRA pair is missing");
    TRY(count_parts(f, name, a, b, &parts));
    wide = *b;
    if (parts > 1)
        TRY(spread(f, b, parts, &wide));
    f->parts[f->count] = parts;
    TRY(adapter_file_add(f, module, PEFT_A, a));
    return adapter_file_add(f, module, PEFT_B, &wide);
}

static int add_tensor(adapter_file *f, size_t i)
{
    slice name = slice_of(f->torch.names[i]);
    const char *other;

    if (slice_ends(name, a_suffix))
        return add_pair(f, i);
    if (!slice_ends(name, b_suffix))
        return adapter_file_add(f, name, "", &f->torch.tensors[i]);
    other = arena_format(&f->memory, "%.*s%s", (int)(name.n - strlen(b_suffix)), name.p, a_suffix);
    if (!other)
        return fail_memory();
    return find_tensor(f, other)
               ? LORAC_OK /* added with its A */
               : fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = other }, "half of a LoRA pair is missing");
}

int adapter_loralib_open(adapter_file *f, const char *path)
{
    f->format = "loralib";
    f->path = arena_text(&f->memory, path, strlen(path));
    if (!f->path)
        return fail_memory();
    TRY(torch_file_open(&f->torch, f->path));
    f->alpha = NAN;
    f->parts = arena_new(&f->memory, f->torch.count, sizeof *f->parts);
    if (!f->parts)
        return fail_memory();
    TRY(adapter_file_reserve(f, f->torch.count));
    for (size_t i = 0; i < f->torch.count; i++) {
        bool found;

        TRY(map_add(&f->index, slice_of(f->torch.names[i]), (int64_t)i, &found));
        if (found)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = f->torch.names[i] },
                           "the tensor comes twice");
    }
    for (size_t i = 0; i < f->torch.count; i++)
        TRY(add_tensor(f, i));
    return LORAC_OK;
}
