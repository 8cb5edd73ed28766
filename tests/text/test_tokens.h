/* test_tokens.h: what the tests of tokenizers share: golden ids, and every allocation failing in turn. */
#ifndef LORAC_TEST_TOKENS_H
#define LORAC_TEST_TOKENS_H

#include "test.h"

#include "err.h"
#include "json.h"
#include "mem.h"
#include "tokenizer.h"

static inline slice text_of(const json_t *json)
{
    return (slice){ json_string_value(json), json_string_length(json) };
}

static inline json_t *read_json_of(const char *where, const char *file)
{
    buf path = { 0 };
    json_t *json;
    buf_format(&path, "%s%s", where, file);
    assert_ok(json_read(&json, path.p, 1 << 20, JSON_TAKE_NUL));
    buf_free(&path);
    return json;
}

static inline void expect_ids(const encoding *e, const json_t *ids, const char *name, size_t row)
{
    if (e->count != json_array_size(ids))
        fail_msg("%s, text %zu: %zu ids where there should be %zu", name, row, e->count, json_array_size(ids));
    for (size_t i = 0; i < e->count; i++)
        if (e->ids[i] != json_integer_value(json_array_get(ids, i)))
            fail_msg("%s, text %zu: id %zu is %d", name, row, i, e->ids[i]);
}

/* Encodes and decodes a text of all kinds, and frees the tokenizer. */
static inline int there_and_back(tokenizer *t)
{
    encoding e = { 0 };
    buf text = { 0 };
    int status =
        tokenizer_encode(t, slice_of("It's 12 TWO words<|x|> <both> x, caf\xC3\xA9 (\xF0\x9F\x98\x80)"), -1, &e);
    if (status == LORAC_OK)
        status = tokenizer_decode(t, e.ids, e.count, false, &text);
    encoding_free(&e);
    buf_free(&text);
    tokenizer_free(t);
    return status;
}

/* Runs it once as it is, then again and again with one more allocation in turn that fails. */
static inline void fail_every_allocation(int (*run)(const void *arg), const void *arg)
{
    mem_fail_at(0);
    assert_ok(run(arg));
    const long count = mem_count();
    assert_true(count > 5);
    for (long n = 1; n <= count; n++) {
        mem_fail_at(n);
        assert_int_equal(run(arg), LORAC_ERROR_RUNTIME);
    }
    mem_fail_at(0);
}

#endif
