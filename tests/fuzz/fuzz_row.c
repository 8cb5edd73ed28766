/* Any bytes as a line of a row file, with a tokenizer and with templates of both kinds: refused with its place, or ids
 * of the vocabulary, of which those with a label are labelled with themselves unless the row brought its labels along.
 */
#include "input.h"
#include "rows.h"

#include "err.h"
#include "json.h"

#include <string.h>

typedef struct reader {
    tokenizer *t;
    chat_templates templates;
    row row;
} reader;

static void open_reader(reader *r, const char *folder)
{
    ALWAYS(tokenizer_open_folder(&r->t, folder) == LORAC_OK);
    ALWAYS(chat_templates_open(&r->templates, r->t, NULL) == LORAC_OK);
}

static void check(const reader *r)
{
    const row *w = &r->row;
    size_t trained = 0;

    for (size_t i = 0; i < w->count; i++) {
        ALWAYS(w->ids[i] >= 0 && w->ids[i] < tokenizer_vocabulary(r->t));
        ALWAYS(w->labels[i] == LABEL_NONE || w->kind == ROW_IDS || w->labels[i] == w->ids[i]);
        trained += w->labels[i] != LABEL_NONE;
    }
    ALWAYS(trained == w->trained && w->count <= w->whole_count);
    ALWAYS(w->truncated == (w->count < w->whole_count) && (w->truncated || !w->end_cut));
}

static void read_one(reader *r, const json_t *object, uint8_t way)
{
    row_reader how = { .tokenizer = r->t,
                       .templates = &r->templates,
                       .loss_on = (lorac_loss_on)(way % 5),
                       .max_seq_length = way & 64 ? 5 : 0 };
    int status = row_read(&how, object, "fuzz.jsonl", 3, &r->row);

    if (status == LORAC_OK) {
        check(r);
        ALWAYS(!how.max_seq_length || r->row.count <= 5);
    } else {
        ALWAYS(status == LORAC_ERROR_DATA && strncmp(lorac_last_error()->message, "fuzz.jsonl:3", 12) == 0);
    }
}

/* The first byte chooses what is trained and the template. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static reader readers[2];
    json_t *object;

    if (!readers[0].t) {
        open_reader(&readers[0], "tests/golden/rows/plain");
        open_reader(&readers[1], "tests/golden/rows/marked");
    }
    if (size < 1 ||
        json_parse(&object, (slice){ (const char *)data + 1, size - 1 }, "fuzz.jsonl", 3, JSON_TAKE_NUL) != LORAC_OK)
        return 0;
    read_one(&readers[data[0] >> 7], object, data[0]);
    json_decref(object);
    return 0;
}
