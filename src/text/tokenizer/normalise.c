/* normalise.c: rewriting a text before it is cut into words: Unicode normal forms, lower case, replacements. Each
 * character that comes out says how many of the old ones it stands for, in the terms of Hugging Face's tokenizers, so
 * that offsets agree with theirs; their tables are those of Unicode 12. Knows nothing of tokens. */
#include "changes.h"

#include "array.h"
#include "llama_steps.h"
#include "tokenizer_parts.h"

#include <utf8proc.h>

int changes_add(changes *list, change c)
{
    TRY(array_room(list->p, list->capacity, list->n + 1));
    list->p[list->n++] = c;
    return LORAC_OK;
}

static int add_character(passage *next, uint32_t c, uint32_t begin, uint32_t end)
{
    char bytes[4];
    return passage_add_bytes(next, bytes, utf8_put(c, bytes), begin, end);
}

/* Writes the changed text of span s, each character with its place in the original. */
static int apply(const changes *list, const passage *p, const span *s, passage *next)
{
    slice old = passage_slice(p, s);
    const uint32_t *begin = p->text.begin + s->begin, *end = p->text.end + s->begin;
    size_t at = 0, start = next->text.n;
    for (size_t i = 0; i < list->n; i++) {
        change c = list->p[i];
        uint32_t from = begin[0], to = begin[0]; /* new characters before all old ones */
        if (c.change <= 0 && at < old.n) {
            from = begin[at];
            to = end[at];
        } else if (at) {
            from = begin[at - 1];
            to = end[at - 1];
        }
        TRY(add_character(next, c.c, from, to));
        for (int32_t k = c.change; k <= 0 && at < old.n; k++)
            utf8_next(old, &at);
    }
    return passage_add_span(next, start, next->text.n, -1);
}

/* ---- Normal forms (Unicode annex 15) */

static uint8_t combining_class(uint32_t c)
{
    return character_is_normal_form_news(c) ? 0 : (uint8_t)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

/* The run of marks that begins at `from`. Stable, by counting: it may be as long as the text. */
static int sort_marks(changes *list, size_t from)
{
    size_t n = list->n - from;
    if (n < 2)
        return LORAC_OK;
    change *marks = list->p + from;
    bool sorted = true;
    for (size_t i = 1; i < n; i++)
        sorted = sorted && marks[i - 1].class <= marks[i].class;
    if (sorted)
        return LORAC_OK;
    size_t counts[257] = { 0 };
    change *copy = mem_new(n, sizeof *copy);
    if (!copy)
        return fail_memory();
    for (size_t i = 0; i < n; i++)
        counts[marks[i].class + 1]++;
    for (int i = 0; i < 256; i++)
        counts[i + 1] += counts[i];
    for (size_t i = 0; i < n; i++)
        copy[counts[marks[i].class]++] = marks[i];
    for (size_t i = 0; i < n; i++)
        marks[i] = copy[i];
    mem_free(copy);
    return LORAC_OK;
}

static int decompose(slice text, bool compatible, changes *list)
{
    size_t marks = 0; /* where the run of marks at the end begins */
    int options = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
    for (size_t at = 0; at < text.n;) {
        utf8proc_int32_t parts[32] = { (utf8proc_int32_t)utf8_next(text, &at) };
        utf8proc_ssize_t count = 1;
        if (!character_is_normal_form_news((uint32_t)parts[0]))
            count = utf8proc_decompose_char(parts[0], parts, 32, (utf8proc_option_t)options, NULL);
        assert(count >= 1 && count <= 32);
        for (utf8proc_ssize_t i = 0; i < count; i++) {
            change c = { (uint32_t)parts[i], i > 0, combining_class((uint32_t)parts[i]) };
            if (!c.class)
                TRY(sort_marks(list, marks));
            TRY(changes_add(list, c));
            if (!c.class)
                marks = list->n;
        }
    }
    return sort_marks(list, marks);
}

/* The character that stands for the pair, or 0. */
static uint32_t composed(uint32_t first, uint32_t second)
{
    utf8proc_int32_t pair[3] = { (utf8proc_int32_t)first, (utf8proc_int32_t)second };
    utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    return n == 1 && !character_is_normal_form_news((uint32_t)pair[0]) ? (uint32_t)pair[0] : 0;
}

/* In place: the starter at `starter` takes in each following mark that combines with it and is not blocked by one
 * before of the same or a higher class. */
static void compose(changes *list)
{
    size_t out = 0, starter = SIZE_MAX;
    int last_class = -1; /* of the marks kept since the starter; -1: none */
    for (size_t i = 0; i < list->n; i++) {
        change c = list->p[i];
        uint32_t joined = 0;
        if (starter != SIZE_MAX && last_class < c.class)
            joined = composed(list->p[starter].c, c.c);
        if (joined) {
            list->p[starter].c = joined;
            list->p[starter].change += c.change - 1;
            continue;
        }
        list->p[out] = c;
        if (!c.class) {
            starter = out;
            last_class = -1;
        } else if (starter != SIZE_MAX) {
            last_class = c.class;
        }
        out++;
    }
    list->n = out;
}

/* ---- The other steps */

static int lowercase(slice text, changes *list)
{
    for (size_t at = 0; at < text.n;) {
        uint32_t c = utf8_next(text, &at);
        if (c == 0x130) { /* the only one that becomes two */
            TRY(changes_add(list, (change){ .c = 'i' }));
            TRY(changes_add(list, (change){ .c = 0x307, .change = 1 }));
        } else {
            TRY(changes_add(list, (change){ .c = character_lower(c) }));
        }
    }
    return LORAC_OK;
}

/* What is put in stands for the last character of what it replaces. */
static int replace(const normalise_step *step, const passage *p, const span *s, passage *next, matcher *m)
{
    size_t at = 0, begin = 0, end = 0, start = next->text.n;
    TRY(matcher_start(m, &step->pattern, passage_slice(p, s)));
    for (;;) {
        bool found;
        TRY(matcher_next(m, &begin, &end, &found));
        if (!found)
            break;
        span kept = { s->begin + at, s->begin + begin, -1 };
        TRY(passage_copy_bytes(next, p, &kept));
        size_t last = s->begin + (end ? end - 1 : 0);
        TRY(passage_add_bytes(next, step->content.p, step->content.n, p->text.begin[last],
                              end ? p->text.end[last] : p->text.begin[last]));
        at = end;
    }
    span rest = { s->begin + at, s->end, -1 };
    TRY(passage_copy_bytes(next, p, &rest));
    return passage_add_span(next, start, next->text.n, -1);
}

static int prepend(slice content, const passage *p, const span *s, passage *next)
{
    size_t start = next->text.n;
    TRY(passage_add_bytes(next, content.p, content.n, p->text.begin[s->begin], p->text.end[s->begin]));
    TRY(passage_copy_bytes(next, p, s));
    return passage_add_span(next, start, next->text.n, -1);
}

/* What SentencePiece's rules "nmt_..." do besides the normal form (its builder.cc). */
static int normalise_nmt(const passage *p, const span *s, passage *next)
{
    slice text = passage_slice(p, s);
    size_t start = next->text.n;
    for (size_t at = 0, begin = 0; at < text.n; begin = at) {
        uint32_t c = utf8_next(text, &at);
        if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F)
            continue;
        bool blank = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                     c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
        span character = { s->begin + begin, s->begin + at, -1 };
        TRY(blank ? passage_add_bytes(next, " ", 1, p->text.begin[character.begin], p->text.end[character.begin])
                  : passage_copy_bytes(next, p, &character));
    }
    return passage_add_span(next, start, next->text.n, -1);
}

static int change_span(const normalise_step *step, const passage *p, const span *s, passage *next, changes *list)
{
    slice text = passage_slice(p, s);
    list->n = 0;
    if (step->kind == NORMALISE_LOWERCASE) {
        TRY(lowercase(text, list));
    } else if (step->kind == NORMALISE_PRECOMPILED) {
        TRY(precompiled_changes(step->rules, text, list));
    } else {
        bool composing = step->kind == NORMALISE_NFC || step->kind == NORMALISE_NFKC;
        TRY(decompose(text, step->kind == NORMALISE_NFKC || step->kind == NORMALISE_NFKD, list));
        if (composing)
            compose(list);
    }
    return apply(list, p, s, next);
}

static int normalise_span(const normalise_step *step, const passage *p, const span *s, passage *next, matcher *m,
                          changes *list)
{
    if (s->id >= 0)
        return passage_copy_span(next, p, s);
    switch (step->kind) {
    case NORMALISE_REPLACE:
        return replace(step, p, s, next, m);
    case NORMALISE_PREPEND:
        return prepend(step->content, p, s, next);
    case NORMALISE_BYTES:
        return passage_write_letters(next, p, s);
    case NORMALISE_NMT:
        return normalise_nmt(p, s, next);
    case NORMALISE_LLAMA_BLANKS:
        return llama_unigram_blanks(step->prefix, step->squeeze, p, s, next);
    case NORMALISE_SENTENCEPIECE:
        return sentencepiece_spacing_run(&step->spacing, p, s, next);
    case NORMALISE_STRIP:
    case NORMALISE_STRIP_MARKS:
    case NORMALISE_STRIP_ACCENTS:
    case NORMALISE_CLEAN:
    case NORMALISE_CHINESE:
        return normalise_characters(step, p, s, next);
    default:
        return change_span(step, p, s, next, list);
    }
}

int normalise_run(const normalise_step *step, passage *p, passage *next, matcher *m)
{
    changes list = { 0 };
    int status = LORAC_OK;
    passage_clear(next);
    for (size_t i = 0; i < p->count && status == LORAC_OK; i++)
        status = normalise_span(step, p, &p->spans[i], next, m, &list);
    mem_free(list.p);
    passage_swap(p, next);
    return status;
}
