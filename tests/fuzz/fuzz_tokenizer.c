/* Any bytes as a tokenizer.json: refused, or a tokenizer whose ids and offsets stay in bounds and whose decoded text is
 * UTF-8. */
#include "input.h"
#include "tokenizer/tokenizer_parts.h"

#include <string.h>

static const char text[] =
    "It's 12 TWO words <s>x  <m> y, caf\xC3\xA9 e\xCC\x81 (\xF0\x9F\x98\x80)\r\n\n\t\xFF aaaaaaaa\xE1\xA0\x8E";

static void check_encoding(const tokenizer *t, const encoding *e)
{
    buf decoded = { 0 };
    for (size_t i = 0; i < e->count; i++) {
        ALWAYS(e->ids[i] >= 0 && e->ids[i] < tokenizer_vocabulary(t));
        ALWAYS(e->begin[i] <= e->end[i] && e->end[i] < sizeof text);
        ALWAYS(tokenizer_token(t, e->ids[i]).p);
    }
    ALWAYS(tokenizer_decode(t, e->ids, e->count, true, &decoded) == LORAC_OK);
    ALWAYS(utf8_valid(buf_slice_of(&decoded)) == decoded.n);
    buf_free(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tokenizer *t;
    encoding e = { 0 };
    if (tokenizer_open_json(&t, (slice){ (const char *)data, size }, "fuzz") != LORAC_OK)
        return 0;
    if (tokenizer_encode(t, (slice){ text, sizeof text - 1 }, -1, &e) == LORAC_OK)
        check_encoding(t, &e);
    encoding_free(&e);
    tokenizer_free(t);
    return 0;
}
