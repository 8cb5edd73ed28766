/* Folders and paths: made, listed, removed without following links, and replaced at once. */
#include "test_in_folder.h"

#include "err.h"
#include "file.h"
#include "mem.h"

#include <sys/stat.h>

static const char *in_folder(const char *name)
{
    static char path[8][512];
    static int next;
    char *out = path[next++ % 8];

    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void paths_are_taken_apart_and_joined(void **state)
{
    buf b = { 0 };

    (void)state;
    assert_true(slice_is(path_name("a/b.gguf"), "b.gguf"));
    assert_true(slice_is(path_name("b"), "b"));
    assert_true(slice_is(path_name("a/b//"), "b"));
    assert_true(slice_is(path_name(""), ""));
    assert_string_equal(path_join(&b, "a", "b"), "a/b");
    assert_string_equal(path_join(&b, "a/", "b"), "a/b");
    assert_string_equal(path_join(&b, "", "b"), "b");
    assert_string_equal(path_join(&b, "/", "b"), "/b");
    buf_free(&b);
    mem_fail_at(1);
    assert_null(path_join(&b, "a", "b"));
    mem_fail_at(0);
}

static void folders_are_made_with_parents(void **state)
{
    (void)state;
    assert_ok(folder_make(in_folder("a/b//c/")));
    assert_ok(folder_make(in_folder("a/b/c")));
    assert_true(path_is_folder(in_folder("a/b/c")));
    assert_true(path_is_empty_folder(in_folder("a/b/c")));
    assert_true(path_is_empty_folder(in_folder("missing")));
    assert_false(path_is_empty_folder(in_folder("a")));
    assert_false(path_exists(in_folder("missing")));
    assert_ok(file_write(in_folder("file"), "a", 1));
    assert_true(path_exists(in_folder("file")));
    assert_false(path_is_folder(in_folder("file")));
    assert_false(path_is_empty_folder(in_folder("file")));
    assert_int_equal(folder_make(in_folder("file/b")), LORAC_ERROR_RUNTIME);
    assert_contains(lorac_last_error()->message, "file: cannot make the folder");
}

static void names_come_sorted(void **state)
{
    static const char *const names[] = { "c", "a", "B", ".hidden", "b" };
    char **list;
    size_t count;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_ok(file_write(in_folder(names[i]), "", 0));
    assert_ok(folder_list(&list, &count, folder));
    assert_int_equal(count, 5);
    assert_string_equal(list[0], ".hidden");
    assert_string_equal(list[1], "B");
    assert_string_equal(list[4], "c");
    folder_list_free(list, count);
    for (long n = 1; n <= 9; n++) { /* 5 names, and the array at 1, 2, 4 and 8 */
        mem_fail_at(n);
        assert_int_equal(folder_list(&list, &count, folder), LORAC_ERROR_RUNTIME);
    }
    mem_fail_at(10);
    assert_ok(folder_list(&list, &count, folder));
    mem_fail_at(0);
    folder_list_free(list, count);
    assert_int_equal(folder_list(&list, &count, in_folder("missing")), LORAC_ERROR_RUNTIME);
}

static void removal_does_not_follow_links(void **state)
{
    (void)state;
    assert_ok(folder_make(in_folder("kept")));
    assert_ok(file_write(in_folder("kept/file"), "a", 1));
    assert_ok(folder_make(in_folder("gone/deep/er")));
    assert_ok(file_write(in_folder("gone/deep/file"), "a", 1));
    assert_int_equal(symlink("../kept", in_folder("gone/link")), 0);
    assert_int_equal(symlink("kept", in_folder("link")), 0);
    assert_ok(folder_remove(in_folder("gone")));
    assert_false(path_exists(in_folder("gone")));
    assert_int_equal(folder_remove(in_folder("link")), LORAC_ERROR_RUNTIME);
    assert_true(path_exists(in_folder("kept/file")));
    assert_ok(folder_remove(in_folder("gone")));
}

static void removal_of_a_bottomless_tree_is_refused(void **state)
{
    buf path = { 0 };

    (void)state;
    buf_text(&path, in_folder("deep"));
    for (int i = 0; i < 70; i++)
        buf_text(&path, "/d");
    assert_ok(folder_make(path.p));
    assert_int_equal(folder_remove(in_folder("deep")), LORAC_ERROR_RUNTIME);
    for (; path.n > strlen(in_folder("deep")); path.n -= 2, path.p[path.n] = '\0')
        assert_int_equal(rmdir(path.p), 0);
    buf_free(&path);
}

static void put(const char *target, const char *text)
{
    char *temporary;
    buf path = { 0 };

    assert_ok(folder_begin(&temporary, target));
    assert_ok(file_write(path_join(&path, temporary, "file"), text, strlen(text)));
    assert_ok(folder_commit(temporary, target));
    mem_free(temporary);
    buf_free(&path);
}

static void assert_holds(const char *target, const char *text)
{
    buf path = { 0 }, content = { 0 };
    char **names;
    size_t count;

    assert_ok(folder_list(&names, &count, target));
    assert_int_equal(count, 1);
    folder_list_free(names, count);
    assert_ok(file_read(&content, path_join(&path, target, "file"), 100));
    assert_string_equal(content.p, text);
    buf_free(&content);
    buf_free(&path);
    assert_ok(folder_list(&names, &count, folder));
    assert_int_equal(count, 1); /* nothing beside it */
    folder_list_free(names, count);
}

static void a_folder_is_replaced_at_once(void **state)
{
    const char *target = in_folder("adapter");

    (void)state;
    put(target, "first");
    assert_holds(target, "first");
    put(target, "second");
    assert_holds(target, "second");
    put(in_folder("adapter/"), "third");
    assert_holds(target, "third");
}

static void an_empty_folder_is_replaced(void **state)
{
    (void)state;
    assert_ok(folder_make(in_folder("adapter")));
    put(in_folder("adapter"), "first");
    assert_holds(in_folder("adapter"), "first");
}

static void leftovers_of_a_crash_are_taken_over(void **state)
{
    (void)state;
    assert_ok(folder_make(in_folder("adapter.part/half")));
    put(in_folder("adapter"), "first");
    assert_holds(in_folder("adapter"), "first");
}

static void a_dropped_folder_leaves_the_old_one(void **state)
{
    const char *target = in_folder("adapter");
    char *temporary;

    (void)state;
    put(target, "first");
    assert_ok(folder_begin(&temporary, target));
    folder_drop(temporary);
    mem_free(temporary);
    assert_holds(target, "first");
}

static void a_file_is_not_replaced_by_a_folder(void **state)
{
    const char *target = in_folder("adapter");
    char *temporary;

    (void)state;
    assert_ok(file_write(target, "a", 1));
    assert_ok(folder_begin(&temporary, target));
    assert_int_equal(folder_commit(temporary, target), LORAC_ERROR_RUNTIME);
    folder_drop(temporary);
    mem_free(temporary);
    assert_true(path_exists(target));
}

static void relative_targets_work(void **state)
{
    char before[4096];

    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    put("adapter", "first");
    put("adapter", "second");
    assert_ok(file_write("adapter/file", "third", 5));
    assert_ok(file_write("beside", "x", 1));
    assert_int_equal(unlink("beside"), 0);
    assert_int_equal(chdir(before), 0);
    assert_holds(in_folder("adapter"), "third");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_apart_and_joined),
        with_folder(folders_are_made_with_parents),
        with_folder(names_come_sorted),
        with_folder(removal_does_not_follow_links),
        with_folder(removal_of_a_bottomless_tree_is_refused),
        with_folder(a_folder_is_replaced_at_once),
        with_folder(an_empty_folder_is_replaced),
        with_folder(leftovers_of_a_crash_are_taken_over),
        with_folder(a_dropped_folder_leaves_the_old_one),
        with_folder(a_file_is_not_replaced_by_a_folder),
        with_folder(relative_targets_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
