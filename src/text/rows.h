/* rows.h: one row of training data, from its JSON to ids and labels. Here stand the rules of what is trained: which
 * turns, which tokens, and that the end of a turn is. Knows no files but for their names in errors; a row file's lines
 * come from train/dataset.h.
 *
 * The form of a row is that of the first of these keys that it has: input_ids; prompt and completion; messages or
 * ShareGPT's conversations; text; Alpaca's instruction and output. Other keys are ignored. */
#ifndef LORAC_ROWS_H
#define LORAC_ROWS_H

#include "chat_templates.h"
#include "labels.h"
#include "lorac.h"

enum { LABEL_NONE = -100 };

typedef enum row_kind { ROW_TEXT, ROW_COMPLETION, ROW_MESSAGES, ROW_IDS /* pre-tokenised */, ROW_CLASS } row_kind;

/* What a row is read with. tokenizer may be NULL for pre-tokenised rows; templates NULL where there are none. */
typedef struct row_reader {
    const tokenizer *tokenizer;
    const chat_templates *templates;
    lorac_loss_on loss_on;
    int32_t vocabulary;     /* of the model, which may be larger than the tokenizer's; 0: the tokenizer's */
    int64_t max_seq_length; /* 0: no limit */
    const label_set
        *labels; /* of a classifier, whose rows are {"text" or "input_ids", "label"}; NULL: tokens are labels */
    int32_t pad; /* of a classifier, or -1 */
} row_reader;

/* How far a label stands behind the token that predicts it: the next token is one, a class is on its place. */
static inline int32_t label_shift(const row_reader *reader)
{
    return reader->labels ? 0 : 1;
}

/* Buffers are kept between calls: start with {0}. */
typedef struct row {
    row_kind kind;
    int32_t *ids, *labels; /* labels unshifted, LABEL_NONE = not trained. ROW_CLASS: one, at class_position */
    size_t count, capacity, trained;
    size_t whole_count;   /* tokens before anything was cut off */
    size_t whole_trained; /* of these, labels that something predicts */
    bool truncated;
    bool end_cut;        /* what was cut off begins within trained tokens: a turn has lost its end */
    const char *endless; /* the chat template, when no token that ends a turn is the last to be trained; or NULL */
    int32_t class_label; /* of a ROW_CLASS */
    double weight;       /* 1 unless the row says otherwise */
    struct row_scratch *scratch; /* rows.c's own */
} row;

/* Reads one row from its JSON object. file and line are for messages: every failure is LORAC_ERROR_DATA at file:line. A
 * row without a trained token is no failure here. */
int row_read(const row_reader *reader, const json_t *object, const char *file, long line, row *out);
void row_free(row *r);

#endif
