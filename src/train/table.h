/* table.h: comma- and tab-separated text after RFC 4180: fields may be quoted, quotes in them are doubled, and a quoted
 * field may run over lines. Works on memory and knows nothing of rows or of what the columns mean. */
#ifndef LORAC_TABLE_H
#define LORAC_TABLE_H

#include "str.h"

/* Where the record that begins at `at` ends: behind its line break, or at text.n. *lines grows by the line breaks in
 * it. A quote that never closes is LORAC_ERROR_DATA at file:line:column, `line` being that of the record. */
int table_record_end(slice text, size_t at, char separator, const char *file, long line, size_t *end, long *lines);

/* Splits one record (with or without its line break) into fields; each call gives the next one, unquoted into `field`.
 * *more is false once the record is used up. `at` starts at 0. */
int table_field(slice record, size_t *at, char separator, const char *file, long line, buf *field, bool *more);

#endif
