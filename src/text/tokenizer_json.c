/* tokenizer_json.c: a tokenizer from a Hugging Face folder's tokenizer.json: its model, its added tokens, and the order
 * in which the components are read. Every component either becomes steps or is refused by name and place; only
 * truncation and padding are left out, which are the caller's business. */
#include "tokenizer_json.h"

#include <string.h>

enum { TOKENIZER_BYTES_MOST = 256 << 20 };

/* ---- Components */

int part_fail(const tokenizer *t, part p, const char *sentence)
{
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place, .found = json_kind(p.json) }, "%s",
                   sentence);
}

int part_member(tokenizer *t, part p, const char *key, part *out)
{
    const json_t *json = json_object_get(p.json, key);
    out->json = json_is_null(json) ? NULL : json;
    out->place = p.place ? arena_format(&t->memory, "%s.%s", p.place, key) : key;
    return out->place ? LORAC_OK : fail_memory();
}

int part_element(tokenizer *t, part p, size_t i, part *out)
{
    out->json = json_array_get(p.json, i);
    out->place = arena_format(&t->memory, "%s[%zu]", p.place, i);
    return out->place ? LORAC_OK : fail_memory();
}

int part_refuse(const tokenizer *t, part p, const char *type)
{
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place },
                   "the tokenizer component \"%s\" is not supported yet by this version", type);
}

int part_text(tokenizer *t, part p, slice *out)
{
    if (!json_is_string(p.json))
        return part_fail(t, p, "a string was expected");
    out->n = json_string_length(p.json);
    out->p = arena_text(&t->memory, json_string_value(p.json), out->n);
    return out->p ? LORAC_OK : fail_memory();
}

/* Nesting is bounded by the JSON's. */
int part_each(tokenizer *t, part p, const char *key, int (*build)(tokenizer *, part))
{
    part list, element;
    TRY(part_member(t, p, key, &list));
    if (!json_is_array(list.json))
        return part_fail(t, list, "an array was expected");
    for (size_t i = 0; i < json_array_size(list.json); i++) {
        TRY(part_element(t, list, i, &element));
        TRY(build(t, element));
    }
    return LORAC_OK;
}

/* ---- Model */

static int refuse_affix(const tokenizer *t, part model, const char *key)
{
    const char *text = NULL;
    TRY(json_take_text(model.json, key, &text, t->path));
    return text && *text ? fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = key, .found = text },
                                   "this part of a BPE model is not supported yet by this version")
                         : LORAC_OK;
}

static int refuse_options(const tokenizer *t, part model)
{
    double dropout = 0;
    bool byte_fallback = false;
    TRY(refuse_affix(t, model, "continuing_subword_prefix"));
    TRY(refuse_affix(t, model, "end_of_word_suffix"));
    TRY(json_take_real(model.json, "dropout", &dropout, t->path));
    TRY(json_take_bool(model.json, "byte_fallback", &byte_fallback, t->path));
    if (dropout != 0)
        return part_refuse(t, (part){ NULL, "model.dropout" }, "dropout");
    return byte_fallback ? part_refuse(t, (part){ NULL, "model.byte_fallback" }, "byte_fallback") : LORAC_OK;
}

static int check_model_type(const tokenizer *t, part model)
{
    const char *type = json_object_get(model.json, "merges") ? "BPE" : "without merges"; /* old files do not say */
    if (!json_is_object(model.json))
        return part_fail(t, model, "the file has no model");
    TRY(json_take_text(model.json, "type", &type, t->path));
    return strcmp(type, "BPE") ? part_refuse(t, model, type) : LORAC_OK;
}

static int read_vocabulary(tokenizer *t, part vocab)
{
    json_t *tokens = (json_t *)vocab.json; /* jansson's iterators take no const */
    for (void *i = json_object_iter(tokens); i; i = json_object_iter_next(tokens, i)) {
        slice token = { json_object_iter_key(i), json_object_iter_key_len(i) };
        const json_t *id = json_object_iter_value(i);
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= t->vocabulary.count)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = vocab.place },
                           "the id of the token \"%.64s\" is not an integer from 0 to %d", token.p,
                           t->vocabulary.count - 1);
        token.p = arena_text(&t->memory, token.p, token.n);
        if (!token.p)
            return fail_memory();
        TRY(tokenizer_put(t, (int32_t)value, token, 0, vocab.place));
    }
    return LORAC_OK;
}

/* "a b" or ["a", "b"]. */
static bool split_merge(const json_t *merge, slice *left, slice *right)
{
    if (json_is_string(merge)) {
        *right = (slice){ json_string_value(merge), json_string_length(merge) };
        *left = slice_cut(right, ' ');
        return left->n && right->n && !memchr(right->p, ' ', right->n);
    }
    const json_t *a = json_array_get(merge, 0), *b = json_array_get(merge, 1);
    if (json_array_size(merge) != 2 || !json_is_string(a) || !json_is_string(b))
        return false;
    *left = (slice){ json_string_value(a), json_string_length(a) };
    *right = (slice){ json_string_value(b), json_string_length(b) };
    return left->n && right->n;
}

static int read_merge(tokenizer *t, part merges, size_t i, buf *scratch)
{
    const json_t *merge = json_array_get(merges.json, i);
    slice left, right;
    part here;
    if (json_is_string(merge) && slice_starts(slice_of(json_string_value(merge)), "#version"))
        return LORAC_OK;
    if (!split_merge(merge, &left, &right)) {
        TRY(part_element(t, merges, i, &here));
        return part_fail(t, here, "a merge is \"left right\" or [\"left\", \"right\"]");
    }
    fault where = { .file = t->path, .key = merges.place };
    return bpe_add_merge(&t->bpe, &t->vocabulary, scratch, left, right, (uint32_t)i, true, &where);
}

static int read_merges(tokenizer *t, part merges)
{
    size_t count = json_array_size(merges.json);
    if (!json_is_array(merges.json) || count > VOCABULARY_MOST)
        return part_fail(t, merges, "an array of merges was expected");
    TRY(bpe_open(&t->bpe, &t->vocabulary, count));
    buf scratch = { 0 };
    int status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        status = read_merge(t, merges, i, &scratch);
    buf_free(&scratch);
    return status;
}

static int read_model(tokenizer *t, part model, part vocab)
{
    part merges;
    const char *unknown = NULL;
    TRY(refuse_options(t, model));
    TRY(read_vocabulary(t, vocab));
    TRY(part_member(t, model, "merges", &merges));
    TRY(read_merges(t, merges));
    TRY(json_take_bool(model.json, "ignore_merges", &t->bpe.ignore_merges, t->path));
    TRY(json_take_bool(model.json, "fuse_unk", &t->bpe.fuse_unknown, t->path));
    TRY(json_take_text(model.json, "unk_token", &unknown, t->path));
    if (!unknown)
        return LORAC_OK;
    t->bpe.unknown = tokenizer_id(t, slice_of(unknown));
    return t->bpe.unknown >= 0
               ? LORAC_OK
               : fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "model.unk_token", .found = unknown },
                         "the unknown token is not in the vocabulary");
}

/* ---- Added tokens */

static int normalised(const tokenizer *t, slice text, passage *now)
{
    passage next = { 0 };
    matcher m = { 0 };
    int status = passage_start(now, &next, text);
    for (size_t i = 0; i < t->normalise_count && status == LORAC_OK; i++)
        status = normalise_run(&t->normalise[i], now, &next, &m);
    passage_free(&next);
    matcher_free(&m);
    return status;
}

/* Tokenizers decodes such a token as it is after normalising. */
static int set_spelling(tokenizer *t, int32_t id, slice spelling)
{
    vocabulary *v = &t->vocabulary;
    if (slice_equal(v->token[id], spelling))
        return LORAC_OK;
    if (!v->spelling)
        v->spelling = arena_new(&t->memory, (size_t)v->count, sizeof *v->spelling);
    if (!v->spelling)
        return fail_memory();
    v->spelling[id] = spelling;
    return LORAC_OK;
}

/* Text is searched for the normalised token after it is normalised itself. */
static int add_normalised(tokenizer *t, added_token token)
{
    passage now = { 0 };
    int status = normalised(t, token.text, &now);
    if (status == LORAC_OK && now.text.n && now.text.n <= ADDED_TOKEN_LONGEST) {
        token.text = (slice){ arena_text(&t->memory, now.text.p, now.text.n), now.text.n };
        status = token.text.p ? set_spelling(t, token.id, token.text) : fail_memory();
        if (status == LORAC_OK)
            status = added_add(&t->added_normalised, token);
    }
    passage_free(&now);
    return status;
}

static int read_content(tokenizer *t, part p, slice *content)
{
    part text;
    TRY(part_member(t, p, "content", &text));
    TRY(part_text(t, text, content));
    if (!content->n)
        return part_fail(t, text, "an added token cannot be empty");
    return content->n <= ADDED_TOKEN_LONGEST ? LORAC_OK
                                             : part_fail(t, text, "the added token is longer than 1024 bytes");
}

/* The id is the vocabulary's where it has the token, otherwise the next one. */
static int place_added(tokenizer *t, part p, slice content, int64_t id, uint8_t flags)
{
    int32_t known = tokenizer_id(t, content);
    fault where = { .file = t->path, .key = p.place };
    if (known >= 0 && known != id)
        return fail_at(LORAC_ERROR_DATA, where, "the added token \"%.*s\" has the id %lld, but %d in the vocabulary",
                       (int)content.n, content.p, (long long)id, known);
    if (id < 0 || id >= t->vocabulary.count)
        return fail_at(LORAC_ERROR_DATA, where,
                       "the added token \"%.*s\" leaves a gap in the ids: %lld where there are %d tokens",
                       (int)content.n, content.p, (long long)id, t->vocabulary.count);
    if (known < 0)
        return tokenizer_put(t, (int32_t)id, content, flags, p.place);
    if (t->vocabulary.flags[id] & TOKEN_ADDED)
        return fail_at(LORAC_ERROR_DATA, where, "the added token \"%.*s\" is there twice", (int)content.n, content.p);
    t->vocabulary.flags[id] |= flags;
    return LORAC_OK;
}

static int read_added(tokenizer *t, part p)
{
    const json_t *json = p.json;
    added_token token = { 0 };
    bool special = false, normal = false;
    int64_t id = -1;
    if (!json_is_object(json))
        return part_fail(t, p, "an object was expected");
    TRY(read_content(t, p, &token.text));
    TRY(json_take_int(json, "id", 0, VOCABULARY_MOST, &id, t->path));
    TRY(json_take_bool(json, "special", &special, t->path));
    normal = !special;
    TRY(json_take_bool(json, "normalized", &normal, t->path));
    TRY(json_take_bool(json, "single_word", &token.single_word, t->path));
    TRY(json_take_bool(json, "lstrip", &token.strip_left, t->path));
    TRY(json_take_bool(json, "rstrip", &token.strip_right, t->path));
    TRY(place_added(t, p, token.text, id, TOKEN_ADDED | (special ? TOKEN_SPECIAL : 0)));
    token.id = (int32_t)id;
    return normal ? add_normalised(t, token) : added_add(&t->added, token);
}

/* ---- The file */

static int check_dense(const tokenizer *t)
{
    for (int32_t id = 0; id < t->vocabulary.count; id++)
        if (!t->vocabulary.token[id].p)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "model.vocab" },
                           "no token has the id %d, though there are tokens with higher ids", id);
    return LORAC_OK;
}

/* Added tokens that the model's vocabulary lacks. */
static size_t count_new(const json_t *vocab, const json_t *added)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(added, i), "content"));
        count += content && !json_object_get(vocab, content);
    }
    return count;
}

static int build_optional(tokenizer *t, part root, const char *key, int (*build)(tokenizer *, part))
{
    part p;
    TRY(part_member(t, root, key, &p));
    return p.json ? build(t, p) : LORAC_OK;
}

static int read_all(tokenizer *t, const json_t *json)
{
    part root = { json, NULL }, model, vocab, added;
    if (!json_is_object(json))
        return part_fail(t, (part){ json, "(the whole file)" }, "an object was expected");
    TRY(part_member(t, root, "model", &model));
    TRY(check_model_type(t, model));
    TRY(part_member(t, model, "vocab", &vocab));
    TRY(part_member(t, root, "added_tokens", &added));
    if (!json_is_object(vocab.json) || !json_object_size(vocab.json))
        return part_fail(t, vocab, "an object of tokens and ids was expected");
    TRY(tokenizer_allocate(t, json_object_size(vocab.json) + count_new(vocab.json, added.json)));
    TRY(read_model(t, model, vocab));
    TRY(build_optional(t, root, "normalizer", build_normaliser));
    if (added.json)
        TRY(part_each(t, root, "added_tokens", read_added));
    TRY(check_dense(t));
    TRY(build_optional(t, root, "pre_tokenizer", build_split));
    TRY(build_optional(t, root, "post_processor", build_post));
    return build_optional(t, root, "decoder", build_decoder);
}

int tokenizer_open_json(tokenizer **out, slice text, const char *path)
{
    json_t *json;
    *out = NULL;
    TRY(json_parse(&json, text, path, 1, JSON_TAKE_NUL));
    int status = tokenizer_new(out, path);
    if (status == LORAC_OK)
        status = read_all(*out, json);
    json_decref(json);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}

static int open_file(tokenizer **out, const char *path)
{
    buf text = { 0 };
    int status = file_read(&text, path, TOKENIZER_BYTES_MOST);
    if (status == LORAC_OK)
        status = tokenizer_open_json(out, buf_slice_of(&text), path);
    buf_free(&text);
    return status;
}

int tokenizer_open_folder(tokenizer **out, const char *folder)
{
    buf path = { 0 };
    const char *file = path_join(&path, folder, "tokenizer.json");
    int status;
    *out = NULL;
    if (!file)
        status = fail_memory();
    else if (path_exists(file))
        status = open_file(out, file);
    else
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = folder }, "the folder has no tokenizer.json");
    buf_free(&path);
    if (status == LORAC_OK)
        status = tokenizer_read_config(*out, folder);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
