/* normalise_characters.c: normalisers that take one character at a time: leave it out, make it a blank, put blanks
 * around it. What stays keeps its place in the original; a blank has that of its character. */
#include "character_sets.h"
#include "tokenizer_parts.h"

typedef enum fate { KEPT, LEFT_OUT, BLANKED, SURROUNDED } fate;

static fate fate_of(normalise_kind kind, uint32_t c)
{
    switch (kind) {
    case NORMALISE_CLEAN:
        if (character_is_other(c))
            return LEFT_OUT;
        return c != ' ' && character_is_space(c) ? BLANKED : KEPT;
    case NORMALISE_CHINESE:
        return character_is_chinese(c) ? SURROUNDED : KEPT;
    case NORMALISE_STRIP_ACCENTS:
        return character_is_accent(c) ? LEFT_OUT : KEPT;
    case NORMALISE_STRIP_MARKS:
        return character_is_mark(c) ? LEFT_OUT : KEPT;
    default:
        return KEPT;
    }
}

static int add_changed(passage *next, const passage *p, fate f, size_t begin, size_t end)
{
    uint32_t first = p->text.begin[begin], last = p->text.end[begin];
    if (f == LEFT_OUT)
        return LORAC_OK;
    TRY(passage_add_bytes(next, " ", 1, first, last));
    if (f == BLANKED)
        return LORAC_OK;
    TRY(passage_add_bytes(next, p->text.p + begin, end - begin, first, last));
    return passage_add_bytes(next, " ", 1, first, last);
}

static int change_each(normalise_kind kind, const passage *p, const span *s, passage *next)
{
    slice text = passage_slice(p, s);
    size_t start = next->text.n;
    span kept = { s->begin, s->begin, -1 };
    for (size_t at = 0; at < text.n;) {
        size_t begin = at;
        fate f = fate_of(kind, utf8_next(text, &at));
        if (f != KEPT) {
            TRY(passage_copy_bytes(next, p, &kept));
            TRY(add_changed(next, p, f, s->begin + begin, s->begin + at));
            kept.begin = s->begin + at;
        }
        kept.end = s->begin + at;
    }
    TRY(passage_copy_bytes(next, p, &kept));
    return passage_add_span(next, start, next->text.n, -1);
}

static int strip(const normalise_step *step, const passage *p, const span *s, passage *next)
{
    slice text = passage_slice(p, s);
    size_t begin = text.n, end = text.n, at = 0; /* of what is left: from the first to the last that is no blank */
    bool blank = true;
    while (at < text.n) {
        size_t first = at;
        if (character_is_space(utf8_next(text, &at)))
            continue;
        begin = blank ? first : begin;
        end = at;
        blank = false;
    }
    span left = { s->begin + (step->strip_left ? begin : 0), s->begin + (step->strip_right ? end : text.n), -1 };
    if (blank)
        return LORAC_OK;
    return passage_copy_span(next, p, &left);
}

int normalise_characters(const normalise_step *step, const passage *p, const span *s, passage *next)
{
    return step->kind == NORMALISE_STRIP ? strip(step, p, s, next) : change_each(step->kind, p, s, next);
}
