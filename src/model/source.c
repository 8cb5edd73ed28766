/* source.c: opening the files of a model. The shard index is data from outside: its file names must be plain names in
 * the same folder. */
#include "source.h"

#include "array.h"
#include "err.h"
#include "json.h"
#include "mem.h"

#include <string.h>

enum { INDEX_LIMIT = 64 << 20, SHARD_LIMIT = 10000 };

static bool is_plain_name(const char *name)
{
    slice s = slice_of(name);
    if (s.n == 0 || s.p[0] == '.' || !slice_ends(s, ".safetensors"))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (!letter && !strchr("._-", ch))
            return false;
    }
    return true;
}

static int open_shard(model_source *s, const char *folder, const char *name)
{
    TRY(array_resize(s->shards, s->shard_count + 1));
    buf path = { 0 };
    int status = LORAC_ERROR_RUNTIME;
    const char *joined = path_join(&path, folder, name);
    const char *kept = joined ? arena_text(&s->memory, joined, strlen(joined)) : NULL;
    if (!kept)
        status = fail_memory();
    else
        status = safetensors_open(&s->shards[s->shard_count], kept);
    if (status == LORAC_OK)
        s->shard_count++;
    buf_free(&path);
    return status;
}

/* Opens each file that weight_map names, once, in the order of first mention, then checks that every tensor is where
 * the map says. */
static int open_shards(model_source *s, const char *folder, const json_t *weight_map, const char *index)
{
    map opened = { 0 };
    int status = LORAC_OK;
    const char *tensor_name;
    json_t *file;
    json_object_foreach((json_t *)weight_map, tensor_name, file)
    {
        const char *name = json_string_value(file);
        fault where = { .file = index, .key = tensor_name, .found = name ? name : json_kind(file) };
        where.expected = "the name of a .safetensors file in the same folder";
        if (!name || !is_plain_name(name))
            TRY_GOTO(fail_at(LORAC_ERROR_DATA, where, "weight_map has a bad entry"));
        int64_t shard = map_find(&opened, slice_of(name));
        if (shard < 0) {
            if (s->shard_count == SHARD_LIMIT)
                TRY_GOTO(fail_at(LORAC_ERROR_DATA, where, "weight_map names more than %d files", SHARD_LIMIT));
            bool found;
            shard = (int64_t)s->shard_count;
            TRY_GOTO(map_add(&opened, slice_of(name), shard, &found));
            TRY_GOTO(open_shard(s, folder, name));
        }
        if (!safetensors_find(&s->shards[shard], tensor_name))
            TRY_GOTO(fail_at(LORAC_ERROR_DATA, (fault){ .file = index, .key = tensor_name, .found = name },
                             "weight_map places a tensor in a file that does not have it"));
    }
done:
    map_free(&opened);
    return status;
}

static int open_index(model_source *s, const char *folder, const char *index)
{
    json_t *root = NULL;
    TRY(json_read(&root, index, INDEX_LIMIT, 0));
    const json_t *weight_map = json_object_get(root, "weight_map");
    int status;
    if (!json_is_object(weight_map))
        status = fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = index, .key = "weight_map", .found = json_kind(weight_map), .expected = "an object" },
            "the shard index has no map of tensors to files");
    else
        status = open_shards(s, folder, weight_map, index);
    json_decref(root);
    return status;
}

static int open_folder(model_source *s, const char *folder)
{
    buf path = { 0 };
    int status;
    const char *joined = path_join(&path, folder, "model.safetensors.index.json");
    if (!joined) {
        status = fail_memory();
    } else if (path_exists(joined)) {
        status = open_index(s, folder, joined);
    } else if ((joined = path_join(&path, folder, "model.safetensors")) && path_exists(joined)) {
        status = open_shard(s, folder, "model.safetensors");
    } else {
        status = fail_at(LORAC_ERROR_DATA,
                         (fault){ .file = folder,
                                  .expected = "model.safetensors or model.safetensors.index.json",
                                  .hint = "PyTorch .bin weights can be converted with transformers: "
                                          "save_pretrained(safe_serialization=True)" },
                         "the model folder has no weights");
    }
    buf_free(&path);
    return status;
}

int source_open(model_source *s, const char *path)
{
    *s = (model_source){ 0 };
    s->path = arena_text(&s->memory, path, strlen(path));
    if (!s->path)
        return fail_memory();
    if (path_is_folder(path))
        return open_folder(s, s->path);
    if (slice_ends(slice_of(path), ".safetensors"))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .hint = "give the folder that holds it, with its config.json" },
                       "a model is a folder or a GGUF file");
    TRY(gguf_open(&s->gguf, s->path));
    s->is_gguf = true;
    return LORAC_OK;
}

void source_close(model_source *s)
{
    if (s->is_gguf)
        gguf_close(&s->gguf);
    for (size_t i = 0; i < s->shard_count; i++)
        safetensors_close(&s->shards[i]);
    mem_free(s->shards);
    arena_free(&s->memory);
}

void source_let_go(const model_source *s)
{
    if (s->is_gguf)
        file_let_go(&s->gguf.file);
    for (size_t i = 0; i < s->shard_count; i++)
        file_let_go(&s->shards[i].file);
}

const tensor *source_find(const model_source *s, const char *name)
{
    if (s->is_gguf)
        return gguf_tensor(&s->gguf, name);
    for (size_t i = 0; i < s->shard_count; i++) {
        const tensor *t = safetensors_find(&s->shards[i], name);
        if (t)
            return t;
    }
    return NULL;
}

const tensor *source_at(const model_source *s, size_t i, const char **name)
{
    if (s->is_gguf) {
        if (i >= s->gguf.tensor_count)
            return NULL;
        *name = s->gguf.names[i];
        return &s->gguf.tensors[i];
    }
    for (size_t shard = 0; shard < s->shard_count; shard++) {
        const safetensors *file = &s->shards[shard];
        if (i < file->count) {
            *name = file->names[i];
            return &file->tensors[i];
        }
        i -= file->count;
    }
    return NULL;
}
