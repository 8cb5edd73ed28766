/* tokenizer.c: the door: building blocks for the readers of files, the way of a text through the stages, and the
 * questions others ask. A tokenizer does not change once it is open; everything one encode needs besides is made for it
 * and freed with it. */
#include "tokenizer_parts.h"

#include "array.h"

#include <string.h>

const char *const tokenizer_role_names[ROLE_COUNT] = {
    [TOKEN_BOS] = "bos_token", [TOKEN_EOS] = "eos_token", [TOKEN_UNK] = "unk_token",
    [TOKEN_PAD] = "pad_token", [TOKEN_SEP] = "sep_token", [TOKEN_MASK] = "mask_token",
};

/* ---- Building */

int tokenizer_new(tokenizer **out, const char *path)
{
    *out = NULL;
    tokenizer *t = mem_new(1, sizeof *t);
    if (!t)
        return fail_memory();
    for (int i = 0; i < ROLE_COUNT; i++)
        t->roles[i] = -1;
    t->path = arena_text(&t->memory, path, strlen(path));
    if (!t->path) {
        tokenizer_free(t);
        return fail_memory();
    }
    *out = t;
    return LORAC_OK;
}

void tokenizer_free(tokenizer *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->normalise_count; i++) {
        pattern_free(&t->normalise[i].pattern);
        trie_free(&t->normalise[i].spacing.kept);
    }
    for (size_t i = 0; i < t->split_count; i++)
        pattern_free(&t->split[i].pattern);
    for (size_t i = 0; i < t->decode_count; i++)
        pattern_free(&t->decode[i].pattern);
    mem_free(t->normalise);
    mem_free(t->decode);
    mem_free(t->split);
    mem_free(t->post);
    mem_free(t->ends);
    mem_free(t->templates);
    json_decref(t->variables);
    mem_free(t->vocabulary.token);
    mem_free(t->vocabulary.flags);
    map_free(&t->vocabulary.ids);
    added_free(&t->added);
    added_free(&t->added_normalised);
    word_model_free(&t->model);
    arena_free(&t->memory);
    mem_free(t);
}

int tokenizer_allocate(tokenizer *t, size_t count)
{
    fault where = { .file = t->path };
    if (count > VOCABULARY_MOST)
        return fail_at(LORAC_ERROR_DATA, where, "a vocabulary of %zu tokens is too large", count);
    t->vocabulary.token = mem_new(count, sizeof *t->vocabulary.token);
    t->vocabulary.flags = mem_new(count, 1);
    t->vocabulary.count = (int32_t)count;
    return t->vocabulary.token && t->vocabulary.flags ? LORAC_OK : fail_memory();
}

int tokenizer_put(tokenizer *t, int32_t id, slice token, uint8_t flags, const char *key)
{
    vocabulary *v = &t->vocabulary;
    assert(id >= 0 && id < v->count);
    fault where = { .file = t->path, .key = key };
    if (v->token[id].p)
        return fail_at(LORAC_ERROR_DATA, where, "the tokens \"%.*s\" and \"%.*s\" have the same id %d",
                       (int)v->token[id].n, v->token[id].p, (int)token.n, token.p, id);
    bool found;
    TRY(map_add(&v->ids, token, id, &found));
    if (found)
        return fail_at(LORAC_ERROR_DATA, where, "the token \"%.*s\" is there twice", (int)token.n, token.p);
    v->token[id] = token;
    v->flags[id] = flags;
    return LORAC_OK;
}

int tokenizer_note(tokenizer *t, const char *line)
{
    t->notes = t->notes && line ? arena_format(&t->memory, "%s\n%s", t->notes, line) : line;
    return t->notes ? LORAC_OK : fail_memory();
}

int tokenizer_add_end(tokenizer *t, int64_t id)
{
    for (size_t i = 0; i < t->end_count; i++)
        if (t->ends[i] == id)
            return LORAC_OK;
    if (id < 0 || id >= t->vocabulary.count)
        return LORAC_OK;
    TRY(array_resize(t->ends, t->end_count + 1));
    t->ends[t->end_count++] = (int32_t)id;
    return LORAC_OK;
}

int tokenizer_add_normalise(tokenizer *t, normalise_kind kind, normalise_step **out)
{
    TRY(array_resize(t->normalise, t->normalise_count + 1));
    *out = &t->normalise[t->normalise_count++];
    **out = (normalise_step){ .kind = kind };
    return LORAC_OK;
}

int tokenizer_add_split(tokenizer *t, split_kind kind, split_step **out)
{
    TRY(array_resize(t->split, t->split_count + 1));
    *out = &t->split[t->split_count++];
    **out = (split_step){ .kind = kind };
    return LORAC_OK;
}

int tokenizer_add_post(tokenizer *t, post_kind kind, post_step **out)
{
    TRY(array_resize(t->post, t->post_count + 1));
    *out = &t->post[t->post_count++];
    **out = (post_step){ .kind = kind };
    return LORAC_OK;
}

int tokenizer_add_decode(tokenizer *t, decode_kind kind, decode_step **out)
{
    TRY(array_resize(t->decode, t->decode_count + 1));
    *out = &t->decode[t->decode_count++];
    **out = (decode_step){ .kind = kind };
    return LORAC_OK;
}

int tokenizer_surround(tokenizer *t, int32_t before, int32_t after, uint8_t second)
{
    if (before < 0 && after < 0)
        return LORAC_OK;
    post_step *step;
    TRY(tokenizer_add_post(t, POST_TEMPLATE, &step));
    post_piece *pieces = arena_new(&t->memory, 6, sizeof *pieces);
    if (!pieces)
        return fail_memory();
    step->single = step->pair = pieces;
    for (int i = 0; i < 2; i++) {
        uint8_t type = i ? second : 0;
        if (before >= 0)
            pieces[step->pair_count++] = (post_piece){ before, type };
        pieces[step->pair_count++] = (post_piece){ i ? POST_SECOND : POST_FIRST, type };
        if (after >= 0)
            pieces[step->pair_count++] = (post_piece){ after, type };
        if (!i)
            step->single_count = step->pair_count;
    }
    return LORAC_OK;
}

/* ---- Encoding */

void encoding_clear(encoding *e)
{
    e->count = 0;
}

void encoding_free(encoding *e)
{
    mem_free(e->ids);
    mem_free(e->begin);
    mem_free(e->end);
    mem_free(e->types);
    mem_free(e->special);
    *e = (encoding){ 0 };
}

int encoding_reserve(encoding *e, size_t more_ids)
{
    if (more_ids <= e->capacity - e->count)
        return LORAC_OK;
    size_t capacity = e->capacity ? e->capacity : 32;
    while (capacity < e->count + more_ids)
        capacity *= 2;
    TRY(array_resize(e->ids, capacity));
    TRY(array_resize(e->begin, capacity));
    TRY(array_resize(e->end, capacity));
    TRY(array_resize(e->types, capacity));
    TRY(array_resize(e->special, capacity));
    e->capacity = capacity;
    return LORAC_OK;
}

static int emit(encoding *out, const aligned_text *text, int32_t id, size_t begin, size_t end)
{
    TRY(encoding_reserve(out, 1));
    size_t i = out->count++;
    out->ids[i] = id;
    out->begin[i] = text->begin[begin];
    out->end[i] = text->end[end - 1];
    out->types[i] = out->special[i] = 0;
    return LORAC_OK;
}

/* What one encode needs. */
typedef struct work {
    passage now, next;
    matcher matcher;
    model_run *run;
} work;

static int to_words(const tokenizer *t, slice text, work *w)
{
    TRY(passage_start(&w->now, &w->next, text));
    TRY(added_find(&t->added, &w->now, &w->next));
    for (size_t i = 0; i < t->normalise_count; i++)
        TRY(normalise_run(&t->normalise[i], &w->now, &w->next, &w->matcher));
    TRY(added_find(&t->added_normalised, &w->now, &w->next));
    for (size_t i = 0; i < t->split_count; i++)
        TRY(split_run(&t->split[i], &w->now, &w->next, &w->matcher));
    return LORAC_OK;
}

static int word_to_ids(const tokenizer *t, work *w, const span *s, encoding *out)
{
    slice word = passage_slice(&w->now, s);
    for (size_t at = 0, end; at < word.n; at = end) {
        const word_token *tokens;
        size_t count, begin = s->begin + at;
        end = word_model_cut(&t->model, word, at);
        TRY(model_word(w->run, (slice){ word.p + at, end - at }, &tokens, &count));
        for (size_t k = 0; k < count; k++)
            TRY(emit(out, &w->now.text, tokens[k].id, begin + tokens[k].begin, begin + tokens[k].end));
    }
    return LORAC_OK;
}

static int to_ids(const tokenizer *t, work *w, encoding *out)
{
    TRY(model_run_open(&w->run, &t->model, w->now.text.n));
    for (size_t i = 0; i < w->now.count; i++) {
        const span *s = &w->now.spans[i];
        if (s->id >= 0)
            TRY(emit(out, &w->now.text, s->id, s->begin, s->end));
        else
            TRY(word_to_ids(t, w, s, out));
    }
    return LORAC_OK;
}

/* The ids of a text, with nothing around them. */
static int encode_bare(const tokenizer *t, slice text, encoding *out)
{
    work w = { 0 };
    size_t from = out->count;
    int status = to_words(t, text, &w);
    if (status == LORAC_OK)
        status = to_ids(t, &w, out);
    passage_free(&w.now);
    passage_free(&w.next);
    matcher_free(&w.matcher);
    model_run_free(w.run);
    for (size_t i = 0; i < t->post_count && status == LORAC_OK; i++)
        if (t->post[i].kind == POST_TRIM)
            post_trim(&t->post[i], &t->vocabulary, text, out, from);
    if (status != LORAC_OK)
        out->count = from;
    return status;
}

int tokenizer_encode(const tokenizer *t, slice text, int add_special, encoding *out)
{
    size_t from = out->count;
    TRY(encode_bare(t, text, out));
    return post_surround(t, NULL, add_special != 0, out, from);
}

int tokenizer_encode_pair(const tokenizer *t, slice first, slice second, int add_special, encoding *out)
{
    encoding other = { 0 };
    size_t from = out->count;
    int status = encode_bare(t, first, out);
    if (status == LORAC_OK)
        status = encode_bare(t, second, &other);
    if (status == LORAC_OK)
        status = post_surround(t, &other, add_special != 0, out, from);
    encoding_free(&other);
    if (status != LORAC_OK)
        out->count = from;
    return status;
}

/* ---- Questions */

const char *tokenizer_notes(const tokenizer *t)
{
    return t->notes;
}

int32_t tokenizer_vocabulary(const tokenizer *t)
{
    return t->vocabulary.count;
}

slice tokenizer_token(const tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocabulary.count ? t->vocabulary.token[id] : (slice){ 0 };
}

int32_t tokenizer_id(const tokenizer *t, slice token)
{
    return (int32_t)map_find(&t->vocabulary.ids, token);
}

bool tokenizer_is_special(const tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocabulary.count && t->vocabulary.flags[id] & TOKEN_SPECIAL;
}

bool tokenizer_is_added(const tokenizer *t, int32_t id)
{
    for (size_t i = 0; i < t->end_count; i++)
        if (t->ends[i] == id)
            return true;
    return id >= 0 && id < t->vocabulary.count && t->vocabulary.flags[id] & (TOKEN_ADDED | TOKEN_SPECIAL);
}

int32_t tokenizer_role(const tokenizer *t, token_role role)
{
    return t->roles[role];
}

size_t tokenizer_ends(const tokenizer *t, const int32_t **ids)
{
    *ids = t->ends;
    return t->end_count;
}
