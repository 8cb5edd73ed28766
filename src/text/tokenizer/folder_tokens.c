/* folder_tokens.c: what the JSON files beside a vocabulary add to it. transformers adds tokens in this order: those
 * with numbers, the named special tokens ("eos_token"), those of a list. One that is there already keeps its id. */
#include "folder_tokens.h"

#include "err.h"
#include "file.h"
#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MOST = 16 << 20 };

static const char *const special_keys[SPECIAL_COUNT] = { "bos_token", "eos_token", "unk_token", "sep_token",
                                                         "pad_token", "cls_token", "mask_token" };
static const char decoder_key[] = "added_tokens_decoder", extra_key[] = "extra_special_tokens",
                  additional_key[] = "additional_special_tokens";

/* ---- The files */

/* transformers writes 10^30 for "no longest text", hence BIG. */
int folder_read(json_t **out, buf *path, const char *folder, const char *name)
{
    *out = NULL;
    buf_clear(path);
    if (!path_join(path, folder, name))
        return fail_memory();
    if (!path_exists(path->p))
        return LORAC_OK;
    TRY(json_read(out, path->p, CONFIG_BYTES_MOST, JSON_TAKE_NUL | JSON_TAKE_DUPLICATES | JSON_TAKE_BIG));
    if (json_is_object(*out))
        return LORAC_OK;
    json_decref(*out);
    *out = NULL;
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = path->p }, "an object was expected");
}

static int read_files(folder_tokens *f, const char *folder, buf *path)
{
    TRY(folder_read(&f->config, &f->path, folder, "tokenizer_config.json"));
    if (!json_object_get(f->config, decoder_key)) {
        TRY(folder_read(&f->map, path, folder, "special_tokens_map.json"));
        TRY(folder_read(&f->numbers, path, folder, "added_tokens.json"));
    }
    TRY(json_take_text(f->config, "tokenizer_class", &f->class_name, f->path.p));
    if (f->class_name)
        return LORAC_OK;
    TRY(folder_read(&f->model, path, folder, "config.json"));
    TRY(json_take_text(f->model, "tokenizer_class", &f->class_name, path->p));
    return json_take_text(f->model, "model_type", &f->model_type, path->p);
}

int folder_tokens_open(folder_tokens *f, const char *folder)
{
    buf path = { 0 };
    *f =
        (folder_tokens){ .list = json_array(), .places = json_object(), .named = json_object(), .extra = json_array() };
    bool there = f->list && f->places && f->named && f->extra;
    int status = there ? read_files(f, folder, &path) : fail_memory();
    buf_free(&path);
    return status;
}

static int64_t id_in_json(const void *vocabulary, const char *text)
{
    const json_t *id = json_object_get(vocabulary, text);
    return id ? json_integer_value(id) : -1;
}

void folder_tokens_beside(folder_tokens *f, const json_t *vocabulary)
{
    f->id_of = id_in_json;
    f->vocabulary = vocabulary;
    f->next = (int64_t)json_object_size(vocabulary);
}

void folder_tokens_free(folder_tokens *f)
{
    json_t *const all[] = { f->config, f->map, f->numbers, f->model, f->list, f->places, f->named, f->extra };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
    buf_free(&f->path);
}

bool folder_is_class(const folder_tokens *f, const char *names, const char *types)
{
    if (!f->class_name)
        return f->model_type && name_is_in(types, slice_of(f->model_type));
    slice name = slice_of(f->class_name);
    if (slice_ends(name, "Fast"))
        name.n -= 4;
    return name_is_in(names, name);
}

/* ---- Special tokens */

/* What the files say under this key, or NULL. special_tokens_map.json counts more. */
static const json_t *said_under(const folder_tokens *f, const char *key)
{
    const json_t *old = json_object_get(f->map, key);
    return old ? old : json_object_get(f->config, key);
}

bool folder_lists_extra(const folder_tokens *f)
{
    return said_under(f, additional_key) || said_under(f, extra_key);
}

/* "<s>" or {"content": "<s>", "lstrip": ...} */
static const char *text_of(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

const char *folder_text(const folder_tokens *f, const char *key)
{
    return text_of(said_under(f, key));
}

const char *folder_special(const folder_tokens *f, special_name which)
{
    const json_t *value = said_under(f, special_keys[which]);
    if (value)
        return text_of(value);
    return f->defaults ? f->defaults[which] : NULL;
}

static int64_t id_of(const folder_tokens *f, const char *text)
{
    const json_t *place = json_object_get(f->places, text);
    if (!place)
        return f->id_of(f->vocabulary, text);
    return json_integer_value(json_object_get(json_array_get(f->list, (size_t)json_integer_value(place)), "id"));
}

int64_t folder_special_id(const folder_tokens *f, special_name which)
{
    const char *text = folder_special(f, which);
    return text ? id_of(f, text) : -1;
}

static json_t *text_and_id(const folder_tokens *f, special_name which)
{
    const char *text = folder_special(f, which);
    return json_pack("[s, I]", text ? text : "", (json_int_t)folder_special_id(f, which));
}

json_t *folder_surroundings(const folder_tokens *f, special_name cls, special_name sep, bool trims, bool prefixed)
{
    return json_pack("{s:s, s:o, s:o, s:b, s:b}", "type", "RobertaProcessing", "sep", text_and_id(f, sep), "cls",
                     text_and_id(f, cls), "trim_offsets", trims, "add_prefix_space", prefixed);
}

static bool is_special_key(const char *key)
{
    for (int i = 0; i < SPECIAL_COUNT; i++)
        if (!strcmp(key, special_keys[i]))
            return true;
    return false;
}

/* A model's own, as "image_token". */
static int gather_own(folder_tokens *f, const json_t *from, bool strings, bool objects)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)from, key, value)
    {
        bool token = json_is_string(value) ? strings : objects && text_of(value);
        if (token && slice_ends(slice_of(key), "_token") && !is_special_key(key) &&
            json_object_set(f->named, key, value))
            return fail_memory();
    }
    return LORAC_OK;
}

static int gather_one(folder_tokens *f, const char *key, const char *default_text)
{
    const json_t *said = said_under(f, key);
    if (said ? json_is_null(said) : !default_text)
        return LORAC_OK;
    bool failed = said ? json_object_set(f->named, key, (json_t *)said)
                       : json_object_set_new(f->named, key, json_string(default_text));
    return failed ? fail_memory() : LORAC_OK;
}

static int flag_mask(folder_tokens *f)
{
    const char *key = special_keys[SPECIAL_MASK];
    const json_t *mask = json_object_get(f->named, key);
    if (!f->mask_left || !json_is_string(mask))
        return LORAC_OK;
    json_t *flagged = json_pack("{s:O, s:b, s:b, s:b}", "content", mask, "special", 1, "lstrip", 1, "normalized",
                                (int)f->mask_normalised);
    return json_object_set_new(f->named, key, flagged) ? fail_memory() : LORAC_OK;
}

static int gather_named(folder_tokens *f)
{
    for (special_name i = SPECIAL_BOS; i < SPECIAL_COUNT; i++)
        TRY(gather_one(f, special_keys[i], f->defaults ? f->defaults[i] : NULL));
    TRY(flag_mask(f));
    for (const special_default *own = f->own; own && own->key; own++)
        TRY(gather_one(f, own->key, own->text));
    TRY(gather_own(f, f->config, false, true));
    TRY(gather_own(f, f->map, true, true));
    TRY(gather_own(f, f->config, true, false));
    json_t *own = json_object_get(f->config, extra_key);
    return json_is_object(own) && json_object_update(f->named, own) ? fail_memory() : LORAC_OK;
}

static int gather_list(folder_tokens *f, const json_t *list)
{
    if (!json_is_array(list))
        return LORAC_OK;
    return json_array_extend(f->extra, (json_t *)list) ? fail_memory() : LORAC_OK;
}

/* Those of special_tokens_map.json are special whatever their flags say. */
static int gather_special(folder_tokens *f, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *token = json_copy(json_array_get(list, i));
        bool failed = !token || (json_is_object(token) && json_object_set_new(token, "special", json_true()));
        failed = json_array_append_new(f->extra, token) || failed;
        if (failed)
            return fail_memory();
    }
    return LORAC_OK;
}

/* The class lists its own by these names, whatever the files call them. */
static int gather_defaults(folder_tokens *f)
{
    for (const special_default *own = f->own; own && own->key; own++)
        if (json_array_append_new(f->extra, json_string(own->text)))
            return fail_memory();
    return LORAC_OK;
}

static bool is_filled(const json_t *value)
{
    return json_array_size(value) || json_object_size(value);
}

/* The older name counts where nothing stands under the newer one. *listed: then what special_tokens_map.json has under
 * it does not count. */
static int gather_extra(folder_tokens *f, bool *listed)
{
    const json_t *own = json_object_get(f->config, extra_key), *old = json_object_get(f->config, additional_key);
    const json_t *other = json_object_get(f->map, extra_key);
    bool said = own && !json_is_object(own);
    if (!is_filled(own) && old) {
        own = old;
        said = true;
    }
    TRY(gather_list(f, own));
    TRY(gather_special(f, other));
    *listed = said || other;
    return LORAC_OK;
}

/* ---- The list */

typedef struct added {
    const char *text;
    bool special, normalised, left, right, single;
} added;

static int put(folder_tokens *f, const added *a)
{
    const json_t *place = json_object_get(f->places, a->text);
    int64_t id = id_of(f, a->text);
    if (!*a->text)
        return LORAC_OK;
    if (id < 0)
        id = f->next++;
    json_t *made = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content", a->text, "special",
                             a->special, "normalized", a->normalised, "lstrip", a->left, "rstrip", a->right,
                             "single_word", a->single);
    bool failed;
    if (place)
        failed = json_array_set_new(f->list, (size_t)json_integer_value(place), made);
    else
        failed = json_object_set_new(f->places, a->text, json_integer((json_int_t)json_array_size(f->list))) ||
                 json_array_append_new(f->list, made);
    return failed ? fail_memory() : LORAC_OK;
}

int folder_add(folder_tokens *f, const char *text, bool special)
{
    return put(f, &(added){ .text = text, .special = special });
}

/* A token of the files; `special`: whatever its flags say. */
static int add(folder_tokens *f, const json_t *token, bool special)
{
    const char *file = f->path.p;
    added a = { .text = json_string_value(token), .special = special || json_is_string(token) };
    if (json_is_object(token)) {
        bool flag = false;
        TRY(json_take_text(token, "content", &a.text, file));
        TRY(json_take_bool(token, "special", &flag, file));
        a.special = special || flag;
        a.normalised = !a.special;
        TRY(json_take_bool(token, "normalized", &a.normalised, file));
        TRY(json_take_bool(token, "lstrip", &a.left, file));
        TRY(json_take_bool(token, "rstrip", &a.right, file));
        TRY(json_take_bool(token, "single_word", &a.single, file));
    }
    return a.text ? put(f, &a)
                  : fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .found = json_kind(token) },
                            "an added token is a string or an object with its content");
}

static bool has_text(const json_t *token, const char *text)
{
    const char *own = text_of(token);
    return own && !strcmp(own, text);
}

/* Whether the files call it special; the class's own and those with flags in tokenizer_config.json do not count. */
static bool is_called_special(const folder_tokens *f, const char *text)
{
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        const json_t *said = said_under(f, special_keys[i]);
        if (has_text(said, text) && (json_is_string(said) || said == json_object_get(f->map, special_keys[i])))
            return true;
    }
    for (size_t i = 0; i < json_array_size(f->extra); i++) {
        const json_t *token = json_array_get(f->extra, i);
        if (has_text(token, text) && !json_object_get(token, "__type"))
            return true;
    }
    return false;
}

static bool is_named(const folder_tokens *f, const char *text)
{
    const char *key;
    json_t *value;
    json_object_foreach(f->named, key, value)
    {
        if (has_text(value, text))
            return true;
    }
    return false;
}

typedef struct numbered {
    double number;
    const char *key;
    const json_t *token;
} numbered;

static int by_number(const void *a, const void *b)
{
    double x = ((const numbered *)a)->number, y = ((const numbered *)b)->number;
    return (x > y) - (x < y);
}

/* {"7": {"content": ...}}, or {"[X]": 7}. */
static int add_one_numbered(folder_tokens *f, const numbered *one, bool by_id)
{
    const char *text = by_id ? text_of(one->token) : one->key;
    bool special = text && is_named(f, text);
    if (by_id)
        return add(f, one->token, special);
    assert(text);
    bool called = is_called_special(f, text);
    return put(f, &(added){ .text = text, .special = special || called, .normalised = !called });
}

/* In the order of their numbers, which do not become their ids. */
static int add_numbered(folder_tokens *f)
{
    json_t *decoder = json_object_get(f->config, decoder_key), *from = decoder ? decoder : f->numbers, *value;
    size_t count = 0, most = json_object_size(from);
    const char *key;
    numbered *list = mem_new(most ? most : 1, sizeof *list);
    if (!list)
        return fail_memory();
    json_object_foreach(from, key, value)
    {
        list[count++] = (numbered){ decoder ? strtod(key, NULL) : json_number_value(value), key, value };
    }
    qsort(list, count, sizeof *list, by_number);
    int status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        status = add_one_numbered(f, &list[i], decoder);
    mem_free(list);
    return status;
}

/* Not those with numbers, which are the first of the list, nor a string once more. Of the others the last counts. */
static int add_new(folder_tokens *f, const json_t *token, size_t numbers, json_t *strings)
{
    const char *text = text_of(token);
    const json_t *place = text ? json_object_get(f->places, text) : NULL;
    if (place && (size_t)json_integer_value(place) < numbers)
        return LORAC_OK;
    if (text && json_is_string(token)) {
        if (json_object_get(strings, text))
            return LORAC_OK;
        if (json_object_set_new(strings, text, json_true()))
            return fail_memory();
    }
    return add(f, token, text && is_named(f, text));
}

static int add_special(folder_tokens *f, json_t *strings)
{
    const char *key;
    json_t *value;
    size_t numbers = json_array_size(f->list);
    json_object_foreach(f->named, key, value) TRY(add_new(f, value, numbers, strings));
    for (size_t i = 0; i < json_array_size(f->extra); i++)
        TRY(add_new(f, json_array_get(f->extra, i), numbers, strings));
    return LORAC_OK;
}

int folder_add_all(folder_tokens *f)
{
    bool listed;
    TRY(gather_named(f));
    TRY(gather_extra(f, &listed));
    TRY(add_numbered(f));
    if (!listed) { /* these make no token with a number special */
        TRY(gather_list(f, said_under(f, additional_key)));
        TRY(gather_defaults(f));
    }
    json_t *strings = json_object();
    int status = strings ? add_special(f, strings) : fail_memory();
    json_decref(strings);
    return status;
}

int folder_add_plainly(folder_tokens *f)
{
    const char *key;
    json_t *value;
    json_object_foreach(f->named, key, value) TRY(folder_add(f, text_of(value), true));
    for (size_t i = 0; i < json_array_size(f->extra); i++)
        TRY(folder_add(f, text_of(json_array_get(f->extra, i)), true));
    return LORAC_OK;
}

size_t folder_tokens_most(const folder_tokens *f)
{
    static const char *const lists[] = { additional_key, extra_key };
    size_t most = SPECIAL_COUNT + json_object_size(f->config) + json_object_size(f->map) +
                  json_object_size(json_object_get(f->config, decoder_key)) + json_object_size(f->numbers);
    for (const special_default *own = f->own; own && own->key; own++)
        most += 2;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const json_t *said = json_object_get(f->config, lists[i]);
        most += json_object_size(said) + json_array_size(said) + json_array_size(json_object_get(f->map, lists[i]));
    }
    return most;
}
