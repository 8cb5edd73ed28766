/* test_rows.c: rows of every form: against transformers with TRL's masking rules (tests/golden/rows, made by
 * tools/make_row_goldens.py), and by hand: what is trained stands in [brackets] in the expected strings. */
#include "test.h"

#include "err.h"
#include "file.h"
#include "json.h"
#include "mem.h"
#include "rows.h"

typedef struct fixture {
    tokenizer *t;
    chat_templates templates;
    row row;
} fixture;

static void open_fixture(fixture *f, const char *name, const char *chat_template)
{
    char folder[256];
    *f = (fixture){ 0 };
    snprintf(folder, sizeof folder, SOURCE_DIR "/tests/golden/rows/%s", name);
    assert_ok(tokenizer_open_folder(&f->t, folder));
    assert_ok(chat_templates_open(&f->templates, f->t, NULL));
    if (chat_template) {
        template_free(f->templates.plain);
        assert_ok(template_parse(&f->templates.plain, slice_of(chat_template), "chat.jinja"));
    }
    assert_non_null(f->templates.plain);
}

static void close_fixture(fixture *f)
{
    row_free(&f->row);
    chat_templates_free(&f->templates);
    tokenizer_free(f->t);
}

static int read_json(fixture *f, const json_t *object, lorac_loss_on on, int64_t limit)
{
    row_reader reader = { .tokenizer = f->t, .templates = &f->templates, .loss_on = on, .max_seq_length = limit };
    return row_read(&reader, object, "train.jsonl", 7, &f->row);
}

static int read_row(fixture *f, const char *text, lorac_loss_on on, int64_t limit)
{
    json_t *object;
    assert_ok(json_parse(&object, slice_of(text), "train.jsonl", 7, 0));
    int status = read_json(f, object, on, limit);
    json_decref(object);
    return status;
}

/* ---- Goldens ------------------------------------------------------------------------------------------ */

static bool same_numbers(const int32_t *numbers, size_t count, const json_t *expected)
{
    if (json_array_size(expected) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (numbers[i] != json_integer_value(json_array_get(expected, i)))
            return false;
    return true;
}

static void test_goldens(void **state)
{
    (void)state;
    json_t *golden, *entry;
    size_t i, wrong = 0;
    assert_ok(json_read(&golden, SOURCE_DIR "/tests/golden/rows/expected.json", 1 << 20, 0));
    assert_true(json_array_size(golden) >= 48);
    json_array_foreach(golden, i, entry)
    {
        fixture f;
        open_fixture(&f, json_string_value(json_array_get(entry, 0)), NULL);
        const json_t *object = json_array_get(entry, 1);
        int status = read_json(&f, object, LORAC_LOSS_AUTO, 0);
        bool right = status == LORAC_OK && same_numbers(f.row.ids, f.row.count, json_array_get(entry, 2)) &&
                     same_numbers(f.row.labels, f.row.count, json_array_get(entry, 3));
        wrong += !right;
        if (!right) {
            char *shown = json_dumps(object, 0);
            print_error("%s %s: %s\n", json_string_value(json_array_get(entry, 0)), shown,
                        status ? lorac_last_error()->message : "other ids or labels");
            free(shown);
        }
        close_fixture(&f);
    }
    json_decref(golden);
    assert_int_equal(wrong, 0);
}

/* ---- By hand ------------------------------------------------------------------------------------------ */

/* The row's text with the trained parts in brackets. */
static const char *show(fixture *f, buf *out)
{
    buf_clear(out);
    bool inside = false;
    for (size_t i = 0; i < f->row.count; i++) {
        bool trained = f->row.labels[i] != LABEL_NONE;
        assert_true(!trained || f->row.labels[i] == f->row.ids[i]);
        if (trained != inside)
            buf_char(out, trained ? '[' : ']');
        inside = trained;
        assert_ok(tokenizer_decode(f->t, &f->row.ids[i], 1, false, out));
    }
    buf_text(out, inside ? "]" : "");
    return out->p;
}

static void expect(fixture *f, const char *text, lorac_loss_on on, const char *expected)
{
    buf shown = { 0 };
    if (read_row(f, text, on, 0) != LORAC_OK)
        fail_msg("%s", lorac_last_error()->message);
    assert_string_equal(show(f, &shown), expected);
    size_t trained = 0;
    for (size_t i = 0; i < f->row.count; i++)
        trained += f->row.labels[i] != LABEL_NONE;
    assert_int_equal(trained, f->row.trained);
    assert_false(f->row.truncated);
    buf_free(&shown);
}

#define CHAT                                                                                             \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"q1\"},{\"role\":\"assistant\",\"content\":\"a1\"}," \
    "{\"role\":\"user\",\"content\":\"q2\"},{\"role\":\"assistant\",\"content\":\"a2\"}]}"
#define PAIR "{\"prompt\":\"one\",\"completion\":\" two\"}"

static void test_chat(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    const char *all =
        "<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\n[a1<|im_end|>\n]<|im_start|>user\nq2<|im_end|>\n"
        "<|im_start|>assistant\n[a2<|im_end|>\n]";
    const char *last =
        "<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nq2<|im_end|>\n"
        "<|im_start|>assistant\n[a2<|im_end|>\n]";
    expect(&f, CHAT, LORAC_LOSS_AUTO, all);
    assert_int_equal(f.row.kind, ROW_MESSAGES);
    expect(&f, CHAT, LORAC_LOSS_ASSISTANT, all);
    expect(&f, CHAT, LORAC_LOSS_LAST, last);
    expect(&f, CHAT, LORAC_LOSS_COMPLETION, last);
    expect(&f, "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}", LORAC_LOSS_ALL,
           "[<|im_start|>user\nq<|im_end|>\n]");
    expect(&f, "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}", LORAC_LOSS_AUTO,
           "<|im_start|>user\nq<|im_end|>\n");
    assert_int_equal(f.row.trained, 0);
    close_fixture(&f);
    open_fixture(&f, "marked", NULL);
    expect(&f, CHAT, LORAC_LOSS_AUTO,
           "<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\n[a1<|im_end|>]\n<|im_start|>user\nq2<|im_end|>\n"
           "<|im_start|>assistant\n[a2<|im_end|>]\n");
    close_fixture(&f);
    open_fixture(&f, "bos", NULL); /* BOS once: the template writes it */
    expect(&f, CHAT, LORAC_LOSS_LAST, "<s>[Q] q1 [A] a1<|im_end|>[Q] q2 [A][ a2<|im_end|>]");
    expect(&f, PAIR, LORAC_LOSS_AUTO, "<s>one[ two<|im_end|>]");
    close_fixture(&f);
}

static void test_strings(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    expect(&f, "{\"text\":\"one\"}", LORAC_LOSS_AUTO, "[one<|im_end|>]");
    assert_int_equal(f.row.kind, ROW_TEXT);
    expect(&f, "{\"text\":\"one<|im_end|>\",\"id\":3}", LORAC_LOSS_ALL, "[one<|im_end|>]");
    expect(&f, PAIR, LORAC_LOSS_AUTO, "one[ two<|im_end|>]");
    assert_int_equal(f.row.kind, ROW_COMPLETION);
    expect(&f, PAIR, LORAC_LOSS_ALL, "[one two<|im_end|>]");
    expect(&f, PAIR, LORAC_LOSS_ASSISTANT, "one[ two<|im_end|>]");
    assert_true(f.row.weight == 1);
    expect(&f, "{\"text\":\"one\",\"weight\":0.5}", LORAC_LOSS_AUTO, "[one<|im_end|>]");
    assert_true(f.row.weight == 0.5);
    close_fixture(&f);
}

/* A token of prompt and completion together that neither has alone is trained whole: the ids part before it. */
static void test_merged_boundary(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    expect(&f, "{\"prompt\":\"the ket\",\"completion\":\"tle\"}", LORAC_LOSS_AUTO, "the[ kettle<|im_end|>]");
    close_fixture(&f);
}

static void test_lists(void **state)
{
    (void)state;
    const char *lists =
        "{\"prompt\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"},"
        "{\"role\":\"user\",\"content\":\"q\"}],\"completion\":[{\"role\":\"assistant\",\"content\":\"b\"}]}";
    fixture f;
    open_fixture(&f, "plain", NULL);
    expect(&f, lists, LORAC_LOSS_AUTO,
           "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n<|im_start|>user\nq<|im_end|>\n"
           "<|im_start|>assistant\n[b<|im_end|>\n]");
    expect(&f, lists, LORAC_LOSS_ASSISTANT,
           "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[a<|im_end|>\n]<|im_start|>user\nq<|im_end|>\n"
           "<|im_start|>assistant\n[b<|im_end|>\n]");
    close_fixture(&f);
}

static void test_truncation(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    assert_ok(read_row(&f, CHAT, LORAC_LOSS_AUTO, 0));
    size_t count = f.row.count, trained = f.row.trained;
    int32_t first = f.row.ids[0];
    assert_int_equal(f.row.whole_count, count);
    assert_int_equal(f.row.whole_trained, trained);
    assert_ok(read_row(&f, CHAT, LORAC_LOSS_AUTO, (int64_t)count - 1));
    assert_true(f.row.truncated);
    assert_true(f.row.end_cut);
    assert_int_equal(f.row.whole_count, count);
    assert_int_equal(f.row.whole_trained, trained);
    assert_int_equal(f.row.count, count - 1);
    assert_int_equal(f.row.trained, trained - 1);
    assert_int_equal(f.row.ids[0], first);
    assert_ok(read_row(&f, CHAT, LORAC_LOSS_AUTO, 2));
    assert_int_equal(f.row.count, 2);
    assert_int_equal(f.row.trained, 0);
    assert_false(f.row.end_cut);
    assert_ok(read_row(&f, CHAT, LORAC_LOSS_AUTO, (int64_t)count));
    assert_false(f.row.truncated || f.row.end_cut);
    close_fixture(&f);
}

static void test_ids(void **state)
{
    (void)state;
    fixture f = { 0 }; /* no tokenizer, no template */
    assert_ok(read_row(&f, "{\"input_ids\":[5,6,70000],\"labels\":[-100,6,7]}", LORAC_LOSS_AUTO, 0));
    assert_int_equal(f.row.kind, ROW_IDS);
    assert_int_equal(f.row.count, 3);
    assert_int_equal(f.row.trained, 2);
    assert_int_equal(f.row.ids[2], 70000);
    assert_int_equal(f.row.labels[0], LABEL_NONE);
    assert_int_equal(f.row.labels[2], 7);
    assert_ok(read_row(&f, "{\"input_ids\":[5,6]}", LORAC_LOSS_AUTO, 0));
    assert_int_equal(f.row.trained, 2);
    assert_int_equal(f.row.labels[0], 5);
    row_free(&f.row);
}

/* ---- Bad rows ----------------------------------------------------------------------------------------- */

static void expect_bad(fixture *f, const char *text, lorac_loss_on on, const char *part)
{
    if (read_row(f, text, on, 0) != LORAC_ERROR_DATA)
        fail_msg("%s was not refused as data", text);
    assert_contains(lorac_last_error()->message, "train.jsonl:7");
    assert_contains(lorac_last_error()->message, part);
    assert_int_equal(lorac_last_error()->line, 7);
}

static void test_bad_rows(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    expect_bad(&f, "{\"question\":\"a\",\"answer\":\"b\"}", LORAC_LOSS_AUTO, "question, answer");
    expect_bad(&f, "{\"prompt\":\"a\"}", LORAC_LOSS_AUTO, "\"completion\"");
    expect_bad(&f, "{}", LORAC_LOSS_AUTO, "no keys");
    expect_bad(&f, "[1]", LORAC_LOSS_AUTO, "array");
    expect_bad(&f, "{\"text\":\"a\",\"messages\":[]}", LORAC_LOSS_AUTO, "at least one message");
    expect_bad(&f, "{\"text\":5}", LORAC_LOSS_AUTO, "text");
    expect_bad(&f, "{\"text\":null}", LORAC_LOSS_AUTO, "null");
    expect_bad(&f, "{\"prompt\":\"a\",\"completion\":null}", LORAC_LOSS_AUTO, "completion");
    expect_bad(&f, "{\"prompt\":\"a\",\"completion\":[]}", LORAC_LOSS_AUTO, "as prompt is");
    expect_bad(&f, "{\"prompt\":[],\"completion\":[]}", LORAC_LOSS_AUTO, "at least one message");
    expect_bad(&f, "{\"messages\":{}}", LORAC_LOSS_AUTO, "messages");
    expect_bad(&f, "{\"messages\":[]}", LORAC_LOSS_AUTO, "at least one message");
    expect_bad(&f, "{\"messages\":[\"a\"]}", LORAC_LOSS_AUTO, "messages[0]");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"content\":\"b\"}]}", LORAC_LOSS_AUTO,
               "messages[1].role");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\"}]}", LORAC_LOSS_AUTO, "no attribute 'content'");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\",\"content\":5}]}", LORAC_LOSS_AUTO, "chat template refuses");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":\"t\"}", LORAC_LOSS_AUTO, "tools");
    expect_bad(&f, "{\"input_ids\":\"a\"}", LORAC_LOSS_AUTO, "input_ids");
    expect_bad(&f, "{\"input_ids\":[1,\"a\"]}", LORAC_LOSS_AUTO, "input_ids[1]");
    expect_bad(&f, "{\"input_ids\":[1,-1]}", LORAC_LOSS_AUTO, "-1");
    expect_bad(&f, "{\"input_ids\":[1,99999]}", LORAC_LOSS_AUTO, "99999");
    expect_bad(&f, "{\"input_ids\":[1,2],\"labels\":[1]}", LORAC_LOSS_AUTO, "1 labels");
    expect_bad(&f, "{\"input_ids\":[1,2],\"labels\":[1,-5]}", LORAC_LOSS_AUTO, "labels[1]");
    expect_bad(&f, "{\"input_ids\":[1,2],\"labels\":[1,1.5]}", LORAC_LOSS_AUTO, "labels[1]");
    expect_bad(&f, "{\"text\":\"a\",\"weight\":-1}", LORAC_LOSS_AUTO, "weight");
    expect_bad(&f, "{\"text\":\"a\"}", LORAC_LOSS_COMPLETION, "no completion");
    expect_bad(&f, "{\"text\":\"a\"}", LORAC_LOSS_LAST, "assistant");
    chat_templates_free(&f.templates);
    expect_bad(&f, CHAT, LORAC_LOSS_AUTO, "no chat template");
    tokenizer_free(f.t);
    f.t = NULL;
    expect_bad(&f, "{\"text\":\"a\"}", LORAC_LOSS_AUTO, "no tokenizer");
    close_fixture(&f);
}

static void test_bad_forms(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    expect_bad(&f, "{\"conversations\":[{\"from\":\"human\"}]}", LORAC_LOSS_AUTO, "conversations[0].value");
    expect_bad(&f, "{\"conversations\":[{\"from\":1,\"value\":\"a\"}]}", LORAC_LOSS_AUTO, "conversations[0].from");
    expect_bad(&f, "{\"conversations\":[{\"from\":\"function_call\",\"value\":\"f(1)\"}]}", LORAC_LOSS_AUTO,
               "conversations[0].value");
    expect_bad(&f, "{\"conversations\":[{\"role\":\"user\",\"content\":\"a\"}],\"system\":1}", LORAC_LOSS_AUTO,
               "system");
    expect_bad(&f, "{\"instruction\":1,\"output\":\"a\"}", LORAC_LOSS_AUTO, "instruction");
    expect_bad(&f, "{\"instruction\":\"a\",\"output\":null}", LORAC_LOSS_AUTO, "output");
    expect_bad(&f, "{\"instruction\":\"a\",\"output\":\"b\",\"input\":[]}", LORAC_LOSS_AUTO, "input");
    expect_bad(&f, "{\"instruction\":\"a\",\"output\":\"b\",\"history\":[[\"c\"]]}", LORAC_LOSS_AUTO, "history[0]");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\",\"content\":[\"a\"]}]}", LORAC_LOSS_AUTO,
               "messages[0].content[0]");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", LORAC_LOSS_AUTO,
               "messages[0].content[0].text");
    expect_bad(
        &f,
        "{\"prompt\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\"}]}],"
        "\"completion\":[{\"role\":\"assistant\",\"content\":\"b\"}]}",
        LORAC_LOSS_AUTO, "prompt[0].content[1].type; found image_url");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":\"[\"}", LORAC_LOSS_AUTO, "tools");
    expect_bad(&f, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":\"{}\"}", LORAC_LOSS_AUTO, "tools");
    assert_ok(read_row(&f, "{\"text\":\"a\",\"tools\":5,\"history\":6}", LORAC_LOSS_AUTO, 0)); /* not of this form */
    close_fixture(&f);
}

/* The order of the forms, and what is ignored. */
static void test_several_forms(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    expect(&f, "{\"text\":\"no\",\"prompt\":\"one\",\"completion\":\" two\"}", LORAC_LOSS_AUTO, "one[ two<|im_end|>]");
    expect(&f, "{\"text\":\"no\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}", LORAC_LOSS_ALL,
           "[<|im_start|>user\nq<|im_end|>\n]");
    expect(&f, "{\"text\":\"one\",\"prompt\":\"alone\",\"instruction\":\"i\",\"output\":\"o\"}", LORAC_LOSS_AUTO,
           "[one<|im_end|>]");
    assert_ok(read_row(&f, "{\"input_ids\":[5,6],\"text\":\"no\",\"prompt\":1}", LORAC_LOSS_AUTO, 0));
    assert_int_equal(f.row.count, 2);
    close_fixture(&f);
}

static void test_sharegpt(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    const char *expected = "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
                           "[a<|im_end|>\n]";
    expect(&f,
           "{\"conversations\":[{\"from\":\"system\",\"value\":\"s\"},{\"from\":\"human\",\"value\":\"q\",\"x\":null},"
           "{\"from\":\"gpt\",\"value\":\"a\"}]}",
           LORAC_LOSS_AUTO, expected);
    assert_int_equal(f.row.kind, ROW_MESSAGES);
    expect(&f,
           "{\"system\":\"s\",\"tools\":\"\",\"conversations\":[{\"role\":\"user\",\"content\":\"q\"},"
           "{\"role\":\"assistant\",\"content\":\"a\",\"name\":null}]}",
           LORAC_LOSS_AUTO, expected);
    expect(&f,
           "{\"messages\":[{\"from\":\"system\",\"value\":\"s\"},{\"from\":\"human\",\"value\":\"q\"},"
           "{\"from\":\"assistant\",\"value\":\"a\"}],\"system\":5}",
           LORAC_LOSS_AUTO, expected);
    close_fixture(&f);
    open_fixture(&f, "plain",
                 "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}"
                 "{{ c.function.name }}({{ c.function.arguments|tojson }}){% endfor %}{% endfor %}"
                 "{% if add_generation_prompt %}<assistant>{% endif %}");
    expect(&f,
           "{\"conversations\":[{\"from\":\"function_call\",\"value\":\"{\\\"name\\\":\\\"f\\\",\\\"arguments\\\":"
           "{\\\"a\\\":1}}\"},{\"from\":\"observation\",\"value\":\"r\"}]}",
           LORAC_LOSS_AUTO, "<assistant>[f({\"a\": 1})]<tool>r");
    close_fixture(&f);
}

#define ALPACA "{\"instruction\":\"do\",\"input\":\"this\",\"output\":\"done\",\"history\":[[\"q\",\"a\"]]"

static void test_alpaca(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain", NULL);
    expect(&f, ALPACA ",\"system\":\"s\"}", LORAC_LOSS_AUTO,
           "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[a<|im_end|>\n]"
           "<|im_start|>user\ndo\nthis<|im_end|>\n<|im_start|>assistant\n[done<|im_end|>\n]");
    expect(&f, "{\"instruction\":\"do\",\"input\":\"\",\"output\":\"done\",\"history\":null}", LORAC_LOSS_AUTO,
           "<|im_start|>user\ndo<|im_end|>\n<|im_start|>assistant\n[done<|im_end|>\n]");
    chat_templates_free(&f.templates);
    expect(
        &f, "{\"instruction\":\"do\",\"output\":\"done\"}", LORAC_LOSS_AUTO,
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\ndo\n\n### Response:\n[done<|im_end|>]");
    assert_int_equal(f.row.kind, ROW_COMPLETION);
    expect(&f, ALPACA ",\"system\":\"s\"}", LORAC_LOSS_AUTO,
           "s\n\n### Instruction:\nq\n\n### Response:\na\n\n### Instruction:\ndo\n\n### Input:\nthis\n\n### Response:\n"
           "[done<|im_end|>]");
    close_fixture(&f);
}

/* Content is given as the template takes it: found out by trying. */
static void test_content_forms(void **state)
{
    (void)state;
    const char *with_parts = "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"},"
                             "{\"type\":\"text\",\"text\":\"r\"}]},{\"role\":\"assistant\",\"content\":\"a\"}]}";
    const char *turns = "{% if add_generation_prompt %}<assistant>{% endif %}";
    buf source = { 0 };
    fixture f;
    open_fixture(&f, "plain", NULL); /* fails on lists */
    expect(&f, with_parts, LORAC_LOSS_AUTO, "<|im_start|>user\nq\nr<|im_end|>\n<|im_start|>assistant\n[a<|im_end|>\n]");
    close_fixture(&f);
    buf_format(&source, "{%% for m in messages %%}<{{ m.role }}>{{ m.content }}{%% endfor %%}%s",
               turns); /* prints them */
    open_fixture(&f, "plain", source.p);
    expect(&f, with_parts, LORAC_LOSS_AUTO, "<user>q\nr<assistant>[a]");
    close_fixture(&f);
    buf_clear(&source);
    buf_format(
        &source,
        "{%% for m in messages %%}<{{ m.role }}>{%% for p in m.content %%}{{ p.text }};{%% endfor %%}{%% endfor %%}%s",
        turns); /* loses strings */
    open_fixture(&f, "plain", source.p);
    expect(&f, with_parts, LORAC_LOSS_AUTO, "<user>q;r;<assistant>[a;]");
    close_fixture(&f);
    buf_clear(&source);
    buf_format(&source,
               "{%% for m in messages %%}<{{ m.role }}>{%% if m.content is string %%}{{ m.content }}{%% else %%}"
               "{%% for p in m.content %%}{{ p.text }};{%% endfor %%}{%% endif %%}{%% endfor %%}%s",
               turns); /* takes both, and both as they are */
    open_fixture(&f, "plain", source.p);
    expect(&f, with_parts, LORAC_LOSS_AUTO, "<user>q;r;<assistant>[a]");
    close_fixture(&f);
    buf_free(&source);
}

/* Arguments of a call are changed only for a template that fails on them. */
static void test_argument_forms(void **state)
{
    (void)state;
    const char *const rows[] = {
        "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":{\"a\":\"b\"}}}]}]}",
        "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": \\\"b\\\"}\"}}]}]}",
    };
    const char *head = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}";
    const char *tail = "{% endfor %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    const char *const bodies[][3] = {
        { "{{ 'x' + c.function.arguments }}", "<assistant>[x{\"a\": \"b\"}]", "<assistant>[x{\"a\": \"b\"}]" },
        { "{% for k, v in c.function.arguments|items %}{{ k }}={{ v }}{% endfor %}", "<assistant>[a=b]",
          "<assistant>[a=b]" },
        { "{{ c.function.arguments|tojson }}", "<assistant>[{\"a\": \"b\"}]",
          "<assistant>[\"{\\\"a\\\": \\\"b\\\"}\"]" },
    };
    for (size_t i = 0; i < 3; i++) {
        buf source = { 0 };
        fixture f;
        buf_text(&source, head);
        buf_text(&source, bodies[i][0]);
        buf_text(&source, tail);
        open_fixture(&f, "plain", source.p);
        for (size_t k = 0; k < 2; k++)
            expect(&f, rows[k], LORAC_LOSS_AUTO, bodies[i][1 + k]);
        close_fixture(&f);
        buf_free(&source);
    }
}

/* A text that begins with BOS has one; EOS is trained though it may also be the padding. */
static void test_one_bos(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "bos", NULL);
    expect(&f, "{\"text\":\"<s>one\"}", LORAC_LOSS_AUTO, "[<s>one<|im_end|>]");
    expect(&f, "{\"prompt\":\"<s>one\",\"completion\":\" two\"}", LORAC_LOSS_AUTO, "<s>one[ two<|im_end|>]");
    close_fixture(&f);
}

/* The last turn may be marked by several regions. A template that changes earlier turns is stable for the last one. */
static void test_last_turn(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain",
                 "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}(think)"
                 "{% endgeneration %}:{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}"
                 "{% endif %}{% endfor %}");
    expect(&f, CHAT, LORAC_LOSS_LAST, "<user>q1<assistant>(think):a1<user>q2<assistant>[(think)]:[a2]");
    expect(&f, CHAT, LORAC_LOSS_AUTO, "<user>q1<assistant>[(think)]:[a1]<user>q2<assistant>[(think)]:[a2]");
    close_fixture(&f);
    open_fixture(&f, "plain",
                 "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}(think){% endif %}"
                 "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}");
    expect_bad(&f, CHAT, LORAC_LOSS_AUTO, "the first difference is at character 20");
    assert_contains(lorac_last_error()->hint, "--loss-on last");
    expect(&f, CHAT, LORAC_LOSS_LAST, "<user>q1<assistant>a1<user>q2<assistant>[(think)a2]");
    close_fixture(&f);
}

/* Turns cannot be found when what was rendered changes with what follows. */
static void test_unstable_template(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, "plain",
                 "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ '!' if loop.last else '?' }}{% endfor %}"
                 "{% if add_generation_prompt %}<assistant>{% endif %}");
    expect_bad(&f, CHAT, LORAC_LOSS_AUTO, "first difference is at character 9");
    assert_contains(lorac_last_error()->found, "?"); /* shows what stands there */
    assert_contains(lorac_last_error()->expected, "!");
    assert_null(strstr(lorac_last_error()->hint, "--loss-on last")); /* it would be refused too */
    expect_bad(&f, CHAT, LORAC_LOSS_LAST, "first difference is at character 32");
    assert_null(strstr(lorac_last_error()->hint, "--loss-on last"));
    assert_ok(read_row(&f, CHAT, LORAC_LOSS_ALL, 0));
    close_fixture(&f);
}

/* Beginnings are rendered for the square of the messages; marks and the last turn are not. */
static void test_many_messages(void **state)
{
    (void)state;
    fixture f;
    buf line = { 0 };
    open_fixture(&f, "plain", NULL);
    buf_text(&line, "{\"messages\":[");
    for (int i = 0; i < 5000; i++)
        buf_format(&line, "%s{\"role\":\"%s\",\"content\":\"x\"}", i ? "," : "", i % 2 ? "assistant" : "user");
    buf_text(&line, "]}");
    expect_bad(&f, line.p, LORAC_LOSS_AUTO, "too many messages");
    assert_ok(read_row(&f, line.p, LORAC_LOSS_LAST, 0));
    close_fixture(&f);
    buf_free(&line);
}

static void test_memory(void **state)
{
    (void)state;
    fixture f;
    json_t *object;
    bool done = false;
    open_fixture(&f, "plain", NULL);
    assert_ok(json_parse(&object, slice_of(CHAT), "train.jsonl", 7, 0));
    for (long n = 1; !done; n++) {
        assert_true(n < 1000);
        row_free(&f.row);
        mem_fail_at(n);
        int status = read_json(&f, object, LORAC_LOSS_AUTO, 0);
        mem_fail_at(0);
        done = status == LORAC_OK;
        if (!done)
            assert_int_equal(status, LORAC_ERROR_RUNTIME);
    }
    json_decref(object);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),       cmocka_unit_test(test_chat),
        cmocka_unit_test(test_strings),       cmocka_unit_test(test_merged_boundary),
        cmocka_unit_test(test_lists),         cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_ids),           cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_bad_forms),     cmocka_unit_test(test_several_forms),
        cmocka_unit_test(test_sharegpt),      cmocka_unit_test(test_alpaca),
        cmocka_unit_test(test_content_forms), cmocka_unit_test(test_argument_forms),
        cmocka_unit_test(test_many_messages), cmocka_unit_test(test_one_bos),
        cmocka_unit_test(test_last_turn),     cmocka_unit_test(test_unstable_template),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
