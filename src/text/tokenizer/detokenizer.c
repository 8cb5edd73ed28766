/* detokenizer.c: a stream of ids to a stream of text. What a token adds depends on its neighbours, so a window of the
 * last ids is decoded with and without those whose text is out already, and the difference is new. A window whose text
 * ends with U+FFFD may end within a character and waits for more. */
#include "array.h"
#include "err.h"
#include "mem.h"
#include "tokenizer.h"

#include <string.h>

/* A character has four bytes at most: a window of more ids than this holds bytes that are no character. */
enum { HELD_MOST = 8 };

static const char replacement[] = "\xEF\xBF\xBD";

void detokenizer_init(detokenizer *d, const tokenizer *t, bool skip_special)
{
    *d = (detokenizer){ .t = t, .skip_special = skip_special };
}

/* The window's text that is new; out of its first d->said ids all text is out. */
static int add_news(detokenizer *d, bool all, buf *out)
{
    buf before = { 0 }, now = { 0 };
    int status = LORAC_OK;
    TRY_GOTO(tokenizer_decode_part(d->t, d->ids, d->said, d->skip_special, &before));
    TRY_GOTO(tokenizer_decode_part(d->t, d->ids, d->count, d->skip_special, &now));
    bool waits = !all && d->count - d->said < HELD_MOST && slice_ends(buf_slice_of(&now), replacement);
    if (now.n <= before.n && d->count - d->said >= HELD_MOST)
        d->count = d->said; /* a long run of tokens without text */
    if (now.n <= before.n || waits)
        goto done;
    buf_add(out, now.p + before.n, now.n - before.n);
    status = buf_status(out);
    memmove(d->ids, d->ids + d->said, (d->count - d->said) * sizeof *d->ids);
    d->count -= d->said;
    d->said = d->count;
done:
    buf_free(&before);
    buf_free(&now);
    return status;
}

int detokenizer_feed(detokenizer *d, int32_t id, buf *out)
{
    TRY(array_room(d->ids, d->capacity, d->count + 1));
    d->ids[d->count++] = id;
    return add_news(d, false, out);
}

int detokenizer_end(detokenizer *d, buf *out)
{
    int status = add_news(d, true, out);
    mem_free(d->ids);
    *d = (detokenizer){ 0 };
    return status;
}
