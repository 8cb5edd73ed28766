/* detokenize.c: ids back to text: the tokens' strings go through the decoder's steps and are joined. Tokens hold bytes,
 * not characters: what comes out is always valid UTF-8, with U+FFFD for every longest invalid part (as Rust's and
 * Python's decoders do). */
#include "llama_tidy.h"

#include "array.h"
#include "tokenizer_parts.h"

#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD";

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

/* ---- Strings on their way */

/* The strings lie one behind the other in `bytes`; each knows where it ends. */
typedef struct string_end {
    size_t end;
    bool verbatim; /* left alone by DECODE_BYTES */
} string_end;

typedef struct strings {
    buf bytes;
    string_end *ends;
    size_t count, capacity;
    bool headless; /* what stood before all was left out */
} strings;

static slice string_at(const strings *s, size_t i)
{
    size_t begin = i ? s->ends[i - 1].end : 0;
    return (slice){ s->bytes.p ? s->bytes.p + begin : "", s->ends[i].end - begin };
}

/* What was added to the bytes since the last string is one. */
static int end_string(strings *s, bool verbatim)
{
    TRY(array_room(s->ends, s->capacity, s->count + 1));
    s->ends[s->count++] = (string_end){ s->bytes.n, verbatim };
    return buf_status(&s->bytes);
}

static int add_string(strings *s, slice text, bool verbatim)
{
    buf_slice(&s->bytes, text);
    return end_string(s, verbatim);
}

static void strings_free(strings *s)
{
    buf_free(&s->bytes);
    mem_free(s->ends);
}

/* ---- The steps. Each makes `out`, which is empty, of `in`. */

/* Appends `bytes` made valid. */
static void add_valid(slice bytes, buf *out)
{
    for (size_t at = 0; at < bytes.n;) {
        bool whole;
        size_t n = character_part(bytes, at, &whole);
        buf_slice(out, whole ? (slice){ bytes.p + at, n } : slice_of(replacement));
        at += n;
    }
}

/* What follows, expressions above all, is for text that is UTF-8. */
static int undo_letters(const strings *in, strings *out)
{
    for (size_t i = 0; i < in->count; i++) {
        if (in->ends[i].verbatim)
            buf_slice(&out->bytes, string_at(in, i));
        else
            add_letters_as_bytes(string_at(in, i), &out->bytes);
    }
    slice made = buf_slice_of(&out->bytes);
    if (utf8_valid(made) < made.n) {
        buf valid = { 0 };
        add_valid(made, &valid);
        buf_free(&out->bytes);
        out->bytes = valid;
    }
    return end_string(out, true);
}

/* A run of byte tokens in in[from, to). */
static int add_bytes(const strings *in, size_t from, size_t to, strings *out)
{
    size_t begin = out->bytes.n;
    for (size_t i = from; i < to; i++)
        buf_char(&out->bytes, (char)byte_of_token(string_at(in, i)));
    TRY(buf_status(&out->bytes));
    slice run = { out->bytes.p + begin, to - from };
    if (utf8_valid(run) == run.n)
        return end_string(out, true);
    out->bytes.n = begin;
    for (size_t i = from; i < to; i++)
        TRY(add_string(out, slice_of(replacement), true));
    return LORAC_OK;
}

static int byte_fallback(const strings *in, strings *out)
{
    for (size_t i = 0; i < in->count; i++) {
        size_t from = i;
        while (i < in->count && !in->ends[i].verbatim && byte_of_token(string_at(in, i)) >= 0)
            i++;
        if (i > from)
            TRY(add_bytes(in, from, i, out));
        if (i < in->count)
            TRY(add_string(out, string_at(in, i), in->ends[i].verbatim));
    }
    return LORAC_OK;
}

/* `text` with `content` in the place of every match of `p`. */
static int add_replaced(const pattern *p, slice content, slice text, matcher *m, buf *out)
{
    size_t at = 0, begin = 0, end = 0;
    TRY(matcher_start(m, p, text));
    for (;;) {
        bool found;
        TRY(matcher_next(m, &begin, &end, &found));
        if (!found)
            break;
        buf_add(out, text.p + at, begin - at);
        buf_slice(out, content);
        at = end;
    }
    buf_add(out, text.p + at, text.n - at);
    return LORAC_OK;
}

static void replace_text(slice text, slice old, const char *new, buf *out)
{
    while (text.n) {
        const char *found = memmem(text.p, text.n, old.p, old.n);
        size_t n = found && old.n ? (size_t)(found - text.p) : text.n;
        buf_add(out, text.p, n);
        if (n < text.n) {
            buf_text(out, new);
            n += old.n;
        }
        text = (slice){ text.p + n, text.n - n };
    }
}

static slice strip(const decode_step *step, slice text)
{
    slice c = step->content;
    for (size_t i = 0; i < step->start && c.n && slice_starts_with(text, c); i++)
        text = (slice){ text.p + c.n, text.n - c.n };
    for (size_t i = 0; i < step->stop && c.n && slice_ends_with(text, c); i++)
        text.n -= c.n;
    return text;
}

/* Blanks before punctuation and English contractions go (tokenizers' cleanup, string by string). */
static int tidy(slice text, buf *scratch, buf *out)
{
    static const char *const rules[][2] = {
        { " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
        { " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
        { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    size_t begin = out->n;
    buf_slice(out, text);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        TRY(buf_status(out));
        slice now = { out->p + begin, out->n - begin };
        if (!now.n || !memmem(now.p, now.n, rules[i][0], strlen(rules[i][0])))
            continue;
        buf_clear(scratch);
        replace_text(now, slice_of(rules[i][0]), rules[i][1], scratch);
        out->n = begin;
        buf_slice(out, buf_slice_of(scratch));
    }
    return buf_status(scratch);
}

static int join_piece(const decode_step *step, slice text, bool first, buf *scratch, buf *out)
{
    buf joined = { 0 };
    if (!first && !slice_starts_with(text, step->content))
        buf_char(&joined, ' ');
    size_t skip = !first && slice_starts_with(text, step->content) ? step->content.n : 0;
    buf_add(&joined, text.p + skip, text.n - skip);
    int status = buf_status(&joined);
    if (status == LORAC_OK && step->tidy)
        status = tidy(buf_slice_of(&joined), scratch, out);
    else if (status == LORAC_OK)
        buf_slice(out, buf_slice_of(&joined));
    buf_free(&joined);
    return status;
}

static int join_sound(const decode_step *step, slice text, buf *scratch, buf *out)
{
    buf bare = { 0 }, tidied = { 0 };
    replace_text(text, step->pad, "", &bare);
    int status = buf_status(&bare);
    if (status == LORAC_OK && step->tidy)
        status = tidy(buf_slice_of(&bare), scratch, &tidied);
    if (status == LORAC_OK && step->tidy)
        replace_text(buf_slice_of(&tidied), step->content, " ", out);
    else if (status == LORAC_OK)
        buf_slice(out, buf_slice_of(&bare));
    buf_free(&bare);
    buf_free(&tidied);
    return status;
}

/* Bytes in in[from, to) that no step has touched: characters where they are some, U+FFFD for each of the others. */
static int add_characters(const strings *in, size_t from, size_t to, strings *out)
{
    size_t begin = from ? in->ends[from - 1].end : 0;
    assert(in->bytes.p);
    slice run = { in->bytes.p + begin, in->ends[to - 1].end - begin };
    for (size_t at = 0; at < run.n;) {
        bool whole;
        size_t n = character_part(run, at, &whole);
        buf_slice(&out->bytes, whole ? (slice){ run.p + at, n } : slice_of(replacement));
        at += whole ? n : 1;
    }
    return end_string(out, true);
}

static bool is_byte(const strings *in, size_t i)
{
    return in->ends[i].verbatim && string_at(in, i).n == 1;
}

static int sentencepiece(const decode_step *step, const strings *in, strings *out)
{
    bool begins = true, blank_gone = false;
    for (size_t i = 0; i < in->count; i++) {
        size_t from = i;
        slice text = string_at(in, i), blank = slice_of("\u2581");
        while (i < in->count && is_byte(in, i))
            i++;
        if (i > from)
            TRY(add_characters(in, from, i--, out));
        begins = begins && !blank_gone && !out->bytes.n;
        if (i > from || is_byte(in, i))
            continue;
        blank_gone = begins && step->prefixed && !in->ends[i].verbatim && slice_starts_with(text, blank);
        if (blank_gone)
            text = (slice){ text.p + blank.n, text.n - blank.n };
        blank_gone = blank_gone && !step->tidy;
        if (in->ends[i].verbatim)
            buf_slice(&out->bytes, text);
        else
            replace_text(text, blank, " ", &out->bytes);
        TRY(end_string(out, true));
    }
    return LORAC_OK;
}

static void add_with_blanks(const decode_step *step, const strings *in, size_t i, buf *out)
{
    static const slice blank = { "\u2581", 3 }, space = { " ", 1 };
    slice text = string_at(in, i);
    bool verbatim = in->ends[i].verbatim;
    if (i == 0 && step->prefixed && !in->headless) {
        slice first = verbatim ? space : blank;
        if (slice_starts_with(text, first))
            text = (slice){ text.p + first.n, text.n - first.n };
        else if (slice_starts_with(text, space))
            text = (slice){ text.p + 1, text.n - 1 };
    }
    if (verbatim)
        buf_slice(out, text);
    else
        replace_text(text, blank, " ", out);
}

static int tidy_whole(const strings *in, strings *out)
{
    buf_slice(&out->bytes, buf_slice_of(&in->bytes));
    TRY(buf_status(&out->bytes));
    llama_tidy(&out->bytes, 0);
    return end_string(out, true);
}

/* The steps that see one string at a time. */
static int change_string(const decode_step *step, const strings *in, size_t i, matcher *m, buf *scratch, buf *out)
{
    slice text = string_at(in, i);
    switch (step->kind) {
    case DECODE_REPLACE:
        return add_replaced(&step->pattern, step->content, text, m, out);
    case DECODE_STRIP:
        buf_slice(out, strip(step, text));
        return LORAC_OK;
    case DECODE_METASPACE:
        replace_text(text, step->content, i == 0 && step->prefixed ? "" : " ", out);
        return LORAC_OK;
    case DECODE_WORDPIECE:
        return join_piece(step, text, i == 0, scratch, out);
    case DECODE_SUFFIX:
        replace_text(text, step->content, i + 1 < in->count ? " " : "", out);
        return LORAC_OK;
    case DECODE_BLANKS:
        add_with_blanks(step, in, i, out);
        return LORAC_OK;
    case DECODE_SPACES:
        if (i)
            buf_char(out, ' ');
        buf_slice(out, text);
        return LORAC_OK;
    default:
        assert(step->kind == DECODE_CTC);
        return i && slice_equal(text, string_at(in, i - 1)) ? LORAC_OK : join_sound(step, text, scratch, out);
    }
}

static int run_step(const decode_step *step, const strings *in, strings *out, matcher *m)
{
    buf scratch = { 0 };
    int status = LORAC_OK;
    if (step->kind == DECODE_BYTES)
        return undo_letters(in, out);
    if (step->kind == DECODE_BYTE_FALLBACK)
        return byte_fallback(in, out);
    if (step->kind == DECODE_SENTENCEPIECE)
        return sentencepiece(step, in, out);
    if (step->kind == DECODE_FUSE)
        return add_string(out, buf_slice_of(&in->bytes), false);
    if (step->kind == DECODE_LLAMA_TIDY)
        return tidy_whole(in, out);
    for (size_t i = 0; i < in->count && status == LORAC_OK; i++) {
        size_t before = out->bytes.n;
        status = change_string(step, in, i, m, &scratch, &out->bytes);
        if (status == LORAC_OK && (step->kind != DECODE_CTC || out->bytes.n > before))
            status = end_string(out, in->ends[i].verbatim);
    }
    buf_free(&scratch);
    return status;
}

/* ---- From ids */

static bool has_spelling(const tokenizer *t, int32_t id)
{
    return t->vocabulary.spelling && t->vocabulary.spelling[id].p;
}

static int add_token(const tokenizer *t, int32_t id, bool skip_special, strings *out)
{
    if (!tokenizer_token(t, id).p)
        return LORAC_OK; /* a model may have more rows than its tokenizer has tokens */
    uint8_t flags = t->vocabulary.flags[id];
    /* tokenizers compares what it decodes with the special tokens' texts */
    if (flags & TOKEN_SILENT || (skip_special && flags & TOKEN_SPECIAL && !has_spelling(t, id)))
        return LORAC_OK;
    slice token = has_spelling(t, id) ? t->vocabulary.spelling[id] : t->vocabulary.token[id];
    if (!(flags & TOKEN_BYTE))
        return add_string(out, token, flags & TOKEN_VERBATIM);
    buf_char(&out->bytes, (char)byte_of_token(token));
    return end_string(out, true);
}

static int decode(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, bool whole, buf *out)
{
    strings now = { 0 }, next = { 0 };
    matcher m = { 0 };
    int status = LORAC_OK;
    for (size_t i = 0; i < count; i++) {
        TRY_GOTO(add_token(t, ids[i], skip_special, &now));
        now.headless = now.headless || !now.count;
    }
    for (size_t i = 0; i < t->decode_count; i++) {
        if (t->decode[i].kind == DECODE_LLAMA_TIDY && !whole)
            continue;
        buf_clear(&next.bytes);
        next.count = 0;
        TRY_GOTO(run_step(&t->decode[i], &now, &next, &m));
        strings swapped = now;
        now = next;
        next = swapped;
    }
    TRY_GOTO(buf_status(&now.bytes));
    add_valid(buf_slice_of(&now.bytes), out);
    status = buf_status(out);
done:
    strings_free(&now);
    strings_free(&next);
    matcher_free(&m);
    return status;
}

int tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, buf *out)
{
    return decode(t, ids, count, skip_special, true, out);
}

int tokenizer_decode_part(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, buf *out)
{
    return decode(t, ids, count, skip_special, false, out);
}
