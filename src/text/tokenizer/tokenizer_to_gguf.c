/* tokenizer_to_gguf.c: a folder's tokenizer as GGUF metadata: the vocabulary with its types, what is put around a text,
 * the tokens that end one. What the steps around the model become stands in a file for each model. It works on the open
 * tokenizer, so that it need not know which files that was read from. */
#include "tokenizer_to_gguf.h"

#include "tokenizer_export.h"

#include <math.h>
#include <string.h>

/* ---- What cannot be said */

int gguf_refuse(const gguf_export *e, const char *component, const char *found, const char *sentence)
{
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = e->t->path,
                            .key = component,
                            .found = found,
                            .hint = "Write a Hugging Face folder instead: -o without .gguf" },
                   "this tokenizer cannot be written as GGUF: %s", sentence);
}

void gguf_note(const gguf_export *e, const char *sentence)
{
    if (e->notes)
        buf_format(e->notes, "%s: as GGUF, %s\n", e->t->path, sentence);
}

int gguf_leave_normaliser(const gguf_export *e, const normalise_step *step)
{
    static const char *const names[] = {
        [NORMALISE_NFC] = "NFC",
        [NORMALISE_NFD] = "NFD",
        [NORMALISE_NFKC] = "NFKC",
        [NORMALISE_NFKD] = "NFKD",
        [NORMALISE_LOWERCASE] = "Lowercase",
        [NORMALISE_REPLACE] = "Replace",
        [NORMALISE_PREPEND] = "Prepend",
        [NORMALISE_BYTES] = "ByteLevel",
        [NORMALISE_STRIP] = "Strip",
        [NORMALISE_STRIP_MARKS] = "StripAccents",
        [NORMALISE_STRIP_ACCENTS] = "BertNormalizer (strip_accents)",
        [NORMALISE_CLEAN] = "BertNormalizer (clean_text)",
        [NORMALISE_CHINESE] = "BertNormalizer (handle_chinese_chars)",
        [NORMALISE_NMT] = "Nmt",
        [NORMALISE_PRECOMPILED] = "Precompiled",
        [NORMALISE_SENTENCEPIECE] = "normalizer_spec",
        [NORMALISE_LLAMA_BLANKS] = "",
    };
    if (step->kind == NORMALISE_NFC) {
        gguf_note(e,
                  "the normalizer NFC is left out, as llama.cpp has none: texts of other normal forms get other ids");
        return LORAC_OK;
    }
    return gguf_refuse(e, "normalizer", names[step->kind], "llama.cpp has no such step for this model");
}

int gguf_leave_split(const gguf_export *e, const split_step *step)
{
    static const char *const names[] = {
        [SPLIT_PATTERN] = "Split",           [SPLIT_CHARACTERS] = "Punctuation, Digits or WhitespaceSplit",
        [SPLIT_WORDS] = "Whitespace",        [SPLIT_SCRIPTS] = "UnicodeScripts",
        [SPLIT_LENGTH] = "FixedLength",      [SPLIT_GROUPS] = "",
        [SPLIT_PREFIX] = "add_prefix_space", [SPLIT_BLANKS] = "Metaspace",
        [SPLIT_TO_BYTES] = "ByteLevel",      [SPLIT_LLAMA_BERT] = "",
    };
    return gguf_refuse(e, "pre_tokenizer", names[step->kind], "llama.cpp has no such step for this model");
}

bool gguf_escapes_blanks(const normalise_step *step)
{
    return step->kind == NORMALISE_REPLACE && slice_is(step->pattern.literal, " ") && slice_is(step->content, "\u2581");
}

bool gguf_adds_blank(const normalise_step *step)
{
    return step->kind == NORMALISE_PREPEND && slice_is(step->content, "\u2581");
}

/* Words that are cut apart are as good as a whole text, unless a token reaches over two. */
int gguf_check_words(const gguf_export *e)
{
    const vocabulary *v = &e->t->vocabulary;
    for (int32_t id = 0; id < v->count; id++) {
        slice token = v->token[id];
        if (!(v->flags[id] & TOKEN_ADDED) && token.n > 1 && memmem(token.p + 1, token.n - 1, "\u2581", 3))
            return gguf_refuse(e, "pre_tokenizer", "Metaspace (split)",
                               "llama.cpp cuts no words, and some tokens would be found across two");
    }
    return LORAC_OK;
}

/* ---- Tokens */

/* A token that no text can be cut into, by its name and by its score. */
static int fill(gguf_export *e, size_t id, const char *word)
{
    const char *name = arena_format(&e->memory, "[%s%zu]", word, id);
    while (name && map_find(&e->t->vocabulary.ids, slice_of(name)) >= 0)
        name = arena_format(&e->memory, "%s_", name);
    e->tokens[id] = slice_of(name);
    e->types[id] = TYPE_UNUSED;
    e->scores[id] = -10000;
    return name ? LORAC_OK : fail_memory();
}

int gguf_hide_token(gguf_export *e, size_t id)
{
    return fill(e, id, "UNUSED");
}

static int type_of(const tokenizer *t, int32_t id)
{
    uint8_t flags = t->vocabulary.flags[id];
    int byte = t->model.unknown.by_bytes ? byte_of_token(t->vocabulary.token[id]) : -1;
    if (flags & TOKEN_ADDED)
        return flags & TOKEN_SPECIAL ? TYPE_CONTROL : TYPE_USER_DEFINED;
    return byte >= 0 && t->model.unknown.bytes[byte] == id ? TYPE_BYTE : TYPE_NORMAL;
}

/* llama.cpp opens no file with more tokens than rows. Those that a folder adds may go; the model's may not. */
static int drop_tokens(const gguf_export *e)
{
    const vocabulary *v = &e->t->vocabulary;
    for (int32_t id = (int32_t)e->count; id < v->count; id++)
        if (v->token[id].p && !(v->flags[id] & TOKEN_ADDED))
            return gguf_refuse(e, "model.vocab", NULL, "it has more tokens than the model's embedding has rows");
    if ((size_t)v->count > e->count)
        gguf_note(e, "added tokens without a row of the model's embedding are left out");
    return LORAC_OK;
}

static int fill_tokens(gguf_export *e)
{
    const vocabulary *v = &e->t->vocabulary;
    TRY(drop_tokens(e));
    for (size_t id = 0; id < e->count; id++) {
        if (id >= (size_t)v->count || !v->token[id].p) {
            TRY(fill(e, id, "PAD"));
            continue;
        }
        e->tokens[id] = v->token[id];
        e->types[id] = type_of(e->t, (int32_t)id);
    }
    return LORAC_OK;
}

bool gguf_is_character(slice token)
{
    size_t at = 0;
    if (token.n)
        utf8_next(token, &at);
    return at == token.n;
}

/* Characters need no score to be tokens of byte-pair encoding. */
int gguf_type_scored(gguf_export *e, const double *scores)
{
    const tokenizer *t = e->t;
    int32_t unknown = t->model.unknown.id >= 0 ? t->model.unknown.id : t->roles[TOKEN_UNK];
    e->scored = true;
    for (int32_t id = 0; id < t->vocabulary.count && (size_t)id < e->count; id++) {
        if (id == unknown)
            e->types[id] = TYPE_UNKNOWN;
        if (!isnan(scores[id]))
            e->scores[id] = (float)scores[id];
        else if (e->types[id] == TYPE_NORMAL && !(t->model.kind == MODEL_BPE && gguf_is_character(e->tokens[id])))
            TRY(gguf_hide_token(e, (size_t)id));
    }
    return LORAC_OK;
}

/* Those of the library are found once blanks are written; llama.cpp looks for them before. */
int gguf_unescape_user_defined(gguf_export *e, bool prefixed)
{
    bool any = false;
    for (size_t id = 0; id < e->count; id++) {
        slice mark = slice_of("\u2581"), token = e->tokens[id];
        any |= e->types[id] == TYPE_USER_DEFINED;
        if (e->types[id] != TYPE_USER_DEFINED || !memmem(token.p, token.n, mark.p, mark.n))
            continue;
        buf text = { 0 };
        for (size_t at = 0; at < token.n;) {
            size_t start = at;
            bool blank = utf8_next(token, &at) == 0x2581;
            buf_add(&text, blank ? " " : token.p + start, blank ? 1 : at - start);
        }
        int status = buf_status(&text);
        e->tokens[id] = (slice){ arena_text(&e->memory, text.p, text.n), text.n };
        buf_free(&text);
        TRY(status);
        if (!e->tokens[id].p)
            return fail_memory();
        if (map_find(&e->t->vocabulary.ids, e->tokens[id]) >= 0)
            TRY(gguf_hide_token(e, id));
    }
    if (any && prefixed)
        gguf_note(e, "what stands behind a user-defined symbol gets a blank in front");
    return LORAC_OK;
}

/* Hugging Face finds some added tokens only where certain characters are around them, or in the normalised text. */
static void note_added(const gguf_export *e)
{
    const added_tokens *lists[] = { &e->t->added, &e->t->added_normalised };
    bool spaced = false, whole = false;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < lists[k]->count; i++) {
            spaced |= lists[k]->tokens[i].strip_left || lists[k]->tokens[i].strip_right;
            whole |= lists[k]->tokens[i].single_word;
        }
    if (spaced)
        gguf_note(e, "added tokens leave the white space beside them alone (lstrip and rstrip have no place there)");
    if (whole)
        gguf_note(e, "added tokens are found within words, too (single_word has no place there)");
    if (e->t->added_normalised.count && e->t->normalise_count)
        gguf_note(e, "added tokens are found in the text as it stands, not as it is normalised");
}

/* ---- Around a text, and its end */

static int find_around(gguf_export *e)
{
    const tokenizer *t = e->t;
    size_t counts[2] = { 0 };
    e->before = e->after = -1;
    for (size_t i = 0; i < t->post_count; i++) {
        if (t->post[i].kind != POST_TEMPLATE)
            continue;
        bool behind = false;
        for (size_t k = 0; k < t->post[i].single_count; k++) {
            int32_t id = t->post[i].single[k].id;
            if (id >= 0) {
                *(behind ? &e->after : &e->before) = id;
                counts[behind]++;
            }
            behind |= id < 0;
        }
    }
    if (e->before >= (int32_t)e->count || e->after >= (int32_t)e->count)
        return gguf_refuse(e, "post_processor", NULL, "a token around a text has no row of the model's embedding");
    if (counts[0] <= 1 && counts[1] <= 1)
        return LORAC_OK;
    return gguf_refuse(e, "post_processor", NULL, "llama.cpp puts at most one token before a text and one behind it");
}

/* llama.cpp has room for two more ends, beside those it knows by their text. */
static void put_more_ends(const gguf_export *e, int32_t eos)
{
    static const char *const keys[] = { "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id" };
    const tokenizer *t = e->t;
    size_t used = 0;
    for (size_t i = 0; i < t->end_count; i++) {
        int32_t id = t->ends[i];
        if (id == eos || (size_t)id >= e->count || gguf_ends_by_text(t->vocabulary.token[id]))
            continue;
        if (used < sizeof keys / sizeof *keys)
            gguf_put_u32(e->w, keys[used], (uint32_t)id);
        used++;
    }
    if (used > sizeof keys / sizeof *keys)
        gguf_note(e, "some of the tokens that end a generation are left out (eos_token_id of generation_config.json)");
}

static int put_roles(const gguf_export *e, bool bert)
{
    const tokenizer *t = e->t;
    if (bert && (e->before < 0 || e->after < 0))
        return gguf_refuse(e, "post_processor", NULL,
                           "llama.cpp puts a token before and behind every text of WordPiece");
    int32_t ids[ROLE_COUNT];
    memcpy(ids, t->roles, sizeof ids);
    if (e->before >= 0)
        ids[TOKEN_BOS] = e->before;
    if (e->after >= 0)
        ids[bert ? TOKEN_SEP : TOKEN_EOS] = e->after;
    if (t->model.unknown.id >= 0)
        ids[TOKEN_UNK] = t->model.unknown.id;
    for (int role = 0; role < ROLE_COUNT; role++)
        if (ids[role] >= 0 && (size_t)ids[role] < e->count)
            gguf_put_u32(e->w, gguf_role_keys[role], (uint32_t)ids[role]);
    gguf_put_bool(e->w, "tokenizer.ggml.add_bos_token", e->before >= 0);
    gguf_put_bool(e->w, "tokenizer.ggml.add_eos_token", e->after >= 0);
    put_more_ends(e, ids[TOKEN_EOS]);
    return LORAC_OK;
}

/* ---- The whole */

static bool has_letters(const tokenizer *t)
{
    for (size_t i = 0; i < t->split_count; i++)
        if (t->split[i].kind == SPLIT_TO_BYTES)
            return true;
    return false;
}

static int put_model(gguf_export *e)
{
    switch (e->t->model.kind) {
    case MODEL_BPE:
        return has_letters(e->t) ? gguf_put_letters(e) : gguf_put_blanks(e);
    case MODEL_UNIGRAM:
        return gguf_put_unigram(e);
    case MODEL_WORDPIECE:
        return gguf_put_bert(e);
    default:
        return gguf_refuse(e, "model", e->t->model.at_blanks ? "WORD" : "WordLevel", "llama.cpp has no such model");
    }
}

static int put_all(gguf_export *e)
{
    if (!e->tokens || !e->types || !e->scores)
        return fail_memory();
    TRY(fill_tokens(e));
    TRY(find_around(e));
    TRY(put_model(e));
    gguf_put_text_array(e->w, "tokenizer.ggml.tokens", e->tokens, e->count);
    gguf_put_i32_array(e->w, "tokenizer.ggml.token_type", e->types, e->count);
    if (e->scored)
        gguf_put_f32_array(e->w, "tokenizer.ggml.scores", e->scores, e->count);
    TRY(put_roles(e, e->t->model.kind == MODEL_WORDPIECE));
    note_added(e);
    if (e->notes)
        TRY(buf_status(e->notes));
    return tokenizer_put_templates(e->t, e->w);
}

int tokenizer_put_gguf(const tokenizer *t, gguf_writer *w, int64_t rows, buf *notes)
{
    size_t count = (size_t)(rows ? rows : t->vocabulary.count);
    gguf_export e = { .t = t,
                      .w = w,
                      .count = count,
                      .tokens = mem_new(count, sizeof *e.tokens),
                      .types = mem_new(count, sizeof *e.types),
                      .scores = mem_new(count, sizeof *e.scores),
                      .notes = notes };
    int status = put_all(&e);
    mem_free(e.tokens);
    mem_free(e.types);
    mem_free(e.scores);
    arena_free(&e.memory);
    return status;
}
