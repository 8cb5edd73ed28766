/* zip.h: the entries of a zip archive that lies in memory, each a range of its bytes. For archives that store their
 * entries uncompressed, as torch.save does; a compressed one is refused by its name. Knows no file that may stand in an
 * archive. */
#ifndef LORAC_ZIP_H
#define LORAC_ZIP_H

#include "arena.h"
#include "file.h"
#include "map.h"

typedef struct zip_entry {
    slice name; /* inside the archive, as are the contents */
    slice contents;
} zip_entry;

typedef struct zip {
    const char *path; /* for messages */
    zip_entry *entries;
    size_t count;
    map index;
    arena memory;
} zip;

/* The map must outlive the archive. */
int zip_open(zip *out, const mapped *file, const char *path);
void zip_close(zip *z);
const zip_entry *zip_find(const zip *z, const char *name); /* or NULL */

#endif
