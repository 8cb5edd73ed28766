/* tokenizer_to_folder_models.c: each of GGUF's models as a tokenizer.json has it, with the steps around it. Both say
 * the same thing with other words: GGUF names a model and a pre-tokenizer, tokenizer.json spells them out. */
#include "base64.h"
#include "scored_merges.h"
#include "tokenizer_to_folder.h"

#include <math.h>
#include <string.h>

static const char mark[] = "\u2581";

/* ---- Parts */

static void note(const tokenizer *t, buf *notes, const char *sentence)
{
    if (notes)
        buf_format(notes, "%s: as tokenizer.json, %s\n", t->path, sentence);
}

static json_t *regex(const char *expression)
{
    return json_pack("{s:s}", "Regex", expression);
}

static json_t *text(const char *literal)
{
    return json_pack("{s:s}", "String", literal);
}

static void add_replace(json_t *list, json_t *sought, const char *content)
{
    json_array_append_new(list, json_pack("{s:s,s:o,s:s}", "type", "Replace", "pattern", sought, "content", content));
}

static json_t *split(const char *expression, const char *behaviour)
{
    return json_pack("{s:s,s:o,s:s,s:b}", "type", "Split", "pattern", regex(expression), "behavior", behaviour,
                     "invert", 0);
}

static json_t *byte_level(void)
{
    return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                     0);
}

static json_t *sequence(const char *key, json_t *list)
{
    return json_pack("{s:s,s:o}", "type", "Sequence", key, list);
}

/* U+2581 is a blank; of the first one the encoder may have made one. */
static json_t *blanks_decoder(bool prefixed)
{
    json_t *after = json_array();
    add_replace(after, text(mark), " ");
    json_array_append_new(after, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(after, json_pack("{s:s}", "type", "Fuse"));
    if (prefixed)
        json_array_append_new(after,
                              json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return sequence("decoders", after);
}

static json_t *split_steps(const recipe *r)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < recipe_steps(r); i++)
        json_array_append_new(steps, split(r->steps[i].expression, "Isolated"));
    return steps;
}

static bool has_expressions(const recipe *r)
{
    for (size_t i = 0; i < recipe_steps(r); i++)
        if (!r->steps[i].expression[0])
            return false;
    return true;
}

/* ---- Byte-pair encoding */

typedef struct bpe_words {
    bool by_bytes, fuse;
    int32_t unknown; /* -1: none */
} bpe_words;

static json_t *bpe_model(const tokenizer *t, bpe_words words, json_t *merges)
{
    json_t *tokens = json_object();
    for (int32_t id = 0; id < t->vocabulary.count; id++)
        json_object_setn_new_nocheck(tokens, t->vocabulary.token[id].p, t->vocabulary.token[id].n, json_integer(id));
    return json_pack("{s:s,s:n,s:o,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
                     words.unknown < 0 ? json_null() : json_of_slice(t->vocabulary.token[words.unknown]),
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", (int)words.fuse, "byte_fallback",
                     (int)words.by_bytes, "ignore_merges", (int)t->model.bpe.ignore_merges, "vocab", tokens, "merges",
                     merges);
}

static json_t *merges_of_file(const gguf *g)
{
    json_t *merges = json_array();
    const gguf_value *filed = gguf_find(g, "tokenizer.ggml.merges");
    for (uint64_t i = 0; filed && i < filed->count; i++)
        json_array_append_new(merges, json_of_slice(gguf_string(filed, i)));
    return merges;
}

/* The steps around a model with the byte alphabet. */
static json_t *with_letters(const tokenizer *t, const gguf *g, const recipe *r)
{
    json_t *steps = split_steps(r), *post = json_of_surroundings(t);
    json_array_append_new(steps, byte_level());
    if (json_is_null(post))
        post = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 0,
                         "use_regex", 1);
    return json_pack("{s:n,s:o,s:o,s:o,s:o}", "normalizer", "pre_tokenizer", sequence("pretokenizers", steps),
                     "post_processor", post, "decoder", byte_level(), "model",
                     bpe_model(t, (bpe_words){ .unknown = -1 }, merges_of_file(g)));
}

/* Merges are listed, and blanks are U+2581. */
static json_t *with_merged_blanks(const tokenizer *t, const gguf *g, const recipe *r, buf *notes)
{
    json_t *before = json_array();
    bool whole = true;
    if (r->traits & RECIPE_NEWLINES_WHOLE && word_model_merges_newlines(&t->model, &whole) != LORAC_OK) {
        json_decref(before);
        return NULL;
    }
    if (!whole)
        note(t, notes, "some runs of newlines become several tokens: the file has no merges for them");
    add_replace(before, text(" "), mark);
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "normalizer", sequence("normalizers", before), "pre_tokenizer",
                     sequence("pretokenizers", split_steps(r)), "post_processor", json_of_surroundings(t), "decoder",
                     blanks_decoder(false), "model",
                     bpe_model(t, (bpe_words){ .by_bytes = true, .unknown = -1 }, merges_of_file(g)));
}

/* SentencePiece's: blanks are U+2581, and there is one more at the beginning. */
static json_t *with_scored_blanks(const tokenizer *t)
{
    bool prefix = t->normalise[0].kind == NORMALISE_PREPEND;
    json_t *merges = merges_of_scores(&t->vocabulary, t->model.bpe.scores);
    if (!merges)
        return NULL;
    json_t *before = json_array();
    if (prefix)
        json_array_append_new(before, json_pack("{s:s,s:s}", "type", "Prepend", "prepend", mark));
    add_replace(before, text(" "), mark);
    return json_pack("{s:o,s:n,s:o,s:o,s:o}", "normalizer", sequence("normalizers", before), "pre_tokenizer",
                     "post_processor", json_of_surroundings(t), "decoder", blanks_decoder(prefix), "model",
                     bpe_model(t, (bpe_words){ true, true, t->roles[TOKEN_UNK] }, merges));
}

/* ---- BERT */

/* A token as BERT writes it: what begins no word has two signs in front. */
static slice bert_spelling(const tokenizer *t, int32_t id, buf *room)
{
    slice token = t->vocabulary.token[id];
    buf_clear(room);
    if (t->vocabulary.flags[id] & (TOKEN_ADDED | TOKEN_SILENT))
        return token;
    if (slice_starts(token, mark))
        return (slice){ token.p + strlen(mark), token.n - strlen(mark) };
    buf_text(room, "##");
    buf_slice(room, token);
    return buf_slice_of(room);
}

/* The second of two that would be one: no text is cut into it. */
static int add_bert_token(const tokenizer *t, int32_t id, json_t *tokens, buf *room)
{
    slice spelled = bert_spelling(t, id, room);
    if (!spelled.n || json_object_getn(tokens, spelled.p, spelled.n)) {
        buf_clear(room);
        buf_format(room, "[UNUSED%d]", id);
        spelled = buf_slice_of(room);
    }
    TRY(buf_status(room));
    return json_object_setn_new_nocheck(tokens, spelled.p, spelled.n, json_integer(id)) ? fail_memory() : LORAC_OK;
}

static json_t *bert_tokens(const tokenizer *t)
{
    json_t *tokens = json_object();
    buf room = { 0 };
    int status = LORAC_OK;
    for (int32_t id = 0; id < t->vocabulary.count && status == LORAC_OK; id++)
        status = add_bert_token(t, id, tokens, &room);
    buf_free(&room);
    if (status == LORAC_OK)
        return tokens;
    json_decref(tokens);
    return NULL;
}

static json_t *with_words(const tokenizer *t, buf *notes)
{
    const split_step *words = &t->split[0];
    json_t *tokens = bert_tokens(t);
    if (!tokens)
        return NULL;
    if (words->accents)
        note(t, notes, "Hangul and other characters of several parts get other ids, which are those of BERT");
    return json_pack("{s:{s:s,s:b,s:b,s:b,s:b},s:{s:s},s:o,s:{s:s,s:s,s:b},s:{s:s,s:o,s:s,s:i,s:o}}", "normalizer",
                     "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1, "strip_accents",
                     (int)words->accents, "lowercase", (int)words->lowercase, "pre_tokenizer", "type",
                     "BertPreTokenizer", "post_processor", json_of_surroundings(t), "decoder", "type", "WordPiece",
                     "prefix", "##", "cleanup", 1, "model", "type", "WordPiece", "unk_token",
                     json_of_slice(t->vocabulary.token[t->model.unknown.id]), "continuing_subword_prefix", "##",
                     "max_input_chars_per_word", INT32_MAX, "vocab", tokens);
}

/* ---- Unigram */

/* All tokens have a score there. The lowest is no better than the way around it, and leaves that of characters without
 * a token as it is. */
static json_t *scored_tokens(const tokenizer *t)
{
    const double *scores = unigram_scores(t->model.unigram);
    double lowest = INFINITY;
    json_t *tokens = json_array();
    for (int32_t id = 0; id < t->vocabulary.count; id++)
        lowest = fmin(lowest, scores[id]); /* which passes over NaN */
    for (int32_t id = 0; id < t->vocabulary.count; id++)
        json_array_append_new(tokens, json_pack("[o,f]", json_of_slice(t->vocabulary.token[id]),
                                                !isnan(scores[id]) ? scores[id]
                                                : isinf(lowest)    ? 0.
                                                                   : lowest));
    return tokens;
}

static json_t *rules_of(const precompiled *rules)
{
    buf bytes = { 0 }, encoded = { 0 };
    precompiled_write(rules, &bytes);
    buf_to_base64(&encoded, buf_slice_of(&bytes));
    bool whole = buf_status(&bytes) == LORAC_OK && buf_status(&encoded) == LORAC_OK;
    json_t *filed = whole ? json_of_slice(buf_slice_of(&encoded)) : NULL;
    buf_free(&bytes);
    buf_free(&encoded);
    return filed ? json_pack("{s:s,s:o}", "type", "Precompiled", "precompiled_charsmap", filed) : NULL;
}

/* llama.cpp drops the blanks at both ends and all but one between words, or none; then one goes in front of a text that
 * has more than blanks. */
static json_t *with_scores(const tokenizer *t, buf *notes)
{
    const normalise_step *blanks = &t->normalise[t->normalise_count - 1];
    bool rules = t->normalise_count > 1, prefix = blanks->prefix || blanks->squeeze;
    json_t *before = json_array();
    if (rules) {
        json_array_append_new(before, rules_of(t->normalise[0].spacing.rules));
        note(t, notes,
             "the rules of precompiled_charsmap see whole grapheme clusters: texts with combining marks may get other "
             "ids");
    }
    if (blanks->squeeze) {
        add_replace(before, regex(BLANKS_AT_ENDS), "");
        add_replace(before, regex(" {2,}"), " ");
    }
    if (prefix)
        json_array_append_new(before, json_pack("{s:s,s:s}", "type", "Prepend", "prepend", mark));
    add_replace(before, text(" "), mark);
    if (prefix && !blanks->squeeze)
        add_replace(before, regex(BLANK_BEFORE_BLANKS), "");
    return json_pack("{s:o,s:n,s:o,s:o,s:{s:s,s:i,s:b,s:o}}", "normalizer", sequence("normalizers", before),
                     "pre_tokenizer", "post_processor", json_of_surroundings(t), "decoder", blanks_decoder(prefix),
                     "model", "type", "Unigram", "unk_id", (int)t->model.unknown.id, "byte_fallback", 0, "vocab",
                     scored_tokens(t));
}

/* ---- The whole */

json_t *json_of_model(const tokenizer *t, const gguf *g, slice model, const recipe *r, buf *notes, bool *refused)
{
    *refused = false;
    if (slice_is(model, "llama"))
        return with_scored_blanks(t);
    if (slice_is(model, "bert"))
        return with_words(t, notes);
    if (slice_is(model, "t5"))
        return with_scores(t, notes);
    bool raw = r && r->traits & RECIPE_RAW, escapes = r && r->traits & RECIPE_ESCAPES;
    *refused = !r || !has_expressions(r) || raw != escapes;
    if (*refused)
        return NULL;
    return raw ? with_merged_blanks(t, g, r, notes) : with_letters(t, g, r);
}
