/* sha256.h: FIPS 180-4, for checking a download. */
#ifndef LORAC_SHA256_H
#define LORAC_SHA256_H

#include <stdint.h>
#include <stdio.h>

/* The digest of what is left of a file as 64 hexadecimal digits; 0 when it could not be read. */
int sha256_file(FILE *file, char out[65]);

#endif
