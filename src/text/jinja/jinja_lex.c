/* jinja_lex.c: template text to tokens, white-space control included: after this stage trim_blocks, lstrip_blocks and
 * the - and + signs of tags are settled, comments and raw blocks are gone. Knows nothing of grammar. */
#include "array.h"
#include "jinja_parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct lexer {
    template *t;
    token_list *out;
    const char *p, *end;
    const char *mark; /* the place of which line and column are known */
    uint32_t line, column;
    bool line_starting; /* what was consumed last ended a line, or nothing was */
    char *brackets;     /* the closing brackets that are awaited */
    size_t depth;
} lexer;

/* The line and column of `at`, counted on from the last place asked for; from the start when that lies behind it. */
static void place(lexer *x, const char *at, token *t)
{
    if (at < x->mark) {
        x->mark = x->t->source.p;
        x->line = x->column = 1;
    }
    for (; x->mark < at; x->mark++) {
        if (*x->mark == '\n') {
            x->line++;
            x->column = 1;
        } else if ((*x->mark & 0xC0) != 0x80) {
            x->column++;
        }
    }
    t->line = x->line;
    t->column = x->column;
}

static int lex_fail(lexer *x, const char *at, const char *message)
{
    token t;
    place(x, at, &t);
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = x->t->file, .line = t.line, .column = t.column }, "%s", message);
}

static int push(lexer *x, token_kind kind, const char *at, slice text, value number)
{
    token_list *list = x->out;
    TRY(array_room(list->items, list->capacity, list->count + 1));
    token *t = &list->items[list->count++];
    *t = (token){ .kind = (uint8_t)kind, .text = text, .number = number };
    place(x, at, t);
    return LORAC_OK;
}

static int push_data(lexer *x, const char *begin, const char *end)
{
    if (begin == end)
        return LORAC_OK;
    return push(x, TOKEN_DATA, begin, (slice){ begin, (size_t)(end - begin) }, value_none());
}

static const char *skip_space(const char *p, const char *end)
{
    slice rest = { p, (size_t)(end - p) };
    size_t at = 0;
    while (at < rest.n) {
        size_t next = at;
        if (!codepoint_is_space(utf8_next(rest, &next)))
            break;
        at = next;
    }
    return p + at;
}

static bool starts(const lexer *x, const char *p, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(x->end - p) >= n && memcmp(p, text, n) == 0;
}

/* The data before a tag: where it ends once the tag's sign, or lstrip_blocks, has taken its white space. */
static const char *strip_before(const lexer *x, const char *begin, const char *end, char sign, bool is_variable)
{
    slice text = { begin, (size_t)(end - begin) };
    if (sign == '-')
        return begin + text_strip(text, false, true).n;
    if (sign == '+' || is_variable)
        return end;
    const char *newline = memrchr(begin, '\n', text.n);
    if (!newline && !x->line_starting)
        return end;
    const char *line = newline ? newline + 1 : begin;
    return skip_space(line, end) == end ? line : end;
}

/* The end of a tag that closes with `close` ("%}" or "#}") at p, its sign included; NULL when there is none. */
static const char *block_close(const lexer *x, const char *p, const char *close)
{
    if (p < x->end && *p == '+' && starts(x, p + 1, close))
        return p + 3;
    if (p < x->end && *p == '-' && starts(x, p + 1, close))
        return skip_space(p + 3, x->end);
    if (!starts(x, p, close))
        return NULL;
    return p + 2 + (p + 2 < x->end && p[2] == '\n');
}

static const char *variable_close(const lexer *x, const char *p)
{
    if (p < x->end && *p == '-' && starts(x, p + 1, "}}"))
        return skip_space(p + 3, x->end);
    return starts(x, p, "}}") ? p + 2 : NULL;
}

/* {% raw %}: past it, or NULL when p is something else. trim_blocks does not apply to it. */
static const char *raw_open(const lexer *x, const char *p)
{
    p += 2;
    if (p < x->end && (*p == '-' || *p == '+'))
        p++;
    p = skip_space(p, x->end);
    if (!starts(x, p, "raw"))
        return NULL;
    p = skip_space(p + 3, x->end);
    if (starts(x, p, "-%}"))
        return skip_space(p + 3, x->end);
    return starts(x, p, "%}") ? p + 2 : NULL;
}

static int lex_raw(lexer *x, const char *tag, const char *body)
{
    x->line_starting = body[-1] == '\n';
    for (const char *p = body; (p = memmem(p, (size_t)(x->end - p), "{%", 2)) != NULL; p += 2) {
        const char *word = p + 2;
        char sign = word < x->end && (*word == '-' || *word == '+') ? *word++ : 0;
        word = skip_space(word, x->end);
        if (!starts(x, word, "endraw"))
            continue;
        const char *after = block_close(x, skip_space(word + 6, x->end), "%}");
        if (!after)
            continue;
        TRY(push_data(x, body, strip_before(x, body, p, sign, false)));
        x->p = after;
        return LORAC_OK;
    }
    return lex_fail(x, tag, "{% raw %} without {% endraw %}");
}

static int lex_comment(lexer *x, const char *tag)
{
    const char *body = tag + 2;
    if (body < x->end && (*body == '-' || *body == '+'))
        body++;
    const char *close = memmem(body, (size_t)(x->end - body), "#}", 2);
    if (!close)
        return lex_fail(x, tag, "comment without its end #}");
    if (close > body && (close[-1] == '-' || close[-1] == '+'))
        close--;
    x->p = block_close(x, close, "#}");
    return LORAC_OK;
}

static int octal(const char **p, const char *end)
{
    int c = 0;
    for (int i = 0; i < 3 && *p < end && **p >= '0' && **p <= '7'; i++, (*p)++)
        c = 8 * c + (**p - '0');
    return c;
}

/* \xhh, \uhhhh, \Uhhhhhhhh after the letter; -1 when digits lack. */
static int64_t hexadecimal(const char **p, const char *end, int digits)
{
    int64_t c = 0;
    if (end - *p < digits)
        return -1;
    for (int i = 0; i < digits; i++, (*p)++) {
        char digit = (char)(**p | 0x20);
        if (**p >= '0' && **p <= '9')
            c = 16 * c + (**p - '0');
        else if (digit >= 'a' && digit <= 'f')
            c = 16 * c + (digit - 'a' + 10);
        else
            return -1;
    }
    return c;
}

/* One escape of Python's unicode-escape codec, *p behind the backslash. False when it is malformed. */
static bool unescape(const char **p, const char *end, buf *out)
{
    static const char letters[] = "abfnrtv\\'\"", codes[] = "\a\b\f\n\r\t\v\\'\"";
    char c = **p;
    const char *known = c ? strchr(letters, c) : NULL;
    if (known) {
        buf_char(out, codes[known - letters]);
    } else if (c >= '0' && c <= '7') {
        buf_codepoint(out, (uint32_t)octal(p, end));
        return true;
    } else if (c == 'x' || c == 'u' || c == 'U') {
        (*p)++;
        int64_t codepoint = hexadecimal(p, end, c == 'x' ? 2 : c == 'u' ? 4 : 8);
        if (codepoint < 0 || codepoint > 0x10FFFF || (codepoint >= 0xD800 && codepoint < 0xE000))
            return false;
        buf_codepoint(out, (uint32_t)codepoint);
        return true;
    } else if (c == 'N') {
        return false;
    } else if (c != '\n') {
        buf_char(out, '\\');
        buf_char(out, c);
    }
    (*p)++;
    return true;
}

static int lex_string(lexer *x)
{
    const char *begin = x->p, *p = begin + 1;
    bool escaped = false;
    while (p < x->end && *p != *begin) {
        if (*p == '\\') {
            escaped = true;
            p++;
        }
        p += p < x->end;
    }
    if (p >= x->end)
        return lex_fail(x, begin, "string without its closing quote");
    slice body = { begin + 1, (size_t)(p - begin - 1) };
    x->p = p + 1;
    if (!escaped)
        return push(x, TOKEN_STRING, begin, body, value_none());
    buf text = { 0 };
    for (const char *at = body.p; at < p;) {
        if (*at != '\\') {
            buf_char(&text, *at++);
            continue;
        }
        const char *escape = at++;
        if (!unescape(&at, p, &text)) {
            buf_free(&text);
            return lex_fail(x, escape, "malformed or unsupported escape in a string");
        }
    }
    char *kept = buf_status(&text) ? NULL : arena_text(&x->t->arena, text.p ? text.p : "", text.n);
    slice s = { kept, text.n };
    buf_free(&text);
    return kept ? push(x, TOKEN_STRING, begin, s, value_none()) : fail_memory();
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits with single underscores between them, at p. */
static const char *digits(const char *p, const char *end)
{
    while (p < end && (is_digit(*p) || (*p == '_' && is_digit(p[-1]) && p + 1 < end && is_digit(p[1]))))
        p++;
    return p;
}

/* The end of a float at p, or p when the number there is an integer. */
static const char *float_end(const char *begin, const char *end)
{
    const char *p = digits(begin, end), *after = p;
    if (p + 1 < end && *p == '.' && is_digit(p[1]))
        after = p = digits(p + 1, end);
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *exponent = p + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-'))
            exponent++;
        if (exponent < end && is_digit(*exponent))
            after = digits(exponent, end);
    }
    return after;
}

static int number_base(const char *p, const char *end)
{
    char letter = end - p > 2 && *p == '0' ? (char)(p[1] | 0x20) : 0;
    return letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
}

static const char *integer_end(const char *p, const char *end, int base)
{
    static const char alphabet[] = "0123456789abcdef";
    if (base == 10)
        return *p == '0' ? p + strspn(p, "0") : digits(p, end);
    for (p += 2; p < end; p++)
        if (*p != '_' && !memchr(alphabet, *p >= 'A' && *p <= 'F' ? *p | 0x20 : *p, (size_t)base))
            break;
    return p;
}

static int lex_number(lexer *x)
{
    char digits_only[512], *stop;
    const char *begin = x->p, *end = float_end(begin, x->end);
    int base = number_base(begin, x->end);
    bool index = begin > x->t->source.p && begin[-1] == '.'; /* x.1.0 is x[1][0] */
    bool real = base == 10 && !index && end != digits(begin, x->end);
    size_t n = 0;
    if (!real)
        end = integer_end(begin, x->end, base);
    for (const char *p = begin + (base == 10 ? 0 : 2); p < end; p++) {
        if (n + 1 == sizeof digits_only)
            return lex_fail(x, begin, "number too long");
        if (*p != '_')
            digits_only[n++] = *p;
    }
    digits_only[n] = 0;
    x->p = end;
    slice text = { begin, (size_t)(end - begin) };
    if (real)
        return push(x, TOKEN_FLOAT, begin, text, value_of_float(strtod(digits_only, NULL)));
    errno = 0;
    long long integer = strtoll(digits_only, &stop, base);
    if (errno || *stop || !n)
        return lex_fail(x, begin, "integer beyond 64 bits");
    return push(x, TOKEN_INTEGER, begin, text, value_of_int(integer));
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static int bracket(lexer *x, char c, const char *at)
{
    if (c == '(' || c == '[' || c == '{') {
        if (x->depth == JINJA_NESTING_LIMIT)
            return lex_fail(x, at, "brackets nested too deeply");
        x->brackets[x->depth++] = (char)(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
        if (!x->depth || x->brackets[--x->depth] != c)
            return lex_fail(x, at, "closing bracket without its opening one");
    }
    return LORAC_OK;
}

static int lex_operator(lexer *x)
{
    static const char *const operators[] = { "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                             "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";" };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!starts(x, x->p, operators[i]))
            continue;
        TRY(bracket(x, *operators[i], x->p));
        slice text = { x->p, strlen(operators[i]) };
        x->p += text.n;
        return push(x, TOKEN_OPERATOR, text.p, text, value_none());
    }
    return lex_fail(x, x->p, "unexpected character in a tag");
}

static int lex_token(lexer *x)
{
    const char *begin = x->p;
    if (is_digit(*begin))
        return lex_number(x);
    if (*begin == '\'' || *begin == '"')
        return lex_string(x);
    if (!is_word(*begin))
        return lex_operator(x);
    while (x->p < x->end && is_word(*x->p))
        x->p++;
    return push(x, TOKEN_WORD, begin, (slice){ begin, (size_t)(x->p - begin) }, value_none());
}

/* The inside of {% %} or {{ }}, to its end. */
static int lex_tag(lexer *x, const char *tag, bool is_variable)
{
    x->p = tag + 2;
    if (x->p < x->end && (*x->p == '-' || *x->p == '+'))
        x->p++;
    TRY(push(x, is_variable ? TOKEN_VARIABLE_BEGIN : TOKEN_BLOCK_BEGIN, tag, (slice){ tag, 2 }, value_none()));
    x->depth = 0;
    for (;;) {
        x->p = skip_space(x->p, x->end);
        if (x->p >= x->end)
            return lex_fail(x, tag, is_variable ? "{{ without }}" : "{% without %}");
        const char *after = x->depth ? NULL : is_variable ? variable_close(x, x->p) : block_close(x, x->p, "%}");
        if (after) {
            TRY(push(x, is_variable ? TOKEN_VARIABLE_END : TOKEN_BLOCK_END, x->p, (slice){ x->p, 2 }, value_none()));
            x->p = after;
            return LORAC_OK;
        }
        TRY(lex_token(x));
    }
}

/* The next {%, {{ or {#, or NULL. */
static const char *find_tag(const lexer *x)
{
    for (const char *p = x->p; p + 1 < x->end && (p = memchr(p, '{', (size_t)(x->end - p - 1))) != NULL; p++)
        if (p[1] == '%' || p[1] == '{' || p[1] == '#')
            return p;
    return NULL;
}

static int lex_all(lexer *x)
{
    while (x->p < x->end) {
        const char *tag = find_tag(x), *begin = x->p;
        if (!tag) {
            TRY(push_data(x, begin, x->end));
            break;
        }
        char sign = tag + 2 < x->end && (tag[2] == '-' || tag[2] == '+') ? tag[2] : 0;
        TRY(push_data(x, begin, strip_before(x, begin, tag, sign, tag[1] == '{')));
        const char *raw = tag[1] == '%' ? raw_open(x, tag) : NULL;
        if (raw)
            TRY(lex_raw(x, tag, raw));
        else if (tag[1] == '#')
            TRY(lex_comment(x, tag));
        else
            TRY(lex_tag(x, tag, tag[1] == '{'));
        x->line_starting = x->p[-1] == '\n';
    }
    return push(x, TOKEN_END, x->end, (slice){ x->end, 0 }, value_none());
}

int jinja_lex(template *t, token_list *out)
{
    char brackets[JINJA_NESTING_LIMIT];
    lexer x = { .t = t,
                .out = out,
                .p = t->source.p,
                .end = t->source.p + t->source.n,
                .mark = t->source.p,
                .line = 1,
                .column = 1,
                .line_starting = true,
                .brackets = brackets };
    return lex_all(&x);
}
