/* json.h: jansson with our limits and our errors: sizes capped, depth capped, duplicate keys refused, and
 * every failure with file, line, column and key. */
#ifndef LORAC_JSON_H
#define LORAC_JSON_H

#include "str.h"

#include <jansson.h>

/* BIG: whole numbers beyond 64 bits are taken, and then all whole numbers come as reals. */
enum { JSON_TAKE_NUL = 1, JSON_TAKE_DUPLICATES = 2, JSON_TAKE_BIG = 4 };

/* Parses one JSON text. `file` and `line` (the first line's number, 1 for whole files) go into errors.
 * The caller owns *out (json_decref). */
int json_parse(json_t **out, slice text, const char *file, long line, int flags);
int json_read(json_t **out, const char *path, size_t limit, int flags);

/* Typed getters: a missing or null key leaves *out as it is; a wrong kind or range is LORAC_ERROR_DATA naming
 * file and key. */
int json_take_int(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *out, const char *file);
int json_take_real(const json_t *object, const char *key, double *out, const char *file); /* finite */
int json_take_bool(const json_t *object, const char *key, bool *out, const char *file);
int json_take_text(const json_t *object, const char *key, const char **out,
                   const char *file); /* lives as long as the object */
/* The same of a value that is at hand (NULL: missing); `key` says where it stands. */
int json_to_int(const json_t *value, const char *key, int64_t least, int64_t most, int64_t *out, const char *file);
int json_to_real(const json_t *value, const char *key, double *out, const char *file);
int json_to_bool(const json_t *value, const char *key, bool *out, const char *file);
int json_to_text(const json_t *value, const char *key, const char **out, const char *file);

/* "an array", "a string" ...: for messages. */
const char *json_kind(const json_t *value);
/* Doubles in files carry 9 significant digits. */
void buf_real(buf *b, double value);

#endif
