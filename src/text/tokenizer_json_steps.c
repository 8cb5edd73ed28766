/* tokenizer_json_steps.c: the components of a tokenizer.json that become steps: normalisers, pre-tokenizers,
 * post-processors (decoders: tokenizer_json_decoder.c). The names and fields are those of Hugging Face's tokenizers. */
#include "tokenizer_json.h"

#include <string.h>

int part_type(const tokenizer *t, part p, const char **type)
{
    *type = "";
    if (!json_is_object(p.json))
        return part_fail(t, p, "an object was expected");
    TRY(json_take_text(p.json, "type", type, t->path));
    return **type ? LORAC_OK : part_fail(t, p, "the component has no type");
}

/* ---- Patterns and steps */

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

static int add_normaliser(tokenizer *t, normalise_kind kind, normalise_step **out)
{
    *out = tokenizer_more_normalise(t);
    if (!*out)
        return fail_memory();
    (*out)->kind = kind;
    return LORAC_OK;
}

int build_normaliser(tokenizer *t, part p)
{
    static const struct {
        const char *type;
        normalise_kind kind;
    } simple[] = {
        { "NFC", NORMALISE_NFC },
        { "NFD", NORMALISE_NFD },
        { "NFKC", NORMALISE_NFKC },
        { "NFKD", NORMALISE_NFKD },
        { "Lowercase", NORMALISE_LOWERCASE },
        { "ByteLevel", NORMALISE_BYTES },
    };
    const char *type;
    normalise_step *step;
    part member;
    TRY(part_type(t, p, &type));
    if (!strcmp(type, "Sequence"))
        return part_each(t, p, "normalizers", build_normaliser);
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (!strcmp(type, simple[i].type))
            return add_normaliser(t, simple[i].kind, &step);
    if (!strcmp(type, "Prepend")) {
        TRY(add_normaliser(t, NORMALISE_PREPEND, &step));
        TRY(part_member(t, p, "prepend", &member));
        return part_text(t, member, &step->content);
    }
    if (strcmp(type, "Replace"))
        return part_refuse(t, p, type);
    TRY(add_normaliser(t, NORMALISE_REPLACE, &step));
    TRY(part_pattern(t, p, &step->pattern));
    TRY(part_member(t, p, "content", &member));
    return part_text(t, member, &step->content);
}

static int add_split(tokenizer *t, split_kind kind, split_behaviour behaviour, split_step **out)
{
    *out = tokenizer_more_split(t);
    if (!*out)
        return fail_memory();
    (*out)->kind = kind;
    (*out)->behaviour = behaviour;
    return LORAC_OK;
}

static int read_behaviour(tokenizer *t, part p, split_behaviour *out)
{
    static const char *const names[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" };
    const char *name = "";
    TRY(json_take_text(p.json, "behavior", &name, t->path));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]))
            continue;
        *out = (split_behaviour)i;
        return LORAC_OK;
    }
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place, .found = name },
                   "the behavior is none of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

/* The words of GPT-2 (openai/gpt-2, encoder.py), then its byte alphabet. */
static int build_byte_level(tokenizer *t, part p)
{
    static const char words[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool add_prefix_space = true, use_regex = true;
    split_step *step;
    TRY(json_take_bool(p.json, "add_prefix_space", &add_prefix_space, t->path));
    TRY(json_take_bool(p.json, "use_regex", &use_regex, t->path));
    if (add_prefix_space)
        TRY(add_split(t, SPLIT_PREFIX_SPACE, SPLIT_ISOLATED, &step));
    if (use_regex) {
        TRY(add_split(t, SPLIT_PATTERN, SPLIT_ISOLATED, &step));
        TRY(pattern_compile(&step->pattern, slice_of(words), t->path, p.place));
    }
    return add_split(t, SPLIT_TO_BYTES, SPLIT_ISOLATED, &step);
}

int build_split(tokenizer *t, part p)
{
    const char *type;
    split_step *step;
    TRY(part_type(t, p, &type));
    if (!strcmp(type, "Sequence"))
        return part_each(t, p, "pretokenizers", build_split);
    if (!strcmp(type, "ByteLevel"))
        return build_byte_level(t, p);
    if (!strcmp(type, "Digits")) {
        bool individual = false;
        TRY(json_take_bool(p.json, "individual_digits", &individual, t->path));
        return add_split(t, SPLIT_DIGITS, individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, &step);
    }
    if (strcmp(type, "Split"))
        return part_refuse(t, p, type);
    TRY(add_split(t, SPLIT_PATTERN, SPLIT_ISOLATED, &step));
    TRY(read_behaviour(t, p, &step->behaviour));
    TRY(json_take_bool(p.json, "invert", &step->invert, t->path));
    return part_pattern(t, p, &step->pattern);
}

/* ---- Post-processors */

static int check_special(const tokenizer *t, part p, const json_t *id, uint8_t type, post_piece *out)
{
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value >= t->vocabulary.count)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place, .found = json_kind(id) },
                       "a special token's id is an integer from 0 to %d", t->vocabulary.count - 1);
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
    post_step *step = tokenizer_more_post(t);
    if (!step)
        return fail_memory();
    *out = step;
    step->kind = POST_TEMPLATE;
    step->single = arena_new(&t->memory, single, sizeof *step->single);
    step->pair = pair ? arena_new(&t->memory, pair, sizeof *step->pair) : NULL;
    return step->single && (step->pair || !pair) ? LORAC_OK : fail_memory();
}

static int add_trim(tokenizer *t, part p)
{
    bool trim = true, prefix = true;
    TRY(json_take_bool(p.json, "trim_offsets", &trim, t->path));
    TRY(json_take_bool(p.json, "add_prefix_space", &prefix, t->path));
    if (!trim)
        return LORAC_OK;
    post_step *step = tokenizer_more_post(t);
    if (!step)
        return fail_memory();
    *step = (post_step){ .kind = POST_TRIM, .add_prefix_space = prefix };
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
static int find_ids(tokenizer *t, part p, const json_t *special, const json_t **ids)
{
    const char *name = NULL;
    TRY(json_take_text(special, "id", &name, t->path));
    const json_t *entry = json_object_get(json_object_get(p.json, "special_tokens"), name ? name : "");
    *ids = json_object_get(entry, "ids");
    return json_is_array(*ids) ? LORAC_OK
                               : fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = p.place, .found = name },
                                         "a special token of the template is not in special_tokens");
}

static int template_piece(tokenizer *t, part p, part piece, post_piece *out, size_t *count)
{
    const json_t *sequence = json_object_get(piece.json, "Sequence"),
                 *special = json_object_get(piece.json, "SpecialToken"), *ids;
    const char *id = NULL;
    int64_t type = 0;
    TRY(json_take_int(sequence ? sequence : special, "type_id", 0, 255, &type, t->path));
    if (sequence) {
        TRY(json_take_text(sequence, "id", &id, t->path));
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
    const json_t *ids;
    *count = 0;
    if (!json_is_array(list.json))
        return part_fail(t, list, "an array was expected");
    for (size_t i = 0; i < json_array_size(list.json); i++) {
        const json_t *special = json_object_get(json_array_get(list.json, i), "SpecialToken");
        if (special)
            TRY(find_ids(t, p, special, &ids));
        *count += special ? json_array_size(ids) : 1;
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
