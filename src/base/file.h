/* file.h: files in and out. Reading maps; writing goes to a temporary name beside the target, is synced, and
 * is renamed, so that a reader sees the old file or the new one and never half of either. */
#ifndef LORAC_FILE_H
#define LORAC_FILE_H

#include "str.h"

typedef struct mapped {
    const uint8_t *p;
    size_t n;
} mapped;

/* Maps a regular file for reading. Missing, not regular or unreadable: LORAC_ERROR_DATA with the path. */
int file_map(mapped *out, const char *path);
void file_unmap(mapped *m);
/* What was read so far no longer counts as this process's memory; it is read again when it is touched. */
void file_let_go(const mapped *m);
/* Reads a whole regular file of at most `limit` bytes; the buffer is the caller's. */
int file_read(buf *out, const char *path, size_t limit);

typedef struct writer {
    char *path, *temporary;
    int fd, status;         /* status sticks: later calls do nothing */
    uint64_t bytes, unsent; /* unsent: written, but the disk was not told to begin on it */
    char *block;
    size_t used; /* buffered */
} writer;

int writer_open(writer *w, const char *path);
/* Room for so many bytes in all, where the file system can keep it: a full disk fails here, and writing is quicker. */
void writer_reserve(writer *w, uint64_t bytes);
void writer_add(writer *w, const void *p, size_t n);
void writer_text(writer *w, const char *text);
void writer_format(writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Syncs and renames; or, after a failure or writer_drop, removes the temporary file. */
int writer_close(writer *w);
void writer_drop(writer *w);
/* The whole of it in one call. */
int file_write(const char *path, const void *p, size_t n);

bool path_exists(const char *path);
bool path_is_folder(const char *path);
bool path_is_empty_folder(const char *path); /* also true when there is nothing */
/* Joins into `out` with one slash; returns out->p, NULL when out of memory. */
const char *path_join(buf *out, const char *folder, const char *name);
slice path_name(const char *path); /* the last component */
int folder_make(const char *path); /* with parents; fine when there */
int folder_sync(const char *path);
int folder_remove(const char *path); /* with everything in it; does not follow links */
/* Copies one file of at most `limit` bytes to another path, atomically. */
int file_copy(const char *from, const char *to, size_t limit);
/* Names in a folder, sorted; the caller frees with folder_list_free. */
int folder_list(char ***names, size_t *count, const char *path);
void folder_list_free(char **names, size_t count);
/* A folder written aside and put in place at once: begin gives the temporary path, commit renames
 * (replacing an existing folder), drop removes. The caller frees *temporary with mem_free after either. */
int folder_begin(char **temporary, const char *target);
int folder_commit(const char *temporary, const char *target);
void folder_drop(const char *temporary);
/* Commits when `status` says that all is well, else drops; frees temporary. Returns the failure, if there was one. */
int folder_end(char *temporary, const char *target, int status);

#endif
