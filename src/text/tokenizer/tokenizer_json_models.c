/* tokenizer_json_models.c: the model of a tokenizer.json: its kind, its vocabulary, its merges and options. The names
 * and fields are those of Hugging Face's tokenizers. */
#include "tokenizer_json.h"

#include <string.h>

enum { HOLES_PER_TOKEN = 8 };

/* ---- The vocabulary */

/* Added tokens that the model's vocabulary lacks. */
static size_t count_new(const json_t *vocab, const json_t *added)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *content = json_object_get(json_array_get(added, i), "content");
        count += content && !json_object_getn(vocab, json_string_value(content), json_string_length(content));
    }
    return count;
}

/* Ids may be missing, as in GPT-4's vocabulary, but a number in a small file shall not make a large table. */
static int make_room(tokenizer *t, part vocab, const json_t *added)
{
    json_t *tokens = (json_t *)vocab.json; /* jansson's iterators take no const */
    json_int_t count = (json_int_t)json_object_size(tokens), highest = 0;
    const char *name = "";
    for (void *i = json_object_iter(tokens); i; i = json_object_iter_next(tokens, i)) {
        json_int_t id = json_integer_value(json_object_iter_value(i));
        if (id > highest) {
            highest = id;
            name = json_object_iter_key(i);
        }
    }
    if (highest / (1 + HOLES_PER_TOKEN) >= count)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = vocab.place },
                       "the token \"%.64s\" has the id %lld, but there are %lld tokens: more than %d ids without a "
                       "token for each with one",
                       name, (long long)highest, (long long)count, HOLES_PER_TOKEN);
    json_int_t all = count + (json_int_t)count_new(tokens, added);
    return tokenizer_allocate(t, (size_t)(highest < all ? all : highest + 1));
}

static int read_vocabulary(tokenizer *t, part model, const json_t *added)
{
    part vocab;
    TRY(part_member(t, model, "vocab", &vocab));
    if (!json_is_object(vocab.json) || !json_object_size(vocab.json))
        return part_fail(t, vocab, "an object of tokens and ids was expected");
    TRY(make_room(t, vocab, added));
    json_t *tokens = (json_t *)vocab.json;
    for (void *i = json_object_iter(tokens); i; i = json_object_iter_next(tokens, i)) {
        slice token = { json_object_iter_key(i), json_object_iter_key_len(i) };
        const json_t *id = json_object_iter_value(i);
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = vocab.place },
                           "the id of the token \"%.64s\" is not an integer from 0 on", token.p);
        token.p = arena_text(&t->memory, token.p, token.n);
        if (!token.p)
            return fail_memory();
        TRY(tokenizer_put(t, (int32_t)value, token, 0, vocab.place));
    }
    return LORAC_OK;
}

static int read_unknown(tokenizer *t, part model)
{
    const char *unknown = NULL;
    unknown_rule_open(&t->model.unknown, &t->vocabulary);
    TRY(part_name(t, model, "unk_token", &unknown));
    if (!unknown)
        return LORAC_OK;
    t->model.unknown.id = tokenizer_id(t, slice_of(unknown));
    t->model.unknown.missed = t->model.unknown.id < 0; /* where every character has a token, nobody minds */
    return LORAC_OK;
}

/* A string that may be null or absent: nothing. */
static int read_affix(tokenizer *t, part model, const char *key, slice *out)
{
    part text;
    TRY(part_member(t, model, key, &text));
    return text.json ? part_text(t, text, out) : LORAC_OK;
}

/* ---- BPE */

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
    return bpe_add_merge(&t->model.bpe, &t->vocabulary, scratch, left, right, (uint32_t)i, true, &where);
}

static int read_merges(tokenizer *t, part model)
{
    part merges;
    TRY(part_member(t, model, "merges", &merges));
    size_t count = json_array_size(merges.json);
    if (!json_is_array(merges.json) || count > VOCABULARY_MOST)
        return part_fail(t, merges, "an array of merges was expected");
    TRY(bpe_open(&t->model.bpe, &t->vocabulary, count));
    TRY(read_affix(t, model, "continuing_subword_prefix", &t->model.bpe.prefix));
    TRY(read_affix(t, model, "end_of_word_suffix", &t->model.bpe.suffix));
    buf scratch = { 0 };
    int status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        status = read_merge(t, merges, i, &scratch);
    buf_free(&scratch);
    return status;
}

/* Dropout makes other ids of the same text every time; training and generation want the same ones. */
static int read_bpe(tokenizer *t, part model)
{
    part given;
    double dropout = 0;
    TRY(read_merges(t, model));
    TRY(read_unknown(t, model));
    TRY(part_member(t, model, "dropout", &given));
    TRY(json_to_real(given.json, given.place, &dropout, t->path));
    if (dropout != 0)
        TRY(tokenizer_note(t, arena_format(&t->memory, "%s: %s %g is left out: a text has the same ids every time",
                                           t->path, given.place, dropout)));
    TRY(part_bool(t, model, "byte_fallback", &t->model.unknown.by_bytes));
    TRY(part_bool(t, model, "fuse_unk", &t->model.unknown.fuse));
    return part_bool(t, model, "ignore_merges", &t->model.bpe.ignore_merges);
}

/* ---- The others */

static int need_unknown(const tokenizer *t, const char *model)
{
    return t->model.unknown.id >= 0 ? LORAC_OK
                                    : fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "model.unk_token" },
                                              "a %s model needs an unknown token of its vocabulary", model);
}

static int read_wordpiece(tokenizer *t, part model)
{
    int64_t most = 100;
    t->model.wordpiece.prefix = slice_of("##");
    TRY(read_unknown(t, model));
    TRY(read_affix(t, model, "continuing_subword_prefix", &t->model.wordpiece.prefix));
    TRY(part_int(t, model, "max_input_chars_per_word", 0, INT32_MAX, &most));
    t->model.wordpiece.characters_most = (size_t)most;
    wordpiece_open(&t->model.wordpiece, &t->vocabulary);
    return need_unknown(t, "WordPiece");
}

static int read_wordlevel(tokenizer *t, part model)
{
    TRY(read_unknown(t, model));
    return need_unknown(t, "WordLevel");
}

/* Old files do not say what they are. */
static const char *guess_type(part model)
{
    if (json_object_get(model.json, "merges"))
        return "BPE";
    if (json_is_array(json_object_get(model.json, "vocab")))
        return "Unigram";
    return json_object_get(model.json, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

int read_model(tokenizer *t, part model, const json_t *added)
{
    static const struct {
        const char *type;
        model_kind kind;
        int (*read)(tokenizer *, part);
    } models[] = {
        { "BPE", MODEL_BPE, read_bpe },
        { "WordPiece", MODEL_WORDPIECE, read_wordpiece },
        { "WordLevel", MODEL_WORDLEVEL, read_wordlevel },
    };
    if (!json_is_object(model.json))
        return part_fail(t, model, "the file has no model");
    const char *type = guess_type(model);
    TRY(part_name(t, model, "type", &type));
    t->model.vocabulary = &t->vocabulary;
    if (!strcmp(type, "Unigram"))
        return read_unigram(t, model, added);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(type, models[i].type) != 0)
            continue;
        t->model.kind = models[i].kind;
        TRY(read_vocabulary(t, model, added));
        return models[i].read(t, model);
    }
    return part_refuse(t, model, type);
}
