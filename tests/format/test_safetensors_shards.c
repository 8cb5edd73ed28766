/* Weights cut into files: where the cuts are, what the index says, and that nothing is left of what was given up. */
#include "test_in_folder.h"

#include "err.h"
#include "json.h"
#include "safetensors_shards.h"

static const float numbers[64] = { 1, 2, 3, 4, 5 };

typedef struct item {
    const char *name;
    int64_t count;
} item;

static int save(const item *items, size_t count, uint64_t limit)
{
    shards_writer *w;

    TRY(shards_begin(&w, folder, limit));
    for (size_t i = 0; i < count; i++)
        assert_ok(shards_declare(w, items[i].name, DT_F32, 1, &items[i].count));
    for (size_t i = 0; i < count; i++)
        for (int64_t k = 0; k < items[i].count; k++) /* in the smallest parts */
            assert_ok(shards_data(w, &numbers[k], sizeof(float)));
    return shards_finish(w);
}

static bool has(const char *name)
{
    buf path = { 0 };
    bool there = path_exists(path_join(&path, folder, name));

    buf_free(&path);
    return there;
}

/* The tensor lies whole in the file. */
static void check_in(const char *file, const char *name, int64_t count)
{
    buf path = { 0 };
    safetensors s;
    const tensor *t;

    assert_ok(safetensors_open(&s, path_join(&path, folder, file)));
    t = safetensors_find(&s, name);
    assert_non_null(t);
    assert_int_equal(t->dim[0], count);
    assert_memory_equal(t->data, numbers, (size_t)count * sizeof(float));
    safetensors_close(&s);
    buf_free(&path);
}

static void clear(void)
{
    assert_ok(folder_remove(folder));
    assert_ok(folder_make(folder));
}

static void one_file(void **state)
{
    static const item items[] = { { "a", 2 }, { "b", 3 } };

    (void)state;
    assert_ok(save(items, 2, 20)); /* just fits */
    assert_true(has("model.safetensors"));
    assert_false(has("model.safetensors.index.json"));
    check_in("model.safetensors", "b", 3);
    clear();
    assert_ok(save(items, 0, 20));
    assert_true(has("model.safetensors"));
    clear();
}

/* b would carry the first file over the limit; c is larger than it; the empty d goes wherever it comes. */
static void cuts(void **state)
{
    static const item items[] = { { "a", 2 }, { "b", 3 }, { "c", 9 }, { "d", 0 }, { "e", 1 }, { "f", 2 } };
    json_t *index, *places;
    buf path = { 0 };

    (void)state;
    assert_ok(save(items, 6, 16));
    check_in("model-00001-of-00004.safetensors", "a", 2);
    check_in("model-00002-of-00004.safetensors", "b", 3);
    check_in("model-00003-of-00004.safetensors", "c", 9);
    check_in("model-00004-of-00004.safetensors", "d", 0);
    check_in("model-00004-of-00004.safetensors", "e", 1);
    check_in("model-00004-of-00004.safetensors", "f", 2);
    assert_false(has("model.safetensors"));
    assert_ok(json_read(&index, path_join(&path, folder, "model.safetensors.index.json"), 1 << 20, 0));
    places = json_object_get(index, "weight_map");
    assert_int_equal(json_object_size(places), 6);
    assert_string_equal(json_string_value(json_object_get(places, "c")), "model-00003-of-00004.safetensors");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size")), 17 * 4);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_parameters")), 17);
    json_decref(index);
    buf_free(&path);
    clear();
}

static void given_up(void **state)
{
    const int64_t two = 2;
    shards_writer *w;
    char **names;
    size_t count;

    (void)state;
    assert_ok(shards_begin(&w, folder, 8));
    assert_ok(shards_declare(w, "a", DT_F32, 1, &two));
    assert_ok(shards_declare(w, "b", DT_F32, 1, &two));
    assert_ok(shards_data(w, numbers, 8));
    assert_ok(shards_data(w, numbers, 4));
    shards_abandon(w); /* the first file is whole, the second goes */
    assert_ok(folder_list(&names, &count, folder));
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "model-00001-of-00002.safetensors");
    folder_list_free(names, count);
    clear();
}

static void too_many(void **state)
{
    const int64_t one = 1;
    shards_writer *w;
    char name[32];
    int status = LORAC_OK;

    (void)state;
    assert_ok(shards_begin(&w, folder, 1));
    for (int i = 0; i <= 10000 && status == LORAC_OK; i++) {
        snprintf(name, sizeof name, "t%d", i);
        status = shards_declare(w, name, DT_F32, 1, &one);
    }
    assert_int_equal(status, LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "max_shard_size");
    shards_abandon(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file),
        cmocka_unit_test(cuts),
        cmocka_unit_test(given_up),
        cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
