/* api_data.c: lorac_data_*: rows as ids and labels, one at a time. */
#include "api.h"

#include "dataset.h"
#include "examples.h"
#include "row_window.h"

#include <string.h>

enum { CONFIG_LIMIT = 1 << 20 };

struct lorac_data {
    dataset *rows;
    row_reader reader;
    row_window *window;
    label_set labels; /* of a classifier */
};

/* An empty validation file in a folder is fine; any other file without rows is not. */
static int open_rows(dataset **out, const char *path, const char *split)
{
    bool has = false;

    if (strcmp(split, "valid") == 0)
        TRY(dataset_has_split(path, split, &has));
    return dataset_open(out, path, split, has);
}

/* Reads the rows as a classifier's: with the labels and the padding that config.json names, if there is one. */
static int use_labels(lorac_data *data, const json_t *config, const char *file, int64_t count)
{
    const json_t *pad = json_object_get(config, "pad_token_id");

    TRY(labels_read(&data->labels, config, file));
    if (count && count != data->labels.count) {
        labels_free(&data->labels);
        TRY(labels_make(&data->labels, count));
    }
    data->reader.labels = &data->labels;
    data->reader.pad = json_is_integer(pad) ? (int32_t)json_integer_value(pad) : -1;
    return LORAC_OK;
}

/* A config.json is not needed, and not judged unless its labels are. */
static int settle_task(lorac_data *data, const lorac_text *text, const lorac_data_options *options)
{
    buf path = { 0 };
    json_t *config = NULL;
    int status = LORAC_OK;

    if (text && text->path && path_is_folder(text->path) && path_join(&path, text->path, "config.json") &&
        path_exists(path.p) && json_read(&config, path.p, CONFIG_LIMIT, 0) != LORAC_OK)
        error_clear();
    if (options->task == LORAC_TASK_SEQ_CLS || (options->task == LORAC_TASK_AUTO && config_is_classifier(config)))
        status = use_labels(data, config, path.p, options->labels);
    json_decref(config);
    buf_free(&path);
    return status;
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
                                 .templates = text ? &text->templates : NULL,
                                 .loss_on = options->loss_on,
                                 .max_seq_length = options->max_seq_length };
    status = settle_task(data, text, options);
    if (status == LORAC_OK)
        status = open_rows(&data->rows, path, split ? split : "train");
    if (status == LORAC_OK)
        status = row_window_open(&data->window, data->rows, &data->reader, options->threads);
    if (status == LORAC_OK)
        *out = data;
    else
        lorac_data_close(data);
    return status;
}

lorac_status lorac_data_source(const char *list, size_t index, char **path)
{
    slice rest = slice_of(list);
    buf piece = { 0 };
    double weight;
    int status = LORAC_OK;

    *path = NULL;
    for (size_t i = 0; rest.n && status == LORAC_OK && !*path;) {
        status = dataset_next_source(&rest, &piece, &weight);
        if (status != LORAC_OK || !piece.n || i++ != index)
            continue;
        *path = piece.p;
        piece = (buf){ 0 };
    }
    buf_free(&piece);
    return status;
}

void lorac_data_close(lorac_data *data)
{
    if (!data)
        return;
    row_window_close(data->window);
    dataset_close(data->rows);
    labels_free(&data->labels);
    mem_free(data);
}

size_t lorac_data_count(const lorac_data *data)
{
    return dataset_count(data->rows);
}

lorac_status lorac_data_row(lorac_data *data, size_t index, lorac_row *out)
{
    const char *file;
    const row *r;
    long line;
    int32_t run;

    if (index >= dataset_count(data->rows))
        return fail(LORAC_ERROR_USAGE, "row %zu of %zu", index, dataset_count(data->rows));
    dataset_place(data->rows, index, &file, &line);
    *out = (lorac_row){ .file = file, .line = line }; /* so that a bad row can be told from its neighbours */
    TRY(row_window_get(data->window, index, &r));
    out->ids = r->ids;
    out->labels = r->labels;
    out->count = r->count;
    out->trained = (size_t)labels_predicted(r->labels, r->count, label_shift(&data->reader), &run);
    out->label = r->kind == ROW_CLASS ? r->class_label : -1;
    out->truncated = r->truncated;
    out->turn_cut = r->end_cut;
    out->endless_template = r->endless;
    out->whole_count = r->whole_count;
    out->whole_trained = r->whole_trained;
    return LORAC_OK;
}
