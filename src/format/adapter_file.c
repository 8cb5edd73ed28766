/* adapter_file.c: telling the formats apart, PEFT's own, and the configuration of those that have none. Invariant after
 * opening: no name comes twice, and what does not come from PEFT is pairs of A and B that fit each other. */
#include "adapter_parts.h"

#include "err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int adapter_file_reserve(adapter_file *f, size_t count)
{
    f->names = arena_new(&f->memory, count, sizeof *f->names);
    f->tensors = arena_new(&f->memory, count, sizeof *f->tensors);
    return f->names && f->tensors ? LORAC_OK : fail_memory();
}

int adapter_file_add(adapter_file *f, slice module, const char *suffix, const tensor *t)
{
    f->names[f->count] = arena_format(&f->memory, PEFT_PREFIX "%.*s%s", (int)module.n, module.p, suffix);
    if (!f->names[f->count])
        return fail_memory();
    f->tensors[f->count++] = *t;
    return LORAC_OK;
}

int adapter_pair_check(const adapter_file *f, const char *a_name, const tensor *a, int a_inner, const char *b_name,
                       const tensor *b, int b_inner)
{
    char a_shape[64], b_shape[64], expected[600];

    if (a->ndim == 2 && b->ndim == 2 && a->dim[a_inner] == b->dim[b_inner] && a->dim[a_inner] > 0)
        return LORAC_OK;
    snprintf(expected, sizeof expected, "a matrix that shares a rank with the %s of %s", tensor_shape(b, b_shape),
             b_name);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->path, .key = a_name, .found = tensor_shape(a, a_shape), .expected = expected },
                   "the two matrices of an adapter do not fit each other");
}

int adapter_transpose(arena *memory, const tensor *from, tensor *to)
{
    size_t bytes = (size_t)dtype_block_bytes(from->type), rows = (size_t)from->dim[0], columns = (size_t)from->dim[1];
    const char *source = from->data;
    char *copy = arena_new(memory, rows * columns, bytes);

    if (!copy)
        return fail_memory();
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            memcpy(copy + (c * rows + r) * bytes, source + (r * columns + c) * bytes, bytes);
    *to = (tensor){ .type = from->type, .ndim = 2, .dim = { from->dim[1], from->dim[0] }, .data = copy };
    return LORAC_OK;
}

const char *adapter_suffix(bool is_a, bool embedding)
{
    if (embedding)
        return is_a ? PEFT_EMBEDDING_A : PEFT_EMBEDDING_B;
    return is_a ? PEFT_A : PEFT_B;
}

bool adapter_is_half(slice name)
{
    return slice_ends(name, PEFT_A) || slice_ends(name, PEFT_B) || slice_ends(name, PEFT_EMBEDDING_A) ||
           slice_ends(name, PEFT_EMBEDDING_B);
}

const tensor *adapter_file_partner(const adapter_file *f, size_t i, slice *module)
{
    slice name = slice_of(f->names[i]);
    bool embedding = slice_ends(name, PEFT_EMBEDDING_A);
    size_t skip = slice_starts(name, PEFT_PREFIX) ? strlen(PEFT_PREFIX) : 0;
    char partner[600];

    if (!embedding && !slice_ends(name, PEFT_A))
        return NULL;
    name.n -= strlen(adapter_suffix(true, embedding));
    if (name.n < skip || name.n + strlen(PEFT_EMBEDDING_B) >= sizeof partner)
        return NULL;
    *module = (slice){ name.p + skip, name.n - skip };
    snprintf(partner, sizeof partner, "%.*s%s", (int)name.n, name.p, adapter_suffix(false, embedding));
    return adapter_file_find(f, partner);
}

const tensor *adapter_file_find(const adapter_file *f, const char *name)
{
    int64_t i = map_find(&f->index, slice_of(name));

    return i < 0 ? NULL : &f->tensors[i];
}

int adapter_file_index(adapter_file *f)
{
    map_free(&f->index);
    for (size_t i = 0; i < f->count; i++) {
        bool found;

        TRY(map_add(&f->index, slice_of(f->names[i]), (int64_t)i, &found));
        if (found)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = f->names[i] }, "the tensor comes twice");
    }
    return LORAC_OK;
}

/* ---- A configuration from the tensors */

/* The parts of a pair share its rank, and each is multiplied by alpha / its own. */
static double alpha_of(const adapter_file *f, size_t i, int64_t rank)
{
    if (f->factor != 0)
        return f->factor * (double)rank;
    return f->alpha * (f->parts ? (double)f->parts[i] : 1);
}

static int make_lists(peft_config *c, size_t count)
{
    c->targets = arena_new(&c->memory, count, sizeof *c->targets);
    c->rank_keys = arena_new(&c->memory, count, sizeof *c->rank_keys);
    c->rank_values = arena_new(&c->memory, count, sizeof *c->rank_values);
    c->alpha_keys = arena_new(&c->memory, count, sizeof *c->alpha_keys);
    c->alpha_values = arena_new(&c->memory, count, sizeof *c->alpha_values);
    return c->targets && c->rank_keys && c->rank_values && c->alpha_keys && c->alpha_values ? LORAC_OK : fail_memory();
}

/* The first module's rank and alpha are the common ones; modules that differ stand in the patterns. */
static void add_module(adapter_file *f, size_t i, const char *module)
{
    peft_config *c = &f->config;
    int64_t rank = f->tensors[i].dim[0];
    double alpha = alpha_of(f, i, rank);

    if (c->target_count == 0) {
        c->r = rank;
        c->lora_alpha = alpha;
    }
    c->targets[c->target_count++] = module;
    if (rank != c->r) {
        c->rank_keys[c->rank_count] = module;
        c->rank_values[c->rank_count++] = rank;
    }
    if (alpha != c->lora_alpha && !isnan(alpha)) {
        c->alpha_keys[c->alpha_count] = module;
        c->alpha_values[c->alpha_count++] = alpha;
    }
}

static int make_config(adapter_file *f)
{
    double dropout = f->config.lora_dropout;
    bool dora = f->config.use_dora;

    peft_config_free(&f->config);
    peft_config_init(&f->config);
    f->config.lora_dropout = dropout;
    f->config.use_dora = dora;
    if (f->base && !(f->config.base_model_name_or_path = arena_text(&f->config.memory, f->base, strlen(f->base))))
        return fail_memory();
    TRY(make_lists(&f->config, f->count));
    for (size_t i = 0; i < f->count; i++) {
        const char *module;
        slice name;

        if (!adapter_file_partner(f, i, &name))
            continue;
        module = arena_text(&f->config.memory, name.p, name.n);
        if (!module)
            return fail_memory();
        add_module(f, i, module);
    }
    return LORAC_OK;
}

int adapter_file_renamed(adapter_file *f)
{
    TRY(adapter_file_index(f));
    return strcmp(f->format, "peft") == 0 ? LORAC_OK : make_config(f);
}

int adapter_file_set_alpha(adapter_file *f, double alpha)
{
    f->alpha = alpha;
    return make_config(f);
}

int adapter_file_name_targets(adapter_file *f)
{
    peft_config *c = &f->config;

    if (c->target_count > 0 || c->target_regex)
        return LORAC_OK;
    c->targets = arena_new(&c->memory, f->count, sizeof *c->targets);
    if (!c->targets)
        return fail_memory();
    for (size_t i = 0; i < f->count; i++) {
        slice module;

        if (!adapter_file_partner(f, i, &module))
            continue;
        c->targets[c->target_count] = arena_text(&c->memory, module.p, module.n);
        if (!c->targets[c->target_count++])
            return fail_memory();
    }
    return LORAC_OK;
}

/* ---- PEFT's folder */

static int open_bin(adapter_file *f)
{
    TRY(torch_file_open(&f->torch, f->path));
    f->count = f->torch.count;
    f->names = f->torch.names;
    f->tensors = f->torch.tensors;
    return LORAC_OK;
}

static int open_safetensors(adapter_file *f)
{
    TRY(safetensors_open(&f->safetensors, f->path));
    f->count = f->safetensors.count;
    f->names = f->safetensors.names;
    f->tensors = f->safetensors.tensors;
    return LORAC_OK;
}

static bool has_file(const char *folder, const char *name)
{
    buf path = { 0 };
    bool there = path_join(&path, folder, name) && path_exists(path.p);

    buf_free(&path);
    return there;
}

static int open_peft(adapter_file *f, const char *folder, buf *notes)
{
    bool bin = !has_file(folder, "adapter_model.safetensors") && has_file(folder, "adapter_model.bin");
    const char *config = arena_format(&f->memory, "%s/adapter_config.json", folder);

    f->format = "peft";
    f->path = arena_format(&f->memory, "%s/adapter_model.%s", folder, bin ? "bin" : "safetensors");
    if (!config || !f->path)
        return fail_memory();
    TRY(peft_config_read(&f->config, config, notes));
    return bin ? open_bin(f) : open_safetensors(f);
}

/* ---- */

static bool is_mlx(const char *folder)
{
    return has_file(folder, "adapters.safetensors") && !has_file(folder, "adapter_model.safetensors") &&
           !has_file(folder, "adapter_model.bin");
}

static bool starts_with(const char *path, const char magic[4])
{
    mapped file;
    bool found;

    if (path_is_folder(path) || file_map(&file, path) != LORAC_OK)
        return false;
    found = file.n >= 4 && memcmp(file.p, magic, 4) == 0;
    file_unmap(&file);
    return found;
}

static bool is_gguf(const char *path)
{
    return starts_with(path, "GGUF");
}

static bool is_zip(const char *path)
{
    return starts_with(path, "PK\003\004");
}

static int open_any(adapter_file *f, const char *path, buf *notes)
{
    if (is_gguf(path)) {
        TRY(adapter_gguf_open(f, path));
    } else if (is_zip(path)) {
        TRY(adapter_loralib_open(f, path));
    } else if (!path_is_folder(path)) {
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = path,
                     .expected = "a folder with adapter_config.json and adapter_model.safetensors, or a GGUF adapter" },
            "this is not an adapter");
    } else {
        TRY(is_mlx(path) ? adapter_mlx_open(f, path, notes) : open_peft(f, path, notes));
    }
    return adapter_file_renamed(f);
}

int adapter_file_open(adapter_file *out, const char *path, buf *notes)
{
    int status;

    *out = (adapter_file){ 0 };
    peft_config_init(&out->config);
    status = open_any(out, path, notes);
    if (status != LORAC_OK)
        adapter_file_close(out);
    return status;
}

void adapter_file_close(adapter_file *f)
{
    safetensors_close(&f->safetensors);
    torch_file_close(&f->torch);
    gguf_close(&f->gguf);
    map_free(&f->index);
    peft_config_free(&f->config);
    arena_free(&f->memory);
    *f = (adapter_file){ 0 };
}

static int64_t count_of(const tensor *tensors, size_t count)
{
    int64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += tensor_count(&tensors[i]);
    return sum;
}

int adapter_file_check_scale(const adapter_file *f)
{
    if (!isnan(f->alpha))
        return LORAC_OK;
    return fail_at(
        LORAC_ERROR_USAGE,
        (fault){ .file = f->path, .key = "alpha", .hint = "lorac import FILE --alpha X makes PEFT's folder of it" },
        "a file of loralib does not say by what the adapter is multiplied");
}

int64_t adapter_file_parameters(const adapter_file *f)
{
    return count_of(f->safetensors.tensors, f->safetensors.count) + count_of(f->torch.tensors, f->torch.count) +
           count_of(f->gguf.tensors, f->gguf.tensor_count);
}

bool is_adapter_file(const char *path)
{
    gguf g;
    slice type = { 0 };
    bool found;

    if (path_is_folder(path))
        return has_file(path, "adapter_config.json");
    if (is_zip(path))
        return true;
    if (!is_gguf(path) || gguf_open(&g, path) != LORAC_OK)
        return false;
    found = gguf_take_text(&g, "general.type", &type) == LORAC_OK && slice_is(type, "adapter");
    gguf_close(&g);
    return found;
}
