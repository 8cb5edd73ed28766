/* passage.c: a text on its way through a tokenizer: its bytes now, for each the part of the original it stands for, and
 * the spans it is cut into. Every stage either cuts spans finer or writes a new passage from the old one. The text is
 * always valid UTF-8. */
#include "tokenizer_parts.h"

#include "array.h"

#include <string.h>
#include <utf8proc.h>

/* A file's own rules may blow a text up, by replacing letters with books. Unicode's need a factor of 11, the byte
 * alphabet 2. */
enum { GROWTH_MOST = 256, GROWTH_LEAST = 1 << 20 };

static int text_reserve(passage *p, size_t more)
{
    aligned_text *t = &p->text;
    if (more <= t->capacity - t->n)
        return LORAC_OK;
    if (t->n + more > p->most)
        return fail(LORAC_ERROR_DATA, "the tokenizer's rules make a text more than %d times as long", GROWTH_MOST);
    size_t capacity = t->capacity ? t->capacity : 256;
    while (capacity < t->n + more)
        capacity *= 2;
    TRY(array_resize(t->p, capacity));
    TRY(array_resize(t->begin, capacity));
    TRY(array_resize(t->end, capacity));
    t->capacity = capacity;
    return LORAC_OK;
}

int passage_add_bytes(passage *p, const char *bytes, size_t n, uint32_t begin, uint32_t end)
{
    aligned_text *t = &p->text;
    TRY(text_reserve(p, n));
    for (size_t i = 0; i < n; i++) {
        t->p[t->n] = bytes[i];
        t->begin[t->n] = begin;
        t->end[t->n++] = end;
    }
    return LORAC_OK;
}

int passage_add_span(passage *p, size_t begin, size_t end, int32_t id)
{
    if (begin == end)
        return LORAC_OK;
    TRY(array_room(p->spans, p->capacity, p->count + 1));
    p->spans[p->count++] = (span){ begin, end, id };
    return LORAC_OK;
}

int passage_copy_bytes(passage *p, const passage *from, const span *s)
{
    aligned_text *t = &p->text;
    size_t n = s->end - s->begin;
    TRY(text_reserve(p, n));
    if (n) {
        memcpy(t->p + t->n, from->text.p + s->begin, n);
        memcpy(t->begin + t->n, from->text.begin + s->begin, n * sizeof *t->begin);
        memcpy(t->end + t->n, from->text.end + s->begin, n * sizeof *t->end);
    }
    t->n += n;
    return LORAC_OK;
}

int passage_copy_span(passage *p, const passage *from, const span *s)
{
    size_t start = p->text.n;
    TRY(passage_copy_bytes(p, from, s));
    return passage_add_span(p, start, p->text.n, s->id);
}

int passage_start(passage *p, passage *next, slice text)
{
    if (text.n > UINT32_MAX / 4)
        return fail(LORAC_ERROR_DATA, "a text of %zu bytes is too long to tokenize at once", text.n);
    p->most = next->most =
        GROWTH_LEAST + (text.n < UINT32_MAX / 2 / GROWTH_MOST ? text.n * GROWTH_MOST : UINT32_MAX / 2);
    TRY(text_reserve(p, text.n + 3));
    for (size_t at = 0; at < text.n;) {
        size_t begin = at;
        uint32_t c = utf8_next(text, &at);
        bool replaced = c == 0xFFFD && at - begin == 1;
        TRY(passage_add_bytes(p, replaced ? "\xEF\xBF\xBD" : text.p + begin, replaced ? 3 : at - begin, (uint32_t)begin,
                              (uint32_t)at));
    }
    return passage_add_span(p, 0, p->text.n, -1);
}

slice passage_slice(const passage *p, const span *s)
{
    return (slice){ p->text.p + s->begin, s->end - s->begin };
}

void passage_clear(passage *p)
{
    p->text.n = 0;
    p->count = 0;
}

void passage_swap(passage *a, passage *b)
{
    passage c = *a;
    *a = *b;
    *b = c;
}

void passage_take_spans(passage *p, passage *next)
{
    span *spans = p->spans;
    size_t capacity = p->capacity;
    p->spans = next->spans;
    p->count = next->count;
    p->capacity = next->capacity;
    next->spans = spans;
    next->capacity = capacity;
    next->count = 0;
}

void passage_free(passage *p)
{
    mem_free(p->text.p);
    mem_free(p->text.begin);
    mem_free(p->text.end);
    mem_free(p->spans);
    *p = (passage){ 0 };
}

bool character_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Alphabetic, marks, decimal digits, connectors and joiners (Unicode TS 18, annex C). The circled and squared letters
 * are Alphabetic though they are symbols. */
bool character_is_word(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)character_known(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
               (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
    }
}
