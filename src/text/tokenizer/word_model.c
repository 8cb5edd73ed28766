/* word_model.c: the way of one word through a model, with a memory of the words met before in the same encode. */
#include "word_model.h"

#include "array.h"
#include "unigram.h"

#include <stdio.h>
#include <string.h>

/* ---- What comes out */

int token_list_add(token_list *list, int32_t id, size_t begin, size_t end)
{
    TRY(array_room(list->items, list->capacity, list->count + 1));
    list->items[list->count++] = (word_token){ id, (uint32_t)begin, (uint32_t)end };
    return LORAC_OK;
}

/* ---- Characters without a token */

void unknown_rule_open(unknown_rule *u, const vocabulary *v)
{
    char name[8];
    u->id = -1;
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(name, sizeof name, "<0x%02X>", byte);
        u->bytes[byte] = (int32_t)map_find(&v->ids, (slice){ name, 6 });
    }
}

bool unknown_has_bytes(const unknown_rule *u, slice character)
{
    for (size_t i = 0; i < character.n; i++)
        if (u->bytes[(uint8_t)character.p[i]] < 0)
            return false;
    return u->by_bytes;
}

int unknown_miss(const unknown_rule *u)
{
    return u->missed ? fail(LORAC_ERROR_DATA,
                            "the text has characters without a token, and the tokenizer has no unknown token")
                     : LORAC_OK;
}

int unknown_add(const unknown_rule *u, token_list *out, slice word, size_t begin, size_t end)
{
    if (unknown_has_bytes(u, (slice){ word.p + begin, end - begin })) {
        for (size_t i = begin; i < end; i++)
            TRY(token_list_add(out, u->bytes[(uint8_t)word.p[i]], i, i + 1));
        return LORAC_OK;
    }
    if (u->id < 0)
        return unknown_miss(u);
    if (u->fuse && out->count) {
        word_token *last = &out->items[out->count - 1];
        if (last->id == u->id && last->end == begin) {
            last->end = (uint32_t)end;
            return LORAC_OK;
        }
    }
    return token_list_add(out, u->id, begin, end);
}

/* ---- Where a word may be cut */

static const char metaspace[] = "\u2581";
enum { METASPACE_BYTES = sizeof metaspace - 1 };

static bool is_metaspace(const char *p, size_t n)
{
    return n >= METASPACE_BYTES && !memcmp(p, metaspace, METASPACE_BYTES);
}

/* Does the token hold a U+2581 behind another character? */
static bool crosses(slice token)
{
    bool other = false;
    for (size_t i = 0; i < token.n; i++) {
        if (!is_metaspace(token.p + i, token.n - i))
            other = true;
        else if (other)
            return true;
        else
            i += METASPACE_BYTES - 1;
    }
    return false;
}

void word_model_find_cuts(word_model *m)
{
    const vocabulary *v = m->vocabulary;
    m->cuts = m->kind == MODEL_BPE && !m->bpe.splits && !m->bpe.prefix.n && !m->bpe.suffix.n &&
              map_find(&v->ids, slice_of(metaspace)) >= 0;
    for (int32_t id = 0; m->cuts && id < v->count; id++)
        m->cuts = !crosses(v->token[id]);
}

size_t word_model_cut(const word_model *m, slice word, size_t from)
{
    if (!m->cuts)
        return word.n;
    while (is_metaspace(word.p + from, word.n - from))
        from += METASPACE_BYTES;
    const char *next = from < word.n ? memmem(word.p + from, word.n - from, metaspace, METASPACE_BYTES) : NULL;
    return next ? (size_t)(next - word.p) : word.n;
}

/* ---- One word */

/* Words met before in this encode, by hash; a later word takes the place of an earlier one. */
typedef struct remembered {
    uint64_t hash;
    size_t word;
    uint32_t length;
    uint32_t tokens, token_count;
} remembered;

struct model_run {
    const word_model *m;
    struct bpe_scratch *bpe;
    struct unigram_scratch *unigram;
    buf text;
    token_list tokens;
    remembered *words;
    size_t word_slots; /* a power of two */
    buf word_bytes;    /* of remembered words */
    word_token *known; /* their tokens */
    size_t known_count, known_capacity;
};

enum { WORD_LONGEST_REMEMBERED = 64, WORD_BYTES_REMEMBERED = 1 << 20, WORD_SLOTS_MOST = 1 << 15 };

int model_run_open(model_run **out, const word_model *m, size_t text_length)
{
    model_run *r = mem_new(1, sizeof *r);
    if (!r)
        return fail_memory();
    *out = r;
    r->m = m;
    r->word_slots = 64;
    while (r->word_slots < WORD_SLOTS_MOST && r->word_slots < text_length / 8)
        r->word_slots *= 2;
    r->words = mem_new(r->word_slots, sizeof *r->words);
    return r->words ? LORAC_OK : fail_memory();
}

void model_run_free(model_run *r)
{
    if (!r)
        return;
    bpe_scratch_free(r->bpe);
    unigram_scratch_free(r->unigram);
    buf_free(&r->text);
    mem_free(r->tokens.items);
    mem_free(r->words);
    mem_free(r->known);
    buf_free(&r->word_bytes);
    mem_free(r);
}

int32_t word_token_id(const vocabulary *v, slice token)
{
    int32_t id = (int32_t)map_find(&v->ids, token);
    return id >= 0 && v->flags[id] & TOKEN_FOREIGN ? -1 : id;
}

/* The whole word, or each of its parts that a blank begins (SentencePiece's "word"). */
static int wordlevel_word(const word_model *m, slice word, token_list *out)
{
    for (size_t at = 0, end; at < word.n; at = end) {
        const char *next = m->at_blanks ? memmem(word.p + at + 1, word.n - at - 1, metaspace, METASPACE_BYTES) : NULL;
        end = next ? (size_t)(next - word.p) : word.n;
        int32_t id = word_token_id(m->vocabulary, (slice){ word.p + at, end - at });
        if (id >= 0)
            TRY(token_list_add(out, id, at, end));
        else
            TRY(unknown_add(&m->unknown, out, word, at, end));
    }
    return LORAC_OK;
}

static int encode_word(model_run *r, slice word)
{
    r->tokens.count = 0;
    switch (r->m->kind) {
    case MODEL_BPE:
        return bpe_word(r->m, &r->bpe, word, &r->tokens);
    case MODEL_UNIGRAM:
        return unigram_word(r->m, &r->unigram, word, &r->tokens);
    case MODEL_WORDPIECE:
        return wordpiece_word(r->m, &r->text, word, &r->tokens);
    case MODEL_WORDLEVEL:
        break;
    }
    return wordlevel_word(r->m, word, &r->tokens);
}

static uint64_t hash_word(slice word)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < word.n; i++)
        h = (h ^ (uint8_t)word.p[i]) * 1099511628211u;
    return h;
}

static int remember(model_run *r, remembered *slot, uint64_t hash, slice word)
{
    size_t count = r->tokens.count;
    if (r->word_bytes.n + word.n > WORD_BYTES_REMEMBERED)
        return LORAC_OK;
    TRY(array_room(r->known, r->known_capacity, r->known_count + count));
    *slot = (remembered){ hash, r->word_bytes.n, (uint32_t)word.n, (uint32_t)r->known_count, (uint32_t)count };
    memcpy(r->known + r->known_count, r->tokens.items, count * sizeof *r->known);
    r->known_count += count;
    buf_slice(&r->word_bytes, word);
    return buf_status(&r->word_bytes);
}

int model_word(model_run *r, slice word, const word_token **tokens, size_t *count)
{
    remembered *slot = NULL;
    uint64_t hash = 0;
    if (word.n <= WORD_LONGEST_REMEMBERED) {
        hash = hash_word(word);
        slot = &r->words[(hash ^ hash >> 32) & (r->word_slots - 1)];
        if (slot->length == word.n && slot->hash == hash && !memcmp(r->word_bytes.p + slot->word, word.p, word.n)) {
            *tokens = r->known + slot->tokens;
            *count = slot->token_count;
            return LORAC_OK;
        }
    }
    TRY(encode_word(r, word));
    *tokens = r->tokens.items;
    *count = r->tokens.count;
    return slot && *count ? remember(r, slot, hash, word) : LORAC_OK;
}

void word_model_free(word_model *m)
{
    bpe_free(&m->bpe);
    unigram_free(m->unigram);
}

static bool is_newlines(slice token)
{
    size_t n = 0;
    while (n < token.n && token.p[n] == '\n')
        n++;
    return n && n == token.n;
}

int word_model_merges_newlines(const word_model *m, bool *whole)
{
    word_model merging = *m;
    const vocabulary *v = m->vocabulary;
    model_run *run = NULL;
    merging.bpe.newlines_whole = false;
    *whole = true;
    int status = model_run_open(&run, &merging, ADDED_TOKEN_LONGEST);
    for (int32_t id = 0; id < v->count && status == LORAC_OK && *whole; id++) {
        const word_token *made;
        size_t count;
        if (!is_newlines(v->token[id]) || v->flags[id] & TOKEN_ADDED)
            continue;
        status = model_word(run, v->token[id], &made, &count);
        *whole = status == LORAC_OK && count == 1;
    }
    model_run_free(run);
    return status;
}
