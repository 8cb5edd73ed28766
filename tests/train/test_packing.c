/* test_packing.c: what a pass must hold whatever the rows and the limit: whole documents, each with positions from 0
 * and a span of its own, every label once, and never more tokens than allowed. */
#include "test.h"

#include "packing.h"
#include "rng.h"

enum { ROWS = 40, LENGTH_MOST = 30 };

static void make_rows(examples *e, uint64_t seed, int32_t shift)
{
    static example rows[ROWS];
    static int32_t ids[ROWS * LENGTH_MOST], labels[ROWS * LENGTH_MOST];
    rng r = rng_new(seed, 1);

    *e = (examples){ .rows = rows, .ids = ids, .labels = labels, .shift = shift, .count = ROWS };
    for (int i = 0; i < ROWS; i++) {
        example *x = &rows[i];

        *x = (example){ .begin = (uint64_t)e->tokens, .count = 1 + (int32_t)(rng_next(&r) % LENGTH_MOST) };
        for (int t = 0; t < x->count; t++) {
            ids[x->begin + (size_t)t] = i * 1000 + t; /* tells row and position */
            labels[x->begin + (size_t)t] = rng_next(&r) % 3 ? i * 1000 + t : LABEL_NONE;
        }
        x->trained = labels_predicted(labels + x->begin, (size_t)x->count, shift, &x->run);
        e->tokens += x->count;
        e->trained += x->trained;
    }
}

static void check_pass(const examples *e, const packed_pass *pass, const int64_t *rows, int64_t begin, int64_t end)
{
    int64_t at = 0, target = 0, span = 0;

    for (int64_t i = begin; i < end; i++) {
        const example *x = &e->rows[rows[i]];

        if (!x->run)
            continue;
        assert_int_equal(pass->rows.spans[span].q, at);
        assert_int_equal(pass->rows.spans[span].kv, at);
        assert_int_equal(pass->rows.spans[span].n_q, x->run);
        assert_int_equal(pass->rows.spans[span++].n_kv, x->run);
        for (int32_t t = 0; t < x->run; t++, at++) {
            int32_t next = e->labels[x->begin + (size_t)(t + e->shift)];

            assert_int_equal(pass->rows.ids[at], e->ids[x->begin + (size_t)t]);
            assert_int_equal(pass->rows.positions[at], t);
            if (next == LABEL_NONE)
                continue;
            assert_int_equal(pass->targets.row[target], at);
            assert_int_equal(pass->targets.label[target++], next);
        }
    }
    assert_int_equal(pass->rows.n_spans, span);
    assert_int_equal(pass->rows.count, at);
    assert_int_equal(pass->targets.count, target);
}

static void check_all(const examples *e, int64_t tokens_per_pass)
{
    int64_t rows[ROWS], trained = 0;
    packer p = { 0 };
    packed_pass pass;

    for (int64_t i = 0; i < ROWS; i++)
        rows[i] = (i * 7 + 3) % ROWS;
    for (int64_t at = 0, end; at < ROWS; at = end) {
        end = packer_next(&p, e, rows, ROWS, at, tokens_per_pass, &pass);
        assert_true(end > at);
        assert_true(pass.rows.count <= tokens_per_pass || pass.rows.n_spans == 1);
        check_pass(e, &pass, rows, at, end);
        trained += pass.targets.count;
    }
    assert_int_equal(trained, e->trained);
    packer_free(&p);
}

static void test_invariants(void **state)
{
    static const int64_t limits[] = { 1, 7, 30, 64, 1000, 1000000 };
    examples e;

    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        make_rows(&e, seed, seed % 2 ? 1 : 0);
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
            check_all(&e, limits[i]);
    }
}

static void test_predicted(void **state)
{
    int32_t run;

    (void)state;
    assert_int_equal(labels_predicted((int32_t[]){ 5, LABEL_NONE, LABEL_NONE }, 3, 1, &run), 0);
    assert_int_equal(run, 0);
    assert_int_equal(labels_predicted((int32_t[]){ 5, 6, LABEL_NONE, 7, LABEL_NONE }, 5, 1, &run), 2);
    assert_int_equal(run, 3);
    assert_int_equal(labels_predicted(NULL, 0, 1, &run), 0);
    assert_int_equal(labels_predicted((int32_t[]){ 1, LABEL_NONE, LABEL_NONE }, 3, 0, &run), 1);
    assert_int_equal(run, 1);
    assert_int_equal(labels_predicted((int32_t[]){ LABEL_NONE, LABEL_NONE, 1, LABEL_NONE }, 4, 0, &run), 1);
    assert_int_equal(run, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_invariants), cmocka_unit_test(test_predicted) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
