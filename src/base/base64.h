/* base64.h: the bytes behind base64 text (RFC 4648, section 4). */
#ifndef LORAC_BASE64_H
#define LORAC_BASE64_H

#include "str.h"

/* Appends the bytes. False: not base64, padding included. */
bool buf_from_base64(buf *b, slice text);

#endif
