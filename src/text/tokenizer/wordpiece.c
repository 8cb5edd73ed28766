/* wordpiece.c: the longest token that begins the word, then the longest that goes on with the prefix, and so on (Wu et
 * al. 2016). A word with a rest that no token begins is unknown as a whole. */
#include "word_model.h"

#include <string.h>

void wordpiece_open(wordpiece *w, const vocabulary *v)
{
    w->longest = 0;
    for (int32_t id = 0; id < v->count; id++)
        if (v->token[id].n > w->longest)
            w->longest = v->token[id].n;
}

static bool has_more_characters(slice word, size_t most)
{
    size_t count = 0;
    for (size_t at = 0; word.n > most && at < word.n && count <= most; count++)
        utf8_next(word, &at);
    return count > most;
}

/* The longest token of which `text` begins with; its first `kept` bytes are the prefix. */
static int32_t longest_token(const word_model *m, slice text, size_t kept, size_t *length)
{
    size_t n = text.n < m->wordpiece.longest ? text.n : m->wordpiece.longest;
    while (n > kept && n < text.n && ((uint8_t)text.p[n] & 0xC0) == 0x80)
        n--;
    for (; n > kept; n = utf8_before(text, n)) {
        int32_t id = word_token_id(m->vocabulary, (slice){ text.p, n });
        if (id < 0)
            continue;
        *length = n - kept;
        return id;
    }
    return -1;
}

/* The prefix is written over the bytes in front of the rest, which are done with. */
int wordpiece_word(const word_model *m, buf *scratch, slice word, token_list *out)
{
    const wordpiece *w = &m->wordpiece;
    size_t first = out->count, at = 0, length = 0;
    if (has_more_characters(word, w->characters_most))
        return token_list_add(out, m->unknown.id, 0, word.n);
    buf_clear(scratch);
    buf_slice(scratch, w->prefix);
    buf_slice(scratch, word);
    TRY(buf_status(scratch));
    for (; at < word.n; at += length) {
        size_t kept = at ? w->prefix.n : 0;
        char *rest = scratch->p + w->prefix.n + at - kept;
        if (kept)
            memcpy(rest, w->prefix.p, kept);
        int32_t id = longest_token(m, (slice){ rest, kept + word.n - at }, kept, &length);
        if (id < 0)
            break;
        TRY(token_list_add(out, id, at, at + length));
    }
    if (at == word.n)
        return LORAC_OK;
    out->count = first;
    return token_list_add(out, m->unknown.id, 0, word.n);
}
