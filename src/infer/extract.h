/* extract.h: what was learned, as an adapter: the difference of two models by module, or an adapter at a lower rank.
 * One module's difference is in memory at a time. */
#ifndef LORAC_EXTRACT_H
#define LORAC_EXTRACT_H

#include "factors.h"

#include <jansson.h>

/* Both fill `out` and the report, a new object with what lorac.h says but for "output"; `out`'s texts live as long as
 * it. After a failure neither is there. */
int extract(factor_set *out, json_t **about, const model *base, const model *tuned,
            const lorac_extract_options *options);
/* `m` may be NULL; see factor_source_open. */
int reduce(factor_set *out, json_t **about, const char *path, const model *m, const lorac_extract_options *options);

#endif
