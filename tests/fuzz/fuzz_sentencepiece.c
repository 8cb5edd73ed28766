/* Any bytes as a SentencePiece model: refused, or a sound tokenizer. */
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tokenizer *t;
    if (tokenizer_from_sentencepiece(&t, (slice){ (const char *)data, size }, "fuzz") == LORAC_OK)
        round_trip(t);
    return 0;
}
