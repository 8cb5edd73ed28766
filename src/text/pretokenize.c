/* pretokenize.c: cutting a text into words. A step sees one span at a time and never beyond it, so that lookaheads end
 * where the span does; spans that are added tokens already are left alone. */
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

/* A run of characters that are no numbers is one cut; each number is a match of its own. */
static int cut_by_digits(const passage *p, const span *s, cutter *c)
{
    slice text = passage_slice(p, s);
    size_t at = 0, start = 0;
    while (at < text.n) {
        size_t begin = at;
        if (!character_is_number(utf8_next(text, &at)))
            continue;
        if (start < begin)
            TRY(cutter_add(c, s->begin + start, s->begin + begin, false));
        TRY(cutter_add(c, s->begin + begin, s->begin + at, true));
        start = at;
    }
    return start < text.n ? cutter_add(c, s->begin + start, s->end, false) : LORAC_OK;
}

/* The space stands for the first character, as Hugging Face has it. */
static int prefix_space(passage *next, const passage *p, const span *s)
{
    size_t start = next->text.n;
    if (p->text.p[s->begin] == ' ')
        return passage_copy_span(next, p, s);
    TRY(passage_add_bytes(next, " ", 1, p->text.begin[s->begin], p->text.end[s->begin]));
    TRY(passage_copy_bytes(next, p, s));
    return passage_add_span(next, start, next->text.n, -1);
}

static int to_bytes(passage *next, const passage *p, const span *s)
{
    size_t start = next->text.n;
    TRY(passage_add_letters(next, p, s->begin, s->end));
    return passage_add_span(next, start, next->text.n, -1);
}

static int rewrite(const split_step *step, passage *p, passage *next)
{
    passage_clear(next);
    for (size_t i = 0; i < p->count; i++) {
        const span *s = &p->spans[i];
        if (s->id >= 0)
            TRY(passage_copy_span(next, p, s));
        else if (step->kind == SPLIT_PREFIX_SPACE)
            TRY(prefix_space(next, p, s));
        else
            TRY(to_bytes(next, p, s));
    }
    passage_swap(p, next);
    return LORAC_OK;
}

int split_run(const split_step *step, passage *p, passage *next, matcher *m)
{
    if (step->kind == SPLIT_PREFIX_SPACE || step->kind == SPLIT_TO_BYTES)
        return rewrite(step, p, next);
    next->count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const span *s = &p->spans[i];
        if (s->id >= 0) {
            TRY(passage_add_span(next, s->begin, s->end, s->id));
            continue;
        }
        cutter c = { .out = next, .behaviour = step->behaviour };
        TRY(step->kind == SPLIT_DIGITS ? cut_by_digits(p, s, &c) : cut_by_pattern(step, p, s, m, &c));
        TRY(cutter_flush(&c));
    }
    passage_take_spans(p, next);
    return LORAC_OK;
}
