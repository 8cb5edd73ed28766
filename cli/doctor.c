/* doctor.c: lorac doctor: what to paste into a report, and whether a model runs here from text to logits. */
#include "speaker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const char probe[] = "The quick brown fox: 3.14 — naïve café, 你好!";

static json_t *system_json(void)
{
    struct utsname os;
    lorac_system s;
    json_t *o = json_object();
    char *cache = cache_folder();

    lorac_system_info(&s);
    json_object_set_new(o, "version", json_string(lorac_version()));
    if (uname(&os) == 0)
        json_object_set_new(o, "system", json_sprintf("%s %s %s", os.sysname, os.release, os.machine));
    json_object_set_new(o, "cpu", json_text(s.cpu, strlen(s.cpu)));
    json_object_set_new(o, "isa", json_string(s.isa));
    json_object_set_new(o, "gemm", json_string(s.gemm));
    json_object_set_new(o, "threads", json_integer(s.threads));
    json_object_set_new(o, "fast_bf16", json_boolean(s.has_fast_bf16));
    json_object_set_new(o, "memory_total", json_integer((json_int_t)s.memory_total));
    json_object_set_new(o, "memory_available", json_integer((json_int_t)s.memory_available));
    json_object_set_new(o, "cache", json_text(cache, strlen(cache)));
    free(cache);
    return o;
}

static void print_string(const json_t *value)
{
    print_text(stdout, json_string_value(value), json_string_length(value));
    putchar('\n');
}

static void print_system(json_t *o)
{
    char text[32];

    for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
        const json_t *value = json_object_iter_value(at);

        printf("%-18s ", json_object_iter_key(at));
        if (!strncmp(json_object_iter_key(at), "memory", 6))
            printf("%s\n", bytes_text((double)json_integer_value(value), text));
        else if (json_is_string(value))
            print_string(value);
        else if (json_is_integer(value))
            printf("%lld\n", (long long)json_integer_value(value));
        else
            printf("%s\n", json_is_true(value) ? "yes" : "no");
    }
}

/* The text comes back from its ids. NULL: it does; otherwise what is wrong. */
static const char *try_round_trip(const speaker *s, int32_t **ids, size_t *count)
{
    char *utf8 = NULL;
    size_t length;
    bool same;

    if (lorac_text_encode(s->text, probe, sizeof probe - 1, 0, ids, count) != LORAC_OK ||
        lorac_text_decode(s->text, *ids, *count, 0, &utf8, &length) != LORAC_OK)
        return lorac_last_error()->message;
    same = length == sizeof probe - 1 && !memcmp(utf8, probe, length);
    lorac_free(utf8);
    return same ? NULL : "the text does not come back from its ids as it was";
}

static const char *try_template(const speaker *s)
{
    lorac_template_options options = { .add_generation_prompt = 1 };
    char *utf8 = NULL;
    size_t length;

    if (!lorac_text_has_template(s->text))
        return "there is none";
    if (lorac_text_render(s->text, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}", &options, &utf8,
                          &length) != LORAC_OK)
        return lorac_last_error()->message;
    lorac_free(utf8);
    return NULL;
}

static const char *try_forward(const speaker *s, const int32_t *ids, size_t count)
{
    lorac_model_info about;
    float *logits;
    size_t outputs;
    const char *wrong = NULL;

    lorac_model_describe(s->model, &about);
    outputs = about.labels ? (size_t)about.labels : count * (size_t)about.vocabulary;
    logits = allocate(outputs, sizeof *logits);
    if (lorac_logits(s->session, ids, count, logits) != LORAC_OK)
        wrong = lorac_last_error()->message;
    for (size_t i = 0; !wrong && i < outputs; i++)
        if (!isfinite(logits[i]))
            wrong = "a logit is NaN or infinite";
    free(logits);
    return wrong;
}

/* Says how a check went, and keeps it for the JSON object. True when it went well. */
static bool note_check(const arguments *a, json_t *checks, const char *name, const char *wrong)
{
    json_object_set_new(checks, name, wrong ? json_text(wrong, strlen(wrong)) : json_string("good"));
    if (!a->json) {
        printf("%-18s ", name);
        print_text(stdout, wrong ? wrong : "good", strlen(wrong ? wrong : "good"));
        putchar('\n');
    }
    return !wrong;
}

static int examine(const arguments *a, const speaker *s, json_t *checks)
{
    int32_t *ids = NULL;
    size_t count = 0;
    bool good = note_check(a, checks, "tokenizer", try_round_trip(s, &ids, &count));

    note_check(a, checks, "chat_template", try_template(s)); /* a model may do without */
    if (count)
        good &= note_check(a, checks, "forward_pass", try_forward(s, ids, count));
    lorac_free(ids);
    return good ? LORAC_OK : LORAC_ERROR_RUNTIME;
}

int command_doctor(arguments *a)
{
    json_t *o = system_json(), *checks = json_object();
    speaker s;
    int status = LORAC_OK;

    if (!a->json)
        print_system(o);
    if (a->train.model) {
        fflush(stdout);
        status = speaker_open(a, &s, true);
        if (status == LORAC_OK) {
            status = examine(a, &s, checks);
            json_object_set_new(o, "model", json_string(a->train.model));
            json_object_set(o, "checks", checks);
        } else {
            a->json = 0; /* the error object was the one object */
        }
        speaker_close(&s);
    }
    if (a->json)
        print_json(o);
    else
        json_decref(o);
    json_decref(checks);
    return status;
}
