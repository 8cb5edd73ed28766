/* precompiled.c: looking up SentencePiece's precompiled rules. The double array is Darts-clone's: a unit holds a label
 * in its low byte, whether a value hangs below it in bit 8, and the exclusive-or offset to its children above. */
#include "precompiled.h"

#include "passage.h"

#include <string.h>
#include <utf8proc.h>

static uint32_t little_endian(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

int precompiled_open(const precompiled **out, slice bytes, arena *a, fault where)
{
    size_t size = bytes.n >= 4 ? little_endian(bytes.p) : 0;
    if (size < 4 || size % 4 || size > bytes.n - 4)
        return fail_at(LORAC_ERROR_DATA, where, "the precompiled rules are damaged: %zu bytes with a table of %zu",
                       bytes.n, size);
    slice strings = { bytes.p + 4 + size, bytes.n - 4 - size };
    if (utf8_valid(strings) != strings.n)
        return fail_at(LORAC_ERROR_DATA, where, "the precompiled rules make text that is not UTF-8");
    precompiled *p = arena_new(a, 1, sizeof *p);
    uint32_t *units = arena_new(a, size / 4, sizeof *units);
    const char *copy = arena_text(a, strings.p, strings.n);
    if (!p || !units || !copy)
        return fail_memory();
    for (size_t i = 0; i < size / 4; i++)
        units[i] = little_endian(bytes.p + 4 + 4 * i);
    *p = (precompiled){ units, size / 4, { copy, strings.n } };
    *out = p;
    return LORAC_OK;
}

static void write_little_endian(buf *out, uint32_t value)
{
    for (int byte = 0; byte < 4; byte++)
        buf_char(out, (char)(value >> 8 * byte));
}

void precompiled_write(const precompiled *p, buf *out)
{
    write_little_endian(out, (uint32_t)(4 * p->unit_count));
    for (size_t i = 0; i < p->unit_count; i++)
        write_little_endian(out, p->units[i]);
    buf_slice(out, p->strings);
}

static size_t children_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The string that begins at `offset`, or false: no string begins there. */
static bool string_at(const precompiled *p, size_t offset, slice *made)
{
    if (offset >= p->strings.n || ((uint8_t)p->strings.p[offset] & 0xC0) == 0x80)
        return false;
    const char *start = p->strings.p + offset;
    const char *end = memchr(start, 0, p->strings.n - offset);
    *made = (slice){ start, end ? (size_t)(end - start) : p->strings.n - offset };
    return true;
}

/* One byte further: false, if no rule goes there. *at is then where the byte's children are. */
static bool step(const precompiled *p, uint8_t byte, size_t *at, uint32_t *unit)
{
    *at ^= byte;
    if (!byte || *at >= p->unit_count || (p->units[*at] & (1u << 31 | 0xFF)) != byte)
        return false;
    *unit = p->units[*at];
    *at ^= children_of(*unit);
    return true;
}

bool precompiled_knows(const precompiled *p, slice text)
{
    size_t at = children_of(p->units[0]);
    uint32_t unit;
    for (size_t i = 0; i < text.n; i++) {
        if (!step(p, (uint8_t)text.p[i], &at, &unit))
            return false;
        if (unit >> 8 & 1)
            return true;
    }
    return true;
}

/* The shortest or the longest rule that begins `text`. */
static bool find(const precompiled *p, slice text, bool longest, size_t *length, slice *made)
{
    bool found = false;
    size_t at = children_of(p->units[0]);
    uint32_t unit;
    for (size_t i = 0; i < text.n && step(p, (uint8_t)text.p[i], &at, &unit); i++) {
        if (!(unit >> 8 & 1) || at >= p->unit_count)
            continue;
        if (!string_at(p, p->units[at] & ~(1u << 31), made))
            continue;
        *length = i + 1;
        found = true;
        if (!longest)
            break;
    }
    return found;
}

bool precompiled_longest(const precompiled *p, slice text, size_t *length, slice *made)
{
    return find(p, text, true, length, made);
}

/* ---- As Hugging Face does it */

enum { GRAPHEME_LONGEST = 6 }; /* bytes; longer ones go by characters */

/* utf8proc's own view of the characters it knows, which are more than character_known is for. */
static utf8proc_int32_t character_at(slice text, size_t *at)
{
    uint32_t c = utf8_next(text, at);
    bool known = utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_CN;
    return (utf8proc_int32_t)(known ? c : character_known(c));
}

/* Where the grapheme cluster that begins at `at` ends. */
static size_t grapheme_end(slice text, size_t at)
{
    utf8proc_int32_t state = 0;
    utf8proc_int32_t c = character_at(text, &at);
    while (at < text.n) {
        size_t next = at;
        utf8proc_int32_t after = character_at(text, &next);
        if (utf8proc_grapheme_break_stateful(c, after, &state))
            break;
        c = after;
        at = next;
    }
    return at;
}

/* Characters beyond those of `old` are new ones; too few of them: the last there is takes in the rest. */
static int replace(slice old, slice made, changes *list)
{
    int32_t more = (int32_t)(utf8_count(made) - utf8_count(old)), total = (int32_t)utf8_count(made);
    for (size_t at = 0; at < made.n; total--) {
        uint32_t c = utf8_next(made, &at);
        TRY(changes_add(list, (change){ .c = c, .change = total <= more }));
    }
    if (more < 0 && list->n)
        list->p[list->n - 1].change += more;
    return LORAC_OK;
}

int precompiled_changes(const precompiled *p, slice text, changes *list)
{
    slice made;
    size_t length;
    for (size_t at = 0, next; at < text.n; at = next) {
        next = grapheme_end(text, at);
        slice cluster = { text.p + at, next - at };
        if (cluster.n < GRAPHEME_LONGEST && find(p, cluster, false, &length, &made)) {
            TRY(replace(cluster, made, list));
            continue;
        }
        for (size_t i = 0, begin = 0; i < cluster.n; begin = i) {
            uint32_t c = utf8_next(cluster, &i);
            slice character = { cluster.p + begin, i - begin };
            bool found = find(p, character, false, &length, &made);
            TRY(found ? replace(character, made, list) : changes_add(list, (change){ .c = c }));
        }
    }
    return LORAC_OK;
}
