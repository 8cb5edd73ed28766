/* Any bytes as a chat template, rendered for a conversation with tools and reasoning: refused, or text that is valid
 * UTF-8, and the same text when rendered again. */
#include "input.h"
#include "template.h"

#include "err.h"
#include "mem.h"

#include <string.h>

static const char conversation[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be "
    "brief.\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Füße?\"}]},"
    "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":[{\"function\":{\"name\":"
    "\"f\","
    "\"arguments\":{\"a\":[1,2.5,true,null]}}}]},{\"role\":\"tool\",\"content\":\" 12 "
    "\\n\"},{\"role\":\"assistant\",\"content\":\"Yes.\"}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":"
    "{}}}}],"
    "\"extra\":{\"x\":\"text\",\"n\":7,\"words\":[\"pear\",\"Apple\",\"fig\"],\"d\":{\"b\":2,\"a\":1}}}";

static int render(const template *t, const json_t *input, buf *out)
{
    template_input given = { .messages = json_object_get(input, "messages"),
                             .tools = json_object_get(input, "tools"),
                             .extra = json_object_get(input, "extra"),
                             .add_generation_prompt = true,
                             .bos = { "<s>", 3 },
                             .eos = { "</s>", 4 },
                             .date = "2026-03-04" };
    text_region *regions = NULL;
    size_t count = 0;
    int status = template_render(t, &given, out, &regions, &count);

    for (size_t i = 0; status == LORAC_OK && i < count; i++)
        ALWAYS(regions[i].begin <= regions[i].end && regions[i].end <= out->n);
    mem_free(regions);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *input;
    template *t;
    buf first = { 0 }, second = { 0 };

    if (!input)
        input = json_loads(conversation, 0, NULL);
    ALWAYS(input);
    if (template_parse(&t, (slice){ (const char *)data, size }, "fuzz.jinja") != LORAC_OK) {
        ALWAYS(lorac_last_error()->message[0] != '\0');
        return 0;
    }
    if (render(t, input, &first) == LORAC_OK) {
        ALWAYS(utf8_valid(buf_slice_of(&first)) == first.n);
        ALWAYS(render(t, input, &second) == LORAC_OK);
        ALWAYS(slice_equal(buf_slice_of(&first), buf_slice_of(&second)));
    }
    buf_free(&first);
    buf_free(&second);
    template_free(t);
    return 0;
}
