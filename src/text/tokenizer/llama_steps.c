/* llama_steps.c: what llama.cpp does to a text in code of its own, between finding special tokens and the model. */
#include "llama_steps.h"

#include "err.h"
#include "unicode_llama.h"

/* ---- Numbers */

static bool is_of_group(bool ascii, uint32_t c)
{
    return ascii ? c >= '0' && c <= '9' : llama_group_of(c) == LLAMA_NUMBER;
}

/* Where the number that begins at text[at] ends, and how many digits it has. */
static size_t number_end(bool ascii, slice text, size_t at, size_t *digits)
{
    for (*digits = 0; at < text.n; ++*digits) {
        size_t next = at;
        if (!is_of_group(ascii, utf8_next(text, &next)))
            break;
        at = next;
    }
    return at;
}

int llama_groups_of_three(bool ascii, const passage *p, const span *s, passage *next)
{
    slice text = passage_slice(p, s);
    size_t start = 0, digits;
    for (size_t at = 0; at < text.n;) {
        size_t number = at, end = number_end(ascii, text, at, &digits);
        while (at < end) {
            bool cut = digits % 3 == 0 && (ascii || at > number);
            if (cut) {
                TRY(passage_add_span(next, s->begin + start, s->begin + at, -1));
                start = at;
            }
            utf8_next(text, &at);
            digits--;
        }
        if (number < end && !ascii) {
            TRY(passage_add_span(next, s->begin + start, s->begin + end, -1));
            start = end;
        }
        if (at < text.n)
            utf8_next(text, &at);
    }
    return passage_add_span(next, s->begin + start, s->end, -1);
}

/* ---- BERT's words */

static int add_to_word(passage *next, const passage *p, uint32_t c, size_t begin, size_t end, bool begins)
{
    char bytes[4];
    uint32_t from = p->text.begin[begin], to = p->text.end[end - 1];
    if (begins)
        TRY(passage_add_bytes(next, "\u2581", 3, from, from));
    return passage_add_bytes(next, bytes, utf8_put(c, bytes), from, to);
}

int llama_bert_words(bool lowercase, bool strip_accents, const passage *p, const span *s, passage *next)
{
    slice text = passage_slice(p, s);
    size_t word = next->text.n;
    for (size_t at = 0; at < text.n;) {
        size_t begin = at;
        uint32_t c = utf8_next(text, &at);
        if (strip_accents)
            c = llama_base(c);
        llama_group g = llama_group_of(c);
        bool alone = llama_stands_alone(c);
        if (g == LLAMA_BLANK || alone) {
            TRY(passage_add_span(next, word, next->text.n, -1));
            word = next->text.n;
        }
        if (g == LLAMA_BLANK || g == LLAMA_CONTROL || c == 0xFFFD || (g == LLAMA_MARK && strip_accents))
            continue;
        if (lowercase)
            c = llama_lower(c);
        TRY(add_to_word(next, p, c, s->begin + begin, s->begin + at, next->text.n == word));
        if (alone) {
            TRY(passage_add_span(next, word, next->text.n, -1));
            word = next->text.n;
        }
    }
    return passage_add_span(next, word, next->text.n, -1);
}

/* ---- Blanks of a unigram model */

int llama_unigram_blanks(bool prefix, bool squeeze, const passage *p, const span *s, passage *next)
{
    static const char mark[] = "\u2581";
    enum { MARK_BYTES = sizeof mark - 1 };
    size_t start = next->text.n;
    bool in_word = false;
    for (size_t at = s->begin; at < s->end; at++) {
        uint32_t begin = p->text.begin[at], end = p->text.end[at];
        bool blank = p->text.p[at] == ' ';
        if (blank ? !squeeze : !in_word && (prefix || squeeze)) {
            TRY(passage_add_bytes(next, mark, MARK_BYTES, begin, blank ? end : begin));
            prefix = prefix && blank;
        }
        if (!blank)
            TRY(passage_add_bytes(next, p->text.p + at, 1, begin, end));
        in_word = !blank;
    }
    return passage_add_span(next, start, next->text.n, -1);
}
