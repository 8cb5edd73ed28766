/* api_data.c: lorac_data_*: rows as ids and labels, one at a time. */
#include "api.h"

#include "dataset.h"
#include "examples.h"

#include <string.h>

struct lorac_data {
    dataset *rows;
    row_reader reader;
    row row; /* what the last lorac_data_row gave out */
};

/* An empty validation file in a folder is fine; any other file without rows is not. */
static int open_rows(dataset **out, const char *path, const char *split)
{
    bool has = false;

    if (strcmp(split, "valid") == 0)
        TRY(dataset_has_split(path, split, &has));
    return dataset_open(out, path, split, has);
}

lorac_status lorac_data_open(lorac_data **out, const lorac_text *text, const char *path, const char *split,
                             const lorac_data_options *options)
{
    static const lorac_data_options standard;
    lorac_data *data = mem_new(1, sizeof *data);
    int status;

    *out = NULL;
    if (!data)
        return fail_memory();
    if (!options)
        options = &standard;
    data->reader = (row_reader){ .tokenizer = text ? text->tokenizer : NULL,
                                 .template = text ? text->template : NULL,
                                 .loss_on = options->loss_on,
                                 .max_seq_length = options->max_seq_length };
    status = open_rows(&data->rows, path, split ? split : "train");
    if (status == LORAC_OK)
        *out = data;
    else
        lorac_data_close(data);
    return status;
}

void lorac_data_close(lorac_data *data)
{
    if (!data)
        return;
    dataset_close(data->rows);
    row_free(&data->row);
    mem_free(data);
}

size_t lorac_data_count(const lorac_data *data)
{
    return dataset_count(data->rows);
}

lorac_status lorac_data_row(lorac_data *data, size_t index, lorac_row *out)
{
    json_t *object;
    const char *file;
    long line;
    int32_t last;
    int status;

    if (index >= dataset_count(data->rows))
        return fail(LORAC_ERROR_USAGE, "row %zu of %zu", index, dataset_count(data->rows));
    dataset_place(data->rows, index, &file, &line);
    *out = (lorac_row){ .file = file, .line = line }; /* so that a bad row can be told from its neighbours */
    TRY(dataset_row(data->rows, index, &object));
    status = row_read(&data->reader, object, file, line, &data->row);
    json_decref(object);
    if (status != LORAC_OK)
        return status;
    out->ids = data->row.ids;
    out->labels = data->row.labels;
    out->count = data->row.count;
    out->trained = (size_t)labels_predicted(data->row.labels, data->row.count, &last);
    out->truncated = data->row.truncated;
    return LORAC_OK;
}
