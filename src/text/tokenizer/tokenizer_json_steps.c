/* tokenizer_json_steps.c: the components of a tokenizer.json that become steps: normalisers, pre-tokenizers,
 * post-processors (decoders: tokenizer_json_decoder.c). The names and fields are those of Hugging Face's tokenizers. */
#include "base64.h"
#include "character_sets.h"
#include "recipe.h"
#include "tokenizer_json.h"

#include <string.h>

int part_type(tokenizer *t, part p, const char **type)
{
    *type = "";
    if (!json_is_object(p.json))
        return part_fail(t, p, "an object was expected");
    TRY(part_name(t, p, "type", type));
    return **type ? LORAC_OK : part_fail(t, p, "the component has no type");
}

/* ---- Patterns */

int part_pattern(tokenizer *t, part p, pattern *out)
{
    part holder, text;
    slice expression;
    TRY(part_member(t, p, "pattern", &holder));
    TRY(part_member(t, holder, "Regex", &text));
    if (text.json) {
        TRY(part_text(t, text, &expression));
        return pattern_compile(out, expression, t->path, text.place);
    }
    TRY(part_member(t, holder, "String", &text));
    TRY(part_text(t, text, &out->literal));
    return out->literal.n ? LORAC_OK : part_fail(t, text, "an empty pattern matches everywhere and nowhere");
}

/* ---- Fields; one that is missing or null leaves *out as it is */

int part_bool(tokenizer *t, part p, const char *key, bool *out)
{
    part member;
    TRY(part_member(t, p, key, &member));
    return json_to_bool(member.json, member.place, out, t->path);
}

int part_int(tokenizer *t, part p, const char *key, int64_t least, int64_t most, int64_t *out)
{
    part member;
    TRY(part_member(t, p, key, &member));
    return json_to_int(member.json, member.place, least, most, out, t->path);
}

int part_name(tokenizer *t, part p, const char *key, const char **out)
{
    part member;
    TRY(part_member(t, p, key, &member));
    return json_to_text(member.json, member.place, out, t->path);
}

static int fail_choice(const tokenizer *t, part p, const char *const *names, size_t count)
{
    const char *name = json_string_value(p.json);
    buf list = { 0 };
    for (size_t i = 0; i < count; i++)
        buf_format(&list, "%s%s", i ? ", " : "", names[i]);
    int status = buf_status(&list);
    if (status == LORAC_OK)
        status = fail_at(LORAC_ERROR_DATA,
                         (fault){ .file = t->path, .key = p.place, .found = name ? name : json_kind(p.json) },
                         "one of %s was expected", list.p);
    buf_free(&list);
    return status;
}

static int part_choice(tokenizer *t, part p, const char *key, const char *const *names, size_t count, size_t *out)
{
    part member;
    TRY(part_member(t, p, key, &member));
    if (!member.json)
        return LORAC_OK;
    const char *name = json_string_value(member.json);
    for (size_t i = 0; name && i < count; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *out = i;
        return LORAC_OK;
    }
    return fail_choice(t, member, names, count);
}

static int part_character(tokenizer *t, part p, const char *key, slice *out)
{
    part member;
    size_t at = 0;
    TRY(part_member(t, p, key, &member));
    TRY(part_text(t, member, out));
    if (out->n)
        utf8_next(*out, &at);
    return at && at == out->n ? LORAC_OK : part_fail(t, member, "a single character was expected");
}

/* ---- Normalisers */

/* Null for strip_accents: as lowercase. */
static int build_bert_normaliser(tokenizer *t, part p)
{
    bool clean = true, chinese = true, lowercase = true;
    normalise_step *step;
    TRY(part_bool(t, p, "clean_text", &clean));
    TRY(part_bool(t, p, "handle_chinese_chars", &chinese));
    TRY(part_bool(t, p, "lowercase", &lowercase));
    bool accents = lowercase;
    TRY(part_bool(t, p, "strip_accents", &accents));
    if (clean)
        TRY(tokenizer_add_normalise(t, NORMALISE_CLEAN, &step));
    if (chinese)
        TRY(tokenizer_add_normalise(t, NORMALISE_CHINESE, &step));
    if (accents) {
        TRY(tokenizer_add_normalise(t, NORMALISE_NFD, &step));
        TRY(tokenizer_add_normalise(t, NORMALISE_STRIP_ACCENTS, &step));
    }
    return lowercase ? tokenizer_add_normalise(t, NORMALISE_LOWERCASE, &step) : LORAC_OK;
}

static int build_strip(tokenizer *t, part p)
{
    bool left = true, right = true;
    normalise_step *step;
    TRY(part_bool(t, p, "strip_left", &left));
    TRY(part_bool(t, p, "strip_right", &right));
    if (!left && !right)
        return LORAC_OK;
    TRY(tokenizer_add_normalise(t, NORMALISE_STRIP, &step));
    step->strip_left = left;
    step->strip_right = right;
    return LORAC_OK;
}

static int build_prepend(tokenizer *t, part p)
{
    part member;
    normalise_step *step;
    TRY(tokenizer_add_normalise(t, NORMALISE_PREPEND, &step));
    TRY(part_member(t, p, "prepend", &member));
    return part_text(t, member, &step->content);
}

static int build_replace(tokenizer *t, part p)
{
    part member;
    normalise_step *step;
    TRY(tokenizer_add_normalise(t, NORMALISE_REPLACE, &step));
    TRY(part_pattern(t, p, &step->pattern));
    TRY(part_member(t, p, "content", &member));
    return part_text(t, member, &step->content);
}

static int build_normalisers(tokenizer *t, part p)
{
    return part_each(t, p, "normalizers", build_normaliser);
}

/* In base64. */
static int build_precompiled(tokenizer *t, part p)
{
    part text;
    normalise_step *step;
    buf bytes = { 0 };
    TRY(part_member(t, p, "precompiled_charsmap", &text));
    if (!json_is_string(text.json))
        return part_fail(t, text, "a string was expected");
    TRY(tokenizer_add_normalise(t, NORMALISE_PRECOMPILED, &step));
    slice encoded = { json_string_value(text.json), json_string_length(text.json) };
    int status = buf_from_base64(&bytes, encoded) ? buf_status(&bytes) : part_fail(t, text, "this is not base64");
    if (status == LORAC_OK)
        status = precompiled_open(&step->rules, buf_slice_of(&bytes), &t->memory,
                                  (fault){ .file = t->path, .key = text.place });
    buf_free(&bytes);
    return status;
}

int build_normaliser(tokenizer *t, part p)
{
    static const struct {
        const char *type;
        normalise_kind kind; /* of those without fields */
        int (*build)(tokenizer *, part);
    } normalisers[] = {
        { "NFC", NORMALISE_NFC, NULL },
        { "NFD", NORMALISE_NFD, NULL },
        { "NFKC", NORMALISE_NFKC, NULL },
        { "NFKD", NORMALISE_NFKD, NULL },
        { "Lowercase", NORMALISE_LOWERCASE, NULL },
        { "StripAccents", NORMALISE_STRIP_MARKS, NULL },
        { "ByteLevel", NORMALISE_BYTES, NULL },
        { "Nmt", NORMALISE_NMT, NULL },
        { "Sequence", 0, build_normalisers },
        { "BertNormalizer", 0, build_bert_normaliser },
        { "Strip", 0, build_strip },
        { "Prepend", 0, build_prepend },
        { "Replace", 0, build_replace },
        { "Precompiled", 0, build_precompiled },
    };
    const char *type;
    normalise_step *step;
    TRY(part_type(t, p, &type));
    for (size_t i = 0; i < sizeof normalisers / sizeof *normalisers; i++)
        if (!strcmp(type, normalisers[i].type))
            return normalisers[i].build ? normalisers[i].build(t, p)
                                        : tokenizer_add_normalise(t, normalisers[i].kind, &step);
    return part_refuse(t, p, type);
}

/* ---- Pre-tokenizers */

static int add_character_split(tokenizer *t, bool (*is_match)(uint32_t), split_behaviour behaviour)
{
    split_step *step;
    TRY(tokenizer_add_split(t, SPLIT_CHARACTERS, &step));
    step->is_match = is_match;
    step->behaviour = behaviour;
    return LORAC_OK;
}

static int read_behaviour(tokenizer *t, part p, split_behaviour *out)
{
    static const char *const names[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" };
    size_t which = *out;
    TRY(part_choice(t, p, "behavior", names, sizeof names / sizeof *names, &which));
    *out = (split_behaviour)which;
    return LORAC_OK;
}

/* The words of GPT-2 (openai/gpt-2, encoder.py), then its byte alphabet. */
static int build_byte_level(tokenizer *t, part p)
{
    bool add_prefix_space = true, use_regex = true;
    split_step *step;
    TRY(part_bool(t, p, "add_prefix_space", &add_prefix_space));
    TRY(part_bool(t, p, "use_regex", &use_regex));
    if (add_prefix_space) {
        TRY(tokenizer_add_split(t, SPLIT_PREFIX, &step));
        step->content = slice_of(" ");
    }
    if (use_regex) {
        TRY(tokenizer_add_split(t, SPLIT_PATTERN, &step));
        step->behaviour = SPLIT_ISOLATED;
        TRY(pattern_compile(&step->pattern, slice_of(recipe_words_of_gpt2()), t->path, p.place));
    }
    return tokenizer_add_split(t, SPLIT_TO_BYTES, &step);
}

/* Files before 2024 say add_prefix_space, later ones prepend_scheme, and some say both. */
static int read_scheme(tokenizer *t, part p, bool *prefix, bool *only_first)
{
    enum { ALWAYS, FIRST, NEVER };
    static const char *const names[] = { [ALWAYS] = "always", [FIRST] = "first", [NEVER] = "never" };
    part scheme;
    bool add_prefix_space = true;
    TRY(part_bool(t, p, "add_prefix_space", &add_prefix_space));
    TRY(part_member(t, p, "prepend_scheme", &scheme));
    size_t which = add_prefix_space ? ALWAYS : NEVER;
    TRY(part_choice(t, p, "prepend_scheme", names, sizeof names / sizeof *names, &which));
    if (!add_prefix_space && which != NEVER)
        return part_fail(t, scheme, "it contradicts add_prefix_space, which is false");
    *prefix = which != NEVER;
    *only_first = which == FIRST;
    return LORAC_OK;
}

static int build_metaspace(tokenizer *t, part p)
{
    slice replacement;
    bool prefix = false, only_first = false, split = true;
    split_step *step;
    TRY(part_character(t, p, "replacement", &replacement));
    TRY(read_scheme(t, p, &prefix, &only_first));
    TRY(part_bool(t, p, "split", &split));
    TRY(tokenizer_add_split(t, SPLIT_BLANKS, &step));
    step->content = replacement;
    if (prefix) {
        TRY(tokenizer_add_split(t, SPLIT_PREFIX, &step));
        step->content = replacement;
        step->only_first = only_first;
    }
    if (!split)
        return LORAC_OK;
    TRY(tokenizer_add_split(t, SPLIT_PATTERN, &step));
    step->behaviour = SPLIT_MERGED_WITH_NEXT;
    step->pattern.literal = replacement;
    return LORAC_OK;
}

static int build_digits(tokenizer *t, part p)
{
    bool individual = false;
    TRY(part_bool(t, p, "individual_digits", &individual));
    return add_character_split(t, character_is_number, individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS);
}

static int build_punctuation(tokenizer *t, part p)
{
    split_behaviour behaviour = SPLIT_ISOLATED;
    TRY(read_behaviour(t, p, &behaviour));
    return add_character_split(t, character_is_punctuation, behaviour);
}

static int build_whitespace_split(tokenizer *t, part p)
{
    (void)p;
    return add_character_split(t, character_is_space, SPLIT_REMOVED);
}

static int build_bert_split(tokenizer *t, part p)
{
    TRY(build_whitespace_split(t, p));
    return add_character_split(t, character_is_punctuation, SPLIT_ISOLATED);
}

static int build_delimiter_split(tokenizer *t, part p)
{
    slice delimiter;
    split_step *step;
    TRY(part_character(t, p, "delimiter", &delimiter));
    TRY(tokenizer_add_split(t, SPLIT_PATTERN, &step));
    step->behaviour = SPLIT_REMOVED;
    step->pattern.literal = delimiter;
    return LORAC_OK;
}

static int build_fixed_length(tokenizer *t, part p)
{
    part member;
    split_step *step;
    TRY(part_member(t, p, "length", &member));
    json_int_t length = member.json ? json_integer_value(member.json) : 5;
    if (length < 1)
        return part_fail(t, member, "a whole number from 1 on was expected");
    TRY(tokenizer_add_split(t, SPLIT_LENGTH, &step));
    step->length = (size_t)length;
    return LORAC_OK;
}

static int build_whitespace(tokenizer *t, part p)
{
    split_step *step;
    (void)p;
    return tokenizer_add_split(t, SPLIT_WORDS, &step);
}

static int build_scripts(tokenizer *t, part p)
{
    split_step *step;
    (void)p;
    return tokenizer_add_split(t, SPLIT_SCRIPTS, &step);
}

static int build_pattern_split(tokenizer *t, part p)
{
    split_step *step;
    part behaviour;
    TRY(part_member(t, p, "behavior", &behaviour));
    if (!behaviour.json)
        return part_fail(t, behaviour, "a behavior was expected");
    TRY(tokenizer_add_split(t, SPLIT_PATTERN, &step));
    TRY(read_behaviour(t, p, &step->behaviour));
    TRY(part_bool(t, p, "invert", &step->invert));
    return part_pattern(t, p, &step->pattern);
}

static int build_splits(tokenizer *t, part p)
{
    return part_each(t, p, "pretokenizers", build_split);
}

int build_split(tokenizer *t, part p)
{
    static const struct {
        const char *type;
        int (*build)(tokenizer *, part);
    } splits[] = {
        { "Sequence", build_splits },
        { "ByteLevel", build_byte_level },
        { "Metaspace", build_metaspace },
        { "Split", build_pattern_split },
        { "Digits", build_digits },
        { "Punctuation", build_punctuation },
        { "BertPreTokenizer", build_bert_split },
        { "Whitespace", build_whitespace },
        { "WhitespaceSplit", build_whitespace_split },
        { "CharDelimiterSplit", build_delimiter_split },
        { "FixedLength", build_fixed_length },
        { "UnicodeScripts", build_scripts },
    };
    const char *type;
    TRY(part_type(t, p, &type));
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (!strcmp(type, splits[i].type))
            return splits[i].build(t, p);
    return part_refuse(t, p, type);
}

/* ---- Post-processors */

static int check_special(const tokenizer *t, part p, const json_t *id, uint8_t type, post_piece *out)
{
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value >= t->vocabulary.count)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place, .found = json_kind(id) },
                       "a special token's id is an integer from 0 to %d", t->vocabulary.count - 1);
    if (!t->vocabulary.token[value].p)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place },
                       "a special token has the id %d, which no token has", (int)value);
    *out = (post_piece){ (int32_t)value, type };
    return LORAC_OK;
}

static int check_alone(const tokenizer *t, part p)
{
    for (size_t i = 0; i < t->post_count; i++)
        if (t->post[i].kind == POST_TEMPLATE)
            return part_fail(t, p, "a second template would go around what the first one made");
    return LORAC_OK;
}

/* With room for so many pieces around one text and around two. */
static int add_template(tokenizer *t, size_t single, size_t pair, post_step **out)
{
    TRY(tokenizer_add_post(t, POST_TEMPLATE, out));
    post_step *step = *out;
    step->single = arena_new(&t->memory, single, sizeof *step->single);
    step->pair = pair ? arena_new(&t->memory, pair, sizeof *step->pair) : NULL;
    return step->single && (step->pair || !pair) ? LORAC_OK : fail_memory();
}

static int add_trim(tokenizer *t, part p)
{
    bool trim = true, prefix = true;
    TRY(part_bool(t, p, "trim_offsets", &trim));
    TRY(part_bool(t, p, "add_prefix_space", &prefix));
    if (!trim)
        return LORAC_OK;
    post_step *step;
    TRY(tokenizer_add_post(t, POST_TRIM, &step));
    step->add_prefix_space = prefix;
    return LORAC_OK;
}

/* Bert: cls A sep, and B sep of type 1. Roberta: cls A sep, and sep B sep, all of type 0. */
static int build_cls_sep(tokenizer *t, part p, bool roberta)
{
    part cls, sep;
    post_step *step = NULL;
    post_piece begin, end;
    TRY(part_member(t, p, "cls", &cls));
    TRY(part_member(t, p, "sep", &sep));
    TRY(check_special(t, cls, json_array_get(cls.json, 1), 0, &begin));
    TRY(check_special(t, sep, json_array_get(sep.json, 1), 0, &end));
    TRY(check_alone(t, p));
    TRY(add_template(t, 3, 6, &step));
    const post_piece first[] = { begin, { POST_FIRST, 0 }, end };
    const post_piece second[] = { end, { POST_SECOND, !roberta }, { end.id, !roberta } };
    memcpy(step->single, first, sizeof first);
    memcpy(step->pair, first, sizeof first);
    memcpy(step->pair + 3, roberta ? second : second + 1, roberta ? sizeof second : 2 * sizeof *second);
    step->single_count = 3;
    step->pair_count = roberta ? 6 : 5;
    return LORAC_OK;
}

/* {"SpecialToken": {"id": NAME, "type_id": N}}: NAME is looked up in special_tokens, which may give it several ids. */
static int find_ids(tokenizer *t, part p, part special, const json_t **ids)
{
    const char *name = NULL;
    TRY(part_name(t, special, "id", &name));
    const json_t *entry = json_object_get(json_object_get(p.json, "special_tokens"), name ? name : "");
    *ids = json_object_get(entry, "ids");
    return json_is_array(*ids) ? LORAC_OK
                               : fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place, .found = name },
                                         "a special token of the template is not in special_tokens");
}

static int template_piece(tokenizer *t, part p, part piece, post_piece *out, size_t *count)
{
    part sequence, special;
    const json_t *ids;
    const char *id = NULL;
    int64_t type = 0;
    TRY(part_member(t, piece, "Sequence", &sequence));
    TRY(part_member(t, piece, "SpecialToken", &special));
    TRY(part_int(t, sequence.json ? sequence : special, "type_id", 0, 255, &type));
    if (sequence.json) {
        TRY(part_name(t, sequence, "id", &id));
        if (!id || (strcmp(id, "A") != 0 && strcmp(id, "B") != 0))
            return part_fail(t, piece, "a template's texts are called A and B");
        out[(*count)++] = (post_piece){ *id == 'A' ? POST_FIRST : POST_SECOND, (uint8_t)type };
        return LORAC_OK;
    }
    TRY(find_ids(t, p, special, &ids));
    for (size_t i = 0; i < json_array_size(ids); i++)
        TRY(check_special(t, piece, json_array_get(ids, i), (uint8_t)type, &out[(*count)++]));
    return LORAC_OK;
}

static int count_pieces(tokenizer *t, part p, part list, size_t *count)
{
    part piece, special;
    const json_t *ids;
    *count = 0;
    if (!json_is_array(list.json))
        return part_fail(t, list, "an array was expected");
    for (size_t i = 0; i < json_array_size(list.json); i++) {
        TRY(part_element(t, list, i, &piece));
        TRY(part_member(t, piece, "SpecialToken", &special));
        if (special.json)
            TRY(find_ids(t, p, special, &ids));
        *count += special.json ? json_array_size(ids) : 1;
    }
    return LORAC_OK;
}

static int read_pieces(tokenizer *t, part p, part list, post_piece *out, size_t *count)
{
    part piece;
    for (size_t i = 0; i < json_array_size(list.json); i++) {
        TRY(part_element(t, list, i, &piece));
        TRY(template_piece(t, p, piece, out, count));
    }
    return LORAC_OK;
}

static bool names_texts(const post_piece *pieces, size_t count, int first, int second)
{
    int of_first = 0, of_second = 0;
    for (size_t i = 0; i < count; i++) {
        of_first += pieces[i].id == POST_FIRST;
        of_second += pieces[i].id == POST_SECOND;
    }
    return of_first == first && of_second == second;
}

static int build_template(tokenizer *t, part p)
{
    part single, pair;
    post_step *step = NULL;
    size_t of_single, of_pair = 0;
    TRY(part_member(t, p, "single", &single));
    TRY(part_member(t, p, "pair", &pair));
    TRY(count_pieces(t, p, single, &of_single));
    if (pair.json)
        TRY(count_pieces(t, p, pair, &of_pair));
    TRY(check_alone(t, p));
    TRY(add_template(t, of_single, of_pair, &step));
    TRY(read_pieces(t, p, single, step->single, &step->single_count));
    if (step->pair)
        TRY(read_pieces(t, p, pair, step->pair, &step->pair_count));
    if (!names_texts(step->single, step->single_count, 1, 0))
        return part_fail(t, single, "a template for one text names it once, as A");
    if (step->pair && !names_texts(step->pair, step->pair_count, 1, 1))
        return part_fail(t, pair, "a template for two texts names each once, as A and B");
    return LORAC_OK;
}

int build_post(tokenizer *t, part p)
{
    const char *type;
    TRY(part_type(t, p, &type));
    if (!strcmp(type, "Sequence"))
        return part_each(t, p, "processors", build_post);
    if (!strcmp(type, "ByteLevel"))
        return add_trim(t, p);
    if (!strcmp(type, "TemplateProcessing"))
        return build_template(t, p);
    bool roberta = !strcmp(type, "RobertaProcessing");
    if (roberta)
        TRY(add_trim(t, p));
    else if (strcmp(type, "BertProcessing"))
        return part_refuse(t, p, type);
    return build_cls_sep(t, p, roberta);
}
