/* row_reading.h: what the files that read rows share: rows.c decides on the form, row_text.c reads texts and
 * conversations, row_ids.c ids and classes. Nobody else includes this. */
#ifndef LORAC_ROW_READING_H
#define LORAC_ROW_READING_H

#include "row_chat.h"

struct row_scratch {
    chat chat;
    buf text;
    encoding whole, prompt;
};

typedef struct reading {
    const row_reader *reader;
    const json_t *object;
    row_place place;
    row *out;
    struct row_scratch *scratch;
} reading;

int row_failed(const reading *r, const char *key, const char *found, const char *expected, const char *sentence);
int row_wrong_kind(const reading *r, const char *key, const json_t *found, const char *expected);
bool row_has(const reading *r, const char *key);
int row_need_tokenizer(const reading *r);
/* Appends the string under `key`. */
int row_take_string(const reading *r, const char *key, buf *out);

int row_reserve(row *out, size_t count);
/* Takes the ids over, with no label yet. */
int row_take_ids(row *out, const encoding *e);
void row_train_from(row *out, size_t first);

int row_read_text(const reading *r);
int row_read_completion(const reading *r);
int row_read_messages(const reading *r, const char *key);
int row_read_alpaca(const reading *r);
int row_read_ids(const reading *r);
int row_read_class(const reading *r);

#endif
