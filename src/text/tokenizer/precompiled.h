/* precompiled.h: SentencePiece's precompiled rules of normalising ("precompiled_charsmap"): strings and what each of
 * them becomes. The format: the size in bytes of a double array (Darts), its units of 32 bits, then the new strings,
 * each ended by a zero byte; all little-endian. Every index of it is checked when it is used. */
#ifndef LORAC_PRECOMPILED_H
#define LORAC_PRECOMPILED_H

#include "arena.h"
#include "changes.h"
#include "err.h"

typedef struct precompiled {
    const uint32_t *units;
    size_t unit_count;
    slice strings;
} precompiled;

/* Copies the bytes into the arena. */
int precompiled_open(const precompiled **out, slice bytes, arena *a, fault where);
/* Appends them in the format. */
void precompiled_write(const precompiled *p, buf *out);
/* What the longest rule that begins `text` makes of it, and the length of what it is about: SentencePiece's own use. */
bool precompiled_longest(const precompiled *p, slice text, size_t *length, slice *made);
/* Whether a rule begins with `text`, or is a beginning of it. */
bool precompiled_knows(const precompiled *p, slice text);
/* Hugging Face's use: by grapheme clusters, then by characters, always with the shortest rule. */
int precompiled_changes(const precompiled *p, slice text, changes *list);

#endif
