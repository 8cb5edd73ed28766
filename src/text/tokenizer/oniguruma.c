/* oniguruma.c: expressions in Oniguruma's syntax (Ruby's, which Hugging Face's tokenizers use) rewritten for PCRE2
 * where the two read the same letters otherwise: classes within a class and intersections of them, what a word
 * character is and so where a word ends, \h and \u. What cannot be said in PCRE2 is refused. Reference: Oniguruma's
 * doc/RE. */
#include "err.h"
#include "pattern.h"

#include <string.h>

/* PCRE2's \w knows no marks. Outside of classes, Oniguruma's table of Latin-1 counts six fractions and superscripts,
 * too. */
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define WORD_ALONE WORD "\\xB2\\xB3\\xB9\\xBC-\\xBE"

static const struct {
    char letter;
    const char *outside, *inside; /* a class; inside NULL: cannot be said there */
} escapes[] = {
    { 'w', "[" WORD_ALONE "]", WORD },
    { 'W', "[^" WORD_ALONE "]", NULL },
    { 'b', "(?:(?<=[" WORD_ALONE "])(?![" WORD_ALONE "])|(?<![" WORD_ALONE "])(?=[" WORD_ALONE "]))", "\\x08" },
    { 'B', "(?:(?<=[" WORD_ALONE "])(?=[" WORD_ALONE "])|(?<![" WORD_ALONE "])(?![" WORD_ALONE "]))", NULL },
    { 'h', "[0-9a-fA-F]", "0-9a-fA-F" },
    { 'H', "[^0-9a-fA-F]", NULL },
};

/* Lists with names, in a class. */
static const char *const lists[][2] = {
    { "[:alnum:]", "\\p{Alphabetic}\\p{Nd}" },
    { "[:alpha:]", "\\p{Alphabetic}" },
    { "[:ascii:]", "\\x00-\\x7F" },
    { "[:blank:]", "\\p{Zs}\\t" },
    { "[:cntrl:]", "\\p{Cc}" },
    { "[:digit:]", "\\p{Nd}" },
    { "[:lower:]", "\\p{Lowercase}" },
    { "[:punct:]", "\\p{P}\\p{S}" },
    { "[:space:]", "\\s" },
    { "[:upper:]", "\\p{Uppercase}" },
    { "[:xdigit:]", "0-9a-fA-F" },
    { "[:word:]", WORD },
};

typedef struct rewriting {
    slice in;
    size_t at;
    buf *out;
    fault where;
    int depth; /* of classes */
} rewriting;

enum { DEPTH_MOST = 16 };

static bool next_is(const rewriting *r, const char *text)
{
    size_t n = strlen(text);
    return r->in.n - r->at >= n && !memcmp(r->in.p + r->at, text, n);
}

/* "\u3040" is "\x{3040}" in PCRE2. */
static int copy_codepoint(rewriting *r)
{
    size_t digits = r->in.n - r->at - 2;
    const char *first = r->in.p + r->at + 2;
    if (digits < 4 || strspn(first, "0123456789abcdefABCDEF") < 4)
        return fail_at(LORAC_ERROR_DATA, r->where, "\\u is followed by four hexadecimal digits");
    buf_format(r->out, "\\x{%.4s}", first);
    r->at += 6;
    return LORAC_OK;
}

static int copy_escape(rewriting *r, bool inside)
{
    char letter = r->at + 1 < r->in.n ? r->in.p[r->at + 1] : 0;
    if (letter == 'u')
        return copy_codepoint(r);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        if (escapes[i].letter != letter)
            continue;
        const char *text = inside ? escapes[i].inside : escapes[i].outside;
        if (!text)
            return fail_at(LORAC_ERROR_DATA, r->where, "\\%c within a character class is not supported", letter);
        buf_text(r->out, text);
        r->at += 2;
        return LORAC_OK;
    }
    size_t n = letter ? 2 : 1;
    buf_add(r->out, r->in.p + r->at, n);
    r->at += n;
    return LORAC_OK;
}

static int copy_list(rewriting *r)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (!next_is(r, lists[i][0]))
            continue;
        buf_text(r->out, lists[i][1]);
        r->at += strlen(lists[i][0]);
        return LORAC_OK;
    }
    return fail_at(LORAC_ERROR_DATA, r->where, "this named list of characters is not supported");
}

/* One character of a class. A '-' that begins or ends a spliced list must not make a range with its neighbours. */
static void copy_member(rewriting *r, bool first)
{
    char c = r->in.p[r->at++];
    bool last = r->at < r->in.n && r->in.p[r->at] == ']';
    if (c == '-' && r->depth > 1 && (first || last))
        buf_char(r->out, '\\');
    buf_char(r->out, c);
}

static int copy_members(rewriting *r);

/* A class within a class adds its characters. */
static int splice_class(rewriting *r)
{
    if (next_is(r, "[^") || (r->out->n && r->out->p[r->out->n - 1] == '-') || r->depth == DEPTH_MOST)
        return fail_at(LORAC_ERROR_DATA, r->where,
                       "a character class within a character class that is more than a list is not supported");
    r->at++;
    TRY(copy_members(r));
    if (next_is(r, "&&"))
        return fail_at(LORAC_ERROR_DATA, r->where,
                       "an intersection (&&) within a class within a class is not supported");
    r->at += r->at < r->in.n;
    return LORAC_OK;
}

/* What stands between the brackets, up to the ']' or the next "&&". */
static int copy_members(rewriting *r)
{
    r->depth++;
    for (size_t begin = r->at; r->at < r->in.n && !next_is(r, "&&");) {
        char c = r->in.p[r->at];
        if (c == ']' && r->at > begin)
            break;
        if (next_is(r, "[:"))
            TRY(copy_list(r));
        else if (c == '[')
            TRY(splice_class(r));
        else if (c == '\\')
            TRY(copy_escape(r, true));
        else if (c == ']')
            buf_text(r->out, "\\]"), r->at++;
        else
            copy_member(r, r->at == begin);
    }
    r->depth--;
    return LORAC_OK;
}

/* One side of an intersection as a class of its own: a list, or a class that may say "all but". */
static int copy_side(rewriting *r)
{
    if (!next_is(r, "[^")) {
        buf_char(r->out, '[');
        TRY(copy_members(r));
    } else {
        buf_text(r->out, "[^");
        r->at += 2;
        TRY(copy_members(r));
        r->at += r->at < r->in.n;
        if (!next_is(r, "&&") && !next_is(r, "]"))
            return fail_at(LORAC_ERROR_DATA, r->where,
                           "a negated character class beside others within a class is not supported");
    }
    buf_char(r->out, ']');
    return LORAC_OK;
}

/* [a&&b] is (?:(?=[b])[a]), and [^a&&b] is (?:(?!(?=[b])[a])[\s\S]). */
static int end_intersection(rewriting *r, const buf *first, bool negated)
{
    buf_text(r->out, negated ? "(?:(?!" : "(?:");
    while (next_is(r, "&&")) {
        r->at += 2;
        buf_text(r->out, "(?=");
        TRY(copy_side(r));
        buf_char(r->out, ')');
    }
    buf_slice(r->out, buf_slice_of(first));
    buf_text(r->out, negated ? ")[\\s\\S])" : ")");
    return LORAC_OK;
}

/* From '[' to its ']'. */
static int copy_class(rewriting *r)
{
    buf first = { 0 }, *out = r->out;
    bool negated = next_is(r, "[^");
    r->at += negated ? 2 : 1;
    r->out = &first;
    int status = copy_side(r);
    r->out = out;
    if (status == LORAC_OK)
        status = buf_status(&first);
    if (status == LORAC_OK && next_is(r, "&&")) {
        status = end_intersection(r, &first, negated);
    } else if (status == LORAC_OK) {
        bool twice = negated && slice_starts(buf_slice_of(&first), "[^");
        buf_text(out, negated && !twice ? "[^" : "[");
        buf_slice(out, (slice){ first.p + 1 + twice, first.n - 1 - twice });
    }
    r->at += r->at < r->in.n;
    if (status == LORAC_OK)
        status = buf_status(&first);
    buf_free(&first);
    return status;
}

int oniguruma_rewrite(slice expression, fault where, buf *out)
{
    rewriting r = { .in = expression, .out = out, .where = where };
    while (r.at < r.in.n) {
        char c = r.in.p[r.at];
        if (c == '\\')
            TRY(copy_escape(&r, false));
        else if (c == '[')
            TRY(copy_class(&r));
        else
            buf_char(out, c), r.at++;
    }
    return buf_status(out);
}
