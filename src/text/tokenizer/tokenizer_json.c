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

/* Tokenizers counts the tokens that there are, whatever the file says. An id that another token has is no gap but a
 * fault. */
static int place_new(tokenizer *t, part p, added_token *token, uint8_t flags)
{
    int32_t stated = token->id, next = (int32_t)t->vocabulary.ids.count;
    slice content = token->text;
    bool taken = tokenizer_token(t, stated).p != NULL;
    token->id = taken ? stated : next;
    TRY(tokenizer_put(t, token->id, content, flags | TOKEN_FOREIGN, p.place));
    if (token->id == stated || t->renumbered++)
        return LORAC_OK;
    return tokenizer_note(t,
                          arena_format(&t->memory,
                                       "%s: %s: the added token \"%.*s\" gets the id %d, not %d: added tokens follow "
                                       "the vocabulary's without a gap, as in Hugging Face's tokenizers",
                                       t->path, p.place, (int)content.n, content.p, next, stated));
}

/* The id is the vocabulary's where it has the token, otherwise the next one. */
static int place_added(tokenizer *t, part p, added_token *token, uint8_t flags)
{
    slice content = token->text;
    int32_t known = tokenizer_id(t, content);
    fault where = { .file = t->path, .key = p.place };
    if (known < 0)
        return place_new(t, p, token, flags);
    if (t->vocabulary.flags[known] & TOKEN_ADDED)
        return fail_at(LORAC_ERROR_DATA, where, "the added token \"%.*s\" is there twice", (int)content.n, content.p);
    if (known != token->id)
        return fail_at(LORAC_ERROR_DATA, where, "the added token \"%.*s\" has the id %d, but %d in the vocabulary",
                       (int)content.n, content.p, token->id, known);
    t->vocabulary.flags[known] |= flags;
    return LORAC_OK;
}

static int read_added(tokenizer *t, part p)
{
    added_token token = { 0 };
    bool special = false, normal = false;
    int64_t id = -1;
    if (!json_is_object(p.json))
        return part_fail(t, p, "an object was expected");
    TRY(read_content(t, p, &token.text));
    TRY(part_int(t, p, "id", 0, VOCABULARY_MOST, &id));
    if (id < 0)
        return part_fail(t, p, "an added token needs an id");
    TRY(part_bool(t, p, "special", &special));
    normal = !special;
    TRY(part_bool(t, p, "normalized", &normal));
    TRY(part_bool(t, p, "single_word", &token.single_word));
    TRY(part_bool(t, p, "lstrip", &token.strip_left));
    TRY(part_bool(t, p, "rstrip", &token.strip_right));
    token.id = (int32_t)id;
    TRY(place_added(t, p, &token, TOKEN_ADDED | (special ? TOKEN_SPECIAL : 0)));
    return normal ? add_normalised(t, token) : added_add(&t->added, token);
}

/* ---- The file */

/* There was room for added tokens that the model has, too. */
static void forget_room(vocabulary *v)
{
    while (v->count && !v->token[v->count - 1].p)
        v->count--;
}

static int build_optional(tokenizer *t, part root, const char *key, int (*build)(tokenizer *, part))
{
    part p;
    TRY(part_member(t, root, key, &p));
    return p.json ? build(t, p) : LORAC_OK;
}

int tokenizer_read_steps(tokenizer *t, const json_t *json)
{
    part root = { json, NULL }, added;
    TRY(part_member(t, root, "added_tokens", &added));
    TRY(build_optional(t, root, "normalizer", build_normaliser));
    if (added.json)
        TRY(part_each(t, root, "added_tokens", read_added));
    forget_room(&t->vocabulary);
    TRY(build_optional(t, root, "pre_tokenizer", build_split));
    TRY(build_optional(t, root, "post_processor", build_post));
    TRY(build_optional(t, root, "decoder", build_decoder));
    word_model_find_cuts(&t->model);
    return LORAC_OK;
}

static int read_all(tokenizer *t, const json_t *json)
{
    part root = { json, NULL }, model, decoder;
    decode_step *spaces;
    if (!json_is_object(json))
        return part_fail(t, (part){ json, "(the whole file)" }, "an object was expected");
    TRY(part_member(t, root, "model", &model));
    TRY(read_model(t, model, json_object_get(json, "added_tokens")));
    TRY(tokenizer_read_steps(t, json));
    TRY(part_member(t, root, "decoder", &decoder)); /* an empty sequence is one, too */
    return decoder.json ? LORAC_OK : tokenizer_add_decode(t, DECODE_SPACES, &spaces);
}

static int from_json(tokenizer **out, const json_t *json, const char *path)
{
    *out = NULL;
    int status = tokenizer_new(out, path);
    if (status == LORAC_OK)
        status = read_all(*out, json);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}

int tokenizer_from_folder(tokenizer **out, const json_t *json, const char *path, const folder_tokens *f,
                          bool keeps_templates)
{
    TRY(from_json(out, json, path));
    tokenizer_take_specials(*out, f);
    (*out)->keeps_templates = keeps_templates;
    return LORAC_OK;
}

int tokenizer_open_json(tokenizer **out, slice text, const char *path)
{
    json_t *json;
    *out = NULL;
    TRY(json_parse(&json, text, path, 1, JSON_TAKE_NUL));
    int status = from_json(out, json, path);
    json_decref(json);
    return status;
}

int tokenizer_open_json_file(tokenizer **out, const char *path)
{
    buf text = { 0 };
    *out = NULL;
    int status = file_read(&text, path, TOKENIZER_BYTES_MOST);
    if (status == LORAC_OK)
        status = tokenizer_open_json(out, buf_slice_of(&text), path);
    buf_free(&text);
    return status;
}
