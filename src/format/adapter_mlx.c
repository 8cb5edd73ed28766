/* adapter_mlx.c: mlx-lm's adapter folder: adapters.safetensors with MODULE.lora_a [in, r] and MODULE.lora_b [r, out],
 * and adapter_config.json with fine_tune_type and lora_parameters (rank, scale, dropout). The layer computes y + scale
 * · (x a) b: the scale is the whole factor, alpha / r is not in it. An embedding is filed alike, as [V, r] and [r, D].
 * A pair may be thinner than the rank, which only sizes what mlx-lm overwrites. Source: mlx_lm/tuner/lora.py and utils.py. */
#include "adapter_parts.h"

#include "err.h"
#include "json.h"

#include <string.h>

enum { CONFIG_LIMIT = 8 << 20 };

static const char a_suffix[] = ".lora_a", b_suffix[] = ".lora_b";

static int check_kind(const json_t *root, const char *path)
{
    const char *kind = "lora";

    TRY(json_take_text(root, "fine_tune_type", &kind, path));
    if (strcmp(kind, "lora") == 0)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = path, .key = "fine_tune_type", .found = kind, .expected = "lora" },
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
        status = check_kind(root, path);
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

    if (a->dim[1] <= rank)
        return LORAC_OK;
    snprintf(expected, sizeof expected, "[in, %lld], the configuration's rank, or a lower one", (long long)rank);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->path, .key = name, .found = tensor_shape(a, found), .expected = expected },
                   "an adapter tensor has another rank");
}

static int add_tensor(adapter_file *f, size_t i, int64_t rank)
{
    const tensor *t = &f->safetensors.tensors[i], *other;
    const char *name = f->safetensors.names[i], *other_name;
    bool is_a = slice_ends(slice_of(name), a_suffix);
    slice module = { name, strlen(name) - strlen(a_suffix) };
    bool embedding = peft_is_embedding(module);
    tensor turned;

    if (!is_a && !slice_ends(slice_of(name), b_suffix))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = f->path, .key = name, .expected = "MODULE.lora_a or MODULE.lora_b" },
                       "the adapter has a tensor that is not part of a LoRA pair");
    other = find_other(f, module, is_a ? b_suffix : a_suffix, &other_name);
    if (!other)
        return other_name ? fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = other_name },
                                    "half of a LoRA pair is missing")
                          : fail_memory();
    if (is_a) {
        TRY(adapter_pair_check(f, name, t, 1, other_name, other, 0));
        TRY(check_rank(f, name, t, rank));
    } else {
        TRY(adapter_pair_check(f, name, t, 0, other_name, other, 1));
    }
    TRY(adapter_transpose(&f->memory, t, &turned));
    return adapter_file_add(f, module, adapter_suffix(is_a, embedding), &turned);
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
