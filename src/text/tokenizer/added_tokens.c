/* added_tokens.c: finding the tokens a text may name ("<|im_end|>") before anything else happens to it. Hugging Face
 * takes the leftmost match and of these the longest; llama.cpp takes the longest token anywhere first. They differ only
 * where matches overlap. */
#include "tokenizer_parts.h"

#include "array.h"

#include <stdlib.h>
#include <string.h>

static int new_node(added_tokens *a, uint8_t byte, int32_t *out)
{
    TRY(array_room(a->nodes, a->node_capacity, a->node_count + 2));
    if (!a->node_count)
        a->node_count = 1; /* 0 means none */
    *out = (int32_t)a->node_count++;
    a->nodes[*out] = (trie_node){ .token = -1, .byte = byte };
    return LORAC_OK;
}

static int32_t find_child(const added_tokens *a, int32_t node, uint8_t byte)
{
    int32_t child = a->nodes[node].child;
    while (child && a->nodes[child].byte != byte)
        child = a->nodes[child].sibling;
    return child;
}

static int insert(added_tokens *a, slice text, int32_t token)
{
    int32_t node = a->roots[(uint8_t)text.p[0]];
    if (!node) {
        TRY(new_node(a, (uint8_t)text.p[0], &node));
        a->roots[(uint8_t)text.p[0]] = node;
    }
    for (size_t i = 1; i < text.n; i++) {
        int32_t child = find_child(a, node, (uint8_t)text.p[i]);
        if (!child) {
            TRY(new_node(a, (uint8_t)text.p[i], &child));
            a->nodes[child].sibling = a->nodes[node].child;
            a->nodes[node].child = child;
        }
        node = child;
    }
    a->nodes[node].token = token; /* of those that normalise to the same text the last */
    return LORAC_OK;
}

int added_add(added_tokens *a, added_token token)
{
    assert(token.text.n > 0 && token.text.n <= ADDED_TOKEN_LONGEST);
    TRY(array_room(a->tokens, a->capacity, a->count + 1));
    a->tokens[a->count] = token;
    return insert(a, token.text, (int32_t)a->count++);
}

void added_free(added_tokens *a)
{
    mem_free(a->tokens);
    mem_free(a->nodes);
    *a = (added_tokens){ 0 };
}

/* ---- The leftmost, longest */

/* The longest token that begins at text[at]; its length in *length. -1: none. */
static int32_t longest_at(const added_tokens *a, slice text, size_t at, size_t *length)
{
    int32_t best = -1;
    int32_t node = a->roots[(uint8_t)text.p[at]];
    for (size_t i = at; node; node = find_child(a, node, (uint8_t)text.p[i])) {
        i++;
        if (a->nodes[node].token >= 0) {
            best = a->nodes[node].token;
            *length = i - at;
        }
        if (i == text.n)
            break;
    }
    return best;
}

static bool stands_alone(slice text, size_t begin, size_t end)
{
    if (begin && character_is_word(utf8_next(text, &(size_t){ utf8_before(text, begin) })))
        return false;
    return end == text.n || !character_is_word(utf8_next(text, &(size_t){ end }));
}

static size_t spaces_before(slice text, size_t at, size_t least)
{
    while (at > least) {
        size_t before = utf8_before(text, at);
        if (!character_is_space(utf8_next(text, &(size_t){ before })))
            break;
        at = before;
    }
    return at < least ? least : at;
}

static size_t spaces_after(slice text, size_t at)
{
    while (at < text.n) {
        size_t next = at;
        if (!character_is_space(utf8_next(text, &next)))
            break;
        at = next;
    }
    return at;
}

/* Spaces taken by rstrip are not searched again for the text between, but a token may begin in them (as in Hugging
 * Face's). */
static int find_leftmost(const added_tokens *a, const passage *p, const span *s, passage *next)
{
    slice text = passage_slice(p, s);
    size_t done = 0, length = 0;
    for (size_t at = 0; at < text.n;) {
        int32_t found = longest_at(a, text, at, &length);
        if (found < 0) {
            at++;
            continue;
        }
        const added_token *t = &a->tokens[found];
        size_t begin = at, end = at + length;
        at = end;
        if (t->single_word && !stands_alone(text, begin, end))
            continue;
        if (t->strip_left)
            begin = spaces_before(text, begin, done);
        if (t->strip_right)
            end = spaces_after(text, end);
        if (begin >= end)
            continue; /* only blanks, which the one before has taken */
        if (done < begin)
            TRY(passage_add_span(next, s->begin + done, s->begin + begin, -1));
        TRY(passage_add_span(next, s->begin + begin, s->begin + end, t->id));
        done = end;
    }
    return done < text.n ? passage_add_span(next, s->begin + done, s->end, -1) : LORAC_OK;
}

/* ---- The longest anywhere */

typedef struct occurrence {
    size_t begin, end;
    const added_token *token;
} occurrence;

static int by_length(const void *left, const void *right)
{
    const occurrence *a = left, *b = right;
    size_t m = a->end - a->begin, n = b->end - b->begin;
    if (m != n)
        return m > n ? -1 : 1;
    if (a->token->id != b->token->id)
        return a->token->id < b->token->id ? -1 : 1;
    return (a->begin > b->begin) - (a->begin < b->begin);
}

static int by_place(const void *left, const void *right)
{
    const occurrence *a = left, *b = right;
    return (a->begin > b->begin) - (a->begin < b->begin);
}

static int occurrences_of(const added_tokens *a, slice text, occurrence **out, size_t *count)
{
    size_t capacity = 0;
    for (size_t at = 0; at < text.n; at++) {
        int32_t node = a->roots[(uint8_t)text.p[at]];
        for (size_t i = at + 1; node; node = i < text.n ? find_child(a, node, (uint8_t)text.p[i++]) : 0) {
            if (a->nodes[node].token < 0)
                continue;
            TRY(array_room(*out, capacity, *count + 1));
            (*out)[(*count)++] = (occurrence){ at, i, &a->tokens[a->nodes[node].token] };
        }
    }
    return LORAC_OK;
}

static bool is_ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* With the white space next to it that a token takes and no other has taken. */
static void strip(slice text, const uint8_t *taken, occurrence *o)
{
    while (o->token->strip_left && o->begin && is_ascii_space(text.p[o->begin - 1]) && !taken[o->begin - 1])
        o->begin--;
    while (o->token->strip_right && o->end < text.n && is_ascii_space(text.p[o->end]) && !taken[o->end])
        o->end++;
}

/* Those kept before are at least as long, so one that overlaps covers the first or the last byte. */
static size_t keep_longest(slice text, occurrence *all, size_t count, uint8_t *taken)
{
    size_t kept = 0;
    qsort(all, count, sizeof *all, by_length);
    for (size_t i = 0; i < count; i++) {
        occurrence o = all[i];
        if (taken[o.begin] || taken[o.end - 1])
            continue;
        strip(text, taken, &o);
        memset(taken + o.begin, 1, o.end - o.begin);
        all[kept++] = o;
    }
    qsort(all, kept, sizeof *all, by_place);
    return kept;
}

static int find_longest(const added_tokens *a, const passage *p, const span *s, passage *next)
{
    slice text = passage_slice(p, s);
    occurrence *all = NULL;
    uint8_t *taken = NULL;
    size_t count = 0, at = 0;
    int status = LORAC_OK;
    TRY_GOTO(occurrences_of(a, text, &all, &count));
    if (count) {
        taken = mem_new(text.n, 1);
        if (!taken)
            TRY_GOTO(fail_memory());
        count = keep_longest(text, all, count, taken);
    }
    for (size_t i = 0; i < count; i++) {
        TRY_GOTO(passage_add_span(next, s->begin + at, s->begin + all[i].begin, -1));
        TRY_GOTO(passage_add_span(next, s->begin + all[i].begin, s->begin + all[i].end, all[i].token->id));
        at = all[i].end;
    }
    status = passage_add_span(next, s->begin + at, s->end, -1);
done:
    mem_free(all);
    mem_free(taken);
    return status;
}

int added_find(const added_tokens *a, passage *p, passage *next)
{
    if (!a->count)
        return LORAC_OK;
    next->count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const span *s = &p->spans[i];
        if (s->id >= 0)
            TRY(passage_add_span(next, s->begin, s->end, s->id));
        else if (a->order == ADDED_LEFTMOST)
            TRY(find_leftmost(a, p, s, next));
        else
            TRY(find_longest(a, p, s, next));
    }
    passage_take_spans(p, next);
    return LORAC_OK;
}
