/* pattern.c: the expressions tokenizers cut and replace with. They come from files, so they run interpreted (no JIT)
 * with limits. */
#include "tokenizer_parts.h"

#include <string.h>

/* For one match. A run of n blanks may take n steps back, so the steps grow with the text; what needs more of them than
 * its length is not an expression to cut words with. */
enum { HEAP_KIB_MOST = 256 * 1024, STEPS_LEAST = 10000, STEPS_PER_BYTE = 8 };

static int compile(pattern *out, slice expression, fault at)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return fail_memory();
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code;
    PCRE2_SIZE offset;
    out->code =
        pcre2_compile((PCRE2_SPTR)(expression.p ? expression.p : ""), expression.n,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, context);
    pcre2_compile_context_free(context);
    out->stand_in = character_known;
    if (out->code)
        return LORAC_OK;
    char message[160] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
    return fail_at(LORAC_ERROR_DATA, at, "the expression does not compile: %s at its byte %zu", message,
                   (size_t)offset);
}

int pattern_compile(pattern *out, slice expression, const char *file, const char *where)
{
    fault at = { .file = file, .key = where };
    buf rewritten = { 0 };
    *out = (pattern){ .expression = expression };
    int status = oniguruma_rewrite(expression, at, &rewritten);
    if (status == LORAC_OK)
        status = compile(out, buf_slice_of(&rewritten), at);
    buf_free(&rewritten);
    return status;
}

void pattern_free(pattern *p)
{
    pcre2_code_free(p->code);
    *p = (pattern){ 0 };
}

/* The text with stand-ins from `from` on. */
static int with_stand_ins(matcher *m, slice text, size_t from)
{
    buf_clear(&m->shadow);
    buf_add(&m->shadow, text.p, from);
    for (size_t at = from; at < text.n;)
        buf_codepoint(&m->shadow, m->pattern->stand_in(utf8_next(text, &at)));
    m->text = buf_slice_of(&m->shadow);
    return buf_status(&m->shadow);
}

int matcher_start(matcher *m, const pattern *p, slice text)
{
    m->pattern = p;
    m->text = text;
    m->at = 0;
    m->last_end = SIZE_MAX;
    for (size_t at = 0; at < text.n && !p->literal.p && p->stand_in;) {
        size_t begin = at;
        if ((uint8_t)text.p[at] < 0x80) {
            at++;
            continue;
        }
        uint32_t c = utf8_next(text, &at);
        if (p->stand_in(c) != c)
            return with_stand_ins(m, text, begin);
    }
    return LORAC_OK;
}

void matcher_free(matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->limits);
    buf_free(&m->shadow);
    *m = (matcher){ 0 };
}

static int find_literal(matcher *m, size_t *begin, size_t *end, bool *found)
{
    slice l = m->pattern->literal;
    const char *p = l.n && m->at < m->text.n ? memmem(m->text.p + m->at, m->text.n - m->at, l.p, l.n) : NULL;
    *found = p != NULL;
    if (p) {
        *begin = (size_t)(p - m->text.p);
        m->at = *end = *begin + l.n;
    }
    return LORAC_OK;
}

static int find_expression(matcher *m, bool *found)
{
    if (!m->data && !(m->data = pcre2_match_data_create(1, NULL)))
        return fail_memory();
    if (!m->limits && !(m->limits = pcre2_match_context_create(NULL)))
        return fail_memory();
    pcre2_set_heap_limit(m->limits, HEAP_KIB_MOST);
    pcre2_set_match_limit(m->limits,
                          STEPS_LEAST + STEPS_PER_BYTE * (uint32_t)(m->text.n < 1 << 28 ? m->text.n : 1 << 28));
    int status =
        pcre2_match(m->pattern->code, (PCRE2_SPTR)m->text.p, m->text.n, m->at, PCRE2_NO_UTF_CHECK, m->data, m->limits);
    *found = status >= 0;
    if (status >= 0 || status == PCRE2_ERROR_NOMATCH)
        return LORAC_OK;
    if (status == PCRE2_ERROR_NOMEMORY)
        return fail_memory();
    char message[160] = "";
    pcre2_get_error_message(status, (PCRE2_UCHAR *)message, sizeof message);
    return fail(LORAC_ERROR_DATA, "a tokenizer's expression gave up on a text of %zu bytes: %s", m->text.n, message);
}

/* The step from match to match is Oniguruma's: an empty match right after a match does not count. */
int matcher_next(matcher *m, size_t *begin, size_t *end, bool *found)
{
    if (m->pattern->literal.p)
        return find_literal(m, begin, end, found);
    for (;;) {
        *found = false;
        if (m->at > m->text.n)
            return LORAC_OK;
        TRY(find_expression(m, found));
        if (!*found)
            return LORAC_OK;
        const PCRE2_SIZE *match = pcre2_get_ovector_pointer(m->data);
        *begin = match[0];
        *end = match[1] > match[0] ? match[1] : match[0];
        if (*begin < *end || m->last_end != *end)
            break;
        if (m->at == m->text.n)
            m->at++;
        else
            utf8_next(m->text, &m->at);
    }
    m->at = m->last_end = *end;
    return LORAC_OK;
}
