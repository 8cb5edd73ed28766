/* str.h: pieces of text (not owned, not NUL-terminated) and a growing buffer (owned, always
 * NUL-terminated). A buffer that runs out of memory remembers it; ask once at the end with buf_status. */
#ifndef LORAC_STR_H
#define LORAC_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct slice {
    const char *p;
    size_t n;
} slice;

slice slice_of(const char *text); /* NULL gives the empty slice */
bool slice_is(slice s, const char *text);
bool slice_equal(slice a, slice b);
bool slice_starts(slice s, const char *prefix);
bool slice_ends(slice s, const char *suffix);
bool slice_starts_with(slice s, slice prefix);
bool slice_ends_with(slice s, slice suffix);
char *slice_put(slice s, char *room, size_t size); /* as a string, cut to what fits: for messages. Returns room */
slice slice_trim(slice s);                         /* ASCII white space at both ends */
/* What stands behind the last `separator`; all of s where there is none. */
slice slice_last(slice s, char separator);
/* Is `name` one of the blank-separated `names`? */
bool name_is_in(const char *names, slice name);
/* Splits off everything before the first `separator`; *rest loses it and the separator. */
slice slice_cut(slice *rest, char separator);

typedef struct buf {
    char *p;
    size_t n, capacity;
    bool failed;
} buf; /* {0} is an empty one; p may be NULL then */

void buf_add(buf *b, const char *p, size_t n);
void buf_text(buf *b, const char *text);
void buf_slice(buf *b, slice s);
void buf_char(buf *b, char c);
void buf_codepoint(buf *b, uint32_t codepoint); /* as UTF-8 */
void buf_format(buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_json(buf *b, slice s); /* as a quoted JSON string, UTF-8 kept as it is */
void buf_clear(buf *b);         /* empty, memory kept */
void buf_free(buf *b);
int buf_status(const buf *b); /* LORAC_OK, or the out-of-memory failure */
slice buf_slice_of(const buf *b);

/* The codepoint at s[*at], advancing *at; invalid bytes give 0xFFFD and advance by one. */
uint32_t utf8_next(slice s, size_t *at);
/* The length of the character that begins with this byte, in text that is known to be valid. */
static inline size_t utf8_step(char first)
{
    return (uint8_t)first < 0x80 ? 1 : (uint8_t)first < 0xE0 ? 2 : (uint8_t)first < 0xF0 ? 3 : 4;
}
/* The offset of the first invalid byte, or s.n. */
size_t utf8_valid(slice s);
/* Of valid text: where the character before s[at] begins, at > 0; and how many characters there are. */
size_t utf8_before(slice s, size_t at);
size_t utf8_count(slice s);
/* Writes a codepoint's bytes; returns how many they are. */
size_t utf8_put(uint32_t codepoint, char bytes[4]);
/* The one of `names` that is nearest to `word` by edits, or NULL when none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
