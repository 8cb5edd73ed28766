/* test.h: what every test program includes: cmocka with the headers it wants, and a folder to write in. */
#ifndef LORAC_TEST_H
#define LORAC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* `fail` is err.h's everywhere else, so here it is given up, and fail_msg is built without it. Include this first. */
#undef fail
#undef fail_msg
#define fail_msg(...) (print_error("ERROR: " __VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A fresh folder that the test removes; static storage, one per call site's program. */
static inline const char *test_folder(void)
{
    static char path[256];
    const char *base = getenv("TMPDIR");

    snprintf(path, sizeof path, "%s/lorac-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

/* A new file, for tests that write thousands: not synced, and the old one is removed because truncating it would sync.
 */
static inline void test_write(const char *path, const void *p, size_t n)
{
    FILE *file;

    unlink(path);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(p, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

#define assert_ok(expression) assert_int_equal(expression, 0)
/* "a is in b": for messages. */
#define assert_contains(text, part)                                 \
    do {                                                            \
        if (!strstr(text, part))                                    \
            fail_msg("\"%s\" does not contain \"%s\"", text, part); \
    } while (0)

#endif
