/* generate.c: the loop around session_step, and holding back what may become a stop string. */
#include "generate.h"

#include "clock.h"
#include "err.h"

#include <string.h>

typedef struct stream {
    const lorac_sampling *options;
    detokenizer decoder;
    bool decoding;
    buf *text;    /* all of it */
    size_t shown; /* bytes of it handed out */
    lorac_on_text on_text;
    void *user;
    bool stopped, refused; /* by a stop string; by on_text */
} stream;

/* Cuts the text at the first stop string in it. */
static void find_stop(stream *s)
{
    size_t cut = s->text->n;
    for (size_t i = 0; i < s->options->stop_count; i++) {
        const char *stop = s->options->stop[i];
        const char *at = *stop ? memmem(s->text->p, cut, stop, strlen(stop)) : NULL;
        if (at) {
            cut = (size_t)(at - s->text->p);
            s->stopped = true;
        }
    }
    s->text->n = cut;
}

/* How much of the text is certain: its end may be the beginning of a stop string. */
static size_t certain(const stream *s)
{
    size_t sure = s->text->n;
    for (size_t i = 0; i < s->options->stop_count; i++) {
        const char *stop = s->options->stop[i];
        size_t length = strlen(stop);
        for (size_t n = length ? length - 1 : 0; n > 0; n--)
            if (n <= s->text->n && memcmp(s->text->p + s->text->n - n, stop, n) == 0) {
                sure = s->text->n - n < sure ? s->text->n - n : sure;
                break;
            }
    }
    return sure;
}

static void show(stream *s, size_t until)
{
    if (until <= s->shown)
        return;
    if (s->on_text)
        s->refused |= s->on_text(s->user, s->text->p + s->shown, until - s->shown) != 0;
    s->shown = until;
}

static int stream_feed(stream *s, int32_t id)
{
    if (!s->decoding)
        return LORAC_OK;
    TRY(detokenizer_feed(&s->decoder, id, s->text));
    TRY(buf_status(s->text));
    if (s->text->n == 0)
        return LORAC_OK;
    find_stop(s);
    show(s, s->stopped ? s->text->n : certain(s));
    return LORAC_OK;
}

static int stream_end(stream *s)
{
    if (!s->decoding)
        return LORAC_OK;
    buf held = { 0 };
    int status = detokenizer_end(&s->decoder, &held);
    if (status == LORAC_OK && !s->stopped)
        buf_add(s->text, held.p ? held.p : "", held.n);
    buf_free(&held);
    if (s->text->n && !s->stopped)
        find_stop(s);
    show(s, s->text->n);
    return status == LORAC_OK ? buf_status(s->text) : status;
}

static int run(sequence *q, stream *s, int64_t limit, int32_t *ids, const volatile int *cancel, generation *out)
{
    int64_t longest = q->session->m->config.context;
    double start = clock_seconds();
    for (int64_t i = 0; i < limit && !s->stopped && !s->refused && !(cancel && *cancel); i++) {
        if ((int64_t)q->count > longest || q->run == q->count)
            break;
        TRY(session_step(q->session));
        if (i == 0) {
            out->prompt_seconds = clock_seconds() - start;
            start = clock_seconds();
        }
        if (q->last < 0) {
            out->stopped = true;
            break;
        }
        ids[out->count++] = q->last;
        TRY(stream_feed(s, q->last));
    }
    out->generation_seconds = clock_seconds() - start;
    out->stopped |= s->stopped;
    return LORAC_OK;
}

int generate(sequence *q, const tokenizer *t, int64_t limit, int32_t *ids, lorac_on_text on_text, void *user,
             const volatile int *cancel, generation *out)
{
    *out = (generation){ 0 };
    stream s = {
        .options = &q->sampler.options, .decoding = t != NULL, .text = &out->text, .on_text = on_text, .user = user
    };
    if (t)
        detokenizer_init(&s.decoder, t, true);
    int status = run(q, &s, limit, ids, cancel, out);
    int ended = stream_end(&s);
    return status != LORAC_OK ? status : ended;
}
