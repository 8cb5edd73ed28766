/* speaker.c: opening a model for generation. */
#include "speaker.h"

#include <stdlib.h>
#include <string.h>

static void take_sampling(const arguments *a, lorac_sampling *s)
{
    lorac_sampling_init(s);
    s->temperature = a->temperature;
    s->top_k = a->top_k;
    s->top_p = a->top_p;
    s->min_p = a->min_p;
    s->repetition_penalty = a->repetition_penalty;
    s->seed = a->seed;
    s->ignore_eos = a->ignore_eos;
    s->stop = a->stop.items;
    s->stop_count = a->stop.count;
}

static int open_speaker_text(const arguments *a, speaker *s, bool needs_text)
{
    char *path;
    int status;

    if (needs_text)
        return open_text(a, &s->text);
    status = resolve_model(a, &path);
    if (status != LORAC_OK)
        return status;
    if (lorac_text_open(&s->text, path, a->train.chat_template) != LORAC_OK)
        s->text = NULL; /* ids in, ids out */
    free(path);
    return LORAC_OK;
}

int speaker_open(const arguments *a, speaker *s, bool needs_text)
{
    lorac_run_options options = { .dtype = a->train.dtype, .threads = a->train.threads };
    int status;

    *s = (speaker){ 0 };
    take_sampling(a, &s->sampling);
    status = parse_adapters(a, &s->adapters, &s->adapter_count);
    if (status == LORAC_OK)
        status = open_model(a, &s->model);
    if (status == LORAC_OK)
        status = open_speaker_text(a, s, needs_text);
    if (status != LORAC_OK)
        return status;
    options.adapters = s->adapters;
    options.adapter_count = s->adapter_count;
    status = lorac_session_new(&s->session, s->model, &options);
    return status == LORAC_OK ? LORAC_OK : report(a, status);
}

void speaker_close(speaker *s)
{
    lorac_session_free(s->session);
    lorac_text_close(s->text);
    lorac_model_close(s->model);
    free_adapters(s->adapters, s->adapter_count);
}

int speaker_encode(const arguments *a, const speaker *s, const char *text, size_t length, int32_t **ids, size_t *count)
{
    int status = lorac_text_encode(s->text, text, length, 1, ids, count);

    return status == LORAC_OK ? LORAC_OK : report(a, status);
}

/* The template writes the special tokens itself, so the tokenizer adds none. */
int speaker_render(const arguments *a, const speaker *s, json_t *messages, int32_t **ids, size_t *count)
{
    lorac_template_options options = { .add_generation_prompt = 1 };
    json_t *conversation = json_pack("{s:O}", "messages", messages);
    char *json = json_dumps(conversation, JSON_COMPACT), *utf8 = NULL;
    size_t length;
    int status = lorac_text_render(s->text, json, &options, &utf8, &length);

    if (status == LORAC_OK)
        status = lorac_text_encode(s->text, utf8, length, 0, ids, count);
    if (status != LORAC_OK)
        report(a, status);
    lorac_free(utf8);
    free(json);
    json_decref(conversation);
    return status;
}
