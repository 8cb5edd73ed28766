/* test_kinds.c: adapters of every kind that PEFT files (tests/golden/kinds) through the public header alone: logits,
 * the merged model, the adapter written again, counts, and twenty steps of training. */
#include "test.h"

#include "lorac.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>

#define GOLDEN SOURCE_DIR "/tests/golden/"

enum { STEPS = 20, IDS = 12, MOST_KINDS = 64 };

/* A kind with what PEFT expects of it. */
typedef struct kind {
    char folder[400], base[400];
    lorac_model *model;
    json_t *expected;
    int32_t ids[IDS];
    float *logits;
    size_t count; /* of numbers in logits */
} kind;

static char root[300];

static void ok(lorac_status status)
{
    if (status != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
}

static json_t *read_json(const char *folder, const char *name)
{
    char path[600];
    json_error_t error;
    json_t *value;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    value = json_load_file(path, 0, &error);
    if (!value)
        fail_msg("%s: %s", path, error.text);
    return value;
}

static int64_t integer(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static void read_logits(kind *k)
{
    char path[600];
    FILE *file;

    snprintf(path, sizeof path, "%s/logits.f32", k->folder);
    file = fopen(path, "rb");
    assert_non_null(file);
    k->logits = calloc(k->count, sizeof *k->logits);
    assert_non_null(k->logits);
    assert_int_equal(fread(k->logits, sizeof *k->logits, k->count, file), k->count);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static kind open_kind(const char *name)
{
    kind k = { 0 };
    lorac_model_info info;
    json_t *config;
    const json_t *ids;

    snprintf(k.folder, sizeof k.folder, GOLDEN "kinds/%s", name);
    config = read_json(k.folder, "adapter_config.json");
    snprintf(k.base, sizeof k.base, GOLDEN "models/%s",
             json_string_value(json_object_get(config, "base_model_name_or_path")));
    json_decref(config);
    ok(lorac_model_open(&k.model, k.base, NULL));
    lorac_model_describe(k.model, &info);
    k.expected = read_json(k.folder, "expected.json");
    ids = json_object_get(k.expected, "ids");
    assert_int_equal(json_array_size(ids), IDS);
    for (size_t i = 0; i < IDS; i++)
        k.ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    k.count = IDS * (size_t)info.vocabulary;
    read_logits(&k);
    return k;
}

static void close_kind(kind *k)
{
    lorac_model_close(k->model);
    json_decref(k->expected);
    free(k->logits);
}

/* The logits of a model, with an adapter or without, are PEFT's. */
static void check_logits(const kind *k, const char *what, const lorac_model *model, const char *adapter,
                         double tolerance)
{
    lorac_adapter_ref ref = { adapter, 1 };
    lorac_run_options run = { .dtype = LORAC_DTYPE_F32, .adapters = &ref, .adapter_count = adapter != NULL };
    lorac_session *session;
    float *found = calloc(k->count, sizeof *found);
    double most = 0, largest = 0;

    assert_non_null(found);
    ok(lorac_session_new(&session, model, &run));
    ok(lorac_logits(session, k->ids, IDS, found));
    for (size_t i = 0; i < k->count; i++) {
        assert_true(isfinite(found[i]));
        most = fmax(most, fabs((double)found[i] - (double)k->logits[i]));
        largest = fmax(largest, fabs((double)k->logits[i]));
    }
    if (!(most <= tolerance * largest))
        fail_msg("%s, %s: logits differ by %g of the largest", k->folder, what, most / largest);
    lorac_session_free(session);
    free(found);
}

static void check_merged(const kind *k)
{
    lorac_adapter_ref ref = { k->folder, 1 };
    lorac_merge_options options = { .dtype = LORAC_DTYPE_F32 };
    lorac_merge_report report;
    lorac_model *merged;
    char out[400];

    snprintf(out, sizeof out, "%s/merged", root);
    ok(lorac_merge(k->model, &ref, 1, out, &options, &report));
    ok(lorac_model_open(&merged, out, NULL));
    check_logits(k, "merged", merged, NULL, 1e-5);
    lorac_model_close(merged);
}

static void check_counts(const kind *k)
{
    char path[600], *text;
    json_t *said;
    json_error_t error;

    snprintf(path, sizeof path, "%s/adapter_config.json", k->folder);
    ok(lorac_inspect(k->base, path, &text));
    said = json_loads(text, 0, &error);
    assert_non_null(said);
    assert_int_equal(integer(said, "trainable_parameters"), integer(k->expected, "trainable_parameters"));
    assert_int_equal(integer(said, "all_parameters"), integer(k->expected, "all_parameters"));
    json_decref(said);
    lorac_free(text);
}

static lorac_train_options train_options(const kind *k, const char *output)
{
    lorac_train_options o;
    const char *name;
    json_t *value;

    lorac_train_options_init(&o);
    json_object_foreach(json_object_get(k->expected, "options"), name, value)
    {
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);

        ok(lorac_train_options_set(&o, name, text ? text : json_string_value(value)));
        free(text);
    }
    o.model = k->base;
    o.data = GOLDEN "kinds/rows.jsonl";
    o.adapter = k->folder;
    o.output = output;
    o.lr_schedule = LORAC_SCHEDULE_CONSTANT;
    o.shuffle = 0;
    o.steps_per_report = 1;
    o.dtype = LORAC_DTYPE_F32;
    return o;
}

static void check_written(const kind *k)
{
    char out[400];
    lorac_train_options o;

    snprintf(out, sizeof out, "%s/written", root);
    o = train_options(k, out);
    o.steps = 0;
    ok(lorac_train(k->model, &o, NULL));
    lorac_train_options_clear(&o);
    check_logits(k, "written again", k->model, out, 1e-4);
}

static void on_event(void *user, const lorac_event *event)
{
    double *losses = user;

    if (event->kind == LORAC_EVENT_REPORT && event->step >= 1 && event->step <= STEPS)
        losses[event->step - 1] = event->loss;
}

static void check_training(const kind *k)
{
    char out[400];
    double losses[STEPS] = { 0 };
    lorac_watch watch = { .on_event = on_event, .user = losses };
    const json_t *expected = json_object_get(k->expected, "loss");
    lorac_train_options o;

    assert_int_equal(json_array_size(expected), STEPS);
    snprintf(out, sizeof out, "%s/trained", root);
    o = train_options(k, out);
    o.steps = STEPS;
    ok(lorac_train(k->model, &o, &watch));
    lorac_train_options_clear(&o);
    for (int i = 0; i < STEPS; i++) {
        double want = json_real_value(json_array_get(expected, (size_t)i));

        if (!(fabs(losses[i] - want) <= 1e-5 * want))
            fail_msg("%s: loss of step %d is %.9g, where PEFT has %.9g", k->folder, i + 1, losses[i], want);
    }
}

static void check_kind(void **state)
{
    kind k = open_kind(*state);

    check_logits(&k, "as PEFT filed it", k.model, k.folder, 1e-4);
    check_counts(&k);
    check_written(&k);
    check_merged(&k);
    check_training(&k);
    close_kind(&k);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    return 0;
}

static int tear_down(void **state)
{
    char command[400];

    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

/* One test for each folder. */
int main(void)
{
    static struct CMUnitTest tests[MOST_KINDS];
    struct dirent **found;
    size_t count = 0;
    int entries = scandir(GOLDEN "kinds", &found, NULL, alphasort), code;

    for (int i = 0; i < entries; i++)
        if (!strchr(found[i]->d_name, '.') && count < MOST_KINDS) {
            char *name = found[i]->d_name;

            tests[count++] = (struct CMUnitTest){ name, check_kind, set_up, tear_down, name };
        }
    code = count > 10 ? _cmocka_run_group_tests("kinds", tests, count, NULL, NULL) : 1;
    for (int i = 0; i < entries; i++)
        free(found[i]);
    free(found);
    return code;
}
