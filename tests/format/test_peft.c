/* adapter_config.json and the rules for names, against what PEFT does: tests/golden/peft_match.json holds its answers
 * (tools/make_peft_match_goldens.py), tests/golden/adapters the files that it writes. */
#include "test.h"

#include "err.h"
#include "json.h"
#include "mem.h"
#include "peft.h"

#include <time.h>

static const char *folder;
static char path[512];

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static int read_text(peft_config *c, const char *json, buf *notes)
{
    test_write(path, json, strlen(json));
    return peft_config_read(c, path, notes);
}

static void assert_refused(const char *json, int status, const char *words)
{
    peft_config c;

    if (read_text(&c, json, NULL) == LORAC_OK)
        fail_msg("%s is accepted", json);
    assert_int_equal(lorac_last_error()->status, status);
    assert_string_equal(lorac_last_error()->file, path);
    assert_contains(lorac_last_error()->message, words);
}

static void assert_accepted(const char *json)
{
    peft_config c;

    if (read_text(&c, json, NULL) != LORAC_OK)
        fail_msg("%s is refused: %s", json, lorac_last_error()->message);
    peft_config_free(&c);
}

/* ---- Reading */

static void missing_keys_take_peft_s_defaults(void **state)
{
    peft_config c;

    (void)state;
    assert_ok(read_text(&c, "{}", NULL));
    assert_int_equal(c.r, 8);
    assert_true(c.lora_alpha == 8 && c.lora_dropout == 0 && !c.use_rslora);
    assert_int_equal(c.init.kind, INIT_DEFAULT);
    assert_null(c.targets);
    assert_null(c.target_regex);
    assert_null(c.base_model_name_or_path);
    peft_config_free(&c);
    assert_ok(read_text(
        &c, "{\"r\":null,\"lora_alpha\":null,\"target_modules\":null,\"bias\":null,\"rank_pattern\":null}", NULL));
    assert_int_equal(c.r, 8);
    peft_config_free(&c);
}

static void every_key_is_taken(void **state)
{
    static const char json[] =
        "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":10.5,\"lora_dropout\":0.25,\"use_rslora\":true,"
        "\"init_lora_weights\":\"gaussian\",\"base_model_name_or_path\":\"some/model\",\"task_type\":\"CAUSAL_LM\","
        "\"target_modules\":[\"v_proj\",\"q_proj\"],\"exclude_modules\":\".*0.*\",\"layers_to_transform\":[3,-1],"
        "\"layers_pattern\":\"layers\",\"rank_pattern\":{\"z\":2,\"a\":3},\"alpha_pattern\":{\"z\":0.5},\"inference_"
        "mode\":true}";
    peft_config c;

    (void)state;
    assert_ok(read_text(&c, json, NULL));
    assert_int_equal(c.r, 4);
    assert_true(c.lora_alpha == 10.5 && c.lora_dropout == 0.25 && c.use_rslora);
    assert_int_equal(c.init.kind, INIT_GAUSSIAN);
    assert_string_equal(c.base_model_name_or_path, "some/model");
    assert_string_equal(c.task_type, "CAUSAL_LM");
    assert_int_equal(c.target_count, 2);
    assert_string_equal(c.targets[0], "v_proj");
    assert_string_equal(c.exclude_regex, ".*0.*");
    assert_int_equal(c.layer_count, 2);
    assert_int_equal(c.layers[1], -1);
    assert_string_equal(c.layers_pattern[0], "layers");
    assert_int_equal(c.rank_count, 2);
    assert_string_equal(c.rank_keys[0], "z"); /* in the file's order */
    assert_int_equal(c.rank_values[1], 3);
    assert_true(c.alpha_values[0] == 0.5);
    peft_config_free(&c);
}

static void unknown_keys_are_noted(void **state)
{
    buf notes = { 0 };
    peft_config c;

    (void)state;
    assert_ok(read_text(&c, "{\"r\":4,\"frobnicate\":[1],\"runtime_config\":{},\"peft_version\":\"9.9\"}", &notes));
    assert_contains(notes.p, "\"frobnicate\"");
    assert_contains(notes.p, "\"runtime_config\"");
    assert_null(strstr(notes.p, "peft_version"));
    buf_free(&notes);
    peft_config_free(&c);
    assert_ok(read_text(&c, "{\"frobnicate\":1}", NULL));
    peft_config_free(&c);
}

/* Each changes what the adapter computes: off is fine, on is refused by name. */
static void what_lorac_lacks_is_refused_by_name(void **state)
{
    static const struct {
        const char *key, *off, *on;
    } cases[] = {
        { "layer_replication", "null", "[[0,4],[2,5]]" },
        { "megatron_config", "null", "{\"a\":1}" },
        { "megatron_core", "\"megatron.core\"", "\"mine\"" },
        { "alora_invocation_tokens", "null", "[5]" },
        { "lora_ga_config", "null", "{\"direction\":\"ArB2r\"}" },
        { "loftq_config", "{}", "{\"loftq_bits\":4}" },
        { "use_qalora", "false", "true" },
        { "use_bdlora", "null", "{\"nblocks\":2}" },
        { "velora_config", "null", "{\"num_groups\":64}" },
        { "monteclora_config", "null", "{\"num_samples\":8}" },
        { "kasa_config", "null", "{\"beta\":1e-4}" },
        { "arrow_config", "null", "{\"top_k\":3}" },
        { "target_parameters", "null", "[\"experts.w\"]" },
        { "init_lora_weights", "true", "\"mica\"" },
        { "init_lora_weights", "false", "\"lora_ga\"" },
        { "init_lora_weights", "\"gaussian\"", "\"loftq\"" },
        { "peft_type", "\"LORA\"", "\"IA3\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[256];

        snprintf(json, sizeof json, "{\"%s\":%s}", cases[i].key, cases[i].on);
        assert_refused(json, LORAC_ERROR_USAGE, cases[i].key);
        snprintf(json, sizeof json, "{\"%s\":%s}", cases[i].key, cases[i].off);
        assert_accepted(json);
    }
}

static void wrong_values_are_refused(void **state)
{
    static const struct {
        const char *bad, *words, *good;
    } cases[] = {
        { "[]", "not an adapter configuration", "{}" },
        { "{\"r\":8", "not valid JSON", "{\"r\":8}" },
        { "{\"r\":8,\"r\":9}", "duplicate", "{\"r\":8}" },
        { "{\"r\":0}", "key r", "{\"r\":1}" },
        { "{\"r\":-4}", "key r", "{\"r\":4}" },
        { "{\"r\":4097}", "key r", "{\"r\":4096}" },
        { "{\"r\":2.5}", "key r", "{\"r\":2.0}" },
        { "{\"r\":\"8\"}", "key r", "{\"r\":8}" },
        { "{\"r\":true}", "key r", "{\"r\":8}" },
        { "{\"lora_alpha\":\"16\"}", "lora_alpha", "{\"lora_alpha\":16}" },
        { "{\"lora_alpha\":1e999}", "not valid JSON", "{\"lora_alpha\":1e9}" },
        { "{\"lora_alpha\":NaN}", "not valid JSON", "{\"lora_alpha\":0}" },
        { "{\"lora_dropout\":-0.1}", "lora_dropout", "{\"lora_dropout\":0}" },
        { "{\"lora_dropout\":1.0}", "lora_dropout", "{\"lora_dropout\":0.99}" },
        { "{\"use_rslora\":1}", "use_rslora", "{\"use_rslora\":true}" },
        { "{\"target_modules\":3}", "target_modules", "{\"target_modules\":\"3\"}" },
        { "{\"target_modules\":[3]}", "target_modules", "{\"target_modules\":[\"3\"]}" },
        { "{\"exclude_modules\":{}}", "exclude_modules", "{\"exclude_modules\":[]}" },
        { "{\"layers_to_transform\":\"1\"}", "layers_to_transform", "{\"layers_to_transform\":1}" },
        { "{\"layers_to_transform\":[1.5]}", "layers_to_transform", "{\"layers_to_transform\":[1]}" },
        { "{\"rank_pattern\":[]}", "rank_pattern", "{\"rank_pattern\":{}}" },
        { "{\"rank_pattern\":{\"q\":0}}", "key q", "{\"rank_pattern\":{\"q\":1}}" },
        { "{\"rank_pattern\":{\"q\":null}}", "rank_pattern", "{\"rank_pattern\":{\"q\":1}}" },
        { "{\"alpha_pattern\":{\"q\":\"1\"}}", "key q", "{\"alpha_pattern\":{\"q\":1}}" },
        { "{\"init_lora_weights\":3}", "init_lora_weights", "{\"init_lora_weights\":\"Gaussian\"}" },
        { "{\"base_model_name_or_path\":3}", "base_model_name_or_path", "{\"base_model_name_or_path\":\"3\"}" },
        { "{\"peft_type\":null,\"task_type\":3}", "task_type", "{\"peft_type\":null}" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(cases[i].bad, LORAC_ERROR_DATA, cases[i].words);
        assert_accepted(cases[i].good);
    }
}

static void what_may_not_stand_together_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"target_modules\":\"q\",\"layers_to_transform\":[1]}", LORAC_ERROR_USAGE, "layers_to_transform");
    assert_refused("{\"target_modules\":\"q\",\"layers_pattern\":\"h\"}", LORAC_ERROR_USAGE, "layers_pattern");
    assert_refused("{\"target_modules\":[\"q\"],\"layers_pattern\":\"h\"}", LORAC_ERROR_USAGE,
                   "needs layers_to_transform");
    assert_refused("{\"target_modules\":[]}", LORAC_ERROR_USAGE, "empty");
    assert_accepted("{\"target_modules\":[\"q\"],\"layers_pattern\":\"h\",\"layers_to_transform\":1}");
    assert_accepted("{\"target_modules\":\"q\",\"layers_pattern\":null,\"layers_to_transform\":null}");
    assert_accepted("{\"target_modules\":[\"q\"],\"layers_pattern\":[]}");
}

static void default_targets_are_peft_s(void **state)
{
    (void)state;
    assert_string_equal(peft_default_targets("llama"), "q_proj,v_proj");
    assert_string_equal(peft_default_targets("gpt2"), "c_attn");
    assert_string_equal(peft_default_targets("phi"), "q_proj,v_proj,fc1,fc2");
    assert_null(peft_default_targets("distilbert"));
    assert_null(peft_default_targets(""));
}

/* ---- Writing */

static char *written(const peft_config *c)
{
    buf b = { 0 };

    assert_ok(peft_config_write(c, path));
    assert_ok(file_read(&b, path, 1 << 20));
    return b.p;
}

static void the_file_is_as_peft_writes_it(void **state)
{
    static const char *targets[] = { "v_proj", "q_proj" };
    peft_config c;
    char *text;

    (void)state;
    peft_config_init(&c);
    c.r = 16;
    c.lora_alpha = 32;
    c.lora_dropout = 0.05;
    c.base_model_name_or_path = "a/\"b\"";
    c.task_type = "CAUSAL_LM";
    c.targets = targets;
    c.target_count = 2;
    text = written(&c);
    assert_string_equal(text, "{\n"
                              "  \"alpha_pattern\": {},\n"
                              "  \"auto_mapping\": null,\n"
                              "  \"base_model_name_or_path\": \"a/\\\"b\\\"\",\n"
                              "  \"bias\": \"none\",\n"
                              "  \"fan_in_fan_out\": false,\n"
                              "  \"inference_mode\": true,\n"
                              "  \"init_lora_weights\": true,\n"
                              "  \"layers_pattern\": null,\n"
                              "  \"layers_to_transform\": null,\n"
                              "  \"loftq_config\": {},\n"
                              "  \"lora_alpha\": 32,\n"
                              "  \"lora_dropout\": 0.05,\n"
                              "  \"megatron_config\": null,\n"
                              "  \"megatron_core\": \"megatron.core\",\n"
                              "  \"modules_to_save\": null,\n"
                              "  \"peft_type\": \"LORA\",\n"
                              "  \"r\": 16,\n"
                              "  \"rank_pattern\": {},\n"
                              "  \"revision\": null,\n"
                              "  \"target_modules\": [\n"
                              "    \"q_proj\",\n"
                              "    \"v_proj\"\n"
                              "  ],\n"
                              "  \"task_type\": \"CAUSAL_LM\",\n"
                              "  \"use_dora\": false,\n"
                              "  \"use_rslora\": false\n"
                              "}\n");
    mem_free(text);
    peft_config_free(&c);
}

/* What is read from `from` and written is the same as `from`, but for keys that say nothing and inference_mode. */
static void assert_round_trip(const char *from)
{
    json_t *before, *after, *value;
    const char *key;
    peft_config c;

    assert_ok(peft_config_read(&c, from, NULL));
    assert_ok(peft_config_write(&c, path));
    peft_config_free(&c);
    assert_ok(json_read(&before, from, 1 << 20, 0));
    assert_ok(json_read(&after, path, 1 << 20, 0));
    json_object_del(before, "inference_mode");
    json_object_del(after, "inference_mode");
    json_object_foreach(after, key, value)
    {
        json_t *was = json_object_get(before, key);
        bool equal = json_equal(value, was) ||
                     (json_is_array(value) && json_array_size(value) == json_array_size(was)) ||
                     (json_is_number(value) && json_number_value(value) == json_number_value(was));

        if (!equal)
            fail_msg("%s: %s changed", from, key);
    }
    json_object_foreach(before, key, value)
    {
        if (!json_object_get(after, key) &&
            (json_is_true(value) || json_object_size(value) > 0 || json_array_size(value) > 0))
            fail_msg("%s: %s is lost", from, key);
    }
    json_decref(before);
    json_decref(after);
}

static void files_of_peft_come_through(void **state)
{
    static const char *const names[] = { "all-linear", "layers", "patterns", "qv", "regex-layer1", "rslora" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char from[600];

        snprintf(from, sizeof from, "%s/tests/golden/adapters/%s/adapter_config.json", SOURCE_DIR, names[i]);
        assert_round_trip(from);
    }
}

static void newer_keys_are_written_only_when_set(void **state)
{
    peft_config c;
    char *text;

    (void)state;
    assert_ok(
        read_text(&c,
                  "{\"target_modules\":\"all-linear\",\"exclude_modules\":[\"b\",\"a\"],\"init_lora_weights\":false,"
                  "\"alpha_pattern\":{\"x\":0.5,\"b\":3}}",
                  NULL));
    text = written(&c);
    assert_contains(text, "\"exclude_modules\": [\n    \"a\",\n    \"b\"\n  ],\n");
    assert_contains(text, "\"init_lora_weights\": false");
    assert_contains(text, "\"target_modules\": \"all-linear\"");
    assert_contains(text, "\"alpha_pattern\": {\n    \"x\": 0.5,\n    \"b\": 3\n  }");
    mem_free(text);
    peft_config_free(&c);
}

/* ---- Matching */

/* Asks for every module of a golden case; returns how many questions that was. */
static size_t check_case(const json_t *settings, const json_t *modules, const json_t *adapted)
{
    char *text = json_dumps(settings, 0);
    peft_matcher *m;
    peft_config c;

    assert_ok(read_text(&c, text, NULL));
    assert_ok(peft_matcher_new(&m, &c));
    for (size_t i = 0; i < json_array_size(modules); i++) {
        const char *name = json_string_value(json_array_get(modules, i));
        const json_t *wanted = json_object_get(adapted, name);
        int64_t rank;
        double alpha;
        bool matches;

        assert_ok(peft_matches(m, name, strcmp(name, "lm_head") == 0, &matches, &rank, &alpha));
        if (matches != (wanted != NULL))
            fail_msg("%s: %s is%s adapted", text, name, matches ? "" : " not");
        if (!matches)
            continue;
        if (rank != json_integer_value(json_array_get(wanted, 0)) ||
            alpha != json_number_value(json_array_get(wanted, 1)))
            fail_msg("%s: %s has rank %d and alpha %g", text, name, (int)rank, alpha);
    }
    peft_matcher_free(m);
    peft_config_free(&c);
    free(text);
    return json_array_size(modules);
}

static void modules_match_as_in_peft(void **state)
{
    json_t *golden, *one;
    size_t i, questions = 0;

    (void)state;
    assert_ok(json_read(&golden, SOURCE_DIR "/tests/golden/peft_match.json", 1 << 20, 0));
    json_array_foreach(json_object_get(golden, "cases"), i, one)
    {
        const json_t *own = json_object_get(one, "modules");

        questions += check_case(json_object_get(one, "config"), own ? own : json_object_get(golden, "modules"),
                                json_object_get(one, "adapted"));
    }
    assert_true(questions > 5000);
    json_decref(golden);
}

static int new_matcher(peft_matcher **m, peft_config *c, const char *json)
{
    assert_ok(read_text(c, json, NULL));
    return peft_matcher_new(m, c);
}

static bool matches(peft_matcher *m, const char *module)
{
    int64_t rank;
    double alpha;
    bool yes;

    assert_ok(peft_matches(m, module, false, &yes, &rank, &alpha));
    return yes;
}

static void unused_names_are_told(void **state)
{
    peft_matcher *m;
    peft_config c;

    (void)state;
    assert_ok(new_matcher(&m, &c,
                          "{\"target_modules\":[\"q\",\"q\",\"dead\"],\"rank_pattern\":{\"q\":2,\"a.q\":3,\"k\":1},"
                          "\"alpha_pattern\":{\"gone\":2}}"));
    assert_string_equal(peft_matcher_unused(m), "q");
    assert_true(matches(m, "a.q"));
    assert_string_equal(peft_matcher_unused(m), "dead");
    assert_true(matches(m, "a.dead"));
    assert_string_equal(peft_matcher_unused(m), "k"); /* "a.q" fits, though "q" comes first */
    peft_matcher_free(m);
    peft_config_free(&c);
    assert_ok(new_matcher(&m, &c, "{\"target_modules\":\".*q\",\"alpha_pattern\":{\"gone\":2}}"));
    assert_false(matches(m, "a.v"));
    assert_string_equal(peft_matcher_unused(m), ".*q");
    assert_true(matches(m, "a.q"));
    assert_string_equal(peft_matcher_unused(m), "gone");
    peft_matcher_free(m);
    peft_config_free(&c);
    assert_ok(new_matcher(&m, &c, "{\"target_modules\":[\"q\"]}"));
    assert_true(matches(m, "q"));
    assert_null(peft_matcher_unused(m));
    peft_matcher_free(m);
    peft_config_free(&c);
}

static void wrong_expressions_are_named(void **state)
{
    static const char *const cases[] = {
        "{\"target_modules\":\"(q\"}", "{\"target_modules\":\"(*LIMIT_MATCH=1)q\"}",
        "{\"target_modules\":[\"q\"],\"exclude_modules\":\"[\"}",
        "{\"target_modules\":[\"q\"],\"rank_pattern\":{\"q)(\":1,\"+\":2}}",
        "{\"target_modules\":[\"q\"],\"layers_to_transform\":1,\"layers_pattern\":\"(?\"}"
    };
    peft_matcher *m;
    peft_config c;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(new_matcher(&m, &c, cases[i]), LORAC_ERROR_USAGE);
        assert_contains(lorac_last_error()->message, "regular expression is not right");
        assert_non_null(lorac_last_error()->key);
        assert_null(m);
        peft_config_free(&c);
    }
    assert_int_equal(new_matcher(&m, &c, "{}"), LORAC_ERROR_USAGE);
    assert_contains(lorac_last_error()->message, "no target modules");
    peft_config_free(&c);
}

/* An expression that would search for ever is an error within moments. */
static void endless_expressions_end(void **state)
{
    struct timespec begin, end;
    peft_matcher *m;
    peft_config c;
    int64_t rank;
    double alpha;
    bool yes;

    (void)state;
    assert_ok(new_matcher(&m, &c, "{\"target_modules\":\"(a*)*(a*)*(a*)*[bc]\"}"));
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(
        peft_matches(m, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaad", false, &yes, &rank, &alpha),
        LORAC_ERROR_USAGE);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_contains(lorac_last_error()->message, "limit");
    assert_true(end.tv_sec - begin.tv_sec < 5);
    peft_matcher_free(m);
    peft_config_free(&c);
}

static void running_out_of_memory_is_an_error(void **state)
{
    static const char json[] =
        "{\"target_modules\":[\"q\",\"v\"],\"exclude_modules\":\"x\",\"layers_to_transform\":[1],"
        "\"layers_pattern\":[\"a\",\"b\"],\"rank_pattern\":{\"q\":1},\"alpha_pattern\":{\"q\":1}}";
    long allocations;
    peft_matcher *m;
    peft_config c;

    (void)state;
    test_write(path, json, strlen(json));
    mem_fail_at(0);
    assert_ok(peft_config_read(&c, path, NULL));
    assert_ok(peft_matcher_new(&m, &c));
    allocations = mem_count();
    peft_matcher_free(m);
    peft_config_free(&c);
    for (long n = 1; n <= allocations; n++) {
        mem_fail_at(n);
        int status = peft_config_read(&c, path, NULL);
        if (status == LORAC_OK) {
            status = peft_matcher_new(&m, &c);
            peft_config_free(&c);
        }
        mem_fail_at(0);
        assert_int_equal(status, LORAC_ERROR_RUNTIME);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_keys_take_peft_s_defaults),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(unknown_keys_are_noted),
        cmocka_unit_test(what_lorac_lacks_is_refused_by_name),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(what_may_not_stand_together_is_refused),
        cmocka_unit_test(default_targets_are_peft_s),
        cmocka_unit_test(the_file_is_as_peft_writes_it),
        cmocka_unit_test(files_of_peft_come_through),
        cmocka_unit_test(newer_keys_are_written_only_when_set),
        cmocka_unit_test(modules_match_as_in_peft),
        cmocka_unit_test(unused_names_are_told),
        cmocka_unit_test(wrong_expressions_are_named),
        cmocka_unit_test(endless_expressions_end),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };

    return cmocka_run_group_tests_name("peft", tests, make_folder, remove_folder);
}
