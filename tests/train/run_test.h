/* run_test.h: what the tests of whole runs share: the small reference models, options for them, and files to compare.
 */
#ifndef LORAC_RUN_TEST_H
#define LORAC_RUN_TEST_H

#include "test.h"

#include "err.h"
#include "file.h"
#include "json.h"
#include "trainer.h"

#define GOLDEN SOURCE_DIR "/tests/golden"

static inline const char *in_folder(buf *path, const char *folder, const char *name)
{
    assert_non_null(path_join(path, folder, name));
    return path->p;
}

static inline void read_text(buf *out, const char *folder, const char *name)
{
    buf path = { 0 };

    assert_ok(file_read(out, in_folder(&path, folder, name), 64 << 20));
    buf_free(&path);
}

static inline void assert_same_file(const char *folder, const char *other, const char *name)
{
    buf a = { 0 }, b = { 0 };

    read_text(&a, folder, name);
    read_text(&b, other, name);
    if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0)
        fail_msg("%s differs between %s and %s", name, folder, other);
    buf_free(&a);
    buf_free(&b);
}

/* The lines of metrics.jsonl without the fields that measure time and memory. */
static inline json_t *read_metrics(const char *folder)
{
    static const char *const measured[] = { "tokens_per_second", "steps_per_second", "eval_seconds", "peak_memory" };
    buf text = { 0 };
    slice rest;
    json_t *lines = json_array();

    read_text(&text, folder, "metrics.jsonl");
    rest = buf_slice_of(&text);
    while (rest.n) {
        json_t *line;

        assert_ok(json_parse(&line, slice_cut(&rest, '\n'), "metrics.jsonl", 1, 0));
        for (size_t i = 0; i < sizeof measured / sizeof *measured; i++)
            json_object_del(line, measured[i]);
        json_array_append_new(lines, line);
    }
    buf_free(&text);
    return lines;
}

static inline void assert_same_metrics(const char *folder, const char *other)
{
    json_t *a = read_metrics(folder), *b = read_metrics(other);

    if (!json_equal(a, b))
        fail_msg("metrics.jsonl differs between %s and %s", folder, other);
    json_decref(a);
    json_decref(b);
}

static inline void assert_same_run(const char *folder, const char *other)
{
    assert_same_file(folder, other, "adapter_model.safetensors");
    assert_same_file(folder, other, "adapter_config.json");
    assert_same_metrics(folder, other);
}

static inline int run_options(const model *m, const lorac_train_options *options, lorac_watch *watch, bool resume)
{
    trainer_input in = { .model = m, .options = options, .watch = watch, .resume = resume };

    return trainer_run(&in);
}

#define assert_run(status)                                               \
    do {                                                                 \
        if ((status) != LORAC_OK)                                        \
            fail_msg("the run failed: %s", lorac_last_error()->message); \
    } while (0)

#endif
