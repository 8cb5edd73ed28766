/* detokenize.c: ids back to text. Tokens hold bytes, not characters: what comes out is always valid UTF-8, with U+FFFD
 * for every longest invalid part (as Rust's and Python's decoders do), and a stream holds back a character that is not
 * whole yet. */
#include "tokenizer_parts.h"

#include <string.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>" is the byte 10; anything else is -1. */
int byte_of_token(slice token)
{
    if (token.n != 6 || memcmp(token.p, "<0x", 3) || token.p[5] != '>')
        return -1;
    int high = digit_of(token.p[3]), low = digit_of(token.p[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void add_letters_as_bytes(slice token, buf *out)
{
    size_t start = out->n;
    for (size_t at = 0; at < token.n;) {
        int byte = byte_of_letter(utf8_next(token, &at));
        if (byte < 0) { /* not of the alphabet: the token stands for itself */
            out->n = start;
            buf_slice(out, token);
            return;
        }
        buf_char(out, (char)byte);
    }
}

static bool has_spelling(const tokenizer *t, int32_t id)
{
    return t->vocabulary.spelling && t->vocabulary.spelling[id].p;
}

/* The bytes of one token. `first`: nothing came before. */
static void add_token(const tokenizer *t, int32_t id, bool first, buf *out)
{
    slice token = has_spelling(t, id) ? t->vocabulary.spelling[id] : t->vocabulary.token[id];
    uint8_t flags = t->vocabulary.flags[id];
    if (flags & TOKEN_SILENT)
        return;
    if (flags & TOKEN_BYTE) {
        buf_char(out, (char)byte_of_token(token));
        return;
    }
    if (t->decode == DECODE_BYTES && !(flags & TOKEN_VERBATIM)) {
        add_letters_as_bytes(token, out);
        return;
    }
    if (t->decode == DECODE_JOIN && !first)
        buf_char(out, ' ');
    buf_slice(out, token);
}

/* How many bytes of `s` at `at` are the longest beginning of a character: *whole tells that it is one. The second
 * byte's range depends on the first (Unicode 15, table 3-7). */
static size_t character_part(slice s, size_t at, bool *whole)
{
    uint8_t c = (uint8_t)s.p[at];
    *whole = c < 0x80;
    size_t length = c < 0x80 ? 1 : c >= 0xC2 && c <= 0xDF ? 2 : (c & 0xF0) == 0xE0 ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
    if (length < 2)
        return 1;
    uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    size_t n = 1;
    for (; n < length && at + n < s.n; n++) {
        uint8_t next = (uint8_t)s.p[at + n];
        if (next < low || next > high)
            break;
        low = 0x80;
        high = 0xBF;
    }
    *whole = n == length;
    return n;
}

/* Appends `bytes` made valid; with `hold`, an unfinished character at the end is left. Returns how many bytes were
 * used. */
static size_t add_valid(slice bytes, bool hold, buf *out)
{
    size_t at = 0;
    while (at < bytes.n) {
        bool whole;
        size_t n = character_part(bytes, at, &whole);
        bool unfinished = !whole && at + n == bytes.n && (uint8_t)bytes.p[at] >= 0xC2 && (uint8_t)bytes.p[at] <= 0xF4;
        if (hold && unfinished)
            break;
        if (whole)
            buf_add(out, bytes.p + at, n);
        else
            buf_add(out, "\xEF\xBF\xBD", 3);
        at += n;
    }
    return at;
}

void detokenizer_init(detokenizer *d, const tokenizer *t, bool skip_special)
{
    *d = (detokenizer){ .t = t, .skip_special = skip_special };
}

int detokenizer_feed(detokenizer *d, int32_t id, buf *out)
{
    const tokenizer *t = d->t;
    if (!tokenizer_token(t, id).p)
        return LORAC_OK; /* a model may have more rows than its tokenizer has tokens */
    if (d->skip_special && tokenizer_is_special(t, id) &&
        !has_spelling(t, id)) /* tokenizers compares what it decodes */
        return LORAC_OK;
    add_token(t, id, !d->begun, &d->pending);
    d->begun = true;
    TRY(buf_status(&d->pending));
    size_t used = add_valid(buf_slice_of(&d->pending), true, out);
    if (used && d->pending.p) {
        memmove(d->pending.p, d->pending.p + used, d->pending.n - used);
        d->pending.n -= used;
    }
    return buf_status(out);
}

int detokenizer_end(detokenizer *d, buf *out)
{
    add_valid(buf_slice_of(&d->pending), false, out);
    buf_free(&d->pending);
    return buf_status(out);
}

int tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, buf *out)
{
    detokenizer d;
    size_t start = out->n;
    int status = LORAC_OK;
    detokenizer_init(&d, t, skip_special);
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        status = detokenizer_feed(&d, ids[i], out);
    if (status == LORAC_OK)
        return detokenizer_end(&d, out);
    buf_free(&d.pending);
    out->n = start;
    return status;
}
