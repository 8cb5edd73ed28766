/* pretokenize.c: cutting a text into words. A step sees one span at a time and never beyond it, so that lookaheads end
 * where the span does; spans that are added tokens already are left alone. */
#include "character_sets.h"
#include "llama_steps.h"
#include "tokenizer_parts.h"

/* Cuts of one span on their way out. Contiguous and merging behaviours join a cut with its neighbour, so the last one
 * is held back. */
typedef struct cutter {
    passage *out;
    split_behaviour behaviour;
    size_t begin, end; /* the cut held back; empty: none */
    bool last_was_match, holds;
} cutter;

static int cutter_flush(cutter *c)
{
    if (!c->holds)
        return LORAC_OK;
    c->holds = false;
    return passage_add_span(c->out, c->begin, c->end, -1);
}

/* MergedWithNext mirrors MergedWithPrevious: a match joins what follows unless that is a match too. */
static bool joins_previous(const cutter *c, bool is_match)
{
    switch (c->behaviour) {
    case SPLIT_CONTIGUOUS:
        return is_match == c->last_was_match;
    case SPLIT_MERGED_WITH_PREVIOUS:
        return is_match && !c->last_was_match;
    case SPLIT_MERGED_WITH_NEXT:
        return !is_match && c->last_was_match;
    default:
        return false;
    }
}

static int cutter_add(cutter *c, size_t begin, size_t end, bool is_match)
{
    if (c->holds && joins_previous(c, is_match)) {
        c->end = end;
    } else {
        TRY(cutter_flush(c));
        c->begin = begin;
        c->end = end;
        c->holds = !(is_match && c->behaviour == SPLIT_REMOVED);
    }
    c->last_was_match = is_match;
    return LORAC_OK;
}

static int cut_by_pattern(const split_step *step, const passage *p, const span *s, matcher *m, cutter *c)
{
    size_t at = 0, begin = 0, end = 0, n = s->end - s->begin;
    TRY(matcher_start(m, &step->pattern, passage_slice(p, s)));
    for (;;) {
        bool found;
        TRY(matcher_next(m, &begin, &end, &found));
        if (!found)
            break;
        if (at < begin)
            TRY(cutter_add(c, s->begin + at, s->begin + begin, step->invert));
        TRY(cutter_add(c, s->begin + begin, s->begin + end, !step->invert));
        at = end;
    }
    if (at < n)
        TRY(cutter_add(c, s->begin + at, s->end, step->invert));
    return LORAC_OK;
}

/* A run of characters that do not match is one cut; each that does is a match of its own. */
static int cut_by_character(const split_step *step, const passage *p, const span *s, cutter *c)
{
    slice text = passage_slice(p, s);
    size_t at = 0, start = 0;
    while (at < text.n) {
        size_t begin = at;
        if (!step->is_match(utf8_next(text, &at)))
            continue;
        if (start < begin)
            TRY(cutter_add(c, s->begin + start, s->begin + begin, false));
        TRY(cutter_add(c, s->begin + begin, s->begin + at, true));
        start = at;
    }
    return start < text.n ? cutter_add(c, s->begin + start, s->end, false) : LORAC_OK;
}

typedef enum word_part { NO_PART, WORD_PART, OTHER_PART } word_part;

static word_part part_of(uint32_t c)
{
    if (character_is_word(c))
        return WORD_PART;
    return character_is_space(c) ? NO_PART : OTHER_PART;
}

static int cut_words(passage *next, const passage *p, const span *s)
{
    slice text = passage_slice(p, s);
    size_t start = 0;
    word_part last = NO_PART;
    for (size_t at = 0; at < text.n;) {
        size_t begin = at;
        word_part part = part_of(utf8_next(text, &at));
        if (part == last)
            continue;
        if (last != NO_PART)
            TRY(passage_add_span(next, s->begin + start, s->begin + begin, -1));
        start = begin;
        last = part;
    }
    return last == NO_PART ? LORAC_OK : passage_add_span(next, s->begin + start, s->end, -1);
}

/* What has no script goes with what is before it; before the first that has one it is dropped, as in Hugging Face's. */
static int cut_scripts(passage *next, const passage *p, const span *s)
{
    slice text = passage_slice(p, s);
    size_t start = 0;
    int last = 0;
    for (size_t at = 0; at < text.n;) {
        size_t begin = at;
        int script = character_script(utf8_next(text, &at));
        if (!script || script == last)
            continue;
        if (last)
            TRY(passage_add_span(next, s->begin + start, s->begin + begin, -1));
        start = begin;
        last = script;
    }
    return last ? passage_add_span(next, s->begin + start, s->end, -1) : LORAC_OK;
}

static int cut_by_length(size_t length, passage *next, const passage *p, const span *s)
{
    slice text = passage_slice(p, s);
    for (size_t at = 0; at < text.n;) {
        size_t begin = at;
        for (size_t i = 0; i < length && at < text.n; i++)
            utf8_next(text, &at);
        TRY(passage_add_span(next, s->begin + begin, s->begin + at, -1));
    }
    return LORAC_OK;
}

/* ---- Rewriting */

/* The prefix stands for the first character, as Hugging Face has it. */
static int add_prefix(const split_step *step, passage *next, const passage *p, const span *s)
{
    size_t start = next->text.n;
    slice text = passage_slice(p, s);
    uint32_t begin = p->text.begin[s->begin];
    if (!slice_starts_with(text, step->content) && !(step->only_first && begin))
        TRY(passage_add_bytes(next, step->content.p, step->content.n, begin, p->text.end[s->begin]));
    TRY(passage_copy_bytes(next, p, s));
    return passage_add_span(next, start, next->text.n, -1);
}

static int replace_blanks(const split_step *step, passage *next, const passage *p, const span *s)
{
    size_t start = next->text.n;
    span kept = { s->begin, s->begin, -1 };
    for (size_t at = s->begin; at < s->end; at++) {
        if (p->text.p[at] != ' ')
            continue;
        kept.end = at;
        TRY(passage_copy_bytes(next, p, &kept));
        TRY(passage_add_bytes(next, step->content.p, step->content.n, p->text.begin[at], p->text.end[at]));
        kept.begin = at + 1;
    }
    kept.end = s->end;
    TRY(passage_copy_bytes(next, p, &kept));
    return passage_add_span(next, start, next->text.n, -1);
}

static int rewrite_span(const split_step *step, const passage *p, const span *s, passage *next)
{
    if (s->id >= 0)
        return passage_copy_span(next, p, s);
    if (step->kind == SPLIT_PREFIX)
        return add_prefix(step, next, p, s);
    if (step->kind == SPLIT_LLAMA_BERT)
        return llama_bert_words(step->lowercase, step->accents, p, s, next);
    return step->kind == SPLIT_BLANKS ? replace_blanks(step, next, p, s) : passage_write_letters(next, p, s);
}

static int cut_span(const split_step *step, const passage *p, const span *s, passage *next, matcher *m)
{
    cutter c = { .out = next, .behaviour = step->behaviour };
    switch (step->kind) {
    case SPLIT_WORDS:
        return cut_words(next, p, s);
    case SPLIT_SCRIPTS:
        return cut_scripts(next, p, s);
    case SPLIT_GROUPS:
        return llama_groups_of_three(step->ascii, p, s, next);
    case SPLIT_LENGTH:
        return cut_by_length(step->length, next, p, s);
    case SPLIT_CHARACTERS:
        TRY(cut_by_character(step, p, s, &c));
        return cutter_flush(&c);
    default:
        TRY(cut_by_pattern(step, p, s, m, &c));
        return cutter_flush(&c);
    }
}

int split_run(const split_step *step, passage *p, passage *next, matcher *m)
{
    if (step->kind >= SPLIT_PREFIX) {
        passage_clear(next);
        for (size_t i = 0; i < p->count; i++)
            TRY(rewrite_span(step, p, &p->spans[i], next));
        passage_swap(p, next);
        return LORAC_OK;
    }
    next->count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const span *s = &p->spans[i];
        TRY(s->id >= 0 ? passage_add_span(next, s->begin, s->end, s->id) : cut_span(step, p, s, next, m));
    }
    passage_take_spans(p, next);
    return LORAC_OK;
}
