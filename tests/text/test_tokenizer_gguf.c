/* test_tokenizer_gguf.c: tokenizers from GGUF metadata: llama.cpp's own vectors for GPT-2's vocabulary, and SmolLM2's rule for digits. Skips what
 * is not on this machine. */
#include "err.h"
#include "tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VECTORS SOURCE_DIR "/../shared/data/tokenizer-vectors/ggml-vocab-gpt-2.gguf"
#define SEPARATOR "\n__ggml_vocab_test__\n"

static tokenizer *open_gguf(const char *path)
{
    gguf g;
    tokenizer *t;
    assert_int_equal(gguf_open(&g, path), LORAC_OK);
    assert_int_equal(tokenizer_open_gguf(&t, &g), LORAC_OK);
    gguf_close(&g);
    return t;
}

/* The next text of the input file, or the rest. */
static slice next_text(slice *rest)
{
    const char *end = memmem(rest->p, rest->n, SEPARATOR, strlen(SEPARATOR));
    slice text = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
    size_t used = end ? text.n + strlen(SEPARATOR) : text.n;
    *rest = (slice){ rest->p + used, rest->n - used };
    return text;
}

static void expect_ids(const encoding *e, slice line)
{
    size_t count = 0;
    for (slice word; line.n; count++) {
        word = slice_cut(&line, ' ');
        if (!word.n) {
            count--;
            continue;
        }
        assert_true(count < e->count);
        assert_int_equal(e->ids[count], atoi(word.p));
    }
    assert_int_equal(count, e->count);
}

static void test_vectors(void **state)
{
    (void)state;
    if (!path_exists(VECTORS)) {
        print_message("skipped: no %s\n", VECTORS);
        skip();
    }
    tokenizer *t = open_gguf(VECTORS);
    buf inputs = { 0 }, outputs = { 0 }, text = { 0 };
    assert_int_equal(file_read(&inputs, VECTORS ".inp", 1 << 20), LORAC_OK);
    assert_int_equal(file_read(&outputs, VECTORS ".out", 1 << 20), LORAC_OK);
    slice in = buf_slice_of(&inputs), out = buf_slice_of(&outputs);
    encoding e = { 0 };
    int texts = 0;
    for (; in.n; texts++) {
        slice one = next_text(&in);
        encoding_clear(&e);
        assert_int_equal(tokenizer_encode(t, one, -1, &e), LORAC_OK);
        expect_ids(&e, slice_cut(&out, '\n'));
        buf_clear(&text);
        assert_int_equal(tokenizer_decode(t, e.ids, e.count, false, &text), LORAC_OK);
        assert_true(slice_equal(buf_slice_of(&text), one));
    }
    assert_true(texts > 40);
    encoding_free(&e);
    buf_free(&inputs);
    buf_free(&outputs);
    buf_free(&text);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
