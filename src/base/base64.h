/* base64.h: bytes as base64 text, and back (RFC 4648, section 4). */
#ifndef LORAC_BASE64_H
#define LORAC_BASE64_H

#include "str.h"

/* Appends the bytes. False: not base64, padding included. */
bool buf_from_base64(buf *b, slice text);
void buf_to_base64(buf *b, slice bytes); /* appends the text */

#endif
