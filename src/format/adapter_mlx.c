/* adapter_mlx.c: mlx-lm's adapter folder: adapters.safetensors with MODULE.lora_a [in, r] and MODULE.lora_b [r, out],
 * and with DoRA MODULE.m [out]; and adapter_config.json with fine_tune_type and lora_parameters (rank, scale, dropout).
 * The layer computes y + scale · (x a) b: the scale is the whole factor, alpha / r is not in it. An embedding is filed
 * alike, as [V, r] and [r, D]. All pairs have one rank; thinner ones are filled up with zeros, which are taken off
 * again. Source: mlx_lm/tuner/lora.py, dora.py and utils.py. */
#include "adapter_parts.h"

#include "err.h"
#include "json.h"

#include <string.h>

enum { CONFIG_LIMIT = 8 << 20 };

static const char a_suffix[] = ".lora_a", b_suffix[] = ".lora_b", magnitude_suffix[] = ".m";

static int read_kind(adapter_file *f, const json_t *root, const char *path)
{
    const char *kind = "lora";

    TRY(json_take_text(root, "fine_tune_type", &kind, path));
    f->config.use_dora = strcmp(kind, "dora") == 0;
    if (f->config.use_dora || strcmp(kind, "lora") == 0)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = path, .key = "fine_tune_type", .found = kind, .expected = "lora or dora" },
                   "mlx-lm's adapters of the kind %s are not supported", kind);
}

static int read_parameters(adapter_file *f, const json_t *root, const char *path, int64_t *rank, buf *notes)
{
    const json_t *parameters = json_object_get(root, "lora_parameters");

    if (!json_is_object(parameters))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path,
                                .key = "lora_parameters",
                                .found = parameters ? json_kind(parameters) : NULL,
                                .expected = "an object with rank and scale" },
                       "the configuration of an mlx-lm adapter is not right");
    TRY(json_take_int(parameters, "rank", 1, PEFT_RANK_MOST, rank, path));
    TRY(json_take_real(parameters, "scale", &f->factor, path));
    TRY(json_take_real(parameters, "dropout", &f->config.lora_dropout, path));
    if (*rank == 0 || f->factor == 0)
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = path, .key = *rank == 0 ? "rank" : "scale", .expected = "a number other than 0" },
            "the lora_parameters of an mlx-lm adapter are not complete");
    if (!(f->config.lora_dropout >= 0 && f->config.lora_dropout < 1))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .key = "dropout", .expected = "0 or more, and less than 1" },
                       "the dropout probability is %g", f->config.lora_dropout);
    if (json_object_get(parameters, "alpha") && notes)
        buf_format(notes, "%s: alpha is ignored, as mlx-lm does: scale is the whole factor\n", path);
    return notes ? buf_status(notes) : LORAC_OK;
}

static int read_base(adapter_file *f, const json_t *root, const char *path)
{
    const char *base = NULL;

    TRY(json_take_text(root, "model", &base, path));
    if (!base)
        return LORAC_OK;
    f->base = arena_text(&f->memory, base, strlen(base));
    return f->base ? LORAC_OK : fail_memory();
}

static int read_config(adapter_file *f, const char *folder, int64_t *rank, buf *notes)
{
    const char *path = arena_format(&f->memory, "%s/adapter_config.json", folder);
    json_t *root = NULL;
    int status = path ? json_read(&root, path, CONFIG_LIMIT, 0) : fail_memory();

    if (status == LORAC_OK)
        status = read_kind(f, root, path);
    if (status == LORAC_OK)
        status = read_parameters(f, root, path, rank, notes);
    if (status == LORAC_OK)
        status = read_base(f, root, path);
    json_decref(root);
    return status;
}

/* The other tensor of a pair; `name` ends in one of the suffixes, which are equally long. */
static const tensor *find_other(adapter_file *f, slice module, const char *suffix, const char **name)
{
    *name = arena_format(&f->memory, "%.*s%s", (int)module.n, module.p, suffix);
    return *name ? safetensors_find(&f->safetensors, *name) : NULL;
}

static int check_rank(const adapter_file *f, const char *name, const tensor *a, int64_t rank)
{
    char found[64], expected[96];

    if (a->dim[1] == rank)
        return LORAC_OK;
    snprintf(expected, sizeof expected, "[in, %lld], the configuration's rank", (long long)rank);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->path, .key = name, .found = tensor_shape(a, found), .expected = expected },
                   "an adapter tensor has another rank");
}

static bool is_zero(const char *bytes, size_t count)
{
    while (count > 0 && bytes[count - 1] == 0)
        count--;
    return count == 0;
}

/* The rank of a pair without the last columns of a [in, r] and rows of b [r, out] that are zero in both. */
static int64_t thin_rank(const tensor *a, const tensor *b)
{
    size_t size = (size_t)dtype_block_bytes(a->type), row = (size_t)tensor_bytes(b) / (size_t)b->dim[0];
    int64_t rank = a->dim[1];

    for (; rank > 1; rank--) {
        const char *column = (const char *)a->data + (size_t)(rank - 1) * size;

        if (!is_zero((const char *)b->data + (size_t)(rank - 1) * row, row))
            return rank;
        for (int64_t i = 0; i < a->dim[0]; i++)
            if (!is_zero(column + (size_t)(i * a->dim[1]) * size, size))
                return rank;
    }
    return rank;
}

/* DoRA's m [out]. mlx-lm's of an embedding has a number for every token, PEFT's one for every dimension. */
static int add_magnitude(adapter_file *f, const char *name, const tensor *t)
{
    slice module = { name, strlen(name) - strlen(magnitude_suffix) };

    if (peft_is_embedding(module))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = f->path, .key = name },
                       "mlx-lm's DoRA of an embedding is not PEFT's and is not supported");
    return adapter_file_add(f, module, PEFT_MAGNITUDE, t);
}

/* lora_a or lora_b, which are equally long. */
static int add_half(adapter_file *f, const char *name, const tensor *t, bool is_a, int64_t rank)
{
    slice module = { name, strlen(name) - strlen(a_suffix) };
    const char *other_name;
    const tensor *other = find_other(f, module, is_a ? b_suffix : a_suffix, &other_name);
    tensor turned, half = *t;

    if (!other)
        return other_name ? fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = other_name },
                                    "half of a LoRA pair is missing")
                          : fail_memory();
    if (is_a) {
        TRY(adapter_pair_check(f, name, t, 1, other_name, other, 0));
        TRY(check_rank(f, name, t, rank));
    } else {
        TRY(adapter_pair_check(f, name, t, 0, other_name, other, 1));
        half.dim[0] = thin_rank(other, t);
    }
    TRY(adapter_transpose(&f->memory, &half, &turned));
    if (is_a)
        turned.dim[0] = thin_rank(t, other);
    return adapter_file_add(f, module, adapter_suffix(is_a, peft_is_embedding(module)), &turned);
}

static int add_tensor(adapter_file *f, size_t i, int64_t rank)
{
    const tensor *t = &f->safetensors.tensors[i];
    const char *name = f->safetensors.names[i];
    bool is_a = slice_ends(slice_of(name), a_suffix);

    if (f->config.use_dora && slice_ends(slice_of(name), magnitude_suffix))
        return add_magnitude(f, name, t);
    if (is_a || slice_ends(slice_of(name), b_suffix))
        return add_half(f, name, t, is_a, rank);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->path, .key = name, .expected = "MODULE.lora_a or MODULE.lora_b" },
                   "the adapter has a tensor that is not part of a LoRA pair");
}

int adapter_mlx_open(adapter_file *f, const char *folder, buf *notes)
{
    int64_t rank = 0;

    f->format = "mlx";
    f->path = arena_format(&f->memory, "%s/adapters.safetensors", folder);
    if (!f->path)
        return fail_memory();
    TRY(read_config(f, folder, &rank, notes));
    TRY(safetensors_open(&f->safetensors, f->path));
    TRY(adapter_file_reserve(f, f->safetensors.count));
    for (size_t i = 0; i < f->safetensors.count; i++)
        TRY(add_tensor(f, i, rank));
    return LORAC_OK;
}
