/* postprocess.c: what is put around a text's ids (a beginning token, separators), and Hugging Face's trimming of blanks
 * from offsets. */
#include "tokenizer_parts.h"

#include <string.h>

enum { LETTER_OF_SPACE = 0x120 };

static bool is_blank(uint32_t c)
{
    return c == LETTER_OF_SPACE || character_is_space(c);
}

static size_t blanks_first(slice token)
{
    size_t count = 0;
    for (size_t at = 0; at < token.n && is_blank(utf8_next(token, &at)); count++)
        ;
    return count;
}

static size_t blanks_last(slice token)
{
    size_t count = 0;
    for (size_t at = 0; at < token.n;)
        count = is_blank(utf8_next(token, &at)) ? count + 1 : 0;
    return count;
}

static size_t forward(slice text, size_t at, size_t end, size_t characters)
{
    for (; characters && at < end; characters--)
        do
            at++;
        while (at < end && ((uint8_t)text.p[at] & 0xC0) == 0x80);
    return at;
}

static size_t backward(slice text, size_t at, size_t begin, size_t characters)
{
    for (; characters && at > begin; characters--)
        do
            at--;
        while (at > begin && ((uint8_t)text.p[at] & 0xC0) == 0x80);
    return at;
}

/* An added token's blanks are those it took from the text. */
static slice blanks_of(const vocabulary *v, slice text, const encoding *e, size_t i)
{
    if (v->flags[e->ids[i]] & TOKEN_ADDED && !e->special[i])
        return (slice){ text.p + e->begin[i], e->end[i] - e->begin[i] };
    return v->token[e->ids[i]];
}

/* tokenizers' process_offsets: a single blank before the first token is taken for the one that add_prefix_space put
 * there. */
void post_trim(const post_step *step, const vocabulary *v, slice text, encoding *e, size_t from)
{
    for (size_t i = from; i < e->count; i++) {
        slice token = blanks_of(v, text, e, i);
        size_t first = blanks_first(token), last = blanks_last(token);
        if (first == 1 && step->add_prefix_space && (i == from || e->begin[i] == 0))
            first = 0;
        e->begin[i] = (uint32_t)forward(text, e->begin[i], e->end[i], first);
        e->end[i] = (uint32_t)backward(text, e->end[i], e->begin[i], last);
    }
}

/* ---- Templates */

static int append(encoding *out, const encoding *from, uint8_t type)
{
    size_t at = out->count, n = from->count;
    TRY(encoding_reserve(out, n));
    if (!n)
        return LORAC_OK;
    memcpy(out->ids + at, from->ids, n * sizeof *out->ids);
    memcpy(out->begin + at, from->begin, n * sizeof *out->begin);
    memcpy(out->end + at, from->end, n * sizeof *out->end);
    memcpy(out->special + at, from->special, n);
    memset(out->types + at, type, n);
    out->count += n;
    return LORAC_OK;
}

static int append_special(encoding *out, post_piece piece)
{
    TRY(encoding_reserve(out, 1));
    size_t at = out->count++;
    out->ids[at] = piece.id;
    out->begin[at] = out->end[at] = 0;
    out->types[at] = piece.type;
    out->special[at] = 1;
    return LORAC_OK;
}

static int build(const post_piece *pieces, size_t count, const encoding *first, const encoding *second,
                 bool add_special, encoding *out)
{
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].id == POST_FIRST)
            TRY(append(out, first, pieces[i].type));
        else if (pieces[i].id == POST_SECOND)
            TRY(append(out, second, pieces[i].type));
        else if (add_special)
            TRY(append_special(out, pieces[i]));
    }
    return LORAC_OK;
}

/* A pair without a template: the second text has the type 1. */
static const post_piece plain_pair[] = { { POST_FIRST, 0 }, { POST_SECOND, 1 } };
static const encoding nothing;

static const post_step *template_of(const tokenizer *t)
{
    for (size_t i = 0; i < t->post_count; i++)
        if (t->post[i].kind == POST_TEMPLATE)
            return &t->post[i];
    return NULL;
}

int post_surround(const tokenizer *t, const encoding *second, bool add_special, encoding *e, size_t from)
{
    const post_step *step = template_of(t);
    encoding first = { 0 };
    bool own_pair = step && step->pair;
    if (!second && !step)
        return LORAC_OK;
    TRY(encoding_reserve(e, 1)); /* of an empty text there is nothing yet */
    encoding whole = {
        e->ids + from, e->begin + from, e->end + from, e->types + from, e->special + from, e->count - from, 0
    };
    int status = append(&first, &whole, 0);
    e->count = from;
    if (status == LORAC_OK && !second)
        status = build(step->single, step->single_count, &first, &nothing, add_special, e);
    else if (status == LORAC_OK)
        status =
            build(own_pair ? step->pair : plain_pair, own_pair ? step->pair_count : 2, &first, second, add_special, e);
    encoding_free(&first);
    return status;
}
