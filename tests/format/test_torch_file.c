/* Files of torch.save: what PyTorch writes opens (tests/golden/formats), and every fault is refused with a sentence
 * about that very fault. The files are made here, entry by entry, and each bad one differs from a good one in the fault
 * alone. */
#include "test.h"

#include "err.h"
#include "mem.h"
#include "torch_file.h"

static const char *folder;
static char path[512];

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    snprintf(path, sizeof path, "%s/adapter_model.bin", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

/* ---- Making an archive */

typedef struct entry {
    const char *name;
    slice contents;
    uint16_t method, flags;
    uint32_t size, offset; /* what the directory says, where not 0 */
    const char *local_name;
} entry;

static void put(buf *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_char(b, i < 8 ? (char)(value >> 8 * i) : 0);
}

static void put_local(buf *b, const entry *e)
{
    const char *name = e->local_name ? e->local_name : e->name;

    put(b, 0x04034b50, 4);
    put(b, 20, 2);
    put(b, e->flags, 2);
    put(b, e->method, 2);
    put(b, 0, 8); /* time, checksum */
    put(b, e->contents.n, 4);
    put(b, e->contents.n, 4);
    put(b, strlen(name), 2);
    put(b, 0, 2);
    buf_text(b, name);
    buf_slice(b, e->contents);
}

static void put_central(buf *b, const entry *e, uint32_t offset, bool zip64)
{
    uint32_t size = e->size ? e->size : (uint32_t)e->contents.n;

    put(b, 0x02014b50, 4);
    put(b, 20, 2);
    put(b, 20, 2);
    put(b, e->flags, 2);
    put(b, e->method, 2);
    put(b, 0, 8);
    put(b, zip64 ? 0xffffffff : size, 4);
    put(b, zip64 ? 0xffffffff : size, 4);
    put(b, strlen(e->name), 2);
    put(b, zip64 ? 28 : 0, 2);
    put(b, 0, 10); /* comment, disk, attributes */
    put(b, zip64 ? 0xffffffff : e->offset ? e->offset : offset, 4);
    buf_text(b, e->name);
    if (zip64) {
        put(b, 1, 2);
        put(b, 24, 2);
        put(b, size, 8);
        put(b, size, 8);
        put(b, offset, 8);
    }
}

static void put_end(buf *b, size_t count, size_t directory, bool zip64)
{
    size_t bytes = b->n - directory, end = b->n;

    if (zip64) {
        put(b, 0x06064b50, 4);
        put(b, 44, 8);
        put(b, 0x2d002d, 4);
        put(b, 0, 8);
        put(b, count, 8);
        put(b, count, 8);
        put(b, bytes, 8);
        put(b, directory, 8);
        put(b, 0x07064b50, 4);
        put(b, 0, 4);
        put(b, end, 8);
        put(b, 1, 4);
    }
    put(b, 0x06054b50, 4);
    put(b, 0, 4);
    put(b, zip64 ? 0xffff : count, 2);
    put(b, zip64 ? 0xffff : count, 2);
    put(b, zip64 ? 0xffffffff : bytes, 4);
    put(b, zip64 ? 0xffffffff : directory, 4);
    put(b, 0, 2);
}

static void make_archive(buf *b, const entry *entries, size_t count, bool zip64)
{
    size_t places[8], directory;

    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        places[i] = b->n;
        put_local(b, &entries[i]);
    }
    directory = b->n;
    for (size_t i = 0; i < count; i++)
        put_central(b, &entries[i], (uint32_t)places[i], zip64);
    put_end(b, count, directory, zip64);
}

static int open_bytes(const buf *b)
{
    torch_file f;
    int status;

    test_write(path, b->p, b->n);
    status = torch_file_open(&f, path);
    if (status == LORAC_OK)
        torch_file_close(&f);
    return status;
}

static int open_entries(const entry *entries, size_t count)
{
    buf b = { 0 };
    int status;

    make_archive(&b, entries, count, false);
    status = open_bytes(&b);
    buf_free(&b);
    return status;
}

#define BYTES(literal)              \
    {                               \
        literal, sizeof literal - 1 \
    }

static int open_pickle(slice pickle)
{
    const entry entries[] = { { .name = "a/data.pkl", .contents = pickle },
                              { .name = "a/byteorder", .contents = BYTES("little") },
                              { .name = "a/data/0", .contents = BYTES("0123456789abcdefghijklmn") } };

    return open_entries(entries, 3);
}

static void assert_refused(int status, const char *rule, const char *words)
{
    if (status == LORAC_OK)
        fail_msg("accepted: %s", rule);
    assert_int_equal(status, LORAC_ERROR_DATA);
    assert_string_equal(lorac_last_error()->file, path);
    assert_contains(lorac_last_error()->message, words);
}

/* ---- Pickles. Six values of f32 as a tensor `w` of [2, 3] */

#define START "\x80\x02}X\x01\0\0\0w"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n("
#define STORAGE(type, key, count) "(X\x07\0\0\0storagectorch\n" type "\nX\x01\0\0\0" key "X\x03\0\0\0cpu" count "tQ"
#define SIX STORAGE("FloatStorage", "0", "K\6")
#define REST \
    "\x89"   \
    "ccollections\nOrderedDict\n)RtR"
#define DICT_END "s."
#define TENSOR(shape) START REBUILD SIX shape REST DICT_END

typedef struct bad_pickle {
    const char *rule;
    slice pickle;
    const char *words;
} bad_pickle;

static const slice good_pickles[] = {
    BYTES(TENSOR("K\0K\2K\3\x86K\3K\1\x86")),
    BYTES(TENSOR("K\0K\2K\3\x86K\1K\2\x86")),   /* transposed */
    BYTES(TENSOR("K\2K\2K\1\x86K\2K\x63\x86")), /* a part; the stride of one element means nothing */
    BYTES(TENSOR("K\0))")),                     /* a scalar */
    BYTES(START REBUILD STORAGE("HalfStorage", "0", "K\x0c") "K\0K\x0c\x85K\1\x85" REST DICT_END),
    BYTES(START "ctorch._utils\n_rebuild_parameter\n(" REBUILD SIX "K\0K\6\x85K\1\x85" REST "\x88"
                "ccollections\nOrderedDict\n)RtR" DICT_END),
};

static const bad_pickle bad_pickles[] = {
    { "a function by GLOBAL", BYTES("\x80\x02}X\1\0\0\0wcos\nsystem\nX\2\0\0\0id\x85Rs."), "os.system" },
    { "a function by STACK_GLOBAL", BYTES("\x80\x04}\x8c\1w\x8c\5posix\x8c\6system\x93\x8c\2id\x85Rs."),
      "posix.system" },
    { "a function by INST", BYTES("\x80\x02(X\2\0\0\0idios\nsystem\n."), "os.system" },
    { "a function that is not called",
      BYTES(START REBUILD SIX "K\0K\6\x85K\1\x85\x89"
                              "cbuiltins\neval\ntR" DICT_END),
      "builtins.eval" },
    { "another function of torch", BYTES("\x80\x02}X\1\0\0\0wctorch\nload\n)Rs."), "torch.load" },
    { "a state for a tensor", BYTES(START REBUILD SIX "K\0K\6\x85K\1\x85" REST "}b" DICT_END),
      "a BUILD on torch._utils._rebuild_tensor_v2" },
    { "a call of a number", BYTES("\x80\x02K\1)R."), "REDUCE" },
    { "OrderedDict of a list",
      BYTES("\x80\x02"
            "ccollections\nOrderedDict\n]\x85R."),
      "OrderedDict with arguments" },
    { "NEWOBJ",
      BYTES("\x80\x02"
            "ccollections\nOrderedDict\n)\x81."),
      "NEWOBJ" },
    { "an unknown opcode", BYTES("\x80\x02\xff."), "0xff" },
    { "an empty memo", BYTES("\x80\x02h\5."), "memo where nothing is" },
    { "a memo of 4 G", BYTES("\x80\x02Nr\xff\xff\xff\xff."), "memo of more than a million" },
    { "an empty stack", BYTES("\x80\x02R."), "empty stack" },
    { "no mark", BYTES("\x80\x02Nt."), "lacks a mark" },
    { "a mark taken for a value", BYTES("\x80\x02(\x85."), "empty stack" },
    { "a dict without a value", BYTES("\x80\x02}(Nu."), "adds to something" },
    { "items for a number", BYTES("\x80\x02K\1NNs."), "adds to something" },
    { "two results", BYTES("\x80\x02NN."), "end with one value" },
    { "no end", BYTES("\x80\x02}"), "ends inside" },
    { "a string past the end", BYTES("\x80\x02X\xff\xff\xff\x7fw."), "ends inside" },
    { "a string of 2^63", BYTES("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "beyond all bounds" },
    { "a protocol of the future", BYTES("\x80\x09}."), "protocol" },
    { "bytes after the end", BYTES("\x80\x02}.}"), "more bytes" },
    { "a list of tensors", BYTES("\x80\x02]."), "a dict of tensors" },
    { "a number as a key", BYTES("\x80\x02}K\1Ns."), "strings as the dict's keys" },
    { "a key with an escape", BYTES("\x80\x02}X\1\0\0\0\x1bNs."), "control character" },
    { "a value that is no tensor", BYTES("\x80\x02}X\1\0\0\0wNs."), "None" },
    { "an integer of 128 bits",
      BYTES("\x80\x02}X\1\0\0\0w\x8a\x10"
            "0123456789abcdefs."),
      "64 bits" },
    { "a storage that is not there",
      BYTES(START REBUILD STORAGE("FloatStorage", "1", "K\6") "K\0K\6\x85K\1\x85" REST DICT_END), "a/data/1" },
    { "a path as a storage", BYTES(START REBUILD STORAGE("FloatStorage", "/", "K\6") "K\0K\6\x85K\1\x85" REST DICT_END),
      "not in the archive" },
    { "a storage larger than its entry",
      BYTES(START REBUILD STORAGE("FloatStorage", "0", "K\7") "K\0K\6\x85K\1\x85" REST DICT_END), "24 bytes" },
    { "a storage of another type",
      BYTES(START REBUILD STORAGE("DoubleStorage", "0", "K\6") "K\0K\6\x85K\1\x85" REST DICT_END),
      "48 for 6 values of F64" },
    { "a storage of -1",
      BYTES(START REBUILD STORAGE("FloatStorage", "0", "J\xff\xff\xff\xff") "K\0K\6\x85K\1\x85" REST DICT_END),
      "beyond all bounds" },
    { "a function as a storage's type",
      BYTES(START REBUILD "(X\x07\0\0\0storagectorch._utils\n_rebuild_parameter\nX\1\0\0\0"
                          "0X\3\0\0\0cpuK\6tQ"
                          "K\0K\6\x85K\1\x85" REST DICT_END),
      "FloatStorage" },
    { "a storage id that is a number",
      BYTES(START REBUILD "K\1Q"
                          "K\0K\6\x85K\1\x85" REST DICT_END),
      "a storage with its type" },
    { "a tensor beyond its storage", BYTES(TENSOR("K\0K\2K\4\x86K\4K\1\x86")), "[2, 4]" },
    { "an offset beyond the storage", BYTES(TENSOR("K\1K\2K\3\x86K\3K\1\x86")), "from element 1" },
    { "a negative offset", BYTES(TENSOR("J\xff\xff\xff\xffK\6\x85K\1\x85")), "from element -1" },
    { "a negative stride", BYTES(TENSOR("K\5K\6\x85J\xff\xff\xff\xff\x85")), "out of its storage" },
    { "a large tensor by a stride of 0", BYTES(TENSOR("K\0J\xff\xff\xff\x7fK\6\x86K\0K\1\x86")), "out of its storage" },
    { "sizes whose product overflows", BYTES(TENSOR("K\0J\0\0\0\x7fJ\0\0\0\x7fJ\0\0\0\x7f\x87K\0K\0K\0\x87")),
      "out of its storage" },
    { "strides whose product overflows", BYTES(TENSOR("K\0K\3\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85")),
      "out of its storage" },
    { "fewer strides than sizes", BYTES(TENSOR("K\0K\2K\3\x86K\1\x85")), "as many strides" },
    { "sizes that are strings",
      BYTES(TENSOR("K\0X\1\0\0\0"
                   "2\x85K\1\x85")),
      "integers as sizes" },
};

static void pickles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_pickles / sizeof *good_pickles; i++)
        if (open_pickle(good_pickles[i]) != LORAC_OK)
            fail_msg("good pickle %zu: %s", i, lorac_last_error()->message);
    for (size_t i = 0; i < sizeof bad_pickles / sizeof *bad_pickles; i++)
        assert_refused(open_pickle(bad_pickles[i].pickle), bad_pickles[i].rule, bad_pickles[i].words);
    print_message("%zu bad pickles\n", sizeof bad_pickles / sizeof *bad_pickles);
}

/* `unit` n times between a start and an end. */
static int open_repeated(slice start, slice unit, size_t n, slice end)
{
    buf b = { 0 };
    int status;

    buf_slice(&b, start);
    for (size_t i = 0; i < n; i++)
        buf_slice(&b, unit);
    buf_slice(&b, end);
    status = open_pickle(buf_slice_of(&b));
    buf_free(&b);
    return status;
}

/* Small files that would be large, deep or slow: none recurses, none grows beyond its limit. */
static void bombs(void **state)
{
    (void)state;
    const slice start = BYTES("\x80\x02"), end = BYTES("."), memo = BYTES("\x80\x02]q\0");
    const slice list = BYTES("]0"), nest = BYTES("\x85"), doubled = BYTES("h\0h\0\x86q\0"), get = BYTES("h\0"),
                mark = BYTES("(");

    assert_refused(open_repeated(start, list, 1, end), "POP", "POP");
    assert_refused(open_repeated((slice)BYTES("\x80\x02("), (slice)BYTES("]"), 3000000, end), "values", "values");
    assert_refused(open_repeated((slice)BYTES("\x80\x02)"), nest, 1000000, end), "a deep tuple", "a tuple");
    assert_refused(open_repeated(memo, doubled, 100000, end), "2^100000 lists", "end with one value");
    assert_refused(open_repeated(memo, get, 2000000, end), "a tall stack", "stack of more than a million");
    assert_refused(open_repeated(start, mark, 2000000, end), "many marks", "more than");
}

/* ---- Archives */

#define GOOD_PICKLE BYTES(TENSOR("K\0K\2K\3\x86K\3K\1\x86"))
#define GOOD_DATA BYTES("0123456789abcdefghijklmn")

static void archives(void **state)
{
    (void)state;
    const entry good[] = { { .name = "a/data.pkl", .contents = GOOD_PICKLE },
                           { .name = "a/data/0", .contents = GOOD_DATA } };
    entry bad[3];

    assert_ok(open_entries(good, 2));
#define WITH(rule, words, count, change)                       \
    do {                                                       \
        memcpy(bad, good, sizeof good);                        \
        memset(&bad[2], 0, sizeof bad[2]);                     \
        change;                                                \
        assert_refused(open_entries(bad, count), rule, words); \
    } while (0)
    WITH("a compressed entry", "compression method 8", 2, bad[1].method = 8);
    WITH("an encrypted entry", "encryption", 2, bad[1].flags = 1);
    WITH("an entry larger than the file", "past the end", 2, bad[1].size = 1000);
    WITH("an entry of 4 GB", "past the end", 2, bad[1].size = 0xfffffffe);
    WITH("an entry that begins past the end", "begins past the end", 2, bad[1].offset = 100000);
    WITH("an entry in the middle of another", "local header", 2, bad[1].offset = 3);
    WITH("another name at the entry's place", "local header", 2, bad[1].local_name = "a/data/7");
    WITH("an entry that reaches into the next", "overlaps", 2, bad[0].size = (uint32_t)good[0].contents.n + 10);
    WITH("an entry twice", "comes twice", 3, bad[2] = bad[1]);
    WITH("no pickle", "not made by torch.save", 2, bad[0].name = "a/other.pkl");
    WITH("a pickle elsewhere", "a/data/0", 2, bad[1].name = "b/data/0");
    WITH("big-endian numbers", "order of bytes", 3,
         (bad[2] = (entry){ .name = "a/byteorder", .contents = BYTES("big") }));
}

static void large_archives(void **state)
{
    (void)state;
    const entry good[] = { { .name = "a/data.pkl", .contents = GOOD_PICKLE },
                           { .name = "a/data/0", .contents = GOOD_DATA } };
    buf b = { 0 };
    size_t end;

    make_archive(&b, good, 2, true);
    assert_ok(open_bytes(&b));
    end = b.n - 22 - 20 - 56;
    b.p[end + 32] = 3;
    assert_refused(open_bytes(&b), "more entries than there are", "directory");
    b.p[end + 39] = 0x7f;
    assert_refused(open_bytes(&b), "2^62 entries", "too short for the number");
    b.p[end + 47] = 0x7f;
    assert_refused(open_bytes(&b), "a directory of 2^62 bytes", "past its end record");
    b.p[end + 56 + 8] = 0x7f;
    assert_refused(open_bytes(&b), "an end record elsewhere", "locator");
    buf_free(&b);
}

/* Cut anywhere, a file is refused: its directory stands at its end. */
static void cut_archives(void **state)
{
    (void)state;
    const entry good[] = { { .name = "a/data.pkl", .contents = GOOD_PICKLE },
                           { .name = "a/data/0", .contents = GOOD_DATA } };
    buf b = { 0 };

    make_archive(&b, good, 2, false);
    while (b.n > 0) {
        b.n--;
        assert_refused(open_bytes(&b), "a cut file", "");
    }
    buf_free(&b);
}

static void other_files(void **state)
{
    (void)state;
    torch_file f;
    const buf text = { .p = (char *)(uintptr_t) "hello there", .n = 11 };

    assert_refused(open_bytes(&text), "a text", "not a file of torch.save");
    assert_int_equal(torch_file_open(&f, SOURCE_DIR "/tests/golden/formats/qv-legacy/adapter_model.bin"),
                     LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "old PyTorch");
    assert_int_equal(torch_file_open(&f, SOURCE_DIR "/tests/golden/hostile/command/adapter_model.bin"),
                     LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "posix.system");
    assert_contains(lorac_last_error()->message, "Nothing of the file was executed");
}

/* ---- What a good file gives */

static void transposed_tensors_are_put_in_order(void **state)
{
    (void)state;
    const entry entries[] = { { .name = "data.pkl", .contents = good_pickles[1] },
                              { .name = "data/0", .contents = GOOD_DATA } };
    buf b = { 0 };
    torch_file f;

    make_archive(&b, entries, 2, false);
    test_write(path, b.p, b.n);
    buf_free(&b);
    assert_ok(torch_file_open(&f, path));
    assert_int_equal(f.count, 1);
    assert_string_equal(f.names[0], "w");
    assert_int_equal(f.tensors[0].dim[1], 3);
    assert_memory_equal(f.tensors[0].data, "012389abghij4567cdefklmn", 24);
    torch_file_close(&f);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    long needed;
    torch_file f;

    mem_fail_at(0);
    assert_ok(torch_file_open(&f, SOURCE_DIR "/tests/golden/formats/all-linear-bin/adapter_model.bin"));
    torch_file_close(&f);
    needed = mem_count();
    assert_true(needed > 3);
    for (long at = 1; at <= needed; at++) {
        mem_fail_at(at);
        assert_int_equal(torch_file_open(&f, SOURCE_DIR "/tests/golden/formats/all-linear-bin/adapter_model.bin"),
                         LORAC_ERROR_RUNTIME);
        mem_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pickles),
        cmocka_unit_test(bombs),
        cmocka_unit_test(archives),
        cmocka_unit_test(large_archives),
        cmocka_unit_test(cut_archives),
        cmocka_unit_test(other_files),
        cmocka_unit_test(transposed_tensors_are_put_in_order),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
