/* json_place.h: where in a JSON text a value stands, for messages about what was parsed long before. */
#ifndef LORAC_JSON_PLACE_H
#define LORAC_JSON_PLACE_H

#include "str.h"

/* The offset of the value that a path such as "messages[2].role" names in a valid JSON text; where it is not there, of
 * the last value on the way to it. */
size_t json_offset(slice text, const char *path);

#endif
