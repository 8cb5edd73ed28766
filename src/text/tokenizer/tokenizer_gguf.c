/* tokenizer_gguf.c: a tokenizer from GGUF metadata (tokenizer.ggml.*), put together as llama.cpp does it
 * (src/llama-vocab.cpp is the reference): tokens and their types, roles, and what is put around a text. */
#include "tokenizer_gguf.h"

#include <stdio.h>
#include <string.h>

int gguf_reader_fail(const gguf_reader *r, const char *key, const char *sentence)
{
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = key }, "%s", sentence);
}

static bool is_of_kind(const gguf_value *v, array_kind kind)
{
    if (v->type != GGUF_ARRAY)
        return false;
    switch (kind) {
    case ARRAY_STRINGS:
        return v->element == GGUF_STRING;
    case ARRAY_INTEGERS:
        return v->element <= GGUF_I32 || v->element == GGUF_U64 || v->element == GGUF_I64;
    case ARRAY_SCORES:
        return v->element == GGUF_F32 || v->element == GGUF_I32;
    default:
        return v->element == GGUF_U8 || v->element == GGUF_I8;
    }
}

int gguf_reader_array(const gguf_reader *r, const char *key, array_kind kind, const gguf_value **out)
{
    static const char *const wanted[] = { "strings", "integers", "scores (F32 or I32)", "bytes" };
    *out = gguf_find(r->g, key);
    if (!*out || is_of_kind(*out, kind))
        return LORAC_OK;
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = key }, "this is not an array of %s",
                   wanted[kind]);
}

/* ---- Tokens */

static int read_types(gguf_reader *r)
{
    const char *key = "tokenizer.ggml.token_type";
    const gguf_value *types;
    int32_t count = r->t->vocabulary.count;
    TRY(gguf_reader_array(r, key, ARRAY_INTEGERS, &types));
    if (types && types->count != (uint64_t)count)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = key },
                       "there are %d tokens but %llu token types", count, (unsigned long long)types->count);
    r->types = mem_new((size_t)count, 1);
    if (!r->types)
        return fail_memory();
    for (int32_t id = 0; id < count; id++) {
        int64_t type = types ? gguf_int(types, (uint64_t)id) : TYPE_NORMAL;
        r->types[id] = type >= TYPE_NORMAL && type <= TYPE_BYTE ? (uint8_t)type : TYPE_UNDEFINED;
    }
    return LORAC_OK;
}

static int read_tokens(gguf_reader *r)
{
    const char *key = "tokenizer.ggml.tokens";
    tokenizer *t = r->t;
    const gguf_value *tokens;
    TRY(gguf_reader_array(r, key, ARRAY_STRINGS, &tokens));
    if (!tokens || !tokens->count)
        return gguf_reader_fail(r, key, "the file has no array of tokens");
    TRY(tokenizer_allocate(t, tokens->count));
    TRY(read_types(r));
    for (int32_t id = 0; id < t->vocabulary.count; id++) {
        slice token = gguf_string(tokens, (uint64_t)id);
        if (token.n)
            token.p = arena_text(&t->memory, token.p, token.n);
        else
            token = slice_of(arena_format(&t->memory, "[EMPTY_%d]", id));
        if (!token.p)
            return fail_memory();
        TRY(tokenizer_put(t, id, token, 0, key));
    }
    return LORAC_OK;
}

/* How tokens are decoded, by their types. */
static void set_flags(const gguf_reader *r)
{
    static const uint8_t flags[] = {
        [TYPE_UNDEFINED] = TOKEN_SILENT,
        [TYPE_UNKNOWN] = TOKEN_ADDED | TOKEN_SPECIAL | TOKEN_VERBATIM,
        [TYPE_CONTROL] = TOKEN_ADDED | TOKEN_SPECIAL | TOKEN_VERBATIM,
        [TYPE_USER_DEFINED] = TOKEN_ADDED | TOKEN_VERBATIM,
        [TYPE_UNUSED] = TOKEN_SILENT,
        [TYPE_BYTE] = TOKEN_BYTE,
    };
    vocabulary *v = &r->t->vocabulary;
    for (int32_t id = 0; id < v->count; id++)
        v->flags[id] =
            r->types[id] == TYPE_BYTE && byte_of_token(v->token[id]) < 0 ? TOKEN_SILENT : flags[r->types[id]];
}

/* ---- Roles, and what is put around a text */

int gguf_reader_id(const gguf_reader *r, const char *key, int64_t *id)
{
    int64_t known = *id;
    int32_t count = r->t->vocabulary.count;
    TRY(gguf_take_int(r->g, key, -1, UINT32_MAX, id));
    if (*id == UINT32_MAX) /* how some converters write "none" */
        *id = -1;
    if (*id < count)
        return LORAC_OK;
    if (*id == known && !gguf_find(r->g, key)) {
        *id = -1; /* a default that a small vocabulary lacks */
        return LORAC_OK;
    }
    char found[32];
    snprintf(found, sizeof found, "%lld", (long long)*id);
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = key, .found = found },
                   "the id is not below the vocabulary's size %d", count);
}

const char *const gguf_role_keys[ROLE_COUNT] = {
    [TOKEN_BOS] = "tokenizer.ggml.bos_token_id",       [TOKEN_EOS] = "tokenizer.ggml.eos_token_id",
    [TOKEN_UNK] = "tokenizer.ggml.unknown_token_id",   [TOKEN_PAD] = "tokenizer.ggml.padding_token_id",
    [TOKEN_SEP] = "tokenizer.ggml.seperator_token_id", /* the key's own spelling */
    [TOKEN_MASK] = "tokenizer.ggml.mask_token_id",
};

/* `ids`: what llama.cpp takes where the file says nothing, in the order of the roles. */
static int read_roles(gguf_reader *r, const int64_t ids[ROLE_COUNT])
{
    for (int role = 0; role < ROLE_COUNT; role++) {
        int64_t id = ids[role];
        TRY(gguf_reader_id(r, gguf_role_keys[role], &id));
        r->t->roles[role] = (int32_t)id;
    }
    return LORAC_OK;
}

static int surround(gguf_reader *r)
{
    const int32_t *ids = r->t->roles;
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.add_bos_token", &r->add_bos));
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.add_eos_token", &r->add_eos));
    if (r->recipe && r->recipe->traits & RECIPE_ALWAYS_BOS)
        r->add_bos = true;
    const char *sentence = "the file asks for a token to be added but does not name it";
    if (r->add_bos && ids[TOKEN_BOS] < 0)
        return gguf_reader_fail(r, "tokenizer.ggml.bos_token_id", sentence);
    if (r->add_eos && ids[TOKEN_EOS] < 0)
        return gguf_reader_fail(r, "tokenizer.ggml.eos_token_id", sentence);
    return tokenizer_surround(r->t, r->add_bos ? ids[TOKEN_BOS] : -1, r->add_eos ? ids[TOKEN_EOS] : -1, 1);
}

/* BERT's two, whatever else the file says. */
static int surround_bert(gguf_reader *r)
{
    if (r->t->roles[TOKEN_BOS] < 0)
        return gguf_reader_fail(r, "tokenizer.ggml.bos_token_id", "BERT's texts begin with this token");
    if (r->t->roles[TOKEN_SEP] < 0)
        return gguf_reader_fail(r, gguf_role_keys[TOKEN_SEP], "BERT's texts end with this token");
    return tokenizer_surround(r->t, r->t->roles[TOKEN_BOS], r->t->roles[TOKEN_SEP], 1);
}

/* ---- The whole */

static int read_with_merges(gguf_reader *r, slice model)
{
    slice pre = slice_of("default");
    TRY(gguf_take_text(r->g, "tokenizer.ggml.pre", &pre));
    if (slice_is(model, "gemma4"))
        pre = model;
    r->recipe = recipe_named(pre.n ? pre : slice_of("default"));
    if (!r->recipe)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = "tokenizer.ggml.pre" },
                       "the pre-tokenizer \"%.*s\" is not supported by this version", (int)(pre.n < 64 ? pre.n : 64),
                       pre.p);
    r->add_bos = r->recipe->traits & RECIPE_ADDS_BOS;
    TRY(read_roles(r, (const int64_t[]){ -1, -1, -1, -1, -1, -1 }));
    TRY(gguf_read_bpe(r, model));
    return surround(r);
}

static int read_llama(gguf_reader *r)
{
    r->add_bos = r->space_prefix = true;
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.add_space_prefix", &r->space_prefix));
    TRY(read_roles(r, (const int64_t[]){ 1, 2, 0, -1, -1, -1 }));
    TRY(gguf_read_spm(r));
    return surround(r);
}

static int read_bert(gguf_reader *r)
{
    r->lowercase = true;
    TRY(read_roles(r, (const int64_t[]){ 101, -1, 100, 0, 102, 103 }));
    TRY(gguf_read_bert(r));
    return surround_bert(r);
}

static int read_t5(gguf_reader *r)
{
    r->add_eos = true;
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.add_space_prefix", &r->space_prefix));
    TRY(read_roles(r, (const int64_t[]){ -1, 1, 2, 0, -1, -1 }));
    TRY(gguf_read_unigram(r));
    return surround(r);
}

static int refuse_model(const gguf_reader *r, slice model)
{
    const char *key = "tokenizer.ggml.model";
    if (!model.p || slice_is(model, "none") || slice_is(model, "no_vocab"))
        return gguf_reader_fail(r, key, "the file has no tokenizer");
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = key },
                   "tokenizers of the model \"%.*s\" are not supported by this version",
                   (int)(model.n < 64 ? model.n : 64), model.p);
}

static int read_model(gguf_reader *r, slice model)
{
    if (slice_is(model, "llama"))
        return read_llama(r);
    if (slice_is(model, "bert"))
        return read_bert(r);
    if (slice_is(model, "t5"))
        return read_t5(r);
    return read_with_merges(r, model);
}

static int read_all(gguf_reader *r)
{
    static const char *const models = "gpt2 gemma4 whitespace llama bert t5";
    slice model = { 0 };
    tokenizer *t = r->t;
    TRY(gguf_take_text(r->g, "tokenizer.ggml.model", &model));
    if (!model.p || !name_is_in(models, model))
        return refuse_model(r, model);
    TRY(read_tokens(r));
    TRY(read_model(r, model));
    TRY(gguf_read_known_tokens(r));
    set_flags(r);
    TRY(gguf_add_special_tokens(r));
    return tokenizer_gguf_templates(t, r->g);
}

int tokenizer_open_gguf(tokenizer **out, const gguf *g)
{
    TRY(tokenizer_new(out, g->path));
    gguf_reader r = { .t = *out, .g = g };
    int status = read_all(&r);
    mem_free(r.types);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
