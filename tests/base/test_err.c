/* The error record: how a message is put together, and that no text can overrun or upset it. */
#include "test.h"

#include "err.h"

#include <errno.h>
#include <pthread.h>

static void every_part_has_its_place(void **state)
{
    const lorac_error *e = lorac_last_error();
    fault where = { "rows.jsonl", 3, 14, "labels", "a string", "an array", "Write [1, 2]" };

    (void)state;
    assert_int_equal(fail_at(LORAC_ERROR_DATA, where, "row %d is not right", 3), LORAC_ERROR_DATA);
    assert_string_equal(e->message, "rows.jsonl:3:14: row 3 is not right (key labels; found a string, "
                                    "expected an array). Write [1, 2].");
    assert_int_equal(e->status, LORAC_ERROR_DATA);
    assert_string_equal(e->file, "rows.jsonl");
    assert_int_equal(e->line, 3);
    assert_int_equal(e->column, 14);
    assert_string_equal(e->key, "labels");
    assert_string_equal(e->found, "a string");
    assert_string_equal(e->expected, "an array");
    assert_string_equal(e->hint, "Write [1, 2]");
}

static void parts_may_be_missing(void **state)
{
    (void)state;
    fail(LORAC_ERROR_USAGE, "rank must be positive");
    assert_string_equal(lorac_last_error()->message, "rank must be positive.");
    assert_null(lorac_last_error()->file);
    assert_null(lorac_last_error()->hint);
    fail_at(LORAC_ERROR_DATA, (fault){ .file = "a", .column = 9, .expected = "b" }, "c");
    assert_string_equal(lorac_last_error()->message, "a: c (expected b).");
    fail_at(LORAC_ERROR_DATA, (fault){ .key = "k", .expected = "b" }, "Is it so?");
    assert_string_equal(lorac_last_error()->message, "Is it so? (key k; expected b).");
    fail(LORAC_ERROR_DATA, "Is it so?");
    assert_string_equal(lorac_last_error()->message, "Is it so?");
}

static void the_last_error_can_be_quoted_in_the_next(void **state)
{
    const lorac_error *e = lorac_last_error();

    (void)state;
    fail_at(LORAC_ERROR_DATA, (fault){ .file = "inner", .key = "k" }, "first");
    fail_at(LORAC_ERROR_DATA, (fault){ .file = e->file, .found = e->key }, "second after %s", e->message);
    assert_string_equal(e->message, "inner: second after inner: first (key k). (found k).");
}

static void clearing_forgets(void **state)
{
    (void)state;
    fail_memory();
    assert_int_equal(lorac_last_error()->status, LORAC_ERROR_RUNTIME);
    error_clear();
    assert_int_equal(lorac_last_error()->status, LORAC_OK);
    assert_string_equal(lorac_last_error()->message, "");
}

static void system_errors_name_path_and_reason(void **state)
{
    (void)state;
    errno = ENOSPC;
    assert_int_equal(fail_errno("out/adapter", "write"), LORAC_ERROR_RUNTIME);
    assert_string_equal(lorac_last_error()->message, "out/adapter: cannot write: No space left on device.");
}

/* Longer than any buffer, ending in the middle of a character whatever the cut. */
static void long_texts_are_cut_between_characters(void **state)
{
    char text[5000];

    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 4);
        fail_at(LORAC_ERROR_DATA, (fault){ .found = text }, "%s", text);
        assert_true(strlen(lorac_last_error()->message) > 1000);
        assert_true(strlen(lorac_last_error()->found) > 400);
        assert_int_equal((strlen(lorac_last_error()->found) - shift) % 3, 0);
        assert_int_equal((strlen(lorac_last_error()->message) - shift) % 3, 0);
    }
}

static void control_characters_do_not_reach_a_terminal(void **state)
{
    (void)state;
    fail_at(LORAC_ERROR_DATA, (fault){ .found = "\x1B[2J" }, "bell\x07 and\nline");
    assert_string_equal(lorac_last_error()->message, "bell? and\nline (found ?[2J).");
    assert_string_equal(lorac_last_error()->found, "?[2J");
}

static void *fail_elsewhere(void *arg)
{
    (void)arg;
    fail(LORAC_ERROR_DATA, "elsewhere");
    return NULL;
}

static void threads_have_their_own(void **state)
{
    pthread_t thread;

    (void)state;
    fail(LORAC_ERROR_USAGE, "here");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(lorac_last_error()->message, "here.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_has_its_place),
        cmocka_unit_test(parts_may_be_missing),
        cmocka_unit_test(the_last_error_can_be_quoted_in_the_next),
        cmocka_unit_test(clearing_forgets),
        cmocka_unit_test(system_errors_name_path_and_reason),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(control_characters_do_not_reach_a_terminal),
        cmocka_unit_test(threads_have_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
