/* round_trip.h: what must hold of any tokenizer that opened: its ids and offsets stay in bounds, and what they decode
 * to is UTF-8. */
#ifndef LORAC_FUZZ_ROUND_TRIP_H
#define LORAC_FUZZ_ROUND_TRIP_H

#include "input.h"
#include "tokenizer/tokenizer_parts.h"

static const char round_trip_text[] = "It's 1234 TWO two words <s>x<|x|>  <m> y, caf\xC3\xA9 e\xCC\x81 \xC2\xBD "
                                      "\xE4\xB8\x80 (\xF0\x9F\x98\x80) 's .\r\n\n"
                                      "\t\xFF aaaaaaaa\xE2\x96\x81 \xEF\xBC\xA1\xE1\xA0\x8E";

static inline void check_encoding(const tokenizer *t, const encoding *e)
{
    buf decoded = { 0 };
    for (size_t i = 0; i < e->count; i++) {
        ALWAYS(e->ids[i] >= 0 && e->ids[i] < tokenizer_vocabulary(t));
        ALWAYS(e->begin[i] <= e->end[i] && e->end[i] < sizeof round_trip_text);
        ALWAYS(tokenizer_token(t, e->ids[i]).p);
    }
    ALWAYS(tokenizer_decode(t, e->ids, e->count, true, &decoded) == LORAC_OK);
    ALWAYS(utf8_valid(buf_slice_of(&decoded)) == decoded.n);
    buf_free(&decoded);
}

/* `t` is closed. */
static inline void round_trip(tokenizer *t)
{
    encoding e = { 0 };
    if (tokenizer_encode(t, (slice){ round_trip_text, sizeof round_trip_text - 1 }, -1, &e) == LORAC_OK)
        check_encoding(t, &e);
    encoding_free(&e);
    tokenizer_free(t);
}

#endif
