/* scored_merges.c: the merges of a vocabulary with scores, in the order that Hugging Face's converters give them. */
#include "scored_merges.h"

#include "array.h"
#include "err.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct halves {
    slice left, right;
    int32_t whole;
    float score;
} halves;

typedef struct halves_list {
    halves *items;
    size_t count, capacity;
} halves_list;

static int add_halves(halves_list *list, halves h)
{
    TRY(array_room(list->items, list->capacity, list->count + 1));
    list->items[list->count++] = h;
    return LORAC_OK;
}

/* An added token is found in a text before anything is merged. */
static bool is_merged(const vocabulary *v, int32_t id)
{
    return v->token[id].p && !(v->flags[id] & TOKEN_ADDED) && v->token[id].n <= ADDED_TOKEN_LONGEST &&
           !memchr(v->token[id].p, ' ', v->token[id].n);
}

bool next_halves(const vocabulary *v, slice token, size_t *at, slice *left, slice *right)
{
    while (*at < token.n) {
        utf8_next(token, at);
        *left = (slice){ token.p, *at };
        *right = (slice){ token.p + *at, token.n - *at };
        if (right->n && map_find(&v->ids, *left) >= 0 && map_find(&v->ids, *right) >= 0)
            return true;
    }
    return false;
}

static int cut(const vocabulary *v, int32_t id, float score, halves_list *list)
{
    slice left, right;
    if (!is_merged(v, id))
        return LORAC_OK;
    for (size_t at = 0; next_halves(v, v->token[id], &at, &left, &right);)
        TRY(add_halves(list, (halves){ left, right, id, score }));
    return LORAC_OK;
}

static int by_score(const void *first, const void *second)
{
    const halves *a = first, *b = second;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->whole != b->whole)
        return a->whole < b->whole ? -1 : 1;
    return (a->left.n < b->left.n) - (a->left.n > b->left.n);
}

static json_t *list_merges(const halves_list *list)
{
    json_t *merges = json_array();
    for (size_t i = 0; merges && i < list->count; i++) {
        buf text = { 0 };
        buf_slice(&text, list->items[i].left);
        buf_char(&text, ' ');
        buf_slice(&text, list->items[i].right);
        if (buf_status(&text) != LORAC_OK || json_array_append_new(merges, json_stringn_nocheck(text.p, text.n))) {
            json_decref(merges);
            merges = NULL;
        }
        buf_free(&text);
    }
    return merges;
}

json_t *merges_of_scores(const vocabulary *v, const float *scores)
{
    halves_list list = { 0 };
    json_t *merges = NULL;
    int status = LORAC_OK;
    for (int32_t id = 0; id < v->count && status == LORAC_OK; id++)
        status = cut(v, id, scores[id], &list);
    if (status == LORAC_OK) {
        if (list.count)
            qsort(list.items, list.count, sizeof *list.items, by_score);
        merges = list_merges(&list);
    }
    mem_free(list.items);
    return merges;
}

/* ---- Back */

/* In how many ways two neighbours may become this token. A character without a token is a neighbour, too. */
static int count_cuts(const vocabulary *v, int32_t id)
{
    slice token = v->token[id];
    int count = 0;
    for (size_t at = 0; at < token.n;) {
        size_t last = at;
        utf8_next(token, &at);
        if (at == token.n)
            break;
        size_t after = at;
        utf8_next(token, &after);
        bool left = last == 0 || map_find(&v->ids, (slice){ token.p, at }) >= 0;
        bool right = after == token.n || map_find(&v->ids, (slice){ token.p + at, token.n - at }) >= 0;
        count += left && right;
    }
    return count;
}

int scores_of_merges(const vocabulary *v, const bpe_merge *merges, size_t count, float *scores, bool *exact)
{
    int *seen = mem_new((size_t)v->count, sizeof *seen);
    int32_t last = -1, order = 0;
    if (!seen)
        return fail_memory();
    *exact = true;
    for (size_t i = 0; *exact && i < count; i++) {
        int32_t id = merges[i].id;
        *exact = !seen[id] || id == last;
        if (!seen[id]++)
            scores[id] = (float)-order++;
        last = id;
    }
    for (int32_t id = 0; *exact && id < v->count; id++) {
        if (is_merged(v, id))
            *exact = seen[id] == count_cuts(v, id);
        if (!seen[id])
            scores[id] = v->flags[id] & TOKEN_ADDED ? 0 : (float)-order;
    }
    mem_free(seen);
    return LORAC_OK;
}
