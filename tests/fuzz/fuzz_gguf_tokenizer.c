/* Any bytes as a GGUF file: refused, or a tokenizer whose ids and offsets stay in bounds and whose decoded text is
 * UTF-8.
 */
#include "input.h"
#include "tokenizer/tokenizer_parts.h"

#include "err.h"

#include <string.h>

static const char text[] = "It's 1234 TWO words <s>x  <m> y, caf\xC3\xA9 e\xCC\x81 \xE4\xB8\x80 (\xF0\x9F\x98\x80) 's "
                           ".\r\n\n\t\xFF aaaa\xE2\x96\x81";

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

static void check_ends(const tokenizer *t)
{
    const int32_t *ends;
    size_t count = tokenizer_ends(t, &ends);
    for (size_t i = 0; i < count; i++)
        ALWAYS(ends[i] >= 0 && ends[i] < tokenizer_vocabulary(t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gguf g;
    tokenizer *t;
    encoding e = { 0 };
    if (gguf_open(&g, input_file(data, size)) != LORAC_OK)
        return 0;
    int status = tokenizer_open_gguf(&t, &g);
    gguf_close(&g);
    if (status != LORAC_OK) {
        ALWAYS(lorac_last_error()->message[0]);
        return 0;
    }
    check_ends(t);
    if (tokenizer_encode(t, (slice){ text, sizeof text - 1 }, -1, &e) == LORAC_OK)
        check_encoding(t, &e);
    encoding_free(&e);
    tokenizer_free(t);
    return 0;
}
