/* test_adapters.c: PEFT's verbs through the public header alone: against what PEFT itself says and computes
 * (tests/golden/verbs), against its adapters of every kind (tests/golden/kinds), and by its tests' ideas. */
#include "test.h"

#include "lorac.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"
#define QV GOLDEN "adapters/qv"
#define ALL GOLDEN "adapters/all-linear"
#define RSLORA GOLDEN "adapters/rslora"

enum { IDS = 12, VOCABULARY = 70, NUMBERS = IDS * VOCABULARY };

static const int32_t ids[IDS] = { 5, 61, 17, 17, 3, 42, 69, 0, 28, 33, 9, 54 };

/* A model, a set on it and a session that follows the set. */
typedef struct bench {
    lorac_model *model;
    lorac_adapters *set;
    lorac_session *session;
} bench;

static void ok(lorac_status status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static void refused(lorac_status status, lorac_status wanted, const char *words)
{
    assert_int_equal(status, wanted);
    if (!strstr(lorac_last_error()->message, words))
        fail_msg("'%s' does not say '%s'", lorac_last_error()->message, words);
}

static void open_bench_with(bench *b, const char *model, const lorac_model_options *options)
{
    lorac_run_options run = { .dtype = LORAC_DTYPE_F32 };
    ok(lorac_model_open(&b->model, model, options));
    ok(lorac_adapters_new(&b->set, b->model));
    ok(lorac_session_new(&b->session, b->model, &run));
    ok(lorac_session_use(b->session, b->set));
}

static void open_bench(bench *b, const char *model)
{
    open_bench_with(b, model, NULL);
}

static void close_bench(bench *b)
{
    lorac_session_free(b->session);
    lorac_adapters_free(b->set);
    lorac_model_close(b->model);
}

static char root[300]; /* for files */

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    return 0;
}

static int remove_root(void **state)
{
    char command[400];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    open_bench(b, GOLDEN "models/llama");
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    close_bench(*state);
    free(*state);
    return 0;
}

static void activate(bench *b, const char *first, const char *second)
{
    const char *names[] = { first, second };
    ok(lorac_set_adapter(b->set, names, second ? 2 : first ? 1 : 0));
}

static lorac_status set_one(bench *b, const char *name)
{
    return lorac_set_adapter(b->set, &name, 1);
}

static void logits(bench *b, float out[NUMBERS])
{
    ok(lorac_logits(b->session, ids, IDS, out));
}

/* The largest difference as a share of the largest number. */
static double difference(const float *found, const float *wanted)
{
    double most = 0, largest = 0;
    for (int i = 0; i < NUMBERS; i++) {
        assert_true(isfinite(found[i]));
        most = fmax(most, fabs((double)found[i] - (double)wanted[i]));
        largest = fmax(largest, fabs((double)wanted[i]));
    }
    return most / largest;
}

static void same(const float *found, const float *wanted, double tolerance, const char *what)
{
    const double found_difference = difference(found, wanted);
    if (!(found_difference <= tolerance))
        fail_msg("%s: logits differ by %g of the largest", what, found_difference);
}

static void same_bits(const float *found, const float *wanted)
{
    assert_memory_equal(found, wanted, NUMBERS * sizeof *found);
}

static void differ(const float *found, const float *other)
{
    assert_true(difference(found, other) > 1e-3);
}

static json_t *status_of(const bench *b)
{
    char *text;
    ok(lorac_adapter_status(b->set, &text));
    json_t *status = json_loads(text, 0, NULL);
    assert_non_null(status);
    lorac_free(text);
    return status;
}

/* ---- Beside PEFT ---- */

typedef struct golden {
    json_t *expected;
    float *logits;
} golden;

static void check_status(const golden *g, const bench *b, const char *step)
{
    json_t *found = status_of(b), *steps = json_object_get(g->expected, "steps");
    const json_t *wanted = json_object_get(json_object_get(steps, step), "status");
    assert_non_null(wanted);
    if (!json_equal(found, wanted)) {
        char *ours = json_dumps(found, JSON_SORT_KEYS), *theirs = json_dumps(wanted, JSON_SORT_KEYS);
        fail_msg("%s: PEFT's status is\n%s\nbut ours is\n%s", step, theirs, ours);
    }
    json_decref(found);
}

static const float *peft_logits(const golden *g, const char *step, int row)
{
    const json_t *at = json_object_get(json_object_get(json_object_get(g->expected, "steps"), step), "logits");
    assert_true(json_is_integer(at));
    return g->logits + (json_integer_value(at) + row) * NUMBERS;
}

static void check_run(const golden *g, bench *b, const char *step)
{
    float found[NUMBERS];
    logits(b, found);
    same(found, peft_logits(g, step, 0), 1e-4, step);
}

/* Every row of a mixed batch samples what its logits, from PEFT, have the highest. */
static void check_mixed(const golden *g, const bench *b)
{
    static const char *const names[4] = { "b", "__base__", "c", "b" };
    lorac_sequence *rows[4];
    for (int i = 0; i < 4; i++) {
        ok(lorac_sequence_new(&rows[i], b->session, NULL));
        ok(lorac_sequence_use(rows[i], b->set, names[i]));
        ok(lorac_sequence_append(rows[i], ids, IDS));
    }
    ok(lorac_session_step(b->session));
    for (int i = 0; i < 4; i++) {
        const float *last = peft_logits(g, "mixed", i) + NUMBERS - VOCABULARY;
        int32_t best = 0;
        for (int32_t id = 1; id < VOCABULARY; id++)
            best = last[id] > last[best] ? id : best;
        assert_int_equal(lorac_sequence_last(rows[i]), best);
        lorac_sequence_free(rows[i]);
    }
}

static void add_new(bench *b, const char *name, const char *init)
{
    char path[400];
    snprintf(path, sizeof path, "%s/new.json", root);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "{\"peft_type\": \"LORA\", \"r\": 5, \"target_modules\": [\"q_proj\", \"gate_proj\"], "
            "\"layers_to_transform\": [1], \"init_lora_weights\": %s}",
            init);
    fclose(file);
    ok(lorac_add_adapter(b->set, name, path, 1));
}

static void run_as_peft_did(const golden *g, bench *b)
{
    ok(lorac_load_adapter(b->set, QV, "b", 0));
    activate(b, "b", NULL);
    ok(lorac_load_adapter(b->set, ALL, "a", 1));
    ok(lorac_load_adapter(b->set, RSLORA, "c", 0));
    check_status(g, b, "loaded");
    activate(b, "b", "a");
    check_status(g, b, "both");
    check_run(g, b, "both");
    ok(lorac_set_scale(b->set, "a", 0.5));
    check_run(g, b, "scaled");
    ok(lorac_merge_adapters(b->set, NULL, 0, 0));
    check_status(g, b, "merged");
    check_run(g, b, "merged");
    lorac_unmerge_adapters(b->set);
    lorac_disable_adapters(b->set, 1);
    check_status(g, b, "disabled");
    check_run(g, b, "disabled");
    lorac_disable_adapters(b->set, 0);
    check_mixed(g, b);
    add_new(b, "d", "true");
    ok(lorac_set_requires_grad(b->set, "c", 1));
    check_status(g, b, "added");
    activate(b, "b", NULL);
    ok(lorac_delete_adapter(b->set, "b"));
    assert_non_null(strstr(lorac_adapters_notes(b->set), "'a'"));
    check_status(g, b, "deleted");
    check_run(g, b, "deleted");
    ok(lorac_hotswap_adapter(b->set, QV, "a"));
    check_run(g, b, "hotswapped");
}

static void every_step_is_peft_s(void **state)
{
    json_t *expected = json_load_file(GOLDEN "verbs/expected.json", 0, NULL);
    FILE *file = fopen(GOLDEN "verbs/logits.f32", "rb");
    float numbers[16 * NUMBERS];
    assert_true(expected && file);
    size_t read = fread(numbers, sizeof *numbers, sizeof numbers / sizeof *numbers, file);
    assert_int_equal(read % NUMBERS, 0);
    fclose(file);
    run_as_peft_did(&(golden){ expected, numbers }, *state);
    json_decref(expected);
}

/* ---- PEFT's tests, by their ideas ---- */

static void load_three(bench *b)
{
    ok(lorac_load_adapter(b->set, QV, "qv", 0));
    ok(lorac_load_adapter(b->set, ALL, "all", 0));
    ok(lorac_load_adapter(b->set, RSLORA, "rslora", 0));
}

static void nothing_is_active_at_first(void **state)
{
    bench *b = *state;
    float base[NUMBERS], found[NUMBERS];
    logits(b, base);
    load_three(b);
    logits(b, found);
    same_bits(found, base);
    refused(lorac_load_adapter(b->set, QV, "qv", 0), LORAC_ERROR_USAGE, "already");
    refused(lorac_load_adapter(b->set, QV, "__base__", 0), LORAC_ERROR_USAGE, "name");
    refused(lorac_load_adapter(b->set, QV, "", 0), LORAC_ERROR_USAGE, "name");
    refused(set_one(b, "vq"), LORAC_ERROR_USAGE, "qv, all, rslora");
    refused(lorac_load_adapter(b->set, GOLDEN "adapters/gpt2-default", "gpt2", 0), LORAC_ERROR_DATA, "model");
    refused(set_one(b, "gpt2"), LORAC_ERROR_USAGE, "gpt2");
}

static void merging_twice_is_a_no_op(void **state)
{
    bench *b = *state;
    float active[NUMBERS], merged[NUMBERS], again[NUMBERS], unmerged[NUMBERS];
    load_three(b);
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    assert_non_null(strstr(lorac_adapters_notes(b->set), "no adapter is active"));
    activate(b, "qv", NULL);
    logits(b, active);
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    assert_string_equal(lorac_adapters_notes(b->set), "");
    logits(b, merged);
    same(merged, active, 1e-5, "merged");
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    assert_non_null(strstr(lorac_adapters_notes(b->set), "merged already"));
    logits(b, again);
    same_bits(again, merged);
    lorac_unmerge_adapters(b->set);
    logits(b, unmerged);
    same_bits(unmerged, active);
    lorac_unmerge_adapters(b->set);
    assert_non_null(strstr(lorac_adapters_notes(b->set), "no adapter is merged"));
}

static void sequential_merge_matches_batch_merge(void **state)
{
    bench *b = *state;
    static const char *const names[] = { "all", "rslora", "qv" };
    float base[NUMBERS], one_by_one[NUMBERS], at_once[NUMBERS], restored[NUMBERS];
    logits(b, base);
    load_three(b);
    for (int i = 0; i < 3; i++)
        ok(lorac_merge_adapters(b->set, &names[i], 1, 1));
    logits(b, one_by_one);
    differ(one_by_one, base);
    lorac_unmerge_adapters(b->set);
    logits(b, restored);
    same_bits(restored, base);
    ok(lorac_merge_adapters(b->set, names, 3, 1));
    logits(b, at_once);
    same_bits(at_once, one_by_one);
}

/* One of two active ones is merged: the other still adds to it. PEFT leaves it out of the layers that both are in. */
static void merging_a_part_changes_nothing(void **state)
{
    bench *b = *state;
    static const char *const name = "qv";
    float both[NUMBERS], merged[NUMBERS];
    load_three(b);
    activate(b, "qv", "all");
    logits(b, both);
    ok(lorac_merge_adapters(b->set, &name, 1, 1));
    logits(b, merged);
    same(merged, both, 1e-5, "one merged, one active");
}

static void set_adapter_unmerges(void **state)
{
    bench *b = *state;
    float alone[NUMBERS], found[NUMBERS];
    load_three(b);
    activate(b, "rslora", NULL);
    logits(b, alone);
    activate(b, "qv", NULL);
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    activate(b, "rslora", NULL);
    assert_non_null(strstr(lorac_adapters_notes(b->set), "unmerged"));
    logits(b, found);
    same_bits(found, alone);
}

static void disabling_gives_the_base(void **state)
{
    bench *b = *state;
    float base[NUMBERS], active[NUMBERS], found[NUMBERS];
    logits(b, base);
    load_three(b);
    activate(b, "all", NULL);
    logits(b, active);
    differ(active, base);
    lorac_disable_adapters(b->set, 1);
    logits(b, found);
    same_bits(found, base);
    lorac_disable_adapters(b->set, 0);
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    lorac_disable_adapters(b->set, 1);
    logits(b, found);
    same_bits(found, base);
    lorac_disable_adapters(b->set, 0);
    logits(b, found);
    same_bits(found, active);
}

static void deleting(void **state)
{
    bench *b = *state;
    float rslora[NUMBERS], base[NUMBERS], found[NUMBERS];
    logits(b, base);
    load_three(b);
    activate(b, "rslora", NULL);
    logits(b, rslora);
    refused(lorac_delete_adapter(b->set, "unknown"), LORAC_ERROR_USAGE, "no adapter of that name");
    ok(lorac_delete_adapter(b->set, "qv")); /* inactive */
    logits(b, found);
    same_bits(found, rslora);
    activate(b, "all", "rslora");
    ok(lorac_delete_adapter(b->set, "all")); /* one of two active ones */
    assert_string_equal(lorac_adapters_notes(b->set), "");
    logits(b, found);
    same_bits(found, rslora);
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    refused(lorac_delete_adapter(b->set, "rslora"), LORAC_ERROR_USAGE, "merged");
    lorac_unmerge_adapters(b->set);
    ok(lorac_delete_adapter(b->set, "rslora")); /* the last */
    logits(b, found);
    same_bits(found, base);
    refused(set_one(b, "rslora"), LORAC_ERROR_USAGE, "no adapter was added");
}

static void unloading(void **state)
{
    bench *b = *state;
    float base[NUMBERS], found[NUMBERS];
    int64_t trainable, all;
    logits(b, base);
    load_three(b);
    activate(b, "all", "qv");
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    lorac_unload(b->set);
    logits(b, found);
    same_bits(found, base);
    lorac_model_info info;
    lorac_model_describe(b->model, &info);
    lorac_trainable_parameters(b->set, &trainable, &all);
    assert_int_equal(trainable, 0);
    assert_int_equal(all, info.parameters);
    ok(lorac_load_adapter(b->set, QV, "qv", 0)); /* its name is free again */
}

static void merge_and_unload(void **state)
{
    bench *b = *state;
    static const char *const first = "qv";
    lorac_merge_options options = { .dtype = LORAC_DTYPE_F32 };
    lorac_merge_report report;
    bench merged;
    char out[400];
    float both[NUMBERS], base[NUMBERS], found[NUMBERS];
    logits(b, base);
    load_three(b);
    activate(b, "qv", "rslora");
    ok(lorac_set_scale(b->set, "rslora", -0.5));
    logits(b, both);
    ok(lorac_merge_adapters(b->set, &first, 1, 1)); /* what is merged already counts too */
    snprintf(out, sizeof out, "%s/merged", root);
    refused(lorac_merge_and_unload(b->set, NULL, 0, GOLDEN "adapters", &options, &report), LORAC_ERROR_USAGE, "there");
    logits(b, found);
    same(found, both, 1e-5, "after a refusal");
    ok(lorac_merge_and_unload(b->set, NULL, 0, out, &options, &report));
    assert_true(report.tokens > 0);
    logits(b, found);
    same_bits(found, base);
    open_bench(&merged, out);
    logits(&merged, found);
    same(found, both, 1e-5, "merged and unloaded");
    close_bench(&merged);
}

/* The files are finite, the merged weights are not. */
static void safe_merge(void **state)
{
    bench *b = *state;
    float base[NUMBERS], active[NUMBERS], found[NUMBERS];
    logits(b, base);
    refused(lorac_load_adapter(b->set, GOLDEN "hostile/nan", "nan", 0), LORAC_ERROR_DATA, "not a number");
    load_three(b);
    activate(b, "qv", NULL);
    logits(b, active);
    refused(lorac_set_scale(b->set, "all", 1e39), LORAC_ERROR_USAGE, "finite");
    ok(lorac_set_scale(b->set, "all", 3e38));
    const char *all = "all";
    refused(lorac_merge_adapters(b->set, &all, 1, 1), LORAC_ERROR_DATA, "not a number");
    refused(lorac_merge_adapters(b->set, &all, 1, 1), LORAC_ERROR_DATA, "weight");
    logits(b, found);
    same_bits(found, active);
    ok(lorac_set_scale(b->set, "all", 1));
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    refused(lorac_set_scale(b->set, "qv", 2), LORAC_ERROR_USAGE, "merged");
    activate(b, NULL, NULL);
    logits(b, found);
    same_bits(found, base);
}

/* ---- Sessions ---- */

/* What greedy sampling gives, and with it the logits of every step, tell adapters apart. */
static void generate(lorac_sequence *q, int32_t out[6])
{
    lorac_generation g;
    ok(lorac_generate(q, NULL, ids, IDS, 6, NULL, NULL, NULL, &g));
    assert_int_equal(g.count, 6);
    memcpy(out, g.ids, 6 * sizeof *out);
    lorac_free(g.ids);
}

static lorac_sequence *sequence_with(const bench *b, const char *name)
{
    lorac_sampling sampling;
    lorac_sequence *q;
    lorac_sampling_init(&sampling);
    sampling.ignore_eos = 1;
    ok(lorac_sequence_new(&q, b->session, &sampling));
    if (name)
        ok(lorac_sequence_use(q, b->set, name));
    return q;
}

static void mixed_batches_equal_runs_of_their_own(void **state)
{
    bench *b = *state;
    static const char *const names[] = { "qv", "__base__", "all", "rslora", "qv" };
    int32_t alone[5][6], together[5][6];
    lorac_sequence *q[5];
    load_three(b);
    activate(b, "qv", NULL);
    for (int i = 0; i < 5; i++) {
        q[0] = sequence_with(b, names[i]);
        generate(q[0], alone[i]);
        lorac_sequence_free(q[0]);
    }
    for (int i = 0; i < 5; i++) {
        q[i] = sequence_with(b, names[i]);
        ok(lorac_sequence_append(q[i], ids, IDS));
    }
    for (int step = 0; step < 6; step++) {
        ok(lorac_session_step(b->session));
        for (int i = 0; i < 5; i++)
            together[i][step] = lorac_sequence_last(q[i]);
    }
    assert_memory_equal(together, alone, sizeof alone);
    assert_memory_equal(alone[0], alone[4], sizeof alone[0]);
    assert_true(memcmp(alone[0], alone[1], sizeof alone[0]) != 0 && memcmp(alone[1], alone[2], sizeof alone[0]) != 0);
    refused(lorac_sequence_use(q[0], b->set, "unknown"), LORAC_ERROR_USAGE, "no adapter of that name");
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    refused(lorac_session_step(b->session), LORAC_ERROR_USAGE, "merged");
    lorac_unmerge_adapters(b->set);
    ok(lorac_delete_adapter(b->set, "all"));
    refused(lorac_session_step(b->session), LORAC_ERROR_USAGE, "no adapter of that name");
    ok(lorac_sequence_use(q[2], NULL, NULL)); /* back to the session's */
    ok(lorac_session_step(b->session));
}

/* A cache holds the keys of the adapters that made it: after a change it must be made anew. */
static void a_change_reaches_running_sequences(void **state)
{
    bench *b = *state;
    int32_t second[2], found;
    load_three(b);
    activate(b, "rslora", NULL);
    lorac_sequence *q = sequence_with(b, NULL);
    ok(lorac_sequence_append(q, ids, IDS - 1));
    ok(lorac_session_step(b->session));
    second[0] = lorac_sequence_last(q);
    second[1] = ids[IDS - 1];
    activate(b, "all", NULL);
    ok(lorac_sequence_append(q, &second[1], 1));
    ok(lorac_session_step(b->session));
    found = lorac_sequence_last(q);
    lorac_sequence *fresh = sequence_with(b, NULL); /* the same tokens from the start */
    ok(lorac_sequence_append(fresh, ids, IDS - 1));
    ok(lorac_sequence_append(fresh, second, 2));
    ok(lorac_session_step(b->session));
    for (int i = 0; i < 6; i++) { /* `q` is always a token ahead */
        assert_int_equal(found, lorac_sequence_last(fresh));
        found = lorac_sequence_last(q);
        ok(lorac_session_step(b->session));
    }
    lorac_unload(b->set);
    ok(lorac_session_step(b->session));
    ok(lorac_session_use(b->session, NULL));
    ok(lorac_session_step(b->session));
}

/* Its last token would have to go where the next sequence's cache begins. */
static void a_full_sequence_is_left_out(void **state)
{
    bench *b = *state;
    int32_t alone[6];
    lorac_sequence *neighbour = sequence_with(b, NULL);
    generate(neighbour, alone);
    lorac_sequence_free(neighbour);

    lorac_generation g;
    neighbour = sequence_with(b, NULL);
    lorac_sequence *full = sequence_with(b, NULL); /* the latest comes first in the cache */
    ok(lorac_sequence_append(neighbour, ids, IDS));
    ok(lorac_session_step(b->session));
    assert_int_equal(lorac_sequence_last(neighbour), alone[0]);
    ok(lorac_generate(full, NULL, ids, IDS, 1000, NULL, NULL, NULL, &g));
    assert_string_equal(g.finish_reason, "length");
    assert_int_equal(IDS + g.count, 64 + 1); /* the model's context, and what was sampled last */
    lorac_free(g.ids);
    lorac_sequence_free(neighbour);
    neighbour = sequence_with(b, NULL);
    ok(lorac_sequence_append(neighbour, ids, IDS));
    for (int i = 0; i < 6; i++) {
        ok(lorac_session_step(b->session));
        assert_int_equal(lorac_sequence_last(neighbour), alone[i]);
        assert_int_equal(lorac_sequence_last(full), -1);
    }
}

static void a_set_is_for_one_model(void **state)
{
    bench *b = *state;
    bench other;
    open_bench(&other, GOLDEN "models/llama");
    refused(lorac_session_use(b->session, other.set), LORAC_ERROR_USAGE, "another model");
    close_bench(&other);
}

/* ---- Files ---- */

static void hotswapping_equals_loading(void **state)
{
    bench *b = *state;
    float fresh[NUMBERS], found[NUMBERS];
    load_three(b);
    ok(lorac_load_adapter(b->set, GOLDEN "adapters/layers", "slot", 0)); /* another rank */
    activate(b, "slot", NULL);
    logits(b, fresh);
    ok(lorac_delete_adapter(b->set, "slot"));
    ok(lorac_load_adapter(b->set, ALL, "slot", 0));
    activate(b, "slot", NULL);
    ok(lorac_set_scale(b->set, "slot", 3));
    ok(lorac_hotswap_adapter(b->set, GOLDEN "adapters/layers", "slot"));
    logits(b, found);
    same_bits(found, fresh);
    ok(lorac_hotswap_adapter(b->set, ALL, "slot")); /* modules that were missing come back */
    activate(b, "all", NULL);
    logits(b, fresh);
    activate(b, "slot", NULL);
    logits(b, found);
    same_bits(found, fresh);
    refused(lorac_hotswap_adapter(b->set, ALL, "qv"), LORAC_ERROR_USAGE, "k_proj");
    refused(lorac_hotswap_adapter(b->set, RSLORA, "slot"), LORAC_ERROR_USAGE, "use_rslora");
    refused(lorac_hotswap_adapter(b->set, GOLDEN "adapters/patterns", "slot"), LORAC_ERROR_USAGE, "alpha_pattern");
    refused(lorac_hotswap_adapter(b->set, GOLDEN "kinds/dora", "slot"), LORAC_ERROR_USAGE, "use_dora");
    refused(lorac_hotswap_adapter(b->set, QV, "unknown"), LORAC_ERROR_USAGE, "name");
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    refused(lorac_hotswap_adapter(b->set, ALL, "slot"), LORAC_ERROR_USAGE, "merged");
}

static void saving_and_loading_again(void **state)
{
    bench *b = *state;
    float active[NUMBERS], found[NUMBERS];
    char out[400];
    load_three(b);
    activate(b, "rslora", NULL);
    logits(b, active);
    snprintf(out, sizeof out, "%s/some/where", root);
    ok(lorac_save_adapter(b->set, "qv", out));
    ok(lorac_save_adapter(b->set, "rslora", out)); /* replaces it */
    ok(lorac_load_adapter(b->set, out, "again", 0));
    activate(b, "again", NULL);
    logits(b, found);
    same_bits(found, active);
}

/* What such a pair adds is what it took from the weight, so that it begins as a no-op too: also merged, and filed. */
static void a_new_adapter_that_takes_from_the_base(void **state)
{
    bench *b = *state;
    float base[NUMBERS], found[NUMBERS];
    char out[400];
    logits(b, base);
    add_new(b, "pissa", "\"pissa\"");
    activate(b, "pissa", NULL);
    logits(b, found);
    same(found, base, 1e-5, "a new PiSSA adapter");
    ok(lorac_merge_adapters(b->set, NULL, 0, 1));
    logits(b, found);
    same(found, base, 1e-5, "a new PiSSA adapter, merged");
    snprintf(out, sizeof out, "%s/pissa", root);
    ok(lorac_save_adapter(b->set, "pissa", out));
    ok(lorac_load_adapter(b->set, out, "again", 0));
    activate(b, "again", NULL);
    logits(b, found);
    same(found, base, 1e-5, "a new PiSSA adapter, filed");
}

/* A new adapter changes nothing until it is trained: B is zero. */
static void a_new_adapter_is_a_no_op(void **state)
{
    bench *b = *state;
    float base[NUMBERS], found[NUMBERS];
    int64_t trainable, all, before;
    logits(b, base);
    lorac_trainable_parameters(b->set, &trainable, &before);
    add_new(b, "new", "true");
    activate(b, "new", NULL);
    logits(b, found);
    same(found, base, 1e-6, "a new adapter");
    lorac_trainable_parameters(b->set, &trainable, &all);
    assert_int_equal(trainable, all - before);
    assert_true(trainable > 0);
    ok(lorac_set_requires_grad(b->set, "new", 0));
    lorac_trainable_parameters(b->set, &trainable, &all);
    assert_int_equal(trainable, 0);
    refused(lorac_add_adapter(b->set, "x", "/no/such/file.json", 1), LORAC_ERROR_DATA, "file.json");
}

/* ---- Every kind ---- */

static void two_with_their_own_weights_are_refused(void **state)
{
    (void)state;
    bench b;
    open_bench(&b, GOLDEN "models/llama");
    ok(lorac_load_adapter(b.set, GOLDEN "kinds/save-all", "one", 0));
    ok(lorac_load_adapter(b.set, GOLDEN "kinds/save-all", "other", 0));
    ok(lorac_load_adapter(b.set, QV, "plain", 0));
    activate(&b, "one", NULL);
    refused(lorac_set_adapter(b.set, (const char *const[]){ "one", "other" }, 2), LORAC_ERROR_USAGE, "own weights");
    activate(&b, "one", "plain");
    refused(lorac_merge_adapters(b.set, &(const char *){ "plain" }, 1, 1), LORAC_ERROR_USAGE, "merge it too");
    ok(lorac_merge_adapters(b.set, NULL, 0, 1));
    close_bench(&b);
}

/* A model whose head only an adapter brings: without one nothing can be computed. */
static void a_classifier_s_head(void **state)
{
    enum { LABELS = 3 };
    static const char folder[] = GOLDEN "classifiers/adapters/llama-new-head";
    const lorac_adapter_ref ref = { folder, 1 };
    const lorac_run_options run = { .dtype = LORAC_DTYPE_F32, .adapters = &ref, .adapter_count = 1 };
    float wanted[LABELS], found[LABELS];
    lorac_session *session;
    bench b;
    (void)state;
    open_bench_with(&b, GOLDEN "models/llama", &(lorac_model_options){ .adapter = folder });
    ok(lorac_session_new(&session, b.model, &run));
    ok(lorac_logits(session, ids, IDS, wanted));
    lorac_session_free(session);
    refused(lorac_logits(b.session, ids, IDS, found), LORAC_ERROR_USAGE, "no classifier");
    ok(lorac_load_adapter(b.set, folder, "one", 0));
    ok(lorac_load_adapter(b.set, folder, "other", 0));
    activate(&b, "one", NULL);
    ok(lorac_logits(b.session, ids, IDS, found));
    assert_memory_equal(found, wanted, sizeof found);
    ok(lorac_merge_adapters(b.set, NULL, 0, 1));
    ok(lorac_logits(b.session, ids, IDS, found));
    for (int i = 0; i < LABELS; i++)
        assert_true(fabs((double)found[i] - (double)wanted[i]) < 1e-5);
    refused(lorac_set_adapter(b.set, (const char *const[]){ "one", "other" }, 2), LORAC_ERROR_USAGE, "score");
    lorac_disable_adapters(b.set, 1);
    refused(lorac_logits(b.session, ids, IDS, found), LORAC_ERROR_USAGE, "no classifier");
    close_bench(&b);
}

static void check_kind(const char *name)
{
    char folder[400], base_path[400];
    bench b;
    float base[NUMBERS], active[NUMBERS], peft[NUMBERS], found[NUMBERS];
    snprintf(folder, sizeof folder, GOLDEN "kinds/%s/adapter_config.json", name);
    json_t *config = json_load_file(folder, 0, NULL);
    assert_non_null(config);
    snprintf(base_path, sizeof base_path, GOLDEN "models/%s",
             json_string_value(json_object_get(config, "base_model_name_or_path")));
    json_decref(config);
    snprintf(folder, sizeof folder, GOLDEN "kinds/%s/logits.f32", name);
    FILE *file = fopen(folder, "rb");
    assert_non_null(file);
    assert_int_equal(fread(peft, sizeof *peft, NUMBERS, file), NUMBERS);
    fclose(file);
    snprintf(folder, sizeof folder, GOLDEN "kinds/%s", name);

    open_bench(&b, base_path);
    logits(&b, base);
    ok(lorac_load_adapter(b.set, folder, "kind", 0));
    activate(&b, "kind", NULL);
    logits(&b, active);
    same(active, peft, 1e-4, name);
    ok(lorac_merge_adapters(b.set, NULL, 0, 1));
    logits(&b, found);
    same(found, active, 1e-5, name);
    lorac_unmerge_adapters(b.set);
    logits(&b, found);
    same_bits(found, active);
    ok(lorac_hotswap_adapter(b.set, folder, "kind"));
    logits(&b, found);
    same_bits(found, active);
    lorac_disable_adapters(b.set, 1);
    logits(&b, found);
    same_bits(found, base);
    close_bench(&b);
}

static void every_kind_merges_and_unmerges(void **state)
{
    struct dirent **found;
    int entries = scandir(GOLDEN "kinds", &found, NULL, alphasort), kinds = 0;
    (void)state;
    for (int i = 0; i < entries; i++) {
        if (!strchr(found[i]->d_name, '.')) {
            check_kind(found[i]->d_name);
            kinds++;
        }
        free(found[i]);
    }
    free(found);
    assert_true(kinds > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_step_is_peft_s),
        TEST(nothing_is_active_at_first),
        TEST(merging_twice_is_a_no_op),
        TEST(sequential_merge_matches_batch_merge),
        TEST(merging_a_part_changes_nothing),
        TEST(set_adapter_unmerges),
        TEST(disabling_gives_the_base),
        TEST(deleting),
        TEST(unloading),
        TEST(merge_and_unload),
        TEST(safe_merge),
        TEST(mixed_batches_equal_runs_of_their_own),
        TEST(a_change_reaches_running_sequences),
        TEST(a_full_sequence_is_left_out),
        TEST(a_set_is_for_one_model),
        TEST(hotswapping_equals_loading),
        TEST(saving_and_loading_again),
        TEST(a_new_adapter_is_a_no_op),
        TEST(a_new_adapter_that_takes_from_the_base),
        cmocka_unit_test(two_with_their_own_weights_are_refused),
        cmocka_unit_test(a_classifier_s_head),
        cmocka_unit_test(every_kind_merges_and_unmerges),
    };
    return cmocka_run_group_tests_name("adapters", tests, make_root, remove_root);
}
