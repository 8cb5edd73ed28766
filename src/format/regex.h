/* regex.h: Python's regular expressions by way of PCRE2, for patterns that come from files: no JIT, and limits on how
 * long a match may search, so that a hostile pattern is an error and not a hang. Internal to this layer. */
#ifndef LORAC_REGEX_H
#define LORAC_REGEX_H

#include "str.h"

typedef struct regex regex;

typedef enum regex_mode {
    REGEX_MATCH,    /* Python's re.match: anchored at the start */
    REGEX_FULLMATCH /* re.fullmatch: at both ends */
} regex_mode;

/* Compiles before ++ pattern ++ after. `key` is the configuration key for messages, which show the pattern alone. */
int regex_new(regex **out, const char *before, const char *pattern, const char *after, regex_mode mode,
              const char *key);
void regex_free(regex *r);
/* `group` (may be NULL) takes the text of the group named idx, when it matches; it points into `subject`. */
int regex_try(regex *r, const char *subject, bool *matches, slice *group);

#endif
