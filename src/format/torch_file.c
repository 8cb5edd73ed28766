/* torch_file.c: from the tree that a pickle describes to tensors (torch/serialization.py, torch/_utils.py). A tensor is
 * a call of torch._utils._rebuild_tensor_v2 with a storage, an offset, sizes and strides. Invariant: every element that
 * a tensor names lies inside its storage, and copies of tensors whose elements do not lie in order take no more than
 * the file's own size. */
#include "torch_file.h"

#include "err.h"
#include "pickle.h"
#include "tensor_name.h"
#include "zip.h"

#include <stdio.h>
#include <string.h>

/* The pickle of a magic number that files of PyTorch before 1.6 begin with. */
static const char old_magic[] = "\200\002\212\012l\374\234F\371 j\250P\031.";

enum { TENSOR_LIMIT = 1000000, KEY_LIMIT = 64 };

#define REBUILD_TENSOR "torch._utils._rebuild_tensor_v2"
#define REBUILD_PARAMETER "torch._utils._rebuild_parameter"

static const struct {
    const char *name;
    dtype type;
} storages[] = {
    { "torch.FloatStorage", DT_F32 },  { "torch.HalfStorage", DT_F16 }, { "torch.BFloat16Storage", DT_BF16 },
    { "torch.DoubleStorage", DT_F64 }, { "torch.LongStorage", DT_I64 }, { "torch.IntStorage", DT_I32 },
    { "torch.ShortStorage", DT_I16 },  { "torch.CharStorage", DT_I8 },  { "torch.ByteStorage", DT_U8 },
    { "torch.BoolStorage", DT_BOOL },
};

/* The type of a storage by its name; DT_COUNT for what is none. */
static dtype storage_type(slice name)
{
    for (size_t i = 0; i < sizeof storages / sizeof storages[0]; i++)
        if (slice_is(name, storages[i].name))
            return storages[i].type;
    return DT_COUNT;
}

static bool is_allowed(slice name)
{
    return slice_is(name, REBUILD_TENSOR) || slice_is(name, REBUILD_PARAMETER) || storage_type(name) != DT_COUNT;
}

typedef struct opening {
    torch_file *f;
    zip archive;
    slice folder;  /* of the archive's entries, with the slash */
    size_t copied; /* bytes */
} opening;

static int wrong(const opening *o, const char *key, const char *found, const char *expected)
{
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = o->f->path, .key = key, .found = found, .expected = expected },
                   "the file does not describe a tensor as torch.save does");
}

static bool is_call(const pickle_value *v, const char *name)
{
    return v->kind == PICKLE_CALL && slice_is(v->items[0]->text, name);
}

/* ---- Storages */

typedef struct storage {
    dtype type;
    int64_t count;
    slice key;
    const uint8_t *p;
} storage;

/* ("storage", torch.FloatStorage, "0", "cpu", 6144) */
static int read_storage_id(const opening *o, const char *name, const pickle_value *v, storage *out)
{
    const pickle_value *id = v->items[0];

    if (id->kind != PICKLE_TUPLE || id->count != 5 || id->items[1]->kind != PICKLE_GLOBAL ||
        id->items[2]->kind != PICKLE_TEXT || id->items[4]->kind != PICKLE_INT)
        return wrong(o, name, pickle_kind_name(id), "a storage with its type, key and size");
    out->key = id->items[2]->text;
    out->count = id->items[4]->integer;
    out->type = storage_type(id->items[1]->text);
    if (out->type == DT_COUNT)
        return wrong(o, name, id->items[1]->text.p, "torch.FloatStorage or another storage");
    if (tensor_bytes_checked(out->type, 1, &out->count) < 0 || out->key.n > KEY_LIMIT)
        return wrong(o, name, "a storage beyond all bounds", "a size of 0 or more and a short key");
    return LORAC_OK;
}

static int find_storage(const opening *o, const char *name, storage *s)
{
    int64_t bytes = tensor_bytes_checked(s->type, 1, &s->count);
    char path[KEY_LIMIT + 512], found[48], expected[48];
    const zip_entry *entry;

    snprintf(path, sizeof path, "%.*sdata/%.*s", (int)o->folder.n, o->folder.p, (int)s->key.n, s->key.p);
    entry = zip_find(&o->archive, path);
    if (!entry)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = o->f->path, .key = name, .expected = path },
                       "the tensor's storage is not in the archive");
    s->p = (const uint8_t *)entry->contents.p;
    if (entry->contents.n == (uint64_t)bytes)
        return LORAC_OK;
    snprintf(found, sizeof found, "%zu bytes", entry->contents.n);
    snprintf(expected, sizeof expected, "%lld for %lld values of %s", (long long)bytes, (long long)s->count,
             dtype_name(s->type));
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = o->f->path, .key = name, .found = found, .expected = expected },
                   "the tensor's storage %s has the wrong size", path);
}

/* ---- Tensors */

typedef struct layout {
    int64_t offset, stride[TENSOR_DIMS]; /* in elements */
} layout;

static int read_shape(const opening *o, const char *name, const pickle_value *const *v, tensor *t, layout *l)
{
    const pickle_value *offset = v[1], *size = v[2], *stride = v[3];

    if (offset->kind != PICKLE_INT || size->kind != PICKLE_TUPLE || stride->kind != PICKLE_TUPLE ||
        size->count != stride->count)
        return wrong(o, name, "other things", "an offset, sizes and as many strides");
    if (size->count > TENSOR_DIMS)
        return wrong(o, name, "more dimensions", "at most 8");
    t->ndim = (int)size->count;
    l->offset = offset->integer;
    for (int i = 0; i < t->ndim; i++) {
        if (size->items[i]->kind != PICKLE_INT || stride->items[i]->kind != PICKLE_INT)
            return wrong(o, name, pickle_kind_name(size->items[i]), "integers as sizes and strides");
        t->dim[i] = size->items[i]->integer;
        l->stride[i] = t->dim[i] == 1 ? 0 : stride->items[i]->integer; /* of one element it means nothing */
    }
    return LORAC_OK;
}

/* The tensor's last element must lie inside the storage, and it must not have more elements than the storage: then none
 * shows twice by a stride of 0 and makes a small file a large tensor. */
static int check_inside(const opening *o, const char *name, const tensor *t, const layout *l, const storage *s)
{
    int64_t last = l->offset, reach, count = 1;
    bool inside = tensor_bytes_checked(t->type, t->ndim, t->dim) >= 0 && l->offset >= 0;
    char found[96], dims[64], expected[64];

    for (int i = 0; i < t->ndim && inside; i++) {
        count *= t->dim[i];
        inside =
            l->stride[i] >= 0 && (t->dim[i] == 0 || (!__builtin_mul_overflow(t->dim[i] - 1, l->stride[i], &reach) &&
                                                     !__builtin_add_overflow(last, reach, &last)));
    }
    if (inside && (count == 0 || (last < s->count && count <= s->count)))
        return LORAC_OK;
    snprintf(found, sizeof found, "%s from element %lld on", tensor_shape(t, dims), (long long)l->offset);
    snprintf(expected, sizeof expected, "at most the storage's %lld elements", (long long)s->count);
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = o->f->path, .key = name, .found = found, .expected = expected },
                   "the tensor's shape, offset and strides lead out of its storage");
}

static bool is_dense(const tensor *t, const layout *l)
{
    int64_t expected = 1;

    for (int i = t->ndim; i-- > 0;) {
        if (t->dim[i] != 1 && l->stride[i] != expected)
            return false;
        expected *= t->dim[i];
    }
    return true;
}

/* Copies the elements in the order of the sizes. */
static void gather(uint8_t *to, const tensor *t, const layout *l, const uint8_t *from)
{
    size_t bytes = (size_t)dtype_block_bytes(t->type);
    int64_t at[TENSOR_DIMS] = { 0 }, place = l->offset, count = tensor_count(t);

    for (int64_t n = 0; n < count; n++) {
        memcpy(to + (size_t)n * bytes, from + (size_t)place * bytes, bytes);
        for (int i = t->ndim; i-- > 0;) {
            place += l->stride[i];
            if (++at[i] < t->dim[i])
                break;
            place -= l->stride[i] * t->dim[i];
            at[i] = 0;
        }
    }
}

static int place_tensor(opening *o, const char *name, tensor *t, const layout *l, const storage *s)
{
    size_t bytes = (size_t)tensor_bytes(t);
    uint8_t *copy;

    if (bytes == 0 || is_dense(t, l)) {
        t->data = (void *)(uintptr_t)(s->p + (bytes ? (size_t)l->offset * (size_t)dtype_block_bytes(t->type) : 0));
        return LORAC_OK;
    }
    if (bytes > o->f->file.n - o->copied)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = o->f->path, .key = name, .hint = "Call contiguous() before saving" },
                       "the tensors that do not lie in order take more than the whole file");
    copy = arena_new(&o->f->memory, bytes, 1);
    if (!copy)
        return fail_memory();
    gather(copy, t, l, s->p);
    o->copied += bytes;
    t->data = copy;
    return LORAC_OK;
}

static int read_tensor(opening *o, const char *name, const pickle_value *v, tensor *out)
{
    const pickle_value *arguments;
    storage s = { 0 };
    layout l = { 0 };

    if (is_call(v, REBUILD_PARAMETER) && v->items[1]->count > 0)
        v = v->items[1]->items[0];
    if (!is_call(v, REBUILD_TENSOR))
        return wrong(o, name, v->kind == PICKLE_CALL ? v->items[0]->text.p : pickle_kind_name(v), "a tensor");
    arguments = v->items[1];
    if (arguments->count < 4 || arguments->items[0]->kind != PICKLE_PERSISTENT)
        return wrong(o, name, "a call with other arguments", "a storage, an offset, sizes and strides");
    TRY(read_storage_id(o, name, arguments->items[0], &s));
    *out = (tensor){ .type = s.type };
    TRY(read_shape(o, name, (const pickle_value *const *)arguments->items, out, &l));
    TRY(check_inside(o, name, out, &l, &s));
    TRY(find_storage(o, name, &s));
    return place_tensor(o, name, out, &l, &s);
}

static int read_dict(opening *o, const pickle_value *v)
{
    torch_file *f = o->f;

    if (v->kind != PICKLE_DICT)
        return wrong(o, NULL, pickle_kind_name(v), "a dict of tensors");
    if (v->count / 2 > TENSOR_LIMIT)
        return wrong(o, NULL, "more tensors", "at most 1000000");
    f->names = arena_new(&f->memory, v->count / 2, sizeof *f->names);
    f->tensors = arena_new(&f->memory, v->count / 2, sizeof *f->tensors);
    if (!f->names || !f->tensors)
        return fail_memory();
    for (; f->count < v->count / 2; f->count++) {
        const pickle_value *key = v->items[2 * f->count];

        if (key->kind != PICKLE_TEXT)
            return wrong(o, NULL, pickle_kind_name(key), "strings as the dict's keys");
        TRY(tensor_name_check(f->path, key->text));
        f->names[f->count] = arena_text(&f->memory, key->text.p, key->text.n);
        if (!f->names[f->count])
            return fail_memory();
        TRY(read_tensor(o, f->names[f->count], v->items[2 * f->count + 1], &f->tensors[f->count]));
    }
    return LORAC_OK;
}

/* ---- The archive */

/* Entries stand in one folder, named after the file that was saved. */
static const zip_entry *find_pickle(opening *o)
{
    static const char name[] = "data.pkl";

    for (size_t i = 0; i < o->archive.count; i++) {
        slice entry = o->archive.entries[i].name, folder = { entry.p, entry.n - (sizeof name - 1) };

        if (!slice_ends(entry, name) || folder.n > 256 || (folder.n && folder.p[folder.n - 1] != '/'))
            continue;
        o->folder = folder;
        return &o->archive.entries[i];
    }
    return NULL;
}

static int check_byte_order(const opening *o)
{
    char name[300];
    const zip_entry *entry;

    snprintf(name, sizeof name, "%.*sbyteorder", (int)o->folder.n, o->folder.p);
    entry = zip_find(&o->archive, name);
    if (!entry || slice_is(entry->contents, "little"))
        return LORAC_OK;
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = o->f->path, .key = name, .expected = "little" },
                   "the file was written with another order of bytes");
}

static int read_archive(opening *o, arena *values)
{
    const zip_entry *entry;
    pickle_value *root = NULL;
    slice bytes;

    TRY(zip_open(&o->archive, &o->f->file, o->f->path));
    entry = find_pickle(o);
    if (!entry)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = o->f->path, .expected = "an entry data.pkl" },
                       "the zip archive was not made by torch.save");
    TRY(check_byte_order(o));
    bytes = entry->contents;
    TRY(pickle_read(&root, &bytes, is_allowed, o->f->path, values));
    if (bytes.n > 0)
        return wrong(o, "data.pkl", "more bytes after the pickle", "none");
    return read_dict(o, root);
}

/* ---- */

static int read_file(torch_file *f)
{
    opening o = { .f = f };
    arena values = { 0 };
    int status;

    if (f->file.n >= sizeof old_magic - 1 && memcmp(f->file.p, old_magic, sizeof old_magic - 1) == 0)
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = f->path,
                     .expected = "a zip archive, as torch.save writes since PyTorch 1.6",
                     .hint =
                         "Load it with weights_only=True in PyTorch and save it again, or ask for a safetensors file" },
            "this is a file of an old PyTorch");
    if (f->file.n < 4 || memcmp(f->file.p, "PK\003\004", 4) != 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .expected = "a zip archive, as torch.save writes" },
                       "this is not a file of torch.save");
    status = read_archive(&o, &values);
    zip_close(&o.archive);
    arena_free(&values);
    return status;
}

int torch_file_open(torch_file *out, const char *path)
{
    int status;

    *out = (torch_file){ 0 };
    TRY(file_map(&out->file, path));
    out->path = arena_text(&out->memory, path, strlen(path));
    status = out->path ? read_file(out) : fail_memory();
    if (status != LORAC_OK)
        torch_file_close(out);
    return status;
}

void torch_file_close(torch_file *f)
{
    if (f->file.p)
        file_unmap(&f->file);
    arena_free(&f->memory);
    *f = (torch_file){ 0 };
}
