/* test_chat_templates.c: where chat templates are found, which of several is taken, and the built-in ones. */
#include "test_in_folder.h"

#include "builtin_templates.h"
#include "chat_templates.h"
#include "gguf.h"
#include "json.h"
#include "mem.h"
#include "tokenizer_export.h"

static const char *const tokenizer_json = "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_"
                                          "tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_"
                                          "space\":false,\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":"
                                          "null,\"decoder\":{\"type\":\"ByteLevel\","
                                          "\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},"
                                          "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,"
                                          "\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}";

static void put(const char *name, const char *text)
{
    buf path = { 0 };
    path_join(&path, folder, name);
    assert_ok(file_write(path.p, text, strlen(text)));
    buf_free(&path);
}

static void clear(void)
{
    folder_remove(folder);
    folder_make(folder);
    put("tokenizer.json", tokenizer_json);
}

/* What renders one message "x", with or without tools; "!" and the message for an error. */
static void render(buf *out, const char *asked, bool tools)
{
    tokenizer *t;
    chat_templates c;
    const template *chosen;
    json_t *messages = json_pack("[{ssss}]", "role", "user", "content", "x"), *list = json_array();
    assert_ok(tokenizer_open_folder(&t, folder));
    template_input input = { .messages = messages,
                             .tools = tools ? list : NULL,
                             .model = tokenizer_template_variables(t) };
    buf_clear(out);
    int status = chat_templates_open(&c, t, asked);
    if (status == LORAC_OK)
        status = chat_templates_choose(&c, input.tools, (fault){ .file = "rows.jsonl", .line = 3 }, &chosen);
    if (status == LORAC_OK)
        assert_ok(template_render(chosen, &input, out, NULL, NULL));
    else
        buf_format(out, "!%d %s", status, lorac_last_error()->message);
    chat_templates_free(&c);
    tokenizer_free(t);
    json_decref(messages);
    json_decref(list);
}

static void expect(const char *asked, bool tools, const char *text)
{
    buf out = { 0 };
    render(&out, asked, tools);
    assert_string_equal(out.p ? out.p : "", text);
    buf_free(&out);
}

static void expect_failing(const char *asked, bool tools, int status, const char *part)
{
    char begin[16];
    buf out = { 0 };
    render(&out, asked, tools);
    snprintf(begin, sizeof begin, "!%d ", status);
    assert_non_null(out.p);
    assert_true(strncmp(out.p, begin, strlen(begin)) == 0);
    assert_contains(out.p, part);
    buf_free(&out);
}

static void expect_failure(const char *asked, int status, const char *part)
{
    expect_failing(asked, false, status, part);
}

static void test_config(void **state)
{
    (void)state;
    clear();
    expect_failure(NULL, LORAC_ERROR_DATA, "rows.jsonl:3: the model has no chat template");
    put("tokenizer_config.json", "{\"chat_template\":\"one\"}");
    expect(NULL, false, "one");
    expect(NULL, true, "one");
    expect("default", false, "one");
    put("tokenizer_config.json", "{\"chat_template\":\"x\\n{% include 'y' %}\"}");
    expect_failure(NULL, LORAC_ERROR_DATA, "rows.jsonl:3: the model's chat template cannot be used: ");
    expect_failure(NULL, LORAC_ERROR_DATA, "tokenizer_config.json (chat_template):2:4: the statement 'include'");
    expect("chatml", false, "<|im_start|>user\nx<|im_end|>\n"); /* another one can */
    put("tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"default\",\"template\":\"D\"},{\"name\":\"tool_use\",\"template\":\"{{\"}]}");
    expect(NULL, false, "D");
    expect_failing(NULL, true, LORAC_ERROR_DATA, "tokenizer_config.json (chat_template):1:1: {{ without }}");
    put("tokenizer_config.json", "{\"chat_template\":\"\"}");
    expect_failure(NULL, LORAC_ERROR_DATA, "tokenizer_config.json (chat_template) is empty");
    put("tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"R\"},{\"name\":\"default\",\"template\":"
        "\"D\"},{\"name\":\"tool_use\",\"template\":\"T\"}]}");
    expect(NULL, false, "D");
    expect(NULL, true, "T");
    expect("rag", true, "R");
    expect("tool_use", false, "T");
    put("tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"R\"},{\"name\":\"tool_use\",\"template\":\"T\"}]}");
    expect(NULL, true, "T");
    expect_failure(NULL, LORAC_ERROR_DATA, "rag, tool_use");
    expect("rag", false, "R");
}

/* Any file shuts out what tokenizer_config.json has, as in transformers. */
static void test_files(void **state)
{
    (void)state;
    clear();
    put("tokenizer_config.json", "{\"chat_template\":\"config\"}");
    put("chat_template.jinja", "file\n");
    expect(NULL, true, "file");
    buf path = { 0 };
    assert_ok(folder_make(path_join(&path, folder, "additional_chat_templates")));
    put("additional_chat_templates/tool_use.jinja", "tools");
    put("additional_chat_templates/rag.jinja", "rag");
    put("additional_chat_templates/README.md", "no template");
    expect(NULL, false, "file");
    expect(NULL, true, "tools");
    expect("rag", false, "rag");
    unlink(path_join(&path, folder, "chat_template.jinja"));
    expect(NULL, true, "tools");
    expect_failure(NULL, LORAC_ERROR_DATA, "none of the model's chat templates is the default");
    buf_free(&path);
}

static void test_asked(void **state)
{
    (void)state;
    buf path = { 0 };
    clear();
    put("chat_template.jinja", "own");
    put("mine.jinja", "a file's {{ messages[0].content }}");
    path_join(&path, folder, "mine.jinja");
    expect(path.p, true, "a file's x");
    expect("chatml", true, "<|im_start|>user\nx<|im_end|>\n");
    expect_failure("nosuch", LORAC_ERROR_USAGE, "chatml");
    expect_failure("nosuch", LORAC_ERROR_USAGE, "the model's own default");
    expect_failure("nosuch.jinja", LORAC_ERROR_DATA, "nosuch.jinja");
    put("additional_chat_templates.jinja", "");
    put("mine.jinja", "{% if %}");
    expect_failure(path.p, LORAC_ERROR_DATA, "mine.jinja:1:7");
    buf_free(&path);
}

/* The model's tokens, also those it names itself, as transformers gives them to a template. */
static void test_variables(void **state)
{
    (void)state;
    clear();
    put("tokenizer_config.json", "{\"bos_token\":\"<new>\",\"eos_token\":{\"content\":\"b\"},\"unk_token\":null,"
                                 "\"image_token\":\"<img>\",\"add_bos_token\":true,"
                                 "\"extra_special_tokens\":{\"voice\":\"<v>\"},\"chat_template\":\"{{ bos_token }} {{ "
                                 "eos_token }} {{ image_token }} {{ voice }} "
                                 "{{ pad_token }} {{ unk_token is defined }}\"}");
    put("special_tokens_map.json", "{\"bos_token\":\"b\",\"pad_token\":\"ab\"}");
    expect(NULL, false, "<new> b <img> <v> ab False");
}

/* From a folder to GGUF and back to a folder, and folder to folder. */
static void test_export(void **state)
{
    (void)state;
    tokenizer *t;
    gguf g;
    gguf_writer *w;
    const char *file;
    buf path = { 0 }, other = { 0 };
    clear();
    put("tokenizer_config.json",
        "{\"bos_token\":\"a\",\"chat_template\":[{\"name\":\"default\",\"template\":\"D\"},{\"name\":\"tool use\","
        "\"template\":\"T\"}]}");
    assert_ok(tokenizer_open_folder(&t, folder));
    path_join(&path, folder, "x.gguf");
    assert_ok(gguf_begin(&w, path.p));
    assert_ok(tokenizer_put_gguf(t, w, 3, NULL));
    assert_ok(gguf_finish(w));
    tokenizer_free(t);

    assert_ok(gguf_open(&g, path.p));
    assert_ok(tokenizer_open_gguf(&t, &g));
    assert_true(slice_is(tokenizer_chat_template(t, "default", &file), "D"));
    assert_true(slice_is(tokenizer_chat_template(t, "tool_use", &file), "T"));
    assert_string_equal(json_string_value(json_object_get(tokenizer_template_variables(t), "bos_token")), "a");
    assert_int_equal(gguf_find(&g, "tokenizer.chat_templates")->count, 1);
    path_join(&path, folder, "out");
    assert_ok(folder_make(path.p));
    assert_ok(tokenizer_save_folder(t, &g, path.p, NULL));
    tokenizer_free(t);
    gguf_close(&g);

    path_join(&other, folder, "copy");
    assert_ok(folder_make(other.p));
    assert_ok(tokenizer_copy_folder(path.p, other.p));
    assert_ok(tokenizer_open_folder(&t, other.p));
    assert_true(slice_is(tokenizer_chat_template(t, "default", &file), "D"));
    assert_true(slice_is(tokenizer_chat_template(t, "tool_use", &file), "T"));
    assert_contains(file, "additional_chat_templates/tool_use.jinja");
    tokenizer_free(t);
    assert_ok(tokenizer_drop_templates(other.p));
    assert_ok(tokenizer_drop_templates(other.p));
    assert_ok(tokenizer_open_folder(&t, other.p));
    assert_null(tokenizer_chat_template_name(t, 1));
    tokenizer_free(t);
    buf_free(&path);
    buf_free(&other);
}

/* ---- Built in ----------------------------------------------------------------------------------------- */

/* The prompt for an answer begins the text with the answer, and what is trained reaches to its end. */
static void check_builtin(const char *name)
{
    template *t;
    buf whole = { 0 }, prompt = { 0 };
    text_region *regions;
    size_t count;
    json_t *messages =
        json_pack("[{ssss}{ssss}]", "role", "user", "content", "Hi", "role", "assistant", "content", "Yes.");
    json_t *first = json_pack("[O]", json_array_get(messages, 0)),
           *odd = json_pack("[{ssss}]", "role", "tool", "content", "x");
    template_input input = { .messages = messages, .bos = slice_of("<s>"), .eos = slice_of("</s>") };
    print_message("%s\n", name);
    assert_ok(template_parse(&t, builtin_template(slice_of(name)), name));
    assert_true(template_has_generation(t));
    assert_ok(template_render(t, &input, &whole, &regions, &count));
    assert_int_equal(count, 1);
    assert_int_equal(regions[0].end, whole.n);
    input.messages = first;
    input.add_generation_prompt = true;
    assert_ok(template_render(t, &input, &prompt, NULL, NULL));
    assert_true(prompt.n < whole.n);
    assert_memory_equal(whole.p, prompt.p, prompt.n);
    input.messages = odd;
    assert_int_equal(template_render(t, &input, &prompt, NULL, NULL), LORAC_ERROR_DATA);
    assert_contains(lorac_last_error()->message, "knows no role tool");
    mem_free(regions);
    buf_free(&whole);
    buf_free(&prompt);
    json_decref(messages);
    json_decref(first);
    json_decref(odd);
    template_free(t);
}

static void test_builtin(void **state)
{
    (void)state;
    const char *name, *last = "";
    for (size_t i = 0; (name = builtin_template_name(i)); i++) {
        assert_true(strcmp(last, name) < 0);
        last = name;
        check_builtin(name);
    }
    assert_null(builtin_template(slice_of("ChatML")).p);
}

/* Every allocation fails once. */
static void test_memory(void **state)
{
    (void)state;
    buf path = { 0 };
    clear();
    put("tokenizer_config.json", "{\"bos_token\":\"a\"}");
    put("chat_template.jinja", "{{ bos_token }}");
    assert_ok(folder_make(path_join(&path, folder, "additional_chat_templates")));
    put("additional_chat_templates/tool_use.jinja", "tools");
    for (long n = 1;; n++) {
        tokenizer *t = NULL;
        chat_templates c = { 0 };
        mem_fail_at(n);
        int status = tokenizer_open_folder(&t, folder);
        if (status == LORAC_OK)
            status = chat_templates_open(&c, t, n % 2 ? NULL : "llama3");
        mem_fail_at(0);
        chat_templates_free(&c);
        tokenizer_free(t);
        if (status == LORAC_OK)
            break;
        assert_int_equal(status, LORAC_ERROR_RUNTIME);
        assert_true(n < 2000);
    }
    buf_free(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),    cmocka_unit_test(test_files),  cmocka_unit_test(test_asked),
        cmocka_unit_test(test_variables), cmocka_unit_test(test_export), cmocka_unit_test(test_builtin),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
