/* tokenizer_export.c: GGUF metadata to Hugging Face's files, and back. Both say the same thing with other words: GGUF
 * names a pre-tokeniser, tokenizer.json spells it out. */
#include "tokenizer_export.h"

#include "file.h"
#include "json.h"
#include "recipe.h"
#include "scored_merges.h"
#include "tokenizer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENIZER_LIMIT = 256 << 20 };

/* ---- GGUF to a folder ---- */

static json_t *text_of(slice s)
{
    return json_stringn_nocheck(s.p, s.n);
}

static json_t *byte_level(void)
{
    return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                     0);
}

static json_t *pre_tokenizer(const recipe *r)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < recipe_steps(r); i++)
        json_array_append_new(steps, json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
                                               r->steps[i].expression, "behavior", "Isolated", "invert", 0));
    json_array_append_new(steps, byte_level());
    return json_pack("{s:s,s:o}", "type", "Sequence", "pretokenizers", steps);
}

static json_t *added_list(const tokenizer *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->added.count; i++) {
        const added_token *a = &t->added.tokens[i];
        json_array_append_new(list,
                              json_pack("{s:i,s:o,s:b,s:b,s:b,s:b,s:b}", "id", a->id, "content", text_of(a->text),
                                        "single_word", 0, "lstrip", (int)a->strip_left, "rstrip", (int)a->strip_right,
                                        "normalized", 0, "special", (t->vocabulary.flags[a->id] & TOKEN_SPECIAL) != 0));
    }
    return list;
}

/* "single" of a TemplateProcessing: the added ids around the text. */
static json_t *post_processor(const tokenizer *t)
{
    for (size_t i = 0; i < t->post_count; i++) {
        if (t->post[i].kind != POST_TEMPLATE)
            continue;
        json_t *single = json_array(), *specials = json_object();
        for (size_t j = 0; j < t->post[i].single_count; j++) {
            int32_t id = t->post[i].single[j].id;
            if (id < 0) {
                json_array_append_new(single, json_pack("{s:{s:s,s:i}}", "Sequence", "id", "A", "type_id", 0));
                continue;
            }
            slice token = t->vocabulary.token[id];
            json_array_append_new(single,
                                  json_pack("{s:{s:o,s:i}}", "SpecialToken", "id", text_of(token), "type_id", 0));
            json_object_setn_new_nocheck(
                specials, token.p, token.n,
                json_pack("{s:o,s:[i],s:[o]}", "id", text_of(token), "ids", id, "tokens", text_of(token)));
        }
        json_t *pair = json_deep_copy(single);
        json_array_append_new(pair, json_pack("{s:{s:s,s:i}}", "Sequence", "id", "B", "type_id", 1));
        return json_pack("{s:s,s:o,s:o,s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                         "special_tokens", specials);
    }
    return json_null();
}

static json_t *bpe_model(const tokenizer *t, json_t *merges)
{
    json_t *tokens = json_object();
    bool scored = t->model.bpe.scores != NULL;
    int32_t unknown = scored ? t->roles[TOKEN_UNK] : -1;
    for (int32_t id = 0; id < t->vocabulary.count; id++)
        json_object_setn_new_nocheck(tokens, t->vocabulary.token[id].p, t->vocabulary.token[id].n, json_integer(id));
    return json_pack("{s:s,s:n,s:o,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
                     unknown < 0 ? json_null() : text_of(t->vocabulary.token[unknown]), "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", (int)scored, "byte_fallback", (int)scored, "ignore_merges",
                     (int)t->model.bpe.ignore_merges, "vocab", tokens, "merges", merges);
}

static json_t *merges_of_file(const gguf *g)
{
    json_t *merges = json_array();
    const gguf_value *filed = gguf_find(g, "tokenizer.ggml.merges");
    for (uint64_t i = 0; filed && i < filed->count; i++)
        json_array_append_new(merges, text_of(gguf_string(filed, i)));
    return merges;
}

static int write_json(json_t *root, const char *folder, const char *name)
{
    buf path = { 0 };
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    const char *file = path_join(&path, folder, name);
    int status = text && file ? file_write(file, text, strlen(text)) : fail_memory();
    free(text);
    buf_free(&path);
    json_decref(root);
    return status;
}

static void set_role(json_t *root, const char *key, const tokenizer *t, token_role role)
{
    if (t->roles[role] >= 0)
        json_object_set_new(root, key, text_of(t->vocabulary.token[t->roles[role]]));
}

static json_t *tokenizer_config(const tokenizer *t)
{
    json_t *root = json_pack("{s:s,s:b,s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "clean_up_tokenization_spaces", 0, "add_prefix_space", 0);
    const char *file;
    set_role(root, "bos_token", t, TOKEN_BOS);
    set_role(root, "eos_token", t, TOKEN_EOS);
    set_role(root, "unk_token", t, TOKEN_UNK);
    set_role(root, "pad_token", t, TOKEN_PAD);
    slice template = tokenizer_chat_template(t, "default", &file);
    if (template.p)
        json_object_set_new(root, "chat_template", text_of(template));
    return root;
}

static json_t *generation_config(const tokenizer *t)
{
    json_t *root = json_object(), *ends = json_array();
    for (size_t i = 0; i < t->end_count; i++)
        json_array_append_new(ends, json_integer(t->ends[i]));
    if (t->roles[TOKEN_BOS] >= 0)
        json_object_set_new(root, "bos_token_id", json_integer(t->roles[TOKEN_BOS]));
    if (t->roles[TOKEN_PAD] >= 0)
        json_object_set_new(root, "pad_token_id", json_integer(t->roles[TOKEN_PAD]));
    json_object_set_new(root, "eos_token_id", ends);
    return root;
}

/* The steps around a model with the byte alphabet, under the names that tokenizer.json has for them. */
static json_t *with_letters(const tokenizer *t, const gguf *g, const recipe *r)
{
    json_t *post = post_processor(t);
    if (json_is_null(post))
        post = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 0,
                         "use_regex", 1);
    return json_pack("{s:n,s:o,s:o,s:o,s:o}", "normalizer", "pre_tokenizer", pre_tokenizer(r), "post_processor", post,
                     "decoder", byte_level(), "model", bpe_model(t, merges_of_file(g)));
}

/* The same around SentencePiece's: blanks are U+2581, and there is one more at the beginning. */
static json_t *with_blanks(const tokenizer *t)
{
    bool prefix = t->normalise[0].kind == NORMALISE_PREPEND;
    json_t *before = json_array(), *after = json_array();
    if (prefix)
        json_array_append_new(before, json_pack("{s:s,s:s}", "type", "Prepend", "prepend", "\u2581"));
    json_array_append_new(
        before, json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", " ", "content", "\u2581"));
    json_array_append_new(
        after, json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", "\u2581", "content", " "));
    json_array_append_new(after, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(after, json_pack("{s:s}", "type", "Fuse"));
    if (prefix)
        json_array_append_new(after,
                              json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    json_t *merges = merges_of_scores(&t->vocabulary, t->model.bpe.scores);
    if (!merges) {
        json_decref(before);
        json_decref(after);
        return NULL;
    }
    return json_pack("{s:{s:s,s:o},s:n,s:o,s:{s:s,s:o},s:o}", "normalizer", "type", "Sequence", "normalizers", before,
                     "pre_tokenizer", "post_processor", post_processor(t), "decoder", "type", "Sequence", "decoders",
                     after, "model", bpe_model(t, merges));
}

static bool has_expressions(const recipe *r)
{
    for (size_t i = 0; i < recipe_steps(r); i++)
        if (!r->steps[i].expression[0])
            return false;
    return !(r->traits & RECIPE_RAW);
}

/* What tokenizer.json says in other words than the metadata; NULL with *refused where it cannot. */
static json_t *steps_and_model(const tokenizer *t, const gguf *g, slice model, const recipe *r, bool *refused)
{
    *refused = false;
    if (slice_is(model, "llama"))
        return with_blanks(t);
    if (slice_is(model, "gpt2") && r && has_expressions(r))
        return with_letters(t, g, r);
    *refused = true;
    return NULL;
}

int tokenizer_save_folder(const tokenizer *t, const gguf *g, const char *folder)
{
    slice model = { 0 }, pre = slice_of("default");
    bool refused;
    TRY(gguf_take_text(g, "tokenizer.ggml.model", &model));
    TRY(gguf_take_text(g, "tokenizer.ggml.pre", &pre));
    json_t *steps = steps_and_model(t, g, model, recipe_named(pre.n ? pre : slice_of("default")), &refused);
    if (refused)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = g->path, .key = "tokenizer.ggml.model" },
                       "a tokenizer of the model \"%.*s\" with the pre-tokenizer \"%.*s\" cannot be written as "
                       "tokenizer.json by this version",
                       (int)model.n, model.p, (int)pre.n, pre.p);
    json_t *root =
        json_pack("{s:s,s:n,s:n,s:o}", "version", "1.0", "truncation", "padding", "added_tokens", added_list(t));
    if (!steps || !root || json_object_update(root, steps)) {
        json_decref(root);
        root = NULL;
    }
    json_decref(steps);
    TRY(write_json(root, folder, "tokenizer.json"));
    TRY(write_json(tokenizer_config(t), folder, "tokenizer_config.json"));
    TRY(write_json(generation_config(t), folder, "generation_config.json"));
    return tokenizer_write_templates(t, folder);
}

/* ---- A folder to a folder ---- */

int tokenizer_copy_folder(const char *from, const char *to)
{
    static const char *const names[] = {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "tokenizer.model",
        "chat_template.jinja",
        "vocab.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "sentencepiece.model",
    };
    buf source = { 0 }, target = { 0 };
    int status = LORAC_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == LORAC_OK; i++) {
        if (!path_join(&source, from, names[i]) || !path_join(&target, to, names[i]))
            status = fail_memory();
        else if (path_exists(source.p))
            status = file_copy(source.p, target.p, TOKENIZER_LIMIT);
    }
    buf_free(&source);
    buf_free(&target);
    return status == LORAC_OK ? tokenizer_copy_templates(from, to) : status;
}

/* ---- A folder to GGUF ---- */

/* How Hugging Face's files write the contractions of GPT-4's expression, and how the recipes do. */
static const char *const contractions_filed = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
static const char *const contractions_here = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

/* One step of a pre_tokenizer as the expression it isolates; NULL when it is no such step, "" when it splits nothing.
 */
static const char *step_expression(const json_t *step, arena *memory)
{
    const char *type = json_string_value(json_object_get(step, "type"));
    if (!type)
        return NULL;
    if (strcmp(type, "ByteLevel") == 0) {
        const json_t *use_regex = json_object_get(step, "use_regex");
        return json_is_false(use_regex) ? "" : recipe_words_of_gpt2();
    }
    if (strcmp(type, "Digits") == 0)
        return json_is_true(json_object_get(step, "individual_digits")) ? "\\p{N}" : NULL;
    const char *regex = json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    const char *behaviour = json_string_value(json_object_get(step, "behavior"));
    if (strcmp(type, "Split") != 0 || !regex || !behaviour || strcasecmp(behaviour, "isolated") != 0 ||
        json_is_true(json_object_get(step, "invert")))
        return NULL;
    slice s = slice_of(regex);
    if (!slice_starts(s, contractions_filed))
        return regex;
    return arena_format(memory, "%s%s", contractions_here, regex + strlen(contractions_filed));
}

static const recipe *find_recipe(const json_t *pre, bool ignore_merges, arena *memory)
{
    const json_t *steps = json_object_get(pre, "pretokenizers");
    const char *expressions[RECIPE_STEPS];
    size_t count = 0, n = json_is_array(steps) ? json_array_size(steps) : 1;
    for (size_t i = 0; i < n; i++) {
        const char *e = step_expression(json_is_array(steps) ? json_array_get(steps, i) : pre, memory);
        if (!e || count == RECIPE_STEPS)
            return NULL;
        if (*e)
            expressions[count++] = e;
    }
    for (size_t i = 0; recipe_at(i); i++)
        if (recipe_is(recipe_at(i), expressions, count) &&
            (recipe_at(i)->traits & RECIPE_IGNORES_MERGES) == (ignore_merges ? RECIPE_IGNORES_MERGES : 0))
            return recipe_at(i);
    return NULL;
}

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

static int32_t type_of(const tokenizer *t, int32_t id, bool scored)
{
    uint8_t flags = t->vocabulary.flags[id];
    if (scored && id == t->roles[TOKEN_UNK])
        return UNKNOWN;
    if (flags & TOKEN_ADDED)
        return flags & TOKEN_SPECIAL ? CONTROL : USER_DEFINED;
    return scored && byte_of_token(t->vocabulary.token[id]) >= 0 ? BYTE : NORMAL;
}

static int put_tokens(const tokenizer *t, gguf_writer *w, int64_t rows, bool scored)
{
    size_t n = (size_t)(rows > t->vocabulary.count ? rows : t->vocabulary.count);
    slice *tokens = mem_new(n, sizeof *tokens);
    int32_t *types = mem_new(n, sizeof *types);
    arena names = { 0 };
    int status = tokens && types ? LORAC_OK : fail_memory();
    for (size_t i = 0; i < n && status == LORAC_OK; i++) {
        if ((int64_t)i < t->vocabulary.count && t->vocabulary.token[i].p) {
            tokens[i] = t->vocabulary.token[i];
            types[i] = type_of(t, (int32_t)i, scored);
            continue;
        }
        const char *name = arena_format(&names, "[PAD%zu]", i);
        tokens[i] = slice_of(name);
        types[i] = UNUSED;
        if (!name)
            status = fail_memory();
    }
    if (status == LORAC_OK) {
        gguf_put_text_array(w, "tokenizer.ggml.tokens", tokens, n);
        gguf_put_i32_array(w, "tokenizer.ggml.token_type", types, n);
    }
    mem_free(tokens);
    mem_free(types);
    arena_free(&names);
    return status;
}

static int put_scores(const tokenizer *t, const json_t *merges, const char *file, gguf_writer *w, int64_t rows)
{
    bool exact;
    size_t n = (size_t)(rows > t->vocabulary.count ? rows : t->vocabulary.count);
    float *scores = mem_new(n, sizeof *scores);
    int status = scores ? scores_of_merges(&t->vocabulary, merges, scores, &exact) : fail_memory();
    if (status == LORAC_OK && !exact)
        status = fail_at(LORAC_ERROR_USAGE,
                         (fault){ .file = file, .key = "model.merges", .hint = "write a Hugging Face folder instead" },
                         "the merges are not those of scores, which is what llama.cpp merges by");
    if (status == LORAC_OK)
        gguf_put_f32_array(w, "tokenizer.ggml.scores", scores, n);
    mem_free(scores);
    return status;
}

/* Merges stand as "a b", or as pairs since tokenizers 0.20. */
static int put_merges(const json_t *model, gguf_writer *w)
{
    const json_t *list = json_object_get(model, "merges");
    size_t n = json_array_size(list);
    slice *merges = mem_new(n, sizeof *merges);
    arena texts = { 0 };
    int status = merges ? LORAC_OK : fail_memory();
    for (size_t i = 0; i < n && status == LORAC_OK; i++) {
        const json_t *merge = json_array_get(list, i);
        const char *text = json_is_array(merge)
                               ? arena_format(&texts, "%s %s", json_string_value(json_array_get(merge, 0)),
                                              json_string_value(json_array_get(merge, 1)))
                               : json_string_value(merge);
        merges[i] = slice_of(text);
        if (!text)
            status = fail_memory();
    }
    if (status == LORAC_OK)
        gguf_put_text_array(w, "tokenizer.ggml.merges", merges, n);
    mem_free(merges);
    arena_free(&texts);
    return status;
}

static void put_roles(const tokenizer *t, gguf_writer *w)
{
    static const char *const keys[ROLE_COUNT] = {
        [TOKEN_BOS] = "tokenizer.ggml.bos_token_id",
        [TOKEN_EOS] = "tokenizer.ggml.eos_token_id",
        [TOKEN_UNK] = "tokenizer.ggml.unknown_token_id",
        [TOKEN_PAD] = "tokenizer.ggml.padding_token_id",
    };
    for (int role = 0; role < ROLE_COUNT; role++)
        if (t->roles[role] >= 0)
            gguf_put_u32(w, keys[role], (uint32_t)t->roles[role]);
    bool before = false, after = false;
    for (size_t i = 0; i < t->post_count; i++)
        for (size_t j = 0, text_seen = 0; t->post[i].kind == POST_TEMPLATE && j < t->post[i].single_count; j++) {
            if (t->post[i].single[j].id < 0)
                text_seen = 1;
            else
                *(text_seen ? &after : &before) = true;
        }
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", before);
    gguf_put_bool(w, "tokenizer.ggml.add_eos_token", after);
}

static bool is_type(const json_t *step, const char *type)
{
    const char *found = json_string_value(json_object_get(step, "type"));
    return found && !strcmp(found, type);
}

static bool says(const json_t *object, const char *key, const char *value)
{
    const char *found = json_string_value(json_object_get(object, key));
    return found && !strcmp(found, value);
}

/* SentencePiece's byte-pair encoding: no words but the whole text, its blanks written as U+2581. *prefix: with one more
 * in front. */
static bool is_sentencepiece(const json_t *root, bool *prefix)
{
    const json_t *model = json_object_get(root, "model"), *pre = json_object_get(root, "pre_tokenizer");
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *steps = json_object_get(normalizer, "normalizers");
    size_t n = json_is_array(steps) ? json_array_size(steps) : json_is_object(normalizer) ? 1 : 0;
    bool escapes = false;
    *prefix = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *step = json_is_array(steps) ? json_array_get(steps, i) : normalizer;
        if (is_type(step, "Prepend") && says(step, "prepend", "\u2581") && i == 0)
            *prefix = true;
        else if (is_type(step, "Replace") && says(json_object_get(step, "pattern"), "String", " ") &&
                 says(step, "content", "\u2581"))
            escapes = true;
        else
            return false;
    }
    if (!json_is_true(json_object_get(model, "byte_fallback")) || json_is_true(json_object_get(model, "ignore_merges")))
        return false;
    if (is_type(pre, "Metaspace")) {
        bool never = says(pre, "prepend_scheme", "never");
        *prefix = *prefix || !never;
        return says(pre, "replacement", "\u2581") && json_is_false(json_object_get(pre, "split"));
    }
    /* Where there is no blank left, cutting at blanks does nothing. */
    bool idle = is_type(pre, "Split") && says(json_object_get(pre, "pattern"), "String", " ");
    return escapes && (!pre || json_is_null(pre) || idle);
}

static int put_sentencepiece(const tokenizer *t, const json_t *root, const char *file, gguf_writer *w, int64_t rows,
                             bool prefix)
{
    gguf_put_text(w, "tokenizer.ggml.model", slice_of("llama"));
    gguf_put_text(w, "tokenizer.ggml.pre", slice_of("default"));
    TRY(put_tokens(t, w, rows, true));
    TRY(put_scores(t, json_object_get(json_object_get(root, "model"), "merges"), file, w, rows));
    gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", prefix);
    return LORAC_OK;
}

static int put_with_merges(const tokenizer *t, const json_t *root, const char *file, gguf_writer *w, int64_t rows)
{
    arena memory = { 0 };
    const json_t *model = json_object_get(root, "model");
    const recipe *r = find_recipe(json_object_get(root, "pre_tokenizer"), t->model.bpe.ignore_merges, &memory);
    arena_free(&memory);
    if (!r)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = file, .key = "pre_tokenizer", .hint = "write a Hugging Face folder instead" },
                       "llama.cpp has no name for this pre-tokenizer");
    slice names = slice_of(r->names);
    gguf_put_text(w, "tokenizer.ggml.model", slice_of("gpt2"));
    gguf_put_text(w, "tokenizer.ggml.pre", slice_cut(&names, ' '));
    TRY(put_tokens(t, w, rows, false));
    return put_merges(model, w);
}

static int put_all(const tokenizer *t, const json_t *root, const char *file, gguf_writer *w, int64_t rows)
{
    bool prefix;
    if (t->model.kind != MODEL_BPE)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = file, .key = "model", .hint = "write a Hugging Face folder instead" },
                       "tokenizers of this model cannot be written as GGUF by this version");
    if (is_sentencepiece(root, &prefix))
        TRY(put_sentencepiece(t, root, file, w, rows, prefix));
    else
        TRY(put_with_merges(t, root, file, w, rows));
    put_roles(t, w);
    return tokenizer_put_templates(t, w);
}

int tokenizer_put_gguf(const tokenizer *t, const char *folder, gguf_writer *w, int64_t rows)
{
    buf path = { 0 };
    json_t *root = NULL;
    const char *file = path_join(&path, folder, "tokenizer.json");
    int status = file ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && !path_exists(file))
        status = fail_at(LORAC_ERROR_USAGE, (fault){ .file = folder, .hint = "Save it as tokenizer.json first" },
                         "a tokenizer that is no tokenizer.json cannot be written as GGUF by this version");
    if (status == LORAC_OK)
        status = json_read(&root, file, TOKENIZER_LIMIT, JSON_TAKE_NUL);
    if (status == LORAC_OK)
        status = put_all(t, root, file, w, rows);
    json_decref(root);
    buf_free(&path);
    return status;
}
