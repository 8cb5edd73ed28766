/* test_json_place.c: places of values in a JSON text. */
#include "test.h"

#include "json_place.h"

static void check(const char *text, const char *path, const char *at)
{
    size_t offset = json_offset(slice_of(text), path);

    assert_true(offset <= strlen(text));
    assert_string_equal(text + offset, at);
}

static void test_places(void **state)
{
    const char *text = " {\"a\\\"]\": [1, \"]}\", {\"b\": null}], \"c\": {\"d\" : -1.5e3,\"e\":[]} , \"f\":true}";

    (void)state;
    check(text, "", text + 1);
    check(text, "c", "{\"d\" : -1.5e3,\"e\":[]} , \"f\":true}");
    check(text, "c.d", "-1.5e3,\"e\":[]} , \"f\":true}");
    check(text, "c.e", "[]} , \"f\":true}");
    check(text, "f", "true}");
    check("[[1, 2], [3, {\"x\": 4}]]", "[1][1].x", "4}]]");
    check("\xef\xbb\xbf{\"x\": 4}", "x", "4}");
    check("{\"list\": [{\"x\": 4}, 7]}", "list[0].x", "4}, 7]}");
    check("{\"list\": [{\"x\": 4}, 7]}", "list[1]", "7]}");
}

/* What is not there stands where the way to it ends. */
static void test_missing(void **state)
{
    (void)state;
    check("{\"list\": [{\"x\": 4}]}", "list[0].y", "{\"x\": 4}]}");
    check("{\"list\": [{\"x\": 4}]}", "list[1].y", "[{\"x\": 4}]}");
    check("{\"list\": [{\"x\": 4}]}", "other", "{\"list\": [{\"x\": 4}]}");
    check("{\"list\": 5}", "list.more[3]", "5}");
    check("{\"list\": 5}", "list[", "5}");
    check("{}", "a.b", "{}");
    check("", "a", "");
}

/* On text that no parser would take, the result lies within it. */
static void test_broken(void **state)
{
    static const char *const texts[] = { "{",   "{\"a",       "{\"a\\", "{\"a\":", "[",        "[1,",
                                         "[[[", "{\"a\":[\"", "]",      ":",       "{\"a\" 1}" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_true(json_offset(slice_of(texts[i]), "a[0].b") <= strlen(texts[i]));
        assert_true(json_offset(slice_of(texts[i]), "[1]") <= strlen(texts[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
