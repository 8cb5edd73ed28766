/* tokenizer_gguf.c: a tokenizer from GGUF metadata (tokenizer.ggml.*), put together as llama.cpp does it: the name in
 * tokenizer.ggml.pre stands for a list of expressions and for defaults, and some tokens are known by text alone. */
#include "recipe.h"
#include "tokenizer_parts.h"

#include <stdio.h>
#include <string.h>

static int build_split(tokenizer *t, const recipe *r)
{
    for (size_t i = 0; i < 4 && r->expressions[i]; i++) {
        split_step *step = tokenizer_more_split(t);
        if (!step)
            return fail_memory();
        step->kind = SPLIT_PATTERN;
        step->behaviour = SPLIT_ISOLATED;
        TRY(pattern_compile(&step->pattern, slice_of(r->expressions[i]), t->path, "tokenizer.ggml.pre"));
    }
    split_step *step = tokenizer_more_split(t);
    if (!step)
        return fail_memory();
    step->kind = SPLIT_TO_BYTES;
    return LORAC_OK;
}

/* ---- Tokens */

/* The file's token types. */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

static uint8_t flags_of_type(int64_t type, slice token)
{
    switch (type) {
    case TYPE_NORMAL:
        return 0;
    case TYPE_UNKNOWN:
    case TYPE_CONTROL:
        return TOKEN_ADDED | TOKEN_SPECIAL | TOKEN_VERBATIM;
    case TYPE_USER_DEFINED:
        return TOKEN_ADDED | TOKEN_VERBATIM;
    case TYPE_BYTE:
        return byte_of_token(token) >= 0 ? TOKEN_BYTE : TOKEN_SILENT;
    default:
        return TOKEN_SILENT;
    }
}

/* Tokens that llama.cpp takes for control tokens by their text, whatever their type; those of the first list end a
 * generation. */
static const char *const ends_by_text =
    "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s> <|eom_id|> "
    "<EOT> _<EOT> [EOT] [EOS] "
    "<|end_of_text|> <end_of_utterance> <eos> <turn|> <|tool_response> <\uFF5Cend\u2581of\u2581sentence\uFF5C> [e~[ "
    "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>";
static const char *const control_by_text = "<|fim_prefix|> <fim-prefix> <fim_prefix> <\uFF5Cfim\u2581begin\uFF5C> "
                                           "<PRE> <|code_prefix|> <|prefix|> <|fim_suffix|> <fim-suffix> <fim_suffix> "
                                           "<\uFF5Cfim\u2581hole\uFF5C> <SUF> <|code_suffix|> <|suffix|> "
                                           "<|fim_middle|> <fim-middle> <fim_middle> <\uFF5Cfim\u2581end\uFF5C> <MID> "
                                           "<|code_middle|> <|middle|>";

static bool looks_like_control(slice token)
{
    return token.n > 2 && (token.p[0] == '<' || token.p[0] == '[' || token.p[0] == '_');
}

static const gguf_value *find_array(const gguf *g, const char *key, bool strings)
{
    const gguf_value *v = gguf_find(g, key);
    if (!v || v->type != GGUF_ARRAY)
        return NULL;
    bool integers = v->element <= GGUF_I32 || v->element == GGUF_U64 || v->element == GGUF_I64;
    return (strings ? v->element == GGUF_STRING : integers) ? v : NULL;
}

static int read_types(const tokenizer *t, const gguf *g, const gguf_value **types)
{
    const char *key = "tokenizer.ggml.token_type";
    fault where = { .file = t->path, .key = key };
    *types = find_array(g, key, false);
    if (!*types && gguf_find(g, key))
        return fail_at(LORAC_ERROR_DATA, where, "the token types are not an array of integers");
    if (*types && (*types)->count != (uint64_t)t->vocabulary.count)
        return fail_at(LORAC_ERROR_DATA, where, "there are %d tokens but %llu token types", t->vocabulary.count,
                       (unsigned long long)(*types)->count);
    return LORAC_OK;
}

static int read_token(tokenizer *t, int32_t id, slice token, int64_t type)
{
    const char *key = "tokenizer.ggml.tokens";
    token.p = token.n ? arena_text(&t->memory, token.p, token.n) : arena_format(&t->memory, "[EMPTY_%d]", id);
    if (!token.p)
        return fail_memory();
    token.n = token.n ? token.n : strlen(token.p);
    uint8_t flags = flags_of_type(type, token);
    if (looks_like_control(token)) {
        bool ends = name_is_in(ends_by_text, token);
        if (ends)
            TRY(tokenizer_add_end(t, id));
        if (ends || name_is_in(control_by_text, token))
            flags = TOKEN_ADDED | TOKEN_SPECIAL | TOKEN_VERBATIM;
    }
    TRY(tokenizer_put(t, id, token, flags, key));
    if (!(flags & TOKEN_ADDED))
        return LORAC_OK;
    fault where = { .file = t->path, .key = key };
    if (token.n > ADDED_TOKEN_LONGEST || utf8_valid(token) != token.n)
        return fail_at(LORAC_ERROR_DATA, where, "the special token %d is longer than %d bytes or not UTF-8", id,
                       ADDED_TOKEN_LONGEST);
    return added_add(&t->added, (added_token){ .text = token, .id = id });
}

static int read_tokens(tokenizer *t, const gguf *g)
{
    const char *key = "tokenizer.ggml.tokens";
    fault where = { .file = t->path, .key = key };
    const gguf_value *tokens = find_array(g, key, true), *types = NULL;
    if (!tokens || !tokens->count)
        return fail_at(LORAC_ERROR_DATA, where, "the file has no array of tokens");
    TRY(tokenizer_allocate(t, tokens->count));
    TRY(read_types(t, g, &types));
    t->added.order = ADDED_LONGEST;
    for (int32_t id = 0; id < t->vocabulary.count; id++)
        TRY(read_token(t, id, gguf_string(tokens, (uint64_t)id), types ? gguf_int(types, (uint64_t)id) : TYPE_NORMAL));
    return LORAC_OK;
}

static int read_merges(tokenizer *t, const gguf *g, bool ignore_merges)
{
    const char *key = "tokenizer.ggml.merges";
    fault where = { .file = t->path, .key = key };
    const gguf_value *merges = find_array(g, key, true);
    if (!merges)
        return fail_at(LORAC_ERROR_DATA, where, "the file has no array of merges");
    if (merges->count > VOCABULARY_MOST)
        return fail_at(LORAC_ERROR_DATA, where, "%llu merges are too many", (unsigned long long)merges->count);
    word_model *m = &t->model;
    *m = (word_model){ .kind = MODEL_BPE, .vocabulary = &t->vocabulary };
    unknown_rule_open(&m->unknown, &t->vocabulary);
    TRY(bpe_open(&m->bpe, &t->vocabulary, merges->count));
    m->bpe.ignore_merges = ignore_merges;
    buf scratch = { 0 };
    int status = LORAC_OK;
    for (uint64_t i = 0; i < merges->count && status == LORAC_OK; i++) {
        slice right = gguf_string(merges, i), left;
        const char *blank = right.n > 1 ? memchr(right.p + 1, ' ', right.n - 1) : NULL;
        if (!blank) {
            status = fail_at(LORAC_ERROR_DATA, where, "merge %llu is not two tokens with a blank between",
                             (unsigned long long)i);
            break;
        }
        left = (slice){ right.p, (size_t)(blank - right.p) };
        right = (slice){ blank + 1, right.n - left.n - 1 };
        status = bpe_add_merge(&m->bpe, &t->vocabulary, &scratch, left, right, (uint32_t)i, false, &where);
    }
    buf_free(&scratch);
    return status;
}

/* ---- Roles, and what is put around a text */

static int read_role(tokenizer *t, const gguf *g, const char *key, int64_t *id)
{
    TRY(gguf_take_int(g, key, -1, UINT32_MAX, id));
    if (*id == UINT32_MAX) /* how some converters write "none" */
        *id = -1;
    if (*id < t->vocabulary.count)
        return LORAC_OK;
    char found[32];
    snprintf(found, sizeof found, "%lld", (long long)*id);
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = key, .found = found },
                   "the id is not below the vocabulary's size %d", t->vocabulary.count);
}

static int read_roles(tokenizer *t, const gguf *g)
{
    int64_t bos = -1, eos = -1, unknown = -1, pad = -1, eot = -1, eom = -1;
    TRY(read_role(t, g, "tokenizer.ggml.bos_token_id", &bos));
    TRY(read_role(t, g, "tokenizer.ggml.eos_token_id", &eos));
    TRY(read_role(t, g, "tokenizer.ggml.unknown_token_id", &unknown));
    TRY(read_role(t, g, "tokenizer.ggml.padding_token_id", &pad));
    TRY(read_role(t, g, "tokenizer.ggml.eot_token_id", &eot));
    TRY(read_role(t, g, "tokenizer.ggml.eom_token_id", &eom));
    t->roles[TOKEN_BOS] = (int32_t)bos;
    t->roles[TOKEN_EOS] = (int32_t)eos;
    t->roles[TOKEN_UNK] = (int32_t)unknown;
    t->roles[TOKEN_PAD] = (int32_t)pad;
    TRY(tokenizer_add_end(t, eos));
    TRY(tokenizer_add_end(t, eot));
    return tokenizer_add_end(t, eom);
}

static int build_post(tokenizer *t, const gguf *g, bool add_bos)
{
    bool add_eos = false;
    TRY(gguf_take_bool(g, "tokenizer.ggml.add_bos_token", &add_bos));
    TRY(gguf_take_bool(g, "tokenizer.ggml.add_eos_token", &add_eos));
    const int32_t *roles = t->roles;
    if ((add_bos && roles[TOKEN_BOS] < 0) || (add_eos && roles[TOKEN_EOS] < 0))
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = t->path, .key = add_bos ? "tokenizer.ggml.bos_token_id" : "tokenizer.ggml.eos_token_id" },
            "the file asks for a token to be added but does not name it");
    return tokenizer_surround(t, add_bos ? roles[TOKEN_BOS] : -1, add_eos ? roles[TOKEN_EOS] : -1);
}

static int read_all(tokenizer *t, const gguf *g)
{
    slice model = { 0 }, pre = slice_of("default");
    TRY(gguf_take_text(g, "tokenizer.ggml.model", &model));
    TRY(gguf_take_text(g, "tokenizer.ggml.pre", &pre));
    if (!model.p)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "tokenizer.ggml.model" },
                       "the file has no tokenizer");
    if (!slice_is(model, "gpt2"))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "tokenizer.ggml.model" },
                       "tokenizers of the model \"%.*s\" are not supported yet by this version", (int)model.n, model.p);
    const recipe *r = recipe_named(pre.n ? pre : slice_of("default"));
    if (!r)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "tokenizer.ggml.pre" },
                       "the pre-tokenizer \"%.*s\" is not supported yet by this version", (int)pre.n, pre.p);
    bool space = false;
    /* Without effect on this model of tokenizer; only its type is looked at. */
    TRY(gguf_take_bool(g, "tokenizer.ggml.add_space_prefix", &space));
    TRY(build_split(t, r));
    TRY(read_tokens(t, g));
    TRY(read_merges(t, g, r->ignore_merges));
    TRY(read_roles(t, g));
    TRY(build_post(t, g, r->add_bos));
    if (!tokenizer_more_decode(t, DECODE_BYTES))
        return fail_memory();
    return tokenizer_gguf_templates(t, g);
}

int tokenizer_open_gguf(tokenizer **out, const gguf *g)
{
    TRY(tokenizer_new(out, g->path));
    int status = read_all(*out, g);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
