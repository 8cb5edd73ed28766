/* regex.c: see regex.h. What differs between Python's syntax and PCRE2's and may occur in a pattern for module names is
 * translated: \Z is the very end, {,n} counts from zero. Both classes and quantifiers see Unicode, as in Python. */
#include "regex.h"

#include "err.h"
#include "mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string.h>

enum {
    PATTERN_LIMIT = 1 << 16, /* bytes */
    MATCH_LIMIT = 200000,    /* steps: about 10 ms */
    DEPTH_LIMIT = 5000,
    HEAP_LIMIT = 4096 /* KiB */
};

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
    char *key, *pattern; /* for messages */
};

/* A copy in PCRE2's dialect. */
static void translate(buf *out, const char *pattern)
{
    bool in_class = false;

    for (const char *c = pattern; *c; c++) {
        if (*c == '\\' && c[1]) {
            buf_char(out, '\\');
            c++;
            buf_char(out, *c == 'Z' && !in_class ? 'z' : *c);
        } else if (!in_class && *c == '{' && c[1] == ',' && c[2] >= '0' && c[2] <= '9') {
            buf_text(out, "{0");
        } else {
            if (*c == '[' && !in_class) {
                in_class = true;
                buf_char(out, *c);
                if (c[1] == '^')
                    buf_char(out, *++c);
                if (c[1] == ']')
                    buf_char(out, *++c);
                continue;
            }
            in_class = in_class && *c != ']';
            buf_char(out, *c);
        }
    }
}

static int fail_syntax(const regex *r, int error)
{
    PCRE2_UCHAR text[256];

    pcre2_get_error_message(error, text, sizeof text);
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = r->key, .found = r->pattern },
                   "the regular expression is not right: %s", (const char *)text);
}

static int compile(regex *r, slice pattern, regex_mode mode)
{
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_ANCHORED;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    int error;
    PCRE2_SIZE at;

    if (!context)
        return fail_memory();
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_max_pattern_length(context, PATTERN_LIMIT);
    if (mode == REGEX_FULLMATCH)
        options |= PCRE2_ENDANCHORED;
    r->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &error, &at, context);
    pcre2_compile_context_free(context);
    return r->code ? LORAC_OK : fail_syntax(r, error);
}

static int set_up(regex *r, const char *before, const char *pattern, const char *after, regex_mode mode,
                  const char *key)
{
    buf text = { 0 };
    int status;

    r->key = mem_text(key);
    r->pattern = mem_text(pattern);
    if (!r->key || !r->pattern)
        return fail_memory();
    if (strncmp(pattern, "(*", 2) == 0) /* to PCRE2 an order, to Python an error */
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = key, .found = pattern },
                       "the regular expression is not right: nothing to repeat");
    buf_text(&text, before);
    translate(&text, pattern);
    buf_text(&text, after);
    status = buf_status(&text);
    if (status == LORAC_OK)
        status = compile(r, buf_slice_of(&text), mode);
    buf_free(&text);
    TRY(status);
    r->data = pcre2_match_data_create_from_pattern(r->code, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (!r->data || !r->limits)
        return fail_memory();
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT);
    return LORAC_OK;
}

int regex_new(regex **out, const char *before, const char *pattern, const char *after, regex_mode mode, const char *key)
{
    regex *r = mem_new(1, sizeof *r);
    int status;

    *out = NULL;
    if (!r)
        return fail_memory();
    status = set_up(r, before, pattern, after, mode, key);
    if (status != LORAC_OK) {
        regex_free(r);
        return status;
    }
    *out = r;
    return LORAC_OK;
}

void regex_free(regex *r)
{
    if (!r)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    mem_free(r->key);
    mem_free(r->pattern);
    mem_free(r);
}

static slice named_group(regex *r, const char *subject)
{
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(r->data);
    int number = pcre2_substring_number_from_name(r->code, (PCRE2_SPTR) "idx");

    if (number < 0 || span[2 * number] == PCRE2_UNSET)
        return (slice){ 0 };
    return (slice){ subject + span[2 * number], span[2 * number + 1] - span[2 * number] };
}

static int fail_match(const regex *r, int error, const char *subject)
{
    PCRE2_UCHAR text[256];

    if (error == PCRE2_ERROR_NOMEMORY)
        return fail_memory();
    pcre2_get_error_message(error, text, sizeof text);
    return fail_at(LORAC_ERROR_USAGE, (fault){ .key = r->key, .found = r->pattern, .hint = "Write a simpler pattern" },
                   "the regular expression cannot be tried on the module name %s: %s", subject, (const char *)text);
}

int regex_try(regex *r, const char *subject, bool *matches, slice *group)
{
    int found = pcre2_match(r->code, (PCRE2_SPTR)subject, strlen(subject), 0, 0, r->data, r->limits);

    *matches = found >= 0;
    if (found >= 0 && group)
        *group = named_group(r, subject);
    return found >= 0 || found == PCRE2_ERROR_NOMATCH ? LORAC_OK : fail_match(r, found, subject);
}
