/* templates.c: how many conversations a second a chat template renders, on one thread, parsed once:
 *   bench_templates TEMPLATE.jinja CONVERSATION.json SECONDS
 * prints them, by processor time, and the bytes of the text. bench/templates.py runs it beside jinja2. */
#include "err.h"
#include "file.h"
#include "json.h"
#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static int measure(const char *file, const char *conversation, double seconds)
{
    buf source = { 0 }, out = { 0 };
    template *t;
    json_t *root;
    TRY(file_read(&source, file, 4 << 20));
    TRY(template_parse(&t, buf_slice_of(&source), file));
    TRY(json_read(&root, conversation, 1 << 20, JSON_TAKE_NUL));
    template_input input = { .messages = json_object_get(root, "messages"),
                             .tools = json_object_get(root, "tools"),
                             .add_generation_prompt = true,
                             .bos = slice_of("<s>"),
                             .eos = slice_of("</s>"),
                             .date = "2026-03-04" };
    double begin = now(), used = 0;
    long count = 0;
    for (; used < seconds; used = now() - begin)
        for (int i = 0; i < 50; i++, count++) {
            buf_clear(&out);
            TRY(template_render(t, &input, &out, NULL, NULL));
        }
    printf("%.0f %zu\n", (double)count / used, out.n);
    return LORAC_OK;
}

int main(int argc, char **argv)
{
    if (argc != 4 || measure(argv[1], argv[2], atof(argv[3])) != LORAC_OK) {
        fprintf(stderr, "%s\n",
                argc != 4 ? "usage: bench_templates TEMPLATE CONVERSATION SECONDS" : lorac_last_error()->message);
        return 1;
    }
    return 0;
}
