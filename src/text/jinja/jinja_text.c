/* jinja_text.c: Python's operations on text. Positions and lengths count characters (codepoints); text is UTF-8. */
#include "jinja.h"

#include <string.h>
#include <utf8proc.h>

bool codepoint_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool codepoint_is_printable(uint32_t c)
{
    if (c < 0x7F)
        return c >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

bool codepoint_is_alphanumeric(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO && category != UTF8PROC_CATEGORY_MN &&
           category != UTF8PROC_CATEGORY_MC && category != UTF8PROC_CATEGORY_ME;
}

static size_t character_bytes(char c)
{
    unsigned char first = (unsigned char)c;
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

size_t text_offset(slice s, size_t character)
{
    size_t at = 0;
    while (character-- && at < s.n)
        at += character_bytes(s.p[at]);
    return at < s.n ? at : s.n;
}

slice text_character(slice s, size_t offset)
{
    return (slice){ s.p + offset, character_bytes(s.p[offset]) };
}

const char *text_find(slice s, slice part)
{
    if (!part.n)
        return s.p ? s.p : "";
    return s.n ? memmem(s.p, s.n, part.p, part.n) : NULL;
}

/* `searched`: how many bytes of characters have been looked through. */
static bool strips(slice s, size_t at, const slice *characters, size_t *searched)
{
    size_t next = at;
    if (!characters)
        return codepoint_is_space(utf8_next(s, &next));
    *searched += characters->n;
    return text_find(*characters, text_character(s, at)) != NULL;
}

/* Goes on until `searched` is `most`. */
static slice strip(slice s, const slice *characters, bool left, bool right, size_t most, size_t *searched)
{
    size_t begin = 0;
    while (left && begin < s.n && *searched < most && strips(s, begin, characters, searched))
        begin += character_bytes(s.p[begin]);
    s = (slice){ s.n ? s.p + begin : s.p, s.n - begin };
    while (right && s.n && *searched < most) {
        size_t last = utf8_before(s, s.n);
        if (!strips(s, last, characters, searched))
            break;
        s.n = last;
    }
    return s;
}

slice text_strip(slice s, bool left, bool right)
{
    size_t searched = 0;
    return strip(s, NULL, left, right, SIZE_MAX, &searched);
}

int text_strip_of(machine *m, slice s, slice characters, bool left, bool right, slice *out)
{
    const size_t bytes_per_step = 256;
    size_t searched = 0;
    *out = strip(s, &characters, left, right, JINJA_STEP_LIMIT * bytes_per_step, &searched);
    return machine_spend(m, searched / bytes_per_step);
}

int text_replace(machine *m, slice s, slice old, slice new, int64_t count, value *out)
{
    builder b = { 0 };
    size_t at = 0;
    TRY(machine_spend(m, s.n / 64));
    while (count != 0 && at <= s.n) {
        slice rest = { s.p + at, s.n - at };
        const char *found = old.n ? text_find(rest, old) : rest.p;
        if (!found)
            break;
        TRY(builder_add(m, &b, rest.p, (size_t)(found - rest.p)));
        TRY(builder_slice(m, &b, new));
        at = (size_t)(found - s.p) + old.n;
        count--;
        if (old.n)
            continue;
        if (at == s.n) /* between any two characters, and at both ends */
            break;
        slice character = text_character(s, at);
        TRY(builder_slice(m, &b, character));
        at += character.n;
    }
    TRY(builder_add(m, &b, s.p + at, s.n - at));
    *out = builder_value(&b);
    return LORAC_OK;
}

int text_pad(machine *m, slice s, int64_t width, uint32_t fill, text_padding where, value *out)
{
    builder b = { 0 };
    char bytes[4];
    size_t n = utf8_put(fill, bytes);
    int64_t length = (int64_t)utf8_count(s), pad = width > length ? width - length : 0, left = 0;
    if (pad > (int64_t)JINJA_TEXT_LIMIT)
        return machine_fail(m, "the template makes a text of more than %zu MiB", (size_t)(JINJA_TEXT_LIMIT >> 20));
    if (where == PAD_LEFT)
        left = pad;
    else if (where == PAD_BOTH)
        left = pad / 2 + (pad & width & 1); /* where Python puts the odd one */
    TRY(machine_spend(m, (size_t)pad));
    for (int64_t i = 0; i < left; i++)
        TRY(builder_add(m, &b, bytes, n));
    TRY(builder_slice(m, &b, s));
    for (int64_t i = left; i < pad; i++)
        TRY(builder_add(m, &b, bytes, n));
    *out = builder_value(&b);
    return LORAC_OK;
}

/* Python's splitlines knows eleven line ends, and \r\n. */
static size_t line_end(slice s, size_t at)
{
    size_t next = at;
    uint32_t c = utf8_next(s, &next);
    if (c == '\r' && next < s.n && s.p[next] == '\n')
        return 2;
    bool ends = (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    return ends ? next - at : 0;
}

int text_lines(machine *m, slice s, bool keep_ends, sequence *out)
{
    value list;
    size_t count = 0, begin = 0, capacity = 1;
    TRY(machine_spend(m, s.n / 16));
    for (size_t at = 0; at < s.n; at += character_bytes(s.p[at]))
        capacity += line_end(s, at) != 0;
    TRY(value_new_sequence(m, VALUE_LIST, capacity, &list));
    for (size_t at = 0; at < s.n;) {
        size_t end = line_end(s, at);
        if (!end) {
            at += character_bytes(s.p[at]);
            continue;
        }
        list.sequence->items[count++] = value_of_slice((slice){ s.p + begin, at - begin + (keep_ends ? end : 0) });
        begin = at += end;
    }
    if (begin < s.n)
        list.sequence->items[count++] = value_of_slice((slice){ s.p + begin, s.n - begin });
    *out = (sequence){ list.sequence->items, count };
    return LORAC_OK;
}

static const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\'':
        return "&#39;";
    case '"':
        return "&#34;";
    default:
        return NULL;
    }
}

int text_escape(machine *m, value v, value *out)
{
    builder b = { 0 };
    TRY(value_string(m, v, &v));
    if (!v.markup) {
        TRY(machine_spend(m, v.n / 16));
        for (size_t i = 0; i < v.n; i++) {
            const char *entity = html_entity(v.text[i]);
            TRY(entity ? builder_text(m, &b, entity) : builder_add(m, &b, v.text + i, 1));
        }
        v = builder_value(&b);
    }
    *out = v;
    out->markup = true;
    return LORAC_OK;
}
