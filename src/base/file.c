/* file.c: reading and atomic writing of single files. Folders are in folder.c.
 * A file on its way is PATH.part, locked while a writer holds it; a stale one left by a crash is taken over. */
#include "file.h"

#include "err.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 18, SEND_BYTES = 16 << 20 };

/* ---- Reading */

/* Opens a regular file; anything else is refused without blocking on it (a FIFO would). */
static int open_regular(int *out, size_t *size, const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &info) != 0) {
        char reason[128];
        int error = errno;
        if (fd >= 0)
            close(fd);
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path }, "cannot open: %s",
                       strerror_r(error, reason, sizeof reason));
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path, .found = S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe" },
                       "not a regular file");
    }
    *out = fd;
    *size = (size_t)info.st_size;
    return LORAC_OK;
}

int file_map(mapped *out, const char *path)
{
    size_t size;
    void *p;
    int fd;

    *out = (mapped){ (const uint8_t *)"", 0 };
    TRY(open_regular(&fd, &size, path));
    if (size == 0) {
        close(fd);
        return LORAC_OK;
    }
    p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        int status = fail_errno(path, "map");
        close(fd);
        return status;
    }
    close(fd);
    *out = (mapped){ p, size };
    return LORAC_OK;
}

void file_unmap(mapped *m)
{
    if (m->n > 0)
        munmap((void *)(uintptr_t)m->p, m->n);
    *m = (mapped){ 0 };
}

void file_let_go(const mapped *m)
{
    if (m->n > 0)
        madvise((void *)(uintptr_t)m->p, m->n, MADV_DONTNEED);
}

int file_read(buf *out, const char *path, size_t limit)
{
    mapped m;

    TRY(file_map(&m, path));
    if (m.n > limit) {
        char found[64], expected[64];
        snprintf(found, sizeof found, "%zu bytes", m.n);
        snprintf(expected, sizeof expected, "at most %zu", limit);
        file_unmap(&m);
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .found = found, .expected = expected },
                       "the file is too large");
    }
    buf_add(out, (const char *)m.p, m.n);
    file_unmap(&m);
    return buf_status(out);
}

/* ---- Writing */

/* Opens the temporary file and locks it. The lock falls with the process, so a locked file has a living writer. */
static int open_temporary(writer *w)
{
    for (;;) {
        struct stat opened, named;
        int fd = open(w->temporary, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0)
            return fail_errno(w->temporary, "create");
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(fd);
            return fail_at(LORAC_ERROR_RUNTIME, (fault){ .file = w->path }, "another process is writing this file");
        }
        /* Between open and flock another writer may have renamed or removed it: then it is not ours. */
        if (fstat(fd, &opened) == 0 && stat(w->temporary, &named) == 0 && opened.st_ino == named.st_ino &&
            opened.st_dev == named.st_dev) {
            w->fd = fd;
            return ftruncate(fd, 0) == 0 ? LORAC_OK : fail_errno(w->temporary, "truncate");
        }
        close(fd);
    }
}

/* Devices and pipes (/dev/null, /dev/stdout) are written to directly: renaming over them would replace them. */
static bool is_special(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static void release(writer *w)
{
    mem_free(w->path);
    mem_free(w->temporary);
    mem_free(w->block);
    *w = (writer){ .fd = -1, .status = w->status };
}

int writer_open(writer *w, const char *path)
{
    buf temporary = { 0 };

    *w = (writer){ .fd = -1 };
    w->path = mem_text(path);
    w->block = mem_new(BLOCK_BYTES, 1);
    if (!w->path || !w->block) {
        w->status = fail_memory();
    } else if (is_special(path)) {
        w->fd = open(path, O_WRONLY | O_CLOEXEC);
        w->status = w->fd >= 0 ? LORAC_OK : fail_errno(path, "open");
    } else {
        buf_format(&temporary, "%s.part", path);
        w->status = buf_status(&temporary);
        if (w->status == LORAC_OK) {
            w->temporary = temporary.p;
            w->status = open_temporary(w);
        } else {
            buf_free(&temporary);
        }
    }
    if (w->status != LORAC_OK)
        writer_drop(w);
    return w->status;
}

void writer_reserve(writer *w, uint64_t bytes)
{
    if (w->status != LORAC_OK || !w->temporary || fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0)
        return;
    if (errno == ENOSPC || errno == EDQUOT) /* the rest means that it cannot be asked for, not that it is not there */
        w->status = fail_errno(w->path, "reserve room");
}

/* Lets the disk begin, so that there is little left to wait for when the file is synced; that also reports what went
 * wrong. */
static void send_early(writer *w, size_t n)
{
    w->unsent += n;
    if (w->unsent < SEND_BYTES)
        return;
    sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* to the end */
    w->unsent = 0;
}

static void write_out(writer *w, const char *p, size_t n)
{
    while (n > 0 && w->status == LORAC_OK) {
        ssize_t wrote = write(w->fd, p, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            w->status = fail_errno(w->path, "write");
            return;
        }
        p += wrote;
        n -= (size_t)wrote;
        send_early(w, (size_t)wrote);
    }
}

static void flush(writer *w)
{
    write_out(w, w->block, w->used);
    w->used = 0;
}

void writer_add(writer *w, const void *p, size_t n)
{
    if (w->status != LORAC_OK || n == 0)
        return;
    w->bytes += n;
    if (n > BLOCK_BYTES - w->used)
        flush(w);
    if (n >= BLOCK_BYTES) {
        write_out(w, p, n);
        return;
    }
    memcpy(w->block + w->used, p, n);
    w->used += n;
}

void writer_text(writer *w, const char *text)
{
    writer_add(w, text, strlen(text));
}

void writer_format(writer *w, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int n;

    if (w->status != LORAC_OK)
        return;
    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0)
        text = mem_new((size_t)n + 1, 1);
    if (!text) {
        w->status = fail_memory();
        return;
    }
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    writer_add(w, text, (size_t)n);
    mem_free(text);
}

static int sync_parent(const char *path)
{
    slice name = path_name(path);
    buf folder = { 0 };
    int status;

    buf_add(&folder, path, (size_t)(name.p - path));
    status = buf_status(&folder);
    if (status == LORAC_OK)
        status = folder_sync(folder.n ? folder.p : ".");
    buf_free(&folder);
    return status;
}

int writer_close(writer *w)
{
    if (w->fd < 0)
        return w->status;
    flush(w);
    if (w->status == LORAC_OK && w->temporary) {
        if (fsync(w->fd) != 0)
            w->status = fail_errno(w->path, "sync");
        else if (rename(w->temporary, w->path) != 0)
            w->status = fail_errno(w->path, "rename into place");
    }
    if (w->status != LORAC_OK) {
        writer_drop(w);
        return w->status;
    }
    close(w->fd);
    if (w->temporary)
        w->status = sync_parent(w->path);
    release(w);
    return w->status;
}

void writer_drop(writer *w)
{
    if (w->fd >= 0) {
        if (w->temporary)
            unlink(w->temporary);
        close(w->fd);
    }
    release(w);
}

int file_write(const char *path, const void *p, size_t n)
{
    writer w;

    TRY(writer_open(&w, path));
    writer_add(&w, p, n);
    return writer_close(&w);
}

int file_copy(const char *from, const char *to, size_t limit)
{
    buf content = { 0 };
    int status = file_read(&content, from, limit);
    if (status == LORAC_OK)
        status = file_write(to, content.p ? content.p : "", content.n);
    buf_free(&content);
    return status;
}
