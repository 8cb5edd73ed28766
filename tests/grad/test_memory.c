/* test_memory.c: what a pass needs is planned for the most labels that it can have, so fewer must never need more. */
#include "test.h"

#include "ops.h"

enum { ROWS = 60, WIDTH = 8, VOCABULARY = 1 << 20 }; /* so many words that the loss takes a few rows at a time */

static size_t bytes_for(int64_t labels)
{
    context_options options = { .act = DT_F32, .measuring = true };
    static const int32_t row[ROWS], label[ROWS]; /* not looked at while measuring */
    loss_targets targets = { .row = row, .label = label, .count = labels, .grad_scale = 1 };
    loss_result ignored = { 0 };
    context *c;
    assert_int_equal(context_new(&c, &options), LORAC_OK);
    c->recording = true;
    var *x = var_matrix(c, ROWS, WIDTH), head = { .t = { .type = DT_F32, .ndim = 2, .dim = { VOCABULARY, WIDTH } } };
    x->needs_grad = true;
    op_head_loss(c, x, &(head_weights){ .w = &head }, &targets, &ignored);
    backward(c);
    size_t bytes = c->peak;
    context_free(c);
    return bytes;
}

static void test_loss(void **state)
{
    (void)state;
    for (int64_t labels = 1; labels < ROWS; labels++)
        assert_true(bytes_for(labels) <= bytes_for(labels + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_loss) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
