/* passage.h: a text on its way through a tokenizer: its bytes as they are now, for each the part of the original it
 * stands for, and the spans it is cut into. */
#ifndef LORAC_PASSAGE_H
#define LORAC_PASSAGE_H

#include "str.h"

typedef struct aligned_text {
    char *p;
    uint32_t *begin, *end; /* by byte: the part of the original text it stands for */
    size_t n, capacity;
} aligned_text;

/* Bytes [begin, end) of the text; id is that of an added token, or -1 for text still to be worked on. */
typedef struct span {
    size_t begin, end;
    int32_t id;
} span;

typedef struct passage {
    aligned_text text;
    size_t most; /* bytes it may grow to */
    span *spans;
    size_t count, capacity;
} passage;

/* The whole of `text` as one span, invalid bytes replaced by U+FFFD; `next` is the scratch of later stages. Both start
 * as {0}. */
int passage_start(passage *p, passage *next, slice text);
void passage_free(passage *p);
void passage_swap(passage *a, passage *b);
void passage_clear(passage *p);
void passage_take_spans(passage *p, passage *next); /* the text stays, the spans are those of `next` */
int passage_add_span(passage *p, size_t begin, size_t end, int32_t id);
/* Appends bytes that all stand for the same part of the original. */
int passage_add_bytes(passage *p, const char *bytes, size_t n, uint32_t begin, uint32_t end);
/* Appends the bytes of span s of `from`, their alignment kept; passage_copy_span then the span itself, too. */
int passage_copy_bytes(passage *p, const passage *from, const span *s);
int passage_copy_span(passage *p, const passage *from, const span *s);
slice passage_slice(const passage *p, const span *s);
uint32_t character_known(uint32_t c); /* c, or an older character like it */
uint32_t character_lower(uint32_t c);
bool character_is_normal_form_news(uint32_t c); /* without decomposition or combining class for the peer's tables */
bool character_is_space(uint32_t c);            /* White_Space of Unicode */
bool character_is_word(uint32_t c);             /* \w as Rust's regex crate has it */
bool character_is_number(uint32_t c);           /* categories Nd, Nl, No */

#endif
