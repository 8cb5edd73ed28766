/* folder.c: paths and folders. A folder that is replaced is written aside as TARGET.part and exchanged with the
 * old one in a single rename where the file system can; a reader sees one or the other.
 * One process at a time writes a given folder; callers see to that. */
#include "file.h"

#include "err.h"
#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Paths */

bool path_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

bool path_is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool path_is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    bool empty = true;

    if (!folder)
        return errno == ENOENT;
    for (struct dirent *entry; empty && (entry = readdir(folder));)
        empty = is_dots(entry->d_name);
    closedir(folder);
    return empty;
}

const char *path_join(buf *out, const char *folder, const char *name)
{
    buf_clear(out);
    buf_text(out, folder);
    if (out->n > 0 && !out->failed && out->p[out->n - 1] != '/')
        buf_char(out, '/');
    buf_text(out, name);
    return out->failed ? NULL : out->p;
}

static size_t length_without_slashes(const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

slice path_name(const char *path)
{
    size_t end = length_without_slashes(path), start = end;

    while (start > 0 && path[start - 1] != '/')
        start--;
    return (slice){ path + start, end - start };
}

/* ---- Folders */

int folder_make(const char *path)
{
    char *copy = mem_text(path);
    int status = LORAC_OK;

    if (!copy)
        return fail_memory();
    for (char *c = copy + 1; status == LORAC_OK && copy[0]; c++) {
        char end = *c;
        if (end != '/' && end != '\0')
            continue;
        *c = '\0';
        if (mkdir(copy, 0777) != 0 && !(errno == EEXIST && path_is_folder(copy)) && !path_is_folder(copy))
            status = fail_errno(copy, "make the folder");
        *c = end;
        if (end == '\0')
            break;
    }
    mem_free(copy);
    return status;
}

int folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = LORAC_OK;

    if (fd < 0)
        return fail_errno(path, "open the folder");
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) /* some file systems cannot sync folders */
        status = fail_errno(path, "sync the folder");
    close(fd);
    return status;
}

/* Removes what is in the open folder; 0, or the first errno. Takes over `fd`. */
static int empty_folder(int fd, int depth)
{
    enum { DEEPEST = 64 }; /* each level holds a descriptor */
    DIR *folder = depth < DEEPEST ? fdopendir(fd) : NULL;
    int error = 0;

    if (!folder) {
        close(fd);
        return ELOOP;
    }
    for (struct dirent *entry; error == 0 && (entry = readdir(folder));) {
        int inner;
        if (is_dots(entry->d_name) || unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        inner = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        error = inner < 0 ? errno : empty_folder(inner, depth + 1);
        if (error == 0 && unlinkat(fd, entry->d_name, AT_REMOVEDIR) != 0)
            error = errno;
    }
    closedir(folder);
    return error;
}

int folder_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error;

    if (fd < 0)
        return errno == ENOENT ? LORAC_OK : fail_errno(path, "remove the folder");
    error = empty_folder(fd, 0);
    if (error == 0 && rmdir(path) != 0)
        error = errno;
    errno = error;
    return error == 0 ? LORAC_OK : fail_errno(path, "remove the folder");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds a name; the array grows by doubling, so its capacity follows from the count. */
static int add_name(char ***names, size_t *count, const char *name)
{
    if ((*count & (*count - 1)) == 0) {
        char **grown = mem_grow(*names, *count ? 2 * *count : 1, sizeof **names);
        if (!grown)
            return fail_memory();
        *names = grown;
    }
    (*names)[*count] = mem_text(name);
    if (!(*names)[*count])
        return fail_memory();
    ++*count;
    return LORAC_OK;
}

int folder_list(char ***names, size_t *count, const char *path)
{
    DIR *folder = opendir(path);
    int status = LORAC_OK;

    *names = NULL;
    *count = 0;
    if (!folder)
        return fail_errno(path, "open the folder");
    for (struct dirent *entry; status == LORAC_OK && (entry = readdir(folder));) {
        if (!is_dots(entry->d_name))
            status = add_name(names, count, entry->d_name);
    }
    closedir(folder);
    if (status != LORAC_OK) {
        folder_list_free(*names, *count);
        *names = NULL;
        *count = 0;
        return status;
    }
    if (*count > 1)
        qsort(*names, *count, sizeof **names, compare_names);
    return LORAC_OK;
}

void folder_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
}

/* ---- Replacing a folder at once */

/* `target` without slashes at its end, with `suffix`; NULL when out of memory. */
static char *sibling(const char *target, const char *suffix)
{
    buf path = { 0 };

    buf_add(&path, target, length_without_slashes(target));
    buf_text(&path, suffix);
    if (path.failed)
        buf_free(&path);
    return path.p;
}

int folder_begin(char **temporary, const char *target)
{
    char *path = sibling(target, ".part");
    int status = path ? folder_remove(path) : fail_memory();

    if (status == LORAC_OK)
        status = folder_make(path);
    if (status != LORAC_OK) {
        mem_free(path);
        path = NULL;
    }
    *temporary = path;
    return status;
}

/* Without an exchanging rename there is a moment in which the old folder is TARGET.old and no TARGET is there. */
static int replace_by_two_renames(const char *temporary, const char *target)
{
    char *old = sibling(target, ".old");
    int status = old ? folder_remove(old) : fail_memory();

    if (status == LORAC_OK && rename(target, old) != 0)
        status = fail_errno(target, "move aside");
    if (status == LORAC_OK && rename(temporary, target) != 0) {
        status = fail_errno(target, "rename into place");
        rename(old, target);
    }
    if (status == LORAC_OK)
        status = folder_remove(old);
    mem_free(old);
    return status;
}

static int put_in_place(const char *temporary, const char *target)
{
    if (rename(temporary, target) == 0)
        return LORAC_OK;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return fail_errno(target, "rename into place");
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_EXCHANGE) == 0)
        return folder_remove(temporary);
    if (errno != EINVAL && errno != ENOSYS)
        return fail_errno(target, "rename into place");
    return replace_by_two_renames(temporary, target);
}

int folder_commit(const char *temporary, const char *target)
{
    char *bare = sibling(target, "");
    char *parent = NULL;
    int status = bare ? folder_sync(temporary) : fail_memory();

    if (status == LORAC_OK)
        status = put_in_place(temporary, bare);
    if (status == LORAC_OK) {
        slice name = path_name(bare);
        parent = mem_text(bare);
        if (parent)
            parent[name.p - bare] = '\0';
        status = parent ? folder_sync(parent[0] ? parent : ".") : fail_memory();
    }
    mem_free(parent);
    mem_free(bare);
    return status;
}

void folder_drop(const char *temporary)
{
    if (temporary)
        folder_remove(temporary);
}

int folder_end(char *temporary, const char *target, int status)
{
    if (status == LORAC_OK)
        status = folder_commit(temporary, target);
    if (status != LORAC_OK)
        folder_drop(temporary);
    mem_free(temporary);
    return status;
}
