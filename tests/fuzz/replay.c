/* replay.c: runs a fuzz target over every file of a folder, and over damaged copies: cut at 64 places, and with single
 * bytes changed. The damage follows from the file alone, so a failure comes again. Needs no libFuzzer. */
#include "err.h"
#include "file.h"
#include "mem.h"
#include "rng.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS = 64, CHANGES = 256 };

/* Runs on a block of exactly `n` bytes, so that a sanitizer sees the first byte read beyond it. */
static int run_exact(const uint8_t *p, size_t n)
{
    uint8_t *copy = mem_new(n, 1);

    if (!copy)
        return fail_memory();
    if (n > 0)
        memcpy(copy, p, n);
    LLVMFuzzerTestOneInput(copy, n);
    mem_free(copy);
    return LORAC_OK;
}

static int run_damaged(const mapped *file)
{
    static const uint8_t values[] = { 0x00, 0xFF, 0x7F, 0x80, '"', '{' };
    rng random = rng_new(file->n, rng_stream("replay"));
    uint8_t *copy = mem_new(file->n, 1);

    if (!copy)
        return fail_memory();
    memcpy(copy, file->p, file->n);
    for (int i = 0; i < CHANGES; i++) {
        size_t at = rng_next(&random) % file->n;
        uint64_t choice = rng_next(&random) % (sizeof values + 2);
        copy[at] = choice < sizeof values ? values[choice] : (uint8_t)(file->p[at] ^ 1u << rng_next(&random) % 8);
        LLVMFuzzerTestOneInput(copy, file->n);
        copy[at] = file->p[at];
    }
    mem_free(copy);
    for (size_t i = 0; i < CUTS; i++)
        TRY(run_exact(file->p, file->n * i / CUTS));
    return LORAC_OK;
}

static int run_file(const char *path)
{
    mapped file;
    int status;

    TRY(file_map(&file, path));
    status = run_exact(file.p, file.n);
    if (status == LORAC_OK && file.n > 0)
        status = run_damaged(&file);
    file_unmap(&file);
    return status;
}

static int run_folder(const char *folder)
{
    char **names;
    size_t count;
    buf path = { 0 };
    int status;

    TRY(folder_list(&names, &count, folder));
    status = count > 0 ? LORAC_OK : fail_at(LORAC_ERROR_DATA, (fault){ .file = folder }, "the corpus is empty");
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        status = path_join(&path, folder, names[i]) ? run_file(path.p) : fail_memory();
    if (status == LORAC_OK)
        printf("%zu files\n", count);
    buf_free(&path);
    folder_list_free(names, count);
    return status;
}

int main(int argc, char **argv)
{
    int status = LORAC_OK;

    for (int i = 1; i < argc && status == LORAC_OK; i++)
        status = path_is_folder(argv[i]) ? run_folder(argv[i]) : run_file(argv[i]);
    if (status != LORAC_OK)
        fprintf(stderr, "%s\n", lorac_last_error()->message);
    return status;
}
