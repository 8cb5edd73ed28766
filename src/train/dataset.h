/* dataset.h: row files as a list of JSON objects. A .jsonl file gives one object a line; a .csv or .tsv file with a
 * header gives {"text"} or {"prompt", "completion"} objects, with the "label" if there is that column. Files are mapped
 * and indexed by offset, so opening costs one scan and no row is kept in memory.
 *
 * Every failure about a row names file, line and column. What the keys of a row mean is for text/rows.h. */
#ifndef LORAC_DATASET_H
#define LORAC_DATASET_H

#include "json.h"

typedef struct dataset dataset;

/* One file of a dataset: rows [first, first + count). */
typedef struct dataset_part {
    const char *file;
    size_t first, count;
    double weight; /* how often its rows are taken, relative to once */
} dataset_part;

/* `spec` is a file, a folder (then `split`.jsonl, .csv or .tsv in it), or several with weights: "a,b:2". A file without
 * a row is LORAC_ERROR_DATA. `optional` is for validation rows: only what the folders have of the split, which may be
 * nothing. */
int dataset_open(dataset **out, const char *spec, const char *split, bool optional);
void dataset_close(dataset *d);
/* Takes the next file or folder (copied into `path`; empty: none) and its weight off such a list. */
int dataset_next_source(slice *rest, buf *path, double *weight);
/* Does any folder of `spec` have this split? Single files have none. */
int dataset_has_split(const char *spec, const char *split, bool *has);

size_t dataset_count(const dataset *d);
const dataset_part *dataset_parts(const dataset *d, size_t *count);
/* Where a row stands; lines count from 1. */
void dataset_place(const dataset *d, size_t index, const char **file, long *line);
/* How long the row is in its file. */
size_t dataset_bytes(const dataset *d, size_t index);
/* The column, in characters from 1, of the value that `key` names in the row, as "messages[1].role"; of the row itself
 * when it is not there, when `key` is NULL, and in a table. */
long dataset_column(const dataset *d, size_t index, const char *key);
/* The row as a JSON object, which the caller owns. */
int dataset_row(const dataset *d, size_t index, json_t **out);

#endif
