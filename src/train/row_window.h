/* row_window.h: the rows of a dataset as ids and labels. Rows are read ahead by a team of threads and given out in
 * order, so that neither the rows nor what is said about bad ones depends on how many threads there are.
 *
 * Every failure about a row names file, line and column. */
#ifndef LORAC_ROW_WINDOW_H
#define LORAC_ROW_WINDOW_H

#include "dataset.h"
#include "rows.h"

typedef struct row_window row_window;

/* `d` and `reader` must outlive the window. threads 0: all. */
int row_window_open(row_window **out, const dataset *d, const row_reader *reader, int64_t threads);
void row_window_close(row_window *w);
/* Gives the row at `index`, which lives until the next call. Meant for going from row to row. */
int row_window_get(row_window *w, size_t index, const row **out);

#endif
