/* sentencepiece_spacing.c: a span as the sentencepiece library prepares it (its normalizer.cc is the reference). What
 * is made of a string stands for all of that string. */
#include "sentencepiece_spacing.h"

#include "err.h"

#include <string.h>

static const slice space = { " ", 1 }, metaspace = { "\u2581", 3 };

static slice blank_of(const sentencepiece_spacing *spacing)
{
    return spacing->escape ? metaspace : space;
}

static size_t kept_length(const trie *kept, slice text)
{
    size_t length = 0;
    uint32_t unit = 0;
    for (size_t i = 0; kept->count && i < text.n; i++) {
        unit = trie_step(kept, unit, (uint8_t)text.p[i]);
        if (!unit)
            break;
        if (kept->units[unit].value >= 0)
            length = i + 1;
    }
    return length;
}

/* What the beginning of `text` becomes, and how long that is. */
static size_t take(const sentencepiece_spacing *spacing, slice text, slice *made)
{
    size_t length = kept_length(&spacing->kept, text);
    if (!length && spacing->rules && precompiled_longest(spacing->rules, text, &length, made))
        return length;
    if (!length)
        length = utf8_step(*text.p);
    *made = (slice){ text.p, length };
    return length;
}

/* How many letters begin `text` that stay as they are. The last one before another script is looked at with what
 * follows, a combining mark perhaps. */
static size_t plain_length(const sentencepiece_spacing *spacing, slice text)
{
    size_t n = 0;
    while (n < text.n && spacing->plain[(uint8_t)text.p[n]])
        n++;
    return n && n < text.n && (uint8_t)text.p[n] >= 0x80 ? n - 1 : n;
}

static int put(const sentencepiece_spacing *spacing, slice made, uint32_t begin, uint32_t end, passage *next)
{
    while (made.n) {
        const char *blank = memchr(made.p, ' ', made.n);
        size_t plain = blank ? (size_t)(blank - made.p) : made.n;
        slice written = blank_of(spacing);
        TRY(passage_add_bytes(next, made.p, plain, begin, end));
        if (blank)
            TRY(passage_add_bytes(next, written.p, written.n, begin, end));
        plain += blank != NULL;
        made = (slice){ made.p + plain, made.n - plain };
    }
    return LORAC_OK;
}

static void drop_blanks_at_end(const sentencepiece_spacing *spacing, passage *next, size_t start)
{
    slice blank = blank_of(spacing);
    aligned_text *t = &next->text;
    while (t->n - start >= blank.n && !memcmp(t->p + t->n - blank.n, blank.p, blank.n))
        t->n -= blank.n;
}

static bool stays(const sentencepiece_spacing *spacing, char c)
{
    if (c == ' ' || (spacing->kept.count && trie_step(&spacing->kept, 0, (uint8_t)c)))
        return false;
    for (int next = 1; spacing->rules && next < 0x80; next++)
        if (precompiled_knows(spacing->rules, (slice){ (char[]){ c, (char)next }, 2 }))
            return false;
    return true;
}

void sentencepiece_spacing_find_plain(sentencepiece_spacing *spacing)
{
    for (int c = 1; c < 0x80; c++)
        spacing->plain[c] = stays(spacing, (char)c);
}

int sentencepiece_spacing_run(const sentencepiece_spacing *spacing, const passage *p, const span *s, passage *next)
{
    size_t at = s->begin, start = next->text.n, length;
    slice made, blank = blank_of(spacing);
    bool after_blank = spacing->squeeze;
    for (; spacing->squeeze && at < s->end; at += length) {
        length = take(spacing, (slice){ p->text.p + at, s->end - at }, &made);
        if (!slice_equal(made, space))
            break;
    }
    if (at == s->end)
        return LORAC_OK;
    if (spacing->add_prefix)
        TRY(passage_add_bytes(next, blank.p, blank.n, p->text.begin[at], p->text.begin[at]));
    for (; at < s->end; at += length) {
        length = plain_length(spacing, (slice){ p->text.p + at, s->end - at });
        if (length) {
            TRY(passage_copy_bytes(next, p, &(span){ at, at + length, -1 }));
            after_blank = false;
            continue;
        }
        length = take(spacing, (slice){ p->text.p + at, s->end - at }, &made);
        while (after_blank && made.n && *made.p == ' ')
            made = (slice){ made.p + 1, made.n - 1 };
        if (made.n)
            after_blank = spacing->squeeze && made.p[made.n - 1] == ' ';
        TRY(put(spacing, made, p->text.begin[at], p->text.end[at + length - 1], next));
    }
    if (spacing->squeeze)
        drop_blanks_at_end(spacing, next, start);
    uint32_t end = p->text.end[s->end - 1];
    if (spacing->add_suffix)
        TRY(passage_add_bytes(next, blank.p, blank.n, end, end));
    return passage_add_span(next, start, next->text.n, -1);
}
