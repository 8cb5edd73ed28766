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
static void trim(const post_step *step, const vocabulary *v, slice text, encoding *e, size_t from)
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

static void move(encoding *e, size_t to, size_t from, size_t count)
{
    memmove(e->ids + to, e->ids + from, count * sizeof *e->ids);
    memmove(e->begin + to, e->begin + from, count * sizeof *e->begin);
    memmove(e->end + to, e->end + from, count * sizeof *e->end);
    memmove(e->types + to, e->types + from, count);
    memmove(e->special + to, e->special + from, count);
}

static int surround(const post_step *step, bool add_special, encoding *e, size_t from)
{
    size_t before = 0, text = e->count - from;
    TRY(encoding_reserve(e, step->count));
    while (before < step->count && step->pieces[before].id >= 0)
        before++;
    if (!add_special) {
        if (before < step->count)
            memset(e->types + from, step->pieces[before].type, text);
        return LORAC_OK;
    }
    move(e, from + before, from, text);
    size_t at = from;
    for (size_t i = 0; i < step->count; i++) {
        const post_piece *piece = &step->pieces[i];
        if (piece->id < 0) {
            memset(e->types + at, piece->type, text);
            at += text;
            continue;
        }
        e->ids[at] = piece->id;
        e->begin[at] = e->end[at] = 0;
        e->types[at] = piece->type;
        e->special[at++] = 1;
    }
    e->count = at;
    return LORAC_OK;
}

int post_run(const post_step *step, const vocabulary *v, slice text, bool add_special, encoding *e, size_t from)
{
    if (step->kind == POST_TEMPLATE)
        return surround(step, add_special, e, from);
    trim(step, v, text, e, from);
    return LORAC_OK;
}
