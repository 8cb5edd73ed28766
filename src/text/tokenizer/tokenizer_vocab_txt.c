/* tokenizer_vocab_txt.c: a BERT folder from before tokenizer.json: vocab.txt, a token a line, and what
 * tokenizer_config.json says. It is put into the words of a tokenizer.json, as transformers (5.23, BertTokenizer) does,
 * so that nothing here knows how a tokenizer works. */
#include "file.h"
#include "tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

enum { VOCAB_BYTES_MOST = 256 << 20, CONFIG_BYTES_MOST = 16 << 20 };

typedef struct reading {
    const char *path, *folder; /* of vocab.txt */
    json_t *config, *map, *more, *defaults;
    json_t *vocab, *added, *added_ids; /* what they come to */
    json_int_t next_id;
} reading;

/* ---- The files */

static int read_beside(const reading *r, const char *name, json_t **out)
{
    buf path = { 0 };
    int status = path_join(&path, r->folder, name) ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && path_exists(path.p))
        status = json_read(out, path.p, CONFIG_BYTES_MOST, JSON_TAKE_NUL | JSON_TAKE_DUPLICATES | JSON_TAKE_BIG);
    if (status == LORAC_OK && *out && !json_is_object(*out))
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = path.p }, "an object was expected");
    buf_free(&path);
    return status;
}

/* The line without white space at its end. */
static slice token_of(slice line)
{
    size_t end = 0;
    for (size_t at = 0; at < line.n;)
        if (!character_is_space(utf8_next(line, &at)))
            end = at;
    return (slice){ line.p, end };
}

static int add_line(reading *r, slice line, long number)
{
    slice token = token_of(line);
    fault where = { .file = r->path, .line = number };
    if (utf8_valid(token) < token.n)
        return fail_at(LORAC_ERROR_DATA, where, "the line is not UTF-8");
    const json_t *before = json_object_getn(r->vocab, token.p, token.n);
    if (before)
        return fail_at(LORAC_ERROR_DATA, where, "the token \"%.*s\" is on line %lld already", (int)token.n, token.p,
                       (long long)json_integer_value(before) + 1);
    return json_object_setn_new_nocheck(r->vocab, token.p, token.n, json_integer(number - 1)) ? fail_memory()
                                                                                              : LORAC_OK;
}

static int read_lines(reading *r)
{
    buf text = { 0 };
    int status = file_read(&text, r->path, VOCAB_BYTES_MOST);
    slice rest = buf_slice_of(&text);
    for (long number = 1; status == LORAC_OK && rest.n; number++)
        status = add_line(r, slice_cut(&rest, '\n'), number);
    buf_free(&text);
    return status;
}

/* Tokenizers of other classes read a vocab.txt otherwise. */
static int check_class(const reading *r)
{
    static const char *const classes[] = { "Bert",     "DistilBert",  "Electra",  "MobileBert",
                                           "ConvBert", "SqueezeBert", "LayoutLM", "Lxmert" };
    const char *name = NULL;
    TRY(json_take_text(r->config, "tokenizer_class", &name, r->folder));
    for (size_t i = 0; name && i < sizeof classes / sizeof *classes; i++) {
        size_t n = strlen(classes[i]);
        if (!strncmp(name, classes[i], n) && !strncmp(name + n, "Tokenizer", 9) &&
            (!name[n + 9] || !strcmp(name + n + 9, "Fast")))
            return LORAC_OK;
    }
    return name ? fail_at(LORAC_ERROR_DATA, (fault){ .file = r->folder, .key = "tokenizer_class", .found = name },
                          "a vocab.txt is read for BERT's classes only; save the tokenizer as tokenizer.json")
                : LORAC_OK;
}

/* ---- Tokens that are found before anything else */

static json_int_t id_of(const reading *r, const char *content)
{
    const json_t *id = json_object_get(r->vocab, content);
    return json_integer_value(id ? id : json_object_get(r->added_ids, content));
}

/* "[SEP]" or {"content": "[SEP]", "lstrip": ...}; with `named` it is special whatever it says. One that is not in the
 * vocabulary gets the next id. */
static int add_token(reading *r, const json_t *token, bool named)
{
    bool special = named, normalised = !named, left = false, right = false, single = false;
    const char *content = json_string_value(token);
    if (json_is_object(token)) {
        TRY(json_take_text(token, "content", &content, r->folder));
        TRY(json_take_bool(token, "special", &special, r->folder));
        normalised = !special && !named;
        TRY(json_take_bool(token, "normalized", &normalised, r->folder));
        TRY(json_take_bool(token, "lstrip", &left, r->folder));
        TRY(json_take_bool(token, "rstrip", &right, r->folder));
        TRY(json_take_bool(token, "single_word", &single, r->folder));
    }
    if (!content)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->folder, .found = json_kind(token) },
                       "an added token is a string or an object with its content");
    if (json_object_get(r->added_ids, content))
        return LORAC_OK;
    json_int_t id = json_object_get(r->vocab, content) ? id_of(r, content) : r->next_id++;
    json_t *made =
        json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content, "special", special || named,
                  "normalized", normalised, "lstrip", left, "rstrip", right, "single_word", single);
    bool failed = json_array_append_new(r->added, made) || json_object_set_new(r->added_ids, content, json_integer(id));
    return failed ? fail_memory() : LORAC_OK;
}

typedef struct numbered {
    int64_t number;
    const char *key;
    const json_t *token;
} numbered;

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const numbered *)a)->number, y = ((const numbered *)b)->number;
    return (x > y) - (x < y);
}

/* In the order of their ids: {"7": {"content": ...}}, or added_tokens.json's {"[X]": 7}. */
static int add_numbered(reading *r, const json_t *object, bool by_id)
{
    size_t count = 0;
    const char *key;
    json_t *value;
    numbered *list = mem_new(json_object_size(object), sizeof *list);
    if (!list)
        return fail_memory();
    json_object_foreach((json_t *)object, key, value)
    {
        list[count++] = (numbered){ by_id ? strtoll(key, NULL, 10) : (int64_t)json_number_value(value), key, value };
    }
    qsort(list, count, sizeof *list, by_number);
    int status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        json_t *name = by_id ? NULL : json_string(list[i].key);
        status = by_id ? add_token(r, list[i].token, false) : name ? add_token(r, name, false) : fail_memory();
        json_decref(name);
    }
    mem_free(list);
    return status;
}

typedef enum role { BOS, EOS, UNK, SEP, PAD, CLS, MASK, ROLES } role;

/* What the files say of a role. */
static const json_t *role_token(const reading *r, role which)
{
    static const char *const keys[ROLES] = { "bos_token", "eos_token", "unk_token", "sep_token",
                                             "pad_token", "cls_token", "mask_token" };
    const json_t *const files[] = { r->map, r->config, r->defaults };
    const json_t *said = NULL;
    for (int i = 0; i < 3 && (!said || json_is_null(said)); i++)
        said = json_object_get(files[i], keys[which]);
    return json_is_null(said) ? NULL : said;
}

static const char *role_text(const reading *r, role which)
{
    const json_t *token = role_token(r, which);
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

static int add_list(reading *r, const json_t *object, const char *key)
{
    const json_t *list = json_object_get(object, key);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(add_token(r, json_array_get(list, i), true));
    return LORAC_OK;
}

static int add_tokens(reading *r)
{
    const json_t *decoder = json_object_get(r->config, "added_tokens_decoder");
    if (decoder)
        TRY(add_numbered(r, decoder, true));
    else if (r->more)
        TRY(add_numbered(r, r->more, false));
    for (role i = BOS; i < ROLES; i++)
        if (role_token(r, i))
            TRY(add_token(r, role_token(r, i), true));
    TRY(add_list(r, r->config, "additional_special_tokens"));
    TRY(add_list(r, r->config, "extra_special_tokens"));
    return add_list(r, r->map, "additional_special_tokens");
}

/* ---- The whole */

/* [CLS] A [SEP], and B [SEP] of type 1. */
static json_t *surroundings(const reading *r)
{
    static const char first[] = "{s:{s:s, s:i}}";
    json_t *single = json_pack("[o, o, o]", json_pack(first, "SpecialToken", "id", "c", "type_id", 0),
                               json_pack(first, "Sequence", "id", "A", "type_id", 0),
                               json_pack(first, "SpecialToken", "id", "s", "type_id", 0));
    json_t *pair = json_copy(single);
    json_array_append_new(pair, json_pack(first, "Sequence", "id", "B", "type_id", 1));
    json_array_append_new(pair, json_pack(first, "SpecialToken", "id", "s", "type_id", 1));
    return json_pack("{s:s, s:o, s:o, s:{s:{s:s, s:[I]}, s:{s:s, s:[I]}}}", "type", "TemplateProcessing", "single",
                     single, "pair", pair, "special_tokens", "c", "id", "c", "ids", id_of(r, role_text(r, CLS)), "s",
                     "id", "s", "ids", id_of(r, role_text(r, SEP)));
}

static int put_together(reading *r, json_t **out)
{
    bool lowercase = true, chinese = true;
    json_t *accents = json_object_get(r->config, "strip_accents");
    TRY(add_tokens(r));
    TRY(json_take_bool(r->config, "do_lower_case", &lowercase, r->folder));
    TRY(json_take_bool(r->config, "tokenize_chinese_chars", &chinese, r->folder));
    *out = json_pack("{s:{s:s, s:b, s:b, s:O, s:b}, s:{s:s}, s:{s:s, s:s, s:O}, s:o, s:{s:s, s:s, s:b}, s:O}",
                     "normalizer", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", chinese,
                     "strip_accents", accents ? accents : json_null(), "lowercase", lowercase, "pre_tokenizer", "type",
                     "BertPreTokenizer", "model", "type", "WordPiece", "unk_token", role_text(r, UNK), "vocab",
                     r->vocab, "post_processor", surroundings(r), "decoder", "type", "WordPiece", "prefix", "##",
                     "cleanup", 1, "added_tokens", r->added);
    return *out ? LORAC_OK : fail_memory();
}

static int read_all(reading *r, json_t **out)
{
    r->vocab = json_object();
    r->added = json_array();
    r->added_ids = json_object();
    r->defaults = json_pack("{s:s, s:s, s:s, s:s, s:s}", "unk_token", "[UNK]", "sep_token", "[SEP]", "pad_token",
                            "[PAD]", "cls_token", "[CLS]", "mask_token", "[MASK]");
    if (!r->vocab || !r->added || !r->added_ids || !r->defaults)
        return fail_memory();
    TRY(read_beside(r, "tokenizer_config.json", &r->config));
    TRY(check_class(r));
    if (!json_object_get(r->config, "added_tokens_decoder")) { /* transformers reads these only without it */
        TRY(read_beside(r, "special_tokens_map.json", &r->map));
        TRY(read_beside(r, "added_tokens.json", &r->more));
    }
    TRY(read_lines(r));
    r->next_id = (json_int_t)json_object_size(r->vocab);
    return put_together(r, out);
}

/* Those that the files name come first in tokenizer_read_config, too. */
static void take_roles(tokenizer *t, const reading *r)
{
    static const role roles[] = { [TOKEN_BOS] = BOS, [TOKEN_EOS] = EOS, [TOKEN_UNK] = UNK, [TOKEN_PAD] = PAD };
    for (int i = 0; i < ROLE_COUNT; i++)
        if (role_text(r, roles[i]))
            t->roles[i] = tokenizer_id(t, slice_of(role_text(r, roles[i])));
}

int tokenizer_open_vocab_txt(tokenizer **out, const char *path, const char *folder)
{
    reading r = { .path = path, .folder = folder };
    json_t *json = NULL;
    *out = NULL;
    int status = read_all(&r, &json);
    char *text = status == LORAC_OK ? json_dumps(json, JSON_COMPACT) : NULL;
    if (status == LORAC_OK)
        status = text ? tokenizer_open_json(out, slice_of(text), path) : fail_memory();
    if (status == LORAC_OK)
        take_roles(*out, &r);
    free(text);
    json_t *const all[] = { json, r.config, r.map, r.more, r.defaults, r.vocab, r.added, r.added_ids };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
    return status;
}
