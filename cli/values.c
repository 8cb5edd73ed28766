/* values.c: small conversions that several commands share. */
#include "cli.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum { OPEN_FOLDERS = 16 };

static void *not_null(void *p)
{
    if (!p) {
        fputs("error: out of memory\n", stderr);
        exit(LORAC_ERROR_RUNTIME);
    }
    return p;
}

void *allocate(size_t count, size_t size)
{
    return not_null(calloc(count ? count : 1, size));
}

void *grow(void *p, size_t count, size_t size)
{
    return not_null(reallocarray(p, count ? count : 1, size));
}

char *format_text(const char *format, ...)
{
    va_list values;
    char *text;
    int length;

    va_start(values, format);
    length = vasprintf(&text, format, values);
    va_end(values);
    return length < 0 ? allocate(1, 1) : text;
}

void add_text(text_list *list, const char *text)
{
    list->items = grow(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = text;
}

int parse_ids(const arguments *a, const char *key, const char *text, int32_t **ids, size_t *count)
{
    size_t most = 1;
    const char *at = text;

    for (const char *p = text; *p; p++)
        most += *p == ',';
    *ids = allocate(most, sizeof **ids);
    *count = 0;
    do {
        char *end;
        long id;

        errno = 0;
        id = strtol(at, &end, 10);
        if (end == at || errno || id < 0 || id > INT32_MAX || (*end && *end != ',')) {
            free(*ids);
            *ids = NULL;
            return usage(a, key, NULL, "--%s \"%s\" is not a list of token ids such as 1,2,3", key, text);
        }
        (*ids)[(*count)++] = (int32_t)id;
        at = end + 1;
        if (!*end)
            break;
    } while (true);
    return LORAC_OK;
}

bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);

    return n >= m && !strcmp(text + n - m, ending);
}

int parse_size(const arguments *a, const char *key, const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = { { "", 1 },         { "KB", 1e3 },     { "MB", 1e6 },     { "GB", 1e9 },    { "TB", 1e12 },
                  { "KiB", 0x1p10 }, { "MiB", 0x1p20 }, { "GiB", 0x1p30 }, { "TiB", 0x1p40 } };
    char *unit;
    double value;

    if (!text)
        return LORAC_OK;
    value = strtod(text, &unit);
    unit += strspn(unit, " ");
    for (size_t i = 0; i < sizeof units / sizeof *units && unit != text; i++) {
        if (strcasecmp(unit, units[i].name) != 0 || !(value * units[i].bytes >= 1 && value * units[i].bytes < 0x1p63))
            continue;
        *bytes = (uint64_t)(value * units[i].bytes);
        return LORAC_OK;
    }
    return usage(a, key, NULL, "--%s \"%s\" is not a size such as 5GB or 500MB", key, text);
}

/* The colon that separates a weight, or NULL: what follows the last one must be a number, and a path that exists as
 * it stands has none. */
static char *weight_colon(const char *text, double *weight)
{
    struct stat about;
    char *colon = strrchr(text, ':'), *end;

    *weight = 1;
    if (!colon || stat(text, &about) == 0)
        return NULL;
    *weight = strtod(colon + 1, &end);
    if (end == colon + 1 || *end) {
        *weight = 1;
        return NULL;
    }
    return colon;
}

int parse_adapters(const arguments *a, lorac_adapter_ref **refs, size_t *count)
{
    *count = a->adapters.count;
    *refs = allocate(*count, sizeof **refs);
    for (size_t i = 0; i < *count; i++) {
        const char *text = a->adapters.items[i];
        double weight;
        const char *colon = weight_colon(text, &weight);

        if (!isfinite(weight)) {
            free_adapters(*refs, i);
            *refs = NULL;
            return usage(a, "adapter", NULL, "--adapter %s: the weight must be a finite number", text);
        }
        (*refs)[i].path = colon ? format_text("%.*s", (int)(colon - text), text) : format_text("%s", text);
        (*refs)[i].weight = weight;
    }
    return LORAC_OK;
}

void free_adapters(lorac_adapter_ref *refs, size_t count)
{
    for (size_t i = 0; refs && i < count; i++)
        free((char *)refs[i].path);
    free(refs);
}

int read_file(const arguments *a, const char *path, char **text, size_t *length)
{
    FILE *file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    size_t capacity = 0, n = 0, got = 0;
    char *p = NULL;
    bool failed;

    if (!file)
        return problem(a, LORAC_ERROR_DATA, path, NULL, "cannot read this file: %s", strerror(errno));
    do {
        n += got;
        if (n + 1 >= capacity) {
            capacity = capacity * 2 + 65536;
            p = grow(p, capacity, 1);
        }
        got = fread(p + n, 1, capacity - n - 1, file);
    } while (got);
    failed = ferror(file);
    if (file != stdin)
        fclose(file);
    if (failed) {
        free(p);
        return problem(a, LORAC_ERROR_DATA, path, NULL, "cannot read this file: %s", strerror(errno));
    }
    p[n] = '\0';
    *text = p;
    *length = n;
    return LORAC_OK;
}

json_t *json_text(const char *text, size_t length)
{
    json_t *value = json_stringn(text, length);
    char *clean;
    size_t at = 0, n = 0;

    if (value)
        return value;
    clean = allocate(length + 1, 3);
    while (at < length) {
        size_t start = at;

        if (next_codepoint(text, length, &at) == UINT32_MAX) {
            n = (size_t)(stpcpy(clean + n, "\xEF\xBF\xBD") - clean);
        } else {
            memcpy(clean + n, text + start, at - start);
            n += at - start;
        }
    }
    value = json_stringn(clean, n);
    free(clean);
    return value ? value : json_null();
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_ids(const int32_t *ids, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(value);
}

const char *grouped(int64_t value, char out[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)value);
    int used = 0;

    for (int i = 0; i < n; i++) {
        if (i && digits[i - 1] != '-' && (n - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

const char *bytes_text(double bytes, char out[32])
{
    if (bytes < 1e6)
        snprintf(out, 32, "%.1f kB", bytes / 1e3);
    else if (bytes < 1e9)
        snprintf(out, 32, "%.1f MB", bytes / 1e6);
    else
        snprintf(out, 32, "%.2f GB", bytes / 1e9);
    return out;
}

double peak_memory_gb(void)
{
    struct rusage about;

    getrusage(RUSAGE_SELF, &about);
    return (double)about.ru_maxrss * 1024 / 1e9;
}

double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

char *trainable_line(int64_t trainable, int64_t all)
{
    char a[32], b[32];

    return format_text("trainable params: %s || all params: %s || trainable%%: %.4f", grouped(trainable, a),
                       grouped(all, b), all ? 100.0 * (double)trainable / (double)all : 0.0);
}

bool path_is_directory(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

void remove_tree(const char *path)
{
    nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}
