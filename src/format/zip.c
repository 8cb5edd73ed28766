/* zip.c: reading a zip archive's central directory (PKWARE's APPNOTE 6.3, sections 4.3 and 4.5), zip64 included.
 * Invariant: every offset and size is compared with the bytes there are before it is used, and no byte belongs to two
 * entries, so that an archive never stands for more than its own size. Checksums are not looked at: torch.save may be
 * told not to compute them. */
#include "zip.h"

#include "err.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    COMMENT_LIMIT = 65535,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    ENTRY_LIMIT = 1000000,
    STORED = 0,
    ENCRYPTED = 1, /* a bit of the flags */
    EXTRA_ZIP64 = 1
};

#define END_MARK 0x06054b50u
#define END64_MARK 0x06064b50u
#define LOCATOR_MARK 0x07064b50u
#define CENTRAL_MARK 0x02014b50u
#define LOCAL_MARK 0x04034b50u
#define SEE_ZIP64 0xffffffffu /* a 32-bit field whose value stands in the zip64 extra field */

typedef struct reader {
    zip *z;
    const uint8_t *p;
    uint64_t n;
    uint64_t directory, directory_bytes, count; /* where the central directory is */
} reader;

/* An entry of the central directory. */
typedef struct record {
    slice name;
    uint16_t flags, method;
    uint64_t packed, size, offset;
} record;

/* Where an entry's bytes are, its local header included. */
typedef struct extent {
    uint64_t begin, end;
    size_t entry;
} extent;

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t value = 0;

    for (int i = bytes; i-- > 0;)
        value = value << 8 | p[i];
    return value;
}

static uint16_t u16(const uint8_t *p)
{
    return (uint16_t)number(p, 2);
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)number(p, 4);
}

static int damaged(const reader *r, const char *what)
{
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = r->z->path, .hint = "The file was cut short or is damaged; copy it again" },
                   "the zip archive's %s", what);
}

static int damaged_entry(const reader *r, slice name, const char *what)
{
    char key[256];

    slice_put(name, key, sizeof key);
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = r->z->path, .key = key, .hint = "The file was cut short or is damaged; copy it again" },
        "an entry of the zip archive %s", what);
}

/* The end record stands last, before nothing but its own comment. */
static const uint8_t *find_end(const reader *r)
{
    for (uint64_t comment = 0; comment <= COMMENT_LIMIT && comment + END_BYTES <= r->n; comment++) {
        const uint8_t *end = r->p + (r->n - END_BYTES - comment);

        if (u32(end) == END_MARK && u16(end + 20) == comment)
            return end;
    }
    return NULL;
}

static int read_end64(reader *r, const uint8_t *locator, uint64_t *limit)
{
    uint64_t at = number(locator + 8, 8);
    const uint8_t *end;

    if (at > *limit || *limit - at < END64_BYTES || u32(r->p + at) != END64_MARK)
        return damaged(r, "zip64 end record is not where its locator says");
    end = r->p + at;
    r->count = number(end + 32, 8);
    r->directory_bytes = number(end + 40, 8);
    r->directory = number(end + 48, 8);
    *limit = at;
    return LORAC_OK;
}

static int read_end(reader *r)
{
    const uint8_t *end = find_end(r);
    uint64_t limit;

    if (!end)
        return damaged(r, "end record is missing");
    limit = (uint64_t)(end - r->p);
    r->count = u16(end + 10);
    r->directory_bytes = u32(end + 12);
    r->directory = u32(end + 16);
    if (limit >= LOCATOR_BYTES && u32(end - LOCATOR_BYTES) == LOCATOR_MARK) {
        limit -= LOCATOR_BYTES;
        TRY(read_end64(r, r->p + limit, &limit));
    }
    if (r->directory > limit || r->directory_bytes > limit - r->directory)
        return damaged(r, "directory goes past its end record");
    if (r->count > ENTRY_LIMIT || r->count > r->directory_bytes / CENTRAL_BYTES)
        return damaged(r, "directory is too short for the number of entries that it declares");
    return LORAC_OK;
}

/* Sizes of 32 bits that are full stand in this field instead, in this order, and only those that are full. */
static int read_zip64(const reader *r, record *c, const uint8_t *extra, size_t bytes)
{
    uint64_t *const values[] = { &c->size, &c->packed, &c->offset };
    size_t at = 0;

    for (size_t i = 0; i < 3; i++) {
        if (*values[i] != SEE_ZIP64)
            continue;
        if (bytes - at < 8)
            return damaged_entry(r, c->name, "has a zip64 field that is too short");
        *values[i] = number(extra + at, 8);
        at += 8;
    }
    return LORAC_OK;
}

static int read_extra(const reader *r, record *c, const uint8_t *extra, size_t bytes)
{
    while (bytes >= 4) {
        size_t length = u16(extra + 2);

        if (length > bytes - 4)
            return damaged_entry(r, c->name, "has an extra field that is too short");
        if (u16(extra) == EXTRA_ZIP64)
            return read_zip64(r, c, extra + 4, length);
        extra += 4 + length;
        bytes -= 4 + length;
    }
    return LORAC_OK;
}

static int read_record(const reader *r, uint64_t *at, record *c)
{
    uint64_t left = r->directory + r->directory_bytes - *at;
    const uint8_t *p = r->p + *at;
    size_t name, extra, comment;

    if (left < CENTRAL_BYTES || u32(p) != CENTRAL_MARK)
        return damaged(r, "directory is not a list of entries");
    name = u16(p + 28);
    extra = u16(p + 30);
    comment = u16(p + 32);
    if (name + extra + comment > left - CENTRAL_BYTES)
        return damaged(r, "directory ends inside an entry");
    *c = (record){
        .flags = u16(p + 8), .method = u16(p + 10), .packed = u32(p + 20), .size = u32(p + 24), .offset = u32(p + 42)
    };
    c->name = (slice){ (const char *)p + CENTRAL_BYTES, name };
    *at += CENTRAL_BYTES + name + extra + comment;
    return read_extra(r, c, p + CENTRAL_BYTES + name, extra);
}

static int check_stored(const reader *r, const record *c)
{
    char key[256], found[48];

    if (c->method == STORED && !(c->flags & ENCRYPTED))
        return c->packed == c->size ? LORAC_OK : damaged_entry(r, c->name, "is stored, and yet has two sizes");
    slice_put(c->name, key, sizeof key);
    snprintf(found, sizeof found, c->method == STORED ? "encryption" : "compression method %u", c->method);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = r->z->path,
                            .key = key,
                            .found = found,
                            .expected = "entries that are stored as they are",
                            .hint = "torch.save does not compress; save the file with it again" },
                   "an entry of the zip archive is packed");
}

/* The local header repeats the name; its own extra field may have another length than the directory's. */
static int place_entry(const reader *r, const record *c, zip_entry *out, extent *e)
{
    const uint8_t *local;
    uint64_t left, head;

    TRY(check_stored(r, c));
    if (c->offset > r->directory || r->directory - c->offset < LOCAL_BYTES)
        return damaged_entry(r, c->name, "begins past the end of the data");
    local = r->p + c->offset;
    left = r->directory - c->offset;
    head = LOCAL_BYTES + (uint64_t)u16(local + 26) + u16(local + 28);
    if (u32(local) != LOCAL_MARK || head > left || u16(local + 26) != c->name.n ||
        memcmp(local + LOCAL_BYTES, c->name.p, c->name.n) != 0)
        return damaged_entry(r, c->name, "has no local header of that name where the directory says");
    if (c->size > left - head)
        return damaged_entry(r, c->name, "goes past the end of the data");
    *out = (zip_entry){ c->name, { (const char *)local + head, (size_t)c->size } };
    e->begin = c->offset;
    e->end = c->offset + head + c->size;
    return LORAC_OK;
}

static int by_place(const void *left, const void *right)
{
    const extent *a = left, *b = right;

    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

static int check_overlaps(const reader *r, extent *extents)
{
    qsort(extents, r->z->count, sizeof *extents, by_place);
    for (size_t i = 1; i < r->z->count; i++) {
        if (extents[i].begin < extents[i - 1].end)
            return damaged_entry(r, r->z->entries[extents[i].entry].name, "overlaps another");
    }
    return LORAC_OK;
}

static int read_entries(reader *r, extent *extents)
{
    zip *z = r->z;
    uint64_t at = r->directory;

    for (; z->count < r->count; z->count++) {
        record c;
        bool found;

        TRY(read_record(r, &at, &c));
        TRY(place_entry(r, &c, &z->entries[z->count], &extents[z->count]));
        extents[z->count].entry = z->count;
        TRY(map_add(&z->index, c.name, (int64_t)z->count, &found));
        if (found)
            return damaged_entry(r, c.name, "comes twice");
    }
    return check_overlaps(r, extents);
}

static int read_directory(reader *r)
{
    extent *extents;
    int status;

    TRY(read_end(r));
    r->z->entries = arena_new(&r->z->memory, (size_t)r->count, sizeof *r->z->entries);
    extents = mem_new((size_t)r->count, sizeof *extents);
    status = r->z->entries && extents ? read_entries(r, extents) : fail_memory();
    mem_free(extents);
    return status;
}

int zip_open(zip *out, const mapped *file, const char *path)
{
    reader r = { .z = out, .p = file->p, .n = file->n };
    int status;

    *out = (zip){ .path = path };
    status = read_directory(&r);
    if (status != LORAC_OK)
        zip_close(out);
    return status;
}

void zip_close(zip *z)
{
    map_free(&z->index);
    arena_free(&z->memory);
    *z = (zip){ 0 };
}

const zip_entry *zip_find(const zip *z, const char *name)
{
    int64_t i = map_find(&z->index, slice_of(name));

    return i < 0 ? NULL : &z->entries[i];
}
