/* safetensors_shards.c: cutting a model's tensors into files. Which tensor goes into which file follows from the
 * declarations alone: a file is full when the next tensor would carry it over the limit. Only one file is open at a
 * time. Source of the names and of the index: huggingface_hub's split_state_dict_into_shards_factory. */
#include "safetensors_shards.h"

#include "array.h"
#include "err.h"
#include "json.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS_MOST = 10000, SHARD_NAME = 48 };

typedef struct declared {
    const char *name;
    dtype type;
    int ndim, shard;
    int64_t dim[TENSOR_DIMS];
    uint64_t bytes;
} declared;

struct shards_writer {
    const char *folder;
    uint64_t limit, shard_bytes, total, parameters;
    declared *list;
    size_t count, room;
    int shards;
    size_t next;   /* tensor to be given */
    uint64_t left; /* bytes of it that are to come */
    safetensors_writer *file;
    arena memory;
};

int shards_begin(shards_writer **out, const char *folder, uint64_t limit)
{
    shards_writer *w = mem_new(1, sizeof *w);

    *out = NULL;
    if (!w)
        return fail_memory();
    w->limit = limit;
    w->folder = arena_text(&w->memory, folder, strlen(folder));
    if (!w->folder) {
        shards_abandon(w);
        return fail_memory();
    }
    *out = w;
    return LORAC_OK;
}

/* The file that the next tensor goes to. */
static int choose_shard(shards_writer *w, uint64_t bytes)
{
    if (w->shards == 0 || w->shard_bytes + bytes > w->limit) {
        if (w->shards == SHARDS_MOST)
            return fail_at(LORAC_ERROR_USAGE, (fault){ .file = w->folder, .key = "max_shard_size" },
                           "the weights would come to more than %d files", SHARDS_MOST);
        w->shards++;
        w->shard_bytes = 0;
    }
    w->shard_bytes += bytes;
    return LORAC_OK;
}

int shards_declare(shards_writer *w, const char *name, dtype type, int ndim, const int64_t *dim)
{
    int64_t bytes = tensor_bytes_checked(type, ndim, dim);
    declared *d;

    if (bytes < 0 || __builtin_add_overflow(w->total, (uint64_t)bytes, &w->total))
        return fail_at(LORAC_ERROR_RUNTIME, (fault){ .file = w->folder, .key = name },
                       "the tensor's shape is too large");
    TRY(array_room(w->list, w->room, w->count + 1));
    TRY(choose_shard(w, (uint64_t)bytes));
    d = &w->list[w->count++];
    *d = (declared){ .type = type, .ndim = ndim, .shard = w->shards - 1, .bytes = (uint64_t)bytes };
    memcpy(d->dim, dim, (size_t)ndim * sizeof *dim);
    w->parameters += (uint64_t)bytes / (uint64_t)dtype_block_bytes(type) * (uint64_t)dtype_block(type);
    d->name = arena_text(&w->memory, name, strlen(name));
    return d->name ? LORAC_OK : fail_memory();
}

static const char *shard_name(const shards_writer *w, int shard, char name[SHARD_NAME])
{
    if (w->shards <= 1)
        return "model.safetensors";
    snprintf(name, SHARD_NAME, "model-%05d-of-%05d.safetensors", shard + 1, w->shards);
    return name;
}

/* Begins the file of the tensor that comes next, and declares all that goes into it. */
static int open_shard(shards_writer *w)
{
    char name[SHARD_NAME];
    int shard = w->next < w->count ? w->list[w->next].shard : 0;
    buf path = { 0 };
    int status =
        path_join(&path, w->folder, shard_name(w, shard, name)) ? safetensors_begin(&w->file, path.p) : fail_memory();

    buf_free(&path);
    for (size_t i = w->next; i < w->count && w->list[i].shard == shard && status == LORAC_OK; i++)
        status = safetensors_declare(w->file, w->list[i].name, w->list[i].type, w->list[i].ndim, w->list[i].dim);
    return status;
}

static int close_shard(shards_writer *w)
{
    safetensors_writer *file = w->file;

    w->file = NULL;
    return safetensors_finish(file);
}

/* On to the next tensor; a file whose last one this was is whole. */
static int pass_tensor(shards_writer *w)
{
    const declared *d = &w->list[w->next++];

    return w->next < w->count && w->list[w->next].shard == d->shard ? LORAC_OK : close_shard(w);
}

/* To the tensor that takes the next byte: past empty ones. */
static int advance(shards_writer *w)
{
    while (w->left == 0 && w->next < w->count) {
        if (!w->file)
            TRY(open_shard(w));
        w->left = w->list[w->next].bytes;
        if (w->left == 0)
            TRY(pass_tensor(w));
    }
    return LORAC_OK;
}

int shards_data(shards_writer *w, const void *p, size_t bytes)
{
    TRY(advance(w));
    assert(w->file && bytes <= w->left);
    TRY(safetensors_data(w->file, p, bytes));
    w->left -= bytes;
    return w->left == 0 ? pass_tensor(w) : LORAC_OK;
}

static int write_index(const shards_writer *w)
{
    json_t *places = json_object();
    json_t *root = json_pack("{s:{s:I,s:I},s:o}", "metadata", "total_parameters", (json_int_t)w->parameters,
                             "total_size", (json_int_t)w->total, "weight_map", places);
    char name[SHARD_NAME];
    buf path = { 0 };
    char *text;
    int status;

    for (size_t i = 0; i < w->count && root; i++)
        json_object_set_new(places, w->list[i].name, json_string(shard_name(w, w->list[i].shard, name)));
    text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    status = text && path_join(&path, w->folder, "model.safetensors.index.json")
                 ? file_write(path.p, text, strlen(text))
                 : fail_memory();
    free(text);
    buf_free(&path);
    json_decref(root);
    return status;
}

static int finish(shards_writer *w)
{
    if (w->count == 0) {
        TRY(open_shard(w));
        return close_shard(w);
    }
    TRY(advance(w));
    assert(w->next == w->count);
    return w->shards > 1 ? write_index(w) : LORAC_OK;
}

int shards_finish(shards_writer *w)
{
    int status = finish(w);

    shards_abandon(w);
    return status;
}

void shards_abandon(shards_writer *w)
{
    if (!w)
        return;
    safetensors_abandon(w->file);
    mem_free(w->list);
    arena_free(&w->memory);
    mem_free(w);
}
