/* speaker.h: a model opened for generation, with its text and one session: what generate, chat and doctor share. */
#ifndef LORAC_SPEAKER_H
#define LORAC_SPEAKER_H

#include "cli.h"

typedef struct speaker {
    lorac_model *model;
    lorac_text *text; /* NULL for a model without tokenizer, which only takes ids */
    lorac_session *session;
    lorac_adapter_ref *adapters;
    size_t adapter_count;
    lorac_sampling sampling;
} speaker;

/* `needs_text`: a model without tokenizer is an error. */
int speaker_open(const arguments *a, speaker *s, bool needs_text);
void speaker_close(speaker *s);
/* Ids of the messages as the chat template renders them, with the start of the answer. */
int speaker_render(const arguments *a, const speaker *s, json_t *messages, int32_t **ids, size_t *count);
/* Ids of plain text, with what the tokenizer adds. The ids of both are released with lorac_free. */
int speaker_encode(const arguments *a, const speaker *s, const char *text, size_t length, int32_t **ids, size_t *count);

#endif
