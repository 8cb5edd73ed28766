/* row_forms.h: the forms in which conversations come, made one: an array of messages as chat templates read them,
 * {"role", "content"} and what else a message has. Checks and converts; renders nothing and knows no tokenizer.
 *
 * Every failure is LORAC_ERROR_DATA and names the row's place and the key, as in "messages[2].content[0].type". */
#ifndef LORAC_ROW_FORMS_H
#define LORAC_ROW_FORMS_H

#include "str.h"

#include <jansson.h>

/* Where a row stands, for messages. */
typedef struct row_place {
    const char *file;
    long line;
} row_place;

int row_fail_at(const row_place *place, const char *key, const char *found, const char *expected, const char *sentence);
/* The value of `key` is of the wrong kind; `found` NULL: there is none. */
int row_fail_kind(const row_place *place, const char *key, const json_t *found, const char *expected);

/* A list of messages: {"role", "content"}, or ShareGPT's {"from", "value"}. `key` names it. Keys that are null are left
 * out, as transformers does. *out is a new array; its messages may be shared with `list` and are not to be changed. */
int row_message_list(const row_place *place, const json_t *list, const char *key, json_t **out);
/* `tools` and ShareGPT's `system` stand beside a list. *out is a new reference, or NULL when there are no tools. */
int row_tools(const row_place *place, const json_t *row, json_t **out);
int row_prepend_system(const row_place *place, const json_t *row, json_t *messages);

/* Alpaca's {"instruction", "output"}, with "input", "system" and "history" where they are: as messages for a chat
 * template, or as the text that Alpaca itself puts around them. */
int alpaca_messages(const row_place *place, const json_t *row, json_t **out);
int alpaca_text(const row_place *place, const json_t *row, buf *prompt, buf *completion);

#endif
