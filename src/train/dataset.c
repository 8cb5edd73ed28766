/* dataset.c: finding the files, indexing their rows, and parsing one row at a time.
 *
 * A row's line number is its first line's. Blank lines are not rows but count as lines. A row longer than
 * ROW_BYTES_MOST is refused when it is read, so an index can always be built. */
#include "dataset.h"

#include "arena.h"
#include "array.h"
#include "err.h"
#include "file.h"
#include "json_place.h"
#include "mem.h"
#include "table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BYTES_MOST = 16 << 20, COLUMNS_MOST = 1024 };

typedef enum file_kind { FILE_JSONL, FILE_CSV, FILE_TSV } file_kind;

typedef struct row_index {
    uint64_t begin, length;
    long line;
} row_index;

/* Columns of a table, by position; -1 where the header lacks one. */
typedef struct columns {
    int text, prompt, completion, label, count;
} columns;

typedef struct source {
    file_kind kind;
    mapped map;
    columns columns;
} source;

struct dataset {
    dataset_part *parts;
    source *sources; /* beside parts */
    size_t part_count;
    row_index *rows;
    size_t count, capacity;
    arena memory;
};

/* ---- Which files ------------------------------------------------------------------------------------------- */

static file_kind kind_of(const char *path)
{
    slice name = path_name(path);

    return slice_ends(name, ".csv") ? FILE_CSV : slice_ends(name, ".tsv") ? FILE_TSV : FILE_JSONL;
}

/* The file of a split in a folder, or NULL (with *status set when out of memory). */
static const char *split_file(buf *path, const char *folder, const char *split, int *status)
{
    static const char *const endings[] = { "jsonl", "csv", "tsv" };
    buf name = { 0 };
    const char *found = NULL;

    for (size_t i = 0; i < 3 && !found; i++) {
        buf_clear(&name);
        buf_format(&name, "%s.%s", split, endings[i]);
        *status = buf_status(&name);
        if (*status == LORAC_OK && !path_join(path, folder, name.p))
            *status = fail_memory();
        if (*status != LORAC_OK)
            break;
        if (path_exists(path->p))
            found = path->p;
    }
    buf_free(&name);
    return found;
}

static int parse_weight(const char *text, const char *spec, double *weight)
{
    char *end;

    *weight = strtod(text, &end);
    if (end == text || *end || !(*weight > 0) || *weight > 1e6)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "data", .found = text, .expected = "a positive number behind the colon" },
                       "\"%s\" has a weight that makes no sense", spec);
    return LORAC_OK;
}

/* A list that is itself a path is one. */
int dataset_next_source(slice *rest, buf *path, double *weight)
{
    slice piece = *rest;
    char *colon;

    buf_clear(path);
    buf_slice(path, piece);
    TRY(buf_status(path));
    *weight = 1;
    if (path_exists(path->p)) {
        rest->n = 0;
        return LORAC_OK;
    }
    piece = slice_cut(rest, ',');
    buf_clear(path);
    buf_slice(path, piece);
    TRY(buf_status(path));
    colon = piece.n ? strrchr(path->p, ':') : NULL;
    if (!piece.n || path_exists(path->p) || !colon)
        return LORAC_OK;
    TRY(parse_weight(colon + 1, path->p, weight));
    *colon = 0;
    path->n = (size_t)(colon - path->p);
    return LORAC_OK;
}

int dataset_has_split(const char *spec, const char *split, bool *has)
{
    slice rest = slice_of(spec);
    buf path = { 0 }, file = { 0 };
    double weight;
    int status = LORAC_OK;

    *has = false;
    while (rest.n && status == LORAC_OK && !*has) {
        status = dataset_next_source(&rest, &path, &weight);
        if (status == LORAC_OK && path.n && path_is_folder(path.p))
            *has = split_file(&file, path.p, split, &status) != NULL;
    }
    buf_free(&path);
    buf_free(&file);
    return status;
}

/* ---- The index ------------------------------------------------------------------------------------------------ */

static int add_row(dataset *d, uint64_t begin, uint64_t end, long line)
{
    TRY(array_room(d->rows, d->capacity, d->count + 1));
    d->rows[d->count++] = (row_index){ begin, end - begin, line };
    return LORAC_OK;
}

static bool is_blank(const char *p, size_t n)
{
    return slice_trim((slice){ p, n }).n == 0;
}

static int index_lines(dataset *d, slice text, size_t at)
{
    long line = 1;

    for (; at < text.n; line++) {
        const char *found = memchr(text.p + at, '\n', text.n - at);
        size_t end = found ? (size_t)(found - text.p) : text.n;

        if (!is_blank(text.p + at, end - at))
            TRY(add_row(d, at, end, line));
        at = end + 1;
    }
    return LORAC_OK;
}

/* Refuses bytes that are no UTF-8, naming the place in characters. */
static int check_utf8(slice text, const char *file, long line)
{
    size_t bad = utf8_valid(text);
    fault place = { .file = file, .line = line, .column = 1, .expected = "UTF-8" };
    char found[32];

    if (bad == text.n)
        return LORAC_OK;
    for (size_t at = 0; at < bad;) {
        bool line_break = text.p[at] == '\n';

        utf8_next(text, &at);
        place.line += line_break;
        place.column = line_break ? 1 : place.column + 1;
    }
    if (bad == 0 && (slice_starts(text, "\xff\xfe") || slice_starts(text, "\xfe\xff")))
        place.hint = "The file looks like UTF-16.";
    snprintf(found, sizeof found, "byte 0x%02X", (unsigned char)text.p[bad]);
    place.found = found;
    return fail_at(LORAC_ERROR_DATA, place, "the text is not UTF-8");
}

static int read_header(columns *c, slice record, char separator, const char *file, long line)
{
    buf field = { 0 };
    size_t at = 0;
    bool more = true;
    int status = LORAC_OK;

    *c = (columns){ -1, -1, -1, -1, 0 };
    TRY(check_utf8(record, file, line));
    while (more) {
        slice name;

        TRY_GOTO(table_field(record, &at, separator, file, line, &field, &more));
        name = slice_trim(buf_slice_of(&field));
        if (slice_is(name, "text"))
            c->text = c->count;
        else if (slice_is(name, "prompt"))
            c->prompt = c->count;
        else if (slice_is(name, "completion"))
            c->completion = c->count;
        else if (slice_is(name, "label"))
            c->label = c->count;
        if (++c->count > COLUMNS_MOST) {
            status =
                fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .line = line }, "more than %d columns", COLUMNS_MOST);
            goto done;
        }
    }
    if (c->text < 0 && (c->prompt < 0 || c->completion < 0))
        status =
            fail_at(LORAC_ERROR_DATA,
                    (fault){ .file = file, .line = line, .expected = "a column `text`, or `prompt` and `completion`" },
                    "the header lacks the columns of a row");
done:
    buf_free(&field);
    return status;
}

static int index_table(dataset *d, source *s, const char *file, slice text, size_t at)
{
    char separator = s->kind == FILE_CSV ? ',' : '\t';
    bool header = true;
    long line = 1;

    while (at < text.n) {
        long next = line;
        size_t end;

        if (table_record_end(text, at, separator, file, line, &end, &next) != LORAC_OK) {
            if (header)
                return LORAC_ERROR_DATA;
            return add_row(d, at, text.n, line); /* reading it says what is wrong */
        }
        if (is_blank(text.p + at, end - at)) {
            /* a blank line is no record */
        } else if (header) {
            TRY(read_header(&s->columns, (slice){ text.p + at, end - at }, separator, file, line));
            header = false;
        } else {
            TRY(add_row(d, at, end, line));
        }
        at = end;
        line = next;
    }
    return LORAC_OK;
}

static int add_file(dataset *d, const char *path, double weight)
{
    size_t index = d->part_count;
    dataset_part *parts = mem_grow(d->parts, index + 1, sizeof *parts);
    source *sources;
    slice text;
    size_t at;

    if (!parts)
        return fail_memory();
    d->parts = parts;
    sources = mem_grow(d->sources, index + 1, sizeof *sources);
    if (!sources)
        return fail_memory();
    d->sources = sources;
    d->parts[index] = (dataset_part){ arena_text(&d->memory, path, strlen(path)), d->count, 0, weight };
    d->sources[index] = (source){ .kind = kind_of(path) };
    if (!d->parts[index].file)
        return fail_memory();
    TRY(file_map(&d->sources[index].map, path));
    d->part_count++;
    text = (slice){ (const char *)d->sources[index].map.p, d->sources[index].map.n };
    at = slice_starts(text, "\xef\xbb\xbf") ? 3 : 0; /* a byte order mark is not part of the first row */
    if (d->sources[index].kind == FILE_JSONL)
        TRY(index_lines(d, text, at));
    else
        TRY(index_table(d, &d->sources[index], d->parts[index].file, text, at));
    d->parts[index].count = d->count - d->parts[index].first;
    return LORAC_OK;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int fail_no_split(const char *folder, const char *split)
{
    fault place = { .file = folder, .hint = "Name a row file, or put that file into the folder." };

    return fail_at(LORAC_ERROR_DATA, place, "the folder has no %s.jsonl, %s.csv or %s.tsv", split, split, split);
}

static int add_spec(dataset *d, const char *path, const char *split, double weight, bool optional)
{
    buf file = { 0 };
    const char *found;
    int status = LORAC_OK;

    if (!path_is_folder(path))
        return optional ? LORAC_OK : add_file(d, path, weight);
    found = split_file(&file, path, split, &status);
    if (found)
        status = add_file(d, found, weight);
    else if (status == LORAC_OK && !optional)
        status = fail_no_split(path, split);
    buf_free(&file);
    return status;
}

int dataset_open(dataset **out, const char *spec, const char *split, bool optional)
{
    dataset *d = mem_new(1, sizeof *d);
    slice rest = slice_of(spec);
    buf path = { 0 };
    double weight;
    int status = LORAC_OK;

    *out = NULL;
    if (!d)
        return fail_memory();
    while (rest.n) {
        TRY_GOTO(dataset_next_source(&rest, &path, &weight));
        if (path.n)
            TRY_GOTO(add_spec(d, path.p, split, weight, optional));
    }
    for (size_t i = 0; i < d->part_count && !optional; i++) {
        if (!d->parts[i].count) {
            status = fail_at(LORAC_ERROR_DATA, (fault){ .file = d->parts[i].file }, "the file has no rows");
            goto done;
        }
    }
    if (!d->part_count && !optional)
        status = fail_at(LORAC_ERROR_USAGE, (fault){ .key = "data" }, "no row file is named");
done:
    buf_free(&path);
    if (status == LORAC_OK)
        *out = d;
    else
        dataset_close(d);
    return status;
}

void dataset_close(dataset *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->part_count; i++)
        file_unmap(&d->sources[i].map);
    mem_free(d->parts);
    mem_free(d->sources);
    mem_free(d->rows);
    arena_free(&d->memory);
    mem_free(d);
}

size_t dataset_count(const dataset *d)
{
    return d->count;
}

const dataset_part *dataset_parts(const dataset *d, size_t *count)
{
    *count = d->part_count;
    return d->parts;
}

/* ---- Rows ---------------------------------------------------------------------------------------------------------
 */

static size_t part_of(const dataset *d, size_t index)
{
    size_t part = 0;

    assert(index < d->count);
    while (index >= d->parts[part].first + d->parts[part].count)
        part++;
    return part;
}

void dataset_place(const dataset *d, size_t index, const char **file, long *line)
{
    *file = d->parts[part_of(d, index)].file;
    *line = d->rows[index].line;
}

size_t dataset_bytes(const dataset *d, size_t index)
{
    return (size_t)d->rows[index].length;
}

static slice text_of(const dataset *d, size_t part, size_t index)
{
    return (slice){ (const char *)d->sources[part].map.p + d->rows[index].begin, (size_t)d->rows[index].length };
}

long dataset_column(const dataset *d, size_t index, const char *key)
{
    size_t part = part_of(d, index), end;
    slice text = text_of(d, part, index);
    long column = 1;

    if (!key || d->sources[part].kind != FILE_JSONL)
        return column;
    end = json_offset(text, key);
    for (size_t at = 0; at < end; column++)
        utf8_next(text, &at);
    return column;
}

/* A label is a number where it looks like one. */
static json_t *field_value(const buf *field, bool label)
{
    bool number = label && field->n > 0 && field->n < 10;

    for (size_t i = 0; i < field->n && number; i++)
        number = field->p[i] >= '0' && field->p[i] <= '9';
    return number ? json_integer(atoll(field->p)) : json_stringn(field->p ? field->p : "", field->n);
}

static int table_row(const source *s, slice record, const char *file, long line, json_t **out)
{
    const columns *c = &s->columns;
    char separator = s->kind == FILE_CSV ? ',' : '\t';
    json_t *object = json_object();
    buf field = { 0 };
    size_t at = 0;
    bool more = true;
    int count = 0, status = LORAC_OK;

    for (; more && object; count++) {
        const char *key;

        TRY_GOTO(table_field(record, &at, separator, file, line, &field, &more));
        key = count == c->text         ? "text"
              : count == c->prompt     ? "prompt"
              : count == c->completion ? "completion"
              : count == c->label      ? "label"
                                       : NULL;
        if (key && json_object_set_new(object, key, field_value(&field, count == c->label)) != 0)
            TRY_GOTO(fail_memory());
    }
    if (!object)
        TRY_GOTO(fail_memory());
    if (count != c->count)
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .line = line },
                         "%d fields, where the header has %d columns", count, c->count);
done:
    buf_free(&field);
    if (status != LORAC_OK) {
        json_decref(object);
        object = NULL;
    }
    *out = object;
    return status;
}

static int line_row(slice text, const char *file, long line, json_t **out)
{
    TRY(json_parse(out, text, file, line, 0));
    if (!json_is_object(*out)) {
        const char *kind = json_kind(*out);

        json_decref(*out);
        *out = NULL;
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = file, .line = line, .column = 1, .found = kind, .expected = "an object" },
                       "a row of the wrong kind");
    }
    return LORAC_OK;
}

int dataset_row(const dataset *d, size_t index, json_t **out)
{
    size_t part = part_of(d, index);
    const source *s = &d->sources[part];
    const row_index *row = &d->rows[index];
    const char *file = d->parts[part].file;
    slice text = text_of(d, part, index);

    *out = NULL;
    if (row->length > ROW_BYTES_MOST)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .line = row->line, .expected = "at most 16 MiB" },
                       "a row of %llu bytes", (unsigned long long)row->length);
    TRY(check_utf8(text, file, row->line));
    return s->kind == FILE_JSONL ? line_row(text, file, row->line, out) : table_row(s, text, file, row->line, out);
}
