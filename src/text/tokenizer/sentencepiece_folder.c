/* sentencepiece_folder.c: the tokenizer of a folder with a SentencePiece model and no tokenizer.json. Where
 * tokenizer_config.json names a class of transformers that reads such a model in its own way, that way is taken:
 * pieces, merges and steps are what transformers 5 would write into tokenizer.json. Otherwise ids are those of the
 * sentencepiece library. In both cases the tokens that the folder's files add are found in texts. */
#include "file.h"
#include "scored_merges.h"
#include "sentencepiece_classes.h"
#include "sentencepiece_tokenizer.h"
#include "tokenizer_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MODEL_BYTES_MOST = 256 << 20, NUMBERED_MOST = 1 << 16 };

/* A folder on its way. */
typedef struct build {
    tokenizer *t;
    sentencepiece s;
    const sentencepiece_class *class; /* NULL: the library's way */
    folder_tokens tokens;
    int32_t model_count, next; /* tokens of the model; ids given out */
    double *scores;            /* by id, of a class's model */
    int64_t extra_ids, offset;
} build;

static int find_class(build *b)
{
    folder_tokens *f = &b->tokens;
    bool refused;
    b->class = sentencepiece_class_of(f, &refused);
    if (refused)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = f->path.p,
                                .key = "tokenizer_class",
                                .found = f->class_name,
                                .hint = "Save the tokenizer with transformers, which writes tokenizer.json" },
                       "a SentencePiece model of this class gets other ids, which is not supported");
    if (!b->class)
        return LORAC_OK;
    f->defaults = b->class->specials;
    f->own = b->class->own;
    f->mask_left = b->class->mask_left;
    f->mask_normalised = b->class->mask_normalised;
    b->extra_ids = b->class->extra_ids;
    b->offset = b->class->offset;
    if (b->extra_ids)
        TRY(json_take_int(f->config, "extra_ids", 0, NUMBERED_MOST, &b->extra_ids, f->path.p));
    if (b->offset)
        TRY(json_take_int(f->config, "offset", 2, NUMBERED_MOST, &b->offset, f->path.p));
    return LORAC_OK;
}

/* ---- The model's tokens */

static int put(build *b, slice text, double score)
{
    if (b->class->once && tokenizer_id(b->t, text) >= 0)
        return LORAC_OK;
    b->scores[b->next] = score;
    return tokenizer_put(b->t, b->next++, text, 0, "pieces");
}

static int put_copy(build *b, slice text, double score)
{
    text.p = arena_text(&b->t->memory, text.p, text.n);
    return text.p ? put(b, text, score) : fail_memory();
}

/* "key=text", "text" or "-text" */
static int put_word(build *b, slice word)
{
    double score = 0;
    if (memchr(word.p, '=', word.n)) {
        slice key = slice_cut(&word, '=');
        const char *name = arena_text(&b->t->memory, key.p, key.n);
        if (!name)
            return fail_memory();
        const char *said = folder_text(&b->tokens, name);
        if (said)
            word = slice_of(said);
    } else if (*word.p == '-') {
        score = -100;
        word = (slice){ word.p + 1, word.n - 1 };
    }
    return put_copy(b, word, score);
}

static int put_words(build *b, const char *words)
{
    slice rest = slice_of(words ? words : "");
    while (rest.n)
        TRY(put_word(b, slice_cut(&rest, ' ')));
    return LORAC_OK;
}

static size_t count_words(const char *words)
{
    size_t count = words != NULL;
    for (; words && *words; words++)
        count += *words == ' ';
    return count;
}

/* "<unk_7>" or "<extra_id_7>" */
static slice numbered(char name[32], const char *start, int64_t number)
{
    return (slice){ name, (size_t)snprintf(name, 32, "<%s_%d>", start, (int)number) };
}

static int put_model_tokens(build *b, size_t more)
{
    const sentencepiece *s = &b->s;
    const sentencepiece_class *c = b->class;
    char name[32];
    size_t count = s->count + (size_t)(b->extra_ids + b->offset) + count_words(c->before) + count_words(c->behind);
    TRY(tokenizer_allocate(b->t, count + more));
    b->scores = mem_new(count + more, sizeof *b->scores);
    if (!b->scores)
        return fail_memory();
    TRY(put_words(b, c->before));
    for (int64_t i = 2; i < b->offset; i++)
        TRY(put_copy(b, numbered(name, "unk", i), -100));
    for (size_t i = c->replaced; i < s->count; i++)
        TRY(put(b, s->pieces[i].text, s->pieces[i].score));
    for (int64_t i = b->extra_ids; i-- > 0;)
        TRY(put_copy(b, numbered(name, "extra_id", i), NAN));
    return put_words(b, c->behind);
}

/* ---- Added tokens */

static int64_t id_of(const void *data, const char *text)
{
    return tokenizer_id(data, slice_of(text));
}

static int add_numbered(build *b, const char *start, int64_t first, int64_t end)
{
    char name[32];
    for (int64_t i = end; i-- > first;)
        TRY(folder_add(&b->tokens, numbered(name, start, i).p, true));
    return LORAC_OK;
}

static int add_languages(build *b)
{
    slice rest = slice_of(b->class && b->class->languages ? b->class->languages : "");
    while (rest.n) {
        slice word = slice_cut(&rest, ' ');
        char name[32] = { 0 };
        assert(word.n < sizeof name);
        memcpy(name, word.p, word.n);
        TRY(folder_add(&b->tokens, name, true));
    }
    return LORAC_OK;
}

/* A list of special tokens in the files takes the place of the model's and the class's own. */
static bool has_own(const build *b)
{
    return !b->class || !folder_lists_extra(&b->tokens);
}

/* Those whose place a class gives to others, `lost`, become new tokens behind those of the files. */
static int add_pieces(build *b, bool lost)
{
    const folder_tokens *f = &b->tokens;
    bool counts = has_own(b) && !(b->class && b->class->offset);
    for (size_t i = 0; i < b->s.count && counts; i++) {
        const piece *p = &b->s.pieces[i];
        bool kind = p->type == PIECE_CONTROL || (b->class && p->type == PIECE_USER_DEFINED);
        bool there = tokenizer_id(b->t, p->text) >= 0 || (lost && json_object_get(f->places, p->text.p));
        if (kind && there != lost)
            TRY(folder_add(&b->tokens, p->text.p, p->type == PIECE_CONTROL));
    }
    return LORAC_OK;
}

static int add_own(build *b)
{
    TRY(add_numbered(b, "extra_id", 0, b->extra_ids));
    if (!has_own(b))
        return LORAC_OK;
    TRY(add_numbered(b, "unk", 2, b->offset));
    return add_languages(b);
}

/* ---- The class's model */

static size_t count_merges(const build *b)
{
    const vocabulary *v = &b->t->vocabulary;
    slice left, right;
    size_t count = 0;
    for (int32_t id = 0; id < b->model_count; id++)
        for (size_t at = 0; next_halves(v, v->token[id], &at, &left, &right);)
            count++;
    return count;
}

/* Every way to cut a token into two tokens is a merge: by the token's id, then by the length of the left part. */
static int add_merges(const build *b, buf *scratch)
{
    const vocabulary *v = &b->t->vocabulary;
    fault where = { .file = b->t->path, .key = "pieces" };
    slice left, right;
    uint32_t rank = 0;
    for (int32_t id = 0; id < b->model_count; id++)
        for (size_t at = 0; next_halves(v, v->token[id], &at, &left, &right);)
            TRY(bpe_add_merge(&b->t->model.bpe, v, scratch, left, right, rank++, true, &where));
    return LORAC_OK;
}

static int build_bpe(build *b)
{
    tokenizer *t = b->t;
    size_t count = count_merges(b);
    buf scratch = { 0 };
    if (count > VOCABULARY_MOST)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path }, "%zu merges are too many", count);
    TRY(bpe_open(&t->model.bpe, &t->vocabulary, count));
    int status = add_merges(b, &scratch);
    buf_free(&scratch);
    return status;
}

static int32_t unknown_id(const build *b)
{
    const char *name = folder_special(&b->tokens, SPECIAL_UNK);
    switch (b->class->unknown) {
    case UNKNOWN_NAMED:
        return name ? tokenizer_id(b->t, slice_of(name)) : -1;
    case UNKNOWN_TRAINED:
        return b->s.unknown >= 0 && b->s.unknown < b->model_count ? (int32_t)b->s.unknown : -1;
    default:
        return b->class->unknown >= 0 && b->class->unknown < b->model_count ? b->class->unknown : -1;
    }
}

static int build_model(build *b)
{
    tokenizer *t = b->t;
    unknown_rule *rule = &t->model.unknown;
    t->model.vocabulary = &t->vocabulary;
    t->model.kind = b->class->kind;
    unknown_rule_open(rule, &t->vocabulary);
    rule->fuse = true;
    rule->by_bytes = b->class->bytes;
    rule->id = unknown_id(b);
    rule->missed = b->class->kind != MODEL_BPE;
    for (int32_t i = b->model_count; i < t->vocabulary.count; i++)
        b->scores[i] = NAN;
    return b->class->kind == MODEL_BPE ? build_bpe(b) : unigram_open(&t->model.unigram, &t->vocabulary, b->scores);
}

/* ---- The class's steps */

static void set_scheme(json_t *step, const char *scheme)
{
    json_t *value, *old = json_object_get(step, "prepend_scheme");
    size_t i;
    if (old)
        json_string_set(old, scheme);
    json_array_foreach(json_object_get(step, "pretokenizers"), i, value)
    {
        set_scheme(value, scheme);
    }
}

/* A blank before the text, or none. Llama's: legacy files put one before every part between special tokens. */
static int set_prefix(const build *b, json_t *steps)
{
    bool legacy = false, prefixed = true;
    const folder_tokens *f = &b->tokens;
    json_t *decoder = json_object_get(steps, "decoder");
    if (!b->class->takes_prefix)
        return LORAC_OK;
    if (b->class->legacy)
        TRY(json_take_bool(f->config, "legacy", &legacy, f->path.p));
    TRY(json_take_bool(f->config, "add_prefix_space", &prefixed, f->path.p));
    if (prefixed && !legacy)
        return LORAC_OK;
    set_scheme(json_object_get(steps, "pre_tokenizer"), prefixed ? "always" : "never");
    set_scheme(decoder, prefixed ? "always" : "never");
    if (!prefixed && b->class->legacy)
        json_array_remove(json_object_get(decoder, "decoders"), 3);
    return LORAC_OK;
}

/* What "if" and "else" say. */
static int counts(const build *b, const json_t *step, bool *does)
{
    const char *name = json_string_value(json_object_get(step, "if"));
    *does = true;
    if (!name)
        return LORAC_OK;
    bool negated = slice_starts(slice_of(name), "no "), value = json_is_true(json_object_get(step, "else"));
    name += negated ? 3 : 0;
    if (!strcmp(name, "rules"))
        value = b->s.rules.n > 0;
    else
        TRY(json_take_bool(b->tokens.config, name, &value, b->tokens.path.p));
    *does = value != negated;
    return LORAC_OK;
}

static int add_normalisers(build *b, const char *text)
{
    json_t *list = text ? json_loads(text, 0, NULL) : json_array(), *step;
    int status = list ? LORAC_OK : fail_memory();
    size_t i;
    json_array_foreach(list, i, step)
    {
        bool does;
        TRY_GOTO(counts(b, step, &does));
        if (does)
            TRY_GOTO(build_normaliser(b->t, (part){ step, "normalizer" }));
    }
done:
    json_decref(list);
    return status;
}

static int build_normalisers(build *b)
{
    TRY(add_normalisers(b, b->class->before_rules));
    if (b->class->rules && b->s.rules.n) {
        normalise_step *step;
        TRY(tokenizer_add_normalise(b->t, NORMALISE_PRECOMPILED, &step));
        fault where = { .file = b->t->path, .key = "normalizer_spec.precompiled_charsmap" };
        TRY(precompiled_open(&step->rules, b->s.rules, &b->t->memory, where));
    }
    return add_normalisers(b, b->class->after_rules);
}

static int read_steps(build *b)
{
    json_t *steps = b->class ? json_loads(b->class->steps, 0, NULL) : json_object();
    int status = steps ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && b->class)
        status = set_prefix(b, steps);
    if (status == LORAC_OK && json_object_set(steps, "added_tokens", b->tokens.list))
        status = fail_memory();
    if (status == LORAC_OK)
        status = tokenizer_read_steps(b->t, steps);
    json_decref(steps);
    return status;
}

/* ---- What is put around a text */

/* "eos0": the special token's id, that of the unknown token where there is none, and its type. */
static int32_t id_of_word(const build *b, slice name)
{
    static const struct {
        const char *name;
        special_name special;
    } names[] = { { "bos", SPECIAL_BOS }, { "eos", SPECIAL_EOS }, { "sep", SPECIAL_SEP }, { "cls", SPECIAL_CLS } };
    const char *said = folder_text(&b->tokens, "src_lang"), *text = said ? said : b->class->language;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_is(name, names[i].name))
            text = folder_special(&b->tokens, names[i].special);
    int32_t id = text ? tokenizer_id(b->t, slice_of(text)) : -1;
    return id < 0 && slice_is(name, "lang") ? b->t->model.unknown.id : id;
}

static int read_template(const build *b, const char *words, post_piece **out, size_t *count)
{
    slice rest = slice_of(words);
    *out = arena_new(&b->t->memory, count_words(words), sizeof **out);
    if (!*out)
        return fail_memory();
    while (rest.n) {
        slice word = slice_cut(&rest, ' ');
        uint8_t type = (uint8_t)(word.p[--word.n] - '0');
        bool text = slice_is(word, "A") || slice_is(word, "B");
        int32_t id = slice_is(word, "A") ? POST_FIRST : slice_is(word, "B") ? POST_SECOND : id_of_word(b, word);
        if (id < 0 && !text)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = b->tokens.path.p, .found = b->class->names },
                           "this class puts its %.*s_token around texts, and there is none", (int)word.n, word.p);
        (*out)[(*count)++] = (post_piece){ id, type };
    }
    return LORAC_OK;
}

static int set_surroundings(build *b)
{
    tokenizer *t = b->t;
    const sentencepiece_class *c = b->class;
    bool last = false;
    tokenizer_take_specials(t, &b->tokens);
    t->keeps_templates = c->single && !c->gives_way;
    t->begins = c->adds_bos;
    if (!c->single)
        return LORAC_OK;
    if (c->legacy_behaviour)
        TRY(json_take_bool(b->tokens.config, "legacy_behaviour", &last, b->tokens.path.p));
    post_step *step;
    TRY(tokenizer_add_post(t, POST_TEMPLATE, &step));
    TRY(read_template(b, last ? "A0 eos0 lang0" : c->single, &step->single, &step->single_count));
    return read_template(b, last ? "A0 B0 eos0 lang0" : c->pair, &step->pair, &step->pair_count);
}

/* ---- The whole */

static int put_tokens(build *b)
{
    folder_tokens *f = &b->tokens;
    if (b->class)
        TRY(put_model_tokens(b, folder_tokens_most(f)));
    else
        TRY(sentencepiece_put_pieces(b->t, &b->s, folder_tokens_most(f), false));
    if (!b->class)
        b->next = (int32_t)b->s.count;
    b->model_count = b->next;
    f->id_of = id_of;
    f->vocabulary = b->t;
    f->next = b->next;
    TRY(add_pieces(b, false));
    TRY(add_own(b));
    TRY(folder_add_all(f));
    TRY(add_pieces(b, true));
    assert(f->next <= b->t->vocabulary.count);
    b->t->vocabulary.count = (int32_t)f->next;
    return LORAC_OK;
}

static int build_all(build *b)
{
    TRY(find_class(b));
    TRY(put_tokens(b));
    if (!b->class) {
        TRY(sentencepiece_build(b->t, &b->s));
        return read_steps(b);
    }
    TRY(build_model(b));
    TRY(build_normalisers(b));
    TRY(read_steps(b));
    return set_surroundings(b);
}

int tokenizer_open_sentencepiece(tokenizer **out, const char *path, const char *folder)
{
    buf bytes = { 0 };
    build b = { 0 };
    *out = NULL;
    int status;
    TRY_GOTO(file_read(&bytes, path, MODEL_BYTES_MOST));
    TRY_GOTO(tokenizer_new(out, path));
    b.t = *out;
    TRY_GOTO(sentencepiece_parse(&b.s, buf_slice_of(&bytes), &b.t->memory, b.t->path));
    TRY_GOTO(folder_tokens_open(&b.tokens, folder));
    status = build_all(&b);
done:
    folder_tokens_free(&b.tokens);
    mem_free(b.scores);
    buf_free(&bytes);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
