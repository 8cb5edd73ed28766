/* Any bytes as a GGUF file: refused with a sentence, or a sound tokenizer. */
#include "err.h"
#include "round_trip.h"

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
    if (gguf_open(&g, input_file(data, size)) != LORAC_OK)
        return 0;
    int status = tokenizer_open_gguf(&t, &g);
    gguf_close(&g);
    if (status != LORAC_OK) {
        ALWAYS(lorac_last_error()->message[0]);
        return 0;
    }
    check_ends(t);
    round_trip(t);
    return 0;
}
