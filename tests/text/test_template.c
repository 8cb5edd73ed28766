/* test_template.c: chat templates against jinja2's own results (tests/golden/templates, made by
 * tools/make_template_goldens.py), and what the goldens cannot show: places of errors, limits, and running out of
 * memory anywhere. */
#include "test.h"

#include "err.h"
#include "file.h"
#include "json.h"
#include "mem.h"
#include "template.h"

#include <time.h>

typedef struct result {
    int status;
    char message[2048];
    buf text;
    text_region *regions;
    size_t region_count;
} result;

static void result_free(result *r)
{
    buf_free(&r->text);
    mem_free(r->regions);
}

static slice token_of(const json_t *context, const char *key)
{
    const json_t *token = json_object_get(context, key);
    return token ? (slice){ json_string_value(token), json_string_length(token) } : (slice){ NULL, 0 };
}

static result run(slice source, const json_t *context, const char *date)
{
    result r = { 0 };
    template *t;
    const json_t *tools = json_object_get(context, "tools");
    template_input input = { .messages = json_object_get(context, "messages"),
                             .tools = json_is_null(tools) ? NULL : tools,
                             .extra = context,
                             .add_generation_prompt = json_is_true(json_object_get(context, "add_generation_prompt")),
                             .bos = token_of(context, "bos_token"),
                             .eos = token_of(context, "eos_token"),
                             .date = date };
    r.status = template_parse(&t, source, "chat.jinja");
    if (r.status == LORAC_OK) {
        r.status = template_render(t, &input, &r.text, &r.regions, &r.region_count);
        template_free(t);
    } else {
        assert_null(t);
    }
    snprintf(r.message, sizeof r.message, "%s", r.status ? lorac_last_error()->message : "");
    return r;
}

static result run_text(const char *source)
{
    return run(slice_of(source), NULL, NULL);
}

/* ---- Goldens ------------------------------------------------------------------------------------------ */

static bool same_regions(const result *r, const json_t *expected)
{
    if (r->region_count != json_array_size(expected))
        return false;
    for (size_t i = 0; i < r->region_count; i++) {
        const json_t *pair = json_array_get(expected, i);
        if ((json_int_t)r->regions[i].begin != json_integer_value(json_array_get(pair, 0)) ||
            (json_int_t)r->regions[i].end != json_integer_value(json_array_get(pair, 1)))
            return false;
    }
    return true;
}

static bool check_row(const json_t *row, const json_t *context, const char *date)
{
    slice source = { json_string_value(json_object_get(row, "template")),
                     json_string_length(json_object_get(row, "template")) };
    const json_t *output = json_object_get(row, "output"), *message = json_object_get(row, "message");
    result r = run(source, context, date);
    bool right;
    if (output)
        right = r.status == LORAC_OK &&
                slice_equal(buf_slice_of(&r.text), (slice){ json_string_value(output), json_string_length(output) }) &&
                same_regions(&r, json_object_get(row, "regions"));
    else
        right = r.status == LORAC_ERROR_DATA && strncmp(r.message, "chat.jinja:", 11) == 0 &&
                (!message || strstr(r.message, json_string_value(message)));
    if (!right)
        print_error("template: %.*s\n expected: %s\n     got: %s%.*s\n", (int)source.n, source.p,
                    output ? json_string_value(output) : json_string_value(json_object_get(row, "error")), r.message,
                    (int)r.text.n, r.text.p ? r.text.p : "");
    result_free(&r);
    return right;
}

static void test_goldens(void **state)
{
    (void)state;
    json_t *golden, *row;
    size_t i, wrong = 0;
    assert_ok(json_read(&golden, SOURCE_DIR "/tests/golden/templates/snippets.json", 1 << 20, JSON_TAKE_NUL));
    json_t *rows = json_object_get(golden, "rows"), *contexts = json_object_get(golden, "contexts");
    assert_true(json_array_size(rows) > 400);
    json_array_foreach(rows, i, row)
    {
        const json_t *context = json_array_get(contexts, (size_t)json_integer_value(json_object_get(row, "context")));
        wrong += !check_row(row, context, json_string_value(json_object_get(golden, "date")));
    }
    json_decref(golden);
    assert_int_equal(wrong, 0);
}

/* ---- Errors ------------------------------------------------------------------------------------------- */

static void expect_error(const char *source, const char *place, const char *part)
{
    result r = run_text(source);
    assert_int_equal(r.status, LORAC_ERROR_DATA);
    assert_contains(r.message, place);
    assert_contains(r.message, part);
    assert_int_equal(r.text.n, 0);
    result_free(&r);
}

static void test_error_places(void **state)
{
    (void)state;
    expect_error("ab\n{{ x | nosuch }}", "chat.jinja:2:8", "nosuch");
    expect_error("{% if yes %}\n\n  {% frobnicate %}{% endif %}", "chat.jinja:3:6", "frobnicate");
    expect_error("é {{ 1 is nosuch }}", "chat.jinja:1:11", "nosuch");
    expect_error("a\n\n{{ foo.bar }}", "chat.jinja:3:8", "'foo' is undefined");
    expect_error("{{ foo(1) }}", "chat.jinja:1:4", "'foo' is undefined");
    expect_error("{% for i in [1] %}\n{{ i.x.y }}\n{% endfor %}", "chat.jinja:2:8",
                 "'int object' has no attribute 'x'");
    expect_error("{% include 'x' %}", "chat.jinja:1:4", "include");
    expect_error("{{ raise_exception('Only user and assistant!') }}", "chat.jinja:1:4", "Only user and assistant!");
    expect_error("{% if x %}\n{% for i in x %}", "chat.jinja:2:17", "for");
    expect_error("{{ [].append(1) }}", "chat.jinja:1:7", "unsafe");
    expect_error("{{ 'a'.encode() }}", "chat.jinja:1:8", "'encode' of str is not supported");
    expect_error("{{ 9223372036854775808 }}", "chat.jinja:1:4", "64 bits");
    expect_error("{{ 9223372036854775807 + 1 }}", "chat.jinja:1:24", "64 bits");
    expect_error("\xff", "chat.jinja", "UTF-8");
    expect_error("{{ '\\ud800' }}", "chat.jinja:1:5", "escape");
}

/* A block whose text lands elsewhere than where it was written is refused, but only where regions are asked for. */
static void test_generation_in_macro(void **state)
{
    (void)state;
    const char *moved = "start {% macro m() %}abc {% generation %}x{% endgeneration %}{% endmacro %}{{ m() }}";
    const char *fine = "start {% macro m() %}{% generation %}x{% endgeneration %} abc{% endmacro %}{{ m() }}";
    template_input input = { 0 };
    buf out = { 0 };
    template *t;
    result r = run_text(moved);
    assert_int_equal(r.status, LORAC_ERROR_DATA);
    assert_contains(r.message, "generation");
    result_free(&r);
    r = run_text(fine);
    assert_ok(r.status);
    assert_int_equal(r.region_count, 1);
    assert_int_equal(r.regions[0].begin, 6);
    assert_int_equal(r.regions[0].end, 7);
    result_free(&r);
    assert_ok(template_parse(&t, slice_of(moved), NULL));
    assert_true(template_has_generation(t));
    assert_ok(template_render(t, &input, &out, NULL, NULL));
    assert_string_equal(out.p, "start abc x");
    buf_free(&out);
    template_free(t);
}

/* As keyword arguments of apply_chat_template, further variables win over the model's tokens. */
static void test_variables(void **state)
{
    (void)state;
    json_t *context = json_pack("{ssss}", "bos_token", "<x>", "mood", "calm");
    template_input input = { .extra = context, .bos = slice_of("<s>"), .eos = slice_of("</s>") };
    buf out = { 0 };
    template *t;
    assert_ok(
        template_parse(&t, slice_of("{{ bos_token }} {{ mood }} {{ eos_token }} {{ tools }} {{ documents }}"), NULL));
    assert_ok(template_render(t, &input, &out, NULL, NULL));
    assert_string_equal(out.p, "<x> calm </s> None None");
    buf_free(&out);
    template_free(t);
    json_decref(context);
}

/* ---- Limits ------------------------------------------------------------------------------------------- */

static void expect_limit(const char *source, const char *part)
{
    expect_error(source, "chat.jinja", part);
}

static void test_limits(void **state)
{
    (void)state;
    expect_limit("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps");
    expect_limit("{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}", "MiB");
    expect_limit(
        "{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(100000) %}{{ n.s * 1000 }}{% endfor %}", "MiB");
    expect_limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deeply");
    expect_limit("{% macro m(f) %}{{ [f] | map('string') | list }}{{ m(m) }}{% endmacro %}{{ m(1) }}", "deeply");
    expect_limit("{{ 'x' * 999999999999 }}", "MiB");
    expect_limit("{{ [1] * 999999999 }}", "items");
    expect_limit("{{ 'x'.center(99999999999) }}", "MiB");
    expect_limit("{{ '%99999999d' % 1 }}", "too large");
    expect_limit("{{ range(99999999) }}", "range too big");
    expect_limit("{{ ('a' * 200000).strip('b' * 2000000 ~ 'a') }}", "steps");
    expect_limit("{{ ('a' * 200000) | trim('b' * 2000000 ~ 'a') }}", "steps");
    expect_limit(
        "{% set n = namespace(l=(1,)) %}{% for i in range(90000) %}{% set n.l = (n.l,) %}{% endfor %}{{ {n.l: 1} }}",
        "nested");
    expect_limit("{% set n = namespace(l=(1,)) %}{% for i in range(60) %}{% set n.l = (n.l, n.l) %}{% endfor %}"
                 "{{ [n.l] | unique | list }}",
                 "steps");
    expect_limit("{% set n = namespace(l=[]) %}{% for i in range(5000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
                 "deeply");
    expect_limit("{% set n = namespace(l=[], m=[]) %}{% for i in range(5000) %}{% set n.l = [n.l] %}{% set n.m = [n.m] "
                 "%}{% endfor %}"
                 "{{ n.l == n.m }}",
                 "deeply");
    expect_limit("{% set n = namespace(l=['aaaaaaaa']) %}{% for i in range(40) %}{% set n.l = n.l + n.l %}{% endfor %}",
                 "template");
    expect_limit("{% for i in range(100000) %}{{ ('a' * 10000).split('a') | length }}{% endfor %}", "template");
}

static void expect_deep_source(const char *open, const char *middle, const char *close, size_t depth)
{
    buf source = { 0 };
    for (size_t i = 0; i < depth; i++)
        buf_text(&source, open);
    buf_text(&source, middle);
    for (size_t i = 0; i < depth; i++)
        buf_text(&source, close);
    result r = run(buf_slice_of(&source), NULL, NULL);
    assert_int_equal(r.status, LORAC_ERROR_DATA);
    assert_contains(r.message, "deeply");
    result_free(&r);
    buf_free(&source);
}

static void test_deep_nesting(void **state)
{
    (void)state;
    expect_deep_source("{% if x %}", "", "{% endif %}", 100000);
    expect_deep_source("{% for x in [1] %}", "", "{% endfor %}", 100000);
}

static void deep_expression(const char *before, const char *piece, const char *after)
{
    buf source = { 0 };
    buf_text(&source, "{{ ");
    buf_text(&source, before);
    for (int i = 0; i < 50000; i++)
        buf_text(&source, piece);
    buf_text(&source, after);
    buf_text(&source, " }}");
    result r = run(buf_slice_of(&source), NULL, NULL);
    assert_int_equal(r.status, LORAC_ERROR_DATA);
    assert_contains(r.message, "deeply");
    result_free(&r);
    buf_free(&source);
}

static void test_deep_expressions(void **state)
{
    (void)state;
    deep_expression("", "(", "");
    deep_expression("", "[", "");
    deep_expression("", "- ", "1");
    deep_expression("", "not ", "1");
    deep_expression("1", "+1", "");
    deep_expression("'a'", "|upper", "");
    deep_expression("d", ".a", "");
    deep_expression("1", " if 1 else 1", "");
    deep_expression("", "1 if 1 else ", "1");
    deep_expression("", "[[1][0], ", "");
}

/* ---- The rest ----------------------------------------------------------------------------------------- */

static json_t *conversation(void)
{
    json_t *messages = json_pack("[{ssss}{ssss}{ssss}]", "role", "user", "content", "How long is a year?", "role",
                                 "assistant", "content", "A year has 365 days, and every fourth one has 366.", "role",
                                 "user", "content", "Thank you.");
    assert_non_null(messages);
    return messages;
}

static void test_today(void **state)
{
    (void)state;
    char year[8];
    time_t now = time(NULL);
    struct tm today;
    result r = run_text("{{ strftime_now('%Y') }}");
    strftime(year, sizeof year, "%Y", localtime_r(&now, &today));
    assert_ok(r.status);
    assert_string_equal(r.text.p, year);
    result_free(&r);
    r = run(slice_of("{{ strftime_now('%Y') }}"), NULL, "2024-02-30");
    assert_int_equal(r.status, LORAC_ERROR_USAGE);
    result_free(&r);
    r = run(slice_of("{{ strftime_now('%e %B %Y') }}"), NULL, "2024-02-29");
    assert_string_equal(r.text.p, "29 February 2024");
    result_free(&r);
}

/* Every allocation fails once: a clean error each time, and the same text in the end. */
static void test_memory(void **state)
{
    (void)state;
    json_t *messages = conversation();
    json_t *context = json_pack("{sO}", "messages", messages);
    long n = 1;
    for (;; n++) {
        mem_fail_at(n);
        result r = run(
            slice_of("{% set x = namespace(a='') %}{% for m in messages %}{% generation %}{{ m | tojson(indent=1) }}"
                     "{% endgeneration %}{% set x.a = x.a + m.content * 200 %}{% endfor %}{{ x.a | upper | length }}"),
            context, NULL);
        mem_fail_at(0);
        bool done = r.status == LORAC_OK;
        if (!done)
            assert_int_equal(r.status, LORAC_ERROR_RUNTIME);
        result_free(&r);
        if (done)
            break;
        assert_true(n < 1000);
    }
    assert_true(n > 5);
    json_decref(context);
    json_decref(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_error_places),
        cmocka_unit_test(test_generation_in_macro),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_deep_expressions),
        cmocka_unit_test(test_today),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
