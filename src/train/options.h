/* options.h: what the loop needs of lorac_train_options beyond lorac.h: a check of a struct that a program
 * filled by hand, and run.yaml. */
#ifndef LORAC_TRAIN_OPTIONS_H
#define LORAC_TRAIN_OPTIONS_H

#include "lorac.h"
#include "str.h"

/* Looks at every field against its row of the table: LORAC_ERROR_USAGE naming the first that is out of range. */
int train_options_check(const lorac_train_options *options);
/* The row of a name or alias ('_' equals '-'); NULL when there is none. */
const lorac_option *train_option_find(const char *name);
/* Appends every option as YAML that lorac_train_options_load reads back to the same struct, `overwrite` apart,
 * which belongs to one call and not to the run. */
void train_options_yaml(const lorac_train_options *options, buf *out);
/* Writes that as a file. */
int train_options_write(const lorac_train_options *options, const char *path);

/* lorac_train_options_set for a value that stands in a file: `where` gives the place for the message. */
struct fault;
int train_option_set_at(lorac_train_options *options, const char *name, const char *value, const struct fault *where);

#endif
