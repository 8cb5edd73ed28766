/* unigram.c: Viterbi over the tokens that begin at each character of a word. Places that no token crosses end a
 * segment: its best way is final there, so that only the longest segment is ever in memory; the sums go on, since their
 * rounding decides between ways that are equally good. Ties go to the way found first. Knows nothing of how words are
 * found. */
#include "unigram.h"

#include "array.h"
#include "trie.h"

#include <math.h>
#include <string.h>

struct unigram {
    trie tokens;
    double *scores; /* by id */
    double unknown;
    bool single;
};

static const double unknown_penalty = 10;
/* Sums beyond this, of texts of some 100 kB, would lose so much to rounding that worse tokens came out. */
static const double single_most = 1 << 18;

int unigram_open(unigram **out, const vocabulary *v, const double *scores)
{
    unigram *u = *out = mem_new(1, sizeof *u);
    trie_entry *entries = mem_new((size_t)v->count, sizeof *entries);
    size_t count = 0;
    int status = LORAC_OK;
    double lowest = INFINITY;
    if (u)
        u->scores = mem_new((size_t)v->count, sizeof *u->scores);
    if (!u || !u->scores || !entries)
        status = fail_memory();
    for (int32_t id = 0; status == LORAC_OK && id < v->count; id++) {
        u->scores[id] = scores[id];
        if (isnan(scores[id]) || !v->token[id].n)
            continue;
        lowest = fmin(lowest, scores[id]);
        entries[count++] = (trie_entry){ v->token[id], id };
    }
    if (status == LORAC_OK) {
        u->unknown = (isinf(lowest) ? 0 : lowest) - unknown_penalty;
        status = trie_build(&u->tokens, entries, count);
    }
    mem_free(entries);
    if (status != LORAC_OK) {
        unigram_free(u);
        *out = NULL;
    }
    return status;
}

void unigram_be_single(unigram *u, float lowest)
{
    u->unknown = (float)(lowest - (float)unknown_penalty);
    u->single = true;
}

const double *unigram_scores(const unigram *u)
{
    return u->scores;
}

void unigram_free(unigram *u)
{
    if (!u)
        return;
    trie_free(&u->tokens);
    mem_free(u->scores);
    mem_free(u);
}

/* ---- One word */

/* The best way to one place: its last token and where that begins. */
typedef struct way {
    double score;
    uint32_t begin; /* UINT32_MAX: none yet */
    int32_t id;     /* -1: a character without a token */
} way;

static const uint32_t no_way = UINT32_MAX;

struct unigram_scratch {
    way *ways; /* to the places from the segment's beginning on */
    size_t capacity;
};

void unigram_scratch_free(struct unigram_scratch *s)
{
    if (!s)
        return;
    mem_free(s->ways);
    mem_free(s);
}

/* A word on its way. Places are bytes of it. */
typedef struct walk {
    const unigram *u;
    struct unigram_scratch *s;
    slice word;
    size_t segment, reach; /* the places known of: segment .. reach */
    size_t unknown;        /* where characters without a token began that are not given out yet; SIZE_MAX: none */
    token_list *out;
    const vocabulary *vocabulary;
    const unknown_rule *rule;
} walk;

static int reach_for(walk *w, size_t place)
{
    struct unigram_scratch *s = w->s;
    if (place - w->segment >= s->capacity) {
        size_t capacity = s->capacity ? s->capacity : 1024, most = w->word.n - w->segment + 1;
        while (capacity <= place - w->segment)
            capacity *= 2;
        if (capacity > most && most > 1024)
            capacity = most;
        TRY(array_resize(s->ways, capacity));
        s->capacity = capacity;
    }
    while (w->reach < place)
        s->ways[++w->reach - w->segment].begin = no_way;
    return LORAC_OK;
}

static inline void offer(way *to, double score, uint32_t begin, int32_t id, bool single)
{
    if (single && score > -single_most)
        score = (float)score;
    if (to->begin == no_way || score > to->score)
        *to = (way){ score, begin, id };
}

/* What begins at `at`, a character of `length` bytes. */
static int offer_tokens(walk *w, size_t at, size_t length)
{
    const unigram *u = w->u;
    double here = w->s->ways[at - w->segment].score;
    bool whole = false;
    uint32_t unit = 0;
    for (size_t end = at; end < w->word.n;) {
        unit = trie_step(&u->tokens, unit, (uint8_t)w->word.p[end++]);
        if (!unit)
            break;
        int32_t id = u->tokens.units[unit].value;
        if (id < 0)
            continue;
        if (end > w->reach)
            TRY(reach_for(w, end));
        offer(&w->s->ways[end - w->segment], u->scores[id] + here, (uint32_t)at, id, u->single);
        whole |= end - at == length;
    }
    if (whole)
        return LORAC_OK;
    if (at + length > w->reach)
        TRY(reach_for(w, at + length));
    offer(&w->s->ways[at + length - w->segment], u->unknown + here, (uint32_t)at, -1, u->single);
    return LORAC_OK;
}

/* Characters without a token that follow each other count as one. */
static int give_unknown(walk *w, size_t end)
{
    size_t begin = w->unknown;
    if (begin == SIZE_MAX)
        return LORAC_OK;
    slice run = { w->word.p + begin, end - begin };
    w->unknown = SIZE_MAX;
    if (w->u->single)
        return unknown_add(w->rule, w->out, w->word, begin, end);
    int32_t spelled = word_token_id(w->vocabulary, run); /* the unknown token itself, in most cases */
    if (spelled >= 0)
        return token_list_add(w->out, spelled, begin, end);
    if (unknown_has_bytes(w->rule, run)) { /* in Hugging Face's terms each byte stands for all of them */
        for (size_t i = begin; i < end; i++)
            TRY(token_list_add(w->out, w->rule->bytes[(uint8_t)w->word.p[i]], begin, end));
        return LORAC_OK;
    }
    if (w->rule->id < 0)
        return unknown_miss(w->rule);
    return token_list_add(w->out, w->rule->id, begin, end);
}

static int give_token(walk *w, int32_t id, size_t begin, size_t end)
{
    if (id < 0 || id == w->rule->id) {
        if (w->unknown == SIZE_MAX)
            w->unknown = begin;
        return LORAC_OK;
    }
    TRY(give_unknown(w, begin));
    return token_list_add(w->out, id, begin, end);
}

/* Turns the links back from `end` into links forward and gives out the tokens. */
static int end_segment(walk *w, size_t end)
{
    way *ways = w->s->ways, step = ways[end - w->segment];
    double score = step.score;
    for (size_t place = end; place > w->segment;) {
        size_t before = step.begin;
        way *to = &ways[before - w->segment], next = *to;
        *to = (way){ 0, (uint32_t)place, step.id };
        step = next;
        place = before;
    }
    for (size_t place = w->segment; place < end;) {
        const way *token = &ways[place - w->segment];
        TRY(give_token(w, token->id, place, token->begin));
        place = token->begin;
    }
    w->segment = w->reach = end;
    ways[0] = (way){ .score = score };
    return LORAC_OK;
}

int unigram_word(const word_model *m, struct unigram_scratch **scratch, slice word, token_list *out)
{
    if (!*scratch && !(*scratch = mem_new(1, sizeof **scratch)))
        return fail_memory();
    walk w = { m->unigram, *scratch, word, 0, 0, SIZE_MAX, out, m->vocabulary, &m->unknown };
    TRY(reach_for(&w, 0));
    w.s->ways[0] = (way){ 0 };
    for (size_t at = 0; at < word.n;) {
        size_t length = utf8_step(word.p[at]);
        assert(length <= word.n - at);
        TRY(offer_tokens(&w, at, length));
        at += length;
        if (at == w.reach)
            TRY(end_segment(&w, at));
    }
    return give_unknown(&w, word.n);
}
