/* sentencepiece_folder.c: the tokenizer of a folder with a SentencePiece model and no tokenizer.json. Where
 * tokenizer_config.json names a class of transformers that reads such a model in its own way, that way is taken:
 * pieces, merges and steps are what transformers 5 would write into tokenizer.json. Otherwise ids are those of the
 * sentencepiece library. In both cases the tokens that the folder's files add are found in texts. */
#include "file.h"
#include "sentencepiece_tokenizer.h"
#include "tokenizer_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_BYTES_MOST = 256 << 20, EXTRA_IDS_MOST = 1 << 16, SHIFTED_MORE = 5 };

/* ---- Classes */

typedef enum special_name {
    SPECIAL_BOS,
    SPECIAL_EOS,
    SPECIAL_UNK,
    SPECIAL_SEP,
    SPECIAL_PAD,
    SPECIAL_CLS,
    SPECIAL_MASK,
    SPECIAL_COUNT
} special_name;

static const char *const special_keys[SPECIAL_COUNT] = { "bos_token", "eos_token", "unk_token", "sep_token",
                                                         "pad_token", "cls_token", "mask_token" };

static const char *const special_lists[] = { "additional_special_tokens", "extra_special_tokens" };

typedef struct hf_class {
    const char *names; /* of tokenizer_class, without "Fast" */
    const char *types; /* of config.json's model_type, for folders that name no class */
    model_kind kind;
    const char *specials[SPECIAL_COUNT];
    int64_t extra_ids; /* "<extra_id_0>" .. that the model gains; the file may say another number */
    int32_t unknown;   /* the id of the unknown token; -1: that of its name; -2: none, such characters vanish */
    bool shifted;      /* bos, pad, eos, unk stand in the place of the first three pieces, mask at the end */
    bool rules;        /* the model's own rules of normalising count */
    bool adds_bos, adds_eos;
    const char *steps; /* as in a tokenizer.json */
} hf_class;

#define REPLACE_BLANKS "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},\"content\":\" \"}"
#define BYTES_JOINED "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"
#define WORDS                                                                                                         \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":"          \
    "\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}]},\"decoder\":{\"type\":" \
    "\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}}"

static const hf_class classes[] = {
    { .names = "LlamaTokenizer",
      .types = "",
      .kind = MODEL_BPE,
      .specials = { "<s>", "</s>", "<unk>" },
      .unknown = -2,
      .steps = "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"first\","
               "\"split\":false},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" REPLACE_BLANKS "," BYTES_JOINED
               ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}}" },
    { .names = "GemmaTokenizer",
      .types = "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma shieldgemma2 t5gemma",
      .kind = MODEL_BPE,
      .specials = { "<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>" },
      .unknown = -1,
      .steps =
          "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"},"
          "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
          "\"MergedWithPrevious\",\"invert\":false},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" REPLACE_BLANKS
          "," BYTES_JOINED "]}}" },
    { .names = "T5Tokenizer MT5Tokenizer",
      .types = "t5 mt5 switch_transformers",
      .kind = MODEL_UNIGRAM,
      .specials = { NULL, "</s>", "<unk>", NULL, "<pad>" },
      .extra_ids = 100,
      .unknown = 2,
      .rules = true,
      .adds_eos = true,
      .steps = WORDS },
    { .names = "XLMRobertaTokenizer",
      .types = "xlm-roberta",
      .kind = MODEL_UNIGRAM,
      .specials = { "<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>" },
      .unknown = 3,
      .shifted = true,
      .rules = true,
      .adds_bos = true,
      .adds_eos = true,
      .steps = WORDS },
};

/* These give the pieces other ids, each in its own way. */
static const char *const refused = "BarthezTokenizer BartphoTokenizer CamembertTokenizer CodeLlamaTokenizer "
                                   "LayoutXLMTokenizer M2M100Tokenizer MarianTokenizer MBartTokenizer MBart50Tokenizer "
                                   "MLukeTokenizer NllbTokenizer PegasusTokenizer PLBartTokenizer SeamlessM4TTokenizer "
                                   "Speech2TextTokenizer XGLMTokenizer XLNetTokenizer";

/* A folder on its way. */
typedef struct build {
    tokenizer *t;
    const char *folder;
    sentencepiece s;
    const hf_class *class; /* NULL: the library's way */
    json_t *config, *map,
        *file; /* tokenizer_config.json, special_tokens_map.json, added_tokens.json; NULL: not there */
    const char *config_path;
    json_t *list;              /* added tokens, as tokenizer.json has them */
    json_t *seen;              /* their strings, to their places in the list */
    int32_t model_count, next; /* tokens of the model; ids given out */
    int64_t extra_ids;
} build;

static bool is_named(const char *names, slice name)
{
    if (slice_ends(name, "Fast"))
        name.n -= 4;
    for (slice rest = slice_of(names); rest.n;)
        if (slice_equal(slice_cut(&rest, ' '), name))
            return true;
    return false;
}

static int find_class(build *b)
{
    json_t *model = NULL;
    const char *name = NULL, *type = NULL, *path = NULL;
    TRY(json_take_text(b->config, "tokenizer_class", &name, b->config_path));
    if (name && is_named(refused, slice_of(name)))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = b->config_path,
                                .key = "tokenizer_class",
                                .found = name,
                                .hint = "Save the tokenizer with transformers, which writes tokenizer.json" },
                       "a SentencePiece model of this class gets other ids, which is not supported");
    if (!name) {
        TRY(tokenizer_read_optional(b->t, b->folder, "config.json", &model, &path));
        type = json_string_value(json_object_get(model, "model_type"));
    }
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (name ? is_named(classes[i].names, slice_of(name)) : type && is_named(classes[i].types, slice_of(type)))
            b->class = &classes[i];
    json_decref(model);
    return LORAC_OK;
}

/* ---- The model's tokens */

static int put(build *b, const char *text)
{
    char *copy = arena_text(&b->t->memory, text, strlen(text));
    return copy ? tokenizer_put(b->t, b->next++, slice_of(copy), 0, "pieces") : fail_memory();
}

/* What the folder's files say under this key, or NULL. special_tokens_map.json counts, and counts more, where
 * tokenizer_config.json is of before 2023. */
static const json_t *said(const build *b, const char *key)
{
    const json_t *old = json_object_get(b->config, "added_tokens_decoder") ? NULL : json_object_get(b->map, key);
    return old ? old : json_object_get(b->config, key);
}

/* The string of a special token, or NULL: none. */
static const char *special_text(const build *b, special_name which)
{
    const json_t *value = said(b, special_keys[which]);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (value)
        return json_string_value(value);
    return b->class ? b->class->specials[which] : NULL;
}

static int put_specials(build *b, const special_name *which, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = special_text(b, which[i]);
        TRY(put(b, text ? text : b->class->specials[which[i]]));
    }
    return LORAC_OK;
}

static int put_extra_ids(build *b)
{
    char name[32];
    for (int64_t i = b->extra_ids; i-- > 0;) {
        snprintf(name, sizeof name, "<extra_id_%d>", (int)i);
        TRY(put(b, name));
    }
    return LORAC_OK;
}

static int put_model_tokens(build *b, size_t more)
{
    static const special_name first[] = { SPECIAL_BOS, SPECIAL_PAD, SPECIAL_EOS, SPECIAL_UNK }, last = SPECIAL_MASK;
    const sentencepiece *s = &b->s;
    b->extra_ids = b->class->extra_ids;
    if (b->extra_ids)
        TRY(json_take_int(b->config, "extra_ids", 0, EXTRA_IDS_MOST, &b->extra_ids, b->config_path));
    TRY(tokenizer_allocate(b->t, s->count + (size_t)b->extra_ids + SHIFTED_MORE + more));
    if (b->class->shifted)
        TRY(put_specials(b, first, 4));
    for (size_t i = b->class->shifted ? 3 : 0; i < s->count; i++)
        TRY(tokenizer_put(b->t, b->next++, s->pieces[i].text, 0, "pieces"));
    TRY(put_extra_ids(b));
    return b->class->shifted ? put_specials(b, &last, 1) : LORAC_OK;
}

/* ---- Added tokens */

static int add(build *b, const char *text, const json_t *flags, bool special, bool normalised)
{
    if (!text || !*text)
        return LORAC_OK;
    json_t *entry = flags ? json_copy((json_t *)flags) : json_object();
    json_t *place = json_object_get(b->seen, text);
    int32_t id = tokenizer_id(b->t, slice_of(text));
    if (place)
        id = (int32_t)json_integer_value(json_object_get(json_array_get(b->list, json_integer_value(place)), "id"));
    else if (id < 0)
        id = b->next++;
    bool failed =
        json_object_set_new(entry, "content", json_string(text)) || json_object_set_new(entry, "id", json_integer(id));
    if (!failed && !json_object_get(entry, "special"))
        failed = json_object_set_new(entry, "special", json_boolean(special));
    if (!failed && !json_object_get(entry, "normalized"))
        failed = json_object_set_new(entry, "normalized", json_boolean(normalised));
    if (place)
        failed = failed || json_array_set(b->list, json_integer_value(place), entry);
    else
        failed = failed || json_object_set_new(b->seen, text, json_integer((json_int_t)json_array_size(b->list))) ||
                 json_array_append(b->list, entry);
    json_decref(entry);
    return failed ? fail_memory() : LORAC_OK;
}

/* Only where it is not known yet. `value`: a string, or an object with flags. */
static int add_special(build *b, const json_t *value)
{
    const char *text =
        json_is_object(value) ? json_string_value(json_object_get(value, "content")) : json_string_value(value);
    if (!text || json_object_get(b->seen, text))
        return LORAC_OK;
    return add(b, text, json_is_object(value) ? value : NULL, true, false);
}

static int add_specials(build *b)
{
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        const char *text = special_text(b, i);
        const json_t *value = said(b, special_keys[i]);
        if (text && !json_object_get(b->seen, text))
            TRY(json_is_object(value) ? add_special(b, value) : add(b, text, NULL, true, false));
    }
    for (size_t i = 0; i < sizeof special_lists / sizeof *special_lists; i++) {
        const json_t *more = said(b, special_lists[i]);
        for (size_t k = 0; k < json_array_size(more); k++)
            TRY(add_special(b, json_array_get(more, k)));
    }
    return LORAC_OK;
}

typedef struct numbered {
    long id;
    const char *text;
    const json_t *flags;
} numbered;

static int by_id(const void *left, const void *right)
{
    const numbered *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static bool is_special_text(const build *b, const char *text)
{
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        const char *special = special_text(b, i);
        if (special && !strcmp(special, text))
            return true;
    }
    return false;
}

/* tokenizer_config.json's added_tokens_decoder, {"ID": {"content", flags}}, or else added_tokens.json, {"TOKEN": ID}:
 * in the order of the ids. */
static int add_numbered(build *b)
{
    json_t *decoder = json_object_get(b->config, "added_tokens_decoder"), *from = decoder ? decoder : b->file;
    size_t count = 0;
    if (!json_object_size(from))
        return LORAC_OK;
    numbered *all = mem_new(json_object_size(from), sizeof *all);
    if (!all)
        return fail_memory();
    for (void *i = json_object_iter(from); i; i = json_object_iter_next(from, i)) {
        const json_t *value = json_object_iter_value(i);
        const char *key = json_object_iter_key(i);
        if (decoder)
            all[count++] = (numbered){ atol(key), json_string_value(json_object_get(value, "content")), value };
        else
            all[count++] = (numbered){ (long)json_integer_value(value), key, NULL };
    }
    qsort(all, count, sizeof *all, by_id);
    int status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        bool special = !decoder && all[i].text && is_special_text(b, all[i].text);
        const json_t *flag = json_object_get(all[i].flags, "special");
        status = add(b, all[i].text, all[i].flags, special, !(special || json_is_true(flag)));
    }
    mem_free(all);
    return status;
}

/* A list of special tokens in the files takes the place of the model's own. */
static int add_pieces(build *b)
{
    bool listed = b->class && (said(b, special_lists[0]) || said(b, special_lists[1]));
    for (size_t i = 0; i < b->s.count && !listed; i++) {
        const piece *p = &b->s.pieces[i];
        if (p->type == PIECE_CONTROL || (b->class && p->type == PIECE_USER_DEFINED))
            TRY(add(b, p->text.p, NULL, p->type == PIECE_CONTROL, false));
    }
    char name[32];
    for (int64_t i = b->extra_ids; i-- > 0;) {
        snprintf(name, sizeof name, "<extra_id_%d>", (int)i);
        TRY(add(b, name, NULL, true, false));
    }
    return LORAC_OK;
}

static size_t most_added(const build *b)
{
    return SPECIAL_COUNT + json_object_size(json_object_get(b->config, "added_tokens_decoder")) +
           json_object_size(b->file) + json_array_size(said(b, special_lists[0])) +
           json_array_size(said(b, special_lists[1]));
}

/* ---- The class's model */

static slice prefix(slice s, size_t n)
{
    return (slice){ s.p, n };
}

/* Every way to cut a token into two tokens is a merge: by the token's id, then by the length of the left part. */
static int each_merge(const tokenizer *t, int32_t count, int (*visit)(void *, slice left, slice right), void *data)
{
    for (int32_t id = 0; id < count; id++) {
        slice token = t->vocabulary.token[id];
        for (size_t at = 0; at < token.n;) {
            utf8_next(token, &at);
            slice right = { token.p + at, token.n - at };
            if (right.n && tokenizer_id(t, prefix(token, at)) >= 0 && tokenizer_id(t, right) >= 0)
                TRY(visit(data, prefix(token, at), right));
        }
    }
    return LORAC_OK;
}

static int count_merge(void *data, slice left, slice right)
{
    (void)left;
    (void)right;
    ++*(size_t *)data;
    return LORAC_OK;
}

typedef struct merging {
    tokenizer *t;
    buf scratch;
    uint32_t rank;
} merging;

static int add_merge(void *data, slice left, slice right)
{
    merging *m = data;
    fault where = { .file = m->t->path, .key = "pieces" };
    return bpe_add_merge(&m->t->model.bpe, &m->t->vocabulary, &m->scratch, left, right, m->rank++, true, &where);
}

static int build_bpe(build *b)
{
    tokenizer *t = b->t;
    size_t count = 0;
    merging m = { .t = t };
    TRY(each_merge(t, b->model_count, count_merge, &count));
    if (count > VOCABULARY_MOST)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path }, "%zu merges are too many", count);
    TRY(bpe_open(&t->model.bpe, &t->vocabulary, count));
    int status = each_merge(t, b->model_count, add_merge, &m);
    buf_free(&m.scratch);
    t->model.unknown.by_bytes = true;
    return status;
}

static int build_unigram(build *b)
{
    tokenizer *t = b->t;
    size_t count = (size_t)t->vocabulary.count, pieces = b->s.count, first = b->class->shifted ? 4 : 0;
    double *scores = mem_new(count, sizeof *scores);
    if (!scores)
        return fail_memory();
    for (size_t i = (size_t)b->model_count; i < count; i++)
        scores[i] = NAN;
    for (size_t i = b->class->shifted ? 3 : 0, id = first; i < pieces; i++, id++)
        scores[id] = b->s.pieces[i].score;
    int status = unigram_open(&t->model.unigram, &t->vocabulary, scores);
    mem_free(scores);
    return status;
}

static int build_model(build *b)
{
    tokenizer *t = b->t;
    const char *unknown = special_text(b, SPECIAL_UNK);
    unknown_rule *rule = &t->model.unknown;
    t->model.vocabulary = &t->vocabulary;
    t->model.kind = b->class->kind;
    unknown_rule_open(rule, &t->vocabulary);
    rule->fuse = true;
    rule->id = b->class->unknown;
    if (rule->id == -1 && unknown)
        rule->id = tokenizer_id(t, slice_of(unknown));
    if (rule->id < 0 || rule->id >= b->model_count)
        rule->id = -1;
    return b->class->kind == MODEL_BPE ? build_bpe(b) : build_unigram(b);
}

/* ---- The class's steps */

/* Llama's: legacy files put a blank before every part between special tokens, the others before the text. */
static int set_prefix(const build *b, json_t *steps)
{
    bool legacy = false, prefixed = true;
    json_t *metaspace = json_object_get(steps, "pre_tokenizer");
    if (b->class != &classes[0])
        return LORAC_OK;
    TRY(json_take_bool(b->config, "legacy", &legacy, b->config_path));
    TRY(json_take_bool(b->config, "add_prefix_space", &prefixed, b->config_path));
    const char *scheme = !prefixed ? "never" : legacy ? "always" : "first";
    if (!prefixed)
        json_array_remove(json_object_get(json_object_get(steps, "decoder"), "decoders"), 3);
    return json_object_set_new(metaspace, "prepend_scheme", json_string(scheme)) ? fail_memory() : LORAC_OK;
}

static int build_rules(build *b)
{
    if (!b->class->rules || !b->s.rules.n)
        return LORAC_OK;
    normalise_step *step = tokenizer_more_normalise(b->t);
    if (!step)
        return fail_memory();
    step->kind = NORMALISE_PRECOMPILED;
    fault where = { .file = b->t->path, .key = "normalizer_spec.precompiled_charsmap" };
    return precompiled_open(&step->rules, b->s.rules, &b->t->memory, where);
}

static int read_steps(build *b)
{
    json_t *steps = b->class ? json_loads(b->class->steps, 0, NULL) : json_object();
    int status = steps ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && b->class)
        status = set_prefix(b, steps);
    if (status == LORAC_OK && json_object_set(steps, "added_tokens", b->list))
        status = fail_memory();
    if (status == LORAC_OK)
        status = tokenizer_read_steps(b->t, steps);
    json_decref(steps);
    return status;
}

static int set_roles(build *b)
{
    static const struct {
        token_role role;
        special_name name;
    } roles[] = {
        { TOKEN_BOS, SPECIAL_BOS }, { TOKEN_EOS, SPECIAL_EOS }, { TOKEN_UNK, SPECIAL_UNK }, { TOKEN_PAD, SPECIAL_PAD }
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        const char *text = special_text(b, roles[i].name);
        b->t->roles[roles[i].role] = text ? tokenizer_id(b->t, slice_of(text)) : -1;
    }
    return tokenizer_surround(b->t, b->class->adds_bos ? b->t->roles[TOKEN_BOS] : -1,
                              b->class->adds_eos ? b->t->roles[TOKEN_EOS] : -1);
}

/* ---- The whole */

static int put_tokens(build *b)
{
    if (b->class)
        TRY(put_model_tokens(b, most_added(b)));
    else
        TRY(sentencepiece_put_pieces(b->t, &b->s, most_added(b), false));
    if (!b->class)
        b->next = (int32_t)b->s.count;
    b->model_count = b->next;
    TRY(add_pieces(b));
    TRY(add_numbered(b));
    TRY(add_specials(b));
    b->t->vocabulary.count = b->next;
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
    TRY(build_rules(b));
    TRY(read_steps(b));
    return set_roles(b);
}

static int read_files(build *b)
{
    const char *path;
    TRY(tokenizer_read_optional(b->t, b->folder, "tokenizer_config.json", &b->config, &b->config_path));
    TRY(tokenizer_read_optional(b->t, b->folder, "special_tokens_map.json", &b->map, &path));
    TRY(tokenizer_read_optional(b->t, b->folder, "added_tokens.json", &b->file, &path));
    b->list = json_array();
    b->seen = json_object();
    return b->list && b->seen ? LORAC_OK : fail_memory();
}

int tokenizer_open_sentencepiece(tokenizer **out, const char *path, const char *folder)
{
    buf bytes = { 0 };
    build b = { .folder = folder };
    *out = NULL;
    int status;
    TRY_GOTO(file_read(&bytes, path, MODEL_BYTES_MOST));
    TRY_GOTO(tokenizer_new(out, path));
    b.t = *out;
    TRY_GOTO(sentencepiece_parse(&b.s, buf_slice_of(&bytes), &b.t->memory, b.t->path));
    TRY_GOTO(read_files(&b));
    status = build_all(&b);
done:
    json_decref(b.config);
    json_decref(b.map);
    json_decref(b.file);
    json_decref(b.list);
    json_decref(b.seen);
    buf_free(&bytes);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
