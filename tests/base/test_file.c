/* Files: a reader sees the old one or the new one; a failure leaves the old one and nothing beside it. */
#include "test_in_folder.h"

#include "err.h"
#include "file.h"
#include "mem.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *in_folder(const char *name)
{
    static char path[8][512];
    static int next;
    char *out = path[next++ % 8];

    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void assert_file(const char *path, const char *text)
{
    buf b = { 0 };

    assert_ok(file_read(&b, path, 1 << 20));
    assert_string_equal(b.p, text);
    buf_free(&b);
}

static size_t count_in(const char *path)
{
    char **names;
    size_t count;

    assert_ok(folder_list(&names, &count, path));
    folder_list_free(names, count);
    return count;
}

static void a_file_is_mapped(void **state)
{
    const char *path = in_folder("file");
    mapped m;

    (void)state;
    assert_ok(file_write(path, "abc", 3));
    assert_ok(file_map(&m, path));
    assert_int_equal(m.n, 3);
    assert_memory_equal(m.p, "abc", 3);
    file_let_go(&m);
    assert_memory_equal(m.p, "abc", 3);
    file_unmap(&m);
    assert_ok(file_write(path, "", 0));
    assert_ok(file_map(&m, path));
    assert_int_equal(m.n, 0);
    assert_non_null(m.p);
    file_let_go(&m);
    file_unmap(&m);
}

static void what_is_not_a_file_is_refused(void **state)
{
    const char *fifo = in_folder("fifo");
    mapped m;

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(file_map(&m, fifo), LORAC_ERROR_DATA); /* and does not wait for a writer */
    assert_int_equal(file_map(&m, folder), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "folder");
    assert_int_equal(file_map(&m, in_folder("missing")), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "missing: cannot open: No such file");
    file_unmap(&m);
}

static void a_file_above_the_limit_is_refused(void **state)
{
    buf b = { 0 };

    (void)state;
    assert_ok(file_write(in_folder("file"), "abcd", 4));
    assert_int_equal(file_read(&b, in_folder("file"), 3), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "found 4 bytes, expected at most 3");
    assert_ok(file_read(&b, in_folder("file"), 4));
    buf_free(&b);
}

static void the_new_file_appears_at_once(void **state)
{
    const char *path = in_folder("file");
    char *large = mem_new(1 << 20, 1);
    writer w;
    mapped m;

    (void)state;
    memset(large, 'x', 1 << 20);
    assert_ok(file_write(path, "old", 3));
    assert_ok(writer_open(&w, path));
    writer_text(&w, "head ");
    writer_format(&w, "%d ", 42);
    writer_add(&w, large, 1 << 20);
    writer_text(&w, " tail");
    assert_file(path, "old");
    assert_int_equal(w.bytes, (1 << 20) + 13);
    assert_ok(writer_close(&w));
    assert_ok(file_map(&m, path));
    assert_int_equal(m.n, (1 << 20) + 13);
    assert_memory_equal(m.p, "head 42 xx", 10);
    assert_memory_equal(m.p + m.n - 6, "x tail", 6);
    file_unmap(&m);
    mem_free(large);
    assert_int_equal(count_in(folder), 1);
}

/* Room that is kept is no part of the file, and what cannot be kept at all does not stop it. */
static void room_is_asked_for(void **state)
{
    const uint64_t rooms[] = { 1 << 20, UINT64_MAX };
    const char *path = in_folder("file");

    (void)state;
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        writer w;
        assert_ok(writer_open(&w, path));
        writer_reserve(&w, rooms[i]);
        writer_text(&w, "short");
        assert_ok(writer_close(&w));
        assert_file(path, "short");
    }
}

static void a_dropped_file_leaves_nothing(void **state)
{
    const char *path = in_folder("file");
    writer w;

    (void)state;
    assert_ok(file_write(path, "old", 3));
    assert_ok(writer_open(&w, path));
    writer_text(&w, "new");
    writer_drop(&w);
    writer_drop(&w);
    assert_file(path, "old");
    assert_int_equal(count_in(folder), 1);
}

/* A file size limit stands in for a full disk. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    const char *path = in_folder("file");
    struct rlimit before, small = { 1000, 1000 };
    char block[5000] = "";
    writer w;

    (void)state;
    assert_ok(file_write(path, "old", 3));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_ok(writer_open(&w, path));
    for (int i = 0; i < 100; i++)
        writer_add(&w, block, sizeof block);
    assert_int_equal(writer_close(&w), LORAC_ERROR_RUNTIME);
    assert_contains(lorac_last_error()->message, "cannot write");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_file(path, "old");
    assert_int_equal(count_in(folder), 1);
}

static void every_failing_allocation_leaves_the_old_file(void **state)
{
    const char *path = in_folder("file");
    int status = LORAC_ERROR_RUNTIME;

    (void)state;
    assert_ok(file_write(path, "old", 3));
    for (long n = 1; status != LORAC_OK; n++) {
        writer w;
        mem_fail_at(n);
        status = writer_open(&w, path);
        if (status == LORAC_OK) {
            writer_format(&w, "%s", "new");
            status = writer_close(&w);
        }
        if (status != LORAC_OK)
            assert_int_equal(status, LORAC_ERROR_RUNTIME);
        mem_fail_at(0);
        assert_true(n < 20);
        assert_int_equal(count_in(folder), 1);
    }
    assert_file(path, "new");
}

static void a_second_writer_is_refused_and_a_stale_file_taken_over(void **state)
{
    const char *path = in_folder("file");
    int stale = open(in_folder("file.part"), O_WRONLY | O_CREAT, 0600);
    writer first, second;

    (void)state;
    assert_true(stale >= 0);
    assert_int_equal(write(stale, "much more than the new text", 27), 27);
    close(stale);
    assert_ok(writer_open(&first, path));
    assert_int_equal(writer_open(&second, path), LORAC_ERROR_RUNTIME);
    assert_contains(lorac_last_error()->message, "another process");
    writer_text(&first, "first");
    assert_ok(writer_close(&first));
    assert_file(path, "first");
    assert_int_equal(count_in(folder), 1);
}

static void a_writer_in_a_missing_folder_says_so(void **state)
{
    writer w;

    (void)state;
    assert_int_equal(writer_open(&w, in_folder("no/file")), LORAC_ERROR_RUNTIME);
    assert_contains(lorac_last_error()->message, "No such file");
    assert_int_equal(file_write(in_folder("no/file"), "a", 1), LORAC_ERROR_RUNTIME);
}

static void devices_are_not_replaced(void **state)
{
    struct stat info;

    (void)state;
    assert_ok(file_write("/dev/null", "abc", 3));
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_int_equal(file_write("/dev/full", "abc", 3), LORAC_ERROR_RUNTIME);
    assert_contains(lorac_last_error()->message, "No space left");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(a_file_is_mapped),
        with_folder(what_is_not_a_file_is_refused),
        with_folder(a_file_above_the_limit_is_refused),
        with_folder(the_new_file_appears_at_once),
        with_folder(room_is_asked_for),
        with_folder(a_dropped_file_leaves_nothing),
        with_folder(a_full_disk_leaves_the_old_file),
        with_folder(every_failing_allocation_leaves_the_old_file),
        with_folder(a_second_writer_is_refused_and_a_stale_file_taken_over),
        with_folder(a_writer_in_a_missing_folder_says_so),
        with_folder(devices_are_not_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
