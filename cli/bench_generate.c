/* bench_generate.c: lorac bench --generate: prompts of random ids, answered greedily by several streams of one session.
 * Streams take the adapters in turn. A short round before the measured one reads the model's file into memory. */
#include "bench.h"

#include <stdlib.h>

enum { PROMPT_STANDARD = 128, WARM_UP_TOKENS = 2 };

typedef struct streams {
    lorac_session *session;
    lorac_sequence **sequences;
    int64_t count, prompt, generate;
    double prompt_seconds, generation_seconds;
} streams;

static int append_prompt(lorac_sequence *sequence, int64_t length, int64_t vocabulary, uint32_t seed)
{
    int32_t *ids = allocate((size_t)length, sizeof *ids);
    int status;

    for (int64_t i = 0; i < length; i++)
        ids[i] = made_up_id(&seed, vocabulary);
    status = lorac_sequence_append(sequence, ids, (size_t)length);
    free(ids);
    return status;
}

static int open_streams(streams *s, const lorac_model_info *about, const lorac_adapter_ref *adapters, size_t n_adapters)
{
    lorac_sampling greedy;
    int status = LORAC_OK;

    lorac_sampling_init(&greedy);
    greedy.ignore_eos = 1;
    for (int64_t i = 0; i < s->count && status == LORAC_OK; i++) {
        status = lorac_sequence_new(&s->sequences[i], s->session, &greedy);
        if (status == LORAC_OK && n_adapters)
            status = lorac_sequence_adapters(s->sequences[i], &adapters[(size_t)i % n_adapters], 1);
        if (status == LORAC_OK)
            status = append_prompt(s->sequences[i], s->prompt, about->vocabulary, (uint32_t)i + 1);
    }
    return status;
}

/* The step that runs the prompts gives each stream its first token; `tokens` more are timed. */
static int run_streams(streams *s, int64_t tokens)
{
    double start = seconds_now();
    int status = lorac_session_step(s->session);

    s->prompt_seconds = seconds_now() - start;
    start = seconds_now();
    for (int64_t i = 0; i < tokens && status == LORAC_OK; i++)
        status = lorac_session_step(s->session);
    s->generation_seconds = seconds_now() - start;
    return status;
}

static void close_streams(streams *s)
{
    for (int64_t i = 0; i < s->count; i++) {
        lorac_sequence_free(s->sequences[i]);
        s->sequences[i] = NULL;
    }
}

static int one_round(streams *s, const lorac_model_info *about, const lorac_adapter_ref *adapters, size_t n_adapters,
                     int64_t tokens)
{
    int status = open_streams(s, about, adapters, n_adapters);

    if (status == LORAC_OK)
        status = run_streams(s, tokens);
    close_streams(s);
    return status;
}

static void print_speed(const arguments *a, const streams *s)
{
    double prompt = (double)(s->count * s->prompt) / s->prompt_seconds;
    double generation = (double)(s->count * s->generate) / s->generation_seconds;

    if (a->json) {
        json_t *o = json_object();

        json_object_set_new(o, "prompt_tokens_per_second", json_number(prompt));
        json_object_set_new(o, "generation_tokens_per_second", json_number(generation));
        json_object_set_new(o, "streams", json_integer(s->count));
        json_object_set_new(o, "prompt_tokens", json_integer(s->prompt));
        json_object_set_new(o, "generation_tokens", json_integer(s->generate));
        json_object_set_new(o, "peak_memory", json_number(peak_memory_gb()));
        print_json(o);
        return;
    }
    printf("prompt %.1f tokens/s, generation %.1f tokens/s (%lld streams of %lld + %lld tokens)\npeak memory %.3f GB\n",
           prompt, generation, (long long)s->count, (long long)s->prompt, (long long)s->generate, peak_memory_gb());
}

int bench_generate(const arguments *a, const lorac_model *model)
{
    lorac_run_options options = { .dtype = a->train.dtype, .threads = a->train.threads };
    streams s = { .count = a->streams, .prompt = a->limit ? a->limit : PROMPT_STANDARD, .generate = a->generate };
    lorac_adapter_ref *adapters = NULL;
    size_t n_adapters = 0;
    lorac_model_info about;
    int status = parse_adapters(a, &adapters, &n_adapters);

    if (status != LORAC_OK)
        return status;
    lorac_model_describe(model, &about);
    s.sequences = allocate((size_t)s.count, sizeof *s.sequences);
    status = lorac_session_new(&s.session, model, &options);
    if (status == LORAC_OK)
        status = one_round(&s, &about, adapters, n_adapters, WARM_UP_TOKENS);
    if (status == LORAC_OK)
        status = one_round(&s, &about, adapters, n_adapters, s.generate);
    if (status == LORAC_OK)
        print_speed(a, &s);
    else
        report(a, status);
    lorac_session_free(s.session);
    free(s.sequences);
    free_adapters(adapters, n_adapters);
    return status;
}
