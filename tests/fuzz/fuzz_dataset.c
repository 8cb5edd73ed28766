/* Any bytes as a row file: as lines of JSON, and as comma- and tab-separated records. Every row is an object or a
 * failure that names its line, and the records of a table lie end to end. */
#include "input.h"

#include "dataset.h"
#include "err.h"
#include "table.h"

static void read_lines(const char *path)
{
    dataset *d;

    if (dataset_open(&d, path, "train", false) != LORAC_OK)
        return;
    for (size_t i = 0; i < dataset_count(d); i++) {
        const char *file;
        long line;
        json_t *row;

        dataset_place(d, i, &file, &line);
        ALWAYS(line >= 1);
        if (dataset_row(d, i, &row) == LORAC_OK)
            ALWAYS(json_is_object(row));
        else
            ALWAYS(lorac_last_error()->line == line);
        ALWAYS(dataset_column(d, i, "messages[1].content[0].type") >= 1 &&
               (size_t)dataset_column(d, i, "text") <= dataset_bytes(d, i) + 1);
        json_decref(row);
    }
    dataset_close(d);
}

static void read_fields(slice record, char separator, long line)
{
    buf field = { 0 };
    bool more = true;
    size_t at = 0;

    while (more && table_field(record, &at, separator, "f", line, &field, &more) == LORAC_OK)
        ALWAYS(at <= record.n + 1 && field.n <= record.n);
    buf_free(&field);
}

static void read_table(slice text, char separator)
{
    long line = 1;

    for (size_t at = 0, end; at < text.n; at = end) {
        long next = line;

        if (table_record_end(text, at, separator, "f", line, &end, &next) != LORAC_OK) {
            ALWAYS(lorac_last_error()->line >= line);
            return;
        }
        ALWAYS(end > at && end <= text.n && next >= line);
        read_fields((slice){ text.p + at, end - at }, separator, line);
        line = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice text = { (const char *)data, size };

    read_lines(input_file(data, size));
    read_table(text, ',');
    read_table(text, '\t');
    return 0;
}
