/* bpe.c: byte-pair encoding of one word: its characters' tokens, then always the merge of lowest rank (the leftmost of
 * equals) until none is left. A heap over a linked list makes that O(n log n) for a word of n characters. Knows nothing
 * of how words are found. */
#include "tokenizer_parts.h"

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
    b->unknown = -1;
    for (uint32_t c = 0; c < 0x200; c++) {
        char bytes[2] = { (char)c };
        if (c >= 0x80) {
            bytes[0] = (char)(0xC0 | c >> 6);
            bytes[1] = (char)(0x80 | (c & 0x3F));
        }
        b->letters[c] = (int32_t)map_find(&v->ids, (slice){ bytes, c < 0x80 ? 1 : 2 });
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
    buf_clear(scratch);
    buf_slice(scratch, left);
    buf_slice(scratch, right);
    TRY(buf_status(scratch));
    TRY(token_of_merge(v, buf_slice_of(scratch), where, &id));
    bpe_merge *m = find_merge(b, left_id, right_id);
    if (!m->rank_plus_one || last_wins)
        *m = (bpe_merge){ .pair = pair_of(left_id, right_id), .rank_plus_one = rank + 1, .id = id };
    return LORAC_OK;
}

/* ---- One word */

typedef struct symbol {
    int32_t id;
    uint32_t begin, end;    /* in the word; equal: merged into another */
    int32_t previous, next; /* -1: none */
} symbol;

/* A merge that may be made at symbol `order & UINT32_MAX`, giving `id`. The order is rank, then place. */
typedef struct candidate {
    uint64_t order;
    int32_t id;
} candidate;

/* Words met before in this encode, by hash; a later word takes the place of an earlier one. */
typedef struct remembered {
    uint64_t hash;
    size_t word;
    uint32_t length;
    uint32_t tokens, token_count;
} remembered;

struct bpe_run {
    const bpe *b;
    const vocabulary *v;
    symbol *symbols;
    candidate *heap;
    word_token *tokens;
    size_t symbol_capacity, heap_count, heap_capacity, token_capacity;
    remembered *words;
    size_t word_slots; /* a power of two */
    buf word_bytes;    /* of remembered words */
    word_token *known; /* their tokens */
    size_t known_count, known_capacity;
};

enum { WORD_LONGEST_REMEMBERED = 64, WORD_BYTES_REMEMBERED = 1 << 20 };

int bpe_run_open(bpe_run **out, const bpe *b, const vocabulary *v, size_t text_length)
{
    bpe_run *r = mem_new(1, sizeof *r);
    if (!r)
        return fail_memory();
    *out = r;
    r->b = b;
    r->v = v;
    r->word_slots = 64;
    while (r->word_slots < 8192 && r->word_slots < text_length / 8)
        r->word_slots *= 2;
    r->words = mem_new(r->word_slots, sizeof *r->words);
    return r->words ? LORAC_OK : fail_memory();
}

void bpe_run_free(bpe_run *r)
{
    if (!r)
        return;
    mem_free(r->symbols);
    mem_free(r->heap);
    mem_free(r->tokens);
    mem_free(r->words);
    mem_free(r->known);
    buf_free(&r->word_bytes);
    mem_free(r);
}

static int heap_push(bpe_run *r, candidate c)
{
    if (r->heap_count == r->heap_capacity) {
        size_t capacity = r->heap_capacity ? 2 * r->heap_capacity : 64;
        candidate *heap = mem_grow(r->heap, capacity, sizeof *heap);
        if (!heap)
            return fail_memory();
        r->heap = heap;
        r->heap_capacity = capacity;
    }
    size_t i = r->heap_count++;
    for (; i && r->heap[(i - 1) / 2].order > c.order; i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = c;
    return LORAC_OK;
}

static candidate heap_pop(bpe_run *r)
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

/* Queues the merge of the symbol at `at` with the next one, if there is such a merge. */
static int consider(bpe_run *r, int32_t at)
{
    if (at < 0 || r->symbols[at].next < 0)
        return LORAC_OK;
    const bpe_merge *m = find_merge(r->b, r->symbols[at].id, r->symbols[r->symbols[at].next].id);
    if (!m->rank_plus_one)
        return LORAC_OK;
    return heap_push(r, (candidate){ (uint64_t)m->rank_plus_one << 32 | (uint32_t)at, m->id });
}

static int merge_all(bpe_run *r, size_t count)
{
    r->heap_count = 0;
    for (size_t i = 0; i + 1 < count; i++)
        TRY(consider(r, (int32_t)i));
    while (r->heap_count) {
        candidate c = heap_pop(r);
        int32_t at = (int32_t)(uint32_t)c.order;
        symbol *left = &r->symbols[at];
        if (left->begin == left->end || left->next < 0)
            continue;
        symbol *right = &r->symbols[left->next];
        const bpe_merge *m = find_merge(r->b, left->id, right->id);
        if (!m->rank_plus_one || m->id != c.id)
            continue; /* either side has changed since */
        left->id = c.id;
        left->end = right->end;
        right->begin = right->end;
        left->next = right->next;
        if (left->next >= 0)
            r->symbols[left->next].previous = at;
        TRY(consider(r, left->previous));
        TRY(consider(r, at));
    }
    return LORAC_OK;
}

static int32_t letter_id(const bpe_run *r, uint32_t c, slice bytes)
{
    return c < 0x200 ? r->b->letters[c] : (int32_t)map_find(&r->v->ids, bytes);
}

/* The characters' tokens. One without a token becomes the unknown token, one with its neighbour, or nothing. */
static size_t first_symbols(bpe_run *r, slice word)
{
    size_t count = 0;
    bool last_unknown = false;
    for (size_t at = 0; at < word.n;) {
        size_t begin = at;
        uint32_t c = utf8_next(word, &at);
        int32_t id = letter_id(r, c, (slice){ word.p + begin, at - begin });
        bool unknown = id < 0;
        if (unknown && r->b->unknown < 0)
            continue;
        if (unknown && last_unknown && r->b->fuse_unknown) {
            r->symbols[count - 1].end = (uint32_t)at;
            continue;
        }
        last_unknown = unknown;
        r->symbols[count] =
            (symbol){ .id = unknown ? r->b->unknown : id, .begin = (uint32_t)begin, .end = (uint32_t)at };
        r->symbols[count].previous = (int32_t)count - 1;
        r->symbols[count].next = (int32_t)count + 1;
        count++;
    }
    if (count)
        r->symbols[count - 1].next = -1;
    return count;
}

static int reserve(bpe_run *r, size_t length)
{
    if (length > r->symbol_capacity) {
        symbol *symbols = mem_grow(r->symbols, length, sizeof *symbols);
        if (!symbols)
            return fail_memory();
        r->symbols = symbols;
        r->symbol_capacity = length;
    }
    if (length > r->token_capacity) {
        word_token *tokens = mem_grow(r->tokens, length, sizeof *tokens);
        if (!tokens)
            return fail_memory();
        r->tokens = tokens;
        r->token_capacity = length;
    }
    return LORAC_OK;
}

static int encode_word(bpe_run *r, slice word, size_t *count)
{
    *count = 0;
    TRY(reserve(r, word.n));
    int64_t whole = r->b->ignore_merges ? map_find(&r->v->ids, word) : -1;
    if (whole >= 0) {
        r->tokens[(*count)++] = (word_token){ (int32_t)whole, 0, (uint32_t)word.n };
        return LORAC_OK;
    }
    size_t symbols = first_symbols(r, word);
    if (!symbols)
        return LORAC_OK;
    TRY(merge_all(r, symbols));
    for (int32_t i = 0; i >= 0; i = r->symbols[i].next)
        r->tokens[(*count)++] = (word_token){ r->symbols[i].id, r->symbols[i].begin, r->symbols[i].end };
    return LORAC_OK;
}

/* ---- Words met before */

static uint64_t hash_word(slice word)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < word.n; i++)
        h = (h ^ (uint8_t)word.p[i]) * 1099511628211u;
    return h;
}

static int remember(bpe_run *r, remembered *slot, uint64_t hash, slice word, size_t count)
{
    if (r->word_bytes.n + word.n > WORD_BYTES_REMEMBERED)
        return LORAC_OK;
    if (r->known_count + count > r->known_capacity) {
        size_t capacity = 2 * r->known_capacity + count + 256;
        word_token *known = mem_grow(r->known, capacity, sizeof *known);
        if (!known)
            return fail_memory();
        r->known = known;
        r->known_capacity = capacity;
    }
    *slot = (remembered){ hash, r->word_bytes.n, (uint32_t)word.n, (uint32_t)r->known_count, (uint32_t)count };
    memcpy(r->known + r->known_count, r->tokens, count * sizeof *r->tokens);
    r->known_count += count;
    buf_slice(&r->word_bytes, word);
    return buf_status(&r->word_bytes);
}

int bpe_word(bpe_run *r, slice word, const word_token **tokens, size_t *count)
{
    if (word.n > WORD_LONGEST_REMEMBERED) {
        TRY(encode_word(r, word, count));
        *tokens = r->tokens;
        return LORAC_OK;
    }
    uint64_t hash = hash_word(word);
    remembered *slot = &r->words[(hash ^ hash >> 32) & (r->word_slots - 1)];
    if (slot->length == word.n && slot->hash == hash && !memcmp(r->word_bytes.p + slot->word, word.p, word.n)) {
        *tokens = r->known + slot->tokens;
        *count = slot->token_count;
        return LORAC_OK;
    }
    TRY(encode_word(r, word, count));
    *tokens = r->tokens;
    return *count ? remember(r, slot, hash, word, *count) : LORAC_OK;
}
