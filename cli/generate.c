/* generate.c: lorac generate: one prompt, one answer, or two answers to compare. */
#include "columns.h"
#include "speaker.h"

#include <stdlib.h>
#include <string.h>

static int print_piece(void *user, const char *utf8, size_t length)
{
    (void)user;
    print_text(stdout, utf8, length);
    fflush(stdout);
    return 0;
}

/* ---- The prompt ------------------------------------------------------------------------------ */

static int encode_prompt(arguments *a, const speaker *s, const char *text, size_t length, int32_t **ids, size_t *count)
{
    json_t *messages;
    int status;

    if (!a->template || !lorac_text_has_template(s->text)) {
        if (a->template)
            note("note: the model has no chat template; the prompt is used as it is");
        if (a->system)
            note("note: --system is left out; it needs the chat template");
        return speaker_encode(a, s, text, length, ids, count);
    }
    messages = json_array();
    if (a->system)
        json_array_append_new(
            messages, json_pack("{s:s,s:o}", "role", "system", "content", json_text(a->system, strlen(a->system))));
    json_array_append_new(messages, json_pack("{s:s,s:o}", "role", "user", "content", json_text(text, length)));
    status = speaker_render(a, s, messages, ids, count);
    json_decref(messages);
    return status;
}

/* *ids is released with free: ids from the library are copied. */
static int take_prompt(arguments *a, const speaker *s, int32_t **ids, size_t *count)
{
    char *text = NULL;
    int32_t *encoded = NULL;
    size_t length;
    int status;

    if (a->ids)
        return parse_ids(a, "ids", a->ids, ids, count);
    if (strcmp(a->prompt, "-") != 0) {
        status = encode_prompt(a, s, a->prompt, strlen(a->prompt), &encoded, count);
    } else {
        status = read_file(a, "-", &text, &length);
        if (status == LORAC_OK)
            status = encode_prompt(a, s, text, length, &encoded, count);
    }
    if (status == LORAC_OK) {
        *ids = allocate(*count, sizeof **ids);
        memcpy(*ids, encoded, *count * sizeof **ids);
    }
    lorac_free(encoded);
    free(text);
    return status;
}

/* ---- The answer ------------------------------------------------------------------------------ */

/* `bare`: without the adapters. */
static int answer(arguments *a, const speaker *s, const int32_t *ids, size_t count, bool bare, bool stream,
                  lorac_generation *out)
{
    lorac_watch watch = { 0 };
    lorac_sequence *sequence;
    int status = lorac_sequence_new(&sequence, s->session, &s->sampling);

    if (status == LORAC_OK && bare)
        status = lorac_sequence_adapters(sequence, NULL, 0);
    interrupt_cancels(&watch);
    if (status == LORAC_OK)
        status = lorac_generate(sequence, s->text, ids, count, a->max_tokens, stream ? print_piece : NULL, NULL, &watch,
                                out);
    interrupt_cancels(NULL);
    if (status != LORAC_OK)
        report(a, status);
    lorac_sequence_free(sequence);
    return status;
}

static json_t *answer_json(const lorac_generation *g, size_t prompt_tokens)
{
    json_t *o = json_object();

    json_object_set_new(o, "text", g->utf8 ? json_text(g->utf8, strlen(g->utf8)) : json_null());
    json_object_set_new(o, "ids", json_ids(g->ids, g->count));
    json_object_set_new(o, "finish_reason", json_string(g->finish_reason));
    json_object_set_new(o, "prompt_tokens", json_integer((json_int_t)prompt_tokens));
    json_object_set_new(o, "generation_tokens", json_integer((json_int_t)g->count));
    json_object_set_new(o, "prompt_tokens_per_second", json_number(g->prompt_tokens_per_second));
    json_object_set_new(o, "generation_tokens_per_second", json_number(g->generation_tokens_per_second));
    return o;
}

static void print_statistics(const lorac_generation *g, size_t prompt_tokens)
{
    fprintf(stderr, "Prompt: %zu tokens, %.3f tokens-per-sec\n", prompt_tokens, g->prompt_tokens_per_second);
    fprintf(stderr, "Generation: %zu tokens, %.3f tokens-per-sec\n", g->count, g->generation_tokens_per_second);
    fprintf(stderr, "Peak memory: %.3f GB\n", peak_memory_gb());
}

static void print_plain_ids(const lorac_generation *g)
{
    for (size_t i = 0; i < g->count; i++)
        printf("%s%d", i ? "," : "", (int)g->ids[i]);
}

static int answer_once(arguments *a, const speaker *s, const int32_t *ids, size_t count)
{
    lorac_generation g = { 0 };
    int status = answer(a, s, ids, count, false, !a->json && s->text, &g);

    if (status != LORAC_OK)
        return status;
    if (a->json) {
        print_json(answer_json(&g, count));
    } else {
        if (!s->text)
            print_plain_ids(&g);
        putchar('\n');
        fflush(stdout);
        print_statistics(&g, count);
    }
    lorac_free(g.ids);
    lorac_free(g.utf8);
    return LORAC_OK;
}

static int answer_twice(arguments *a, const speaker *s, const int32_t *ids, size_t count)
{
    lorac_generation base = { 0 }, adapted = { 0 };
    int status = answer(a, s, ids, count, true, false, &base);

    if (status == LORAC_OK)
        status = answer(a, s, ids, count, false, false, &adapted);
    if (status == LORAC_OK && a->json) {
        json_t *o = json_object();

        json_object_set_new(o, "base", answer_json(&base, count));
        json_object_set_new(o, "adapted", answer_json(&adapted, count));
        print_json(o);
    } else if (status == LORAC_OK) {
        print_columns("base", base.utf8 ? base.utf8 : "", "adapted", adapted.utf8 ? adapted.utf8 : "");
        fflush(stdout);
        print_statistics(&adapted, count);
    }
    lorac_free(base.ids);
    lorac_free(base.utf8);
    lorac_free(adapted.ids);
    lorac_free(adapted.utf8);
    return status;
}

int command_generate(arguments *a)
{
    speaker s;
    int32_t *ids = NULL;
    size_t count;
    int status;

    if (!a->prompt == !a->ids)
        return usage(a, "prompt", NULL, "generate needs a prompt: -p TEXT or --ids 1,2,3");
    if (a->compare && !a->adapters.count)
        return usage(a, "compare", NULL, "--compare needs an --adapter to compare with the base");
    status = speaker_open(a, &s, a->prompt || a->stop.count || a->compare);
    if (status == LORAC_OK)
        status = take_prompt(a, &s, &ids, &count);
    if (status == LORAC_OK)
        status = a->compare ? answer_twice(a, &s, ids, count) : answer_once(a, &s, ids, count);
    free(ids);
    speaker_close(&s);
    return status;
}
