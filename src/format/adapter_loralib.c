/* adapter_loralib.c: a state dict of microsoft/LoRA's loralib in a file of torch.save: MODULE.lora_A [k·r, in] and
 * MODULE.lora_B [out, r], beside whatever else was trained. k > 1 is a MergedLinear of k enabled parts: part j uses
 * rows j·r on of A and its own block of B's rows, which here becomes one pair of rank k·r with a block-diagonal B.
 * Alpha is not in the file, nor which parts of the layer the enabled ones are. Source: loralib/layers.py. */
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
    TRY(adapter_file_add(f, module, adapter_suffix(true, peft_is_embedding(module)), a));
    return adapter_file_add(f, module, adapter_suffix(false, peft_is_embedding(module)), &wide);
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

/* ---- As PEFT would have it */

static bool is_fused(slice module)
{
    static const char *const names[] = { "c_attn", "qkv_proj", "query_key_value", "qkv", "Wqkv", "in_proj" };
    slice rest = module, last = module;

    while (rest.n)
        last = slice_cut(&rest, '.');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_is(last, names[i]))
            return true;
    return false;
}

static int64_t count_enabled(const bool *enabled, size_t count)
{
    int64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += enabled[i];
    return sum;
}

/* B [k·d, k·r] as [parts·d, k·r], with zeros where a part has no adapter. */
static int place_parts(adapter_file *f, tensor *b, int64_t k, const bool *enabled, size_t parts)
{
    size_t block = (size_t)tensor_bytes(b) / (size_t)k, from = 0;
    char *wide = arena_new(&f->memory, parts, block);

    if (!wide)
        return fail_memory();
    for (size_t i = 0; i < parts; i++)
        if (enabled[i])
            memcpy(wide + i * block, (const char *)b->data + block * from++, block);
    b->dim[0] = b->dim[0] / k * (int64_t)parts;
    b->data = wide;
    return LORAC_OK;
}

static int settle_parts(adapter_file *f, const bool *enabled, size_t count, buf *notes)
{
    static const bool query_and_value[] = { true, false, true };
    size_t guessed = 0;

    for (size_t i = 0; i < f->count; i++) {
        slice module;
        const tensor *b = adapter_file_partner(f, i, &module);
        bool guess = b && count == 0 && f->parts[i] == 2 && is_fused(module);

        if (guess)
            TRY(place_parts(f, &f->tensors[b - f->tensors], 2, query_and_value, 3));
        else if (b && count > 0 && f->parts[i] == count_enabled(enabled, count) &&
                 (f->parts[i] > 1 || is_fused(module)))
            TRY(place_parts(f, &f->tensors[b - f->tensors], f->parts[i], enabled, count));
        guessed += guess;
    }
    if (guessed && notes)
        buf_format(notes,
                   "the two parts of %zu fused layers are taken for query and value; --enable-lora says otherwise\n",
                   guessed);
    return LORAC_OK;
}

typedef struct settling {
    adapter_file *f;
    map modules; /* that are adapted */
    map tops;    /* first components of paths: with adapted modules below (0), or a saved module (1) */
} settling;

static slice top_of(slice module)
{
    return slice_cut(&module, '.');
}

static int list_adapted(settling *s)
{
    const peft_config *c = &s->f->config;

    for (size_t i = 0; i < c->target_count; i++) {
        TRY(map_add(&s->modules, slice_of(c->targets[i]), 0, NULL));
        TRY(map_add(&s->tops, top_of(slice_of(c->targets[i])), 0, NULL));
    }
    return LORAC_OK;
}

/* A trained head: a module beside the one that the adapted layers are in. */
static int save_module(settling *s, slice top)
{
    peft_config *c = &s->f->config;
    const char *name = arena_text(&c->memory, top.p, top.n);

    if (!name)
        return fail_memory();
    c->saved[c->saved_count++] = name;
    return map_add(&s->tops, slice_of(name), 1, NULL);
}

/* A tensor that is no half of a pair: *kept tells whether PEFT has a place for it. */
static int settle_tensor(settling *s, size_t i, bool *kept)
{
    static const char suffix[] = ".bias";
    adapter_file *f = s->f;
    slice name = { f->names[i] + strlen(PEFT_PREFIX), strlen(f->names[i]) - strlen(PEFT_PREFIX) };
    slice module = { name.p, name.n > strlen(suffix) ? name.n - strlen(suffix) : 0 };
    int64_t top = map_find(&s->tops, top_of(name));

    *kept = true;
    if (top < 0)
        return save_module(s, top_of(name));
    *kept = top == 1 || slice_ends(name, suffix);
    if (!*kept || top == 1)
        return LORAC_OK;
    if (map_find(&s->modules, module) < 0) {
        f->config.bias = "all";
        return LORAC_OK;
    }
    if (strcmp(f->config.bias, "none") == 0)
        f->config.bias = "lora_only";
    f->names[i] = arena_format(&f->memory, PEFT_PREFIX "%.*s.base_layer.bias", (int)module.n, module.p);
    return f->names[i] ? LORAC_OK : fail_memory();
}

static int settle_tensors(settling *s, buf *notes)
{
    adapter_file *f = s->f;
    size_t kept = 0, dropped = 0;
    const char *first = NULL;

    f->config.saved = arena_new(&f->config.memory, f->count, sizeof *f->config.saved);
    if (!f->config.saved)
        return fail_memory();
    TRY(list_adapted(s));
    for (size_t i = 0; i < f->count; i++) {
        bool keep = true;

        if (!adapter_is_half(slice_of(f->names[i])))
            TRY(settle_tensor(s, i, &keep));
        if (!keep) {
            first = first ? first : f->names[i] + strlen(PEFT_PREFIX);
            dropped++;
            continue;
        }
        f->parts[kept] = f->parts[i];
        f->names[kept] = f->names[i];
        f->tensors[kept++] = f->tensors[i];
    }
    f->count = kept;
    for (size_t i = 0; i < f->config.saved_count && notes; i++)
        buf_format(notes, "%s is kept as one of modules_to_save\n", f->config.saved[i]);
    if (dropped && notes)
        buf_format(notes, "%zu tensors of the base model are left out, %s the first\n", dropped, first);
    return adapter_file_index(f);
}

int adapter_file_settle(adapter_file *f, const bool *enabled, size_t enabled_count, buf *notes)
{
    settling s = { .f = f };
    int status;

    if (strcmp(f->format, "loralib") != 0)
        return LORAC_OK;
    TRY(settle_parts(f, enabled, enabled_count, notes));
    status = settle_tensors(&s, notes);
    map_free(&s.modules);
    map_free(&s.tops);
    return status == LORAC_OK && notes ? buf_status(notes) : status;
}
