/* bpe.c: byte-pair encoding of one word: its characters' tokens, then always the merge of lowest rank (the leftmost of
 * equals) until none is left. A heap over a linked list makes that O(n log n) for a word of n characters. Merges are
 * listed by the file, or (SentencePiece) two neighbours merge when they are a token together, the one of highest score
 * first. Knows nothing of how words are found. */
#include "word_model.h"

#include "array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The table of merges */

/* Salted with the table's address, so that a file cannot choose pairs that collide (the mixer is MurmurHash3's). */
static size_t pair_slot(const bpe *b, uint64_t pair)
{
    pair ^= (uint64_t)(uintptr_t)b->merges * 0x9E3779B97F4A7C15u;
    pair = (pair ^ pair >> 33) * 0xFF51AFD7ED558CCDu;
    pair = (pair ^ pair >> 33) * 0xC4CEB9FE1A85EC53u;
    return (size_t)(pair ^ pair >> 33) & (b->capacity - 1);
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The pair's slot, or the empty one where it belongs. At least half of the slots are empty. */
static bpe_merge *find_merge(const bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = pair_of(left, right);
    size_t i = pair_slot(b, pair);
    while (b->merges[i].rank_plus_one && b->merges[i].pair != pair)
        i = (i + 1) & (b->capacity - 1);
    return &b->merges[i];
}

int bpe_open(bpe *b, const vocabulary *v, size_t merge_count)
{
    b->capacity = 16;
    while (b->capacity < 2 * (merge_count + 1))
        b->capacity *= 2;
    b->merges = mem_new(b->capacity, sizeof *b->merges);
    if (!b->merges)
        return fail_memory();
    for (uint32_t c = 0; c < 0x200; c++) {
        char bytes[4];
        b->letters[c] = word_token_id(v, (slice){ bytes, utf8_put(c, bytes) });
    }
    return LORAC_OK;
}

void bpe_free(bpe *b)
{
    mem_free(b->merges);
    b->merges = NULL;
}

static int token_of_merge(const vocabulary *v, slice token, const fault *where, int32_t *id)
{
    *id = (int32_t)map_find(&v->ids, token);
    if (*id >= 0)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_DATA, *where, "a merge needs the token \"%.*s\", which is not in the vocabulary",
                   (int)(token.n < 64 ? token.n : 64), token.p);
}

int bpe_add_merge(bpe *b, const vocabulary *v, buf *scratch, slice left, slice right, uint32_t rank, bool last_wins,
                  const fault *where)
{
    int32_t left_id, right_id, id;
    TRY(token_of_merge(v, left, where, &left_id));
    TRY(token_of_merge(v, right, where, &right_id));
    if (!slice_starts_with(right, b->prefix))
        return fail_at(LORAC_ERROR_DATA, *where,
                       "the second token of a merge, \"%.*s\", does not begin with the prefix",
                       (int)(right.n < 64 ? right.n : 64), right.p);
    buf_clear(scratch);
    buf_slice(scratch, left);
    buf_add(scratch, right.p + b->prefix.n, right.n - b->prefix.n);
    TRY(buf_status(scratch));
    TRY(token_of_merge(v, buf_slice_of(scratch), where, &id));
    bpe_merge *m = find_merge(b, left_id, right_id);
    if (!m->rank_plus_one || last_wins)
        *m = (bpe_merge){ .pair = pair_of(left_id, right_id), .rank_plus_one = rank + 1, .id = id };
    return LORAC_OK;
}

static int by_rank(const void *first, const void *second)
{
    const bpe_merge *a = first, *b = second;
    return a->rank_plus_one < b->rank_plus_one ? -1 : a->rank_plus_one > b->rank_plus_one;
}

int bpe_list_merges(const bpe *b, bpe_merge **out, size_t *count)
{
    bpe_merge *list = *out = mem_new(b->capacity / 2, sizeof *list);
    if (!list)
        return fail_memory();
    *count = 0;
    for (size_t i = 0; i < b->capacity; i++)
        if (b->merges[i].rank_plus_one)
            list[(*count)++] = b->merges[i];
    qsort(list, *count, sizeof *list, by_rank);
    return LORAC_OK;
}

/* ---- One word */

typedef struct symbol {
    int32_t id;             /* -1: a character without a token */
    uint32_t begin, end;    /* in the word; equal: merged into another */
    int32_t previous, next; /* -1: none */
} symbol;

/* A merge that may be made at symbol `order & UINT32_MAX`, giving `id`. The order is rank, then place. */
typedef struct candidate {
    uint64_t order;
    int32_t id;
} candidate;

typedef struct bpe_scratch {
    symbol *symbols;
    candidate *heap;
    size_t symbol_count, symbol_capacity, heap_count, heap_capacity;
    buf affixed;
    uint32_t *halves; /* by id, of tokens that are split again: bytes of the left part when last considered */
    size_t *rest;     /* the ends of parts that wait to be split */
    size_t rest_count, rest_capacity;
} bpe_scratch;

void bpe_scratch_free(bpe_scratch *s)
{
    if (!s)
        return;
    mem_free(s->symbols);
    mem_free(s->heap);
    buf_free(&s->affixed);
    mem_free(s->halves);
    mem_free(s->rest);
    mem_free(s);
}

static int heap_push(bpe_scratch *r, candidate c)
{
    TRY(array_room(r->heap, r->heap_capacity, r->heap_count + 1));
    size_t i = r->heap_count++;
    for (; i && r->heap[(i - 1) / 2].order > c.order; i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = c;
    return LORAC_OK;
}

static candidate heap_pop(bpe_scratch *r)
{
    candidate top = r->heap[0], last = r->heap[--r->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= r->heap_count)
            break;
        if (child + 1 < r->heap_count && r->heap[child + 1].order < r->heap[child].order)
            child++;
        if (r->heap[child].order >= last.order)
            break;
        r->heap[i] = r->heap[child];
        i = child;
    }
    r->heap[i] = last;
    return top;
}

/* Highest first; equal scores are equal, whatever the sign of zero. */
static uint32_t rank_of_score(float score)
{
    uint32_t bits;
    score += 0.0F;
    memcpy(&bits, &score, sizeof bits);
    return ~(bits & 0x80000000U ? ~bits : bits | 0x80000000U);
}

/* The merge of two neighbours. Its id, or -1. */
static int32_t merge_of(const word_model *m, slice word, const symbol *left, const symbol *right, uint32_t *rank)
{
    if (m->bpe.scores) {
        slice both = { word.p + left->begin, right->end - left->begin };
        int32_t id = (int32_t)map_find(&m->vocabulary->ids, both);
        if (id < 0 || isnan(m->bpe.scores[id]))
            return -1;
        *rank = rank_of_score(m->bpe.scores[id]);
        return id;
    }
    const bpe_merge *merge = find_merge(&m->bpe, left->id, right->id);
    *rank = merge->rank_plus_one;
    return merge->rank_plus_one ? merge->id : -1;
}

/* Queues the merge of the symbol at `at` with the next one, if there is such a merge. */
static int consider(const word_model *m, bpe_scratch *s, slice word, int32_t at)
{
    if (at < 0 || s->symbols[at].next < 0)
        return LORAC_OK;
    uint32_t rank;
    const symbol *left = &s->symbols[at];
    int32_t id = merge_of(m, word, left, &s->symbols[left->next], &rank);
    if (id >= 0 && s->halves)
        s->halves[id] = left->end - left->begin;
    return id < 0 ? LORAC_OK : heap_push(s, (candidate){ (uint64_t)rank << 32 | (uint32_t)at, id });
}

static int merge_all(const word_model *m, bpe_scratch *s, slice word)
{
    uint32_t rank;
    s->heap_count = 0;
    for (size_t i = 0; i + 1 < s->symbol_count; i++)
        TRY(consider(m, s, word, (int32_t)i));
    while (s->heap_count) {
        candidate c = heap_pop(s);
        int32_t at = (int32_t)(uint32_t)c.order;
        symbol *left = &s->symbols[at];
        if (left->begin == left->end || left->next < 0)
            continue;
        symbol *right = &s->symbols[left->next];
        if (merge_of(m, word, left, right, &rank) != c.id)
            continue; /* either side has changed since */
        left->id = c.id;
        left->end = right->end;
        right->begin = right->end;
        left->next = right->next;
        if (left->next >= 0)
            s->symbols[left->next].previous = at;
        TRY(consider(m, s, word, left->previous));
        TRY(consider(m, s, word, at));
    }
    return LORAC_OK;
}

/* The token of the character word[begin, end), with what its place adds to it. */
static int32_t letter_id(const word_model *m, bpe_scratch *s, slice word, size_t begin, size_t end, uint32_t c)
{
    const bpe *b = &m->bpe;
    slice bytes = { word.p + begin, end - begin };
    if ((begin && b->prefix.n) || (end == word.n && b->suffix.n)) {
        buf_clear(&s->affixed);
        if (begin)
            buf_slice(&s->affixed, b->prefix);
        buf_slice(&s->affixed, bytes);
        if (end == word.n)
            buf_slice(&s->affixed, b->suffix);
        return word_token_id(m->vocabulary, buf_slice_of(&s->affixed));
    }
    return c < 0x200 ? b->letters[c] : word_token_id(m->vocabulary, bytes);
}

static void add_symbol(bpe_scratch *s, int32_t id, size_t begin, size_t end)
{
    int32_t at = (int32_t)s->symbol_count++;
    assert(s->symbols);
    s->symbols[at] =
        (symbol){ .id = id, .begin = (uint32_t)begin, .end = (uint32_t)end, .previous = at - 1, .next = at + 1 };
}

/* Where merges are listed, what stands for an unknown character may merge, too. */
static int add_unknown(const unknown_rule *u, bpe_scratch *s, slice word, size_t begin, size_t end)
{
    if (unknown_has_bytes(u, (slice){ word.p + begin, end - begin })) {
        for (size_t i = begin; i < end; i++)
            add_symbol(s, u->bytes[(uint8_t)word.p[i]], i, i + 1);
        return LORAC_OK;
    }
    symbol *last = s->symbol_count ? &s->symbols[s->symbol_count - 1] : NULL;
    if (u->id < 0)
        return unknown_miss(u);
    if (u->fuse && last && last->id == u->id && last->end == begin)
        last->end = (uint32_t)end;
    else
        add_symbol(s, u->id, begin, end);
    return LORAC_OK;
}

static int first_symbols(const word_model *m, bpe_scratch *s, slice word)
{
    TRY(array_room(s->symbols, s->symbol_capacity, word.n));
    s->symbol_count = 0;
    for (size_t at = 0; at < word.n;) {
        size_t begin = at;
        uint32_t c = utf8_next(word, &at);
        int32_t id = letter_id(m, s, word, begin, at, c);
        if (id >= 0 || m->bpe.scores || m->bpe.unknown_stay)
            add_symbol(s, id, begin, at);
        else
            TRY(add_unknown(&m->unknown, s, word, begin, at));
    }
    if (s->symbol_count)
        s->symbols[s->symbol_count - 1].next = -1;
    return buf_status(&s->affixed);
}

/* ---- Tokens that no text becomes, though others are made through them (SentencePiece's "unused") */

static int push_rest(bpe_scratch *s, size_t end)
{
    TRY(array_room(s->rest, s->rest_capacity, s->rest_count + 1));
    s->rest[s->rest_count++] = end;
    return LORAC_OK;
}

/* Each is split as it was last considered anywhere in the word, and so are its parts. */
static int add_split(const word_model *m, bpe_scratch *s, slice word, const symbol *y, token_list *out)
{
    size_t begin = y->begin, end = y->end;
    s->rest_count = 0;
    for (;;) {
        int32_t id = word_token_id(m->vocabulary, (slice){ word.p + begin, end - begin });
        bool unused = id >= 0 && m->vocabulary->flags[id] & TOKEN_UNUSED;
        size_t half = unused ? s->halves[id] : 0;
        if (half) {
            TRY(push_rest(s, end));
            end = begin + half;
            continue;
        }
        if (id >= 0 && !unused)
            TRY(token_list_add(out, id, begin, end));
        else
            TRY(unknown_add(&m->unknown, out, word, begin, end));
        if (!s->rest_count)
            return LORAC_OK;
        begin = end;
        end = s->rest[--s->rest_count];
    }
}

static bool is_taken_whole(const bpe *b, slice word)
{
    size_t newlines = 0;
    while (b->newlines_whole && newlines < word.n && word.p[newlines] == '\n')
        newlines++;
    return b->ignore_merges || (b->newlines_whole && newlines == word.n);
}

int bpe_word(const word_model *m, bpe_scratch **scratch, slice word, token_list *out)
{
    int32_t whole = is_taken_whole(&m->bpe, word) ? word_token_id(m->vocabulary, word) : -1;
    if (whole >= 0)
        return token_list_add(out, (int32_t)whole, 0, word.n);
    if (!*scratch && !(*scratch = mem_new(1, sizeof **scratch)))
        return fail_memory();
    bpe_scratch *s = *scratch;
    if (m->bpe.splits && !s->halves && !(s->halves = mem_new((size_t)m->vocabulary->count, sizeof *s->halves)))
        return fail_memory();
    TRY(first_symbols(m, s, word));
    if (!s->symbol_count)
        return LORAC_OK;
    TRY(merge_all(m, s, word));
    for (int32_t i = 0; i >= 0; i = s->symbols[i].next) {
        const symbol *y = &s->symbols[i];
        if (s->halves)
            TRY(add_split(m, s, word, y, out));
        else if (y->id >= 0)
            TRY(token_list_add(out, y->id, y->begin, y->end));
        else
            TRY(unknown_add(&m->unknown, out, word, y->begin, y->end));
    }
    return LORAC_OK;
}
